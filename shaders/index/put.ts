/**
 * Writing values to places of a row, the adjoint of picking each place at most once.
 *
 * @module
 */
import source from "./put.wgsl" with { type: "text" };
import { ceilDiv, defineKernel, type Dims, grid1d, type KernelSpec } from "../kernel.ts";

/** Different places in every row: a step that shares no factor with the prime row lengths of the cases. */
const places = (size: number, _: () => number, { n, k }: Dims) =>
  Float64Array.from({ length: size }, (_, i) => (i % k * 5 + Math.floor(i / k)) % n);

/** `y[row, indices[row, j]] = x[row, j]`; no index occurs twice in a row, and those out of range write nothing. */
export const putKernel: KernelSpec = defineKernel({
  name: "put",
  buffers: { x: "rows k", indices: "u32 rows k", y: "inout rows n" },
  integers: true,
  flops: () => 0,
  bytes: ({ rows, k }, elemBytes) => rows * k * (2 * elemBytes + 4),
  reference({ x, indices, y }, { rows, k, n }) {
    for (let i = 0; i < rows * k; i++) y[Math.floor(i / k) * n + indices[i]] = x[i];
    return { y };
  },
  data: { indices: places },
  tolerance: { f32: 0, f16: 0 },
  cases: [{ rows: 1, k: 1, n: 1 }, { rows: 3, k: 17, n: 23 }, { rows: 2, k: 67, n: 67 }],
  large: [{ rows: 100, k: 5000, n: 9973 }],
  variants: [{
    name: "put",
    source,
    tunables: { WG: [64] },
    workgroups: ({ rows, k }, { WG }) => grid1d(ceilDiv(rows * k, WG)),
  }],
});
