/**
 * The loss of the group-wise disentangled VAE with its gradient by hand, in float64 on the host.
 *
 * `L = MSE(x̂, x) + λ·(MSE(pose) + 0.1·CE(category)) + κ·KL + τ·PC`: the released code's, with means over samples and over sites, pose
 * features or latent dimensions.
 *
 * @module
 */
import { denseForward, denseInputGradient, denseWeightGradient } from "./dense_layer.ts";
import type { VaeWeights } from "./parameters.ts";
import { partialCorrelation } from "./partial_correlation.ts";
import {
  CATEGORY_SHARE,
  groupStarts,
  latentSize,
  type VaeSettings,
  type VaeShape,
} from "./settings.ts";

/** Parts of the loss, without their weights; parts that do not apply are 0. */
export interface VaeLosses {
  /** All parts with their weights. */
  readonly total: number;
  /** Mean squared error of the responses. */
  readonly reconstruction: number;
  /** Mean squared error of the pose. */
  readonly pose: number;
  /** Cross-entropy of the category, nats. */
  readonly category: number;
  /** Kullback–Leibler divergence from the prior, nats per latent dimension. */
  readonly kl: number;
  /** Partial correlation between groups, nats. */
  readonly partialCorrelation: number;
}

/** Names of the parts, in the order in which files keep them. */
export const LOSS_PARTS = [
  "total",
  "reconstruction",
  "pose",
  "category",
  "kl",
  "partialCorrelation",
] as const satisfies readonly (keyof VaeLosses)[];

/** Z-scored samples. */
export interface VaeBatch {
  /** Responses, `[nBatch, nSites]`. */
  readonly responses: Float32Array<ArrayBuffer>;
  /** Pose features, `[nBatch, pose.size]`. */
  readonly pose?: Float32Array<ArrayBuffer>;
  /** Categories from 0, `[nBatch]`. */
  readonly categories?: Uint32Array<ArrayBuffer>;
  /** Standard normals that the latents are drawn with, `[nBatch, nLatent]`. */
  readonly noise: Float32Array<ArrayBuffer>;
}

/** Weights of the parts, and how the partial correlation is estimated. */
export interface ObjectiveOptions extends
  Pick<
    VaeSettings,
    "klWeight" | "labelWeight" | "partialCorrelationWeight" | "variance" | "sampleWeights"
  > {
  /** Training stimuli. */
  readonly datasetSize: number;
}

/** A weight by its name in PyTorch. */
export function weightOf(weights: VaeWeights, name: string): Float64Array<ArrayBuffer> {
  const values = weights.get(name);
  if (values === undefined) throw new RangeError(`Cannot find the weights ${name}`);
  return values;
}

/** What a forward pass keeps for the gradient. */
interface Forward {
  readonly hidden: Float64Array<ArrayBuffer>;
  readonly mu: Float64Array<ArrayBuffer>;
  readonly logvar: Float64Array<ArrayBuffer>;
  readonly z: Float64Array<ArrayBuffer>;
}

/** One pass over a batch: the running sums of the loss and of the gradients. */
class Pass {
  readonly nBatch: number;
  readonly nLatent: number;
  readonly responses: Float64Array<ArrayBuffer>;
  readonly starts: number[];
  /** Gradients by name. */
  readonly gradients: Map<string, Float64Array<ArrayBuffer>>;

  constructor(
    readonly weights: VaeWeights,
    readonly shape: VaeShape,
    readonly batch: VaeBatch,
    readonly options: ObjectiveOptions,
  ) {
    this.nBatch = batch.responses.length / shape.nSites;
    this.responses = Float64Array.from(batch.responses);
    this.nLatent = latentSize(shape.groups);
    this.starts = groupStarts(shape.groups);
    this.gradients = new Map(
      [...weights].map(([name, { length }]) => [name, new Float64Array(length)]),
    );
  }

  layer(name: string, x: Float64Array, nIn: number): Float64Array<ArrayBuffer> {
    const bias = weightOf(this.weights, `${name}.bias`);
    const size = { rows: this.nBatch, nIn, nOut: bias.length };
    return denseForward(x, weightOf(this.weights, `${name}.weight`), bias, size);
  }

  /** Adds the gradients of a layer; with `into` those of its inputs too. */
  layerGradient(
    name: string,
    gradient: Float64Array,
    { x, nIn, into }: {
      readonly x: Float64Array;
      readonly nIn: number;
      readonly into?: Float64Array;
    },
  ): void {
    const [weight, bias] = ["weight", "bias"].map((part) =>
      weightOf(this.gradients, `${name}.${part}`)
    );
    const size = { rows: this.nBatch, nIn, nOut: bias.length };
    denseWeightGradient(gradient, x, { weight, bias }, size);
    if (into) {
      denseInputGradient(gradient, weightOf(this.weights, `${name}.weight`), into, size);
    }
  }

  forward(): Forward {
    const { shape: { nSites, hidden: width }, responses, batch: { noise } } = this;
    const hidden = this.layer("encoder.fc1", responses, nSites);
    for (let i = 0; i < hidden.length; i++) if (hidden[i] < 0) hidden[i] = 0;
    const mu = this.layer("encoder.fc_mu", hidden, width);
    const logvar = this.layer("encoder.fc_logvar", hidden, width);
    const z = mu.map((mean, i) => mean + Math.exp(0.5 * logvar[i]) * noise[i]);
    return { hidden, mu, logvar, z };
  }

  /** Mean squared error of the responses; adds its gradient by the latents. */
  reconstruction({ z }: Forward, byLatent: Float64Array): number {
    const { responses, nLatent } = this;
    const error = this.layer("decoder.fc_x", z, nLatent);
    let squares = 0;
    for (let i = 0; i < error.length; i++) {
      const apart = error[i] - responses[i];
      squares += apart * apart;
      error[i] = 2 * apart / error.length;
    }
    this.layerGradient("decoder.fc_x", error, { x: z, nIn: nLatent, into: byLatent });
    return squares / error.length;
  }

  pose({ z }: Forward, byLatent: Float64Array): number {
    const { shape: { pose }, batch, nBatch, nLatent, options: { labelWeight } } = this;
    if (!pose || !batch.pose) return 0;
    const scale = weightOf(this.weights, "decoder.dimwise_scale");
    const byScale = weightOf(this.gradients, "decoder.dimwise_scale");
    let squares = 0;
    for (let i = 0; i < batch.pose.length; i++) {
      const k = i % pose.size;
      const at = (i - k) / pose.size * nLatent + this.starts[pose.group] + k;
      const apart = z[at] * scale[k] - batch.pose[i];
      squares += apart * apart;
      const slope = labelWeight * 2 * apart / (nBatch * pose.size);
      byScale[k] += slope * z[at];
      byLatent[at] += slope * scale[k];
    }
    return squares / batch.pose.length;
  }

  category({ z }: Forward, byLatent: Float64Array): number {
    const { shape: { category, groups }, batch, nBatch, nLatent, options } = this;
    if (!category || !batch.categories) return 0;
    const nIn = groups[category.group], start = this.starts[category.group];
    const x = new Float64Array(nBatch * nIn), byX = new Float64Array(nBatch * nIn);
    x.forEach((_, i) => x[i] = z[Math.floor(i / nIn) * nLatent + start + i % nIn]);
    const logits = this.layer("decoder.fc_category", x, nIn);
    const share = options.labelWeight * CATEGORY_SHARE / nBatch;
    let entropy = 0;
    batch.categories.forEach((truth, r) => {
      const row = logits.subarray(r * category.size, (r + 1) * category.size);
      const top = row.reduce((a, b) => Math.max(a, b));
      const total = top + Math.log(row.reduce((sum, v) => sum + Math.exp(v - top), 0));
      entropy += (total - row[truth]) / nBatch;
      row.forEach((v, c) => row[c] = share * (Math.exp(v - total) - Number(c === truth)));
    });
    this.layerGradient("decoder.fc_category", logits, { x, nIn, into: byX });
    byX.forEach((g, i) => byLatent[Math.floor(i / nIn) * nLatent + start + i % nIn] += g);
    return entropy;
  }
}

/**
 * The loss of a batch and its gradients by every weight.
 *
 * @param weights by PyTorch's names, see {@link vaeTensorShapes}
 */
export function vaeObjective(
  weights: VaeWeights,
  shape: VaeShape,
  batch: VaeBatch,
  options: ObjectiveOptions,
): { readonly losses: VaeLosses; readonly gradients: VaeWeights } {
  const pass = new Pass(weights, shape, batch, options);
  const forward = pass.forward();
  const { mu, logvar, z, hidden } = forward;
  const n = z.length;
  const byZ = new Float64Array(n), byMu = new Float64Array(n), byLogvar = new Float64Array(n);
  const reconstruction = pass.reconstruction(forward, byZ);
  const pose = pass.pose(forward, byZ);
  const category = pass.category(forward, byZ);
  const correlation = groupCorrelation(pass, forward, { z: byZ, mu: byMu, logvar: byLogvar });
  let kl = 0;
  for (let i = 0; i < n; i++) {
    const variance = Math.exp(logvar[i]), share = options.klWeight / n;
    kl -= 0.5 * (1 + logvar[i] - mu[i] * mu[i] - variance) / n;
    byMu[i] += byZ[i] + share * mu[i];
    byLogvar[i] += 0.5 * byZ[i] * (z[i] - mu[i]) + 0.5 * share * (variance - 1);
  }
  const byHidden = new Float64Array(hidden.length);
  const input = { x: hidden, nIn: shape.hidden, into: byHidden };
  pass.layerGradient("encoder.fc_mu", byMu, input);
  pass.layerGradient("encoder.fc_logvar", byLogvar, input);
  for (let i = 0; i < hidden.length; i++) if (hidden[i] <= 0) byHidden[i] = 0;
  pass.layerGradient("encoder.fc1", byHidden, { x: pass.responses, nIn: shape.nSites });
  const total = reconstruction + options.labelWeight * (pose + CATEGORY_SHARE * category) +
    options.klWeight * kl + options.partialCorrelationWeight * correlation;
  return {
    losses: { total, reconstruction, pose, category, kl, partialCorrelation: correlation },
    gradients: pass.gradients,
  };
}

/** The partial correlation; adds its weighted gradients. Without weight it is not computed. */
function groupCorrelation(
  { shape: { groups }, nBatch, options }: Pass,
  { z, mu, logvar }: Forward,
  into: { readonly z: Float64Array; readonly mu: Float64Array; readonly logvar: Float64Array },
): number {
  const { partialCorrelationWeight: weight, variance, sampleWeights } = options;
  if (weight === 0 || groups.length === 1) return 0;
  const datasetSize = sampleWeights === "batch" ? nBatch : options.datasetSize;
  const { value, gradients } = partialCorrelation({ z, mu, logvar }, {
    groups,
    datasetSize,
    variance,
  });
  for (const key of ["z", "mu", "logvar"] as const) {
    for (let i = 0; i < z.length; i++) into[key][i] += weight * gradients[key][i];
  }
  return value;
}
