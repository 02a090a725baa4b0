/**
 * Normalisation of the channels of images: group, instance and batch norm, with an affine map and an activation in the same pass.
 *
 * @module
 */
import channelNormNaive from "./channel_norm_naive.wgsl" with { type: "text" };
import channelNormV4 from "./channel_norm_v4.wgsl" with { type: "text" };
import gradient from "./channel_norm_gradient.wgsl" with { type: "text" };
import reduce from "./channel_norm_reduce.wgsl" with { type: "text" };
import sums from "./channel_norm_sums.wgsl" with { type: "text" };
import momentsNaive from "./channel_moments_naive.wgsl" with { type: "text" };
import momentsV4 from "./channel_moments_v4.wgsl" with { type: "text" };
import activations from "../_lib/activations.wgsl" with { type: "text" };
import channelLib from "../_lib/channel_norm.wgsl" with { type: "text" };
import workgroupReduce from "../_lib/workgroup_reduce.wgsl" with { type: "text" };
import { activationByCode, activationSlopeByCode } from "../elementwise/unary.ts";
import {
  type Args,
  ceilDiv,
  type Constants,
  defineKernel,
  type Dims,
  grid1d,
  type HostArrays,
  type KernelSpec,
} from "../kernel.ts";

/** Mean and population variance of each row of `[outer, rows, inner]` over `outer` and `inner`. */
export const channelMomentsKernel: KernelSpec = defineKernel({
  name: "channel_moments",
  buffers: { x: "outer rows inner", mean: "out f32 rows", variance: "out f32 rows" },
  flops: ({ outer, rows, inner }) => 4 * outer * rows * inner,
  reference({ x }, { outer, rows, inner }) {
    const mean = new Float64Array(rows), variance = new Float64Array(rows);
    const count = outer * inner;
    const each = (visit: (row: number, v: number) => void) =>
      x.forEach((v, k) => visit(Math.floor(k / inner) % rows, v));
    each((row, v) => mean[row] += v / count);
    each((row, v) => variance[row] += (v - mean[row]) ** 2 / count);
    return { mean, variance };
  },
  // Values around 3: the mean is exact to eps·log count, the variance to twice that.
  data: { x: (size, random) => Float64Array.from({ length: size }, () => 2.5 + random()) },
  tolerance: { f32: 1e-6, f16: 1e-6 },
  cases: [
    { outer: 1, rows: 1, inner: 2 },
    { outer: 1, rows: 5, inner: 197 },
    { outer: 3, rows: 4, inner: 65 },
    { outer: 7, rows: 3, inner: 1 },
    { outer: 2, rows: 3, inner: 300 },
  ],
  large: [{ outer: 1, rows: 32, inner: 16384 }, { outer: 8, rows: 64, inner: 3136 }],
  variants: ([["v4", momentsV4], ["naive", momentsNaive]] as const).map(([form, source]) => ({
    name: `channel_moments_${form}`,
    source,
    lib: [workgroupReduce],
    tunables: { WG: [64, 256] },
    supports: ({ inner }: Dims) => form === "naive" || inner % 4 === 0,
    loopTurns: ({ outer, inner }: Dims, { WG }: Constants) =>
      2 * (outer * (ceilDiv(inner, 4 * WG) + 2) + 1),
    workgroups: ({ rows }: Dims) => grid1d(rows),
  })),
});

const statistics = { mean: "f32 stats", variance: "f32 stats" };
const affine = { weight: "weightSize", bias: "biasSize" };
const args = { eps: 1e-5, activation: 0, hasWeight: 1, hasBias: 1 };

/** Group norm of 3 images of 2 groups of 3 channels, batch norm of 5 channels, one value, nothing affine. */
const shapes: readonly Dims[] = [
  {
    ...{ n: 3, channels: 6, inner: 35, stats: 6, statsPerImage: 2, channelsPerStat: 3 },
    ...{ weightSize: 6, biasSize: 6, activation: 2 },
  },
  {
    ...{ n: 2, channels: 5, inner: 66, stats: 5, statsPerImage: 0, channelsPerStat: 1 },
    ...{ weightSize: 5, biasSize: 5, activation: 1 },
  },
  {
    ...{ n: 1, channels: 2, inner: 1031, stats: 1, statsPerImage: 1, channelsPerStat: 2 },
    ...{ weightSize: 2, biasSize: 2, activation: 2 },
  },
  {
    ...{ n: 2, channels: 6, inner: 1036, stats: 4, statsPerImage: 2, channelsPerStat: 3 },
    ...{ weightSize: 6, biasSize: 6, activation: 2 },
  },
  {
    ...{ n: 1, channels: 1, inner: 1, stats: 1, statsPerImage: 1, channelsPerStat: 1 },
    ...{ weightSize: 1, biasSize: 1, hasWeight: 0, hasBias: 0 },
  },
];

const positive = (size: number, random: () => number) =>
  Float64Array.from({ length: size }, () => 0.5 + random());

const data = { variance: positive };

/** Calls `visit` for every value with its channel, statistics and normalised value. */
function eachValue(
  { x, mean, variance, weight, bias }: HostArrays,
  { channels, inner, statsPerImage, channelsPerStat }: Dims,
  { eps, hasWeight, hasBias }: Args,
  visit: (at: { k: number; row: number; s: number; xHat: number; w: number; z: number }) => void,
): void {
  for (let k = 0; k < x.length; k++) {
    const row = Math.floor(k / inner), c = row % channels;
    const s = Math.floor(row / channels) * statsPerImage + Math.floor(c / channelsPerStat);
    const xHat = (x[k] - mean[s]) / Math.sqrt(variance[s] + eps);
    const w = hasWeight ? weight[c] : 1;
    visit({ k, row, s, xHat, w, z: xHat * w + (hasBias ? bias[c] : 0) });
  }
}

const activationConstant = (_: Dims, { activation }: Args): Constants => ({
  ACTIVATION: activation,
});
const chunkTurns = (_: Dims, { WG }: Constants) => ceilDiv(1024, 4 * WG) + 1;
/** One workgroup for every 1,024 values of a channel (`CHUNK` of the shaders). */
const chunks = ({ n, channels, inner }: Dims) => grid1d(n * channels * ceilDiv(inner, 1024));

const large: readonly Dims[] = [{
  ...{ n: 1, channels: 256, inner: 4096, stats: 32, statsPerImage: 32, channelsPerStat: 8 },
  ...{ weightSize: 256, biasSize: 256, activation: 2 },
}];

/**
 * `activation((x − mean[s]) / √(variance[s] + eps) · weight + bias)`; `statsPerImage` is 0 where all images share one set of statistics,
 * and a group of `channelsPerStat` neighbouring channels shares one of them.
 */
export const channelNormKernel: KernelSpec = defineKernel({
  name: "channel_norm",
  buffers: { x: "n channels inner", ...statistics, ...affine, y: "out n channels inner" },
  args,
  flops: ({ n, channels, inner }) => 4 * n * channels * inner,
  reference(inputs, dims, args) {
    const y = new Float64Array(inputs.x.length);
    const activate = activationByCode.get(args.activation)!;
    eachValue(inputs, dims, args, ({ k, z }) => y[k] = activate(z));
    return { y };
  },
  data,
  tolerance: { f32: 4e-6, f16: 2e-3 }, // exp is good to 16 ulp on the software drivers
  cases: shapes,
  large,
  variants: ([["v4", channelNormV4], ["naive", channelNormNaive]] as const).map((
    [form, source],
  ) => ({
    name: `channel_norm_${form}`,
    source,
    lib: [activations, channelLib],
    tunables: { WG: [64] },
    constants: activationConstant,
    supports: ({ inner }: Dims) => form === "naive" || inner % 4 === 0,
    loopTurns: chunkTurns,
    workgroups: chunks,
  })),
});

/** `Σ g′` and `Σ g′·x̂` of each image and channel, from which all gradients follow; `g′` is `g` before the activation. */
export const channelNormSumsKernel: KernelSpec = defineKernel({
  name: "channel_norm_sums",
  buffers: {
    ...{ x: "n channels inner", g: "n channels inner", ...statistics, ...affine },
    ...{ sumG: "out f32 n channels", sumGX: "out f32 n channels" },
  },
  args,
  flops: ({ n, channels, inner }) => 8 * n * channels * inner,
  reference(inputs, dims, args) {
    const sumG = new Float64Array(dims.n * dims.channels), sumGX = sumG.slice();
    const slope = activationSlopeByCode.get(args.activation)!;
    eachValue(inputs, dims, args, ({ k, row, xHat, z }) => {
      sumG[row] += inputs.g[k] * slope(z);
      sumGX[row] += inputs.g[k] * slope(z) * xHat;
    });
    return { sumG, sumGX };
  },
  data,
  // Sums of up to 1,031 products of which some cancel.
  tolerance: { f32: 1e-5, f16: 1e-5 },
  cases: shapes,
  large,
  variants: [{
    name: "channel_norm_sums",
    source: sums,
    lib: [activations, channelLib, workgroupReduce],
    tunables: { WG: [64, 256] },
    constants: activationConstant,
    loopTurns: ({ inner }, { WG }) => ceilDiv(inner, 4 * WG) + 1,
    workgroups: ({ n, channels }) => grid1d(n * channels),
  }],
});

/** Gradients by weight and bias, and the two means that the gradient by `x` needs, from {@link channelNormSumsKernel}. */
export const channelNormReduceKernel: KernelSpec = defineKernel({
  name: "channel_norm_reduce",
  buffers: {
    ...{ sumG: "f32 n channels", sumGX: "f32 n channels", weight: "weightSize" },
    ...{ dWeight: "out channels", dBias: "out channels", means: "out f32 2 stats" },
  },
  args: { hasWeight: 1 },
  flops: ({ n, channels }) => 6 * n * channels,
  reference({ sumG, sumGX, weight }, dims, { hasWeight }) {
    const { n, channels, inner, stats, statsPerImage, channelsPerStat } = dims;
    const dWeight = new Float64Array(channels), dBias = new Float64Array(channels);
    const means = new Float64Array(2 * stats);
    const count = (statsPerImage ? 1 : n) * channelsPerStat * inner;
    for (let row = 0; row < n * channels; row++) {
      const c = row % channels;
      const s = Math.floor(row / channels) * statsPerImage + Math.floor(c / channelsPerStat);
      const w = hasWeight ? weight[c] : 1;
      dWeight[c] += sumGX[row];
      dBias[c] += sumG[row];
      means[s] += w * sumG[row] / count;
      means[stats + s] += w * sumGX[row] / count;
    }
    return { dWeight, dBias, means };
  },
  tolerance: { f32: 1e-6, f16: 2e-3 },
  cases: shapes.map(({ activation: _a, hasBias: _h, biasSize: _b, ...dims }) => dims),
  variants: [{
    name: "channel_norm_reduce",
    source: reduce,
    tunables: { WG: [64] },
    loopTurns: ({ n, statsPerImage, channelsPerStat }) =>
      (statsPerImage ? 1 : n) * (channelsPerStat + 2) + n + 2,
    workgroups: ({ channels, stats }, { WG }) => grid1d(ceilDiv(Math.max(channels, stats), WG)),
  }],
});

/** Gradient of {@link channelNormKernel} by `x`; `isFixed` is 1 where the statistics are constants. */
export const channelNormGradientKernel: KernelSpec = defineKernel({
  name: "channel_norm_gradient",
  buffers: {
    ...{ x: "n channels inner", g: "n channels inner", ...statistics, ...affine },
    ...{ means: "f32 meansSize", dx: "out n channels inner" },
  },
  args: { ...args, isFixed: 0 },
  flops: ({ n, channels, inner }) => 10 * n * channels * inner,
  reference(inputs, dims, args) {
    const { x, g, means, variance } = inputs;
    const dx = new Float64Array(x.length);
    const slope = activationSlopeByCode.get(args.activation)!;
    eachValue(inputs, dims, args, ({ k, s, xHat, w, z }) => {
      const shared = args.isFixed ? 0 : means[s] + xHat * means[dims.stats + s];
      dx[k] = (w * g[k] * slope(z) - shared) / Math.sqrt(variance[s] + args.eps);
    });
    return { dx };
  },
  data,
  tolerance: { f32: 5e-6, f16: 2e-3 },
  cases: shapes.flatMap((dims) => [
    { ...dims, meansSize: 2 * dims.stats },
    { ...dims, meansSize: dims.stats, isFixed: 1 },
  ]),
  large: large.map((dims) => ({ ...dims, meansSize: 2 * dims.stats })),
  variants: [{
    name: "channel_norm_gradient",
    source: gradient,
    lib: [activations, channelLib],
    tunables: { WG: [64] },
    constants: (_, { activation, isFixed }) => ({ ACTIVATION: activation, FIXED: isFixed }),
    loopTurns: chunkTurns,
    workgroups: chunks,
  }],
});
