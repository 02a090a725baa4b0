/**
 * Running sums of one axis of `[outer, n, inner]`, in parts whose beginnings are known.
 *
 * @module
 */
import source from "./cumsum.wgsl" with { type: "text" };
import { ceilDiv, defineKernel, grid1d, type KernelSpec } from "../kernel.ts";

/**
 * `y[o, t, i] = offsets[o, part, i] + Σ x[o, s, i]` over the places `s` of `t`'s part up to `t`, or before it where `exclusive`; the axis
 * runs backwards where `reverse`. A part is `n / parts` places, rounded up.
 */
export const cumsumKernel: KernelSpec = defineKernel({
  name: "cumsum",
  buffers: { x: "outer n inner", offsets: "outer parts inner", y: "out outer n inner" },
  args: { exclusive: 0, reverse: 0 },
  flops: ({ outer, n, inner }) => outer * n * inner,
  reference({ x, offsets }, { outer, n, inner, parts }, { exclusive, reverse }) {
    const y = new Float64Array(outer * n * inner);
    const span = Math.ceil(n / parts);
    for (let o = 0; o < outer; o++) {
      for (let i = 0; i < inner; i++) {
        for (let part = 0; part < parts; part++) {
          let total = offsets[(o * parts + part) * inner + i];
          const first = part * span, count = Math.min(span, n - first);
          for (let s = 0; s < count; s++) {
            const t = reverse ? first + count - 1 - s : first + s;
            const v = x[(o * n + t) * inner + i];
            y[(o * n + t) * inner + i] = exclusive ? total : total + v;
            total += v;
          }
        }
      }
    }
    return { y };
  },
  // Up to 100 additions of one size here: 100 · 6e-8 at the worst, √100 of it as a rule.
  tolerance: { f32: 2e-6, f16: 2e-3 },
  cases: [
    { outer: 1, n: 1, inner: 1, parts: 1 },
    { outer: 3, n: 100, inner: 1, parts: 7 },
    { outer: 2, n: 37, inner: 5, parts: 3, exclusive: 1 },
    { outer: 2, n: 37, inner: 5, parts: 3, reverse: 1 },
    { outer: 1, n: 9, inner: 1, parts: 6, exclusive: 1, reverse: 1 }, // the last part is empty
  ],
  large: [{ outer: 1, n: 1 << 20, inner: 1, parts: 2048 }],
  variants: [{
    name: "cumsum",
    source,
    tunables: { WG: [64] },
    loopTurns: ({ n, parts }) => ceilDiv(n, parts) + 1,
    workgroups: ({ outer, parts, inner }, { WG }) => grid1d(ceilDiv(outer * parts * inner, WG)),
  }],
});
