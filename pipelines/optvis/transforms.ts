import { bitsToNormal, foldIn, type Key, randomBit32 } from "../../engine/random.ts";
import { InputError } from "../errors.ts";
import type { ImageSize } from "../images/preprocess.ts";

/** A number drawn anew every time: evenly between two, or one of a list. */
export type Draw =
  | { readonly low: number; readonly high: number }
  | { readonly choices: readonly number[] };

/**
 * One random step, as data. Every step is an affine map of coordinates; a chain of them is sampled once.
 *
 * - `pad`: a border of `by` pixels.
 * - `jitter`: cuts a window out that is `by` pixels smaller, its corner drawn from 0…`by` on either axis (lucid's, and torchvision's
 *   `RandomCrop` after its padding).
 * - `scale`: resizes by a factor, to whole pixels.
 * - `rotate`: turns about the middle by degrees, against the clock for positive ones.
 * - `resizedCrop`: a square's share of the area, cut out anywhere and resized to the size before (torchvision's `RandomResizedCrop` with
 *   aspect 1: a share above 1 does not fit, is drawn again up to ten times, and then is the whole).
 * - `box`: a square about a point drawn normally about the middle, both as shares of the image, resized to `output` (MACO).
 */
export type TransformStep =
  | { readonly kind: "pad"; readonly by: number }
  | { readonly kind: "jitter"; readonly by: number }
  | { readonly kind: "scale"; readonly factor: Draw }
  | { readonly kind: "rotate"; readonly degrees: Draw }
  | { readonly kind: "resizedCrop"; readonly area: Draw }
  | {
    readonly kind: "box";
    readonly side: Draw;
    readonly centerSd: number;
    readonly output: ImageSize;
  };

/** An affine map from output to input coordinates, `x' = a·x + b·y + c`, `y' = d·x + e·y + f`. */
export type Affine = readonly [a: number, b: number, c: number, d: number, e: number, f: number];

/** `first` of what `second` gives. */
export function composeAffine(first: Affine, second: Affine): Affine {
  const [a, b, c, d, e, f] = first, [p, q, r, s, t, u] = second;
  return [
    a * p + b * s,
    a * q + b * t,
    a * r + b * u + c,
    d * p + e * s,
    d * q + e * t,
    d * r + e * u + f,
  ];
}

const moved = (x: number, y: number): Affine => [1, 0, x, 0, 1, y];

/** Where the pixels of an image of size `to` lie in a window of one of another size: edges on edges. */
function resized(from: ImageSize, to: ImageSize, corner = { x: 0, y: 0 }): Affine {
  const x = from.width / to.width, y = from.height / to.height;
  return [x, 0, corner.x + (x - 1) / 2, 0, y, corner.y + (y - 1) / 2];
}

/** Draws of one step, each from its own place in the key's stream. */
class Stream {
  #at = 0;
  constructor(readonly key: Key) {}

  /** In [0, 1). */
  next(): number {
    return (randomBit32(this.key, this.#at++) >>> 9) * 2 ** -23;
  }

  draw(from: Draw): number {
    const u = this.next();
    if ("choices" in from) return from.choices[Math.floor(u * from.choices.length)];
    return from.low + u * (from.high - from.low);
  }

  /** A whole number from 0 to `most`. */
  whole(most: number): number {
    return Math.floor(this.next() * (most + 1));
  }

  normal(): number {
    return bitsToNormal(randomBit32(this.key, this.#at++));
  }
}

/** The map of a step and the size after it. */
interface Stage {
  readonly map: Affine;
  readonly size: ImageSize;
}

function resizedCrop(size: ImageSize, area: Draw, stream: Stream): Stage {
  for (let attempt = 0; attempt < 10; attempt++) {
    const share = Math.sqrt(stream.draw(area));
    const side = Math.round(share * Math.sqrt(size.height * size.width));
    const x = stream.next(), y = stream.next();
    if (side < 1 || side > size.width || side > size.height) continue;
    const corner = {
      x: Math.floor(x * (size.width - side + 1)),
      y: Math.floor(y * (size.height - side + 1)),
    };
    return { map: resized({ height: side, width: side }, size, corner), size };
  }
  return { map: moved(0, 0), size };
}

function rotated(size: ImageSize, degrees: number): Stage {
  const turn = degrees * Math.PI / 180;
  const cos = Math.cos(turn), sin = Math.sin(turn);
  const x = (size.width - 1) / 2, y = (size.height - 1) / 2;
  return { map: [cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y], size };
}

function box(
  size: ImageSize,
  step: Extract<TransformStep, { kind: "box" }>,
  stream: Stream,
): Stage {
  const share = stream.draw(step.side);
  const window = { height: share * size.height, width: share * size.width };
  const x = (0.5 + step.centerSd * stream.normal()) * size.width - window.width / 2;
  const y = (0.5 + step.centerSd * stream.normal()) * size.height - window.height / 2;
  return { map: resized(window, step.output, { x, y }), size: step.output };
}

function stageOf(size: ImageSize, step: TransformStep, stream: Stream): Stage {
  const larger = (by: number) => ({ height: size.height + by, width: size.width + by });
  switch (step.kind) {
    case "pad":
      return { map: moved(-step.by, -step.by), size: larger(2 * step.by) };
    case "jitter":
      return { map: moved(stream.whole(step.by), stream.whole(step.by)), size: larger(-step.by) };
    case "scale": {
      const factor = stream.draw(step.factor);
      const to = {
        height: Math.round(factor * size.height),
        width: Math.round(factor * size.width),
      };
      return { map: resized(size, to), size: to };
    }
    case "rotate":
      return rotated(size, stream.draw(step.degrees));
    case "resizedCrop":
      return resizedCrop(size, step.area, stream);
    case "box":
      return box(size, step, stream);
  }
}

/**
 * Checks a chain of steps.
 *
 * @throws {InputError} for a pixel count that is negative or not whole, a factor, share or side that is not positive, or an empty list
 */
export function requireSteps(steps: readonly TransformStep[]): void {
  for (const step of steps) {
    const draws = Object.values(step).filter((v): v is Draw =>
      typeof v === "object" && ("low" in v || "choices" in v)
    );
    const ends = draws.flatMap((d) => "choices" in d ? d.choices : [d.low, d.high]);
    const isPositive = step.kind === "rotate" || ends.every((v) => v > 0);
    const isWhole = !("by" in step) || Number.isInteger(step.by) && step.by >= 0;
    const isOrdered = draws.every((d) => "choices" in d ? d.choices.length > 0 : d.low <= d.high);
    if (!isPositive || !isWhole || !isOrdered || !ends.every(Number.isFinite)) {
      throw new InputError(
        `Cannot transform by ${
          JSON.stringify(step)
        }: pixels must be whole from 0, factors, areas and sides positive, ranges in order`,
      );
    }
  }
}

/** For which draw of which image a map is. */
export interface TransformDraw {
  /** Size of the image. */
  readonly size: ImageSize;
  /** Size of the result, about the middle of what the steps leave; the image's when absent. */
  readonly output?: ImageSize;
  /** The draw's own key. */
  readonly key: Key;
}

/**
 * The one affine map that a chain of random steps is, from output to input coordinates.
 *
 * @throws {InputError} when a step leaves no pixel
 */
export function transformMap(
  steps: readonly TransformStep[],
  { size, output = size, key }: TransformDraw,
): Affine {
  let total: Affine = [1, 0, 0, 0, 1, 0], canvas = size;
  steps.forEach((step, i) => {
    const stage = stageOf(canvas, step, new Stream(foldIn(key, i)));
    total = composeAffine(total, stage.map);
    canvas = stage.size;
    if (!(canvas.height >= 1 && canvas.width >= 1)) {
      throw new InputError(
        `Cannot transform images of ${size.height}x${size.width}: step ${i} (${step.kind}) leaves no pixel`,
      );
    }
  });
  const middle = moved(
    Math.floor((canvas.width - output.width) / 2),
    Math.floor((canvas.height - output.height) / 2),
  );
  return composeAffine(total, middle);
}
