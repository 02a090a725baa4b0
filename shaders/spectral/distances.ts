/**
 * Squared distances from products and squared lengths, in one pass.
 *
 * @module
 */
import naive from "./distances_naive.wgsl" with { type: "text" };
import quads from "./distances_quads.wgsl" with { type: "text" };
import { ceilDiv, defineKernel, grid1d, type KernelSpec } from "../kernel.ts";

/** `y = max(rows + columns − 2·products, 0)`. */
export const distancesOfProductsKernel: KernelSpec = defineKernel({
  name: "distances_of_products",
  buffers: { products: "batch n m", rows: "batch n", columns: "batch m", y: "out batch n m" },
  flops: ({ batch, n, m }) => 4 * batch * n * m,
  reference: ({ products, rows, columns }, { n, m }) => ({
    y: products.map((product, at) => {
      const row = Math.floor(at / m), column = Math.floor(row / n) * m + at % m;
      return Math.max(0, rows[row] + columns[column] - 2 * product);
    }),
  }),
  tolerance: { f32: 4e-7, f16: 2e-3 }, // two roundings of unit size, 2⁻²⁴ each, against an rms of about one
  cases: [
    { batch: 1, n: 1, m: 1 },
    { batch: 2, n: 5, m: 12 },
    { batch: 3, n: 7, m: 9 },
    { batch: 1, n: 65, m: 64 },
  ],
  large: [{ batch: 1, n: 8192, m: 1024 }],
  variants: [{
    name: "distances_of_products_quads",
    source: quads,
    tunables: { WG: [64] },
    supports: ({ m }) => m % 4 === 0,
    workgroups: ({ batch, n, m }, { WG }) => grid1d(ceilDiv(batch * n * m / 4, WG)),
  }, {
    name: "distances_of_products_naive",
    source: naive,
    tunables: { WG: [64] },
    workgroups: ({ batch, n, m }, { WG }) => grid1d(ceilDiv(batch * n * m, WG)),
  }],
});
