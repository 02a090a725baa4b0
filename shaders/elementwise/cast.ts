/**
 * Conversions of the storage type, always with f32 on one side.
 *
 * @module
 */
import toF32 from "./cast_to_f32.wgsl" with { type: "text" };
import fromF32 from "./cast_from_f32.wgsl" with { type: "text" };
import { ceilDiv, defineKernel, grid1d, type KernelSpec } from "../kernel.ts";

// Whole numbers below 2048 are exact in every storage type.
const wholes = (size: number, random: () => number) =>
  Float64Array.from({ length: size }, () => Math.floor(2048 * random()));

const common = {
  integers: true,
  flops: () => 0,
  data: { x: wholes },
  tolerance: { f32: 0, f16: 0, f64: 0 },
  cases: [{ n: 1 }, { n: 131 }],
  large: [{ n: 1 << 20 }],
} as const;

const reference: KernelSpec["reference"] = ({ x }) => ({ y: x.slice() });

/** `y = f32(x)`: f16 exactly, integers rounded where they are above 2²⁴. */
export const castToF32Kernel: KernelSpec = defineKernel({
  name: "cast_to_f32",
  buffers: { x: "n", y: "out f32 n" },
  ...common,
  reference,
  variants: [{
    name: "cast_to_f32",
    source: toF32,
    tunables: { WG: [64] },
    workgroups: ({ n }, { WG }) => grid1d(ceilDiv(n, 4 * WG)),
  }],
});

/** `y = Elem(x)`: f16 rounded to nearest even, integers truncated and limited to their range. */
export const castFromF32Kernel: KernelSpec = defineKernel({
  name: "cast_from_f32",
  buffers: { x: "f32 n", y: "out n" },
  ...common,
  reference,
  variants: [{
    name: "cast_from_f32",
    source: fromF32,
    tunables: { WG: [64] },
    workgroups: ({ n }, { WG }) => grid1d(ceilDiv(n, 4 * WG)),
  }],
});
