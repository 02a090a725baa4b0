/**
 * Triangles and diagonals of matrices.
 *
 * @module
 */
import addDiagonal from "./add_diagonal.wgsl" with { type: "text" };
import diagonal from "./diagonal.wgsl" with { type: "text" };
import triangle from "./triangle.wgsl" with { type: "text" };
import { ceilDiv, defineKernel, type Dims, grid1d, type KernelSpec } from "../kernel.ts";

const elements = ({ batch, n }: Dims) => batch * n * n;
const cases = [{ batch: 1, n: 1 }, { batch: 2, n: 17 }, { batch: 1, n: 65 }];
const large = [{ batch: 1, n: 1024 }];

/** Which part of a matrix {@link triangleKernels} keep. */
export type Triangle = "lower" | "upper" | "mirror";

function triangleKernel(name: Triangle, mode: number): KernelSpec {
  return defineKernel({
    name: `triangle_${name}`,
    buffers: { x: "batch n n", y: "out batch n n" },
    flops: () => 0,
    reference({ x }, { n }) {
      const y = x.map((value, at) => {
        const i = Math.floor(at / n) % n, j = at % n;
        if (mode === 2) return x[at - i * n - j + Math.max(i, j) * n + Math.min(i, j)];
        return (mode === 0 ? j <= i : j >= i) ? value : 0;
      });
      return { y };
    },
    tolerance: { f32: 0, f16: 0, f64: 0 },
    cases,
    large,
    variants: [{
      name: `triangle_${name}`,
      source: triangle,
      tunables: { WG: [64, 256] },
      constants: () => ({ MODE: mode }),
      workgroups: (dims, { WG }) => grid1d(ceilDiv(elements(dims), WG)),
    }],
  });
}

/** The lower or upper triangle, or the symmetric matrix of the lower triangle. */
export const triangleKernels: Readonly<Record<Triangle, KernelSpec>> = {
  lower: triangleKernel("lower", 0),
  upper: triangleKernel("upper", 1),
  mirror: triangleKernel("mirror", 2),
};

/** Diagonals of a batch of square matrices. */
export const diagonalKernel: KernelSpec = defineKernel({
  name: "diagonal",
  buffers: { x: "batch n n", y: "out batch n" },
  flops: () => 0,
  bytes: ({ batch, n }, elemBytes) => 2 * batch * n * elemBytes,
  reference({ x }, { batch, n }) {
    const y = Float64Array.from({ length: batch * n }, (_, i) => x[i * n + i % n]);
    return { y };
  },
  tolerance: { f32: 0, f16: 0, f64: 0 },
  cases,
  large,
  variants: [{
    name: "diagonal",
    source: diagonal,
    tunables: { WG: [64] },
    workgroups: ({ batch, n }, { WG }) => grid1d(ceilDiv(batch * n, WG)),
  }],
});

/** Adds a vector to the diagonals of a batch of square matrices. */
export const addDiagonalKernel: KernelSpec = defineKernel({
  name: "add_diagonal",
  buffers: { x: "batch n n", d: "batch n", y: "out batch n n" },
  flops: ({ batch, n }) => batch * n,
  reference({ x, d }, { n }) {
    const y = x.map((value, at) => {
      const row = Math.floor(at / n);
      return row % n === at % n ? value + d[row] : value;
    });
    return { y };
  },
  tolerance: { f32: 1e-6, f16: 2e-3, f64: 1e-15 }, // one rounding
  cases,
  large,
  variants: [{
    name: "add_diagonal",
    source: addDiagonal,
    tunables: { WG: [64, 256] },
    workgroups: (dims, { WG }) => grid1d(ceilDiv(elements(dims), WG)),
  }],
});
