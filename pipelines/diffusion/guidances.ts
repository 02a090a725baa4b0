import { full, mul, sub } from "../../engine/ops/elementwise.ts";
import { logsumexp, sum } from "../../engine/ops/reduce.ts";
import { Tape } from "../../engine/tape.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import {
  type DenoiseOptions,
  type DenoisingConditions,
  type DenoisingModel,
  readOutput,
  readPrediction,
  startOf,
} from "./denoise.ts";
import type { Guidance, StepState } from "./sampler.ts";

/** How strongly guidance acts, and on what: all of {@link Guidance} but the gradient. */
export type GuidanceStrength = Omit<Guidance, "gradient">;

/**
 * What is wanted of clean images, as a logarithm of a likelihood up to a constant, differentiable by them.
 *
 * @param start `[n, c, h, w]`, not limited to any range
 * @returns `[n]`
 */
export type StartObjective = (start: Tensor, state: StepState) => Tensor;

/** Options of {@link startGuidance}. */
export interface StartGuidanceOptions extends GuidanceStrength, DenoisingConditions {
  /**
   * The network that the samples are drawn with: the gradient then goes through it too, as the theory has it (DPS, FreeDoM). Left out, the
   * noise is held constant, as MIG-Vis's code does, and the network is only run forward.
   */
  readonly through?: DenoisingModel;
  /** What that network tells (default `"epsilon"`). */
  readonly prediction?: DenoiseOptions["prediction"];
}

/** The clean images of noisy ones on a tape, by one more pass of a network. */
function startThrough(
  model: DenoisingModel,
  x: Tensor,
  { step }: StepState,
  { prediction, classLabels, context }: StartGuidanceOptions,
): Tensor {
  const timesteps = new Array<number>(x.shape[0]).fill(step.timestep);
  const { output } = model.forward(x, { timesteps, classLabels, context });
  return readPrediction(readOutput(output, x, step).told, x, step, prediction).start;
}

/** Gradient of `Σ value(x)` by `x`, for a value of each image. */
function gradientBy(x: Tensor, value: (x: Tensor) => Tensor): Tensor {
  return tidy(x.gpu, () => {
    using tape = new Tape();
    const watched = tape.watch(x), values = value(watched);
    if (values.size !== x.shape[0]) {
      throw new InputError(
        `Cannot guide ${
          x.shape[0]
        } samples: the objective must have a value of each, it is [${values.shape}]`,
      );
    }
    const [gradient] = tape.gradient(values, [watched], { seed: full(x.gpu, values.shape, 1) });
    return gradient;
  });
}

/**
 * Guidance by what is wanted of the clean images x̂₀ that a step takes the noisy ones for: ∇ₓ objective(x̂₀(x)). Without `through`, x̂₀ is
 * that of the step's noise, which is limited where the sampler takes the noise anew (`rederivesEpsilon`); with it x̂₀ never is.
 *
 * @throws {InputError} in a step when the objective has not one value of each image
 */
export function startGuidance(
  objective: StartObjective,
  options: StartGuidanceOptions = {},
): Guidance {
  const { through, weight, convention, clipsAfter } = options;
  return {
    ...{ weight, convention, clipsAfter },
    gradient: (state) =>
      gradientBy(state.x, (x) => {
        const start = through
          ? startThrough(through, x, state, options)
          : startOf(state.step, x, state.epsilon);
        return objective(start, state);
      }),
  };
}

/** Options of {@link classifierGuidance}. */
export interface ClassifierGuidanceOptions extends GuidanceStrength {
  /** The class that each image should be of, `[n]`. */
  readonly classLabels: ArrayLike<number>;
}

/**
 * Classifier guidance (Dhariwal and Nichol 2021): ∇ₓ log p(class | x) of a classifier of noisy images, at the noisy images as
 * guided-diffusion has it. Its scales for its own classifiers are 0.5 to 10.
 *
 * @param classifier tells logits `[n, classes]`, as an {@link AdmModel} without an image head does
 * @throws {InputError} in a step when labels and images are not as many, or a label is none of the classes
 */
export function classifierGuidance(
  classifier: Pick<DenoisingModel, "forward">,
  { classLabels, ...strength }: ClassifierGuidanceOptions,
): Guidance {
  return {
    ...strength,
    gradient: ({ x, step }) =>
      gradientBy(x, (watched) => {
        const n = x.shape[0], timesteps = new Array<number>(n).fill(step.timestep);
        const { output: logits } = classifier.forward(watched, { timesteps });
        const chosen = oneHot(logits, classLabels);
        return sub(sum(mul(logits, chosen), { axes: [1] }), logsumexp(logits, { axes: [1] }));
      }),
  };
}

/** 1 at the class of each row, `[n, classes]`. */
function oneHot({ gpu, shape }: Tensor, labels: ArrayLike<number>): Tensor {
  const [n, classes] = shape;
  const bad = Array.from(labels).find((c) => !(Number.isInteger(c) && c >= 0 && c < classes));
  if (shape.length !== 2 || labels.length !== n || bad !== undefined) {
    throw new InputError(
      `Cannot guide ${n} samples to classes: each needs one from 0 to ${
        classes - 1
      }, got ${labels.length}${bad === undefined ? "" : `, among them ${bad}`}`,
    );
  }
  const values = new Float32Array(n * classes);
  for (let s = 0; s < n; s++) values[s * classes + labels[s]] = 1;
  return Tensor.from(gpu, values, shape);
}
