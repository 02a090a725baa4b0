/**
 * Maxima over windows of images, with where each was found, and the gradient that goes back there.
 *
 * @module
 */
import source from "./max_pool2d.wgsl" with { type: "text" };
import gradientSource from "./max_pool2d_gradient.wgsl" with { type: "text" };
import scatterSource from "./max_pool2d_scatter.wgsl" with { type: "text" };
import {
  type Args,
  ceilDiv,
  type Constants,
  defineKernel,
  type Dims,
  grid1d,
  type KernelSpec,
} from "../kernel.ts";

const args = {
  ...{ kernelY: 1, kernelX: 1, strideY: 1, strideX: 1, padTop: 0, padLeft: 0 },
  ...{ dilationY: 1, dilationX: 1, adaptive: 0 },
};

const constants = (_: Dims, { adaptive }: Args): Constants => ({ ADAPTIVE: adaptive });

/** Positions of an axis that window `o` covers, in order. */
function positions(
  o: number,
  { adaptive, size, count, kernel, stride, pad, dilation }: Record<string, number>,
): number[] {
  if (adaptive) {
    const start = Math.floor(o * size / count), end = Math.ceil((o + 1) * size / count);
    return Array.from({ length: end - start }, (_, t) => start + t);
  }
  return Array.from({ length: kernel }, (_, t) => o * stride - pad + t * dilation)
    .filter((i) => i >= 0 && i < size);
}

const rowsOf = (o: number, { h, oh }: Dims, a: Args) =>
  positions(o, {
    ...{ size: h, count: oh, kernel: a.kernelY, stride: a.strideY, pad: a.padTop },
    ...{ dilation: a.dilationY, adaptive: a.adaptive },
  });

const columnsOf = (o: number, { w, ow }: Dims, a: Args) =>
  positions(o, {
    ...{ size: w, count: ow, kernel: a.kernelX, stride: a.strideX, pad: a.padLeft },
    ...{ dilation: a.dilationX, adaptive: a.adaptive },
  });

const nested = (rows: number, columns: number) => rows * (columns + 2) + 1;

/** Turns over the rows and columns of a window. */
const windowTurns = (
  { h, w, oh, ow }: Dims,
  _: Constants,
  { adaptive, kernelY, kernelX }: Args,
): number => adaptive ? nested(ceilDiv(h, oh) + 1, ceilDiv(w, ow) + 1) : nested(kernelY, kernelX);

/** Turns over the windows that cover a position. */
const windowsTurns = ({ h, w, oh, ow }: Dims, _: Constants, a: Args): number => {
  const cover = (kernel: number, dilation: number, stride: number) =>
    ceilDiv((kernel - 1) * dilation + 1, stride);
  return a.adaptive
    ? nested(ceilDiv(oh, h) + 1, ceilDiv(ow, w) + 1)
    : nested(cover(a.kernelY, a.dilationY, a.strideY), cover(a.kernelX, a.dilationX, a.strideX));
};

/** Windows of the tests: one value, overlap with padding and dilation, beyond the image (rounded up), adaptive with overlap. */
const cases: readonly Dims[] = ([
  { images: 1, channels: 1, h: 1, w: 1, oh: 1, ow: 1 },
  {
    ...{
      images: 1,
      channels: 3,
      h: 9,
      w: 8,
      oh: 5,
      ow: 3,
      kernelY: 3,
      kernelX: 2,
      strideY: 2,
      strideX: 3,
    },
    ...{ padTop: 1, padLeft: 1, dilationX: 2 },
  },
  {
    ...{ images: 2, channels: 3, h: 7, w: 7, oh: 4, ow: 4, kernelY: 2, kernelX: 2 },
    ...{ strideY: 2, strideX: 2, yChannels: 8, yFirst: 1 },
  },
  { images: 2, channels: 1, h: 10, w: 7, oh: 4, ow: 5, adaptive: 1 },
  { images: 1, channels: 5, h: 3, w: 2, oh: 5, ow: 1, adaptive: 1, yChannels: 7, yFirst: 2 },
] as Dims[]).map(({ yChannels, ...dims }) => ({
  ...{ ...dims, planes: dims.images * dims.channels, yChannels: yChannels ?? dims.channels },
}));

/** Small whole numbers, so that ties are frequent. */
const tied = (size: number, random: () => number) =>
  Float64Array.from({ length: size }, () => Math.floor(8 * random()) - 4);

/**
 * Greatest value of each window and its place; `adaptive` (0 or 1) cuts the image into `oh × ow` windows instead. The values go to the
 * channels of y from `yFirst`, whose others stay as they are; `planes` is `images · channels`.
 */
export const maxPool2dKernel: KernelSpec = defineKernel({
  name: "max_pool2d",
  buffers: {
    x: "planes h w",
    y: "inout images*yChannels oh ow",
    index: "out u32 planes oh ow",
  },
  args: { ...args, yFirst: 0 },
  flops: ({ planes, oh, ow, h, w }, { kernelY, kernelX, adaptive }) =>
    adaptive ? planes * h * w : planes * oh * ow * kernelY * kernelX,
  reference({ x, y }, dims, args) {
    const { planes, channels, yChannels, h, w, oh, ow } = dims;
    const index = new Float64Array(planes * oh * ow);
    for (let z = 0; z < index.length; z++) {
      const which = Math.floor(z / (oh * ow)), plane = which * h * w;
      const skipped = Math.floor(which / channels) * (yChannels - channels) + args.yFirst;
      const rows = rowsOf(Math.floor(z / ow) % oh, dims, args);
      const places = rows.flatMap((i) => columnsOf(z % ow, dims, args).map((j) => i * w + j));
      index[z] = places.reduce((best, at) => (x[plane + at] > x[plane + best] ? at : best));
      y[z + skipped * oh * ow] = x[plane + index[z]];
    }
    return { y, index };
  },
  data: { x: tied },
  tolerance: { f32: 0, f16: 0 }, // values are copied
  cases,
  large: [{
    ...{ planes: 64, images: 1, channels: 64, yChannels: 64, h: 147, w: 147, oh: 73, ow: 73 },
    ...{ kernelY: 3, kernelX: 3, strideY: 2, strideX: 2 },
  }],
  variants: [{
    name: "max_pool2d",
    source,
    tunables: { WG: [64] },
    constants,
    loopTurns: windowTurns,
    workgroups: ({ planes, oh, ow }, { WG }) => grid1d(ceilDiv(planes * oh * ow, WG)),
  }],
});

/** Gradient of {@link maxPool2dKernel}: each `g` goes to where its maximum was. */
export const maxPool2dGradientKernel: KernelSpec = defineKernel({
  name: "max_pool2d_gradient",
  buffers: { g: "planes oh ow", index: "u32 planes oh ow", dx: "out planes h w" },
  args,
  flops: ({ planes, oh, ow }) => planes * oh * ow,
  reference({ g, index }, { planes, h, w, oh, ow }) {
    const dx = new Float64Array(planes * h * w);
    for (let z = 0; z < g.length; z++) dx[Math.floor(z / (oh * ow)) * h * w + index[z]] += g[z];
    return { dx };
  },
  data: {
    index(size, random, dims, args) {
      const { w, oh, ow } = dims;
      const pick = (list: number[]) => list[Math.floor(random() * list.length)];
      return Uint32Array.from(
        { length: size },
        (_, z) =>
          pick(rowsOf(Math.floor(z / ow) % oh, dims, args)) * w +
          pick(columnsOf(z % ow, dims, args)),
      );
    },
  },
  // At most a dozen additions of unit normals.
  tolerance: { f32: 1e-6, f16: 2e-3 },
  cases,
  variants: [{
    name: "max_pool2d_gradient",
    source: gradientSource,
    tunables: { WG: [64] },
    constants: (_, { adaptive, strideY, strideX }) => ({
      ...{ ADAPTIVE: adaptive, STRIDE_Y: strideY, STRIDE_X: strideX },
    }),
    loopTurns: windowsTurns,
    workgroups: ({ planes, h, w }, { WG }) => grid1d(ceilDiv(planes * h * w, WG)),
  }],
});

/** The same gradient added to zeros, window after window: for few windows of many values. `size`: values of a plane. */
export const maxPool2dScatterKernel: KernelSpec = defineKernel({
  name: "max_pool2d_scatter",
  buffers: { g: "planes count", index: "u32 planes count", dx: "inout planes size" },
  flops: ({ planes, count }) => planes * count,
  bytes: ({ planes, count }, elemBytes) => planes * count * (3 * elemBytes + 4),
  reference({ g, index, dx }, { count, size }) {
    for (let z = 0; z < g.length; z++) dx[Math.floor(z / count) * size + index[z]] += g[z];
    return { dx };
  },
  data: {
    index: (length, random, { size }) =>
      Uint32Array.from({ length }, () => Math.floor(size * random())),
  },
  // At most a dozen additions of unit normals.
  tolerance: { f32: 1e-6, f16: 2e-3 },
  cases: [{ planes: 1, count: 1, size: 1 }, { planes: 67, count: 9, size: 5 }],
  large: [{ planes: 256, count: 9, size: 1225 }],
  variants: [{
    name: "max_pool2d_scatter",
    source: scatterSource,
    tunables: { WG: [64] },
    loopTurns: ({ count }) => count + 1,
    workgroups: ({ planes }, { WG }) => grid1d(ceilDiv(planes, WG)),
  }],
});
