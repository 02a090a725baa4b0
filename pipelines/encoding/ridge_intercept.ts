import { type DelayOptions, shifted } from "./delays.ts";
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

/**
 * Products of the features of every sample with the mean of the design, `[nSamples]`: with coefficients of samples they sum to what the
 * mean adds to a prediction. Features are scaled, and centred where the mean was taken off them; of delayed ones the whole design is
 * meant, whose zeros count.
 */
export function centredProducts(
  samples: RidgeSamples,
  { delays, delayOptions }: { delays?: readonly number[]; delayOptions?: DelayOptions } = {},
): Float64Array {
  if (delays && samples.fitIntercept) return delayedMeanProducts(samples, delays, delayOptions);
  const { x: { data, shape: [n, p] }, xMeans } = samples;
  const products = new Float64Array(n);
  const weights = xMeans.map((mean, j) => mean * samples.scaleOf(j) ** 2);
  if (xMeans.every((mean) => mean === 0)) return products;
  for (let r = 0; r < n; r++) {
    for (let j = 0; j < p; j++) products[r] += (data[r * p + j] - xMeans[j]) * weights[j];
  }
  return products;
}

function delayedMeanProducts(
  samples: RidgeSamples,
  delays: readonly number[],
  options: DelayOptions = {},
): Float64Array {
  const { x: { data, shape: [n, p] } } = samples;
  const products = new Float64Array(n);
  for (const delay of delays) {
    const from = shifted(n, delay, options);
    const means = new Float64Array(p);
    for (const row of from) {
      for (let j = 0; j < p && row >= 0; j++) means[j] += data[row * p + j] / n;
    }
    const weights = means.map((mean, j) => mean * samples.scaleOf(j) ** 2);
    from.forEach((row, t) => {
      for (let j = 0; j < p && row >= 0; j++) products[t] += data[row * p + j] * weights[j];
    });
  }
  return products;
}
