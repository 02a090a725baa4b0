import type { ForwardOptions, VisionModel } from "../models/model.ts";
import { InputError } from "../errors.ts";
import type { ImageModel } from "./maximize.ts";

/**
 * A vision transformer as optimisation uses it: every name that its forward pass captures, and `"output"`, the embedding of the image.
 * Its units are never dead, so that redirected gradients change nothing.
 *
 * @param model stays the caller's
 * @param options.posInterpolation whose code resizes the positions
 */
export function imageModelOf(
  model: VisionModel,
  options: Pick<ForwardOptions, "posInterpolation"> = {},
): ImageModel {
  return {
    taps(pixels, layers) {
      const capture = layers.filter((layer) => layer !== "output");
      const { output, captured } = model.forward(pixels, { ...options, capture });
      const all = new Map([...captured, ["output", output] as const]);
      return new Map(layers.map((layer) => {
        const tap = all.get(layer);
        if (!tap) throw new InputError(`Cannot read ${layer}: the model captured nothing there`);
        return [layer, tap];
      }));
    },
  };
}
