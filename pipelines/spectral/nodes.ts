import { permute } from "../../engine/ops/shape.ts";
import { type Tensor, tidy } from "../../engine/tensor.ts";
import { sizeOf } from "../../shaders/kernel.ts";
import { InputError } from "../errors.ts";

/** Where an array keeps the features of a node: in its last axis, or in the one before two axes of a grid (`[…, C, H, W]`). */
export type NodeLayout = "channels-last" | "channels-first";

/** Options of {@link flattenNodes}. */
export interface NodeOptions {
  /** What the axes are. Without it the features are the last axis, and arrays that look channel-first are refused. */
  readonly layout?: NodeLayout;
}

const NARROW = 64; // a last axis below this is a side of a grid where the axis before the grid is RATIO times as long
const RATIO = 8;

/**
 * True where an array looks like `[…, C, H, W]`: it has three axes or more, and either the last two are equal and the one before them
 * differs (`[768, 32, 32]`, a square grid), or the last is below 64 and the third from the end at least eight times as long
 * (`[768, 24, 32]`).
 */
export function looksChannelFirst(shape: readonly number[]): boolean {
  const [channels, height, width] = shape.slice(-3);
  if (shape.length < 3) return false;
  return height === width && channels !== width || width < NARROW && channels >= RATIO * width;
}

/**
 * Nodes as rows: `[…, d]` → `[n, d]` in row-major order of the leading axes; `[…, C, H, W]` → `[n, C]` with `channels-first`. An array
 * that {@link looksChannelFirst} and has no `layout` is refused, because reshaping it would mix positions into features silently.
 *
 * @throws {InputError} when the array is empty, has fewer axes than the layout needs, or looks channel-first
 */
export function flattenNodes(x: Tensor, { layout }: NodeOptions = {}): Tensor {
  const { shape } = x;
  const least = layout === "channels-first" ? 3 : 2;
  if (shape.length < least || x.size === 0) {
    throw new InputError(
      `Cannot take nodes from [${shape}]: it must have ${least} axes or more, and values`,
    );
  }
  if (layout === undefined && looksChannelFirst(shape)) {
    throw new InputError(
      `Cannot take nodes from [${shape}]: the features must be the last axis, and this looks like channels first; ` +
        `say layout "channels-first" to make rows of ${
          shape.at(-3)
        } features, or "channels-last" to keep rows of ${shape.at(-1)}`,
    );
  }
  if (layout !== "channels-first") return x.reshape([sizeOf(shape.slice(0, -1)), shape.at(-1)!]);
  const lead = shape.slice(0, -3).map((_, i) => i), at = lead.length;
  return tidy(x.gpu, () => {
    return permute(x, [...lead, at + 1, at + 2, at]).reshape([x.size / shape[at], shape[at]]);
  });
}
