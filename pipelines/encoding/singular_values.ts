import type { Gpu } from "../../engine/gpu.ts";
import { eigh } from "../../engine/ops/eigh_device.ts";
import { type HostMatrix, hostMatrix } from "./host_matrix.ts";
import { sampleGram } from "./ridge_dual.ts";
import { featureGram } from "./ridge_primal.ts";
import { RidgeSamples } from "./ridge_samples.ts";

/**
 * Singular values of features as a ridge regression sees them, from the eigenvalues of the smaller Gram matrix in f32: those below
 * about 10⁻³ of the largest are rounding errors.
 *
 * @param features `[nSamples, nFeatures]`
 * @param options.fitIntercept takes the means of the features off first
 * @returns descending, `[min(nSamples, nFeatures)]`
 */
export async function singularValues(
  gpu: Gpu,
  features: HostMatrix,
  { fitIntercept = true, signal }: { fitIntercept?: boolean; signal?: AbortSignal } = {},
): Promise<Float64Array<ArrayBuffer>> {
  const [n, p] = features.shape;
  const y = hostMatrix(new Float32Array(n), [n, 1]);
  const samples = new RidgeSamples(gpu, { x: features, y, splits: [], fitIntercept });
  using gram = n < p ? sampleGram(samples) : featureGram(samples);
  const { values, vectors } = await eigh(gram, { signal });
  vectors.dispose();
  return values.map((value) => Math.sqrt(Math.max(value, 0))).reverse();
}
