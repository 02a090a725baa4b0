import { abs, add, neg } from "../../engine/ops/elementwise.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { foldIn, type Key } from "../../engine/random.ts";
import { Tape } from "../../engine/tape.ts";
import { readAll, type Tensor, tidy } from "../../engine/tensor.ts";
import type { LongCall } from "../encoding/linear_model.ts";
import { InputError } from "../errors.ts";
import type { ImageSize } from "../images/preprocess.ts";
import type { ImageParam, ImageRange } from "./image_param.ts";
import type { Objective, ObjectiveContext } from "./objective.ts";
import { learningRate, makeOptimizer, type OptimizerOptions } from "./optimizer.ts";
import {
  type ModelInput,
  modelInput,
  transformImages,
  type Transforms,
} from "./transform_images.ts";

/** A network as optimisation uses it; an `InceptionModel` is one. */
export interface ImageModel {
  /**
   * Activations by name, differentiable by the pixels.
   *
   * @param pixels `[n, 3, height, width]`, as {@link ModelInput} makes them
   */
  taps(
    pixels: Tensor,
    layers: readonly string[],
    options: { readonly reluGradient: "standard" | "redirected" },
  ): ReadonlyMap<string, Tensor>;
}

/** Options of {@link maximize}. */
export interface MaximizeOptions extends LongCall {
  /** Draws starting points and views; those of image `s` depend on the key and on `s` alone. */
  readonly key: Key;
  /** Which images are made, together. */
  readonly images: ImageRange;
  /** Steps. */
  readonly steps: number;
  /** The optimiser. */
  readonly optimizer: OptimizerOptions;
  /** Random views that the network sees; the images themselves when absent. */
  readonly transforms?: Transforms;
  /** What the network takes. */
  readonly input?: ModelInput;
  /** Steps at the start in which gradients pass dead ReLUs (lucid: 16). */
  readonly redirectedSteps?: number;
  /** Share of the steps at each size, where there are several (default equal). */
  readonly shares?: readonly number[];
  /** Whether to add up where the images matter: `Σ_steps Σ_channels |∂score / ∂pixel|` (MACO's transparency), at the last size. */
  readonly hasSaliency?: boolean;
  /** Steps between looks at the scores, which wait for the device. */
  readonly readEvery?: number;
}

/** What {@link maximize} makes. */
export interface MaximizeResult {
  /** Size of the images. */
  readonly size: ImageSize;
  /** `[count, 3, height, width]`, colours as the parameterisation gives them; those of a sigmoid are in 0…1. */
  readonly images: Float32Array<ArrayBuffer>;
  /** Score of each image itself, without random views, `[count]`. */
  readonly scores: Float32Array<ArrayBuffer>;
  /** Scores on the views before each step, `[steps, count]`. */
  readonly curve: Float32Array<ArrayBuffer>;
  /** `[count, height, width]`, where it was asked for. */
  readonly saliency?: Float32Array<ArrayBuffer>;
}

interface Pass {
  readonly param: ImageParam;
  readonly model: ImageModel;
  readonly objective: Objective;
  readonly options: MaximizeOptions;
}

/** Scores of images, `[count]`, on the tape of theirs. */
function scoresOf(
  { model, objective, options }: Pass,
  image: Tensor,
  step: number | undefined,
): Tensor {
  const { transforms, input = {}, key, images: { first }, redirectedSteps = 0 } = options;
  const isViewed = transforms !== undefined && step !== undefined;
  const views = isViewed
    ? transformImages(image, transforms, { key: foldIn(key, 1), first, step })
    : image;
  const reluGradient = step !== undefined && step < redirectedSteps ? "redirected" : "standard";
  const taps = objective.layers.length === 0
    ? new Map<string, Tensor>()
    : model.taps(modelInput(views, input), objective.layers, { reluGradient });
  const context: ObjectiveContext = {
    image,
    crops: isViewed ? transforms.crops ?? 1 : 1,
    activation(layer) {
      const tap = taps.get(layer);
      if (!tap) throw new InputError(`Cannot score ${objective.name}: the model gave no ${layer}`);
      return tap;
    },
  };
  return objective.score(context);
}

/** Scores before a step, and the gradients of their negative sum: of the parameters, and of the images where wanted. */
function descend(
  pass: Pass,
  theta: readonly Tensor[],
  step: number,
): { scores: Tensor; gradients: Tensor[]; slope?: Tensor } {
  using tape = new Tape();
  return tidy(pass.param.gpu, () => {
    const on = theta.map((t) => tape.watch(t));
    const image = pass.param.image(on);
    const scores = scoresOf(pass, image, step);
    const loss = neg(sum(scores)); // a sum: no image's gradient knows of the others
    const wanted = pass.options.hasSaliency ? [...on, image] : on;
    const all = tape.gradient(loss, wanted);
    const gradients = all.slice(0, on.length);
    if (!pass.options.hasSaliency) return { scores: scores.detach(), gradients };
    return {
      scores: scores.detach(),
      gradients,
      slope: sum(abs(all[on.length]), { axes: [1] }),
    };
  });
}

/** The scores that are not on the host yet. */
class Curve implements Disposable {
  readonly values: Float32Array<ArrayBuffer>;
  #pending: Tensor[] = [];
  #done = 0;

  constructor(steps: number, readonly count: number) {
    this.values = new Float32Array(steps * count);
  }

  push(scores: Tensor): void {
    this.#pending.push(scores);
  }

  get waiting(): number {
    return this.#pending.length;
  }

  async read(): Promise<void> {
    const rows = await readAll(this.#pending);
    this[Symbol.dispose]();
    for (const row of rows) {
      const bad = row.findIndex((score) => !Number.isFinite(score));
      if (bad >= 0) {
        throw new InputError(
          `Cannot go on: the score of image ${bad} of the batch is ${
            row[bad]
          } at step ${this.#done}; take smaller steps`,
        );
      }
      this.values.set(row, this.#done++ * this.count);
    }
  }

  [Symbol.dispose](): void {
    for (const tensor of this.#pending) tensor.dispose();
    this.#pending = [];
  }
}

/** Numbers of steps that shares of them come to; they add up. */
function stepsOfStages(steps: number, sizes: number, shares?: readonly number[]): number[] {
  const parts = shares ?? new Array<number>(sizes).fill(1);
  const total = parts.reduce((sum, share) => sum + share, 0);
  if (parts.length !== sizes || !parts.every((share) => share > 0 && share < Infinity)) {
    throw new InputError(
      `Cannot share the steps among ${sizes} sizes by [${parts}]: there must be one positive share for each`,
    );
  }
  let at = 0, sum = 0;
  return parts.map((share) => {
    sum += share;
    const end = Math.round(steps * sum / total), count = end - at;
    at = end;
    return count;
  });
}

function requireRun(params: readonly ImageParam[], options: MaximizeOptions): void {
  const { steps, images: { first = 0, count }, readEvery = 50 } = options;
  const isWhole = (n: number, least: number) => Number.isSafeInteger(n) && n >= least;
  if (params.length === 0) {
    throw new InputError("Cannot maximise: there must be at least one parameterisation");
  }
  if (!isWhole(steps, 1) || !isWhole(count, 1) || !isWhole(first, 0) || !isWhole(readEvery, 1)) {
    throw new InputError(
      `Cannot maximise ${count} images from number ${first} in ${steps} steps, read every ${readEvery}: these must be whole numbers from 1, the first from 0`,
    );
  }
  const stuck = params.slice(1).find((param) => !param.grow);
  if (stuck) {
    throw new InputError("Cannot maximise at several sizes: the parameterisation cannot grow");
  }
}

/** Parameters, moments and sums of one size, given up together. */
class Stage implements Disposable {
  saliency?: Tensor;
  readonly optimizer: Disposable & { lr: number; step(grads: readonly Tensor[]): void };

  constructor(readonly theta: readonly Tensor[], options: OptimizerOptions) {
    try {
      this.optimizer = makeOptimizer(theta, options);
    } catch (cause) {
      for (const tensor of theta) tensor.dispose();
      throw cause;
    }
  }

  /** One step; gives the scores before it. */
  step(pass: Pass, number: number, lr: number): Tensor {
    const { scores, gradients, slope } = descend(pass, this.theta, number);
    this.optimizer.lr = lr;
    this.optimizer.step(gradients);
    for (const gradient of gradients) gradient.dispose();
    if (slope) {
      const before = this.saliency;
      this.saliency = before ? add(before, slope) : slope;
      if (before) {
        before.dispose();
        slope.dispose();
      }
    }
    return scores;
  }

  [Symbol.dispose](): void {
    this.optimizer[Symbol.dispose]();
    this.saliency?.dispose();
    for (const tensor of this.theta) tensor.dispose();
  }
}

/** The images as they are, and what they score. */
async function finish(
  pass: Pass,
  { theta, saliency }: Stage,
  curve: Float32Array<ArrayBuffer>,
): Promise<MaximizeResult> {
  const kept = tidy(pass.param.gpu, () => {
    const image = pass.param.image(theta);
    return [image, scoresOf(pass, image, undefined)];
  });
  const values = await readAll(saliency ? [...kept, saliency] : kept);
  for (const tensor of kept) tensor.dispose();
  const [images, scores, sums] = values as Float32Array<ArrayBuffer>[];
  return { size: pass.param.size, images, scores, curve, ...(sums && { saliency: sums }) };
}

/**
 * Makes images that an objective is large for, by gradient ascent on their parameters. The score of every image is its own unless the
 * objective compares them; with the same key, image `s` then has the same starting point and views in any batch, and the same bits wherever
 * the network's kernels do not depend on the batch (always in batches of one).
 *
 * @param params one parameterisation, or several of growing size: images are made at the first and grow at the next
 * @throws {InputError} when options do not go together, or a score is no longer finite
 * @throws the signal's reason when it is aborted
 */
export async function maximize(
  params: ImageParam | readonly ImageParam[],
  model: ImageModel,
  objective: Objective,
  options: MaximizeOptions,
): Promise<MaximizeResult> {
  const sizes = Array.isArray(params) ? params as readonly ImageParam[] : [params as ImageParam];
  requireRun(sizes, options);
  const { steps, images, optimizer, signal, onProgress, readEvery = 50 } = options;
  const counts = stepsOfStages(steps, sizes.length, options.shares);
  using curve = new Curve(steps, images.count);
  let done = 0;
  let theta = sizes[0].init(foldIn(options.key, 0), images);
  for (const [i, param] of sizes.entries()) {
    const pass = { param, model, objective, options };
    using stage = new Stage(theta, optimizer);
    for (let k = 0; k < counts[i]; k++, done++) {
      signal?.throwIfAborted();
      curve.push(stage.step(pass, done, learningRate(optimizer, done, steps)));
      if (curve.waiting >= readEvery || done === steps - 1) {
        await curve.read();
        await new Promise((resolve) => setTimeout(resolve)); // lets an interruption in
        onProgress?.({ stage: "steps", done: done + 1, total: steps });
      }
    }
    const next = sizes[i + 1];
    if (!next) return await finish(pass, stage, curve.values);
    theta = await next.grow!(stage.theta, param.size);
  }
  throw new InputError("Cannot maximise: there must be at least one parameterisation");
}
