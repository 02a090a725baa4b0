/**
 * Layer normalisation and root-mean-square normalisation over the last axis, and their gradients.
 *
 * @module
 */
import gradientNaive from "./layer_norm_gradient_naive.wgsl" with { type: "text" };
import gradientSubgroup from "./layer_norm_gradient_subgroup.wgsl" with { type: "text" };
import gradientWorkgroup from "./layer_norm_gradient_workgroup.wgsl" with { type: "text" };
import naive from "./layer_norm_naive.wgsl" with { type: "text" };
import subgroup from "./layer_norm_subgroup.wgsl" with { type: "text" };
import weightsNaive from "./layer_norm_weights_gradient_naive.wgsl" with { type: "text" };
import weightsV4 from "./layer_norm_weights_gradient_v4.wgsl" with { type: "text" };
import workgroup from "./layer_norm_workgroup.wgsl" with { type: "text" };
import {
  type Args,
  ceilDiv,
  type Constants,
  defineKernel,
  grid1d,
  type KernelSpec,
} from "../kernel.ts";
import { rowVariants } from "./variants.ts";

const flags = ({ center, hasWeight, hasBias }: Args): Constants => ({
  CENTER: center,
  HAS_WEIGHT: hasWeight,
  ...(hasBias === undefined ? {} : { HAS_BIAS: hasBias }),
});

const sized = (rows: number, cols: number) => ({ rows, cols, weightSize: cols, biasSize: cols });

/** Mean and 1/√(var + eps) of a row; without `center` the mean counts as 0. */
function moments(row: Float64Array, eps: number, center: number): { mean: number; rstd: number } {
  const mean = center ? row.reduce((s, v) => s + v, 0) / row.length : 0;
  const variance = row.reduce((s, v) => s + (v - mean) ** 2, 0) / row.length;
  return { mean, rstd: 1 / Math.sqrt(variance + eps) };
}

// Rows with a mean of 100 standard deviations, where E[x²] − E[x]² would lose four digits.
const offCentre = (size: number, random: () => number) =>
  Float64Array.from({ length: size }, () => 100 + (random() + random() + random() - 1.5) * 2);

/**
 * `y = (x − mean) · rstd · weight + bias` by rows; with `center` 0 the root-mean-square norm. `hasWeight` and `hasBias` are 0 or 1; a
 * buffer whose flag is 0 is bound but not read. `mean` and `rstd` are what the gradient needs.
 */
export const layerNormKernel: KernelSpec = defineKernel({
  name: "layer_norm",
  buffers: {
    x: "rows cols",
    weight: "weightSize",
    bias: "biasSize",
    y: "out rows cols",
    mean: "out f32 rows",
    rstd: "out f32 rows",
  },
  args: { eps: 1e-5, center: 1, hasWeight: 1, hasBias: 1 },
  flops: ({ rows, cols }) => 8 * rows * cols,
  reference({ x, weight, bias }, { rows, cols }, { eps, center, hasWeight, hasBias }) {
    const y = new Float64Array(rows * cols);
    const mean = new Float64Array(rows), rstd = new Float64Array(rows);
    for (let row = 0; row < rows; row++) {
      const line = x.subarray(row * cols, (row + 1) * cols);
      const found = moments(line, eps, center);
      mean[row] = found.mean;
      rstd[row] = found.rstd;
      line.forEach((v, j) => {
        const normal = (v - found.mean) * found.rstd;
        y[row * cols + j] = normal * (hasWeight ? weight[j] : 1) + (hasBias ? bias[j] : 0);
      });
    }
    return { y, mean, rstd };
  },
  data: { x: offCentre },
  // x − mean is exact to eps·100 = 6e-6 of a standard deviation; f16 stores 100 ± 1 to 3e-2 but both sides see the rounded values,
  // and y itself is rounded to 5e-4.
  tolerance: { f32: 3e-5, f16: 2e-3 },
  cases: [
    { ...sized(1, 1), eps: 1e-3 },
    sized(3, 127),
    { ...sized(5, 36), hasWeight: 0, hasBias: 0 },
    { ...sized(6, 128), center: 0, hasBias: 0 },
    sized(9, 768),
  ],
  large: [sized(197, 768), sized(1025, 768)],
  variants: rowVariants({
    name: "layer_norm",
    sources: { subgroup, workgroup, naive },
    rowsPerSubgroup: 4,
    wholeVec4s: true,
    constants: (_, args) => flags(args),
  }),
});

const positive = (size: number, random: () => number) =>
  Float64Array.from({ length: size }, () => 0.5 + random());

/** `dx` of {@link layerNormKernel} for the gradient `g` of its result. */
export const layerNormGradientKernel: KernelSpec = defineKernel({
  name: "layer_norm_gradient",
  buffers: {
    x: "rows cols",
    g: "rows cols",
    weight: "weightSize",
    mean: "f32 rows",
    rstd: "f32 rows",
    dx: "out rows cols",
  },
  args: { center: 1, hasWeight: 1 },
  flops: ({ rows, cols }) => 11 * rows * cols,
  reference({ x, g, weight, mean, rstd }, { rows, cols }, { center, hasWeight }) {
    const dx = new Float64Array(rows * cols);
    for (let row = 0; row < rows; row++) {
      const normal = (j: number) => (x[row * cols + j] - mean[row]) * rstd[row];
      const weighted = (j: number) => g[row * cols + j] * (hasWeight ? weight[j] : 1);
      let sum = 0, along = 0;
      for (let j = 0; j < cols; j++) {
        sum += weighted(j);
        along += weighted(j) * normal(j);
      }
      const level = center ? sum / cols : 0;
      for (let j = 0; j < cols; j++) {
        dx[row * cols + j] = rstd[row] * (weighted(j) - level - normal(j) * along / cols);
      }
    }
    return { dx };
  },
  data: { rstd: positive },
  // Sums of `cols` products of unit normals over cols: eps·√cols at most, then a few roundings.
  tolerance: { f32: 5e-6, f16: 2e-3 },
  cases: [
    sized(1, 1),
    sized(3, 127),
    { ...sized(5, 36), hasWeight: 0 },
    { ...sized(2, 128), center: 0 },
  ],
  large: [sized(197, 768)],
  variants: rowVariants({
    name: "layer_norm_gradient",
    sources: { subgroup: gradientSubgroup, workgroup: gradientWorkgroup, naive: gradientNaive },
    rowsPerSubgroup: 1,
    wholeVec4s: true,
    constants: (_, args) => flags(args),
  }),
});

const sliced = (rows: number, cols: number, sliceRows: number) => ({
  rows,
  cols,
  sliceRows,
  slices: ceilDiv(rows, sliceRows),
});

/** Gradients of weight and bias of {@link layerNormKernel}, by slices of `sliceRows` rows that are to be summed afterwards. */
export const layerNormWeightsGradientKernel: KernelSpec = defineKernel({
  name: "layer_norm_weights_gradient",
  buffers: {
    x: "rows cols",
    g: "rows cols",
    mean: "f32 rows",
    rstd: "f32 rows",
    dWeight: "out slices cols",
    dBias: "out slices cols",
  },
  flops: ({ rows, cols }) => 5 * rows * cols,
  reference({ x, g, mean, rstd }, { rows, cols, slices, sliceRows }) {
    const dWeight = new Float64Array(slices * cols), dBias = new Float64Array(slices * cols);
    for (let row = 0; row < rows; row++) {
      const slice = Math.floor(row / sliceRows);
      for (let j = 0; j < cols; j++) {
        const v = g[row * cols + j];
        dBias[slice * cols + j] += v;
        dWeight[slice * cols + j] += v * (x[row * cols + j] - mean[row]) * rstd[row];
      }
    }
    return { dWeight, dBias };
  },
  data: { rstd: positive },
  // Sums of up to 64 products of normals: eps·√64 relative to √64.
  tolerance: { f32: 3e-6, f16: 2e-3 },
  cases: [sliced(1, 1, 64), sliced(13, 7, 5), sliced(70, 36, 64)],
  large: [sliced(197 * 8, 768, 64)],
  variants: [
    {
      name: "layer_norm_weights_gradient_v4",
      source: weightsV4,
      tunables: { WG: [64] },
      supports: ({ cols }) => cols % 4 === 0,
      loopTurns: ({ sliceRows }) => sliceRows + 1,
      workgroups: ({ cols, slices }, { WG }) => grid1d(ceilDiv(cols / 4 * slices, WG)),
    },
    {
      name: "layer_norm_weights_gradient_naive",
      source: weightsNaive,
      tunables: { WG: [64] },
      loopTurns: ({ sliceRows }) => sliceRows + 1,
      workgroups: ({ cols, slices }, { WG }) => grid1d(ceilDiv(cols * slices, WG)),
    },
  ],
});
