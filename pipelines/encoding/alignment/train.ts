import { add } from "../../../engine/ops/elementwise.ts";
import { foldIn } from "../../../engine/random.ts";
import { Tensor, tidy } from "../../../engine/tensor.ts";
import { InputError } from "../../errors.ts";
import { median } from "../../stats/median.ts";
import { permutation } from "../cross_validation.ts";
import { type HostMatrix, hostMatrix } from "../host_matrix.ts";
import { type HeldOutSplit, SquaredErrors } from "./held_out.ts";
import { keyOf } from "./parameters.ts";
import type { AlignmentOptions } from "./settings.ts";
import { SlotFile } from "./slot_file.ts";
import type { TokenSource } from "./tokens.ts";
import {
  alignTokens,
  LOSS_NAMES,
  type StepBatch,
  type StepContext,
  trainingStep,
  uploadResponses,
} from "./training_step.ts";
import {
  packState,
  readParameters,
  stateCapacity,
  type TrainingState,
  unpackState,
} from "./training_state.ts";

/** What is trained on. */
export interface TrainingData {
  readonly source: TokenSource;
  readonly split: HeldOutSplit;
  /** Z-scored responses of all images. */
  readonly responses: HostMatrix;
  /** What tokens of each slice are divided by. */
  readonly scales: Float64Array;
}

/** Tokens and responses of some images on the device; the caller disposes both. */
function uploadBatch(
  { source, responses, scales }: TrainingData,
  { gpu, groups, readout }: StepContext,
  images: Uint32Array,
): Omit<StepBatch, "step"> {
  const nTokens = 1 + source.grid ** 2;
  const read = source.read(images);
  const tokens = groups.map(({ first, count, width }) => {
    const rows = images.length * nTokens;
    const values = new Float32Array(count * rows * width);
    for (let s = 0; s < count; s++) {
      const from = read[first + s], by = 1 / scales[first + s], at = s * rows * width;
      for (let i = 0; i < from.length; i++) values[at + i] = from[i] * by;
    }
    return Tensor.from(gpu, values, [count * rows, width]);
  });
  const [, nVoxels] = responses.shape;
  const y = takeRows(responses, images);
  return {
    tokens,
    responses: uploadResponses(gpu, y, { images: images.length, readout }),
    sizes: { images: images.length, tokens: nTokens, nVoxels } as StepBatch["sizes"],
  };
}

function takeRows(
  { data, shape: [, cols] }: HostMatrix,
  rows: Uint32Array,
): Float32Array<ArrayBuffer> {
  const out = new Float32Array(rows.length * cols);
  rows.forEach((row, i) => out.set(data.subarray(row * cols, (row + 1) * cols), i * cols));
  return out;
}

/** Steps of a whole pass; the sums of the losses, one value each. */
async function runEpoch(
  epoch: number,
  data: TrainingData,
  context: StepContext,
  onStep: (done: number, total: number) => void,
): Promise<number[]> {
  const { gpu, optimizer, settings: { key, batchSize, epochs, lr }, signal } = context;
  const { train } = data.split;
  const order = permutation(foldIn(keyOf(key, "order"), epoch), train.length);
  const perEpoch = Math.ceil(train.length / batchSize);
  let sums = Tensor.zeros(gpu, [LOSS_NAMES.length]);
  try {
    for (let i = 0; i < perEpoch; i++) {
      signal?.throwIfAborted();
      await new Promise((resolve) => setTimeout(resolve)); // lets signals in
      const step = epoch * perEpoch + i;
      optimizer.setLr(lr * 0.5 * (1 + Math.cos(Math.PI * step / (epochs * perEpoch))));
      const rows = order.subarray(i * batchSize, (i + 1) * batchSize).map((at) => train[at]);
      const batch = { step, ...uploadBatch(data, context, rows) };
      using _tensors = owning([...batch.tokens, ...batch.responses]);
      using losses = await trainingStep(batch, foldIn(keyOf(key, "nodes"), step), context);
      const before = sums;
      sums = add(before, losses);
      before.dispose();
      onStep(i + 1, perEpoch);
    }
    return Array.from(await sums.data(), (sum) => sum / perEpoch);
  } finally {
    sums.dispose();
  }
}

function owning(tensors: readonly Tensor[]): DisposableStack {
  const stack = new DisposableStack();
  for (const tensor of tensors) stack.use(tensor);
  return stack;
}

/** Held-out R², `[outputs, voxels]`, of the parameters as they are. */
export async function heldOutR2(data: TrainingData, context: StepContext): Promise<HostMatrix> {
  const { gpu, groups, readout, parameters, settings: { batchSize }, signal } = context;
  const { test } = data.split;
  using errors = new SquaredErrors(gpu, readout.chunks.length);
  for (let start = 0; start < test.length; start += batchSize) {
    signal?.throwIfAborted();
    const batch = uploadBatch(data, context, test.subarray(start, start + batchSize));
    using _tensors = owning([...batch.tokens, ...batch.responses]);
    const maps = groups.map((_, g) => parameters.get(`map/${g}`));
    using pooled = tidy(gpu, () => readout.pool(alignTokens(batch.tokens, maps, batch.sizes)));
    readout.chunks.forEach((_, c) => {
      using predicted = readout.predict(pooled, c, (name) => parameters.get(name));
      errors.add(c, predicted, batch.responses[c]);
    });
  }
  const y = takeRows(data.responses, test);
  return await errors.r2(hostMatrix(y, [test.length, data.responses.shape[1]]));
}

/** Of each voxel the mean over outputs. */
function voxelMeans({ data, shape: [rows, cols] }: HostMatrix): Float64Array {
  const means = new Float64Array(cols);
  data.forEach((r2, at) => means[at % cols] += r2 / rows);
  return means;
}

/** What a state belongs to. */
function factsOf(data: TrainingData, context: StepContext, options: AlignmentOptions) {
  const { gpu, settings } = context;
  const { source, split, responses } = data;
  return {
    networks: [source.slices, source.grid, [...data.scales]],
    responses: [responses.shape, digestible(responses.data)],
    "held-out images": [...split.test],
    settings,
    adapter: [gpu.adapterName, { ...gpu.caps, features: [...gpu.caps.features] }, gpu.options],
    ...options.facts,
  };
}

/** Two sums that a change of any value changes: enough to tell responses apart, without a copy of them as text. */
function digestible(values: Float32Array): number[] {
  let [a, b] = [0, 0];
  values.forEach((value, i) => {
    a += value * (1 + i % 7919);
    b += value * value * (1 + i % 104729);
  });
  return [a, b];
}

/** Trains until the last epoch, or until the held-out R² no longer gets better. */
export async function trainAlignment(
  data: TrainingData,
  context: StepContext,
  options: AlignmentOptions,
): Promise<TrainingState> {
  const { settings: { epochs, patience }, parameters, optimizer } = context;
  const nScores = context.readout.nOutputs * data.responses.shape[1];
  using file = options.checkpoint === undefined ? undefined : new SlotFile(
    options.checkpoint,
    factsOf(data, context, options),
    stateCapacity(parameters, nScores, epochs),
  );
  const into = (name: string) => parameters.get(name);
  let state: TrainingState = file?.latest
    ? unpackState(file.latest, { optimizer, into })
    : { history: { losses: [], meanR2: [], medianR2: [] }, best: undefined };
  for (let epoch = state.history.losses.length; epoch < epochs; epoch++) {
    if (state.best && epoch - state.best.epoch > patience) break;
    const losses = await runEpoch(epoch, data, context, (done, total) => {
      options.onProgress?.({
        stage: "training",
        done: epoch * total + done,
        total: epochs * total,
      });
    });
    if (!losses.every(Number.isFinite)) {
      throw new InputError(
        `Cannot align channels with step size ${context.settings.lr}: the loss of epoch ${
          epoch + 1
        } is not finite`,
      );
    }
    state = await afterEpoch(epoch, losses, state, data, context);
    file?.write(await packState(parameters, optimizer, state));
    const { meanR2, medianR2 } = state.history;
    options.log?.(
      `epoch ${epoch + 1}: ${
        LOSS_NAMES.map((name, i) => `${name} ${losses[i].toPrecision(4)}`).join(", ")
      }, ` +
        `held-out R² mean ${meanR2[epoch].toFixed(4)}, median ${medianR2[epoch].toFixed(4)}`,
    );
  }
  return state;
}

async function afterEpoch(
  epoch: number,
  losses: number[],
  { history, best }: TrainingState,
  data: TrainingData,
  context: StepContext,
): Promise<TrainingState> {
  const r2 = await heldOutR2(data, context);
  const means = voxelMeans(r2);
  const mean = means.reduce((sum, x) => sum + x, 0) / means.length;
  const next = {
    losses: [...history.losses, losses],
    meanR2: [...history.meanR2, mean],
    medianR2: [...history.medianR2, median(means)],
  };
  // Without responses nothing is better or worse: the last epoch counts.
  const isBetter = context.settings.brainWeight === 0 || !(mean <= Math.max(...history.meanR2));
  if (best && !isBetter) return { history: next, best };
  const values = await readParameters(context.parameters);
  return { history: next, best: { epoch, values, r2: { shape: r2.shape, values: r2.data } } };
}
