/**
 * What images are made for: voxels, regions and differences of regions, as weights of a network's features.
 *
 * @module
 */
import type { RoiVoxels } from "../dense/relevance.ts";
import type { HostMatrix } from "../encoding/host_matrix.ts";
import { LinearModel } from "../encoding/linear_model.ts";
import { normalizeFeatures } from "../encoding/normalize.ts";
import { type ImageReadouts, imageReadouts } from "../encoding/image_readouts.ts";
import { InputError } from "../errors.ts";
import {
  contrastReadout,
  type ReadoutPooling,
  roiReadout,
  suppressedReadout,
  unitWeights,
} from "../optvis/readout_weights.ts";
import type { UnitValues } from "../stats/bootstrap.ts";
import type { ImageEncoder } from "./image_encoder.ts";

/** What an image should drive. */
export type TargetRequest =
  | { readonly voxel: number }
  | { readonly roi: RoiVoxels; readonly against?: RoiVoxels };

/** A readout that images are made for. */
export interface ImageTarget {
  /** Number of the voxel, name of the region, or `A-B`. */
  readonly name: string;
  /** What is made large, of length 1 for each region in it, `[nFeatures]`. */
  readonly weights: Float64Array<ArrayBuffer>;
  /** What is reported: the voxel's predicted response, the mean of a region's voxels, or the difference of two means. */
  readonly response: {
    readonly weights: Float64Array<ArrayBuffer>;
    readonly intercept: number;
  };
}

/** Options of {@link imageTargets}. */
export interface TargetOptions {
  /** How a region's voxels become one readout (default mean). */
  readonly pooling?: ReadoutPooling;
  /** Prediction accuracy of each voxel of the encoder for `"accuracy"` and `"top"`; from its cross-validated R² when absent. */
  readonly accuracy?: ArrayLike<number>;
  /** Voxels that `"top"` takes. */
  readonly nTop?: number;
  /** Regions whose mean readout is taken from every region's own. */
  readonly competitors?: readonly RoiVoxels[];
  /** Share of it. */
  readonly suppression?: number;
  /** Whether images should lower the response. */
  readonly isMinimized?: boolean;
}

/** The other way round: `[columns, rows]`. */
function transposed({ data, shape: [rows, cols] }: HostMatrix): HostMatrix {
  const out = new Float32Array(data.length);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < cols; c++) out[c * rows + r] = data[r * cols + c];
  }
  return { data: out, shape: [cols, rows] };
}

/** Square roots of the cross-validated R², which is what ridge regression knows of its voxels' accuracy. */
function accuracyOf({ encoder }: ImageEncoder): Float64Array | undefined {
  return encoder.details.cvR2?.map((r2) => Math.sqrt(Math.max(0, r2)));
}

/** The mean response of voxels. */
function meanOf({ weights: { data, shape: [n, p] }, intercept }: ImageReadouts) {
  const weights = new Float64Array(p);
  for (let at = 0; at < data.length; at++) weights[at % p] += data[at] / n;
  return { weights, intercept: intercept.reduce((sum, b) => sum + b / n, 0) };
}

/** A region's readout of length 1, and its mean response. */
async function regionOf(
  image: ImageEncoder,
  { name, voxels }: RoiVoxels,
  options: TargetOptions,
): Promise<{ unit: Float64Array<ArrayBuffer>; response: ImageTarget["response"] }> {
  try {
    const list = Array.from(voxels);
    const readouts = await imageReadouts(image.gpu, image.encoder, list);
    const { pooling, nTop, accuracy = accuracyOf(image) } = options;
    const own = accuracy && list.map((voxel) => accuracy[voxel]);
    const unit = roiReadout(transposed(readouts.weights), list.map((_, v) => v), {
      ...{ pooling, nTop, accuracy: own },
    });
    return { unit, response: meanOf(readouts) };
  } catch (cause) {
    if (!(cause instanceof InputError)) throw cause;
    throw new InputError(`${cause.message} (region ${name})`, { cause });
  }
}

const minus = (a: Float64Array<ArrayBuffer>, b: Float64Array) => a.map((w, p) => w - b[p]);

async function regionTarget(
  image: ImageEncoder,
  { roi, against }: Extract<TargetRequest, { roi: RoiVoxels }>,
  { competitors, ...options }: Omit<TargetOptions, "competitors"> & {
    readonly competitors?: readonly Float64Array[];
  },
): Promise<ImageTarget> {
  const own = await regionOf(image, roi, options);
  if (!against) {
    const weights = competitors
      ? suppressedReadout(own.unit, competitors, { strength: options.suppression })
      : own.unit;
    return { name: roi.name, weights, response: own.response };
  }
  const other = await regionOf(image, against, options);
  return {
    name: `${roi.name}-${against.name}`,
    weights: contrastReadout(own.unit, other.unit),
    response: {
      weights: minus(own.response.weights, other.response.weights),
      intercept: own.response.intercept - other.response.intercept,
    },
  };
}

/** Readouts of single voxels. */
async function voxelTargets(
  image: ImageEncoder,
  voxels: readonly number[],
): Promise<ReadonlyMap<number, ImageTarget>> {
  if (voxels.length === 0) return new Map();
  const readouts = await imageReadouts(image.gpu, image.encoder, voxels);
  const p = readouts.weights.shape[1];
  return new Map(voxels.map((voxel, v) => {
    const weights = Float64Array.from(readouts.weights.data.subarray(v * p, (v + 1) * p));
    const response = { weights, intercept: readouts.intercept[v] };
    return [voxel, { name: `${voxel}`, weights: unitOf(weights, voxel), response }];
  }));
}

function unitOf(weights: Float64Array, voxel: number): Float64Array<ArrayBuffer> {
  if (weights.some((w) => w !== 0)) return unitWeights(weights);
  throw new InputError(`Cannot make images for voxel ${voxel}: its weights are all 0`);
}

/**
 * The readouts that images are made for.
 *
 * @param image the encoder, from `openImageEncoder`
 * @throws {InputError} for a voxel that is not there, an empty region, weights that are all 0 or not finite, or competitors of single voxels
 */
export async function imageTargets(
  image: ImageEncoder,
  requests: readonly TargetRequest[],
  { competitors, ...options }: TargetOptions = {},
): Promise<ImageTarget[]> {
  if (requests.length === 0) {
    throw new InputError("Cannot make images: there is no voxel and no region to make them for");
  }
  const hasOther = requests.some((request) => "voxel" in request || request.against);
  if (competitors && (hasOther || competitors.length === 0)) {
    throw new InputError(
      "Cannot suppress competitors: there must be some, and targets must be regions, none against another",
    );
  }
  const others: Float64Array[] = [];
  for (const roi of competitors ?? []) others.push((await regionOf(image, roi, options)).unit);
  const more = { ...options, ...(competitors ? { competitors: others } : {}) };
  const voxels = requests.flatMap((request) => "voxel" in request ? [request.voxel] : []);
  const single = await voxelTargets(image, [...new Set(voxels)]);
  const targets: ImageTarget[] = [];
  for (const request of requests) {
    const target = "voxel" in request
      ? single.get(request.voxel)!
      : await regionTarget(image, request, more);
    const sign = options.isMinimized ? -1 : 1;
    targets.push({ ...target, weights: target.weights.map((w) => sign * w) });
  }
  return targets;
}

/**
 * What the targets' responses to other images are predicted to be, from those images' features.
 *
 * @param features of natural images, as the encoder takes them, `[n, nFeatures]`
 * @returns `[n, nTargets]`
 * @throws {InputError} when the features are not as many as the encoder takes
 */
export async function targetResponses(
  { gpu, encoder }: ImageEncoder,
  targets: readonly ImageTarget[],
  features: HostMatrix,
): Promise<UnitValues> {
  const p = encoder.nFeatures, k = targets.length;
  const weights = new Float32Array(k * p);
  targets.forEach(({ response }, t) => weights.set(response.weights, t * p));
  const coef = transposed({ data: weights, shape: [k, p] });
  const intercept = Float32Array.from(targets, ({ response }) => response.intercept);
  const isUnit = encoder.normalizer.kind === "l2";
  const samples = isUnit ? normalizeFeatures(features, { kind: "l2" }) : features;
  return await new LinearModel(gpu, coef, intercept).predict(samples);
}
