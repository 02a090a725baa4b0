/**
 * The leading eigenvectors of a large symmetric matrix that is known by its products, by a block Krylov method with thick restart: the
 * products and the bases are on the device, the Rayleigh–Ritz problems of a few hundred rows on the host in float64.
 *
 * Why not the alternatives: subspace iteration forgets the products before the last, so it needs as many again as a power of the ratio of
 * eigenvalues asks for, where a Krylov space needs the square root; a Chebyshev filter has that root too, but has to guess the bounds of
 * the unwanted spectrum; Lanczos from one vector finds one eigenvector of each eigenvalue, a block finds as many as it is wide.
 *
 * @module
 */
import { ShapeError } from "../errors.ts";
import { type Key, normal, randomKey } from "../random.ts";
import { readAll, Tensor, tidy } from "../tensor.ts";
import { add, mul, scale, square, sub } from "./elementwise.ts";
import { matmul } from "./matmul.ts";
import { matrices, requireF32 } from "./matrix.ts";
import { rescaleBasis } from "./qr.ts";
import { rayleighRitz } from "./rayleigh_ritz.ts";
import { normalize, sum } from "./reduce.ts";
import { concat, slice } from "./shape.ts";
import type { Gpu } from "../gpu.ts";

/** A symmetric matrix that is known by its products only. */
export interface SymmetricOperator {
  /** The device of the vectors. */
  readonly gpu: Gpu;
  /** Rows. */
  readonly n: number;
  /** The product with `q: [n, b]` → `[n, b]`. */
  apply(q: Tensor): Tensor;
}

/** Options of {@link eighTopK}. */
export interface EighTopKOptions {
  /** Which eigenvalues lead: those of largest magnitude, or the largest with their sign. */
  readonly order?: "magnitude" | "signed";
  /** Extra columns of a block: more of them, fewer products. */
  readonly nOversamples?: number;
  /** Most products of the matrix with a block. */
  readonly iterations?: number;
  /** Greatest allowed `‖a·v − λ·v‖ / max |λ|`; f32 products cannot reach much below 10⁻⁶. */
  readonly tolerance?: number;
  /** Randomness of the first block. */
  readonly key?: Key;
  /** Stops the iteration. */
  readonly signal?: AbortSignal;
}

/** What {@link eighTopK} returns; the caller owns `vectors`. */
export interface TopEigen {
  /** The leading eigenvalues, in their order. */
  readonly values: Float64Array<ArrayBuffer>;
  /** `[n, k]`, orthonormal to rounding: column `i` belongs to `values[i]`. */
  readonly vectors: Tensor;
  /** `‖a·v − λ·v‖ / max |λ|` of each, over the eigenvalues that were found. */
  readonly residuals: Float64Array<ArrayBuffer>;
  /** Products with the matrix. */
  readonly iterations: number;
  /** Whether every residual is within the tolerance. */
  readonly isConverged: boolean;
}

const PRODUCTS_PER_CHECK = 3; // of a basis of few columns: a check reads back twice, which costs more than a small product
const FEW_COLUMNS = 128; // beyond, the Rayleigh–Ritz problem is worth solving for a full basis only
const BLOCKS = 8; // of a basis, where that has few columns
const COLUMNS = 256; // of such a basis: a Rayleigh–Ritz problem of 50 ms
const BETTER = 0.9, STALE = 3; // checks without as much gain: rounding is reached, and going on only adds to it
const NEAR = 100; // times the tolerance: further away a pause is no sign of rounding
const LEAST_BLOCKS = 4; // Ritz vectors, their residuals and one product: a restart loses little (Knyazev 2001, LOBPCG)

/**
 * The `k` leading eigenvalues of a symmetric matrix `[n, n]` with their eigenvectors, by a randomized block Krylov method (Musco and Musco,
 * 2015) that restarts from its Ritz vectors and their residuals. Every eigenvalue is found as often as it is repeated, as blocks are at
 * least `k` wide. It stops when the residuals are within the tolerance, and says so where they never were.
 *
 * @throws {ShapeError} when the matrix is not square or `k` is not from 1 to n.
 * @throws {DTypeError} for another type than f32.
 * @throws {RangeError} when a product is not finite.
 */
export async function eighTopK(
  a: Tensor | SymmetricOperator,
  k: number,
  {
    order = "magnitude",
    nOversamples = 10,
    iterations = 120,
    tolerance = 1e-5,
    key = randomKey(0),
    signal,
  }: EighTopKOptions = {},
): Promise<TopEigen> {
  const operator = operatorOf(a);
  const { n } = operator;
  if (!(Number.isInteger(k) && k >= 1 && k <= n)) {
    throw new ShapeError(`Cannot find ${k} eigenvectors of [${n},${n}]: k must be from 1 to ${n}`);
  }
  const width = Math.min(n, k + nOversamples);
  const most = Math.min(n, Math.max(LEAST_BLOCKS * width, Math.min(COLUMNS, BLOCKS * width)));
  const krylov = new KrylovSpace(operator, { width, most, key });
  let best: Best | undefined, stale = 0;
  try {
    for (let products = 0;;) {
      signal?.throwIfAborted();
      do {
        krylov.multiply();
        products++;
      } while (products < iterations && !krylov.isWorthACheck(products) && krylov.extend());
      const ritz = await krylov.ritz(order, k);
      const worst = ritz.residuals.reduce((most, r) => Math.max(most, r), 0);
      stale = worst < BETTER * (best?.worst ?? Infinity) ? 0 : stale + 1;
      if (!best || worst < best.worst) {
        best?.vectors.dispose();
        const { values, residuals } = ritz;
        best = { values, residuals, vectors: krylov.take(ritz), worst };
      }
      const isConverged = best.worst <= tolerance;
      const isAtRounding = stale >= STALE && best.worst <= NEAR * tolerance;
      if (isConverged || isAtRounding || products >= iterations) {
        const { worst: _, ...found } = best;
        best = undefined; // the caller's from here on
        return { ...found, iterations: products, isConverged };
      }
      if (!krylov.extend()) {
        krylov.restart(ritz);
        products++;
      }
    }
  } finally {
    best?.vectors.dispose();
    krylov[Symbol.dispose]();
  }
}

interface Best extends Pick<TopEigen, "values" | "residuals" | "vectors"> {
  /** The largest residual. */
  readonly worst: number;
}

function operatorOf(a: Tensor | SymmetricOperator): SymmetricOperator {
  if (!(a instanceof Tensor)) return a;
  requireF32("decompose", a);
  const { lead, rows: n } = matrices("decompose", a, { square: true });
  if (lead.length > 0) throw new ShapeError(`Cannot decompose [${a.shape}]: it must be one matrix`);
  return { gpu: a.gpu, n, apply: (q) => matmul(a.detach(), q) };
}

interface Ritz {
  /** Of the wanted vectors. */
  readonly values: Float64Array<ArrayBuffer>;
  readonly residuals: Float64Array<ArrayBuffer>;
  /** All Ritz values, in their order. */
  readonly all: Float64Array<ArrayBuffer>;
  /** `[columns, rank]`: the Ritz vectors in the basis. */
  readonly rotation: Float64Array<ArrayBuffer>;
}

/** An orthonormal basis `q: [n, m]`, its products `z`, and the block whose product is next. */
class KrylovSpace implements Disposable {
  readonly #operator: SymmetricOperator;
  readonly #most: number;
  readonly #noise: Tensor;
  #q: Tensor;
  #z: Tensor | undefined;
  #block: Tensor;
  #product: Tensor | undefined; // of the block

  constructor(
    operator: SymmetricOperator,
    { width, most, key }: { width: number; most: number; key: Key },
  ) {
    const { gpu, n } = operator;
    this.#operator = operator;
    this.#most = most;
    this.#noise = Tensor.from(gpu, normal(key, n * width), [n, width]);
    this.#block = tidy(gpu, () => rescaleBasis(rescaleBasis(this.#noise)));
    this.#q = this.#block.alias();
  }

  /** The product of the matrix and the last block. */
  multiply(): void {
    const { gpu, apply } = this.#operator, before = [this.#z, this.#product];
    const { z, product } = tidy(gpu, () => {
      const product = apply(this.#block);
      return { z: this.#z ? concat([this.#z, product], 1) : product.alias(), product };
    });
    before.forEach((t) => t?.dispose());
    this.#z = z;
    this.#product = product;
  }

  /** Takes the last product into the basis; false where there is no room for it. */
  extend(): boolean {
    if (this.#q.shape[1] + this.#block.shape[1] > this.#most || !this.#product) return false;
    this.#append(this.#product);
    this.#product = undefined;
    return true;
  }

  /** Adds the part of `next: [n, width]` outside the basis, and disposes it. */
  #append(next: Tensor): void {
    const before = [this.#q, this.#block, next];
    const { block, q } = tidy(this.#operator.gpu, () => {
      const block = outside(next, this.#q, this.#noise);
      return { block, q: concat([this.#q, block], 1) };
    });
    before.forEach((t) => t.dispose());
    this.#block = block;
    this.#q = q;
  }

  /** Rayleigh–Ritz in the span of the basis. */
  async ritz(order: "magnitude" | "signed", k: number): Promise<Ritz> {
    const { gpu } = this.#operator, q = this.#q, z = this.#products();
    const small = tidy(gpu, () => [
      matmul(q, z, { transposeA: true }),
      matmul(q, q, { transposeA: true }),
    ]);
    const [h, gram] = await readAll(small);
    small.forEach((t) => t.dispose());
    const { values, rotation } = rayleighRitz(h, gram, q.shape[1], order);
    const kept = Math.min(k, values.length);
    using squares = tidy(gpu, () => {
      return sum(square(this.#residual({ all: values, rotation }, kept).residual), { axes: [0] });
    });
    const largest = values.reduce((top, value) => Math.max(top, Math.abs(value)), 0) || 1;
    const residuals = Float64Array.from(await squares.data(), (s) => Math.sqrt(s) / largest);
    return { values: values.slice(0, kept), residuals, all: values, rotation };
  }

  /** Whether Rayleigh–Ritz is cheap enough to see if this many products were enough. */
  isWorthACheck(products: number): boolean {
    return this.#q.shape[1] <= FEW_COLUMNS && products % PRODUCTS_PER_CHECK === 0;
  }

  #products(): Tensor {
    if (!this.#z) throw new RangeError("Cannot find eigenvectors before the first product");
    return this.#z;
  }

  /** The first `count` Ritz vectors, their products and what these lack of an eigenvector. */
  #residual(
    { all, rotation }: Pick<Ritz, "all" | "rotation">,
    count: number,
  ): { vectors: Tensor; products: Tensor; residual: Tensor } {
    const { gpu } = this.#operator, columns = this.#q.shape[1], rank = all.length;
    const part = new Float32Array(columns * count);
    part.forEach((_, at) => part[at] = rotation[Math.floor(at / count) * rank + at % count]);
    const turn = Tensor.from(gpu, part, [columns, count]);
    const vectors = matmul(this.#q, turn), products = matmul(this.#products(), turn);
    const row = Tensor.from(gpu, Float32Array.from(all.subarray(0, count)), [1, count]);
    return { vectors, products, residual: sub(products, mul(vectors, row)) };
  }

  /** The wanted Ritz vectors; the caller owns them. */
  take(ritz: Ritz): Tensor {
    return tidy(this.#operator.gpu, () => this.#residual(ritz, ritz.values.length).vectors);
  }

  /**
   * Keeps as many Ritz vectors as a block is wide and goes on from their residuals. Their products are taken anew: turned with them from
   * restart to restart, they would drift from those of the matrix.
   */
  restart(ritz: Ritz): void {
    const { gpu, apply } = this.#operator, before = [this.#q, this.#z, this.#product];
    const kept = Math.min(this.#block.shape[1], ritz.all.length);
    const { vectors, products, residual } = tidy(gpu, () => {
      const { vectors } = this.#residual(ritz, kept), products = apply(vectors);
      const row = Tensor.from(gpu, Float32Array.from(ritz.all.subarray(0, kept)), [1, kept]);
      return { vectors, products, residual: sub(products, mul(vectors, row)) };
    });
    before.forEach((t) => t?.dispose());
    this.#q = vectors;
    this.#z = products;
    this.#product = undefined;
    this.#append(residual);
  }

  /** Gives all vectors up. */
  [Symbol.dispose](): void {
    [this.#q, this.#block, this.#noise, this.#z, this.#product].forEach((t) => t?.dispose());
  }
}

const NOISE = 1e-9; // of a column: below the rounding of f32, and a direction where a column is zero

/** An orthonormal basis of `x: [n, b]` less its part in the span of `q`; where nothing is left, of noise. */
function outside(x: Tensor, q: Tensor, noise: Tensor): Tensor {
  const [, width] = x.shape;
  const own = scale(slice(noise, { axis: 1, end: width }), NOISE / Math.sqrt(x.shape[0]));
  let y = x;
  for (let pass = 0; pass < 2; pass++) { // twice is enough
    const rest = sub(y, matmul(q, matmul(q, y, { transposeA: true })));
    y = rescaleBasis(add(normalize(rest, { axis: 0, eps: 0 }), own));
  }
  return y;
}
