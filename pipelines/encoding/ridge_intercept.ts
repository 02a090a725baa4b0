import type { HostMatrix } from "./host_matrix.ts";
import type { RidgeSamples } from "./ridge_samples.ts";

/** `base − meansᵀ·coef`, in float64. */
export function interceptOf(
  means: Float64Array,
  { data, shape: [rows, nTargets] }: HostMatrix,
  base: Float64Array,
): Float32Array<ArrayBuffer> {
  const intercept = Float64Array.from(base);
  for (let i = 0; i < rows; i++) {
    if (means[i] === 0) continue;
    for (let t = 0; t < nTargets; t++) intercept[t] -= means[i] * data[i * nTargets + t];
  }
  return Float32Array.from(intercept);
}

/** Products of the centred and scaled features of every sample with the mean that was taken off, `[nSamples]`. */
export function centredProducts(
  samples: RidgeSamples,
): Float64Array {
  const { x: { data, shape: [n, p] }, xMeans } = samples;
  const products = new Float64Array(n);
  const weights = xMeans.map((mean, j) => mean * samples.scaleOf(j) ** 2);
  if (xMeans.every((mean) => mean === 0)) return products;
  for (let r = 0; r < n; r++) {
    for (let j = 0; j < p; j++) products[r] += (data[r * p + j] - xMeans[j]) * weights[j];
  }
  return products;
}
