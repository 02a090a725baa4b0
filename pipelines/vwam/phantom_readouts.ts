/**
 * Encoders of simulated subjects whose voxels' tunings are known, fitted from the taps of the phantom's convolutional network.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { median } from "../stats/median.ts";
import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import { RidgeCV } from "../encoding/ridge.ts";
import { planTaps, tapFeatures } from "../models/tap_features.ts";
import type { TapModel } from "../models/tap_model.ts";
import type { ReadoutLayer } from "../optvis/maximize_readouts.ts";
import { pooledReadout, roiReadout } from "../optvis/readout_weights.ts";
import { type ModelInput, modelInput } from "../optvis/transform_images.ts";
import { TUNED_VARIABLES } from "../phantom/tuned_variables.ts";
import {
  measuredResponses,
  type TunedSubject,
  tunedSubject,
  tunedVoxelResponses,
} from "../phantom/tuned_voxels.ts";
import { PHANTOM_SIDE, type PhantomWorld } from "./phantom_world.ts";

/** Features of a tap at most, unless there are more channels: a quarter of VWAM's for images of a fifth of the side. */
const BUDGET = 600;
const AT_ONCE = 32;
const SIZE = { height: PHANTOM_SIDE, width: PHANTOM_SIDE };

/** What a network's input is. */
export function inputOf({ preprocessing: { mean, std } }: TapModel): ModelInput {
  return { mean, std };
}

/** Layers of the features, in order. */
export function tapLayers(model: TapModel): ReadoutLayer[] {
  const shapes = new Map(model.tapShapes(SIZE).map(({ name, shape }) => [name, shape]));
  return planTaps(model, SIZE, { budget: BUDGET }).map(({ name, grid, length }) => {
    const [, height, width] = shapes.get(name)!;
    const isMap = height * width > 1;
    return { layer: name, size: length, ...(isMap ? { grid, pool: "max" } : {}) };
  });
}

/** Pooled taps of images in 0…1, `[n, nFeatures]`. */
async function featuresOf(
  gpu: Gpu,
  model: TapModel,
  images: Float32Array<ArrayBuffer>,
): Promise<HostMatrix> {
  const each = 3 * PHANTOM_SIDE ** 2, n = images.length / each;
  const width = tapLayers(model).reduce((sum, { size }) => sum + size, 0);
  const out = new Float32Array(n * width);
  for (let start = 0; start < n; start += AT_ONCE) {
    const end = Math.min(n, start + AT_ONCE);
    using features = tidy(gpu, () => {
      const some = images.slice(start * each, end * each);
      const x = Tensor.from(gpu, some, [end - start, 3, PHANTOM_SIDE, PHANTOM_SIDE]);
      return tapFeatures(model, modelInput(x, inputOf(model)), { budget: BUDGET });
    });
    out.set(await features.data() as Float32Array, start * width);
  }
  return hostMatrix(out, [n, width]);
}

/** A simulated subject with its encoder. */
export interface EncodedSubject {
  /** Its voxels. */
  readonly subject: TunedSubject;
  /** Readout of each region, of length 1, over the features. */
  readonly readouts: readonly Float64Array<ArrayBuffer>[];
  /** Median over a region's voxels of the cross-validated R² of measured responses, `[nRois]`. */
  readonly r2: readonly number[];
}

const ALPHAS = Array.from({ length: 10 }, (_, i) => 10 ** i);

/**
 * Measures subjects on the scenes of a world and fits an encoder of every voxel.
 *
 * @param numbers of the subjects
 */
export async function encodeSubjects(
  gpu: Gpu,
  model: TapModel,
  world: PhantomWorld,
  { seed, numbers }: { readonly seed: number; readonly numbers: readonly number[] },
): Promise<EncodedSubject[]> {
  const features = await featuresOf(gpu, model, world.images);
  const subjects = numbers.map((number) => tunedSubject(seed, number));
  const measured = subjects.map((subject, i) => {
    const exact = tunedVoxelResponses(subject, world.variables, world.moments);
    return measuredResponses(subject, exact, [seed, numbers[i]]);
  });
  const n = features.shape[0], nVoxels = measured[0].shape[1];
  const all = new Float32Array(n * nVoxels * subjects.length);
  measured.forEach(({ data }, s) => {
    for (let i = 0; i < n; i++) {
      const row = data.subarray(i * nVoxels, (i + 1) * nVoxels);
      all.set(row, (i * subjects.length + s) * nVoxels);
    }
  });
  const options = { alphas: ALPHAS, coef: true };
  const fitted = await new RidgeCV(gpu, options)
    .fit(features, hostMatrix(all, [n, nVoxels * subjects.length]));
  return subjects.map((subject, s) => {
    const voxelsOf = (r: number) =>
      [...subject.roi.keys()].filter((v) => subject.roi[v] === r).map((v) => s * nVoxels + v);
    return {
      subject,
      readouts: TUNED_VARIABLES.map((_, r) => roiReadout(fitted.coef!, voxelsOf(r))),
      r2: TUNED_VARIABLES.map((_, r) => median(voxelsOf(r).map((v) => fitted.cvR2[v]))),
    };
  });
}

/** What drives a region in several subjects: the mean of their readouts. */
export function sharedReadouts(subjects: readonly EncodedSubject[]): Float64Array<ArrayBuffer>[] {
  return TUNED_VARIABLES.map((_, r) => pooledReadout(subjects.map(({ readouts }) => readouts[r])));
}
