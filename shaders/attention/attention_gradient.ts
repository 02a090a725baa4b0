/**
 * Gradients of attention by q, k or v, from the logarithms of the rows' sums: the scores are computed again.
 *
 * @module
 */
import naive from "./attention_gradient_naive.wgsl" with { type: "text" };
import subgroup from "./attention_gradient_subgroup.wgsl" with { type: "text" };
import tiled from "./attention_gradient_tiled.wgsl" with { type: "text" };
import scores from "../_lib/attention_scores.wgsl" with { type: "text" };
import subgroupDot from "../_lib/subgroup_dot32.wgsl" with { type: "text" };
import {
  type Args,
  ceilDiv,
  type Constants,
  defineKernel,
  type Dims,
  type KernelSpec,
} from "../kernel.ts";
import {
  attentionArgs,
  attentionConstants,
  hasLanes,
  hasVec4Rows,
  logitsOf,
  packed,
  separate,
  tiledTurns,
  tileKeys,
  windowCase,
} from "./attention.ts";

const constants = (dims: Dims, args: Args): Constants => ({
  ...attentionConstants(dims, args),
  OF: args.of,
  ACCUMULATE: args.accumulate,
});

const rowsOf = ({ tq, tk }: Dims, { of }: Args) => (of === 0 ? tq : tk);

const columnsOf = ({ tq, tk }: Dims, { of }: Args) => (of === 0 ? tk : tq);

const isAligned = ({ dOffset, dStride }: Args) => dOffset % 4 === 0 && dStride % 4 === 0;

/** A case of {@link packed} whose gradient goes where its operand lies. */
function packedCase(dims: Dims, of: 0 | 1 | 2): Dims {
  const at = [dims.qOffset, dims.kOffset, dims.vOffset][of];
  return { ...dims, of, dOffset: at, dStride: dims.qStride, dSize: dims.qSize };
}

function separateCase(dims: Dims, of: 0 | 1 | 2): Dims {
  const tokens = rowsOf(dims, { of });
  return { ...dims, of, dStride: dims.qStride, dSize: dims.batch * tokens * dims.qStride };
}

/**
 * One gradient of {@link attentionKernel} for the gradient `g` of its result: `of` 0 dq, 1 dk, 2 dv. `delta` is Σ g·o over each head's
 * values, `lse` what the forward pass gave. The gradient goes into rows of `d` from `dOffset` on, `dStride` apart, and is added to
 * what is there with `accumulate` 1.
 */
export const attentionGradientKernel: KernelSpec = defineKernel({
  name: "attention_gradient",
  buffers: {
    q: "qSize",
    k: "kSize",
    v: "vSize",
    g: "batch tq heads*headDim",
    lse: "f32 batch tq heads",
    delta: "batch tq heads",
    level: "levelSize",
    d: "inout dSize",
  },
  args: { ...attentionArgs, of: 0, accumulate: 0, dOffset: 0, dStride: 0 },
  flops: ({ batch, tq, tk, heads, headDim }, { of }) =>
    (of === 2 ? 4 : 6) * batch * tq * tk * heads * headDim,
  bytes: ({ batch, tq, tk, heads, headDim }, elemBytes) =>
    (3 * tq + 2 * tk) * batch * heads * headDim * elemBytes,
  reference(inputs, dims, args) {
    const { q, k, v, g, lse, delta } = inputs;
    const { batch, tq, tk, heads, headDim } = dims;
    const d = inputs.d.slice(), tokens = rowsOf(dims, args);
    const at = (row: number, head: number) => row * args.dStride + args.dOffset + head * headDim;
    for (let row = 0; row < batch * tokens && !args.accumulate; row++) {
      d.fill(0, at(row, 0), at(row, heads));
    }
    for (let row = 0; row < batch * tq; row++) {
      const z = Math.floor(row / tq);
      for (let head = 0; head < heads; head++) {
        const logits = logitsOf(inputs, { batch: z, head, i: row % tq }, dims, args);
        const fromG = (row * heads + head) * headDim;
        const fromQ = row * args.qStride + args.qOffset + head * headDim;
        for (let j = 0; j < tk; j++) {
          const fromK = (z * tk + j) * args.kStride + args.kOffset + head * headDim;
          const fromV = (z * tk + j) * args.vStride + args.vOffset + head * headDim;
          const p = Math.exp(logits[j] - lse[row * heads + head]);
          let gv = 0;
          for (let c = 0; c < headDim; c++) gv += g[fromG + c] * v[fromV + c];
          const ds = p * (gv - delta[row * heads + head]) * args.scale;
          const to = at(args.of === 0 ? row : z * tk + j, head);
          for (let c = 0; c < headDim; c++) {
            d[to + c] += [ds * k[fromK + c], ds * q[fromQ + c], p * g[fromG + c]][args.of];
          }
        }
      }
    }
    return { d };
  },
  // Weights of about 1/8 instead of true sums: p then has the size that a row of some tokens gives.
  data: { lse: (size, random) => Float64Array.from({ length: size }, () => 2 + random()) },
  // Weights are relative to exp's 2 ulp times logits of a few; sums of up to 77 terms relative to their rms.
  tolerance: { f32: 2e-5, f16: 4e-3 },
  cases: [
    separateCase(separate({ batch: 1, tq: 1, tk: 1 }, 1, 4), 0),
    packedCase({ ...packed(2, 17, 2, 32), ...windowCase }, 0),
    packedCase({ ...packed(1, 21, 2, 20), causal: 1, accumulate: 1 }, 1),
    packedCase({ ...packed(2, 17, 2, 32), ...windowCase, positional: 1 }, 2),
    separateCase(separate({ batch: 2, tq: 5, tk: 19 }, 2, 64), 1),
    separateCase(separate({ batch: 1, tq: 9, tk: 6 }, 3, 7), 0),
    packedCase({ ...packed(1, 9, 1, 80), causal: 1 }, 0),
  ],
  large: [
    packedCase(packed(1, 197, 12, 64), 0),
    packedCase(packed(1, 197, 12, 64), 1),
    packedCase(packed(1, 197, 12, 64), 2),
  ],
  variants: [
    {
      name: "attention_gradient_subgroup",
      source: subgroup,
      lib: [scores, subgroupDot],
      needs: ["subgroups"],
      constants: (dims, args, caps) => ({ ...constants(dims, args), SG: caps.subgroupMinSize }),
      supports: (dims, caps, args) => hasLanes(caps) && hasVec4Rows(dims, args) && isAligned(args),
      loopTurns: (dims, _, args) => ceilDiv(columnsOf(dims, args), 2) + 1,
      workgroups: (dims, { SG }, args) => [
        ceilDiv(rowsOf(dims, args), SG),
        dims.heads,
        dims.batch,
      ],
    },
    {
      name: "attention_gradient_tiled",
      source: tiled,
      lib: [scores],
      constants: (dims, args) => ({
        ...constants(dims, args),
        COLUMNS: tileKeys(dims.headDim + 4), // and two values per column besides
      }),
      supports: ({ headDim }, { maxWorkgroupInvocations, maxWorkgroupStorage }) =>
        maxWorkgroupInvocations >= 64 && maxWorkgroupStorage >= 16384 && headDim <= 256,
      loopTurns: (dims, { COLUMNS }, args) =>
        tiledTurns(columnsOf(dims, args), dims.headDim, COLUMNS),
      workgroups: (dims, _, args) => [ceilDiv(rowsOf(dims, args), 64), dims.heads, dims.batch],
    },
    {
      name: "attention_gradient_naive",
      source: naive,
      lib: [scores],
      tunables: { WG: [64] },
      constants,
      loopTurns: (dims, _, args) =>
        columnsOf(dims, args) * (2 * dims.headDim + 3) + 2 * dims.headDim + 3,
      workgroups: (dims, { WG }, args) => [
        ceilDiv(rowsOf(dims, args), WG),
        dims.heads,
        dims.batch,
      ],
    },
  ],
});
