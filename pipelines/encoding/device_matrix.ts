import { cast } from "../../engine/ops/cast.ts";
import { gather } from "../../engine/ops/gather.ts";
import { slice } from "../../engine/ops/shape.ts";
import { Tensor } from "../../engine/tensor.ts";
import type { Gpu } from "../../engine/gpu.ts";
import { isContiguous } from "./fold_layout.ts";

const SLAB_BYTES = 64 * 2 ** 20;

/** Values of f32 that are uploaded or read at once: what the adapter binds, and no more than is worth it. */
export function slabValues({ caps }: Gpu): number {
  return Math.floor(Math.min(SLAB_BYTES, caps.maxBindingBytes) / 4);
}

/** Some rows or columns of a matrix; neighbours are moved as one block. */
export function take(x: Tensor, axis: 0 | 1, at: Uint32Array): Tensor {
  if (at.length > 0 && isContiguous(at)) {
    return slice(x, { axis, start: at[0], end: at[0] + at.length });
  }
  return gather(x, at, { axis });
}

/** The same values in f32. */
export function inF32(x: Tensor): Tensor {
  return x.dtype === "f32" ? x : cast(x, "f32");
}

/** A matrix of one value in f32 or f64. */
export function constant(
  gpu: Gpu,
  shape: readonly [number, number],
  value: number,
  dtype: Tensor["dtype"] = "f32",
): Tensor {
  const x = Tensor.from(gpu, new Float32Array(shape[0] * shape[1]).fill(value), shape);
  return dtype === "f32" ? x : cast(x, dtype);
}
