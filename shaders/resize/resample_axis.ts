/**
 * A linear map along one axis, given by a table of runs.
 *
 * @module
 */
import naive from "./resample_axis_naive.wgsl" with { type: "text" };
import v4 from "./resample_axis_v4.wgsl" with { type: "text" };
import { ceilDiv, defineKernel, type Dims, grid1d, type KernelSpec } from "../kernel.ts";
import { resampleTaps, type Taps } from "./taps.ts";

/** The table of a case: an antialiased cubic. */
function tableOf({ inSize, outSize }: Dims): Taps {
  return resampleTaps({ inSize, outSize, antialias: true }, "bicubic");
}

function tableCase(outer: number, inSize: number, outSize: number, inner: number): Dims {
  const taps = tableOf({ inSize, outSize }).weight.length;
  return { outer, inSize, outSize, inner, offsets: outSize + 1, taps };
}

/** Resamples the middle axis of `[outer, inSize, inner]` by the tables of a {@link Taps}. */
export const resampleAxisKernel: KernelSpec = defineKernel({
  name: "resample_axis",
  buffers: {
    x: "outer inSize inner",
    first: "u32 outSize",
    offset: "u32 offsets",
    weight: "f32 taps",
    y: "out outer outSize inner",
  },
  flops: ({ outer, inner, taps }) => 2 * outer * inner * taps,
  reference({ x, first, offset, weight }, { outer, inSize, outSize, inner }) {
    const y = new Float64Array(outer * outSize * inner);
    for (let z = 0; z < y.length; z++) {
      const j = z % inner, i = Math.floor(z / inner) % outSize;
      const o = Math.floor(z / (inner * outSize));
      for (let t = offset[i]; t < offset[i + 1]; t++) {
        y[z] += weight[t] * x[(o * inSize + first[i] + t - offset[i]) * inner + j];
      }
    }
    return { y };
  },
  data: {
    first: (_, _random, dims) => tableOf(dims).first,
    offset: (_, _random, dims) => tableOf(dims).offset,
    weight: (_, _random, dims) => tableOf(dims).weight,
  },
  // At most 30 products with weights that sum to 1: a few eps.
  tolerance: { f32: 1e-6, f16: 2e-3 },
  cases: [
    tableCase(1, 1, 1, 1),
    tableCase(3, 11, 7, 1),
    tableCase(2, 5, 13, 3),
    tableCase(2, 33, 8, 12),
  ],
  large: [tableCase(3, 512, 224, 512), tableCase(3 * 224, 512, 224, 1)],
  variants: [{
    name: "resample_axis_v4",
    source: v4,
    tunables: { WG: [64] },
    supports: ({ inner }) => inner % 4 === 0,
    loopTurns: ({ inSize, taps }) => Math.min(inSize, taps) + 1,
    workgroups: ({ outer, outSize, inner }, { WG }) =>
      grid1d(ceilDiv(outer * outSize * inner, 4 * WG)),
  }, {
    name: "resample_axis_naive",
    source: naive,
    tunables: { WG: [64] },
    loopTurns: ({ inSize, taps }) => Math.min(inSize, taps) + 1,
    workgroups: ({ outer, outSize, inner }, { WG }) => grid1d(ceilDiv(outer * outSize * inner, WG)),
  }],
});
