/**
 * Gradient of a convolution by its weights.
 *
 * @module
 */
import naive from "./conv2d_weight_gradient_naive.wgsl" with { type: "text" };
import subgroup from "./conv2d_weight_gradient_subgroup.wgsl" with { type: "text" };
import tiled from "./conv2d_weight_gradient_tiled.wgsl" with { type: "text" };
import outer from "../_lib/outer.wgsl" with { type: "text" };
import subgroupRows from "../_lib/subgroup_rows.wgsl" with { type: "text" };
import { convArgs, convCase, eachProduct } from "./geometry.ts";
import { ceilDiv, defineKernel, type Dims, grid1d, type KernelSpec } from "../kernel.ts";

const withSplits = ({ biasSize: _, ...dims }: Dims, splits: number): Dims => {
  const { activation: _a, hasBias: _b, ...rest } = dims;
  return { ...rest, splits };
};

/** Rows of a part. */
const rowsOf = ({ n, oh, splits }: Dims) => ceilDiv(n * oh, splits);

const same = [1, 1, 1, 1] as const;

/**
 * `dw[s] = Σ g ⊗ x` over part `s` of the rows of `g`: image after image, cut into `splits` parts, so that a large image and few
 * weights still fill the device. The gradient is the sum over `s`, always in the same order.
 */
export const conv2dWeightGradientKernel: KernelSpec = defineKernel({
  name: "conv2d_weight_gradient",
  buffers: {
    g: "n groups*coutG oh ow",
    x: "n groups*cinG h w",
    dw: "out splits groups*coutG cinG kh kw",
  },
  args: convArgs,
  flops: ({ n, groups, cinG, coutG, kh, kw, oh, ow }) =>
    2 * n * groups * coutG * cinG * kh * kw * oh * ow,
  reference({ g, x }, dims, args) {
    const { n, oh, groups, coutG, cinG, kh, kw, ow, splits } = dims;
    const size = groups * coutG * cinG * kh * kw;
    const each = Math.ceil(n * oh / splits);
    const dw = new Float64Array(splits * size);
    eachProduct(false, dims, args, (z, i, k) => {
      const image = Math.floor(z / (groups * coutG * oh * ow));
      const row = image * oh + Math.floor(z / ow) % oh;
      dw[Math.floor(row / each) * size + k] += g[z] * x[i];
    });
    return { dw };
  },
  // A sum of P products of unit normals has size √P and error eps·√P, the worst of some thousand outputs four of those; P ≤ 200.
  tolerance: { f32: 2e-6, f16: 2e-3 },
  cases: [
    withSplits(convCase(false, { c: [1, 1], size: [1, 1], k: [1, 1] }), 1),
    withSplits(convCase(false, { n: 2, c: [5, 33], size: [7, 9], k: [3, 3], pad: same }), 3),
    withSplits(
      convCase(false, {
        ...{ n: 2, groups: 3, c: [2, 9], size: [9, 12], k: [3, 2] },
        ...{ stride: [2, 3], dilation: [1, 2], pad: [1, 0, 0, 2] },
      }),
      1,
    ),
    withSplits(convCase(false, { groups: 7, c: [1, 1], size: [6, 6], k: [3, 3], pad: same }), 2),
    withSplits(convCase(false, { c: [13, 40], size: [12, 11], k: [3, 3], stride: [2, 2] }), 9),
  ],
  large: [
    withSplits(convCase(false, { c: [64, 64], size: [56, 56], k: [3, 3], pad: same }), 1),
    withSplits(convCase(false, { c: [128, 128], size: [32, 32], k: [3, 3], pad: same }), 1),
    withSplits(
      convCase(false, { c: [192, 192], size: [17, 17], k: [1, 7], pad: [0, 3, 0, 3] }),
      1,
    ),
    withSplits(
      convCase(false, { n: 8, c: [3, 32], size: [64, 64], k: [3, 3], stride: [2, 2] }),
      16,
    ),
  ],
  variants: [{
    name: "conv2d_weight_gradient_subgroup",
    source: subgroup,
    lib: [outer, subgroupRows],
    needs: ["subgroups"],
    constants: ({ coutG }, _, caps) => ({
      SG: caps.subgroupMinSize,
      ROWS: coutG > 16 ? 32 : coutG > 8 ? 16 : 8,
    }),
    supports: (_, caps) =>
      caps.isSoftware && caps.subgroupMinSize >= 8 &&
      caps.subgroupMinSize === caps.subgroupMaxSize,
    loopTurns: (dims) => rowsOf(dims) * (ceilDiv(dims.ow, 2) + 2) + 1,
    workgroups: ({ groups, cinG, coutG, kh, kw, splits }, { ROWS, SG }) => [
      ceilDiv(cinG * kh * kw, 4 * SG),
      ceilDiv(coutG, ROWS),
      groups * splits,
    ],
  }, {
    name: "conv2d_weight_gradient_tiled",
    source: tiled,
    supports: ({ coutG }, { maxWorkgroupInvocations, maxWorkgroupStorage }) =>
      coutG >= 8 && maxWorkgroupInvocations >= 256 && maxWorkgroupStorage >= 16384,
    // Rounds of 16 pixels (DEPTH), loaded in 4 and 4 turns and used in 16.
    loopTurns: (dims) => ceilDiv(rowsOf(dims) * dims.ow, 16) * (4 + 4 + 16 + 4) + 1,
    workgroups: ({ groups, cinG, coutG, kh, kw, splits }) => [
      ceilDiv(cinG * kh * kw, 64),
      ceilDiv(coutG, 64),
      groups * splits,
    ],
  }, {
    name: "conv2d_weight_gradient_naive",
    source: naive,
    tunables: { WG: [64] },
    loopTurns: (dims) => rowsOf(dims) * (dims.ow + 2) + 1,
    workgroups: ({ groups, cinG, coutG, kh, kw, splits }, { WG }) =>
      grid1d(ceilDiv(splits * groups * coutG * cinG * kh * kw, WG)),
  }],
});
