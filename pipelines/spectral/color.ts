import type { Gpu } from "../../engine/gpu.ts";
import { foldIn, type Key } from "../../engine/random.ts";
import type { HostMatrix } from "../encoding/host_matrix.ts";
import type { LongCall } from "../encoding/linear_model.ts";
import { InputError } from "../errors.ts";
import { type ColorRange, fitUmap } from "../stats/umap.ts";
import {
  labCubeColors,
  labPlaneColors,
  quantileRange,
  rotateRgbCube,
  scaleToRange,
} from "./color_space.ts";
import { farthestSamples } from "./sample_nodes.ts";
import { spectralTsne, type SpectralTsneOptions } from "./spectral_tsne.ts";

/** How places become colours. */
export interface PlaceColorOptions {
  /** Quantile of each axis that has its full colour; `1 − q` has none. */
  readonly q?: number;
  /** Turn of the colour cube, 0 to 6. */
  readonly position?: number;
  /**
   * Red, green and blue along the three axes, or lightness, a* and b*, of the full range or of ±50. Two axes always are a plane of
   * constant lightness.
   */
  readonly space?: "rgb" | "lab" | "lab-narrow";
}

/** Options of {@link rgbFromTsne}. */
export interface TsneColorOptions extends SpectralTsneOptions, PlaceColorOptions {}

/** Options of {@link rgbFromUmap}; the defaults are ncut_pytorch's, its spread of 10 being a matter of scale alone. */
export interface UmapColorOptions extends PlaceColorOptions, LongCall {
  /** Draws samples and the embedding. */
  readonly key: Key;
  /** Nodes that UMAP places, at most. */
  readonly nSamples?: number;
  /** Axes of the embedding. */
  readonly nComponents?: 2 | 3;
  /** Nodes that count as near. */
  readonly nNeighbors?: number;
  /** Least distance in the embedding. */
  readonly minDist?: number;
}

/** Colours of nodes, and of any node that comes later. */
export class SpectralColors {
  readonly #place: (eigvec: HostMatrix, options?: LongCall) => Promise<HostMatrix>;
  readonly #options: PlaceColorOptions;

  /** @internal Use {@link rgbFromTsne} or {@link rgbFromUmap}. */
  constructor(
    /** Places of the nodes, `[n, 2 or 3]`. */
    readonly coordinates: HostMatrix,
    /** Ends of the axes that colours tell apart. */
    readonly range: ColorRange,
    options: PlaceColorOptions,
    place: (eigvec: HostMatrix, options?: LongCall) => Promise<HostMatrix>,
  ) {
    this.#options = options;
    this.#place = place;
    Object.freeze(this);
  }

  /** Colours of the nodes, `[n, 3]` bytes. */
  get rgb(): Uint8Array<ArrayBuffer> {
    return placeColors(this.coordinates, this.range, this.#options);
  }

  /**
   * Colours of nodes whose eigenvectors were propagated from the same cut: what is alike has the colour that it had before.
   *
   * @param eigvec `[m, nEig]`
   * @returns `[m, 3]` bytes
   * @throws {InputError} when there are not as many eigenvectors as were fitted
   */
  async transform(eigvec: HostMatrix, options: LongCall = {}): Promise<Uint8Array<ArrayBuffer>> {
    return placeColors(await this.#place(eigvec, options), this.range, this.#options);
  }
}

/**
 * Colours of places in two or three dimensions.
 *
 * @param coordinates `[n, 2 or 3]`
 * @param range ends of the axes; those of one set of places give another set colours that can be compared
 * @returns `[n, 3]` bytes
 * @throws {InputError} for another number of axes, or no such turn
 */
export function placeColors(
  coordinates: HostMatrix,
  range: ColorRange,
  { position = 0, space = "rgb" }: PlaceColorOptions = {},
): Uint8Array<ArrayBuffer> {
  const unit = scaleToRange(coordinates, range);
  const rgb = unit.shape[1] === 2
    ? labPlaneColors(unit)
    : colorsOfCube(rotateRgbCube(unit, position), space);
  return Uint8Array.from(rgb.data, (value) => Math.round(255 * value));
}

function colorsOfCube(unit: HostMatrix, space: PlaceColorOptions["space"]): HostMatrix {
  return space === "rgb" ? unit : labCubeColors(unit, { fullRange: space === "lab" });
}

/**
 * Colours of nodes by their place in a joint t-SNE of all their eigenvectors (the paper's figures 4 and 12 to 15): alike colours mean
 * alike nodes over images, layers and models.
 *
 * @param eigvec eigenvectors of a cut, the first 20 in the paper, `[n, nEig]`
 * @throws {InputError} as {@link spectralTsne} says, or for a quantile or turn out of range
 */
export async function rgbFromTsne(
  gpu: Gpu,
  eigvec: HostMatrix,
  options: TsneColorOptions,
): Promise<SpectralColors> {
  const placed = await spectralTsne(gpu, eigvec, options);
  const { coordinates } = placed;
  const range = quantileRange(coordinates, { q: options.q, key: foldIn(options.key, 2) });
  return new SpectralColors(
    coordinates,
    range,
    options,
    (more, call) => placed.transform(more, call),
  );
}

/**
 * Colours of nodes by a joint UMAP of their eigenvectors, the alternative to {@link rgbFromTsne}; in the plane or in space, not on a
 * sphere, which umap-js cannot embed into.
 *
 * @param eigvec `[n, nEig]`
 * @throws {InputError} as {@link fitUmap} says, or for a quantile or turn out of range
 */
export async function rgbFromUmap(
  gpu: Gpu,
  eigvec: HostMatrix,
  options: UmapColorOptions,
): Promise<SpectralColors> {
  const { key, nSamples = 1000, nComponents = 3, minDist = 0.1, signal, onProgress } = options;
  if (!(nSamples >= 3 && eigvec.shape[0] >= 3)) {
    throw new InputError(
      `Cannot embed ${Math.min(nSamples, eigvec.shape[0])} nodes by UMAP: there must be 3 or more`,
    );
  }
  const { samples } = await farthestSamples(gpu, eigvec, {
    ...{ count: nSamples, key: foldIn(key, 0) },
  });
  const nNeighbors = Math.min(options.nNeighbors ?? 150, Math.floor(samples.shape[0] / 2) + 1);
  const settings = { nComponents, nNeighbors, minDist, gpu, signal, onProgress };
  const fitted = await fitUmap(samples, { ...settings, key: foldIn(key, 1), metric: "angular" });
  const coordinates = await fitted.transform(eigvec, { signal });
  const range = quantileRange(coordinates, { q: options.q, key: foldIn(key, 2) });
  return new SpectralColors(
    coordinates,
    range,
    options,
    (more, call) => fitted.transform(more, call),
  );
}
