/**
 * Functions of one value: activations and the usual mathematics, each with its derivative.
 *
 * @module
 */
import source from "./unary.wgsl" with { type: "text" };
import gradientSource from "./unary_gradient.wgsl" with { type: "text" };
import activations from "../_lib/activations.wgsl" with { type: "text" };
import sincos from "../_lib/sincos.wgsl" with { type: "text" };
import { ceilDiv, type Constants, defineKernel, grid1d, type KernelSpec } from "../kernel.ts";
import { erf64 } from "./erf.ts";

/** Float64 definition of a function of one value. */
interface UnaryOp {
  /** The shader's code. */
  readonly code: number;
  /** The function. */
  f(x: number): number;
  /** Its derivative. */
  slope(x: number): number;
  /** True where the argument must be positive. */
  readonly positive?: boolean;
  /** True where the argument is an angle, which need not be small. */
  readonly angle?: boolean;
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
const density = (x: number) => Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI);
const cdf = (x: number) => (1 + erf64(x / Math.SQRT2)) / 2;
const geluInner = (x: number) => Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3));

/** Codes of the activations that fused kernels share (`activate4` in the shader library). */
export const activationCodes = {
  none: 0,
  relu: 1,
  silu: 2,
  gelu: 3,
  geluTanh: 4,
  quickGelu: 5,
  sigmoid: 6,
  tanh: 7,
  softplus: 8,
} as const;

/** Name of an activation. */
export type Activation = keyof typeof activationCodes;

/** Every function of one value, by name. */
export const unaryOps = {
  relu: { code: 1, f: (x) => Math.max(x, 0), slope: (x) => (x > 0 ? 1 : 0) },
  silu: {
    code: 2,
    f: (x) => x * sigmoid(x),
    slope: (x) => sigmoid(x) * (1 + x * (1 - sigmoid(x))),
  },
  gelu: { code: 3, f: (x) => x * cdf(x), slope: (x) => cdf(x) + x * density(x) },
  geluTanh: {
    code: 4,
    f: (x) => 0.5 * x * (1 + geluInner(x)),
    slope: (x) =>
      0.5 * (1 + geluInner(x)) +
      0.5 * x * (1 - geluInner(x) ** 2) * Math.sqrt(2 / Math.PI) * (1 + 0.134145 * x * x),
  },
  // x·σ(1.702x): openai/CLIP, model.py QuickGELU
  quickGelu: {
    code: 5,
    f: (x) => x * sigmoid(1.702 * x),
    slope: (x) => sigmoid(1.702 * x) * (1 + 1.702 * x * (1 - sigmoid(1.702 * x))),
  },
  sigmoid: { code: 6, f: sigmoid, slope: (x) => sigmoid(x) * (1 - sigmoid(x)) },
  tanh: { code: 7, f: Math.tanh, slope: (x) => 1 - Math.tanh(x) ** 2 },
  softplus: {
    code: 8,
    f: (x) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))),
    slope: sigmoid,
  },
  neg: { code: 16, f: (x) => -x, slope: () => -1 },
  abs: { code: 17, f: Math.abs, slope: Math.sign },
  exp: { code: 18, f: Math.exp, slope: Math.exp },
  log: { code: 19, f: Math.log, slope: (x) => 1 / x, positive: true },
  sqrt: { code: 20, f: Math.sqrt, slope: (x) => 0.5 / Math.sqrt(x), positive: true },
  rsqrt: { code: 21, f: (x) => 1 / Math.sqrt(x), slope: (x) => -0.5 * x ** -1.5, positive: true },
  square: { code: 22, f: (x) => x * x, slope: (x) => 2 * x },
  reciprocal: { code: 23, f: (x) => 1 / x, slope: (x) => -1 / (x * x), positive: true },
  sin: { code: 24, f: Math.sin, slope: Math.cos, angle: true },
  cos: { code: 25, f: Math.cos, slope: (x) => -Math.sin(x), angle: true },
  erf: { code: 26, f: erf64, slope: (x) => 2 / Math.sqrt(Math.PI) * Math.exp(-x * x) },
  sign: { code: 27, f: Math.sign, slope: () => 0 },
  floor: { code: 28, f: Math.floor, slope: () => 0 },
} as const satisfies Record<string, UnaryOp>;

/** Float64 definitions of the activations by code. */
export const activationByCode: ReadonlyMap<number, (x: number) => number> = new Map(
  Object.entries(activationCodes).map(([name, code]) => [
    code,
    name === "none" ? (x: number) => x : unaryOps[name as keyof typeof unaryOps].f,
  ]),
);

/** Float64 derivatives of the activations by code. */
export const activationSlopeByCode: ReadonlyMap<number, (x: number) => number> = new Map(
  Object.entries(activationCodes).map(([name, code]) => [
    code,
    name === "none" ? () => 1 : unaryOps[name as keyof typeof unaryOps].slope,
  ]),
);

/** Name of a function of one value. */
export type UnaryName = keyof typeof unaryOps;

const positiveData = (size: number, random: () => number) =>
  Float64Array.from({ length: size }, () => 0.1 + 3 * random());

// Timesteps of a diffusion model go to 1000.
const angleData = (size: number, random: () => number) =>
  Float64Array.from({ length: size }, () => 2000 * random() - 1000);

const dataOf = ({ positive, angle }: UnaryOp): KernelSpec["data"] => {
  if (positive) return { x: positiveData };
  return angle ? { x: angleData } : undefined;
};

const shared = (code: number) => ({
  lib: [activations, sincos],
  tunables: { WG: [64, 256] },
  constants: (): Constants => ({ OP: code }),
  workgroups: ({ n }: { readonly [name: string]: number }, { WG }: Constants) =>
    grid1d(ceilDiv(n, 4 * WG)),
});

// exp carries a relative error of 16 ulp on the software drivers and the rational erf 3e-7: 2e-6 covers a product of two.
const tolerance = { f32: 2e-6, f16: 2e-3 };
const cases = [{ n: 1 }, { n: 127 }, { n: 1024 }];
const large = [{ n: 1 << 20 }];

function forward(name: string, op: UnaryOp): KernelSpec {
  return defineKernel({
    name,
    buffers: { x: "n", y: "out n" },
    flops: ({ n }) => n,
    reference: ({ x }) => ({ y: x.map((v) => op.f(v)) }),
    data: dataOf(op),
    tolerance,
    cases,
    large,
    variants: [{ name, source, ...shared(op.code) }],
  });
}

function gradient(name: string, op: UnaryOp): KernelSpec {
  return defineKernel({
    name: `${name}_gradient`,
    buffers: { x: "n", g: "n", dx: "out n" },
    flops: ({ n }) => 2 * n,
    reference: ({ x, g }) => ({ dx: g.map((v, i) => v * op.slope(x[i])) }),
    data: dataOf(op),
    tolerance,
    cases,
    variants: [{ name: `${name}_gradient`, source: gradientSource, ...shared(op.code) }],
  });
}

const entries = Object.entries(unaryOps) as [UnaryName, UnaryOp][];

/** One kernel per function. */
export const unaryKernels: Readonly<Record<UnaryName, KernelSpec>> = Object.fromEntries(
  entries.map(([name, op]) => [name, forward(name, op)]),
) as Record<UnaryName, KernelSpec>;

/** One kernel per derivative. */
export const unaryGradientKernels: Readonly<Record<UnaryName, KernelSpec>> = Object.fromEntries(
  entries.map(([name, op]) => [name, gradient(name, op)]),
) as Record<UnaryName, KernelSpec>;
