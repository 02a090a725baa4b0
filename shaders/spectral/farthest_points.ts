/**
 * Farthest-point sampling: all picks of a call in one dispatch, without a look from the host in between.
 *
 * @module
 */
import boxesSource from "./farthest_points_boxes.wgsl" with { type: "text" };
import naive from "./farthest_points_naive.wgsl" with { type: "text" };
import { type Args, ceilDiv, type Constants, defineKernel, type Dims } from "../kernel.ts";
import type { KernelSpec } from "../kernel.ts";

/** Points of a block. */
export const FARTHEST_BLOCK = 16;

/** Whole numbers from 0 to 15, the same for a place whoever asks: squared distances are exact, and ties are many. */
function somePoint(block: number, at: number, axis: number): number {
  const scattered = ((block * 7919 + axis * 104729) * Math.SQRT2) % 1;
  const inside = ((at * 31 + axis * 17 + block) * Math.sqrt(3)) % 1;
  return Math.floor(12 * scattered) + Math.floor(4 * inside);
}

const pointsOf = ({ n, d }: Dims) =>
  Float64Array.from({ length: n * d }, (_, i) => {
    const row = Math.floor(i / d);
    return somePoint(Math.floor(row / FARTHEST_BLOCK), row % FARTHEST_BLOCK, i % d);
  });

function boxesOf(dims: Dims): Float64Array {
  const { blocks, d } = dims, points = pointsOf(dims);
  const boxes = new Float64Array(blocks * 2 * d);
  for (let block = 0; block < blocks; block++) {
    for (let axis = 0; axis < d; axis++) {
      const inside = Array.from(
        { length: FARTHEST_BLOCK },
        (_, i) => points[(block * FARTHEST_BLOCK + i) * d + axis],
      );
      boxes[block * 2 * d + axis] = Math.min(...inside);
      boxes[(block * 2 + 1) * d + axis] = Math.max(...inside);
    }
  }
  return boxes;
}

/** The place of the greatest value from `start` on; of equal ones that of the lowest order. */
function farthest(nearest: Float64Array, order: Float64Array, start: number, end: number): number {
  let best = start;
  for (let at = start + 1; at < end; at++) {
    const isBetter = nearest[at] > nearest[best] ||
      nearest[at] === nearest[best] && order[at] < order[best];
    if (isBetter) best = at;
  }
  return best;
}

const sized = (blocks: number, m: number, args: Args, d = 8): Dims => ({
  ...{ n: blocks * FARTHEST_BLOCK, blocks, m, d, ...args },
});

const constants = ({ d }: Dims): Constants => ({ D4: d / 4, PER: FARTHEST_BLOCK });

/**
 * Takes `count` points one after the other, each the one whose nearest taken point is farthest, of equal ones the first in `order`;
 * `points` lie in blocks of 16 within `boxes`. `nearest` begins with squared distances to what was taken before, or any numbers that
 * say what to begin with; a point that was taken has −1, and one that must not be has less.
 */
export const farthestPointsKernel: KernelSpec = defineKernel({
  name: "farthest_points",
  buffers: {
    points: "f32 n d",
    order: "u32 n",
    boxes: "f32 blocks 2 d",
    nearest: "inout f32 n",
    picks: "inout u32 m",
    peaks: "out f32 blocks",
    tops: "out u32 blocks",
  },
  args: { first: 0, count: 3 },
  flops: ({ n, d }, { count }) => 3 * n * d * count,
  reference({ points, order, nearest, picks }, { n, d, blocks }, { first, count }) {
    nearest = nearest.slice();
    picks = picks.slice();
    for (let step = 0; step < count; step++) {
      const pick = farthest(nearest, order, 0, n);
      picks[first + step] = order[pick];
      for (let at = 0; at < n; at++) {
        let square = 0;
        for (let c = 0; c < d; c++) square += (points[at * d + c] - points[pick * d + c]) ** 2;
        nearest[at] = at === pick ? -1 : Math.min(nearest[at], square);
      }
    }
    const tops = Float64Array.from(
      { length: blocks },
      (_, b) => farthest(nearest, order, b * FARTHEST_BLOCK, (b + 1) * FARTHEST_BLOCK),
    );
    return { nearest, picks, peaks: tops.map((at) => nearest[at]), tops };
  },
  data: {
    points: (_size, _random, dims) => pointsOf(dims),
    boxes: (_size, _random, dims) => boxesOf(dims),
    order: (n) => Float64Array.from({ length: n }, (_, i) => n - 1 - i), // ties go to the later place
    nearest: (n, random) =>
      Float64Array.from({ length: n }, () => random() < 0.1 ? -2 : Math.floor(1000 * random())),
    picks: (m) => new Float64Array(m).fill(7),
  },
  tolerance: { f32: 0 }, // sums of squares of small whole numbers are exact
  cases: [
    sized(1, 2, { first: 1, count: 1 }),
    sized(3, 20, { first: 0, count: 20 }, 4),
    sized(67, 40, { first: 5, count: 33 }),
    sized(131, 70, { first: 0, count: 70 }, 12),
  ],
  large: [sized(2560, 80, { first: 0, count: 80 })],
  variants: [{
    name: "farthest_points_boxes",
    source: boxesSource,
    constants: (dims, _, caps) => {
      const WG = caps.isSoftware ? 64 : 256;
      return { ...constants(dims), WG, SIDE: Math.sqrt(WG) };
    },
    supports: (_, { maxWorkgroupInvocations, isSoftware }) =>
      isSoftware || maxWorkgroupInvocations >= 256,
    loopTurns: ({ blocks, d }, { WG }, { count }) => farthestTurns({ blocks, d }, WG) * (count + 1),
    workgroups: () => [1, 1, 1],
  }, {
    name: "farthest_points_naive",
    source: naive,
    tunables: { WG: [64] },
    constants,
    loopTurns: ({ blocks, d }, { WG }, { count }) =>
      (2 * farthestTurns({ blocks, d }, WG) + WG) * (count + 1),
    workgroups: () => [1, 1, 1],
  }],
});

/**
 * Turns of the loops of one thread for one pick, at most, the look that ends a loop counted: over its blocks, over the points of each and
 * the quads of their coordinates, those of the box beside, and over the best of its side and of all sides.
 */
export function farthestTurns(
  { blocks, d }: { readonly blocks: number; readonly d: number },
  threads = 64,
): number {
  const quads = ceilDiv(d, 4) + 1;
  const perBlock = 1 + FARTHEST_BLOCK * (1 + quads) + 1 + quads;
  return ceilDiv(blocks, threads) * perBlock + 2 * Math.sqrt(threads) + 4;
}
