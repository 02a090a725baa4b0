/**
 * Cholesky factors and triangular systems of small matrices: the leaves of the blocked algorithms. f32 and f64, because a factor
 * in half precision has no correct digits left after a few dozen rows.
 *
 * @module
 */
import choleskyBlock from "./cholesky_block.wgsl" with { type: "text" };
import choleskyNaive from "./cholesky_naive.wgsl" with { type: "text" };
import solveBlock from "./triangular_solve_block.wgsl" with { type: "text" };
import solveNaive from "./triangular_solve_naive.wgsl" with { type: "text" };
import { type Args, ceilDiv, defineKernel, type Dims, grid1d, type KernelSpec } from "../kernel.ts";

/** Rows of the largest matrix that the block variants take. */
export const FACTOR_BLOCK = 32;

// x·xᵀ/n + 1/2: eigenvalues between 0.5 and about 4.5.
function positiveDefinite(size: number, random: () => number, { n }: Dims): Float64Array {
  const a = new Float64Array(size);
  const x = new Float64Array(n * n);
  for (let start = 0; start < size; start += n * n) {
    for (let i = 0; i < n * n; i++) x[i] = (random() - 0.5) * Math.sqrt(12);
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < n; j++) {
        let sum = i === j ? n / 2 : 0;
        for (let k = 0; k < n; k++) sum += x[i * n + k] * x[j * n + k];
        a[start + i * n + j] = sum / n;
      }
    }
  }
  return a;
}

/** Inverses of lower triangular matrices. */
function inverseReference(l: Float64Array, { batch, n }: Dims): Float64Array {
  const inverse = new Float64Array(batch * n * n);
  for (let start = 0; start < inverse.length; start += n * n) {
    for (let k = 0; k < n; k++) {
      for (let i = k; i < n; i++) {
        let value = Number(i === k);
        for (let j = k; j < i; j++) value -= l[start + i * n + j] * inverse[start + j * n + k];
        inverse[start + i * n + k] = value / l[start + i * n + i];
      }
    }
  }
  return inverse;
}

/** Rows of the largest matrix that {@link choleskyKernel} takes at its best. */
export const CHOLESKY_BLOCK = 64;

/** Lower Cholesky factors and their inverses; `invalid` is what a pivot becomes that is not positive. */
export const choleskyKernel: KernelSpec = defineKernel({
  name: "cholesky",
  buffers: { a: "batch n n", l: "out batch n n", inverse: "out batch n n" },
  args: { invalid: NaN },
  flops: ({ batch, n }) => 2 * batch * n ** 3 / 3,
  reference({ a }, { batch, n }, { invalid }) {
    const l = new Float64Array(batch * n * n);
    for (let z = 0; z < batch; z++) {
      const start = z * n * n;
      for (let k = 0; k < n; k++) {
        for (let i = k; i < n; i++) {
          let value = a[start + i * n + k];
          for (let j = 0; j < k; j++) value -= l[start + i * n + j] * l[start + k * n + j];
          if (i > k) value /= l[start + k * n + k];
          else value = value > 0 ? Math.sqrt(value) : invalid;
          l[start + i * n + k] = value;
        }
      }
    }
    return { l, inverse: inverseReference(l, { batch, n }) };
  },
  data: { a: positiveDefinite },
  // Backward stable: eps·n·κ(a) at worst, κ ≤ 9 and n ≤ 60 here; in practice eps·√n·few.
  tolerance: { f32: 5e-6, f64: 1e-14 },
  cases: [{ batch: 1, n: 1 }, { batch: 3, n: 31 }, { batch: 1, n: 60 }, { batch: 2, n: 64 }],
  large: [{ batch: 64, n: 64 }],
  variants: [{
    name: "cholesky_block",
    source: choleskyBlock,
    supports: ({ n }) => n <= CHOLESKY_BLOCK,
    loopTurns: ({ n }) => 4 * (n + 1) + n * (n + 1),
    workgroups: ({ batch }) => grid1d(batch),
  }, {
    name: "cholesky_naive",
    source: choleskyNaive,
    loopTurns: ({ n }) => n * (n + 1) * (n + 2) / 3 + 3 * n * (n + 2) + 2,
    workgroups: ({ batch }, { WG = 64 }) => grid1d(ceilDiv(batch, WG)),
  }],
});

function isForward({ lower, transpose }: Args): boolean {
  return lower !== transpose;
}

// Unit-sized diagonal, small elsewhere: the solution keeps the size of the right-hand side.
function triangular(size: number, random: () => number, { n }: Dims): Float64Array {
  return Float64Array.from({ length: size }, (_, at) => {
    const i = Math.floor(at / n) % n, j = at % n;
    return i === j ? 1 + random() : (random() - 0.5) * 2 / n;
  });
}

/** Solves `op(t)·x = b`; `lower` says which triangle of `t` is read, `transpose` whether op is the transpose. */
export const triangularSolveKernel: KernelSpec = defineKernel({
  name: "triangular_solve",
  buffers: { t: "batch n n", b: "batch n cols", x: "out batch n cols" },
  args: { lower: 1, transpose: 0 },
  flops: ({ batch, n, cols }) => batch * n * n * cols,
  reference({ t, b }, { batch, n, cols }, args) {
    const x = b.slice();
    const forward = isForward(args);
    for (let z = 0; z < batch; z++) {
      for (let c = 0; c < cols; c++) {
        for (let step = 0; step < n; step++) {
          const i = forward ? step : n - 1 - step;
          let value = b[(z * n + i) * cols + c];
          for (let before = 0; before < step; before++) {
            const j = forward ? before : n - 1 - before;
            const entry = t[z * n * n + (args.transpose ? j * n + i : i * n + j)];
            value -= entry * x[(z * n + j) * cols + c];
          }
          x[(z * n + i) * cols + c] = value / t[z * n * n + i * n + i];
        }
      }
    }
    return { x };
  },
  data: { t: triangular },
  tolerance: { f32: 3e-6, f64: 6e-15 }, // n ≤ 70 additions to a value of unit size, then a division: eps·√n·few
  cases: [
    { batch: 1, n: 1, cols: 1 },
    { batch: 2, n: 31, cols: 65, transpose: 1 },
    { batch: 1, n: 32, cols: 7, lower: 0 },
    { batch: 1, n: 5, cols: 130, lower: 0, transpose: 1 },
    { batch: 2, n: 70, cols: 3 },
  ],
  large: [{ batch: 1, n: 32, cols: 1024 }],
  variants: [{
    name: "triangular_solve_block",
    source: solveBlock,
    tunables: { WG: [64, 32] },
    constants: (_, args) => ({ FORWARD: Number(isForward(args)), TRANSPOSE: args.transpose }),
    supports: ({ n }) => n <= FACTOR_BLOCK,
    loopTurns: ({ n }, { WG }) => ceilDiv(n * n, WG) + n * (n + 1) / 2 + n + 2,
    workgroups: ({ batch, cols }, { WG }) => grid1d(batch * ceilDiv(cols, WG)),
  }, {
    name: "triangular_solve_naive",
    source: solveNaive,
    constants: (_, args) => ({ FORWARD: Number(isForward(args)), TRANSPOSE: args.transpose }),
    loopTurns: ({ n }) => n * (n + 1) / 2 + n + 1,
    workgroups: ({ batch, cols }, { WG = 64 }) => grid1d(ceilDiv(batch * cols, WG)),
  }],
});
