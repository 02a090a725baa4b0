import { add, scale } from "../../engine/ops/elementwise.ts";
import { repeat } from "../../engine/ops/shape.ts";
import { type Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import { meanOfEach } from "./image_sums.ts";

/** What an objective is a function of. */
export interface ObjectiveContext {
  /** The images themselves, `[n, 3, height, width]`. */
  readonly image: Tensor;
  /** Views of each image that the network saw. */
  readonly crops: number;
  /** Activation of a layer, `[n·crops, …]`, the views of an image one after the other. */
  activation(layer: string): Tensor;
}

/** A number for every image that is to be large. Objectives add and scale. */
export interface Objective {
  /** What it is, for records. */
  readonly name: string;
  /** Layers that it reads. */
  readonly layers: readonly string[];
  /** `[n]`, differentiable. */
  score(context: ObjectiveContext): Tensor;
}

/**
 * The sum of objectives.
 *
 * @throws {InputError} when there is none
 */
export function addObjectives(...objectives: readonly Objective[]): Objective {
  if (objectives.length === 0) {
    throw new InputError("Cannot add objectives: there must be at least one");
  }
  return {
    name: objectives.map(({ name }) => name).join(" + "),
    layers: [...new Set(objectives.flatMap(({ layers }) => layers))],
    score: (context) =>
      tidy(
        context.image.gpu,
        () => objectives.map((one) => one.score(context)).reduce((a, b) => add(a, b)),
      ),
  };
}

/**
 * An objective times a number; a negative one makes an objective a penalty, and a maximisation a minimisation.
 *
 * @throws {InputError} when the number is not finite
 */
export function scaleObjective(objective: Objective, factor: number): Objective {
  if (!Number.isFinite(factor)) {
    throw new InputError(
      `Cannot scale ${objective.name}: the factor must be finite, got ${factor}`,
    );
  }
  return {
    ...objective,
    name: `${factor} · (${objective.name})`,
    score: (context) => tidy(context.image.gpu, () => scale(objective.score(context), factor)),
  };
}

/** Mean over the views of each image, `[n·crops]` → `[n]`. @internal */
export function meanOfViews(x: Tensor, crops: number): Tensor {
  return tidy(x.gpu, () => meanOfEach(x.reshape([x.size / crops, crops])));
}

/**
 * The axis of an activation's channels: the second of maps `[n, channels, h, w]` and of vectors `[n, channels]`, the last of tokens
 * `[n, tokens, channels]`. @internal
 */
export function channelAxis(layer: string, { shape }: Tensor): number {
  const axis = [undefined, undefined, 1, 2, 1][shape.length];
  if (axis === undefined) {
    throw new InputError(
      `Cannot read channels of ${layer}: it must have two to four axes, got [${shape}]`,
    );
  }
  return axis;
}

/** A table of channels beside an activation: `[channels]` as it broadcasts, or `[n, channels]` with the row of each view. @internal */
export function besideChannels(
  layer: string,
  x: Tensor,
  weights: Tensor,
  crops: number,
): Tensor {
  const axis = channelAxis(layer, x);
  const channels = x.shape[axis], n = x.shape[0] / crops;
  const wanted = weights.shape.length === 1 ? [channels] : [n, channels];
  if (`${weights.shape}` !== `${wanted}`) {
    throw new InputError(
      `Cannot weight ${layer} [${x.shape}] by [${weights.shape}]: there must be one weight per channel, or one row of them per image (${n})`,
    );
  }
  const row = x.shape.map((size, i) => i === axis ? size : 1);
  if (weights.shape.length === 1) return weights.reshape(row);
  return tidy(x.gpu, () => {
    const rows = crops === 1 ? weights : repeat(weights, { axis: 0, times: crops });
    return rows.reshape([x.shape[0], ...row.slice(1)]);
  });
}
