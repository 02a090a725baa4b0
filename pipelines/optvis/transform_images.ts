import { add, addScalar, div, scale, sub } from "../../engine/ops/elementwise.ts";
import { resize } from "../../engine/ops/resize.ts";
import { flip, slice, stack } from "../../engine/ops/shape.ts";
import { affineWarp } from "../../engine/ops/warp.ts";
import { foldIn, type Key } from "../../engine/random.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import { coverSize, cropOffset, type ImageSize, type Rgb } from "../images/preprocess.ts";
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
  /** Views are resized to cover this, their aspect ratio kept, and the middle of `size` is cut out; straight to `size` when absent. */
  readonly cover?: ImageSize;
  /** The filter (default bilinear, torchvision's). */
  readonly filter?: "bilinear" | "bicubic";
  /** Whether the network takes blue first. */
  readonly isBgr?: boolean;
  /** Subtracted from colours in 0…1. */
  readonly mean?: Rgb;
  /** Divides what is left. */
  readonly std?: Rgb;
}

function resized(x: Tensor, to: ImageSize, filter: "bilinear" | "bicubic"): Tensor {
  const [, , height, width] = x.shape;
  if (to.height === height && to.width === width) return x;
  return resize(x, [to.height, to.width], { mode: filter, antialias: true });
}

/** The middle of images, `size` of them. */
function middle(x: Tensor, size: ImageSize): Tensor {
  const [, , height, width] = x.shape;
  if (size.height > height || size.width > width) {
    throw new InputError(
      `Cannot cut ${size.height}x${size.width} out of ${height}x${width}: it must cover the network's input`,
    );
  }
  const cut = (t: Tensor, axis: 2 | 3, from: number, to: number) => {
    if (from === to) return t;
    const start = cropOffset(from, to);
    return slice(t, { axis, start, end: start + to });
  };
  return cut(cut(x, 2, height, size.height), 3, width, size.width);
}

/**
 * Images as a network takes them, differentiable: resized, cut and normalised.
 *
 * @param x `[n, 3, height, width]`, red, green and blue in 0…1
 * @returns `[n, 3, …size]`
 * @throws {InputError} when what is covered does not cover the size
 */
export function modelInput(
  x: Tensor,
  { size, cover, filter = "bilinear", isBgr, mean = [0, 0, 0], std = [1, 1, 1] }: ModelInput,
): Tensor {
  const [, , height, width] = x.shape;
  return tidy(x.gpu, () => {
    const fitted = !size
      ? x
      : cover
      ? middle(resized(x, coverSize({ height, width }, cover), filter), size)
      : resized(x, size, filter);
    const ordered = isBgr ? flip(fitted, [1]) : fitted;
    const colour = (values: Rgb) => Tensor.from(x.gpu, values, [1, 3, 1, 1]);
    return div(sub(ordered, colour(mean)), colour(std));
  });
}
