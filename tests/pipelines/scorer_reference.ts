/**
 * Scorers of latents with features in float64 on the host.
 *
 * @module
 */
import { silu } from "./unet_reference.ts";
import type { ScorerKind } from "../../pipelines/mig_vis/scorer.ts";

/** Values of tensors by name. */
export type HostValues = ReadonlyMap<string, ArrayLike<number>>;

function layer(values: HostValues, name: string, x: ArrayLike<number>): Float64Array {
  const weight = values.get(`${name}.weight`)!, bias = values.get(`${name}.bias`)!;
  return Float64Array.from(bias, (b, o) => {
    let total = b;
    for (let i = 0; i < x.length; i++) total += weight[o * x.length + i] * x[i];
    return total;
  });
}

/** Score of one latent with the features of one image. */
export function hostScore(
  kind: ScorerKind,
  values: HostValues,
  latent: ArrayLike<number>,
  features: ArrayLike<number>,
): number {
  const f = Float64Array.from(features), mean = f.reduce((a, b) => a + b) / f.length;
  const variance = f.reduce((a, b) => a + (b - mean) ** 2, 0) / f.length;
  const [gain, offset] = [values.get("norm.weight")!, values.get("norm.bias")!];
  const normed = f.map((v, i) => (v - mean) / Math.sqrt(variance + 1e-5) * gain[i] + offset[i]);
  const z = layer(values, "latent", latent), g = layer(values, "feature", normed);
  if (kind === "bilinear") {
    return z.reduce((total, v, i) => total + v * g[i], 0) / Math.sqrt(z.length);
  }
  const inner = layer(values, "fc1", [...z, ...g]).map(silu);
  return layer(values, "out", layer(values, "fc2", inner).map(silu))[0];
}
