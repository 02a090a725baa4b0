import { broadcastTo, concat, slice } from "../../engine/ops/shape.ts";
import { type Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import { combine, type DenoisingConditions, type DenoisingModel } from "./denoise.ts";

/** Options of {@link classifierFree}. */
export interface ClassifierFreeOptions {
  /** How far beyond the conditional prediction samples go; see `form`. Stable Diffusion's is 7.5. */
  readonly scale: number;
  /**
   * `"from-unconditional"`: ε_u + scale·(ε_c − ε_u), as diffusers and guided-diffusion's successors count, 1 being none (the default);
   * `"beyond-conditional"`: (1 + scale)·ε_c − scale·ε_u, as the paper does (Ho and Salimans 2022), 0 being none.
   */
  readonly form?: "from-unconditional" | "beyond-conditional";
  /** What the network is told for the unconditional prediction: its class for none, or the tokens of no text, `[1 or n, tokens, width]`. */
  readonly unconditional?: { readonly classLabel?: number; readonly context?: Tensor };
  /** Another network that tells it, without conditions; then `unconditional` is not needed. */
  readonly unconditionalModel?: DenoisingModel;
}

type ForwardOptions = { readonly timesteps: ArrayLike<number> } & DenoisingConditions;

/** Both predictions, the conditional one first. */
function bothPredictions(
  model: DenoisingModel,
  x: Tensor,
  { timesteps, classLabels, context }: ForwardOptions,
  { unconditional = {}, unconditionalModel }: ClassifierFreeOptions,
): [Tensor, Tensor] {
  if (unconditionalModel) {
    const told = model.forward(x, { timesteps, classLabels, context }).output;
    return [told, unconditionalModel.forward(x, { timesteps }).output];
  }
  const n = x.shape[0], twice = [...Array.from(timesteps), ...Array.from(timesteps)];
  const { classLabel, context: none } = unconditional;
  if ((classLabels === undefined) !== (classLabel === undefined) || !context !== !none) {
    throw new InputError(
      "Cannot guide without a classifier: the unconditional prediction takes a class for none where images have classes, and tokens of no text where they have tokens",
    );
  }
  const { output } = model.forward(concat([x, x], 0), {
    timesteps: twice,
    classLabels: classLabels &&
      [...Array.from(classLabels), ...new Array<number>(n).fill(classLabel!)],
    context: context && concat([context, broadcastTo(none!, context.shape)], 0),
  });
  return [slice(output, { axis: 0, end: n }), slice(output, { axis: 0, start: n })];
}

/**
 * A network guided without a classifier (Ho and Salimans 2022): the predictions with and without the images' conditions in one, for ε as for
 * v. Where the network tells a variance too, it is that of the conditional prediction.
 *
 * @param model told classes or a context; both predictions are one pass of twice as many images
 * @throws {InputError} when it is run with conditions that `unconditional` has no counterpart of
 */
export function classifierFree(
  model: DenoisingModel,
  options: ClassifierFreeOptions,
): DenoisingModel {
  const { scale, form = "from-unconditional" } = options;
  const weight = form === "from-unconditional" ? scale : 1 + scale; // of the conditional prediction
  return {
    gpu: model.gpu,
    layers: model.layers,
    forward(x, conditions) {
      // what is captured is the conditional prediction's
      if (weight === 1 || conditions.capture) return model.forward(x, conditions);
      const output = tidy(x.gpu, () => {
        const both = bothPredictions(model, x, conditions, options), channels = x.shape[1];
        const [told, without] = both.map((out) =>
          out.shape[1] === channels ? out : slice(out, { axis: 1, end: channels })
        );
        const guided = combine(weight, told, 1 - weight, without);
        if (both[0].shape[1] === channels) return guided;
        return concat([guided, slice(both[0], { axis: 1, start: channels })], 1);
      });
      return { output };
    },
  };
}
