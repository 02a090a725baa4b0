/**
 * Optimiser steps, in place.
 *
 * @module
 */
import adam from "./adam.wgsl" with { type: "text" };
import sgd from "./sgd.wgsl" with { type: "text" };
import { type Args, ceilDiv, defineKernel, grid1d, type KernelSpec } from "../kernel.ts";

const adamArgs = {
  lr: 1e-2,
  beta1: 0.9,
  beta2: 0.999,
  eps: 1e-8,
  weightDecay: 0.1,
  correction1: 0.19, // 1 − 0.9²
  correction2: 0.001999,
  fresh: 0.3,
};

const positive = (size: number, random: () => number) =>
  Float64Array.from({ length: size }, () => 0.01 + random());

function adamKernel(name: string, decoupled: boolean): KernelSpec {
  return defineKernel({
    name,
    buffers: { g: "n", p: "inout n", m: "inout f32 n", v: "inout f32 n" },
    args: adamArgs,
    flops: ({ n }) => 16 * n,
    bytes: ({ n }, elemBytes) => (3 * elemBytes + 16) * n,
    reference({ g, p, m, v }, _, a: Args) {
      p.forEach((value, i) => {
        const slope = decoupled ? g[i] : g[i] + a.weightDecay * value;
        const kept = decoupled ? value * (1 - a.lr * a.weightDecay) : value;
        m[i] = a.beta1 * m[i] + (1 - a.beta1) * slope;
        v[i] = a.beta2 * v[i] + (1 - a.beta2) * slope * slope;
        const step = m[i] / a.correction1 + a.fresh * slope;
        p[i] = kept - a.lr * step / (Math.sqrt(v[i] / a.correction2) + a.eps);
      });
      return { p, m, v };
    },
    data: { v: positive },
    tolerance: { f32: 1e-6, f16: 2e-3 }, // a dozen roundings
    cases: [{ n: 1 }, { n: 130 }],
    large: [{ n: 1 << 20 }],
    variants: [{
      name,
      source: adam,
      tunables: { WG: [64, 256] },
      constants: () => ({ DECOUPLED: Number(decoupled) }),
      workgroups: ({ n }, { WG }) => grid1d(ceilDiv(n, 4 * WG)),
    }],
  });
}

/** Loshchilov and Hutter, "Decoupled weight decay regularization" (2019). */
export const adamwKernel: KernelSpec = adamKernel("adamw", true);

/** Kingma and Ba, "Adam" (2015), with L2 regularisation in the gradient; NAdam (Dozat, 2016) with other corrections. */
export const adamOptimKernel: KernelSpec = adamKernel("adam", false);

/** Gradient descent with momentum, as `torch.optim.SGD`. */
export const sgdKernel: KernelSpec = defineKernel({
  name: "sgd",
  buffers: { g: "n", p: "inout n", u: "inout f32 n" },
  args: { lr: 0.1, momentum: 0.9, weightDecay: 0.01 },
  flops: ({ n }) => 6 * n,
  reference({ g, p, u }, _, { lr, momentum, weightDecay }) {
    p.forEach((value, i) => {
      u[i] = momentum * u[i] + g[i] + weightDecay * value;
      p[i] = value - lr * u[i];
    });
    return { p, u };
  },
  // Six roundings of terms near 1, whose sum cancels to 0.01 in one of the cases: 100 × 6e-8 of it, halved by rms.
  tolerance: { f32: 3e-6, f16: 2e-3 },
  cases: [{ n: 1 }, { n: 130 }],
  large: [{ n: 1 << 20 }],
  variants: [{
    name: "sgd",
    source: sgd,
    tunables: { WG: [64, 256] },
    workgroups: ({ n }, { WG }) => grid1d(ceilDiv(n, 4 * WG)),
  }],
});
