/**
 * Matrix product, batched, with either operand transposed, and what a linear layer does to it afterwards.
 *
 * @module
 */
import naive from "./matmul_naive.wgsl" with { type: "text" };
import subgroup from "./matmul_subgroup.wgsl" with { type: "text" };
import subgroupK2 from "./matmul_subgroup_k2.wgsl" with { type: "text" };
import subgroupN4 from "./matmul_subgroup_n4.wgsl" with { type: "text" };
import tiled from "./matmul_tiled.wgsl" with { type: "text" };
import activations from "../_lib/activations.wgsl" with { type: "text" };
import matmulFinishColumns from "../_lib/matmul_finish_columns.wgsl" with { type: "text" };
import matmulTile from "../_lib/matmul_tile.wgsl" with { type: "text" };
import matmulFinish from "../_lib/matmul_finish.wgsl" with { type: "text" };
import outer from "../_lib/outer.wgsl" with { type: "text" };
import subgroupRows from "../_lib/subgroup_rows.wgsl" with { type: "text" };
import { activationByCode } from "../elementwise/unary.ts";
import {
  type Args,
  type Caps,
  ceilDiv,
  type Constants,
  defineKernel,
  type Dims,
  grid1d,
  type KernelSpec,
  type KernelVariant,
} from "../kernel.ts";

const flags = ({ transposeA, transposeB }: Args): Constants => ({
  TRANSPOSE_A: transposeA,
  TRANSPOSE_B: transposeB,
});

/** Constants of what follows the sum. */
export const epilogue = ({ activation, hasBias, hasScale, hasResidual }: Args): Constants => ({
  ACTIVATION: activation,
  HAS_BIAS: hasBias,
  HAS_SCALE: hasScale,
  HAS_RESIDUAL: hasResidual,
});

const divides = (by: number, ...sizes: number[]) => sizes.every((size) => size % by === 0);

/** Whether the product of a matrix with its own transpose may make one triangle and mirror it. */
export const symmetry = ({ symmetric }: Args): Constants => ({ SYMMETRIC: symmetric });

/** One subgroup size, and a driver where barriers cost more than registers. */
const hasLanes = ({ isSoftware, subgroupMinSize, subgroupMaxSize }: Caps) =>
  isSoftware && subgroupMinSize >= 8 && subgroupMinSize === subgroupMaxSize;

/**
 * Rows per workgroup: the tallest tile reuses b best, a shorter one wastes less below the last row. Weights are measured
 * GFLOP/s at 768×768×768 (llvmpipe, Mesa 22.3). Few heights, because each is a pipeline to compile.
 */
function tileRows(m: number): number {
  const cost = ([rows, speed]: readonly [number, number]) => ceilDiv(m, rows) * rows / speed;
  const tiles = [[40, 38], [16, 30], [8, 21]] as const;
  return tiles.reduce((best, tile) => (cost(tile) < cost(best) ? tile : best))[0];
}

const subgroupShape = {
  lib: [activations, matmulTile, outer, subgroupRows],
  needs: ["subgroups"],
  tunables: { GROUP: [8] },
  loopTurns: ({ k }: Dims) => ceilDiv(k, 2) + 1,
  workgroups: ({ batch, m, n }: Dims, { ROWS, SG }: Constants) =>
    grid1d(batch * ceilDiv(m, ROWS) * ceilDiv(n, 8 * SG)),
};

const subgroupConstants = ({ m }: Dims, args: Args, { subgroupMinSize }: Caps): Constants => ({
  SG: subgroupMinSize,
  ROWS: tileRows(m),
  ...epilogue(args),
});

/** Tiles on and below the diagonal. */
export const triangleOf = (tiles: number): number => tiles * (tiles + 1) / 2;

/** Blocks of 32 along m and n: two of each as soon as that leaves enough workgroups for a GPU. */
function tiledBlocks({ batch, m, n }: Dims): Constants {
  const isLarge = batch * ceilDiv(m, 64) * ceilDiv(n, 64) >= 256;
  return { ROW_BLOCKS: isLarge ? 2 : 1, COL_BLOCKS: isLarge ? 2 : 1 };
}

const variants: readonly KernelVariant[] = [
  {
    name: "matmul_subgroup_n4",
    source: subgroupN4,
    ...subgroupShape,
    lib: [...subgroupShape.lib, matmulFinish],
    constants: (dims, args, caps) => ({
      ...subgroupConstants(dims, args, caps),
      TRANSPOSE_A: args.transposeA,
    }),
    supports: ({ n }, caps, { transposeB, strideB }) =>
      hasLanes(caps) && !transposeB && divides(4, n, strideB),
  },
  {
    name: "matmul_subgroup_k2",
    source: subgroupK2,
    ...subgroupShape,
    lib: [...subgroupShape.lib, matmulFinishColumns],
    constants: subgroupConstants,
    supports: ({ k }, caps, { transposeA, transposeB, strideA, strideB }) =>
      hasLanes(caps) && !transposeA && transposeB === 1 && divides(2, k, strideA, strideB),
  },
  {
    name: "matmul_subgroup",
    source: subgroup,
    ...subgroupShape,
    lib: [...subgroupShape.lib, matmulFinishColumns],
    constants: (dims, args, caps) => ({ ...subgroupConstants(dims, args, caps), ...flags(args) }),
    supports: (_, caps) => hasLanes(caps),
  },
  {
    name: "matmul_tiled",
    source: tiled,
    lib: [activations, matmulTile],
    tunables: { BK: [16, 32] },
    constants: (dims, args) => ({
      ...tiledBlocks(dims),
      ...flags(args),
      ...epilogue(args),
      ...symmetry(args),
    }),
    supports: (_, { maxWorkgroupInvocations, maxWorkgroupStorage }) =>
      maxWorkgroupInvocations >= 64 && maxWorkgroupStorage >= 16384,
    loopTurns: ({ k }, { BK, ROW_BLOCKS, COL_BLOCKS }) =>
      ceilDiv(k, BK) * (BK + BK * (ROW_BLOCKS + COL_BLOCKS) / 8 + 4) + 1,
    workgroups: ({ batch, m, n }, { ROW_BLOCKS, COL_BLOCKS, SYMMETRIC }) => {
      const rows = ceilDiv(m, 32 * ROW_BLOCKS), cols = ceilDiv(n, 32 * COL_BLOCKS);
      return grid1d(batch * (SYMMETRIC ? triangleOf(rows) : rows * cols));
    },
  },
  {
    name: "matmul_naive",
    source: naive,
    lib: [activations],
    tunables: { WG: [64] },
    constants: (_, args) => ({ ...flags(args), ...epilogue(args) }),
    loopTurns: ({ k }) => k + 1,
    workgroups: ({ batch, m, n }, { WG }) => grid1d(ceilDiv(batch * m * n, WG)),
  },
];

const matrices = (
  { batch, m, n, k }: { batch: number; m: number; n: number; k: number },
): Record<string, number> => ({
  ...{ batch, m, n, k, aSize: batch * m * k, bSize: batch * k * n },
  ...(batch > 1 ? { strideA: m * k, strideB: k * n } : {}),
  ...{ biasSize: n, scaleSize: n, residualSize: batch * m * n },
});

/** Values with a variance of 1; the same ones for both operands of a symmetric product. */
export function operandData(
  size: number,
  random: () => number,
  _: Dims,
  { symmetric }: Args,
): Float64Array {
  const drawn = (i: number) => symmetric ? ((i + 1) * Math.SQRT2) % 1 : random(); // √2 is irrational: its multiples fill [0, 1) evenly
  return Float64Array.from({ length: size }, (_, i) => (drawn(i) - 0.5) * Math.sqrt(12));
}

/** Everything that may follow the sum. */
export const wholeEpilogue: Dims = { hasBias: 1, hasScale: 1, hasResidual: 1 };

/** Scalars of a product. */
export const matmulArgs: Args = {
  ...{ transposeA: 0, transposeB: 0, strideA: 0, strideB: 0 },
  ...{ activation: 0, hasBias: 0, hasScale: 0, hasResidual: 0 },
  symmetric: 0,
};

/**
 * `c[z] = residual + scale · activation(op(a[z]) · op(b[z]) + bias)`.
 *
 * `transposeA`, `transposeB` and the `has…` flags are 0 or 1; `strideA`, `strideB` are the step from one matrix to the next, 0 for one
 * matrix shared by the batch; `activation` is a code of `activationCodes`. A buffer whose flag is 0 is bound but not read, so any
 * tensor (`a`, say) may stand in for it. `symmetric` says that the product and the residual are symmetric because b is aᵀ, and that
 * there is neither bias nor scale: variants may then make one triangle and mirror it.
 */
export const matmulKernel: KernelSpec = defineKernel({
  name: "matmul",
  buffers: {
    a: "aSize",
    b: "bSize",
    bias: "biasSize",
    scale: "scaleSize",
    residual: "residualSize",
    c: "out batch m n",
  },
  args: matmulArgs,
  flops: ({ batch, m, n, k }) => 2 * batch * m * n * k,
  bytes: ({ batch, m, n, aSize, bSize }, elemBytes) => (aSize + bSize + batch * m * n) * elemBytes,
  reference({ a, b, bias, scale, residual }, { batch, m, n, k }, args) {
    const c = new Float64Array(batch * m * n);
    const activate = activationByCode.get(args.activation)!;
    for (let i = 0; i < c.length; i++) {
      const z = Math.floor(i / (m * n)), row = Math.floor(i / n) % m, col = i % n;
      let sum = args.hasBias ? bias[col] : 0;
      for (let p = 0; p < k; p++) {
        const atA = z * args.strideA + (args.transposeA ? p * m + row : row * k + p);
        const atB = z * args.strideB + (args.transposeB ? col * k + p : p * n + col);
        sum += a[atA] * b[atB];
      }
      c[i] = activate(sum);
      if (args.hasScale) c[i] *= scale[col];
      if (args.hasResidual) c[i] += residual[i];
    }
    return { c };
  },
  data: {
    a: operandData,
    b: operandData,
    residual: (size, random, { n }, args) => {
      const values = operandData(size, random, {}, args);
      if (!args.symmetric) return values;
      return values.map((_, at) => values[Math.abs(Math.floor(at / n) % n - at % n)]);
    },
  },
  // k additions of products of unit normals: eps·√k relative to √k, the worst of many outputs about six of those; k ≤ 1000.
  tolerance: { f32: 1e-5, f16: 2e-3 },
  cases: [
    matrices({ batch: 1, m: 1, n: 1, k: 1 }),
    { ...matrices({ batch: 1, m: 37, n: 76, k: 65 }), ...wholeEpilogue, activation: 5 },
    {
      ...matrices({ batch: 2, m: 11, n: 33, k: 34 }),
      ...wholeEpilogue,
      activation: 3,
      transposeB: 1,
    },
    { ...matrices({ batch: 2, m: 5, n: 7, k: 19 }), transposeA: 1, transposeB: 1 },
    { ...matrices({ batch: 2, m: 69, n: 68, k: 18 }), transposeA: 1, hasBias: 1 },
    { ...matrices({ batch: 3, m: 33, n: 68, k: 20 }), bSize: 20 * 68, strideB: 0 },
    { ...matrices({ batch: 2, m: 67, n: 67, k: 9 }), transposeB: 1, hasResidual: 1, symmetric: 1 },
  ],
  large: [
    matrices({ batch: 1, m: 1024, n: 1024, k: 1024 }),
    { ...matrices({ batch: 1, m: 1024, n: 1024, k: 1024 }), transposeB: 1 },
    { ...matrices({ batch: 1, m: 197, n: 2304, k: 768 }), transposeB: 1, hasBias: 1 },
    {
      ...matrices({ batch: 1, m: 197, n: 3072, k: 768 }),
      ...{ transposeB: 1, hasBias: 1, activation: 5 },
    },
    {
      ...matrices({ batch: 1, m: 197, n: 768, k: 3072 }),
      ...{ transposeB: 1, hasBias: 1, hasResidual: 1 },
    },
    { ...matrices({ batch: 1, m: 17, n: 384, k: 128 }), transposeB: 1, hasBias: 1 },
  ],
  variants,
});
