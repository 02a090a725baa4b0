/**
 * Running sums.
 *
 * @module
 */
import { run } from "../run.ts";
import { record } from "../tape.ts";
import { type Tensor, tidy } from "../tensor.ts";
import { cast } from "./cast.ts";
import { full } from "./elementwise.ts";
import { normalizeAxes } from "./reduce.ts";
import { cumsumKernel } from "../../shaders/index/cumsum.ts";
import { sizeOf } from "../../shaders/kernel.ts";
import { reduceKernels } from "../../shaders/reduce/reduce.ts";

/** Options of {@link cumsum}. */
export interface CumsumOptions {
  /** Axis to run along, the last one when absent. */
  readonly axis?: number;
  /** Leaves the value itself out: every sum is of the values before it. */
  readonly exclusive?: boolean;
  /** Runs from the end of the axis. */
  readonly reverse?: boolean;
}

const THREADS = 2048; // wanted at once
const LEAST = 64; // places worth a thread of their own

/** Sums of the values up to each place of an axis. Running sums of f16 are kept in f32. */
export function cumsum(
  x: Tensor,
  { axis = -1, exclusive = false, reverse = false }: CumsumOptions = {},
): Tensor {
  const [k] = normalizeAxes("cumsum", x.shape, [axis]);
  const sizes = {
    outer: sizeOf(x.shape.slice(0, k)),
    n: x.shape[k],
    inner: sizeOf(x.shape.slice(k + 1)),
  };
  const flags = { exclusive: Number(exclusive), reverse: Number(reverse) };
  const y = tidy(x.gpu, () => {
    const wide = x.dtype === "f16" ? cast(x.detach(), "f32") : x;
    const sums = scan(wide, sizes, flags);
    return (x.dtype === "f16" ? cast(sums, "f16") : sums).alias(x.shape);
  });
  return record(y, [x], [], (g) => [() => cumsum(g, { axis: k, exclusive, reverse: !reverse })]);
}

interface Sizes {
  readonly outer: number;
  readonly n: number;
  readonly inner: number;
}

/** Sums of parts, their own running sums, and from there the places of each part. */
function scan(x: Tensor, sizes: Sizes, flags: { exclusive: number; reverse: number }): Tensor {
  const { outer, n, inner } = sizes;
  const wanted = Math.min(Math.ceil(THREADS / (outer * inner)), Math.floor(n / LEAST));
  const needed = Math.ceil(n / (x.gpu.caps.maxLoopTurns - 1));
  const parts = outer * inner > 0 ? Math.max(1, wanted, needed) : 1;
  return tidy(x.gpu, () => {
    let offsets = full(x.gpu, [outer, 1, inner], 0);
    if (parts > 1) {
      const [sums] = run(reduceKernels.sum, [x], { dims: { outer, axis: n, inner, parts } });
      const before = { dims: { outer, n: parts, inner, parts: 1 } };
      [offsets] = run(cumsumKernel, [sums, offsets], {
        ...before,
        args: { exclusive: 1, reverse: flags.reverse },
      });
    }
    return run(cumsumKernel, [x, offsets], { dims: { ...sizes, parts }, args: flags })[0];
  });
}
