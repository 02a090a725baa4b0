/**
 * Compares exact normalised cuts with reference eigenvectors of float64.
 *
 * @module
 */
import assert from "node:assert/strict";
import { type Affinity, exactNcut, type GraphCut, rbfOfGamma, type Tensor } from "../../mod.ts";
import { svdHost } from "../../pipelines/stats/svd.ts";
import type { GoldenFile } from "../golden_file.ts";

/** Fails where an error is above its tolerance, or NaN. */
export function assertWithin(error: number, tolerance: number, what: string): void {
  assert(error <= tolerance, `${what}: error ${error.toExponential(2)} above ${tolerance}`);
}

/** The largest sine of a principal angle between the spans of the first `k` columns of two matrices. */
export function principalSine(
  a: { data: ArrayLike<number>; shape: readonly number[] },
  b: { data: ArrayLike<number>; shape: readonly number[] },
  k: number,
): number {
  const [n, wide] = a.shape, [, other] = b.shape;
  // What is left of b's columns after projection on a's: its norm is the sine, where 1 − cos² would cancel.
  const rest = new Float64Array(n * k);
  for (let j = 0; j < k; j++) {
    for (let i = 0; i < n; i++) rest[i * k + j] = b.data[i * other + j];
    for (let c = 0; c < k; c++) {
      let dot = 0;
      for (let i = 0; i < n; i++) dot += a.data[i * wide + c] * b.data[i * other + j];
      for (let i = 0; i < n; i++) rest[i * k + j] -= dot * a.data[i * wide + c];
    }
  }
  return svdHost(rest, [n, k]).s[0];
}

/** Fails where columns are not orthonormal or sum below 0. */
export function assertOrthonormal(
  { eigvec: { data, shape: [n, k] } }: GraphCut,
  tolerance = 5e-6,
): void {
  for (let a = 0; a < k; a++) {
    let total = 0;
    for (let i = 0; i < n; i++) total += data[i * k + a];
    // A column of unit length whose sum is 0 sums to its rounding to f32.
    assert(total >= -(2 ** -24) * Math.sqrt(n), `column ${a} sums to ${total}`);
    for (let b = 0; b <= a; b++) {
      let dot = 0;
      for (let i = 0; i < n; i++) dot += data[i * k + a] * data[i * k + b];
      assertWithin(Math.abs(dot - Number(a === b)), tolerance, `columns ${a} and ${b}`);
    }
  }
}

/** Compares the cuts of one set of nodes under every affinity that the file has. */
export async function compareCuts(
  x: Tensor,
  { file, name, eigvec }: { file: GoldenFile; name: string; eigvec: string },
): Promise<void> {
  const kinds: Record<string, Affinity> = {
    rbf: { kind: "rbf", sigma: file.f32(`in.${name}.sigma`).data[0] },
    rbfsharp: { kind: "rbf", sigma: file.f32(`in.${name}.sigma_sharp`).data[0] },
    v1rbf: await rbfOfGamma(x, 0.3),
    v1cosine: { kind: "cosine", gamma: 0.3 },
    v1euclidean: { kind: "euclidean", gamma: 4 },
  };
  for (const [kind, affinity] of Object.entries(kinds)) {
    if (!file.names.includes(`exact.${name}.${kind}.eigval`)) continue;
    const cut = await exactNcut(x, { affinity, nEig: 20 });
    const want = (part: string) => file.f32(`exact.${name}.${kind}.${part}`);
    want("eigval").data.forEach((value, i) => {
      assertWithin(Math.abs(cut.eigval[i] - value), 1e-5, `${kind}: λ${i}`);
    });
    assert(cut.isConverged);
    cut.residuals.forEach((r, i) => assertWithin(r, 1e-5, `${kind}: residual ${i}`)); // 1e-4 is asked for
    want("degree").data.forEach((d, i) => {
      assertWithin(Math.abs(cut.degree[i] / d - 1), 1e-5, `${kind}: degree ${i}`);
    });
    const sine = principalSine(cut.eigvec, want(eigvec), 5);
    assertWithin(sine, 1e-3, `${kind}: principal sine of five`);
    assertOrthonormal(cut);
  }
}
