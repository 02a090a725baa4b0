/**
 * What the simulated voxels respond to: category salience or a property of the image for late regions, orientation and contrast for
 * early ones.
 */

import { isPlace } from "./backgrounds.ts";
import { Draws } from "./draws.ts";
import { isIndoor } from "./places.ts";
import { luminance, type RenderedScene, saturation } from "./render.ts";
import { CATEGORIES, type Category, type Scene } from "./scene.ts";
import { type CorticalSheet, ROI_PROPERTY, type RoiName, ROIS } from "./sheet.ts";

/** Properties of pixels whose means drive regions of their own. */
const PROPERTIES = Object.values(ROI_PROPERTY);

/** The variables of an image that drive the late regions: each category's salience, "outdoor", and means of properties. */
export const VARIABLES = [...CATEGORIES, "outdoor", ...PROPERTIES] as const;

/** A variable of an image. */
export type Variable = typeof VARIABLES[number];

// Visible area, as a fraction of the image, at which salience is full.
const FULL_AREA: Readonly<Record<Category, number>> = {
  face: 0.2,
  body: 0.12,
  place: 0.9,
  food: 0.25,
  word: 0.16,
  object: 0.15,
};
const PRESENT = 0.004; // A category counts as present from 16 pixels of a 64-pixel image.
const AREA_SHARE = 0.45; // The rest of salience is presence alone.

/**
 * The values of `VARIABLES` for an image.
 *
 * Salience of a category is 0 where absent, else (0.55 + 0.45·√(area / full area)) · (0.8 + 0.4·contrast), with the area at
 * most full and contrast the standard deviation of luminance over the category's pixels, divided by 0.25 and at most 1.
 * "outdoor" is the salience of place, signed: positive outdoors, negative indoors. "depth", "saturation" and "luminance" are means
 * over all pixels.
 */
export function sceneVariables(scene: Scene, rendered: RenderedScene): Float64Array {
  const nPixels = rendered.labels.length;
  const luma = luminance(rendered.rgb);
  const area = new Float64Array(CATEGORIES.length + 1);
  const sum = new Float64Array(area.length);
  const squares = new Float64Array(area.length);
  for (let p = 0; p < nPixels; p++) {
    const label = rendered.labels[p];
    area[label]++;
    sum[label] += luma[p];
    squares[label] += luma[p] * luma[p];
  }
  const out = new Float64Array(VARIABLES.length);
  CATEGORIES.forEach((category, i) => {
    const n = area[i + 1];
    if (n / nPixels < PRESENT) return;
    const spread = Math.sqrt(Math.max(0, squares[i + 1] / n - (sum[i + 1] / n) ** 2));
    const size = Math.sqrt(Math.min(1, n / nPixels / FULL_AREA[category]));
    out[i] = (1 - AREA_SHARE + AREA_SHARE * size) * (0.8 + 0.4 * Math.min(1, spread / 0.25));
  });
  const place = out[CATEGORIES.indexOf("place")];
  const { kind } = scene.background;
  out[VARIABLES.indexOf("outdoor")] = isPlace(kind) ? (isIndoor(kind) ? -place : place) : 0;
  const fields = { depth: rendered.depth, saturation: saturation(rendered.rgb), luminance: luma };
  for (const property of PROPERTIES) {
    const total = fields[property].reduce((sum, value) => sum + value, 0);
    out[VARIABLES.indexOf(property)] = total / nPixels;
  }
  return out;
}

// Mean weights of the late regions; what is not named is 0.
const WEIGHTS: Readonly<Partial<Record<RoiName, Partial<Record<Variable, number>>>>> = {
  EBA: { body: 1, face: 0.2, object: 0.1 },
  FBA: { body: 1, face: 0.35 },
  OFA: { face: 1, body: 0.15 },
  FFA: { face: 1, body: 0.2, food: 0.1 },
  OPA: { place: 1, object: 0.1 },
  PPA: { place: 1, object: 0.1, outdoor: 0.1 },
  RSC: { place: 1, outdoor: 0.35 },
  OWFA: { word: 1, object: 0.15 },
  VWFA: { word: 1, face: 0.15, object: 0.1 },
  food: { food: 1, object: 0.1 },
};
const WEIGHT_JITTER = 0.06;
const PROPERTY_WEIGHT = 5; // Means of properties vary by 0.1 to 0.2: about as much as salience does.
const OPA_OUTDOOR = 0.4; // OPA runs from indoor-preferring (posterior) to outdoor-preferring (anterior).

/** What each voxel of a subject is tuned to. */
export interface Tuning {
  /** Weight of each of `VARIABLES`, [nVoxels, nVariables]; zero in early regions. */
  readonly weights: Float32Array<ArrayBuffer>;
  /** Preferred orientation in radians; NaN in late regions. */
  readonly orientation: Float32Array<ArrayBuffer>;
  /** Preferred spatial frequency in cycles per image; NaN in late regions. */
  readonly frequency: Float32Array<ArrayBuffer>;
}

/** 1 for voxels in the anterior half of their region, −1 for those in the posterior one, `[nVoxels]`. */
function halves({ roi, flat, nVoxels }: CorticalSheet): Float64Array {
  const [sum, count] = [new Float64Array(ROIS.length), new Float64Array(ROIS.length)];
  for (let v = 0; v < nVoxels; v++) {
    sum[roi[v]] += Math.abs(flat[2 * v]);
    count[roi[v]]++;
  }
  return Float64Array.from(roi, (k, v) => Math.abs(flat[2 * v]) >= sum[k] / count[k] ? 1 : -1);
}

/** Draws the tuning of a subject's voxels. */
export function drawTuning(seed: number, subject: number, sheet: CorticalSheet): Tuning {
  const draws = new Draws(seed, 3, subject);
  const { nVoxels } = sheet;
  const weights = new Float32Array(nVoxels * VARIABLES.length);
  const orientation = new Float32Array(nVoxels).fill(NaN);
  const frequency = new Float32Array(nVoxels).fill(NaN);
  const anterior = new Float32Array(nVoxels).map((_, v) => Math.abs(sheet.flat[2 * v]));
  const opa = anterior.filter((_, v) => ROIS[sheet.roi[v]] === "OPA");
  const middle = opa.reduce((sum, a) => sum + a, 0) / opa.length;
  const sign = halves(sheet);
  for (let v = 0; v < nVoxels; v++) {
    const roi = ROIS[sheet.roi[v]];
    const property = roi in ROI_PROPERTY && ROI_PROPERTY[roi as keyof typeof ROI_PROPERTY];
    if (property) {
      const at = v * VARIABLES.length + VARIABLES.indexOf(property);
      weights[at] = sign[v] * PROPERTY_WEIGHT;
      continue;
    }
    if (roi === "noise") continue;
    const mean = WEIGHTS[roi];
    if (!mean) {
      orientation[v] = draws.uniform(0, Math.PI);
      // About one cycle per two standard deviations of the receptive field.
      frequency[v] = (0.45 + 0.25 * draws.uniform()) / sheet.prf[3 * v + 2];
      continue;
    }
    VARIABLES.slice(0, -PROPERTIES.length).forEach((variable, k) => {
      let weight = (mean[variable] ?? 0) + WEIGHT_JITTER * draws.normal();
      if (roi === "OPA" && variable === "outdoor") {
        weight += OPA_OUTDOOR * Math.max(-1, Math.min(1, (anterior[v] - middle) / 0.06));
      }
      weights[v * VARIABLES.length + k] = weight;
    });
  }
  return { weights, orientation, frequency };
}

/** A quadrature pair of Gabor filters over the pixels within two standard deviations. */
interface Gabor {
  readonly pixels: Int32Array;
  readonly window: Float64Array;
  readonly cosine: Float64Array;
  readonly sine: Float64Array;
}

function gabor(
  prf: Float32Array,
  orientation: number,
  frequency: number,
  size: number,
): Gabor {
  const [x, y, sigma] = prf;
  const pixels: number[] = [];
  const window: number[] = [];
  const reach = 2 * sigma * size;
  const range = (c: number): [number, number] => [
    Math.max(0, Math.floor(c * size - reach)),
    Math.min(size - 1, Math.ceil(c * size + reach)),
  ];
  const [top, bottom] = range(y);
  const [left, right] = range(x);
  let total = 0;
  for (let row = top; row <= bottom; row++) {
    for (let column = left; column <= right; column++) {
      const dx = (column + 0.5) / size - x;
      const dy = (row + 0.5) / size - y;
      const distance2 = (dx * dx + dy * dy) / (sigma * sigma);
      if (distance2 > 4) continue;
      pixels.push(row * size + column);
      window.push(Math.exp(-distance2 / 2));
      total += window.at(-1)!;
    }
  }
  const wave = (f: (phase: number) => number): Float64Array =>
    Float64Array.from(pixels, (p, i) => {
      const dx = (p % size + 0.5) / size - x;
      const dy = (Math.floor(p / size) + 0.5) / size - y;
      const across = dx * Math.cos(orientation) + dy * Math.sin(orientation);
      return window[i] / total * f(2 * Math.PI * frequency * across);
    });
  return {
    pixels: Int32Array.from(pixels),
    window: Float64Array.from(window, (w) => w / total),
    cosine: wave(Math.cos),
    sine: wave(Math.sin),
  };
}

/** Response of an early voxel: root energy of its Gabor pair and local contrast; in V4 also local saturation. */
function earlyResponse(
  filter: Gabor,
  luma: Float32Array,
  colorfulness: Float32Array | undefined,
): number {
  const { pixels, window, cosine, sine } = filter;
  let mean = 0;
  for (let i = 0; i < pixels.length; i++) mean += window[i] * luma[pixels[i]];
  let even = 0, odd = 0, variance = 0, color = 0;
  for (let i = 0; i < pixels.length; i++) {
    const value = luma[pixels[i]] - mean; // The filters see no uniform field.
    even += cosine[i] * value;
    odd += sine[i] * value;
    variance += window[i] * value * value;
    if (colorfulness) color += window[i] * colorfulness[pixels[i]];
  }
  return Math.sqrt(Math.hypot(even, odd)) + 0.5 * Math.sqrt(variance) + 0.4 * color;
}

/** One image as the cortex sees it. */
export interface SeenImage {
  /** The scene. */
  readonly scene: Scene;
  /** Its pixels and masks. */
  readonly rendered: RenderedScene;
}

/**
 * Noiseless responses of a subject's voxels to images, [nImages, nVoxels], in arbitrary units.
 *
 * Late voxels are linear in `sceneVariables`; early voxels see the luminance of the pixels.
 */
export function tunedResponses(
  images: readonly SeenImage[],
  sheet: CorticalSheet,
  tuning: Tuning,
): Float32Array<ArrayBuffer> {
  const { nVoxels } = sheet;
  const nVariables = VARIABLES.length;
  const out = new Float32Array(images.length * nVoxels);
  const size = images[0]?.rendered.size ?? 0;
  const filters = Array.from(
    { length: nVoxels },
    (_, v) =>
      Number.isNaN(tuning.orientation[v]) ? undefined : gabor(
        sheet.prf.subarray(3 * v, 3 * v + 3),
        tuning.orientation[v],
        tuning.frequency[v],
        size,
      ),
  );
  const v4 = ROIS.indexOf("V4");
  images.forEach(({ scene, rendered }, i) => {
    const luma = luminance(rendered.rgb);
    const colorfulness = saturation(rendered.rgb);
    const variables = sceneVariables(scene, rendered);
    for (let v = 0; v < nVoxels; v++) {
      const filter = filters[v];
      let response = 0;
      if (filter) {
        response = earlyResponse(filter, luma, sheet.roi[v] === v4 ? colorfulness : undefined);
      } else {
        for (let k = 0; k < nVariables; k++) {
          response += tuning.weights[v * nVariables + k] * variables[k];
        }
      }
      out[i * nVoxels + v] = response;
    }
  });
  return out;
}
