import type { Gpu } from "../../../engine/gpu.ts";
import { InputError } from "../../errors.ts";
import { type HostMatrix, hostMatrix, requireSamples } from "../host_matrix.ts";
import type { Alignment } from "./alignment.ts";
import { FactorTopyReadout } from "./factor_topy.ts";
import { finishAlignment } from "./finish.ts";
import { type HeldOutSplit, splitHeldOut } from "./held_out.ts";
import {
  chunkVoxels,
  groupSlices,
  keyOf,
  mapStart,
  Parameters,
  type ParameterStart,
} from "./parameters.ts";
import { AlignmentOptimizer } from "./optimizer.ts";
import { PerLayerReadout, type Readout } from "./readout.ts";
import { ridgeStart } from "./ridge_start.ts";
import { type AlignmentOptions, type ResolvedSettings, resolveSettings } from "./settings.ts";
import { tokenScales } from "./token_scale.ts";
import type { TokenSource } from "./tokens.ts";
import { trainAlignment } from "./train.ts";

/** Bytes of the predictions of a stretch of voxels at most, where every token predicts. */
const PREDICTION_BYTES = 64 * 2 ** 20;

/** Responses of all images with mean 0 and standard deviation 1 over the training images; constant voxels become 0. */
function zscoreOnTrain({ data, shape: [n, nVoxels] }: HostMatrix, { train }: HeldOutSplit) {
  const mean = new Float64Array(nVoxels), std = new Float64Array(nVoxels);
  for (const row of train) {
    for (let v = 0; v < nVoxels; v++) mean[v] += data[row * nVoxels + v] / train.length;
  }
  for (const row of train) {
    for (let v = 0; v < nVoxels; v++) {
      std[v] += (data[row * nVoxels + v] - mean[v]) ** 2 / train.length;
    }
  }
  std.forEach((variance, v) => std[v] = Math.sqrt(variance));
  const scaled = data.map((y, at) => {
    const v = at % nVoxels;
    return std[v] > 0 ? (y - mean[v]) / std[v] : 0;
  });
  return { responses: hostMatrix(scaled, [n, nVoxels]), mean, std };
}

function makeReadout(
  gpu: Gpu,
  source: TokenSource,
  nVoxels: number,
  settings: ResolvedSettings,
  coordinates: AlignmentOptions["coordinates"],
): Readout & Partial<Disposable> {
  const { slices, grid } = source;
  const { readout, pooling, batchSize, voxelChunk, width } = settings;
  const rows = slices.length * batchSize;
  const perToken = readout === "factor-topy" || pooling === "voxel";
  const most = Math.floor(PREDICTION_BYTES / 4 / rows / (perToken ? 1 + grid * grid : 2));
  const chunks = chunkVoxels(nVoxels, Math.max(1, Math.min(voxelChunk, most)));
  const sizes = { nSlices: slices.length, grid, width, nVoxels, chunks };
  if (readout === "per-layer") return new PerLayerReadout(sizes, pooling);
  const models = slices.map(({ model }) => model).filter((name, i, all) => name !== all[i - 1]);
  const counts = models.map((name) => slices.filter(({ model }) => model === name).length);
  if (new Set(counts).size !== 1 || new Set(models).size !== models.length) {
    throw new InputError(
      `Cannot choose layers by coordinates: every network must have the same number of layers, one after the other, got ${
        models.map((name, i) => `${counts[i]} of ${name}`).join(", ")
      }`,
    );
  }
  return new FactorTopyReadout(gpu, sizes, { nModels: models.length, coordinates });
}

/**
 * Aligns the channels of layers of networks: one linear map W without intercept for each of them, so that one head predicts brain
 * responses from all. Minimises L_brain + λ_eigen·L_eigen + λ_zero·L_zero + λ_cov·L_cov (AlignedCut, arXiv 2406.18344, eq. 10) by AdamW.
 * The same key, settings and adapter give the same bits, also across stops where `checkpoint` names a file.
 *
 * @param source tokens of the images
 * @param responses `[nImages, nVoxels]`; each voxel is z-scored over the training images
 * @throws {InputError} when images and responses do not fit each other, a value is not finite, or a setting is out of range
 */
export async function fitAlignment(
  gpu: Gpu,
  source: TokenSource,
  responses: HostMatrix,
  options: AlignmentOptions = {},
): Promise<Alignment> {
  const { slices, nImages } = source;
  const [rows, nVoxels] = responses.shape;
  if (rows !== nImages) {
    throw new InputError(
      `Cannot align channels: there are tokens of ${nImages} images and responses [${responses.shape}] to ${rows}`,
    );
  }
  requireSamples(hostMatrix(new Float32Array(nImages), [nImages, 1]), responses);
  const settings = resolveSettings(options, Math.max(...slices.map(({ width }) => width)));
  const split = splitHeldOut(nImages, options.heldOut, keyOf(settings.key, "held out"));
  const scaled = zscoreOnTrain(responses, split);
  const groups = groupSlices(slices);
  const scales = tokenScales(source, split.train);
  using resources = new DisposableStack();
  const readout = makeReadout(gpu, source, nVoxels, settings, options.coordinates);
  resources.defer(() => readout[Symbol.dispose]?.());
  const starts = new Map<string, ParameterStart>();
  const { key, width: shared, start } = settings;
  groups.forEach((group, g) => {
    const kind = start === "ridge" ? "linear" : start;
    starts.set(`map/${g}`, mapStart(keyOf(key, `map/${g}`), group, { shared, start: kind }));
  });
  for (const [name, value] of readout.starts(keyOf(key, "head"))) starts.set(name, value);
  const data = { source, split, responses: scaled.responses, scales };
  if (start === "ridge") {
    const input = { ...data, train: split.train, groups, readout, settings };
    for (const [name, value] of await ridgeStart(gpu, input, options.signal)) {
      starts.set(name, value);
    }
  }
  const parameters = resources.use(new Parameters(gpu, starts));
  const optimizer = resources.use(new AlignmentOptimizer(parameters.tensors, settings));
  const context = { gpu, settings, groups, readout, parameters, optimizer, signal: options.signal };
  const state = await trainAlignment(data, context, options);
  return await finishAlignment(gpu, { ...data, ...scaled, groups, readout, settings, state });
}
