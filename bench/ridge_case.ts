/**
 * Ridge problems to time: sizes, and data with a signal of every strength.
 *
 * @module
 */
import type { Gpu } from "../engine/gpu.ts";
import { add, mul, scale } from "../engine/ops/elementwise.ts";
import { matmul } from "../engine/ops/matmul.ts";
import { split, uniform } from "../engine/random.ts";
import type { Key } from "../engine/random.ts";
import { readAll, Tensor, tidy } from "../engine/tensor.ts";
import { type HostMatrix, hostMatrix } from "../pipelines/encoding/host_matrix.ts";

/** Sizes of a cross-validated ridge regression. */
export interface RidgeCase {
  /** What it is. */
  readonly name: string;
  /** Samples. */
  readonly n: number;
  /** Features. */
  readonly p: number;
  /** Targets. */
  readonly nTargets: number;
  /** Candidates, ascending. */
  readonly alphas: readonly number[];
  /** Contiguous folds. */
  readonly nFolds: number;
  /** Each size times this on a CPU driver, unless another scale is asked for. */
  readonly softwareScale: number;
}

/** `count` alphas from 10^low to 10^high, evenly on the log scale. */
function logspace(low: number, high: number, count: number): number[] {
  return Array.from({ length: count }, (_, a) => 10 ** (low + (high - low) * a / (count - 1)));
}

/** The cases of record. */
export const ridgeCases: readonly RidgeCase[] = [{
  // himalaya's benchmark script: 3000 samples of which 80 % are fitted; p < n, so the problem is primal.
  ...{ name: "himalaya's benchmark", n: 2400, p: 1000, nTargets: 30_000, nFolds: 3 },
  ...{ alphas: logspace(-3, 20, 20), softwareScale: 0.3 },
}, {
  // One subject's volume against a layer of a network: the problem is dual. The alphas span what targets of such features choose.
  ...{ name: "large", n: 10_000, p: 20_000, nTargets: 40_000, nFolds: 5 },
  ...{ alphas: logspace(1, 8, 20), softwareScale: 0.08 },
}];

/** The case with every size times `scale`: ratios of the sizes, alphas and folds stay. */
export function scaled(ridge: RidgeCase, scale: number): RidgeCase {
  const size = (value: number) => Math.max(2 * ridge.nFolds, Math.round(value * scale));
  return { ...ridge, n: size(ridge.n), p: size(ridge.p), nTargets: size(ridge.nTargets) };
}

/** Data of a case. */
export interface RidgeData {
  /** `[n, p]` */
  readonly x: HostMatrix;
  /** `[n, nTargets]`, of unit variance. */
  readonly y: HostMatrix;
}

const LATENT = 64; // directions in the features that responses are made of
const SLAB = 64 * 2 ** 20 / 4;

/**
 * Random features, and responses of unit variance of which between 0.01 % and 90 % follow from the features, evenly on the log scale: as
 * in a brain, most targets are noise and a few are predicted well, so that targets choose alphas all over the grid.
 */
export async function ridgeData(gpu: Gpu, ridge: RidgeCase, key: Key): Promise<RidgeData> {
  const { n, p, nTargets } = ridge;
  const [kx, ka, kb, kn, ks] = split(key, 5);
  using x = Tensor.randn(gpu, kx, [n, p]);
  using latent = tidy(gpu, () => {
    const directions = scale(Tensor.randn(gpu, ka, [p, LATENT]), 1 / Math.sqrt(p * LATENT));
    return matmul(x, directions);
  });
  const y = new Float32Array(n * nTargets);
  const width = Math.max(1, Math.floor(SLAB / n));
  const slabs = Math.ceil(nTargets / width);
  const [mixing, noises] = [split(kb, slabs), split(kn, slabs)];
  const shares = uniform(ks, nTargets).map((u) => 10 ** (Math.log10(1e-4) * (1 - u) - 0.05 * u));
  for (let s = 0; s < slabs; s++) {
    const start = s * width, count = Math.min(width, nTargets - start);
    const own = shares.subarray(start, start + count);
    using part = tidy(gpu, () => {
      const row = (of: (share: number) => number) => Tensor.from(gpu, own.map(of), [1, count]);
      const signal = matmul(latent, Tensor.randn(gpu, mixing[s], [LATENT, count]));
      return add(
        mul(signal, row(Math.sqrt)),
        mul(Tensor.randn(gpu, noises[s], [n, count]), row((share) => Math.sqrt(1 - share))),
      );
    });
    const values = Float32Array.from(await part.data());
    for (let i = 0; i < n; i++) {
      y.set(values.subarray(i * count, (i + 1) * count), i * nTargets + start);
    }
  }
  const [values] = await readAll([x]);
  return { x: hostMatrix(Float32Array.from(values), [n, p]), y: hostMatrix(y, [n, nTargets]) };
}
