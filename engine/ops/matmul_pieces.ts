/**
 * Matrix products whose operands or result are over the adapter's limit of one binding, or whose sums are longer than its loops may
 * be, in pieces that are not.
 *
 * @module
 */
import { add } from "./elementwise.ts";
import { productOfPanels, usesPanels } from "./matmul_panels.ts";
import { packedRows, productF64 } from "./matmul_f64.ts";
import { concat, slice } from "./shape.ts";
import { run } from "../run.ts";
import { allocate, dtypeBytes, type Tensor, tidy } from "../tensor.ts";
import { matmulKernel } from "../../shaders/matmul/matmul.ts";

/** Sizes of a product: `batch` matrices `[m, n]`, each operand one matrix per item of the batch or one for all. */
export interface ProductPlan {
  /** Products to make. */
  readonly batch: number;
  /** Rows of a result. */
  readonly m: number;
  /** Columns of a result. */
  readonly n: number;
  /** Length of the sums. */
  readonly k: number;
  /** `a` is `[k, m]`. */
  readonly transposeA: boolean;
  /** `b` is `[n, k]`. */
  readonly transposeB: boolean;
  /** One `a` serves the whole batch. */
  readonly isSharedA: boolean;
  /** One `b` serves the whole batch. */
  readonly isSharedB: boolean;
}

// Bytes that every adapter accepts as the offset of a binding.
const ALIGNMENT = 256;

/** Values that one binding may hold. */
export function mostValues({ gpu, dtype }: Pick<Tensor, "gpu" | "dtype">): number {
  return Math.floor(gpu.caps.maxBindingBytes / dtypeBytes(dtype));
}

/**
 * Terms that one launch may sum, of operands with at most `rows` rows or columns: every variant takes fewer than two turns for a
 * term, and an operand in f64 is packed whole.
 */
export function mostTerms(x: Pick<Tensor, "gpu" | "dtype">, rows: number): number {
  const turns = Math.floor(x.gpu.caps.maxLoopTurns / 2);
  if (x.dtype !== "f64") return turns;
  const fours = Math.floor(mostValues(x) / packedRows(rows) / 4);
  return Math.min(turns, Math.max(1, 4 * fours));
}

/** Which operand of a product is a triangle: its zeros are left out where that pays. The numbers are those of the kernels. */
export type Zeros = "none" | "lower b" | "lower a";
const termsOf = { none: 0, "lower b": 2, "lower a": 3 };

/** One launch of the kernel, into `out` where it is given. */
function launch(
  a: Tensor,
  b: Tensor,
  plan: ProductPlan,
  to: { readonly shape?: readonly number[]; readonly out?: Tensor } = {},
  zeros: Zeros = "none",
): Tensor {
  const terms = termsOf[zeros];
  const { batch, m, n, k, transposeA, transposeB, isSharedA, isSharedB } = plan;
  if (a.dtype === "f64") return productF64(a, b, plan, to, { terms });
  if (usesPanels(a.gpu, a.dtype, plan, { isSymmetric: terms > 0 })) {
    return productOfPanels(a, b, plan, { bias: a, scale: a, residual: a, args: { terms } }, to);
  }
  const absent = a.size; // bound in place of bias, scale and residual, and not read
  const [c = to.out!] = run(matmulKernel, [a, b, a, a, a], {
    dims: {
      ...{ batch, m, n, k, aSize: a.size, bSize: b.size },
      ...{ biasSize: absent, scaleSize: absent, residualSize: absent },
    },
    args: {
      transposeA: Number(transposeA),
      transposeB: Number(transposeB),
      strideA: isSharedA ? 0 : m * k,
      strideB: isSharedB ? 0 : k * n,
    },
    shapes: to.shape && { c: to.shape },
    out: to.out && { c: to.out },
  });
  return c;
}

/**
 * The product of a plan, with the shape given. Whole products leave zeros out, pieces do not.
 *
 * @throws {UnsupportedError} where not even one row, one column or one matrix fits a binding.
 */
export function product(
  a: Tensor,
  b: Tensor,
  plan: ProductPlan,
  shape: readonly number[],
  zeros: Zeros = "none",
): Tensor {
  const most = mostValues(a);
  if (plan.k > mostTerms(a, Math.max(plan.m, plan.n))) return bySum(a, b, plan, shape);
  if (sizeOfLargest(a, b, plan) <= most) return launch(a, b, plan, { shape }, zeros);
  if (plan.batch > 1) return tidy(a.gpu, () => byMatrix(a, b, plan, shape));
  if (b.size > most && plan.transposeB) return byColumns(a, b, plan, shape);
  if (b.size > most || (plan.transposeA && plan.m * plan.n <= most && plan.k > 1)) {
    return bySum(a, b, plan, shape);
  }
  return tidy(a.gpu, () => byRows(a, b, plan, shape));
}

/** Values of the largest binding of a product: an operand, as it is and packed, or the result. */
function sizeOfLargest(a: Tensor, b: Tensor, { batch, m, n, k, ...plan }: ProductPlan): number {
  const most = Math.max(a.size, b.size, batch * m * n);
  if (a.dtype !== "f64") return most;
  const packedA = (plan.isSharedA ? 1 : batch) * packedRows(m);
  const packedB = (plan.isSharedB ? 1 : batch) * packedRows(n);
  return Math.max(most, Math.max(packedA, packedB) * 4 * Math.ceil(k / 4));
}

/**
 * Begin and end of pieces of `total` rows, as many at a time as the longest of `lengths` allows and `longest` at most, starting where
 * the bytes of every length are aligned.
 */
export function* spans(
  { gpu, dtype }: Tensor,
  total: number,
  lengths: readonly number[],
  longest = Infinity,
): Generator<[number, number]> {
  const values = ALIGNMENT / dtypeBytes(dtype);
  let unit = 1;
  while (lengths.some((n) => (n * unit) % values !== 0)) unit *= 2;
  const fits = gpu.caps.maxBindingBytes / dtypeBytes(dtype) / Math.max(...lengths);
  const most = Math.min(fits, longest);
  const step = Math.max(unit, Math.floor(most / unit) * unit);
  for (let start = 0; start < total; start += step) yield [start, Math.min(total, start + step)];
}

function byMatrix(a: Tensor, b: Tensor, plan: ProductPlan, shape: readonly number[]): Tensor {
  const { m, n, k, batch } = plan;
  const c = allocate(a.gpu, shape, a.dtype);
  const packed = packedRows(Math.max(m, n)) * (k + 3); // at most, of one matrix
  const longest = a.dtype === "f64" ? mostValues(a) / packed : Infinity;
  for (const [start, end] of spans(a, batch, [m * n, m * k, k * n], longest)) {
    tidy(a.gpu, () => {
      const count = end - start;
      const part = (t: Tensor, one: number, isShared: boolean) =>
        isShared ? t : t.alias([count * one], start * one);
      const out = c.alias([count, m, n], start * m * n);
      const [pieceA, pieceB] = [part(a, m * k, plan.isSharedA), part(b, k * n, plan.isSharedB)];
      launch(pieceA, pieceB, { ...plan, batch: count }, { out });
    });
  }
  return c;
}

function byRows(a: Tensor, b: Tensor, plan: ProductPlan, shape: readonly number[]): Tensor {
  const { m, n, k } = plan;
  const c = allocate(a.gpu, shape, a.dtype);
  const longest = a.dtype === "f64" ? mostValues(a) / (k + 3) - 32 : Infinity; // packed, at most
  for (const [start, end] of spans(a, m, [n, k], longest)) {
    tidy(a.gpu, () => {
      const rows = plan.transposeA
        ? slice(a.alias([k, m]), { axis: 1, start, end })
        : a.alias([end - start, k], start * k);
      const out = c.alias([end - start, n], start * n);
      launch(rows, b, { ...plan, m: end - start }, { out });
    });
  }
  return c;
}

function byColumns(a: Tensor, b: Tensor, plan: ProductPlan, shape: readonly number[]): Tensor {
  const { m, n, k } = plan;
  return tidy(a.gpu, () => {
    const parts = [...spans(a, n, [m, k])].map(([start, end]) =>
      product(a, b.alias([end - start, k], start * k), { ...plan, n: end - start }, [
        m,
        end - start,
      ])
    );
    return concat(parts, 1).alias(shape);
  });
}

/** Splits the sum over k; each part is a product that fits. */
function bySum(a: Tensor, b: Tensor, plan: ProductPlan, shape: readonly number[]): Tensor {
  const { m, n, k } = plan;
  return tidy(a.gpu, () => {
    let total: Tensor | undefined;
    for (const [start, end] of spans(a, k, [m, n], mostTerms(a, Math.max(m, n)))) {
      const pieceA = terms(a, plan.transposeA, { k, other: m, start, end });
      const pieceB = terms(b, !plan.transposeB, { k, other: n, start, end });
      const part = product(pieceA, pieceB, { ...plan, k: end - start }, shape);
      const sum = total ? add(total, part) : part;
      if (total) [total, part].forEach((t) => t.dispose());
      total = sum;
    }
    return total!;
  });
}

/** Terms `start` to `end` of operands `[k, other]`, where k comes first, or `[other, k]`. */
function terms(
  t: Tensor,
  comesFirst: boolean,
  { k, other, start, end }: { k: number; other: number; start: number; end: number },
): Tensor {
  const count = t.size / (k * other);
  if (comesFirst && count === 1) return t.alias([end - start, other], start * other);
  const matrices = t.alias(comesFirst ? [count, k, other] : [count, other, k]);
  return slice(matrices, { axis: comesFirst ? 1 : 2, start, end });
}
