/**
 * Exact t-SNE: distances, the precision of every point, joint probabilities, forces, and the step of the descent. The matrix of
 * probabilities is held in panels of `rows` from point `first` on; the normalised similarities of the embedding are never stored.
 *
 * @module
 */
import distances from "./tsne_distances.wgsl" with { type: "text" };
import forcesNaive from "./tsne_forces_naive.wgsl" with { type: "text" };
import forcesSubgroup from "./tsne_forces_subgroup.wgsl" with { type: "text" };
import joint from "./tsne_joint.wgsl" with { type: "text" };
import pairLib from "../_lib/tsne_pair.wgsl" with { type: "text" };
import precisionLib from "../_lib/tsne_precision.wgsl" with { type: "text" };
import precisionsNaive from "./tsne_precisions_naive.wgsl" with { type: "text" };
import precisionsSubgroup from "./tsne_precisions_subgroup.wgsl" with { type: "text" };
import step from "./tsne_step.wgsl" with { type: "text" };
import {
  type Args,
  ceilDiv,
  defineKernel,
  type Dims,
  grid1d,
  type KernelSpec,
  type KernelVariant,
} from "../kernel.ts";
import { hasLanes } from "../reduce/reduce.ts";

const FLOOR = 2 ** -52;

const threads: KernelVariant["workgroups"] = ({ rows, n }, { WG }) => grid1d(ceilDiv(rows * n, WG));

/** Squared distances of some points to all, or the squares of their cosine distances where rows have unit length. */
export const tsneDistancesKernel: KernelSpec = defineKernel({
  name: "tsne_distances",
  buffers: { x: "f32 width n", d: "out f32 rows n" },
  args: { first: 0, squared: 0 },
  flops: ({ rows, n, width }) => 3 * rows * n * width,
  reference({ x }, { rows, n, width }, { first, squared }) {
    const d = new Float64Array(rows * n);
    for (let id = 0; id < d.length; id++) {
      const i = first + Math.floor(id / n), j = id % n;
      let s = 0;
      for (let c = 0; c < width; c++) s += (x[c * n + i] - x[c * n + j]) ** 2;
      d[id] = squared ? (s / 2) ** 2 : s;
    }
    return { d };
  },
  // A difference is exact to half an ulp, its square to two; a sum of 33 positive terms adds few, its square doubles all.
  tolerance: { f32: 2e-6 },
  cases: [
    { rows: 1, n: 1, width: 1 },
    { rows: 3, n: 7, width: 5, first: 4 },
    { rows: 5, n: 65, width: 33, first: 60, squared: 1 },
  ],
  large: [{ rows: 3328, n: 10000, width: 20 }],
  variants: [{
    name: "tsne_distances",
    source: distances,
    tunables: { WG: [64] },
    constants: (_, { squared }) => ({ SQUARED: squared }),
    loopTurns: ({ width }) => width + 1,
    workgroups: threads,
  }],
});

/** Lanes of a subgroup for each row, or a thread. */
function rowVariants(
  name: string,
  sources: { readonly subgroup: string; readonly naive: string; readonly lib: string },
  constants: (dims: Dims, args: Args) => Record<string, number>,
): KernelVariant[] {
  return [{
    name: `${name}_subgroup`,
    source: sources.subgroup,
    lib: [sources.lib],
    needs: ["subgroups"],
    constants: (dims, args, caps) => ({ ...constants(dims, args), SG: caps.subgroupMinSize }),
    supports: (_, caps) => hasLanes(caps),
    loopTurns: ({ n }, { SG }) => ceilDiv(n, SG) + 1,
    workgroups: ({ rows }) => grid1d(rows),
  }, {
    name: `${name}_naive`,
    source: sources.naive,
    lib: [sources.lib],
    tunables: { WG: [64] },
    constants,
    loopTurns: ({ n }) => n + 1,
    workgroups: ({ rows }, { WG }) => grid1d(ceilDiv(rows, WG)),
  }];
}

/** Next state (β, low, high, nearest) of a row's search, by the distances of the others. */
function nextState(
  others: Float64Array,
  state: Float64Array,
  { step, entropy }: Args,
): readonly number[] {
  const [beta, low, high, given] = state;
  if (step === 1 && low < 0) return [beta, low, high, given];
  const nearest = others.reduce((a, b) => Math.min(a, b), Infinity);
  if (step === 0) {
    const mean = others.reduce((a, b) => a + b - nearest, 0) / others.length;
    return [mean > 0 ? 1 / mean : 1, 0, 0, nearest];
  }
  const weights = others.map((d) => Math.exp(-(d - given) * beta));
  const sum = weights.reduce((a, b) => a + b, 0);
  if (step === 2) return [beta, sum, high, given];
  const moment = weights.reduce((total, w, j) => total + w * (others[j] - given), 0) / sum;
  const excess = Math.log(sum) + beta * moment - entropy;
  if (Math.abs(excess) <= 1e-5) return [beta, -1, high, given];
  if (excess > 0) return [high === 0 ? 2 * beta : (beta + high) / 2, beta, high, given];
  return [(beta + low) / 2, low, beta, given];
}

/** Distances of which the nearest is about 1. */
const spread = (size: number, random: () => number) =>
  Float64Array.from({ length: size }, () => 1 + 4 * random());

/** States in the middle of a search, one in three at its end. */
const states = (size: number, random: () => number) =>
  Float64Array.from(
    { length: size },
    (_, at) => [0.5 + random(), at % 12 === 1 ? -1 : 0.25, 2, 1][at % 4],
  );

/** One step of every row's search for the precision whose neighbours have the wanted entropy, in place. */
export const tsnePrecisionsKernel: KernelSpec = defineKernel({
  name: "tsne_precisions",
  buffers: { d: "f32 rows n", states: "inout f32 rows 4" },
  args: { first: 0, step: 1, entropy: 1 },
  flops: ({ rows, n }) => 6 * rows * n,
  reference({ d, states }, { rows, n }, args) {
    for (let r = 0; r < rows; r++) {
      const others = d.subarray(r * n, (r + 1) * n).filter((_, j) => j !== args.first + r);
      states.set(nextState(others, states.slice(4 * r, 4 * r + 4), args), 4 * r);
    }
    return { states };
  },
  data: { d: spread, states },
  tolerance: { f32: 3e-6 }, // sums of up to 129 positive terms, each a few ulp of exp at exponents above −8
  cases: [
    { rows: 1, n: 2, step: 0 },
    { rows: 3, n: 9, first: 6, step: 1, entropy: 1.5 },
    { rows: 5, n: 130, first: 7, step: 1, entropy: 4.6 },
    { rows: 70, n: 129, step: 2 },
  ],
  large: [{ rows: 3328, n: 10000 }],
  variants: rowVariants(
    "tsne_precisions",
    { subgroup: precisionsSubgroup, naive: precisionsNaive, lib: precisionLib },
    (_, { step }) => ({ STEP: step }),
  ),
});

/** Distances to joint probabilities, in place. */
export const tsneJointKernel: KernelSpec = defineKernel({
  name: "tsne_joint",
  buffers: { states: "f32 n 4", d: "inout f32 rows n" },
  args: { first: 0 },
  flops: ({ rows, n }) => 12 * rows * n,
  reference({ states, d }, { rows, n }, { first }) {
    const conditional = (distance: number, i: number) => {
      const [beta, sum, , nearest] = states.subarray(4 * i, 4 * i + 4);
      return Math.exp((nearest - distance) * beta) / sum;
    };
    for (let id = 0; id < rows * n; id++) {
      const i = first + Math.floor(id / n), j = id % n;
      const sum = conditional(d[id], i) + conditional(d[id], j);
      d[id] = i === j ? 0 : Math.max(sum / (2 * n), FLOOR);
    }
    return { d };
  },
  data: { d: spread, states: (size, random) => states(size, random).map((v) => Math.max(v, 1)) },
  tolerance: { f32: 3e-6 }, // exp at exponents above −8, which carries half an ulp of its argument each
  cases: [{ rows: 1, n: 2 }, { rows: 3, n: 9, first: 5 }, { rows: 4, n: 65, first: 1 }],
  large: [{ rows: 3328, n: 10000 }],
  variants: [{
    name: "tsne_joint",
    source: joint,
    tunables: { WG: [64] },
    workgroups: threads,
  }],
});

/** Forces on one point, `[8]`. */
function forcesOn(
  p: Float64Array,
  y: Float64Array,
  { i, dim, exact }: { readonly i: number; readonly dim: number; readonly exact: number },
): Float64Array {
  const out = new Float64Array(8), dof = dim - 1;
  for (let j = 0; j < p.length; j++) {
    if (j === i) continue;
    const difference = Array.from({ length: dim }, (_, c) => y[i * dim + c] - y[j * dim + c]);
    const u = 1 / (1 + difference.reduce((s, v) => s + v * v, 0) / dof);
    const t = u ** ((dof + 1) / 2), weight = exact ? u : t;
    difference.forEach((v, c) => {
      out[c] += p[j] * weight * v;
      out[4 + c] += t * weight * v;
    });
    out[3] += t;
    out[7] += p[j] > 0 ? p[j] * Math.log(p[j] / t) : 0;
  }
  return out;
}

/** Attraction, kernel, repulsion and divergence of some points, each summed over all others. */
export const tsneForcesKernel: KernelSpec = defineKernel({
  name: "tsne_forces",
  buffers: { p: "f32 rows n", y: "f32 n dim", forces: "out f32 rows 8" },
  args: { first: 0, divergence: 1, exact: 0 },
  flops: ({ rows, n, dim }) => (9 * dim + 8) * rows * n,
  reference({ p, y }, { rows, n, dim }, { first, exact, divergence }) {
    const forces = new Float64Array(rows * 8);
    for (let r = 0; r < rows; r++) {
      const row = forcesOn(p.subarray(r * n, (r + 1) * n), y, { i: first + r, dim, exact });
      forces.set(row, 8 * r);
      if (!divergence) forces[8 * r + 7] = 0;
    }
    return { forces };
  },
  data: { p: (size, random) => Float64Array.from({ length: size }, () => 0.1 + random()) },
  // Sums of up to 130 terms of random signs, each of eight roundings; relative to their own rms, which is √n of a term.
  tolerance: { f32: 5e-6 },
  cases: [
    { rows: 1, n: 2, dim: 2 },
    { rows: 3, n: 9, dim: 3, first: 6 },
    { rows: 5, n: 65, dim: 3, exact: 1, first: 60 },
    { rows: 70, n: 130, dim: 2, divergence: 0, first: 7 },
  ],
  large: [{ rows: 3328, n: 10000, dim: 3, divergence: 0 }],
  variants: rowVariants(
    "tsne_forces",
    { subgroup: forcesSubgroup, naive: forcesNaive, lib: pairLib },
    ({ dim }, { divergence, exact }) => ({ DIM: dim, DIVERGENCE: divergence, EXACT: exact }),
  ),
});

/** One step of the descent, in place; `slope` is the gradient times the gains. */
export const tsneStepKernel: KernelSpec = defineKernel({
  name: "tsne_step",
  buffers: {
    forces: "f32 n 8",
    totals: "f32 8",
    y: "inout f32 n dim",
    velocity: "inout f32 n dim",
    gains: "inout f32 n dim",
    slope: "out f32 n dim",
  },
  args: { factor: 4, exaggeration: 12, momentum: 0.5, rate: 0.25, minGain: 0.01 },
  flops: ({ n, dim }) => 12 * n * dim,
  reference({ forces, totals, y, velocity, gains }, { n, dim }, a) {
    const slope = new Float64Array(n * dim);
    for (let id = 0; id < n * dim; id++) {
      const at = 8 * Math.floor(id / dim) + id % dim;
      const g = a.factor * (a.exaggeration * forces[at] - forces[at + 4] / totals[3]);
      const gain = velocity[id] * g < 0 ? gains[id] + 0.2 : 0.8 * gains[id];
      gains[id] = Math.max(gain, a.minGain);
      slope[id] = gains[id] * g;
      velocity[id] = a.momentum * velocity[id] - a.rate * slope[id];
      y[id] += velocity[id];
    }
    return { y, velocity, gains, slope };
  },
  data: {
    totals: (size, random) => Float64Array.from({ length: size }, () => 1 + random()),
    gains: (size, random) => Float64Array.from({ length: size }, () => 0.01 + random()),
  },
  // Eight roundings of terms a few times the results, which cancel to a tenth of their rms at most.
  tolerance: { f32: 5e-6 },
  cases: [{ n: 1, dim: 2 }, { n: 43, dim: 3 }, { n: 65, dim: 2, exaggeration: 1, momentum: 0.8 }],
  large: [{ n: 10000, dim: 3 }],
  variants: [{
    name: "tsne_step",
    source: step,
    tunables: { WG: [64] },
    workgroups: ({ n, dim }, { WG }) => grid1d(ceilDiv(n * dim, WG)),
  }],
});

/** Every kernel of t-SNE. */
export const tsneKernels: readonly KernelSpec[] = [
  tsneDistancesKernel,
  tsnePrecisionsKernel,
  tsneJointKernel,
  tsneForcesKernel,
  tsneStepKernel,
];
