/**
 * Fourier transforms along one axis: by butterflies where the length has small factors alone, as a product with the matrix of the
 * transform otherwise.
 *
 * @module
 */
import type { Gpu } from "../gpu.ts";
import { run } from "../run.ts";
import { record } from "../tape.ts";
import { Tensor, tidy } from "../tensor.ts";
import { add, scale } from "./elementwise.ts";
import { matmul } from "./matmul.ts";
import { mostValues } from "./matmul_pieces.ts";
import { concat, slice } from "./shape.ts";
import { sizeOf } from "../../shaders/kernel.ts";
import { circleOf, fftStageKernel } from "../../shaders/fft/fft_stage.ts";

/** Largest radix of a pass: a value of one costs that many loads, and from some twenty on a product with the matrix is as fast. */
const LARGEST_RADIX = 13;

/** The radices of the passes of a transform of length n, the largest first; none where a factor is too large. */
export function radicesOf(n: number): number[] | undefined {
  const radices: number[] = [];
  if (n === 1) return [1];
  let rest = n;
  for (const radix of [5, 4, 3, 2]) {
    for (; rest % radix === 0; rest /= radix) radices.push(radix);
  }
  for (let radix = 7; rest > 1 && radix <= LARGEST_RADIX; radix += 2) {
    for (; rest % radix === 0; rest /= radix) radices.unshift(radix);
  }
  return rest === 1 ? radices : undefined;
}

/** What the transforms of one length read. Lives until it is disposed, whatever scope made it. */
export class AxisTable implements Disposable {
  /** Radices of the passes; undefined where the transform is a product with `cos` and `sin`. */
  readonly radices: readonly number[] | undefined;
  /** `[n, 2]` for passes. */
  readonly circle: Tensor | undefined;
  /** `[n, n]` for products: cosines of `2π·j·k / n`. */
  readonly cos: Tensor | undefined;
  /** `[n, n]`: sines. */
  readonly sin: Tensor | undefined;

  /** The table of a length. */
  constructor(gpu: Gpu, readonly n: number) {
    const kept = (values: Float32Array<ArrayBuffer>, columns: number) => {
      const table = Tensor.from(gpu, values, [n, columns]);
      gpu.scopes.at(-1)?.delete(table);
      return table;
    };
    this.radices = radicesOf(n);
    if (this.radices) {
      this.circle = kept(circleOf(n), 2);
      return;
    }
    this.cos = kept(phases(n, Math.cos), n);
    this.sin = kept(phases(n, Math.sin), n);
  }

  /** Gives the table up. */
  [Symbol.dispose](): void {
    for (const table of [this.circle, this.cos, this.sin]) table?.dispose();
  }
}

/** `[n, n]` of `f(2π·j·k / n)`, the phase reduced exactly in integers. */
function phases(n: number, f: (angle: number) => number): Float32Array<ArrayBuffer> {
  const turn = Float32Array.from({ length: n }, (_, j) => f(2 * Math.PI * j / n));
  const values = new Float32Array(n * n);
  for (let j = 0; j < n; j++) {
    for (let k = 0; k < n; k++) values[j * n + k] = turn[(j * k) % n];
  }
  return values;
}

/** Which transform: the sign of the exponent, and a factor. */
export interface AxisTransform {
  /** Of the exponent. */
  readonly sign: 1 | -1;
  /** Multiplies the result (default 1). */
  readonly scale?: number;
}

/**
 * `scale · Σ_j e^(±2πi·j·k / n) · z[…, j, …]` along one of the last two axes of complex images, real parts first; its own adjoint but for
 * the sign.
 *
 * @param z `[2, …, h, w]`
 */
export function transformAxis(
  z: Tensor,
  axis: "rows" | "columns",
  table: AxisTable,
  { sign, scale: factor = 1 }: AxisTransform,
): Tensor {
  const { radices, circle, cos, sin } = table;
  if (radices && circle) {
    return passes(z, axis, { radices, circle }, { sign, scale: factor });
  }
  return tidy(z.gpu, () => {
    const by = (m: Tensor) => axis === "rows" ? matmul(m, z) : matmul(z, m);
    const turned = by(sin!);
    const [re, im] = [0, 1].map((part) => slice(turned, { axis: 0, start: part, end: part + 1 }));
    const across = concat(sign === 1 ? [scale(im, -1), re] : [im, scale(re, -1)]);
    const sum = add(by(cos!), across);
    return factor === 1 ? sum : scale(sum, factor);
  });
}

/** What passes read. */
interface Passes {
  readonly radices: readonly number[];
  readonly circle: Tensor;
}

function passes(
  z: Tensor,
  axis: "rows" | "columns",
  table: Passes,
  { sign, scale }: Required<AxisTransform>,
): Tensor {
  const at = z.shape.length - (axis === "rows" ? 2 : 1);
  const [n, outer, inner] = [
    z.shape[at],
    sizeOf(z.shape.slice(1, at)),
    sizeOf(z.shape.slice(at + 1)),
  ];
  const most = Math.max(1, Math.floor(mostValues(z) / (2 * n * inner)));
  const y = tidy(z.gpu, () => {
    const each = { n, inner, sign, scale };
    if (outer <= most) return inPasses(z.alias([2, outer, n, inner]), table, each).alias(z.shape);
    const rows = z.alias([2, outer, n, inner]), parts: Tensor[] = [];
    for (let start = 0; start < outer; start += most) {
      const part = slice(rows, { axis: 1, start, end: Math.min(outer, start + most) });
      parts.push(inPasses(part, table, each));
    }
    return concat(parts, 1).alias(z.shape);
  });
  return record(y, [z], [table.circle], (g, [circle]) => [
    () => passes(g, axis, { ...table, circle }, { sign: sign === 1 ? -1 : 1, scale }),
  ]);
}

/** One pass for each radix over the middle axis of `[2, outer, n, inner]`. */
function inPasses(
  z: Tensor,
  { radices, circle }: Passes,
  { n, inner, sign, scale }: Required<AxisTransform> & { n: number; inner: number },
): Tensor {
  let from = z, done = 1;
  for (const radix of radices) {
    const isLast = done * radix === n;
    const [to] = run(fftStageKernel, [from, circle], {
      dims: { outer: z.shape[1], n, inner },
      args: { radix, done, sign, scale: isLast ? scale : 1 },
    });
    from.dispose(); // a handle of ours
    from = to;
    done *= radix;
  }
  return from;
}
