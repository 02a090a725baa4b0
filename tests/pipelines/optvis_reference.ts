/**
 * Image parameterisations from their formulas, in float64 with plain sums over all frequencies.
 *
 * @module
 */
import type { ImageSize } from "../../pipelines/images/preprocess.ts";

/** The printed matrix (lucid's covariance root over its greatest column norm, eight digits). */
const M = [
  [0.56282858, 0.19482528, 0.04329451],
  [0.58447583, 0, -0.10823626],
  [0.58447583, -0.19482528, 0.06494176],
];

/** rgb_j = Σ_k M[j, k]·t_k at every pixel of `[3, pixels]`. */
export function mixChannels(t: Float64Array): Float64Array {
  const pixels = t.length / 3;
  return t.map((_, at) => {
    const j = Math.floor(at / pixels), p = at % pixels;
    return M[j].reduce((sum, m, k) => sum + m * t[k * pixels + p], 0);
  });
}

/** The same of three neighbours in memory. */
export function mixNeighbors(t: Float64Array): Float64Array {
  return t.map((_, at) => {
    const first = at - at % 3;
    return M[at % 3].reduce((sum, m, k) => sum + m * t[first + k], 0);
  });
}

export const sigmoid = (x: number): number => 1 / (1 + Math.exp(-x));

const cyclesOf = (k: number, n: number) => (2 * k < n ? k : k - n) / n;

/** 1 / max(f, 1/max(h, w))^decay, one plane. */
export function decay({ height, width }: ImageSize, power: number): Float64Array {
  const columns = Math.floor(width / 2) + 1;
  return Float64Array.from({ length: height * columns }, (_, at) => {
    const f = Math.hypot(cyclesOf(Math.floor(at / columns), height), (at % columns) / width);
    return 1 / Math.max(f, 1 / Math.max(height, width)) ** power;
  });
}

/** irfft2 with an ortho norm, plane by plane. */
export function inverseReal(re: Float64Array, im: Float64Array, size: ImageSize): Float64Array {
  const { height, width } = size;
  const columns = Math.floor(width / 2) + 1, plane = height * columns;
  const out = new Float64Array(re.length / plane * height * width);
  out.forEach((_, at) => {
    const c = Math.floor(at / (height * width)), p = at % (height * width);
    const i = Math.floor(p / width), j = p % width;
    let sum = 0;
    for (let r = 0; r < height; r++) {
      for (let k = 0; k < columns; k++) {
        const angle = 2 * Math.PI * (r * i / height + k * j / width);
        const share = k === 0 || 2 * k === width ? 1 : 2;
        const z = c * plane + r * columns + k;
        sum += share * (re[z] * Math.cos(angle) - im[z] * Math.sin(angle));
      }
    }
    out[at] = sum / Math.sqrt(height * width);
  });
  return out;
}

/** |ifft2(re + i·im)|, plane by plane. */
export function complexModulus(re: Float64Array, im: Float64Array, size: ImageSize): Float64Array {
  const { height, width } = size, plane = height * width;
  return re.map((_, at) => {
    const c = Math.floor(at / plane), i = Math.floor(at % plane / width), j = at % width;
    let a = 0, b = 0;
    for (let k = 0; k < plane; k++) {
      const angle = 2 * Math.PI * (Math.floor(k / width) * i / height + (k % width) * j / width);
      const [x, y] = [re[c * plane + k], im[c * plane + k]];
      a += x * Math.cos(angle) - y * Math.sin(angle);
      b += x * Math.sin(angle) + y * Math.cos(angle);
    }
    return Math.hypot(a, b) / plane;
  });
}

/** (x − mean) / (population standard deviation + eps). */
export function standardize(x: Float64Array, eps: number): Float64Array {
  const mean = x.reduce((s, v) => s + v, 0) / x.length;
  const sd = Math.sqrt(x.reduce((s, v) => s + (v - mean) ** 2, 0) / x.length);
  return x.map((v) => (v - mean) / (sd + eps));
}
