/**
 * Matrix product, batched, with either operand transposed.
 *
 * @module
 */
import naive from "./matmul_naive.wgsl" with { type: "text" };
import { ceilDiv, defineKernel, grid1d, type KernelSpec } from "../kernel.ts";

/** `c[z] = op(a[z]) · op(b[z])`; `transposeA`, `transposeB` are 0 or 1, `strideA`, `strideB` the step from one matrix to the next. */
export const matmulKernel: KernelSpec = defineKernel({
  name: "matmul",
  buffers: { a: "aSize", b: "bSize", c: "out batch m n" },
  args: { transposeA: 0, transposeB: 0, strideA: 0, strideB: 0 },
  flops: ({ batch, m, n, k }) => 2 * batch * m * n * k,
  reference({ a, b }, { batch, m, n, k }, { transposeA, transposeB, strideA, strideB }) {
    const c = new Float64Array(batch * m * n);
    for (let z = 0; z < batch; z++) {
      for (let i = 0; i < m; i++) {
        for (let j = 0; j < n; j++) {
          let sum = 0;
          for (let p = 0; p < k; p++) {
            const atA = z * strideA + (transposeA ? p * m + i : i * k + p);
            const atB = z * strideB + (transposeB ? j * k + p : p * n + j);
            sum += a[atA] * b[atB];
          }
          c[(z * m + i) * n + j] = sum;
        }
      }
    }
    return { c };
  },
  // k fused additions of unit normals: eps·√k relative to √k, worst of many outputs about six of those; k ≤ 1000.
  tolerance: { f32: 1e-5, f16: 2e-3 },
  cases: [
    { batch: 1, m: 1, n: 1, k: 1, aSize: 1, bSize: 1 },
    { batch: 1, m: 17, n: 33, k: 65, aSize: 17 * 65, bSize: 33 * 65 },
    {
      batch: 2,
      m: 5,
      n: 7,
      k: 19,
      aSize: 190,
      bSize: 133,
      strideA: 95,
      transposeA: 1,
      transposeB: 1,
    },
  ],
  large: [{ batch: 1, m: 1024, n: 1024, k: 1024, aSize: 1 << 20, bSize: 1 << 20 }],
  variants: [{
    name: "matmul_naive",
    source: naive,
    tunables: { WG: [64] },
    constants: (_, { transposeA, transposeB }) => ({
      TRANSPOSE_A: transposeA,
      TRANSPOSE_B: transposeB,
    }),
    workgroups: ({ batch, m, n }, { WG }) => grid1d(ceilDiv(batch * m * n, WG)),
  }],
});
