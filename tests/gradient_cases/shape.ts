/**
 * Gradients of the operations that move values.
 *
 * @module
 */
import { cast, where } from "../../engine/ops/cast.ts";
import { greater } from "../../engine/ops/elementwise.ts";
import { gather, scatterAdd } from "../../engine/ops/gather.ts";
import { pad, type PadMode } from "../../engine/ops/pad.ts";
import {
  broadcastTo,
  concat,
  flip,
  permute,
  repeat,
  slice,
  stack,
  tile,
  transpose,
} from "../../engine/ops/shape.ts";
import { Tensor } from "../../engine/tensor.ts";
import { sizeOf } from "../../shaders/kernel.ts";
import type { GradientCase } from "../gradcheck.ts";

/** Values of a tensor `[…shape]` computed index by index. */
export function build(shape: readonly number[], f: (at: number[]) => number): Float64Array {
  return Float64Array.from({ length: sizeOf(shape) }, (_, i) => {
    const at: number[] = [];
    for (let k = shape.length - 1, rest = i; k >= 0; k--) {
      at.unshift(rest % shape[k]);
      rest = Math.floor(rest / shape[k]);
    }
    return f(at);
  });
}

const shape = [2, 3, 5];
const at = (x: Float64Array, i: number, j: number, k: number) => x[(i * 3 + j) * 5 + k];

// Index that position `i` of a padded axis reads, after numpy.pad.
const sources: Record<Exclude<PadMode, "constant">, (i: number, n: number) => number> = {
  edge: (i, n) => Math.min(n - 1, Math.max(0, i)),
  reflect: (i, n) => (i < 0 ? -i : i >= n ? 2 * (n - 1) - i : i),
  circular: (i, n) => (i + n) % n,
};

const padding: GradientCase[] = (["edge", "reflect", "circular"] as const).map((mode) => ({
  name: `pad in mode ${mode}`,
  shapes: [shape],
  f: (x) => pad(x, { pads: [[2, 1], [3, 4]], mode }),
  reference: (x) =>
    build([2, 6, 12], ([i, j, k]) => at(x, i, sources[mode](j - 2, 3), sources[mode](k - 3, 5))),
}));

const moving: GradientCase[] = [{
  name: "permute",
  shapes: [shape],
  f: (x) => permute(x, [2, 0, 1]),
  reference: (x) => build([5, 2, 3], ([k, i, j]) => at(x, i, j, k)),
}, {
  name: "transpose",
  shapes: [shape],
  f: transpose,
  reference: (x) => build([2, 5, 3], ([i, k, j]) => at(x, i, j, k)),
}, {
  name: "slice with a step",
  shapes: [shape],
  f: (x) => slice(x, { axis: -1, start: 1, end: -1, step: 2 }),
  reference: (x) => build([2, 3, 2], ([i, j, k]) => at(x, i, j, 1 + 2 * k)),
}, {
  name: "slice of several axes",
  shapes: [shape],
  f: (x) => slice(x, { start: [1, -2], end: [2, 3, 4] }),
  reference: (x) => build([1, 2, 4], ([, j, k]) => at(x, 1, j + 1, k)),
}, {
  name: "concat",
  shapes: [shape, [2, 1, 5]],
  f: (a, b) => concat([a, b, a], 1),
  reference: (a, b) =>
    build([2, 7, 5], ([i, j, k]) => (j === 3 ? b[i * 5 + k] : at(a, i, j < 3 ? j : j - 4, k))),
}, {
  name: "stack",
  shapes: [[2, 3], [2, 3]],
  f: (a, b) => stack([a, b], 1),
  reference: (a, b) => build([2, 2, 3], ([i, t, j]) => (t ? b : a)[i * 3 + j]),
}, {
  name: "flip",
  shapes: [shape],
  f: (x) => flip(x, [0, -1]),
  reference: (x) => build(shape, ([i, j, k]) => at(x, 1 - i, j, 4 - k)),
}, {
  name: "tile",
  shapes: [[3, 5]],
  f: (x) => tile(x, [2, 1, 3]),
  reference: (x) => build([2, 3, 15], ([, j, k]) => x[j * 5 + k % 5]),
}, {
  name: "repeat",
  shapes: [shape],
  f: (x) => repeat(x, { axis: 1, times: 2 }),
  reference: (x) => build([2, 6, 5], ([i, j, k]) => at(x, i, Math.floor(j / 2), k)),
}, {
  name: "broadcastTo",
  shapes: [[3, 1]],
  f: (x) => broadcastTo(x, [2, 3, 5]),
  reference: (x) => build([2, 3, 5], ([, j]) => x[j]),
}, {
  name: "pad with a constant",
  shapes: [shape],
  f: (x) => pad(x, { pads: [[1, 0], [0, 2], [3, 1]], value: 0.5 }),
  reference: (x) =>
    build(
      [3, 5, 9],
      ([i, j, k]) => i < 1 || j > 2 || k < 3 || k > 7 ? 0.5 : at(x, i - 1, j, k - 3),
    ),
}];

const order = [2, 0, 2, 1];

const indexing: GradientCase[] = [{
  name: "gather by numbers",
  shapes: [shape],
  f: (x) => gather(x, order, { axis: 1 }),
  reference: (x) => build([2, 4, 5], ([i, j, k]) => at(x, i, order[j], k)),
}, {
  name: "gather by a tensor with one list for each batch entry",
  shapes: [shape],
  f: (x) =>
    gather(x, Tensor.from(x.gpu, Uint32Array.from([2, 0, 1, 1]), [2, 2]), {
      axis: 1,
      batchAxes: 1,
    }),
  reference: (x) => build([2, 2, 5], ([i, j, k]) => at(x, i, [2, 0, 1, 1][i * 2 + j], k)),
}, {
  name: "scatterAdd",
  shapes: [[2, 4, 5]],
  f: (x) => scatterAdd(x, order, { axis: 1, size: 4 }),
  reference: (x) =>
    build(
      [2, 4, 5],
      ([i, d, k]) =>
        order.reduce((sum, to, j) => (to === d ? sum + x[(i * 4 + j) * 5 + k] : sum), 0),
    ),
}, {
  name: "where",
  shapes: [[3, 1], [5]],
  f: (a, b) => where(greater(a.detach(), Tensor.zeros(a.gpu, [1])), a, b),
  reference: (a, b) => build([3, 5], ([i, j]) => (a[i] > 0 ? a[i] : b[j])),
}, {
  name: "cast to f16 and back",
  shapes: [[7]],
  // Values that half precision holds: the cast is then the identity, and so is its gradient.
  data: (size) => Float64Array.from({ length: size }, (_, i) => i - 3),
  f: (x) => x.gpu.caps.features.has("shader-f16") ? cast(cast(x, "f16"), "f32") : x.reshape([7]),
  reference: (x) => x,
  tolerance: 1e-3, // the gradient passes through f16: 2^-11 on each value
}];

/** Cases of this family. */
export const shapeCases: readonly GradientCase[] = [...moving, ...padding, ...indexing];
