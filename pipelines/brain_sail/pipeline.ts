/**
 * BrainSAIL: where in an image is what drives a brain region. A linear encoder, trained on the embeddings of whole images, is applied
 * to the embeddings of single patches, which live in the same space.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { distillDense } from "../dense/distill.ts";
import { whiteInfill } from "../dense/features.ts";
import type { PatchShift } from "../dense/offsets.ts";
import { relevanceMaps, type RoiVoxels, type RoiWeights, roiWeights } from "../dense/relevance.ts";
import type { Encoder } from "../encoding/encoder.ts";
import { RidgeModel } from "../encoding/fitted_ridge.ts";
import type { EncodingModel } from "../encoding/linear_model.ts";
import { overDeviation } from "../encoding/normalize.ts";
import { InputError } from "../errors.ts";
import type { ImageSize } from "../images/preprocess.ts";
import type { VisionModel } from "../models/model.ts";
import type { Grid, PosEmbedConvention } from "../models/pos_embed.ts";
import type { DenseOptions } from "../models/vit.ts";

/** Weights of regions on patch features, ready for the device. */
export interface RegionWeights {
  /** Names of the regions. */
  readonly names: readonly string[];
  /** `[nFeatures, nRegions]` */
  readonly coef: Float32Array<ArrayBuffer>;
  /** `[nRegions]` */
  readonly intercept: Float32Array<ArrayBuffer>;
  /** Whether patches are brought to unit length first, as the images were when the encoder was fitted. */
  readonly unitNorm: boolean;
}

/**
 * Mean weights of regions of an encoder, with the encoder's normalisation of features either folded in (z-scores) or left to the
 * patches (unit length).
 *
 * @throws {InputError} when a region has no voxels, or one that the encoder does not have
 */
export function regionWeights(encoder: Encoder, rois: readonly RoiVoxels[]): RegionWeights {
  const { model, normalizer: { kind, mean, std } } = encoder;
  const region = meanWeights(model, rois);
  if (kind === "zscore" && mean && std) {
    const k = rois.length;
    for (let f = 0; f < mean.length; f++) {
      for (let r = 0; r < k; r++) {
        region.coef[f * k + r] = overDeviation(region.coef[f * k + r], std[f]);
        region.intercept[r] -= region.coef[f * k + r] * mean[f];
      }
    }
  }
  return { names: rois.map(({ name }) => name), ...region, unitNorm: kind === "l2" };
}

/** Means of weights over regions; where a model keeps coefficients of its samples, of those, which then meet the features once. */
function meanWeights(model: EncodingModel, rois: readonly RoiVoxels[]): RoiWeights {
  const { coef, intercept } = model;
  if (coef) return roiWeights(coef.data, intercept, rois);
  if (!(model instanceof RidgeModel) || !model.dualCoef || !model.xFit || model.delays) {
    throw new InputError(
      "Cannot take weights of features from this encoder: fit it without delays or bands, or with their coefficients (--coef)",
    );
  }
  const dual = roiWeights(model.dualCoef.data, intercept, rois);
  const { data, shape: [n, p] } = model.xFit;
  const k = rois.length;
  const weights = new Float64Array(p * k);
  for (let r = 0; r < n; r++) {
    for (let f = 0; f < p; f++) {
      const x = data[r * p + f];
      for (let j = 0; j < k; j++) weights[f * k + j] += x * dual.coef[r * k + j];
    }
  }
  return { coef: Float32Array.from(weights), intercept: dual.intercept };
}

/** Images as the model takes them. */
export interface PreparedImages {
  /** Number of images. */
  readonly n: number;
  /** Height and width in pixels. */
  readonly size: ImageSize;
  /** Pixels `[end − start, channels, height, width]`. */
  read(start: number, end: number): Float32Array<ArrayBuffer>;
}

/** Options of {@link localize}. */
export interface LocalizeOptions extends DenseOptions {
  /** Augmentations to distil over; undefined for the plain dense features. */
  readonly shifts?: readonly PatchShift[];
  /** How positions are brought to the grid; the model's own choice when left out. */
  readonly posInterpolation?: PosEmbedConvention | "auto";
  /** The image to begin with, from 0; those before it are passed over. */
  readonly first?: number;
  /** Hears where it stands. */
  readonly onProgress?: (event: { stage: string; done: number; total: number }) => void;
  /** Stops between images. */
  readonly signal?: AbortSignal;
}

/** Maps of one image. */
export interface ImageMaps {
  /** Which image. */
  readonly image: number;
  /** `[nRegions, gridHeight, gridWidth]` */
  readonly maps: Float32Array<ArrayBuffer>;
}

/** The patch grid of images. */
export function gridOf({ config: { patchSize } }: VisionModel, { height, width }: ImageSize): Grid {
  return [height / patchSize, width / patchSize];
}

/** Relevance of `k` regions on one batch of images: `[n, k, gridHeight, gridWidth]`. */
function relevance(
  model: VisionModel,
  pixels: Tensor,
  { coef, intercept, normalize }: { coef: Tensor; intercept: Tensor; normalize: boolean },
  { shifts, dense, arch, gaussianStd, posInterpolation }: LocalizeOptions,
): Tensor {
  const options = { dense, arch, gaussianStd, posInterpolation };
  return tidy(pixels.gpu, () => {
    const map = shifts
      ? distillDense(model, pixels, { ...options, shifts, infill: whiteInfill(model.family) })
      : model.denseTokens(model.embedPatches(pixels), {
        ...options,
        grid: gridOf(model, { height: pixels.shape[2], width: pixels.shape[3] }),
      });
    return relevanceMaps(map, coef, { intercept, normalize });
  });
}

/**
 * Relevance maps of images for regions, image by image.
 *
 * @throws {InputError} when the model's patch features are not as many as the encoder was fitted on
 */
export async function* localize(
  gpu: Gpu,
  model: VisionModel,
  regions: RegionWeights,
  images: PreparedImages,
  options: LocalizeOptions = {},
): AsyncGenerator<ImageMaps> {
  const k = regions.names.length;
  const nFeatures = regions.coef.length / k;
  using coef = Tensor.from(gpu, regions.coef, [nFeatures, k]);
  using intercept = Tensor.from(gpu, regions.intercept);
  const weights = { coef, intercept, normalize: regions.unitNorm };
  const { height, width } = images.size;
  for (let image = options.first ?? 0; image < images.n; image++) {
    options.signal?.throwIfAborted();
    options.onProgress?.({ stage: "localize", done: image, total: images.n });
    const shape = [1, model.config.channels, height, width];
    using pixels = Tensor.from(gpu, images.read(image, image + 1), shape);
    using maps = relevance(model, pixels, weights, options);
    yield { image, maps: await maps.data() as Float32Array<ArrayBuffer> };
  }
  options.onProgress?.({ stage: "localize", done: images.n, total: images.n });
}

/**
 * Checks that an encoder was fitted on the features of a model's patches.
 *
 * @throws {InputError} when it was not
 */
export function requireSameSpace(model: VisionModel, encoder: Encoder): void {
  const { outputWidth, family } = model;
  if (encoder.nFeatures === outputWidth) return;
  throw new InputError(
    `Cannot localize: the encoder was fitted on ${encoder.nFeatures} features, ` +
      `the ${family} model's patches have ${outputWidth}`,
  );
}
