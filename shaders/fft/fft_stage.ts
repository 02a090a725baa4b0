/**
 * A pass of a mixed-radix Fourier transform.
 *
 * @module
 */
import butterfly from "../_lib/fft_butterfly.wgsl" with { type: "text" };
import quotient from "../_lib/quotient.wgsl" with { type: "text" };
import naive from "./fft_stage_naive.wgsl" with { type: "text" };
import scalar from "./fft_stage.wgsl" with { type: "text" };
import v4 from "./fft_stage_v4.wgsl" with { type: "text" };
import {
  type Args,
  ceilDiv,
  defineKernel,
  type Dims,
  grid1d,
  type KernelSpec,
  type KernelVariant,
} from "../kernel.ts";

/** Cosine and sine of `2π·j / n` for every `j`, one after the other. */
export function circleOf(n: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: 2 * n }, (_, i) => {
    const angle = 2 * Math.PI * (i >> 1) / n;
    return i % 2 === 0 ? Math.cos(angle) : Math.sin(angle);
  });
}

/** Largest number whose quotients the fast variants take as exact. */
const MOST = 1 << 22;

const constants = (_: Dims, { radix, done }: Args) => ({
  RADIX: radix,
  IS_FIRST: Number(done === 1),
});

const variant = (name: string, source: string, width: number): KernelVariant => ({
  name,
  source,
  lib: [quotient, butterfly],
  tunables: { WG: [64] },
  constants,
  supports: ({ outer, n, inner }, _, { radix }) =>
    inner % width === 0 && radix >= 2 && radix <= 5 && outer < MOST && n < MOST,
  workgroups: ({ outer, n, inner }, { WG, RADIX }) =>
    grid1d(ceilDiv(outer * (n / RADIX) * (inner / width), WG)),
});

/**
 * One pass over the middle axis of complex values `[2, outer, n, inner]`, real parts first. `done` is the product of the radices of the
 * passes before; `sign` 1 or −1 is that of the exponent; a whole transform is one pass for each factor of n.
 */
export const fftStageKernel: KernelSpec = defineKernel({
  name: "fft_stage",
  buffers: { x: "2 outer n inner", circle: "f32 n 2", y: "out 2 outer n inner" },
  args: { radix: 4, done: 1, sign: 1, scale: 1 },
  flops: ({ outer, n, inner }, { radix }) => 8 * radix * outer * n * inner, // of plain sums, which butterflies share
  reference({ x, circle }, { outer, n, inner }, { radix, done, sign, scale }) {
    const plane = outer * n * inner;
    const y = new Float64Array(2 * plane);
    for (let at = 0; at < plane; at++) {
      const i = at % inner, p = Math.floor(at / inner) % n, o = Math.floor(at / (inner * n));
      const along = p % (done * radix), m = n / radix;
      const j = Math.floor(p / (done * radix)) * done + p % done;
      for (let q = 0; q < radix; q++) {
        const turn = q * along * (m / done) % n;
        const [c, s] = [circle[2 * turn], sign * circle[2 * turn + 1]];
        const from = (o * n + j + q * m) * inner + i;
        y[at] += scale * (c * x[from] - s * x[from + plane]);
        y[at + plane] += scale * (s * x[from] + c * x[from + plane]);
      }
    }
    return { y };
  },
  data: { circle: (_, __, { n }) => circleOf(n) },
  // At most 13 terms of two products each, with tables rounded to f32: a sum of size √13 and error some eps·√13.
  tolerance: { f32: 1e-6 },
  cases: [
    { outer: 1, n: 2, inner: 1, radix: 2 },
    { outer: 3, n: 12, inner: 1, radix: 3, done: 4, sign: -1 },
    { outer: 2, n: 20, inner: 4, radix: 4, done: 5, scale: 0.5 },
    { outer: 2, n: 20, inner: 8, radix: 5, done: 1 },
    { outer: 3, n: 50, inner: 3, radix: 5, done: 10, sign: -1 },
    { outer: 1, n: 24, inner: 12, radix: 2, done: 3 },
    { outer: 5, n: 9, inner: 4, radix: 3, done: 3 },
    { outer: 2, n: 13, inner: 2, radix: 13, sign: -1 },
    { outer: 2, n: 42, inner: 3, radix: 7, done: 6 },
  ],
  large: [
    { outer: 3, n: 500, inner: 500, radix: 5, done: 25 },
    { outer: 1500, n: 500, inner: 1, radix: 5, done: 25 },
    { outer: 3, n: 512, inner: 512, radix: 4, done: 16 },
  ],
  variants: [
    variant("fft_stage_v4", v4, 4),
    variant("fft_stage_scalar", scalar, 1),
    {
      name: "fft_stage_naive",
      source: naive,
      tunables: { WG: [64] },
      loopTurns: (_, __, { radix }) => radix + 1,
      workgroups: ({ outer, n, inner }, { WG }) => grid1d(ceilDiv(outer * n * inner, WG)),
    },
  ],
});
