/**
 * All eigenvalues and eigenvectors of a large symmetric matrix, with all work of order n³ on the device and one read inside:
 *
 * 1. Householder reduction to a tridiagonal matrix on the device (`tridiagonal.ts`), 2 n³ operations: a third of them in n
 *    products with the matrix that are bound by memory, the rest in updates that are matrix product and make both triangles;
 * 2. the tridiagonal problem by divide and conquer (Cuppen 1981; Gu and Eisenstat 1995): roots and vectors of the rank-one updates on
 *    the host in float64, order n²; the bases are multiplied on the device, at most 4/3 n³. The host needs the first and the last
 *    row of every basis only, and keeps those in float64, so that nothing comes back from the device;
 * 3. the reflectors applied to the eigenvectors, 2 n³ of matrix product.
 *
 * Why not the alternatives: QR iteration with vectors is 6 n³ of rotations, which a device does badly; inverse iteration has to
 * orthogonalise clusters, which are the rule for Gram matrices of low rank; spectral divide and conquer by the polar decomposition and
 * two-sided Jacobi are matrix product alone, but 50 n³ and more of it; a reduction in two stages turns the products with a vector into
 * matrix products, but chases bulges for 6 n²·bandwidth operations on the host and applies 2 n³ more of short reflectors, while the
 * memory of a device reads the matrix n/3 times in less time than the host takes for that.
 *
 * The error is that of f32 in the first and the last step: eps·√n or less of the greatest eigenvalue, whatever the spectrum.
 *
 * @module
 */
import { ShapeError, UnsupportedError } from "../errors.ts";
import { readAll, Tensor, tidy } from "../tensor.ts";
import { divideAndConquer } from "./divide_conquer.ts";
import { eighHost } from "./eigh.ts";
import { abs, add, scale } from "./elementwise.ts";
import { identity, matrices, requireF32 } from "./matrix.ts";
import { max } from "./reduce.ts";
import { transpose } from "./shape.ts";
import { applyReflectors, tridiagonalize } from "./tridiagonal.ts";

/** Options of {@link eigh}. */
export interface EighOptions {
  /** Matrices of at most this many rows are solved on the host in float64: by default those for which that is faster. */
  readonly hostRows?: number;
  /** Stops the work at the next panel or merge. */
  readonly signal?: AbortSignal;
  /** Told about columns reduced (`tridiagonal`), rows of merged bases (`merge`) and the end (`vectors`). */
  readonly onProgress?: (event: { stage: string; done: number; total: number }) => void;
}

/** What {@link eigh} returns; the caller owns `vectors`. */
export interface Eigen {
  /** `[n]`, ascending. */
  readonly values: Float64Array<ArrayBuffer>;
  /** `[n, n]` f32, orthonormal columns: column `i` belongs to `values[i]`. */
  readonly vectors: Tensor;
}

// A matrix takes two dispatches a row, which outweigh their work up to here; a software driver's arithmetic is slower too.
const HOST_ROWS = { gpu: 192, software: 384 };
const PANELS_PER_WAIT = 16; // a wait bounds the queue, and lets an abort and other work in; it costs about 10 ms in Deno
const ROWS_PER_WAIT = 2048; // of merged bases, for the same reason

/**
 * All eigenvalues and eigenvectors of a symmetric matrix `a: [n, n]`, in f32 with an error of about `eps·√n·|λ|max`, in values and in
 * residuals, for any spectrum: clusters, low rank, graded. Its two triangles are averaged. About 16/3 n³ operations; no gradient.
 *
 * @throws {ShapeError} when `a` is not one square matrix.
 * @throws {DTypeError} for another type than f32.
 * @throws {RangeError} when a value is not finite.
 * @throws {UnsupportedError} when the matrix is larger than a binding of the adapter.
 */
export async function eigh(a: Tensor, options: EighOptions = {}): Promise<Eigen> {
  requireF32("decompose", a);
  const { lead, rows: n } = matrices("decompose", a, { square: true });
  if (lead.length > 0) throw new ShapeError(`Cannot decompose [${a.shape}]: it must be one matrix`);
  const { gpu } = a;
  options.signal?.throwIfAborted();
  const { hostRows = gpu.caps.isSoftware ? HOST_ROWS.software : HOST_ROWS.gpu } = options;
  if (n <= hostRows || n === 0) {
    const { values, vectors } = eighHost(await a.data(), n);
    return { values, vectors: Tensor.from(gpu, Float32Array.from(vectors), [n, n]) };
  }
  const bytes = 4 * (Math.ceil(n / 4) * 4) ** 2;
  if (bytes > gpu.caps.maxBindingBytes) {
    throw new UnsupportedError(
      `Cannot decompose [${a.shape}]: it must fit one binding, which needs ${bytes} bytes, the adapter allows ${gpu.caps.maxBindingBytes}`,
    );
  }
  using greatest = tidy(gpu, () => max(abs(a.detach())));
  const size = await greatest.item();
  if (!Number.isFinite(size)) {
    throw new RangeError(`Cannot decompose [${a.shape}]: it has a value that is not finite`);
  }
  if (size === 0) return { values: new Float64Array(n), vectors: identity(gpu, n) };
  // A power of two scales without rounding; half of its inverse must be a normal number in f32.
  const unit = 2 ** Math.max(-125, Math.min(125, Math.floor(Math.log2(size))));
  return await decompose(a, unit, options);
}

async function decompose(a: Tensor, unit: number, options: EighOptions): Promise<Eigen> {
  const { gpu } = a;
  const [n] = a.shape;
  const { signal, onProgress } = options;
  using symmetric = tidy(gpu, () => {
    const half = scale(a.detach(), 0.5 / unit);
    return add(half, transpose(half));
  });
  let panels = 0;
  const { diagonal, offDiagonal, reflectors } = await tridiagonalize(symmetric, async (done) => {
    if (++panels % PANELS_PER_WAIT === 0) await gpu.sync();
    signal?.throwIfAborted();
    onProgress?.({ stage: "tridiagonal", done, total: n });
  });
  symmetric.dispose(); // its memory is as much as a basis
  try {
    const [d, e] = (await readAll([diagonal, offDiagonal])).map((t) => Float64Array.from(t));
    const { values, basis } = await divideAndConquer(gpu, d, e, async (done) => {
      if (done > ROWS_PER_WAIT) await gpu.sync();
      signal?.throwIfAborted();
      onProgress?.({ stage: "merge", done, total: n });
    });
    try {
      applyReflectors(reflectors, basis);
      onProgress?.({ stage: "vectors", done: n, total: n });
    } catch (error) {
      basis.dispose();
      throw error;
    }
    return { values: values.map((x) => x * unit), vectors: basis };
  } finally {
    [diagonal, offDiagonal, reflectors].forEach((t) => t.dispose());
  }
}
