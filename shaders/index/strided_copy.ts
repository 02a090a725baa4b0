/**
 * Moving a box of values from one layout to another: permute, slice, concat, flip, broadcast and tile are all this.
 *
 * @module
 */
import outerOffsets from "../_lib/outer_offsets.wgsl" with { type: "text" };
import rows4 from "./strided_copy_rows4.wgsl" with { type: "text" };
import block4 from "./strided_copy_block4.wgsl" with { type: "text" };
import rows from "./strided_copy_rows.wgsl" with { type: "text" };
import tile from "./strided_copy_tile.wgsl" with { type: "text" };
import naive from "./strided_copy_naive.wgsl" with { type: "text" };
import {
  type Args,
  ceilDiv,
  type Constants,
  defineKernel,
  type Dims,
  type KernelSpec,
} from "../kernel.ts";
import { gridTurns, lanes, MAX_GROUPS } from "./gather.ts";

/** A copy of a plain row, the arguments that a case starts from. */
const plain: Args = {
  n0: 1,
  n1: 1,
  n2: 1,
  n3: 1,
  n4: 1,
  n5: 1,
  s0: 0,
  s1: 0,
  s2: 0,
  s3: 0,
  s4: 0,
  s5: 1,
  d0: 0,
  d1: 0,
  d2: 0,
  d3: 0,
  d4: 0,
  d5: 1,
  sourceStart: 0,
  start: 0,
};

/** Sizes of the two buffers, counted from the box; every case writes all of `y`. */
function box(args: Partial<Args>): Dims {
  const all = { ...plain, ...args } as Args;
  let [xSize, ySize] = [all.sourceStart + 1, all.start + 1];
  for (let k = 0; k < 6; k++) {
    xSize += (all[`n${k}`] - 1) * Math.max(0, all[`s${k}`]);
    ySize += (all[`n${k}`] - 1) * all[`d${k}`];
  }
  return { xSize, ySize, ...all };
}

/** How many of the axes 0 to 3 there are; they are packed against axis 4. */
function outerAxes(args: Args): number {
  return [0, 1, 2, 3].filter((k) => args[`n${k}`] > 1).map((k) => 4 - k)[0] ?? 0;
}

const outerSize = ({ n0, n1, n2, n3 }: Args): number => n0 * n1 * n2 * n3;

/** True where every offset of the box, except along the axes given, is a whole vec4. */
function isAligned(args: Args, free: { source: number; target: number }): boolean {
  const starts = [args.sourceStart, args.start];
  const strides = [0, 1, 2, 3, 4, 5].filter((k) => args[`n${k}`] > 1).flatMap((k) => [
    k === free.source ? 0 : args[`s${k}`],
    k === free.target ? 0 : args[`d${k}`],
  ]);
  return [...starts, ...strides].every((n) => n % 4 === 0);
}

type Grid = [number, number, number];

const rowGrid = (args: Args, perX: number, perY: number): Grid => [
  ceilDiv(args.n5, perX),
  ceilDiv(args.n4, perY),
  outerSize(args),
];
const tileGrid = (args: Args, perX: number, perY: number): Grid => [
  ceilDiv(args.n4, perX),
  ceilDiv(args.n5, perY),
  outerSize(args),
];
const fits = (grid: Grid): boolean => grid.every((n) => n <= MAX_GROUPS);

const rowConstants = (perThread: number) => (_: Dims, args: Args): Constants => {
  return { ...lanes(args.n5 / perThread), OUTER: outerAxes(args) };
};

function rowsFit(args: Args, perThread: number): boolean {
  const { TX, TY } = rowConstants(perThread)({}, args);
  return fits(rowGrid(args, perThread * TX, 4 * TY));
}

/** `y[start + Σ iₖ dₖ] = x[sourceStart + Σ iₖ sₖ]` over a box of six axes; strides of `x` may be 0 or negative. */
export const stridedCopyKernel: KernelSpec = defineKernel({
  name: "strided_copy",
  buffers: { x: "xSize", y: "out ySize" },
  integers: true,
  args: plain,
  flops: () => 0,
  bytes: ({ ySize }, elemBytes) => 2 * ySize * elemBytes,
  reference({ x }, { ySize }, a) {
    const y = new Float64Array(ySize).fill(NaN);
    for (let i = 0; i < a.n0 * a.n1 * a.n2 * a.n3 * a.n4 * a.n5; i++) {
      let rest = i, from = a.sourceStart, to = a.start;
      for (const k of [5, 4, 3, 2, 1, 0]) {
        const at = rest % a[`n${k}`];
        rest = (rest - at) / a[`n${k}`];
        from += at * a[`s${k}`];
        to += at * a[`d${k}`];
      }
      y[to] = x[from];
    }
    return { y };
  },
  tolerance: { f32: 0, f16: 0 },
  cases: [
    box({}),
    box({ n5: 259 }),
    // [3, 8, 12] → [8, 3, 12], whole vec4s
    box({ n3: 8, n4: 3, n5: 12, s3: 12, s4: 96, d3: 36, d4: 12 }),
    // [2, 12, 20] → [2, 20, 12], whole vec4s: axis 4 is the source's last, axis 5 the target's
    box({ n3: 2, n4: 20, n5: 12, s3: 240, s4: 1, s5: 20, d3: 240, d4: 12 }),
    // [2, 33, 67] → [2, 67, 33]
    box({ n3: 2, n4: 67, n5: 33, s3: 2211, s4: 1, s5: 67, d3: 2211, d4: 33 }),
    // five outer axes, reversed rows
    box({
      n0: 2,
      n1: 3,
      n2: 2,
      n3: 3,
      n4: 2,
      n5: 5,
      sourceStart: 4,
      s0: 5,
      s1: 10,
      s2: 30,
      s3: 60,
      s4: 180,
      s5: -1,
      d0: 180,
      d1: 60,
      d2: 30,
      d3: 10,
      d4: 5,
    }),
    // reversed planes of whole vec4s
    box({ n3: 3, n4: 2, n5: 8, sourceStart: 32, s3: -16, s4: 8, d3: 16, d4: 8 }),
    // [7, 1] repeated to [7, 9]
    box({ n4: 7, n5: 9, s4: 1, s5: 0, d4: 9 }),
  ],
  large: [
    box({ n4: 1024, n5: 1024, s4: 1, s5: 1024, d4: 1024 }),
    box({ n3: 8, n4: 768, n5: 197, s3: 151296, s4: 1, s5: 768, d3: 151296, d4: 197 }),
    box({
      n2: 8,
      n3: 12,
      n4: 197,
      n5: 64,
      s2: 151296,
      s3: 64,
      s4: 768,
      d2: 151296,
      d3: 12608,
      d4: 64,
    }),
  ],
  variants: [{
    name: "strided_copy_rows4",
    source: rows4,
    lib: [outerOffsets],
    constants: rowConstants(4),
    supports: (_, __, args) =>
      args.s5 === 1 && args.d5 === 1 && args.n5 % 4 === 0 &&
      isAligned(args, { source: 5, target: 5 }) && rowsFit(args, 4),
    workgroups: (_, { TX, TY }, args) => rowGrid(args, 4 * TX, 4 * TY),
  }, {
    name: "strided_copy_block4",
    source: block4,
    lib: [outerOffsets],
    tunables: { TX: [8, 4] },
    constants: (_, args) => ({ OUTER: outerAxes(args) }),
    supports: (_, __, args) =>
      args.s4 === 1 && args.s5 >= 0 && args.d5 === 1 && args.n4 % 4 === 0 && args.n5 % 4 === 0 &&
      isAligned(args, { source: 4, target: 5 }) && fits(tileGrid(args, 16, 32)),
    workgroups: (_, { TX }, args) => tileGrid(args, 4 * TX, 256 / TX),
  }, {
    name: "strided_copy_tile",
    source: tile,
    lib: [outerOffsets],
    constants: (_, args) => ({ OUTER: outerAxes(args) }),
    supports: (_, __, args) =>
      args.s4 === 1 && args.s5 !== 1 && args.n4 >= 8 && args.n5 >= 8 &&
      fits(tileGrid(args, 32, 32)),
    workgroups: (_, __, args) => tileGrid(args, 32, 32),
  }, {
    name: "strided_copy_rows",
    source: rows,
    lib: [outerOffsets],
    constants: rowConstants(1),
    supports: (_, __, args) => rowsFit(args, 1),
    workgroups: (_, { TX, TY }, args) => rowGrid(args, TX, 4 * TY),
  }, {
    name: "strided_copy_naive",
    source: naive,
    constants: rowConstants(1),
    loopTurns: (_, { TX, TY }, args) => gridTurns(rowGrid(args, TX, TY)),
    workgroups: (_, { TX, TY }, args) => {
      const [gx, gy, gz] = rowGrid(args, TX, TY);
      return [Math.min(gx, MAX_GROUPS), Math.min(gy, MAX_GROUPS), Math.min(gz, MAX_GROUPS)];
    },
  }],
});
