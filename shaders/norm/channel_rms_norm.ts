/**
 * Channels of every place of images brought to one length, with an affine map and an activation in the same pass.
 *
 * @module
 */
import forward from "./channel_rms_norm.wgsl" with { type: "text" };
import gradient from "./channel_rms_norm_gradient.wgsl" with { type: "text" };
import sums from "./channel_rms_norm_sums.wgsl" with { type: "text" };
import sumsRows from "./channel_rms_norm_sums_rows.wgsl" with { type: "text" };
import activations from "../_lib/activations.wgsl" with { type: "text" };
import affineLib from "../_lib/channel_rms_norm.wgsl" with { type: "text" };
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

const affine = { weight: "weightSize", bias: "biasSize" };
const args = { least: 1e-12, activation: 0, hasBias: 1 };

/** One list of weights for all images and none of biases; both for every image, an activation; one value. */
const cases: readonly Dims[] = [
  { ...{ n: 3, channels: 6, inner: 35, weightSize: 6, biasSize: 6 }, hasBias: 0 },
  { ...{ n: 2, channels: 5, inner: 131, weightSize: 10, biasSize: 10 }, activation: 2 },
  { ...{ n: 2, channels: 33, inner: 4, weightSize: 33, biasSize: 66 }, activation: 1 },
  { n: 1, channels: 1, inner: 1, weightSize: 1, biasSize: 1 },
];
const large: readonly Dims[] = [
  { ...{ n: 1, channels: 64, inner: 16384, weightSize: 64, biasSize: 64 }, activation: 2 },
];

const constants = (
  { channels, weightSize, biasSize }: Dims,
  { activation, hasBias }: Args,
): Constants => ({
  ACTIVATION: activation,
  HAS_BIAS: hasBias,
  OWN_WEIGHT: Number(weightSize !== channels),
  OWN_BIAS: Number(biasSize !== channels),
});

/** Four places for each thread. */
const places = ({ n, inner }: Dims, { WG }: Constants) => grid1d(ceilDiv(n * inner, 4 * WG));
const twice = ({ channels }: Dims) => 2 * (channels + 1);

/** Calls `visit` for every value with its place, its row (image and channel), weight and what the activation is given. */
function eachValue(
  { x, weight, bias, r }: HostArrays,
  { channels, inner }: Dims,
  { hasBias }: Args,
  visit: (at: { k: number; place: number; row: number; h: number; w: number; z: number }) => void,
): void {
  for (let k = 0; k < x.length; k++) {
    const row = Math.floor(k / inner), c = row % channels;
    const place = Math.floor(row / channels) * inner + k % inner;
    const [h, w] = [x[k] * r[place], weight[weight.length === channels ? c : row]];
    const b = hasBias ? bias[bias.length === channels ? c : row] : 0;
    visit({ k, place, row, h, w, z: h * w + b });
  }
}

function inverseLengths({ x }: HostArrays, { n, channels, inner }: Dims, { least }: Args) {
  const r = new Float64Array(n * inner);
  x.forEach((v, k) => r[Math.floor(k / (channels * inner)) * inner + k % inner] += v * v);
  return r.map((squares) => 1 / Math.max(least, Math.sqrt(squares)));
}

/** `activation(x · r · weight + bias)` and `r = 1 / max(‖x‖, least)`, the inverse length of the channels at each place. */
export const channelRmsNormKernel: KernelSpec = defineKernel({
  name: "channel_rms_norm",
  buffers: {
    ...{ x: "n channels inner", ...affine },
    ...{ y: "out n channels inner", r: "out f32 n inner" },
  },
  args,
  flops: ({ n, channels, inner }) => 5 * n * channels * inner,
  reference(inputs, dims, args) {
    const y = new Float64Array(inputs.x.length), r = inverseLengths(inputs, dims, args);
    const activate = activationByCode.get(args.activation)!;
    eachValue({ ...inputs, r }, dims, args, ({ k, z }) => y[k] = activate(z));
    return { y, r };
  },
  tolerance: { f32: 4e-6, f16: 2e-3 }, // exp is good to 16 ulp on the software drivers
  cases,
  large,
  variants: [{
    name: "channel_rms_norm",
    source: forward,
    lib: [activations, affineLib],
    tunables: { WG: [64] },
    constants,
    loopTurns: twice,
    workgroups: places,
  }],
});

const positive = (size: number, random: () => number) =>
  Float64Array.from({ length: size }, () => 0.5 + random());
const given = { x: "n channels inner", g: "n channels inner", ...affine, r: "f32 n inner" };

/** Gradient of {@link channelRmsNormKernel} by `x`. */
export const channelRmsNormGradientKernel: KernelSpec = defineKernel({
  name: "channel_rms_norm_gradient",
  buffers: { ...given, dx: "out n channels inner" },
  args,
  flops: ({ n, channels, inner }) => 10 * n * channels * inner,
  reference(inputs, dims, args) {
    const { x, g, r } = inputs;
    const dx = new Float64Array(x.length), along = new Float64Array(r.length);
    const slope = activationSlopeByCode.get(args.activation)!;
    eachValue(inputs, dims, args, ({ k, place, h, w, z }) => {
      if (r[place] * args.least < 1) along[place] += g[k] * slope(z) * w * h;
    });
    eachValue(inputs, dims, args, ({ k, place, h, w, z }) => {
      dx[k] = r[place] * (g[k] * slope(z) * w - h * along[place]);
    });
    return { dx };
  },
  data: { r: positive },
  // A sum of 33 products at most, and differences of values of its size.
  tolerance: { f32: 5e-6, f16: 4e-3 },
  cases,
  large: large.map((dims) => ({ ...dims, activation: 0 })),
  variants: [{
    name: "channel_rms_norm_gradient",
    source: gradient,
    lib: [activations, affineLib],
    tunables: { WG: [64] },
    constants,
    loopTurns: twice,
    workgroups: places,
  }],
});

/** Gradients of {@link channelRmsNormKernel} by weight and bias, of each image. */
export const channelRmsNormSumsKernel: KernelSpec = defineKernel({
  name: "channel_rms_norm_sums",
  buffers: { ...given, dWeight: "out f32 n channels", dBias: "out f32 n channels" },
  args,
  flops: ({ n, channels, inner }) => 6 * n * channels * inner,
  reference(inputs, dims, args) {
    const size = dims.n * dims.channels, { g } = inputs;
    const dWeight = new Float64Array(size), dBias = new Float64Array(size);
    const slope = activationSlopeByCode.get(args.activation)!;
    eachValue(inputs, dims, args, ({ k, row, h, z }) => {
      dBias[row] += g[k] * slope(z);
      dWeight[row] += g[k] * slope(z) * h;
    });
    return { dWeight, dBias };
  },
  data: { r: positive },
  tolerance: { f32: 1e-5, f16: 4e-3 }, // sums of up to 131 products, exp good to 16 ulp
  cases,
  large,
  variants: [{
    name: "channel_rms_norm_sums_rows",
    source: sumsRows,
    lib: [activations, affineLib],
    tunables: { WG: [8] },
    constants,
    supports: (_, caps) => caps.isSoftware,
    loopTurns: ({ inner }) => ceilDiv(inner, 4) + 1,
    workgroups: ({ n, channels }, { WG }) => grid1d(ceilDiv(n * channels, WG)),
  }, {
    name: "channel_rms_norm_sums",
    source: sums,
    lib: [activations, affineLib, workgroupReduce],
    tunables: { WG: [64] },
    constants,
    loopTurns: ({ inner }, { WG }) => ceilDiv(inner, 4 * WG) + 1,
    workgroups: ({ n, channels }) => grid1d(n * channels),
  }],
});
