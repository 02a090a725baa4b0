/**
 * A small AM-RADIO: a student that learns from the phantom's CLIP what to say of an image and of its patches, through heads of its
 * own (Ranzinger et al., "AM-RADIO", CVPR 2024). It is told nothing but what its teacher says: no caption, no label, no mask.
 */

import { scale, square, sub } from "../../engine/ops/elementwise.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { slice } from "../../engine/ops/shape.ts";
import type { Gpu } from "../../engine/gpu.ts";
import { foldIn, type Key } from "../../engine/random.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { Captures } from "../models/captures.ts";
import { adaptorHead } from "../models/radio.ts";
import { embedPatches, type ImageTower, runTokens } from "../models/vit.ts";
import type { Weights } from "../models/vit_weights.ts";
import { Draws } from "./draws.ts";
import type { PhantomCall } from "./phantom.ts";
import { cameraPixels, type CameraView } from "./train_camera.ts";
import { batches, type TrainingScenes } from "./train_data.ts";
import {
  radioConfig,
  radioConfigJson,
  radioSizes,
  radioStarts,
  writeRadio,
} from "./train_radio_net.ts";
import { startsFrom } from "./train_resume.ts";
import { optimize, unitRows, weightedSum } from "./train_step.ts";
import { type TaughtRows, type TaughtViews, teachViews } from "./train_teacher.ts";
import { samples } from "./train_views.ts";
import {
  type NetTraining,
  TrainableWeights,
  type TrainedNet,
  type TrainRun,
} from "./train_weights.ts";

/** How it is trained. */
export interface RadioTraining extends NetTraining {
  /** Views of a scene; the teacher sees each once. */
  readonly viewsPerScene: number;
  /** Weight of the patches as trained, through the head made for them (AM-RADIO's `feat_mlp`). */
  readonly featureWeight: number;
  /**
   * Weight of the patches on MaskCLIP's path through the head of the summary, which is how BrainSAIL reads them. AM-RADIO has no such
   * term; without it, maps of three hundred steps are at chance (`weights/README.md`).
   */
  readonly groundWeight: number;
}

/** What the shipped network was trained with. */
export const radioTraining: RadioTraining = {
  steps: 4500,
  batch: 8,
  nScenes: 4000,
  peak: 2.5e-3,
  viewsPerScene: 2,
  featureWeight: 0.5,
  groundWeight: 0.5,
};

/**
 * Where each patch of a view takes its position from: bilinear weights of the table, `[n · patches, table · table]`. A closer view has
 * the positions of the part of the image that it shows, as the same part of a larger image would (AM-RADIO's cropped positions).
 */
export function positionWindows(views: readonly CameraView[]): Float32Array<ArrayBuffer> {
  const { grid, table } = radioSizes;
  const out = new Float32Array(views.length * grid * grid * table * table);
  const step = table / grid;
  views.forEach(({ left, top, side }, n) => {
    const [rows, columns] = [samples(table, top, step * side), samples(table, left, step * side)];
    for (let p = 0; p < grid * grid; p++) {
      const [row, column] = [rows[Math.floor(p / grid)], columns[p % grid]];
      const start = (n * grid * grid + p) * table * table;
      for (const [y, wy] of [[row.first, 1 - row.share], [row.second, row.share]]) {
        for (const [x, wx] of [[column.first, 1 - column.share], [column.second, column.share]]) {
          out[start + y * table + x] += wy * wx;
        }
      }
    }
  });
  return out;
}

/** What one step looks at. */
interface Batch {
  readonly pixels: Float32Array<ArrayBuffer>;
  readonly windows: Float32Array<ArrayBuffer>;
  readonly summary: Float32Array<ArrayBuffer>;
  readonly patches: Float32Array<ArrayBuffer>;
}

/**
 * Share of the teacher's variance that rows `[rows, width]` miss, their length apart. AM-RADIO too divides what its teachers say by its
 * spread, so that no term outweighs another.
 */
function missed(said: Tensor, values: Float32Array<ArrayBuffer>, { spread }: TaughtRows): Tensor {
  return tidy(said.gpu, () => {
    const taught = Tensor.from(said.gpu, values, said.shape);
    return scale(sum(square(sub(unitRows(said), taught))), 1 / (said.shape[0] * spread));
  });
}

/** Weights in which the head of patches stands where the forward pass looks for the adaptor's. */
function featureHead(weights: Weights): Weights {
  return new Map(
    [...weights].flatMap(([name, tensor]) =>
      name.startsWith("feat_head.") ? [[name.replace("feat_head.", "adaptor."), tensor]] : []
    ),
  );
}

function lossOf(
  gpu: Gpu,
  weights: Weights,
  { batch, taught, training }: { batch: Batch; taught: TaughtViews; training: RadioTraining },
): Tensor {
  const { size, grid, width, embedding } = radioSizes;
  const patches = grid * grid;
  const n = batch.summary.length / embedding;
  return tidy(gpu, () => {
    const tower: ImageTower = {
      weights,
      readout: { config: radioConfig, summaryTokens: [0], adaptorToken: 0 },
    };
    const windows = Tensor.from(gpu, batch.windows, [n * patches, radioSizes.table ** 2]);
    const captures = new Captures(["final", "dense"]);
    const output = runTokens(
      tower,
      embedPatches(tower, Tensor.from(gpu, batch.pixels, [n, 3, size, size])),
      {
        pos: matmul(windows, weights.get("pos")!).reshape([n, patches, width]),
        grid: [grid, grid],
        captures,
        dense: "maskclip",
      },
    )!;
    const { final, dense } = captures.taken;
    const tokens = slice(final, { axis: 1, start: radioConfig.prefixTokens });
    const features = adaptorHead(featureHead(weights), tokens);
    const rows = [n * patches, embedding] as const;
    return weightedSum([
      missed(output, batch.summary, taught.summary),
      missed(features.reshape(rows), batch.patches, taught.patches),
      missed(dense.reshape(rows), batch.patches, taught.patches),
    ], [1, training.featureWeight, training.groundWeight]);
  });
}

function rowsOf({ values, width }: TaughtRows, views: readonly number[], perView: number) {
  const length = perView * width;
  const out = new Float32Array(views.length * length);
  views.forEach((v, i) => out.set(values.subarray(v * length, (v + 1) * length), i * length));
  return out;
}

function batchSource(
  { data, taught }: { data: TrainingScenes; taught: TaughtViews },
  key: Key,
  batch: number,
): () => Batch {
  let epoch = 0;
  const shuffle = (order: readonly number[]) => new Draws(key.hi, key.lo, epoch++).shuffle(order);
  const stream = batches(shuffle, { count: taught.views.length, batch });
  return () => {
    const chosen = stream.next().value;
    const views = chosen.map((v) => taught.views[v]);
    return {
      pixels: cameraPixels(data, chosen.map((v) => taught.indices[v]), views),
      windows: positionWindows(views),
      summary: rowsOf(taught.summary, chosen, 1),
      patches: rowsOf(taught.patches, chosen, radioSizes.grid ** 2),
    };
  };
}

/** Trains the phantom's RADIO from a key. */
export async function trainRadio(
  gpu: Gpu,
  data: TrainingScenes,
  { key, onStep, from, ...training }: RadioTraining & TrainRun,
  call: PhantomCall = {},
): Promise<TrainedNet> {
  const fresh = radioStarts(data);
  const starts = from ? startsFrom(fresh, from) : fresh;
  const perScene = training.viewsPerScene;
  const taught = await teachViews(gpu, data, { key: foldIn(key, 2), perScene }, call);
  using weights = new TrainableWeights(gpu, starts, foldIn(key, 0));
  const next = batchSource({ data, taught }, foldIn(key, 1), training.batch);
  const net = async (losses: readonly number[]): Promise<TrainedNet> => ({
    tensors: writeRadio(await weights.read(), starts),
    config: radioConfigJson,
    losses,
  });
  const value = (_: number, watched: Weights) =>
    lossOf(gpu, watched, { batch: next(), taught, training });
  const losses = await optimize(weights, value, {
    steps: training.steps,
    peak: training.peak,
    weightDecay: 0.05,
    onStep: onStep && ((step, loss) => onStep(step, loss, () => net([]))),
  }, call);
  return await net(losses);
}
