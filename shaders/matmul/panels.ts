/**
 * Matrix product of operands that lie in panels of 64 rows (of a) or columns (of b), and the packing. For CPU drivers: there every
 * load is paid lane by lane, and rows a power of two apart fall on the same sets of the cache.
 *
 * @module
 */
import activations from "../_lib/activations.wgsl" with { type: "text" };
import matmulFinish from "../_lib/matmul_finish.wgsl" with { type: "text" };
import matmulFinishRows from "../_lib/matmul_finish_rows.wgsl" with { type: "text" };
import matmulTile from "../_lib/matmul_tile.wgsl" with { type: "text" };
import outer from "../_lib/outer.wgsl" with { type: "text" };
import subgroupQuads from "../_lib/subgroup_quads.wgsl" with { type: "text" };
import naive from "./matmul_panels_naive.wgsl" with { type: "text" };
import subgroup from "./matmul_panels_subgroup.wgsl" with { type: "text" };
import thread from "./matmul_panels_thread.wgsl" with { type: "text" };
import packBlock4 from "./pack_panels_block4.wgsl" with { type: "text" };
import packColumns4 from "./pack_panels_columns4.wgsl" with { type: "text" };
import packNaive from "./pack_panels_naive.wgsl" with { type: "text" };
import {
  type Caps,
  ceilDiv,
  defineKernel,
  type Dims,
  grid1d,
  type HostArrays,
  type KernelSpec,
} from "../kernel.ts";
import {
  epilogue,
  matmulArgs,
  matmulKernel,
  operandData,
  symmetry,
  triangleOf,
  wholeEpilogue,
} from "./matmul.ts";

/** Rows or columns of a panel. */
export const PANEL = 64;

/** Sizes of an operand `[batch, rows, k]` in panels; k is made even. */
export function panelDims(batch: number, rows: number, k: number): Dims {
  return { batch, rows, k, panels: ceilDiv(rows, PANEL), kPadded: 2 * ceilDiv(k, 2) };
}

/** Values of an operand in panels. */
export function panelSize({ batch, panels, kPadded }: Dims): number {
  return batch * panels * kPadded * PANEL;
}

/**
 * True where packing costs less than it saves: m·k + n·k values are packed, m·n·k products gain. Measured on llvmpipe (Mesa 22.3): a
 * packed value costs what 300 products save with subgroups; 100 where rows lie a multiple of 4 KiB apart, on the same set of the
 * first cache; 8 without subgroups, where the alternatives are slow.
 */
export function panelsPay(
  { m, n, k }: Dims,
  { isSoftware, subgroupMinSize }: Caps,
  isSymmetric = false,
): boolean {
  const collides = k % 1024 === 0 || n % 1024 === 0;
  const least = subgroupMinSize !== 8 ? 8 : isSymmetric ? 32 : collides ? 100 : 300;
  return isSoftware && n % 4 === 0 && k >= 32 && m * n >= least * (m + n);
}

const byRows = (_: Dims, { byRows }: { readonly byRows?: number }) => byRows === 1;

const packed = (batch: number, rows: number, k: number, args: Dims): Dims => ({
  ...panelDims(batch, rows, k),
  ...args,
});

/** Packs matrices `[batch, rows, k]`, or `[batch, k, rows]` with `byRows` 0, into panels. */
export const packPanelsKernel: KernelSpec = defineKernel({
  name: "pack_panels",
  buffers: { x: "batch rows k", y: "out batch panels kPadded 64" },
  args: { byRows: 1 },
  flops: () => 0,
  reference({ x }, dims, { byRows }) {
    const { batch, rows, k, panels, kPadded } = dims;
    const y = new Float64Array(panelSize(dims));
    for (let i = 0; i < batch * rows * k; i++) {
      const z = Math.floor(i / (rows * k)), at = i % (rows * k);
      const [row, p] = byRows ? [Math.floor(at / k), at % k] : [at % rows, Math.floor(at / rows)];
      const panel = z * panels + Math.floor(row / PANEL);
      y[(panel * kPadded + p) * PANEL + row % PANEL] = x[i];
    }
    return { y };
  },
  tolerance: { f32: 0, f16: 0 }, // values are copied
  cases: [
    packed(1, 1, 1, {}),
    packed(2, 67, 12, {}),
    packed(2, 130, 5, {}),
    packed(1, 68, 7, { byRows: 0 }),
    packed(2, 3, 6, { byRows: 0 }),
  ],
  large: [packed(1, 1024, 1024, {}), packed(1, 1024, 1024, { byRows: 0 })],
  variants: [{
    name: "pack_panels_columns4",
    source: packColumns4,
    tunables: { WG: [64] },
    supports: ({ rows }, _, args) => !byRows({}, args) && rows % 4 === 0,
    workgroups: (dims, { WG }) => grid1d(ceilDiv(panelSize(dims) / 4, WG)),
  }, {
    name: "pack_panels_block4",
    source: packBlock4,
    tunables: { WG: [64] },
    supports: ({ k }, _, args) => byRows({}, args) && k % 4 === 0,
    workgroups: (dims, { WG }) => grid1d(ceilDiv(panelSize(dims) / 16, WG)),
  }, {
    name: "pack_panels_naive",
    source: packNaive,
    tunables: { WG: [64] },
    constants: (_, { byRows }) => ({ BY_ROWS: byRows }),
    workgroups: (dims, { WG }) => grid1d(ceilDiv(panelSize(dims), WG)),
  }],
});

/** Rows of an operand in panels, as matmul takes them: a `[batch, m, k]`, b `[batch, n, k]`. */
function unpacked(panels: Float64Array, count: number, rows: number, k: number): Float64Array {
  const { panels: each } = panelDims(1, rows, k);
  const x = new Float64Array(count * rows * k);
  for (let i = 0; i < x.length; i++) {
    const z = Math.floor(i / (rows * k)), row = Math.floor(i / k) % rows, p = i % k;
    x[i] = panels[((z * each + Math.floor(row / PANEL)) * k + p) * PANEL + row % PANEL];
  }
  return x;
}

type Data = typeof operandData;

/** Whether the place p of a row of an operand, the left one or the transposed right one, is a zero that `terms` leaves out. */
export function zeroAt(isLeft: boolean, terms: number, row: number, p: number): boolean {
  if (terms === 1) return p < row;
  return terms === 2 ? !isLeft && p < row : terms === 3 && isLeft && p > row;
}

/** Zero beyond the last row, as the packing leaves it. */
const panelData = (rows: "m" | "n"): Data => (size, random, dims, args) => {
  const edge = dims[rows] % PANEL || PANEL, each = ceilDiv(dims[rows], PANEL);
  return operandData(size, random, dims, args).map((value, i) => {
    const panel = Math.floor(i / (PANEL * dims.k)) % each;
    const row = panel * PANEL + i % PANEL, p = Math.floor(i / PANEL) % dims.k;
    const isZero = zeroAt(rows === "m", args.terms, row, p);
    return panel === each - 1 && i % PANEL >= edge || isZero ? 0 : value;
  });
};

function panelCase(batch: number, m: number, n: number, k: number): Dims {
  const a = panelSize(panelDims(1, m, k)), b = panelSize(panelDims(1, n, k));
  return {
    ...{ batch, m, n, k, aSize: batch * a, bSize: batch * b },
    ...(batch > 1 ? { strideA: a, strideB: b } : {}),
    ...{ biasSize: n, scaleSize: n, residualSize: batch * m * n },
  };
}

const shared = panelCase(3, 65, 68, 18);

/**
 * {@link matmulKernel} of operands in panels, from {@link packPanelsKernel}; k is even. `strideA`, `strideB` are the step from one
 * matrix's panels to the next, 0 for one matrix shared by the batch. `terms` says which
 * operand is a triangle whose zeros may be left out: 1 that a is the transpose of a lower one and b is a, 2 that b is lower, 3 that a is.
 */
export const matmulPanelsKernel: KernelSpec = defineKernel({
  name: "matmul_panels",
  buffers: matmulKernel.buffers,
  args: { ...matmulArgs, terms: 0 },
  flops: matmulKernel.flops,
  bytes: matmulKernel.bytes,
  reference({ a, b, ...rest }: HostArrays, dims, args) {
    const { batch, m, n, k } = dims;
    const countA = args.strideA ? batch : 1, countB = args.strideB ? batch : 1;
    const rows = { a: unpacked(a, countA, m, k), b: unpacked(b, countB, n, k), ...rest };
    const strides = { strideA: args.strideA && m * k, strideB: args.strideB && n * k };
    return matmulKernel.reference(rows, dims, { ...args, ...strides, transposeB: 1 });
  },
  data: { ...matmulKernel.data, a: panelData("m"), b: panelData("n") },
  tolerance: matmulKernel.tolerance,
  cases: [
    panelCase(1, 1, 4, 2),
    { ...panelCase(1, 70, 132, 64), ...wholeEpilogue, activation: 5 },
    { ...panelCase(2, 129, 64, 6), hasBias: 1 },
    { ...shared, bSize: shared.bSize / 3, strideB: 0, hasResidual: 1 },
    { ...panelCase(2, 200, 200, 6), hasResidual: 1, symmetric: 1 },
    { ...panelCase(2, 200, 200, 200), hasResidual: 1, symmetric: 1, terms: 1 },
    { ...panelCase(1, 70, 200, 200), terms: 2 },
    { ...panelCase(2, 200, 68, 200), hasBias: 1, terms: 3 },
  ],
  large: [panelCase(1, 1024, 1024, 1024), panelCase(1, 197, 2304, 768)],
  variants: [{
    name: "matmul_panels_subgroup",
    source: subgroup,
    lib: [activations, matmulTile, matmulFinish, matmulFinishRows, outer, subgroupQuads],
    needs: ["subgroups"],
    tunables: { GROUP: [8] },
    // A half panel of rows is a third slower, and better where a whole one would be mostly empty.
    constants: ({ m }, args) => ({
      ...epilogue(args),
      ...symmetry(args),
      ROWS: ceilDiv(m, 64) * 64 > 1.2 * ceilDiv(m, 32) * 32 ? 32 : 64,
    }),
    supports: (_, { isSoftware, subgroupMinSize, subgroupMaxSize }) =>
      isSoftware && subgroupMinSize === 8 && subgroupMaxSize === 8,
    loopTurns: ({ k }, { ROWS }) => k / 2 + ROWS / 4 + 2,
    workgroups: ({ batch, m, n }, { ROWS, SYMMETRIC }) => {
      const tiles = ceilDiv(n, PANEL);
      return grid1d(
        batch * (SYMMETRIC ? triangleOf(tiles) * PANEL / ROWS : ceilDiv(m, ROWS) * tiles),
      );
    },
  }, {
    name: "matmul_panels_thread",
    source: thread,
    lib: [activations, matmulTile, matmulFinish, matmulFinishRows, outer],
    tunables: { GROUP: [8] },
    constants: (_, args) => ({ ...epilogue(args), ...symmetry(args) }),
    loopTurns: ({ k }) => k / 2 + 1,
    workgroups: ({ batch, m, n }, { SYMMETRIC }) => {
      const tiles = ceilDiv(n, 2 * PANEL);
      return grid1d(batch * (SYMMETRIC ? triangleOf(tiles) * 8 : ceilDiv(m, 16) * tiles));
    },
  }, {
    name: "matmul_panels_naive",
    source: naive,
    lib: [activations, matmulFinish],
    tunables: { WG: [64] },
    constants: (_, args) => epilogue(args),
    loopTurns: ({ k }) => k + 1,
    workgroups: ({ batch, m, n }, { WG }) => grid1d(ceilDiv(batch * m * n / 4, WG)),
  }],
});
