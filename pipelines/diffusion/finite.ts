/**
 * What was not finite when samples were drawn: the step, what of it, and the first layer of the network.
 *
 * @module
 */
import { abs } from "../../engine/ops/elementwise.ts";
import { max } from "../../engine/ops/reduce.ts";
import { readAll, type Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import type { DenoisingConditions, DenoisingModel } from "./denoise.ts";
import type { StepResult } from "./sampler.ts";

/** Largest magnitude of each tensor; NaN where one is. */
async function largest(tensors: readonly Tensor[]): Promise<number[]> {
  const worst = tidy(
    tensors[0].gpu,
    () => tensors.map((x) => max(abs(x.reshape([1, x.size])), { axes: [1] })),
  );
  try {
    return (await readAll(worst)).map(([value]) => value);
  } finally {
    worst.forEach((x) => x.dispose());
  }
}

/** What {@link describeLayers} runs again. */
interface Rerun extends DenoisingConditions {
  readonly x: Tensor;
  readonly timestep: number;
}

/** Names the first layer whose activations are not finite, by running the network once more with all of them kept. */
async function describeLayers(
  model: DenoisingModel,
  { x, timestep, classLabels, context }: Rerun,
): Promise<string> {
  const { layers } = model;
  if (!layers) return "";
  const timesteps = new Array<number>(x.shape[0]).fill(timestep);
  const { output, captured } = model.forward(x, {
    ...{ timesteps, classLabels, context, capture: layers },
  });
  const found = layers.flatMap((name) => {
    const tensor = captured?.get(name);
    return tensor ? [{ name, tensor }] : [];
  });
  try {
    const values = await largest([x, ...found.map(({ tensor }) => tensor)]);
    const bad = values.findIndex((value) => !Number.isFinite(value));
    if (bad < 0) {
      return "; all its layers are, so that its last convolution is the first that is not";
    }
    if (bad === 0) return `; the images that came in are not`;
    return `; the first layer that is not is ${found[bad - 1].name}, what it gets reaches ${
      values[bad - 1].toPrecision(3)
    }`;
  } finally {
    [output, ...captured?.values() ?? []].forEach((tensor) => tensor.dispose());
  }
}

/** A step that is to be looked at. */
export interface LookedAt extends Pick<StepResult, "step" | "x" | "modelOutput" | "sample"> {
  /** Of guidance. */
  readonly gradient?: Tensor;
}

/**
 * Refuses what is not finite; limits of clean images would hide that the network told nothing.
 *
 * @throws {InputError} naming the step, and whether the network (and which of its layers), guidance or the images are at fault
 */
export async function requireFiniteStep(
  model: DenoisingModel,
  { step: { timestep }, x, modelOutput, gradient, sample }: LookedAt,
  conditions: DenoisingConditions,
): Promise<void> {
  const parts = [
    { what: "the network's output", tensor: modelOutput },
    ...(gradient ? [{ what: "the gradient of guidance", tensor: gradient }] : []),
    { what: "the images", tensor: sample },
  ];
  const values = await largest(parts.map(({ tensor }) => tensor));
  const bad = values.findIndex((value) => !Number.isFinite(value));
  if (bad < 0) return;
  const layers = bad === 0
    ? await describeLayers(model, {
      ...{ x, timestep, classLabels: conditions.classLabels, context: conditions.context },
    })
    : "";
  throw new InputError(
    `Cannot go on sampling: at step ${timestep} ${
      parts[bad].what
    } must be finite, the largest value is ${values[bad]}${layers}`,
  );
}
