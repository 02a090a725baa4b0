/**
 * Convolution of images, any kernel size, stride, padding, dilation and groups, and its transpose.
 *
 * @module
 */
import depthwise from "./conv2d_depthwise.wgsl" with { type: "text" };
import naive from "./conv2d_naive.wgsl" with { type: "text" };
import subgroupWindow from "./conv2d_subgroup_window.wgsl" with { type: "text" };
import subgroupWide from "./conv2d_subgroup_wide.wgsl" with { type: "text" };
import subgroup from "./conv2d_subgroup.wgsl" with { type: "text" };
import tiled from "./conv2d_tiled.wgsl" with { type: "text" };
import activations from "../_lib/activations.wgsl" with { type: "text" };
import quotient from "../_lib/quotient.wgsl" with { type: "text" };
import outer from "../_lib/outer.wgsl" with { type: "text" };
import subgroupRows from "../_lib/subgroup_rows.wgsl" with { type: "text" };
import convPixels from "../_lib/conv_pixels.wgsl" with { type: "text" };
import convTaps from "../_lib/conv_taps.wgsl" with { type: "text" };
import { convArgs, convCase, eachProduct } from "./geometry.ts";
import { activationByCode } from "../elementwise/unary.ts";
import {
  type Args,
  type Caps,
  ceilDiv,
  type Constants,
  defineKernel,
  type Dims,
  grid1d,
  type HostArrays,
  type KernelSpec,
  type KernelVariant,
} from "../kernel.ts";

function reference(transposed: boolean) {
  return ({ x, weight, bias, y }: HostArrays, dims: Dims, args: Args): HostArrays => {
    const { n, groups, coutG, oh, ow, yChannels } = dims;
    const cout = groups * coutG, plane = oh * ow;
    const sums = new Float64Array(n * cout * plane);
    eachProduct(transposed, dims, args, (z, i, k) => sums[z] += x[i] * weight[k]);
    const activate = activationByCode.get(args.activation)!;
    sums.forEach((v, z) => {
      const o = Math.floor(z / plane) % cout, image = Math.floor(z / (cout * plane));
      const to = (image * yChannels + args.yFirst + o) * plane + z % plane;
      y[to] = activate(v + (args.hasBias ? bias[o] : 0));
    });
    return { y };
  };
}

const constants = (transposed: boolean) => (_: Dims, { activation }: Args): Constants => ({
  TRANSPOSED: Number(transposed),
  ACTIVATION: activation,
});

/** One subgroup size, so that a workgroup of that size is one subgroup, on a driver where barriers cost more than registers. */
const hasLanes = ({ isSoftware, subgroupMinSize, subgroupMaxSize }: Caps) =>
  isSoftware && subgroupMinSize >= 8 && subgroupMinSize === subgroupMaxSize;

/** For stride 1 and outputs as wide as the input, where fewer loads serve more products. */
function windowVariant(name: string, transposed: boolean): KernelVariant {
  const own = constants(transposed);
  return {
    name: `${name}_subgroup_window`,
    source: subgroupWindow,
    lib: [activations, outer, subgroupRows],
    needs: ["subgroups"],
    constants: (dims, args, caps) => ({ ...own(dims, args), SG: caps.subgroupMinSize }),
    supports({ coutG, w, oh, ow, kw }, caps, { strideY, strideX, dilationX }) {
      const lanes = 8 * caps.subgroupMinSize;
      const isShift = strideY === 1 && strideX === 1 && dilationX === 1 && ow === w;
      // One tap has no window to share, and a tile mostly beyond the image or the channels is better done by the plain form.
      const isFull = kw > 1 && coutG > 16 && ceilDiv(oh * ow, lanes) * lanes <= 1.25 * oh * ow;
      return hasLanes(caps) && isShift && isFull && kw <= caps.subgroupMinSize + 1;
    },
    loopTurns: ({ kh, kw, cinG }) => kh * (ceilDiv(cinG, 2) * (kw + 2) + 2) + 1,
    workgroups({ n, groups, coutG, oh, ow }, { SG }) {
      const [x, y] = grid1d(n * ceilDiv(oh * ow, 8 * SG));
      return [x, y, groups * ceilDiv(coutG, 32)];
    },
  };
}

/** For tiles twice as wide as the plain form's, where the pixels fill them. */
function wideVariant(name: string, transposed: boolean): KernelVariant {
  const own = constants(transposed);
  return {
    name: `${name}_subgroup_wide`,
    source: subgroupWide,
    lib: [activations, convTaps, convPixels, outer, subgroupRows],
    needs: ["subgroups"],
    constants: (dims, args, caps) => ({
      ...own(dims, args),
      SG: caps.subgroupMinSize,
      // Loads and products of a tile of 64 rows cost seven eighths of those of two of 32.
      ROWS: 64 * ceilDiv(dims.coutG, 64) <= 8 / 7 * 32 * ceilDiv(dims.coutG, 32) ? 64 : 32,
    }),
    // Storing a wide tile of a short sum costs what its products save.
    supports: ({ coutG, cinG, kh, kw }, caps) =>
      hasLanes(caps) && coutG > 16 && cinG * kh * kw >= 64,
    loopTurns: ({ kh, kw, cinG }) => kh * kw * (ceilDiv(cinG, 2) + 2) + 1,
    workgroups(dims, { ROWS, SG }, args) {
      const [x, y] = pixelTiles(transposed, dims, args, 8 * SG);
      return [x, y, dims.groups * ceilDiv(dims.coutG, ROWS)];
    },
  };
}

function subgroupVariant(name: string, transposed: boolean): KernelVariant {
  const own = constants(transposed);
  return {
    name: `${name}_subgroup`,
    source: subgroup,
    lib: [activations, convTaps, convPixels, outer, subgroupRows],
    needs: ["subgroups"],
    constants: (dims, args, caps) => ({
      ...own(dims, args),
      SG: caps.subgroupMinSize,
      ROWS: dims.coutG > 16 ? 32 : dims.coutG > 8 ? 16 : 8,
    }),
    supports: (_, caps) => hasLanes(caps),
    loopTurns: ({ kh, kw, cinG }) => kh * kw * (ceilDiv(cinG, 2) + 2) + 1,
    workgroups(dims, { ROWS, SG }, args) {
      const [x, y] = pixelTiles(transposed, dims, args, 4 * SG);
      return [x, y, dims.groups * ceilDiv(dims.coutG, ROWS)];
    },
  };
}

/** Pixels of an output in tiles of `size`, by phases of the stride where it is transposed. */
function pixelTiles(
  transposed: boolean,
  { n, oh, ow }: Dims,
  { strideX, strideY }: Args,
  size: number,
): [number, number, number] {
  const [px, py] = transposed ? [strideX, strideY] : [1, 1];
  return grid1d(ceilDiv(n * ceilDiv(oh, py) * ceilDiv(ow, px), size) * px * py);
}

/** For one channel per group, where there is no sum over channels to share loads among. */
function depthwiseVariant(name: string, transposed: boolean): KernelVariant {
  return {
    name: `${name}_depthwise`,
    source: depthwise,
    lib: [activations, quotient],
    tunables: { WG: [64] },
    constants: constants(transposed),
    // Quotients are exact below 2^22.
    supports: ({ n, groups, cinG, coutG, oh, ow }, _, { strideY, strideX }) =>
      cinG === 1 && coutG === 1 && strideY === 1 && strideX === 1 &&
      n * groups * oh * ceilDiv(ow, 4) < 1 << 22,
    loopTurns: ({ kh, kw }) => kh * (kw + 2) + 1,
    workgroups: ({ n, groups, oh, ow }, { WG }) =>
      grid1d(ceilDiv(n * groups * oh * ceilDiv(ow, 4), WG)),
  };
}

function tiledVariant(name: string, transposed: boolean): KernelVariant {
  const own = constants(transposed);
  return {
    name: `${name}_tiled`,
    source: tiled,
    lib: [activations, convTaps],
    constants: (dims, args) => ({ ...own(dims, args), ROWS: dims.coutG > 32 ? 64 : 32 }),
    // Below a quarter of a tile, threads that make one value each do less in vain.
    supports: ({ coutG }, { maxWorkgroupInvocations, maxWorkgroupStorage }) =>
      coutG >= 8 && maxWorkgroupInvocations >= 256 && maxWorkgroupStorage >= 16384,
    // Rounds of 16 channels (DEPTH), each loaded in 4 and ROWS / 16 turns and used in 16.
    loopTurns: ({ kh, kw, cinG }, { ROWS }) =>
      kh * kw * (ceilDiv(cinG, 16) * (4 + ROWS / 16 + 16 + 4) + 2) + 1,
    workgroups(dims, { ROWS }, args) {
      const [x, y] = pixelTiles(transposed, dims, args, 64);
      return [x, y, dims.groups * ceilDiv(dims.coutG, ROWS)];
    },
  };
}

function naiveVariant(name: string, transposed: boolean): KernelVariant {
  return {
    name: `${name}_naive`,
    source: naive,
    lib: [activations, convTaps],
    tunables: { WG: [64] },
    constants: constants(transposed),
    loopTurns: ({ kh, kw, cinG }) => kh * (kw * (cinG + 2) + 2) + 1,
    workgroups: ({ n, groups, coutG, oh, ow }, { WG }) =>
      grid1d(ceilDiv(n * groups * coutG * oh * ow, WG)),
  };
}

const cases = (transposed: boolean): Dims[] => [
  convCase(transposed, { c: [1, 1], size: [1, 1], k: [1, 1] }),
  convCase(transposed, {
    ...{ n: 2, c: [5, 33], size: [7, 9], k: [3, 3], pad: [1, 1, 1, 1] },
    ...{ activation: 1, hasBias: 1, into: [37, 3] },
  }),
  convCase(transposed, {
    ...{ n: 2, groups: 3, c: [2, 9], size: [9, 12], k: [3, 2] },
    ...{ stride: [2, 3], dilation: [1, 2], pad: [1, 0, 0, 2], into: [29, 2] },
  }),
  convCase(transposed, {
    ...{ n: 2, c: [3, 20], size: [8, 16], k: [3, 7], dilation: [2, 1], pad: [2, 3, 1, 3] },
    ...{ activation: 1, hasBias: 1 },
  }),
  convCase(transposed, { groups: 7, c: [1, 1], size: [6, 6], k: [3, 3], pad: [1, 1, 1, 1] }),
  convCase(transposed, {
    ...{ n: 2, groups: 5, c: [1, 1], size: [7, 9], k: [3, 2], dilation: [1, 2], pad: [2, 1, 0, 2] },
    ...{ activation: 1, hasBias: 1, into: [9, 3] },
  }),
  convCase(transposed, {
    ...{ n: 2, c: [65, 70], size: [5, 13], k: [1, 1], activation: 1, hasBias: 1, into: [71, 0] },
  }),
  convCase(transposed, { c: [19, 17], size: [17, 5], k: [7, 1], pad: [3, 0, 3, 0], activation: 1 }),
  convCase(transposed, {
    ...{ c: [13, 40], size: [12, 11], k: [3, 3], stride: [2, 2], activation: 1, hasBias: 1 },
  }),
];

const same = [1, 1, 1, 1] as const;
const large = (transposed: boolean): Dims[] => [
  convCase(transposed, { groups: 192, c: [1, 1], size: [17, 17], k: [3, 3], pad: same }),
  convCase(transposed, { c: [64, 64], size: [56, 56], k: [3, 3], pad: same }),
  convCase(transposed, { c: [128, 128], size: [32, 32], k: [3, 3], pad: same }),
  convCase(transposed, { c: [192, 192], size: [17, 17], k: [1, 7], pad: [0, 3, 0, 3] }),
  ...(transposed
    ? [
      convCase(true, { c: [384, 288], size: [17, 17], k: [3, 3], stride: [2, 2] }),
      convCase(true, { c: [64, 288], size: [35, 35], k: [1, 1] }),
      convCase(true, { c: [32, 3], size: [149, 149], k: [3, 3], stride: [2, 2] }),
    ]
    : [
      convCase(false, { c: [288, 384], size: [35, 35], k: [3, 3], stride: [2, 2] }),
      convCase(false, { c: [288, 64], size: [35, 35], k: [1, 1] }),
      convCase(false, { c: [3, 32], size: [299, 299], k: [3, 3], stride: [2, 2] }),
    ]),
];

const shared = {
  // Without a bias another buffer stands in for it, unread.
  bytes: (
    { n, groups, cinG, coutG, h, w, oh, ow, kh, kw }: Dims,
    elemBytes: number,
  ) => elemBytes * groups * (n * (cinG * h * w + coutG * oh * ow) + coutG * (cinG * kh * kw + 1)),
  args: { ...convArgs, activation: 0, hasBias: 0, yFirst: 0 },
  // Products of unit normals: a sum of K has size √K and error eps·√K, the worst of some thousand outputs four of those; K ≤ 200.
  tolerance: { f32: 2e-6, f16: 2e-3 },
};

/**
 * `y = activation(conv(x, weight) + bias)`, at the channels of y from `yFirst`; its others stay as they are. `coutG`, `cinG`: channels per
 * group; without a bias (`hasBias` 0) that buffer is any other.
 */
export const conv2dKernel: KernelSpec = defineKernel({
  name: "conv2d",
  buffers: {
    x: "n groups*cinG h w",
    weight: "groups*coutG cinG kh kw",
    bias: "biasSize",
    y: "inout n yChannels oh ow",
  },
  ...shared,
  flops: ({ n, groups, cinG, coutG, kh, kw, oh, ow }) =>
    2 * n * groups * coutG * cinG * kh * kw * oh * ow,
  reference: reference(false),
  cases: cases(false),
  large: large(false),
  variants: [
    depthwiseVariant("conv2d", false),
    windowVariant("conv2d", false),
    wideVariant("conv2d", false),
    subgroupVariant("conv2d", false),
    tiledVariant("conv2d", false),
    naiveVariant("conv2d", false),
  ],
});

/** The transpose of {@link conv2dKernel}: PyTorch's `ConvTranspose2d`, and the gradient of a convolution by its input. */
export const convTranspose2dKernel: KernelSpec = defineKernel({
  name: "conv_transpose2d",
  buffers: {
    x: "n groups*cinG h w",
    weight: "groups*cinG coutG kh kw",
    bias: "biasSize",
    y: "inout n yChannels oh ow",
  },
  ...shared,
  flops: ({ n, groups, cinG, coutG, kh, kw, h, w }) =>
    2 * n * groups * coutG * cinG * kh * kw * h * w,
  reference: reference(true),
  cases: cases(true),
  large: large(true),
  variants: [
    depthwiseVariant("conv_transpose2d", true),
    windowVariant("conv_transpose2d", true),
    wideVariant("conv_transpose2d", true),
    subgroupVariant("conv_transpose2d", true),
    tiledVariant("conv_transpose2d", true),
    naiveVariant("conv_transpose2d", true),
  ],
});
