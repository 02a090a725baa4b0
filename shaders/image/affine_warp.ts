/**
 * Images under affine maps, sampled bilinearly, and the adjoint.
 *
 * @module
 */
import affine from "../_lib/affine.wgsl" with { type: "text" };
import forward from "./affine_warp.wgsl" with { type: "text" };
import backward from "./affine_warp_gradient.wgsl" with { type: "text" };
import { ceilDiv, defineKernel, type Dims, grid1d, type KernelSpec } from "../kernel.ts";

/** Adds up `use(source, target, weight)` of every tap of every output, in float64; taps outside have source −1. */
function eachTap(
  matrix: Float64Array,
  { batch, crops, channels, height, width, outHeight, outWidth }: Dims,
  use: (source: number, target: number, weight: number) => void,
): void {
  for (let n = 0; n < batch * crops; n++) {
    const [a, b, c, d, e, f] = matrix.subarray(6 * n, 6 * n + 6);
    for (let k = 0; k < outHeight * outWidth; k++) {
      const i = Math.floor(k / outWidth), j = k % outWidth;
      const sx = a * j + b * i + c, sy = d * j + e * i + f;
      for (let tap = 0; tap < 4; tap++) {
        const p = Math.floor(sy) + (tap >> 1), q = Math.floor(sx) + (tap & 1);
        const isInside = p >= 0 && q >= 0 && p < height && q < width;
        const weight = (1 - Math.abs(sx - q)) * (1 - Math.abs(sy - p));
        for (let ch = 0; ch < channels; ch++) {
          const plane = (Math.floor(n / crops) * channels + ch) * height * width;
          const target = (n * channels + ch) * outHeight * outWidth + k;
          use(isInside ? plane + p * width + q : -1, target, weight);
        }
      }
    }
  }
}

/** Turned and scaled about the middle, another way for every image: `[n, 6]`. */
function testMatrices({ batch, crops, height, width, outHeight, outWidth }: Dims): Float64Array {
  return Float64Array.from({ length: 6 * batch * crops }, (_, at) => {
    const n = Math.floor(at / 6);
    const angle = 0.3 - 0.5 * n, zoom = 0.8 + 0.35 * (n % 3);
    const [cos, sin] = [zoom * Math.cos(angle), zoom * Math.sin(angle)];
    const [y, x] = [(outHeight - 1) / 2, (outWidth - 1) / 2];
    const row = at % 6 < 3 ? [cos, -sin] : [sin, cos];
    const middle = at % 6 < 3 ? (width - 1) / 2 + 0.3 : (height - 1) / 2 - 0.2;
    return Math.fround([...row, middle - row[0] * x - row[1] * y][at % 3]);
  });
}

/** Inverse maps of `[n, 6]` rows of 2 × 3 matrices. */
export function inverseAffine(matrix: ArrayLike<number>): Float64Array<ArrayBuffer> {
  const out = new Float64Array(matrix.length);
  for (let m = 0; m < matrix.length; m += 6) {
    const [a, b, c, d, e, f] = [0, 1, 2, 3, 4, 5].map((k) => matrix[m + k]);
    const determinant = a * e - b * d;
    const [ia, ib, id, ie] = [e, -b, -d, a].map((value) => value / determinant);
    out.set([ia, ib, -(ia * c + ib * f), id, ie, -(id * c + ie * f)], m);
  }
  return out;
}

const image = "batch channels height width";
const warped = "batch*crops channels outHeight outWidth";
const sides = (height: number, width: number, outHeight: number, outWidth: number) => ({
  ...{ height, width, outHeight, outWidth },
});
const cases = [
  { batch: 1, crops: 1, channels: 1, ...sides(1, 1, 1, 1) },
  { batch: 2, crops: 1, channels: 3, ...sides(7, 11, 9, 6) },
  { batch: 2, crops: 3, channels: 2, ...sides(17, 13, 5, 16) },
  { batch: 1, crops: 1, channels: 6, ...sides(5, 8, 6, 7) },
];
const large = [{ batch: 8, crops: 1, channels: 3, ...sides(500, 500, 500, 500) }];
const outputs = ({ batch, crops, channels, outHeight, outWidth }: Dims) =>
  batch * crops * channels * outHeight * outWidth;

/** Bilinear samples of images at the places that a matrix gives every output; `crops` matrices for each image. */
export const affineWarpKernel: KernelSpec = defineKernel({
  name: "affine_warp",
  buffers: { x: image, matrix: "f32 batch*crops 6", y: `out ${warped}` },
  args: { fill: 0.25 },
  flops: (dims) => 40 * outputs(dims),
  reference({ x, matrix }, dims, { fill }) {
    const y = new Float64Array(outputs(dims));
    eachTap(matrix, dims, (source, target, weight) => {
      y[target] += weight * (source < 0 ? fill : x[source]);
    });
    return { y };
  },
  data: { matrix: (_, _random, dims) => testMatrices(dims) },
  // Coordinates up to 30 have three roundings of 2e-6 each, and neighbours differ by up to 4; f16 rounds values.
  tolerance: { f32: 2e-5, f16: 2e-3 },
  cases,
  large,
  variants: [{
    name: "affine_warp",
    source: forward,
    lib: [affine],
    tunables: { WG: [64, 256] },
    workgroups: (dims, { WG }) => grid1d(ceilDiv(outputs(dims), WG)),
  }],
});

/** The adjoint of {@link affineWarpKernel}, as a gather. */
export const affineWarpGradientKernel: KernelSpec = defineKernel({
  name: "affine_warp_gradient",
  buffers: {
    g: warped,
    matrix: "f32 batch*crops 6",
    inverse: "f32 batch*crops 6",
    dx: `out ${image}`,
  },
  args: { reachX: 8, reachY: 8 }, // the test's matrices zoom by 0.8 at least: 2·√2 / 0.8 outputs and two ends
  flops: (dims) => 60 * outputs(dims),
  reference({ g, matrix }, dims) {
    const { batch, channels, height, width } = dims;
    const dx = new Float64Array(batch * channels * height * width);
    eachTap(matrix, dims, (source, target, weight) => {
      if (source >= 0) dx[source] += weight * g[target];
    });
    return { dx };
  },
  data: {
    matrix: (_, _random, dims) => testMatrices(dims),
    inverse: (_, _random, dims) => inverseAffine(testMatrices(dims)),
  },
  tolerance: { f32: 2e-5, f16: 2e-3 }, // as forward: up to a dozen terms, whose weights are off by 6e-6
  cases,
  large,
  variants: [{
    name: "affine_warp_gradient",
    source: backward,
    lib: [affine],
    tunables: { WG: [64, 256] },
    loopTurns: ({ crops }, _, { reachX, reachY }) => crops * ((reachX + 2) * (reachY + 1) + 2) + 1,
    workgroups: ({ batch, channels, height, width }, { WG }) =>
      grid1d(ceilDiv(batch * ceilDiv(channels, 4) * height * width, WG)),
  }],
});
