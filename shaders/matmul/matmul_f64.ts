/**
 * Matrix product in double precision, of operands that are packed and widened first. For adapters with the feature `shader-f64`.
 *
 * @module
 */
import matmulTile from "../_lib/matmul_tile.wgsl" with { type: "text" };
import naive from "./matmul_f64_naive.wgsl" with { type: "text" };
import subgroup from "./matmul_f64_subgroup.wgsl" with { type: "text" };
import pack from "./pack_f64.wgsl" with { type: "text" };
import { ceilDiv, defineKernel, type Dims, grid1d, type KernelSpec } from "../kernel.ts";
import { operandData, symmetry, triangleOf } from "./matmul.ts";
import { zeroAt } from "./panels.ts";

/** How the left operand is packed: `width` rows to a panel, `steps` places of a row together. */
export const LEFT = { width: 32, steps: 4 };
/** How the right operand is packed, its columns as rows. */
export const RIGHT = { width: 32, steps: 1 };

/** How an operand is packed. */
export type Packing = typeof LEFT;

/** Sizes of an operand `[batch, rows, k]` packed; k is made a multiple of four. */
export function packedDims(batch: number, rows: number, k: number, { width }: Packing): Dims {
  return { batch, rows, k, panels: ceilDiv(rows, width), kPadded: 4 * ceilDiv(k, 4) };
}

/** Values of a packed operand. */
export function packedSize({ batch, panels, kPadded }: Dims, { width }: Packing): number {
  return batch * panels * kPadded * width;
}

/** Where the value at a row and a place lies in a packed matrix. */
function placeOf(row: number, p: number, kPadded: number, { width, steps }: Packing): number {
  const panel = Math.floor(row / width) * kPadded * width;
  return panel + (Math.floor(p / steps) * width + row % width) * steps + p % steps;
}

const packCase = (batch: number, rows: number, k: number, packing: Packing, byRows = 1): Dims => {
  const dims = packedDims(batch, rows, k, packing);
  return { ...dims, ...packing, ySize: packedSize(dims, packing), byRows };
};

/** Packs matrices `[batch, rows, k]`, or `[batch, k, rows]` with `byRows` 0, and widens them. */
export const packF64Kernel: KernelSpec = defineKernel({
  name: "pack_f64",
  buffers: { x: "batch rows k", y: "out f64 ySize" },
  args: { byRows: 1, ...LEFT },
  flops: () => 0,
  reference({ x }, dims, { byRows, width, steps }) {
    const { batch, rows, k, kPadded } = dims;
    const y = new Float64Array(packedSize(dims, { width, steps }));
    for (let i = 0; i < batch * rows * k; i++) {
      const z = Math.floor(i / (rows * k)), at = i % (rows * k);
      const [row, p] = byRows ? [Math.floor(at / k), at % k] : [at % rows, Math.floor(at / rows)];
      y[z * y.length / batch + placeOf(row, p, kPadded, { width, steps })] = x[i];
    }
    return { y };
  },
  tolerance: { f32: 0, f64: 0 },
  cases: [
    packCase(1, 1, 1, LEFT),
    packCase(2, 11, 6, LEFT),
    packCase(2, 70, 5, RIGHT),
    packCase(2, 11, 6, LEFT, 0),
    packCase(1, 33, 9, RIGHT, 0),
  ],
  large: [packCase(1, 512, 512, LEFT), packCase(1, 512, 512, RIGHT, 0)],
  variants: [{
    name: "pack_f64",
    source: pack,
    needs: ["shader-f64"],
    tunables: { WG: [64] },
    constants: (_, { byRows, width, steps }) => ({ BY_ROWS: byRows, WIDTH: width, STEPS: steps }),
    workgroups: ({ ySize }, { WG }) => grid1d(ceilDiv(ySize, 4 * WG)),
  }],
});

function productCase(batch: number, m: number, n: number, k: number): Dims {
  const a = packedSize(packedDims(1, m, k, LEFT), LEFT);
  const b = packedSize(packedDims(1, n, k, RIGHT), RIGHT);
  return { batch, m, n, k, aSize: batch * a, bSize: batch * b, strideA: a, strideB: b };
}

// The data of both operands as matrices: packed alike, so that a symmetric product is one.
const packedData = (rows: "m" | "n", packing: Packing): typeof operandData => {
  return (size, random, dims, args) => {
    const matrices = packedDims(1, dims[rows], dims.k, packing);
    const each = packedSize(matrices, packing), packed = new Float64Array(size);
    const values = operandData(size / each * dims[rows] * dims.k, random, dims, args);
    values.forEach((value, i) => {
      const z = Math.floor(i / (dims[rows] * dims.k)), row = Math.floor(i / dims.k) % dims[rows];
      const p = i % dims.k, isZero = zeroAt(rows === "m", args.terms, row, p);
      packed[z * each + placeOf(row, p, dims.k, packing)] = isZero ? 0 : value;
    });
    return packed;
  };
};

const one = productCase(3, 33, 40, 8);

/**
 * `c[z] = a[z]·b[z]`, all in f64, of operands from {@link packF64Kernel}; k is a multiple of four. `strideA`, `strideB` are the step
 * from one packed matrix to the next, 0 for one shared by the batch; `symmetric` says that b is aᵀ. `terms` says which
 * operand is a triangle whose zeros may be left out: 1 that a is the transpose of a lower one and b is a, 2 that b is lower, 3 that a is.
 */
export const matmulF64Kernel: KernelSpec = defineKernel({
  name: "matmul_f64",
  buffers: { a: "f64 aSize", b: "f64 bSize", c: "out f64 batch m n" },
  args: { strideA: 0, strideB: 0, symmetric: 0, terms: 0 },
  flops: ({ batch, m, n, k }) => 2 * batch * m * n * k,
  reference({ a, b }, { batch, m, n, k }, { strideA, strideB }) {
    const c = new Float64Array(batch * m * n);
    for (let i = 0; i < c.length; i++) {
      const z = Math.floor(i / (m * n)), row = Math.floor(i / n) % m, col = i % n;
      for (let p = 0; p < k; p++) {
        const x = a[z * strideA + placeOf(row, p, k, LEFT)];
        c[i] += x * b[z * strideB + placeOf(col, p, k, RIGHT)];
      }
    }
    return { c };
  },
  data: { a: packedData("m", LEFT), b: packedData("n", RIGHT) },
  // All buffers are f64 whatever the run's storage type. Sums of k ≤ 64 products in one order: a fused multiply-add is all that differs.
  tolerance: { f32: 1e-14 },
  cases: [
    productCase(1, 1, 1, 4),
    productCase(1, 37, 76, 64),
    { ...one, bSize: one.bSize / 3, strideB: 0 },
    { ...productCase(2, 69, 69, 12), symmetric: 1 },
    { ...productCase(1, 68, 68, 68), symmetric: 1, terms: 1 },
    { ...productCase(2, 40, 68, 68), terms: 2 },
    { ...productCase(1, 68, 40, 68), terms: 3 },
  ],
  large: [productCase(1, 512, 512, 512)],
  variants: [{
    name: "matmul_f64_subgroup",
    source: subgroup,
    lib: [matmulTile],
    needs: ["shader-f64", "subgroups"],
    tunables: { GROUP: [8] },
    constants: (_, args) => symmetry(args),
    supports: (_, { isSoftware, subgroupMinSize, subgroupMaxSize }) =>
      isSoftware && subgroupMinSize === 8 && subgroupMaxSize === 8,
    loopTurns: ({ k }) => k / 4 + 1,
    workgroups: ({ batch, m, n }, { SYMMETRIC }) => {
      const rows = ceilDiv(m, LEFT.width), cols = ceilDiv(n, RIGHT.width);
      return grid1d(batch * (SYMMETRIC ? triangleOf(cols) : rows * cols));
    },
  }, {
    name: "matmul_f64_naive",
    source: naive,
    needs: ["shader-f64"],
    tunables: { WG: [64] },
    loopTurns: ({ k }) => k + 1,
    workgroups: ({ batch, m, n }, { WG }) => grid1d(ceilDiv(batch * m * n, WG)),
  }],
});
