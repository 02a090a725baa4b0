import { add, addScalar, div, scale, sub } from "../../engine/ops/elementwise.ts";
import { resize } from "../../engine/ops/resize.ts";
import { stack } from "../../engine/ops/shape.ts";
import { affineWarp } from "../../engine/ops/warp.ts";
import { foldIn, type Key } from "../../engine/random.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import type { ImageSize, Rgb } from "../images/preprocess.ts";
import { requireSteps, transformMap, type TransformStep } from "./transforms.ts";

/** Random views of images, as data. */
export interface Transforms {
  /** What happens, first to last. */
  readonly steps: readonly TransformStep[];
  /** Views of every image at a time. */
  readonly crops?: number;
  /** Colour of what lies around the image. */
  readonly fill?: number;
  /** Size of the views; that of the images, or of the last `box`, when absent. */
  readonly output?: ImageSize;
  /** Standard deviation of normal noise on the views. */
  readonly normalNoise?: number;
  /** Half the width of uniform noise on the views. */
  readonly uniformNoise?: number;
  /** One draw for all images of a step, as the VWAM demo has it; otherwise every image has its own. */
  readonly isShared?: boolean;
}

/** Which draws are made. */
export interface TransformDraws {
  /** Key of the whole optimisation. */
  readonly key: Key;
  /** Number of the first image. */
  readonly first?: number;
  /** Number of the optimisation step. */
  readonly step: number;
}

const sizeAfter = ({ steps, output }: Transforms): ImageSize | undefined => {
  const last = steps.findLast((step) => step.kind === "box");
  return output ?? (last?.kind === "box" ? last.output : undefined);
};

/**
 * Random views of images, differentiable: one bilinear sampling of all steps together. The views of image `s` depend on the key, `s` and
 * the step alone.
 *
 * @param x `[n, 3, height, width]`
 * @returns `[n·crops, 3, …]`, the views of an image one after the other
 * @throws {InputError} for steps or numbers that cannot be
 */
export function transformImages(
  x: Tensor,
  transforms: Transforms,
  { key, first = 0, step }: TransformDraws,
): Tensor {
  const { steps, crops = 1, fill = 0, normalNoise = 0, uniformNoise = 0, isShared } = transforms;
  requireSteps(steps);
  if (!Number.isInteger(crops) || crops < 1) {
    throw new InputError(`Cannot view images ${crops} times: it must be a whole number from 1`);
  }
  const [n, , height, width] = x.shape;
  const size = { height, width }, output = sizeAfter(transforms) ?? size;
  const keys = Array.from({ length: n * crops }, (_, at) => {
    const image = isShared ? 0 : first + Math.floor(at / crops);
    return foldIn(foldIn(foldIn(key, image), step), at % crops);
  });
  const maps = keys.flatMap((k) => transformMap(steps, { size, output, key: foldIn(k, 0) }));
  return tidy(x.gpu, () => {
    let views = affineWarp(x, maps, { size: [output.height, output.width], fill });
    if (normalNoise > 0) {
      const noise = keys.map((k) => Tensor.randn(x.gpu, foldIn(k, 1), views.shape.slice(1)));
      views = add(views, scale(stack(noise), normalNoise));
    }
    if (uniformNoise > 0) {
      const noise = keys.map((k) => Tensor.uniform(x.gpu, foldIn(k, 2), views.shape.slice(1)));
      views = add(views, scale(addScalar(stack(noise), -0.5), 2 * uniformNoise));
    }
    return views;
  });
}

/** What a network takes. */
export interface ModelInput {
  /** Size of its input; views of another size are resized, antialiased. */
  readonly size?: ImageSize;
  /** The filter (default bilinear, torchvision's). */
  readonly filter?: "bilinear" | "bicubic";
  /** Subtracted from colours in 0…1. */
  readonly mean?: Rgb;
  /** Divides what is left. */
  readonly std?: Rgb;
}

/**
 * Images as a network takes them, differentiable: resized and normalised.
 *
 * @param x `[n, 3, height, width]`, colours in 0…1
 * @returns `[n, 3, …size]`
 */
export function modelInput(
  x: Tensor,
  { size, filter = "bilinear", mean = [0, 0, 0], std = [1, 1, 1] }: ModelInput,
): Tensor {
  const [, , height, width] = x.shape;
  return tidy(x.gpu, () => {
    const fits = !size || size.height === height && size.width === width;
    const fitted = fits
      ? x
      : resize(x, [size.height, size.width], { mode: filter, antialias: true });
    const colour = (values: Rgb) => Tensor.from(x.gpu, values, [1, 3, 1, 1]);
    return div(sub(fitted, colour(mean)), colour(std));
  });
}
