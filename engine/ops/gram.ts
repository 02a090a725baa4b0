/**
 * Products of a matrix with its own transpose: one triangle is made and mirrored.
 *
 * @module
 */
import { DTypeError, ShapeError } from "../errors.ts";
import { run } from "../run.ts";
import { record } from "../tape.ts";
import { allocate, type Tensor, tidy } from "../tensor.ts";
import { cast } from "./cast.ts";
import { copyBox } from "./copy.ts";
import { add } from "./elementwise.ts";
import { matmul } from "./matmul.ts";
import { packedRows, productF64 } from "./matmul_f64.ts";
import { packed, productOfPacked, usesPanels } from "./matmul_panels.ts";
import { mostTerms, mostValues, spans } from "./matmul_pieces.ts";
import { matrices } from "./matrix.ts";
import { slice, transpose as transposed } from "./shape.ts";
import { ceilDiv } from "../../shaders/kernel.ts";
import { matmulKernel } from "../../shaders/matmul/matmul.ts";

/** Options of {@link gram}. */
export interface GramOptions {
  /** Makes `xᵀ·x` of `x: […, k, m]` instead of `x·xᵀ` of `x: […, m, k]`. */
  readonly transpose?: boolean;
  /** `[…, m, m]`, symmetric: added to the product, so that the products of slabs are summed without a pass of their own. */
  readonly residual?: Tensor;
  /** f64 makes and sums the products in double precision, of an `x` in f32 too; otherwise it must be the type of `x`. */
  readonly dtype?: "f32" | "f64";
}

interface Plan {
  readonly dtype: Tensor["dtype"];
  readonly batch: number;
  readonly m: number;
  readonly k: number;
  readonly transpose: boolean;
  /** `x` is lower triangular and transposed: its zeros are left out. */
  readonly isLower?: boolean;
}

/**
 * `x·xᵀ`, or `xᵀ·x`, for half the work of `matmul`. `x: […, m, k]` → `[…, m, m]`, symmetric to the last bit.
 *
 * @throws {ShapeError} when `x` holds no matrices or the residual does not fit.
 * @throws {DTypeError} when the residual has another type than the result, or that is narrower than `x`.
 * @throws {UnsupportedError} for f64 on an adapter without the feature `shader-f64`.
 */
export function gram(
  x: Tensor,
  { transpose = false, residual, dtype: wanted }: GramOptions = {},
): Tensor {
  const { lead, batch, rows, cols } = matrices("take the Gram matrix of", x);
  const [m, k] = transpose ? [cols, rows] : [rows, cols];
  const shape = [...lead, m, m];
  if (residual && `${residual.shape}` !== `${shape}`) {
    throw new ShapeError(
      `Cannot add [${residual.shape}] to the Gram matrix of [${x.shape}]: it must be [${shape}]`,
    );
  }
  const dtype = wanted ?? x.dtype;
  if (dtype !== x.dtype && (dtype !== "f64" || x.dtype !== "f32")) {
    throw new DTypeError(
      `Cannot take the Gram matrix of ${x.dtype} as ${dtype}: only f32 becomes another type, f64`,
    );
  }
  if (residual && residual.dtype !== dtype) {
    throw new DTypeError(
      `Cannot add ${residual.dtype} to a Gram matrix of ${dtype}: both must have one type`,
    );
  }
  const flat = tidy(x.gpu, () => {
    const plan = { dtype, batch, m, k, transpose };
    const start = residual?.alias([batch, m, m]);
    return symmetricProduct(x.alias([batch, rows, cols]), plan, start);
  });
  const y = flat.alias(shape);
  flat.dispose();
  return record(y, [x, residual], [x], (g, [x]) => [
    () =>
      tidy(g.gpu, () => {
        const both = add(g, transposed(g));
        const back = transpose ? matmul(x, both) : matmul(both, x);
        return back.dtype === x.dtype ? back : cast(back, x.dtype);
      }),
    () => g,
  ]);
}

/** `tᵀ·t` with `t: [batch, n, n]` lower triangular, off the tape: a third of a product. @internal */
export function gramOfLower(t: Tensor): Tensor {
  const [batch, n] = t.shape;
  return symmetricProduct(t, { dtype: t.dtype, batch, m: n, k: n, transpose: true, isLower: true });
}

/** Values that one binding may hold of the wider one of `x` and the result. */
const mostOf = ({ gpu }: Tensor, { dtype }: Plan): number => mostValues({ gpu, dtype });

/** Terms that one launch may sum. */
const termsOf = ({ gpu }: Tensor, { dtype, m }: Plan): number => mostTerms({ gpu, dtype }, m);

/** The product of `x: [batch, m, k]`, or `[batch, k, m]`, off the tape; in pieces where a binding or a loop would be too long. */
function symmetricProduct(x: Tensor, plan: Plan, residual?: Tensor): Tensor {
  const { batch, m, k } = plan;
  const most = mostOf(x, plan);
  const rows = plan.dtype === "f64" ? packedRows(m) : m;
  const fits = batch * rows * Math.max(k + 3, m) <= most && k <= termsOf(x, plan);
  if (fits) return launch(x, plan, residual);
  if (batch > 1) return byMatrix(x, plan, residual);
  return m * m <= most ? bySum(x, plan, residual) : byBlocks(x, plan, residual);
}

function launch(x: Tensor, plan: Plan, residual?: Tensor): Tensor {
  const { batch, m, k, transpose } = plan;
  const terms = Number(plan.isLower ?? false);
  const n = 4 * ceilDiv(m, 4); // what the panels need; the rows beyond m are zero
  const same = {
    transposeA: transpose,
    transposeB: !transpose,
    isSharedA: false,
    isSharedB: false,
  };
  if (plan.dtype === "f64") {
    return tidy(x.gpu, () => {
      const shape = [batch, m, m];
      const c = productF64(x, x, { batch, m, n: m, k, ...same }, { shape }, {
        symmetric: 1,
        terms,
      });
      return residual ? add(c, residual) : c;
    });
  }
  if (usesPanels(x.gpu, x.dtype, { batch, m: n, n, k, ...same }, { isSymmetric: true })) {
    return tidy(x.gpu, () => {
      const panels = packed(x, { batch, rows: m, k, byRows: !transpose });
      const isWhole = m === n;
      const plan = { batch, m: n, n, k, ...same };
      const added = isWhole ? residual : undefined;
      const absent = panels;
      const args = { symmetric: 1, terms, hasResidual: Number(!!added) };
      const after = { bias: absent, scale: absent, residual: added ?? absent, args };
      const c = productOfPacked(panels, panels, plan, after, { shape: [batch, n, n] });
      if (isWhole) return c;
      const cut = slice(c, { start: [0, 0, 0], end: [batch, m, m] });
      return residual ? add(cut, residual) : cut;
    });
  }
  const sizes = { aSize: x.size, bSize: x.size, biasSize: x.size, scaleSize: x.size };
  const [c] = run(matmulKernel, [x, x, x, x, residual ?? x], {
    dims: { batch, m, n: m, k, ...sizes, residualSize: (residual ?? x).size },
    args: {
      ...{ transposeA: Number(transpose), transposeB: Number(!transpose) },
      ...{ strideA: m * k, strideB: m * k, symmetric: 1, hasResidual: Number(!!residual) },
    },
    shapes: { c: [batch, m, m] },
  });
  return c;
}

function byMatrix(x: Tensor, plan: Plan, residual?: Tensor): Tensor {
  const { batch, m } = plan;
  const y = allocate(x.gpu, [batch, m, m], plan.dtype);
  for (let z = 0; z < batch; z++) {
    tidy(x.gpu, () => {
      const own = slice(x, { axis: 0, start: z, end: z + 1 });
      const start = residual && slice(residual, { axis: 0, start: z, end: z + 1 });
      const part = symmetricProduct(own, { ...plan, batch: 1 }, start);
      copyBox(part, y, [{ n: m * m, source: 1, target: 1 }], { target: z * m * m });
    });
  }
  return y;
}

/** Splits the sum; every part starts from the one before. */
function bySum(x: Tensor, plan: Plan, residual?: Tensor): Tensor {
  const { m, k, transpose } = plan;
  let total = residual;
  for (const [start, end] of spans(x, k, [m], Math.min(termsOf(x, plan), mostOf(x, plan) / m))) {
    const before = total;
    total = tidy(x.gpu, () => {
      const terms = transpose
        ? x.alias([1, end - start, m], start * m)
        : slice(x, { axis: 2, start, end });
      return launch(terms, { ...plan, k: end - start, isLower: false }, before);
    });
    if (before !== residual) before?.dispose();
  }
  return total!;
}

/** Splits the rows; a block below the diagonal is a product of two of them and is stored twice. */
function byBlocks(x: Tensor, plan: Plan, residual?: Tensor): Tensor {
  const { m, transpose } = plan;
  const y = allocate(x.gpu, [1, m, m], plan.dtype);
  const side = Math.floor(Math.sqrt(mostOf(x, plan)) / 4) * 4;
  const rowsOf = (start: number) => {
    const rows = slice(x, { axis: transpose ? 2 : 1, start, end: Math.min(m, start + side) });
    return x.dtype === plan.dtype ? rows : cast(rows, plan.dtype);
  };
  for (let i = 0; i < m; i += side) {
    for (let j = 0; j <= i; j += side) {
      tidy(x.gpu, () => {
        const rows = Math.min(side, m - i), cols = Math.min(side, m - j);
        const part = i === j
          ? symmetricProduct(rowsOf(i), { ...plan, m: rows, isLower: false })
          : matmul(rowsOf(i), rowsOf(j), {
            transposeA: transpose,
            transposeB: !transpose,
          });
        const places = [[m, 1, i * m + j], [1, m, j * m + i]];
        for (const [row, col, target] of places.slice(0, i === j ? 1 : 2)) {
          const axes = [{ n: rows, source: cols, target: row }, {
            n: cols,
            source: 1,
            target: col,
          }];
          copyBox(part, y, axes, { target });
        }
      });
    }
  }
  if (!residual) return y;
  const sum = add(y, residual);
  y.dispose();
  return sum;
}
