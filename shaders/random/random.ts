/**
 * Random numbers from counters: the same on host and device.
 *
 * @module
 */
import bits from "./random_bits.wgsl" with { type: "text" };
import floats from "./random_floats.wgsl" with { type: "text" };
import { erf64 } from "../elementwise/erf.ts";
import threefry from "../_lib/threefry.wgsl" with { type: "text" };
import {
  type Args,
  ceilDiv,
  defineKernel,
  grid1d,
  type KernelSpec,
  type KernelVariant,
} from "../kernel.ts";

const ROTATIONS = [[13, 15, 26, 6], [17, 29, 16, 24]];

/** threefry2x32 in BigInt arithmetic, apart from the engine's own: the oracle of both. */
function threefryBits(hi: number, lo: number, i: number): number {
  const mask = 0xffffffffn;
  const keys = [BigInt(hi), BigInt(lo), BigInt(hi) ^ BigInt(lo) ^ 0x1bd11bdan];
  let [a, b] = [keys[0], (BigInt(i) + keys[1]) & mask];
  for (let round = 0; round < 20; round++) {
    const turn = BigInt(ROTATIONS[(round >> 2) % 2][round % 4]);
    a = (a + b) & mask;
    b = (((b << turn) | (b >> (32n - turn))) & mask) ^ a;
    if (round % 4 < 3) continue;
    const group = (round >> 2) + 1;
    a = (a + keys[group % 3]) & mask;
    b = (b + keys[(group + 1) % 3] + BigInt(group)) & mask;
  }
  return Number(a ^ b);
}

/** Inverse error function by Newton's method from Winitzki's approximation, with erf by its series or continued fraction. */
function erfinv64(x: number): number {
  const l = Math.log((1 - x) * (1 + x)), h = 2 / (Math.PI * 0.147) + l / 2;
  let y = Math.sign(x) * Math.sqrt(Math.sqrt(h * h - l / 0.147) - h);
  for (let k = 0; k < 4; k++) y -= (erf64(y) - x) / (2 / Math.sqrt(Math.PI) * Math.exp(-y * y));
  return y;
}

const shared = {
  args: { hi: 0x12345678, lo: 0x9abcdef0 },
  cases: [{ n: 1 }, { n: 131 }, { n: 1000, hi: 0, lo: 7 }],
  large: [{ n: 1 << 20 }],
} as const;

const variant = (name: string, source: string, constants: KernelVariant["constants"]) => ({
  name,
  source,
  lib: [threefry],
  constants,
  tunables: { WG: [64, 256] },
  workgroups: ({ n }: Args, { WG }: Args) => grid1d(ceilDiv(n, WG)),
});

const each = (n: number, f: (i: number) => number) =>
  Float64Array.from({ length: n }, (_, i) => f(i));

/** 32 random bits per value. */
export const randomBitsKernel: KernelSpec = defineKernel({
  name: "random_bits",
  buffers: { y: "out u32 n" },
  flops: ({ n }) => 100 * n,
  reference: (_, { n }, { hi, lo }) => ({ y: each(n, (i) => threefryBits(hi, lo, i)) }),
  tolerance: { f32: 0 },
  ...shared,
  variants: [variant("random_bits", bits, () => ({}))],
});

/** Values uniform in [0, 1), with 23 random bits each. */
export const randomUniformKernel: KernelSpec = defineKernel({
  name: "random_uniform",
  buffers: { y: "out n" },
  flops: ({ n }) => 100 * n,
  reference: (_, { n }, { hi, lo }) => ({
    y: each(n, (i) => (threefryBits(hi, lo, i) >>> 9) * 2 ** -23),
  }),
  tolerance: { f32: 0, f16: 1e-3 },
  ...shared,
  variants: [variant("random_uniform", floats, () => ({ NORMAL: 0 }))],
});

/** Standard normals. */
export const randomNormalKernel: KernelSpec = defineKernel({
  name: "random_normal",
  buffers: { y: "out n" },
  flops: ({ n }) => 130 * n,
  reference: (_, { n }, { hi, lo }) => ({
    y: each(n, (i) => {
      const u = ((threefryBits(hi, lo, i) >>> 9) * 2 + 1) * 2 ** -23 - 1;
      return Math.SQRT2 * erfinv64(u);
    }),
  }),
  // The polynomials are good to 3e-7, f32 evaluates them to a few 6e-8, and log near 1 is 1e-7 off absolutely, which the
  // polynomial's slope of 0.25 softens.
  tolerance: { f32: 1e-6, f16: 1e-3 },
  ...shared,
  variants: [variant("random_normal", floats, () => ({ NORMAL: 1 }))],
});
