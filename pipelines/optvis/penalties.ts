import {
  abs,
  add,
  addScalar,
  div,
  full,
  mul,
  scale,
  sqrt,
  square,
  sub,
} from "../../engine/ops/elementwise.ts";
import { type FftTables, rfft2 } from "../../engine/ops/fft.ts";
import { avgPool2d } from "../../engine/ops/resize.ts";
import { slice } from "../../engine/ops/shape.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import { radialFrequencies } from "./frequencies.ts";
import { meanOfEach, sumOfEach } from "./image_sums.ts";
import type { Objective } from "./objective.ts";

/** A penalty on the images themselves; {@link scaleObjective} it by a negative number. */
function onImage(name: string, score: (image: Tensor) => Tensor): Objective {
  return { name, layers: [], score: ({ image }) => tidy(image.gpu, () => score(image)) };
}

/** What a colour's distance is measured from. */
export interface GrayOptions {
  /** The colour, the same in all channels. */
  readonly constant?: number;
}

/** `Σ |I − constant|` (lucid's `L1`; its notebooks weight it by −0.05). */
export function l1Penalty({ constant = 0.5 }: GrayOptions = {}): Objective {
  return onImage("L1", (image) => sumOfEach(abs(addScalar(image, -constant))));
}

/** `√(ε + Σ (I − constant)²)` with ε = 10⁻⁶ (lucid's `L2`). */
export function l2Penalty({ constant = 0.5 }: GrayOptions = {}): Objective {
  return onImage(
    "L2",
    (image) => sqrt(addScalar(sumOfEach(square(addScalar(image, -constant))), 1e-6)),
  );
}

/** `Σ |differences of neighbours|` down and across (TensorFlow's total variation; lucid's notebooks weight it by −0.25). */
export function totalVariation(): Objective {
  return onImage("total variation", (image) => {
    const [, , height, width] = image.shape;
    const along = (axis: 2 | 3, n: number) =>
      sub(slice(image, { axis, start: 1 }), slice(image, { axis, start: 0, end: n - 1 }));
    return add(sumOfEach(abs(along(2, height))), sumOfEach(abs(along(3, width))));
  });
}

/** lucid's blur: weight 1 in the inner square and 0.5 in the ring around it, over the weight that lies inside the image. */
function blurred(x: Tensor, side: 3 | 5): Tensor {
  const box = (t: Tensor, k: number) =>
    k === 1
      ? t
      : scale(avgPool2d(t, k, { stride: 1, padding: (k - 1) / 2, countIncludePad: true }), k * k);
  const weigh = (t: Tensor) => scale(add(box(t, side), box(t, side - 2)), 0.5);
  const [, , height, width] = x.shape;
  return div(weigh(x), weigh(full(x.gpu, [1, 1, height, width], 1)));
}

/** `½ Σ (I − blur(I))²` over a 3×3 blur that takes no gradient (lucid's `blur_input_each_step`, weighted by −1 there). */
export function blurPenalty(): Objective {
  return onImage(
    "blur",
    (image) => scale(sumOfEach(square(sub(image, blurred(image.detach(), 3)))), 0.5),
  );
}

/** Options of {@link boundaryPenalty}. */
export interface BoundaryOptions extends GrayOptions {
  /** Pixels of the frame on each side. */
  readonly width?: number;
}

/**
 * `Σ over the frame of (blur₅(I) − I)² + 0.8·(I − constant)²`: a plain frame (lucid's `penalize_boundary_complexity`).
 *
 * @throws {InputError} when the width is not a whole number from 1
 */
export function boundaryPenalty({ width = 20, constant = 0.5 }: BoundaryOptions = {}): Objective {
  if (!Number.isInteger(width) || width < 1) {
    throw new InputError(
      `Cannot take a frame of ${width} pixels: it must be a whole number from 1`,
    );
  }
  return onImage("boundary", (image) => {
    const [, , h, w] = image.shape;
    const isFrame = (at: number, n: number) => at < width || at >= n - width;
    const mask = Float32Array.from(
      { length: h * w },
      (_, at) => Number(isFrame(Math.floor(at / w), h) || isFrame(at % w, w)),
    );
    const rough = square(sub(blurred(image, 5), image));
    const away = scale(square(addScalar(image, -constant)), 0.8);
    return sumOfEach(mul(add(rough, away), Tensor.from(image.gpu, mask, [h, w])));
  });
}

/** Options of the penalties on spectra. */
export interface SpectralOptions {
  /** Tables of the images' size, which spare making them in every step; the caller's. */
  readonly tables?: FftTables;
}

/** How many frequencies of the whole transform each one of a real image's stands for, `[h, ⌊w/2⌋ + 1]`. */
function multiplicity(height: number, width: number): Float64Array {
  const columns = Math.floor(width / 2) + 1;
  return Float64Array.from({ length: height * columns }, (_, at) => {
    const k = at % columns;
    return k === 0 || 2 * k === width ? 1 : 2;
  });
}

/** `Σ_f |f|² · |F(f)|²`, f in cycles per pixel, of the transform that keeps energy: high frequencies cost most. */
export function spectralPenalty({ tables }: SpectralOptions = {}): Objective {
  return onImage("spectral radius", (image) => {
    const [, , height, width] = image.shape;
    const count = multiplicity(height, width);
    const radii = radialFrequencies({ height, width }).map((f, i) => f * f * count[i]);
    const { re, im } = rfft2(image, { norm: "ortho", tables });
    const cost = Tensor.from(image.gpu, radii, [height, Math.floor(width / 2) + 1]);
    return sumOfEach(mul(add(square(re), square(im)), cost));
  });
}

/** Options of {@link spectrumDistance}. */
export interface SpectrumDistanceOptions extends SpectralOptions {
  /** Power by which natural amplitudes fall. */
  readonly power?: number;
}

/**
 * Distance of an image's amplitudes from `1 / f^power`, both of length 1 over all channels and frequencies but 0 (after the VWAM package's
 * `spect_dist`).
 */
export function spectrumDistance(
  { power = 1, tables }: SpectrumDistanceOptions = {},
): Objective {
  return onImage("spectrum distance", (image) => {
    const [n, channels, height, width] = image.shape;
    const count = multiplicity(height, width);
    const shape = [height, Math.floor(width / 2) + 1];
    const root = count.map((c, i) => i === 0 ? 0 : Math.sqrt(c));
    const radii = radialFrequencies({ height, width });
    const natural = root.map((r, i) => i === 0 ? 0 : r * radii[i] ** -power);
    const length = Math.sqrt(channels * natural.reduce((s, v) => s + v * v, 0));
    const table = (values: Float64Array) => Tensor.from(image.gpu, values, shape);
    const { re, im } = rfft2(image, { norm: "ortho", tables });
    // 1e-12 keeps the root's slope finite where an amplitude is 0.
    const amplitude = sqrt(addScalar(add(square(re), square(im)), 1e-12));
    const weighted = mul(amplitude, table(root));
    const unit = div(weighted, sqrt(sumOfEach(square(weighted))).reshape([n, 1, 1, 1]));
    const off = sumOfEach(square(sub(unit, table(natural.map((v) => v / length)))));
    return sqrt(addScalar(off, 1e-12));
  });
}

/** `mean (I − seed)²`: how far an image has moved from the picture it started from (Horama weights it by −1). */
export function seedPenalty(seed: Tensor): Objective {
  return onImage("distance from the seed", (image) => {
    return meanOfEach(square(sub(image, seed)));
  });
}
