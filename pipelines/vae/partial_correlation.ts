import { InputError } from "../errors.ts";
import { groupStarts, MIN_VARIANCE } from "./settings.ts";

/** Samples of a batch with the posteriors that they were drawn from, `[nBatch, nLatent]` each. */
export interface LatentBatch {
  /** Samples. */
  readonly z: Float64Array;
  /** Means. */
  readonly mu: Float64Array;
  /** Logarithms of the variances. */
  readonly logvar: Float64Array;
}

/** Options of {@link partialCorrelation}. */
export interface PartialCorrelationOptions {
  /** Dimensions of each group. */
  readonly groups: readonly number[];
  /** Stimuli whose posteriors make the aggregated one; the batch's own number gives every pair the weight 1, as the released code. */
  readonly datasetSize: number;
  /** The variance is `exp(logvar)`, or as in the released code `exp(2·logvar)`. */
  readonly variance?: "exact" | "code";
}

/** An estimate and its gradients. */
export interface PartialCorrelation {
  /** Nats, a mean over the batch. */
  readonly value: number;
  /** By `z`, `mu` and `logvar`, `[nBatch, nLatent]` each. */
  readonly gradients: LatentBatch;
}

/** Logarithm of a component's weight in the aggregated posterior at a sample: its own has 1 of M, the others share the rest. */
export function logPairWeight(nBatch: number, datasetSize: number): number {
  return nBatch > 1 ? Math.log((datasetSize - 1) / (nBatch - 1)) : 0;
}

/** Log-densities of a sample under the posteriors of the batch. */
class PairDensities {
  readonly #starts: readonly number[];
  readonly #nLatent: number;
  readonly inverse: Float64Array;
  readonly #constants: Float64Array;

  constructor(mu: Float64Array, logvar: Float64Array, options: PartialCorrelationOptions) {
    const { groups, variance = "exact" } = options;
    this.#starts = groupStarts(groups);
    this.#nLatent = this.#starts[groups.length];
    const power = variance === "code" ? 2 : 1;
    this.inverse = logvar.map((v) => 1 / Math.max(Math.exp(power * v), MIN_VARIANCE));
    // Sums over the dimensions of a group of what does not depend on the sample.
    const nBatch = mu.length / this.#nLatent, nGroups = groups.length;
    this.#constants = new Float64Array(nBatch * nGroups);
    for (let at = 0; at < this.inverse.length; at++) {
      const d = at % this.#nLatent, j = (at - d) / this.#nLatent;
      const g = this.#starts.findLastIndex((start) => start <= d);
      this.#constants[j * nGroups + g] += Math.log(2 * Math.PI) - Math.log(this.inverse[at]);
    }
  }

  /** Of sample `i`: `[nBatch, nGroups]` by group and `[nBatch]` of all, weighted. */
  of(i: number, { z, mu }: LatentBatch, logWeight: number, into: [Float64Array, Float64Array]) {
    const [byGroup, whole] = into;
    const nGroups = this.#starts.length - 1, n = this.#nLatent;
    for (let j = 0; j < whole.length; j++) {
      const weight = i === j ? 0 : logWeight;
      let sum = 0;
      for (let g = 0; g < nGroups; g++) {
        let squares = 0;
        for (let d = this.#starts[g]; d < this.#starts[g + 1]; d++) {
          const apart = z[i * n + d] - mu[j * n + d];
          squares += apart * apart * this.inverse[j * n + d];
        }
        const density = -0.5 * (this.#constants[j * nGroups + g] + squares);
        byGroup[j * nGroups + g] = density + weight;
        sum += density;
      }
      whole[j] = sum + weight;
    }
  }
}

/** Turns logarithms at `start`, `start + stride`, … into shares of their sum; returns the logarithm of the sum. */
function softmaxInPlace(values: Float64Array, start: number, stride: number): number {
  let top = -Infinity, sum = 0;
  for (let at = start; at < values.length; at += stride) top = Math.max(top, values[at]);
  for (let at = start; at < values.length; at += stride) {
    sum += values[at] = Math.exp(values[at] - top);
  }
  for (let at = start; at < values.length; at += stride) values[at] /= sum;
  return top + Math.log(sum);
}

/**
 * Partial correlation of groups of latent dimensions, `KL(q(z) ‖ Π q(z_g))`, by importance sampling within a batch: the sample's own
 * posterior weighs 1/M and the others share the rest, M the number of stimuli (Chen et al. 2018, appendix C.2, by groups as PDisVAE, arXiv
 * 2502.02279). Exactly 0 with gradient 0 where there is one group.
 *
 * @throws {InputError} when the arrays do not fit the groups, or the data set is smaller than the batch
 */
export function partialCorrelation(
  batch: LatentBatch,
  options: PartialCorrelationOptions,
): PartialCorrelation {
  const { groups, datasetSize } = options;
  const starts = groupStarts(groups);
  const nGroups = groups.length, n = starts[nGroups], nBatch = batch.z.length / n;
  const sizes = [batch.z, batch.mu, batch.logvar].map(({ length }) => length);
  if (!Number.isInteger(nBatch) || nBatch < 1 || sizes.some((s) => s !== sizes[0])) {
    throw new InputError(
      `Cannot estimate a partial correlation: z, mu and logvar must have rows of ${n} values, they have ${
        sizes.join(", ")
      } values`,
    );
  }
  if (!(datasetSize >= nBatch)) {
    throw new InputError(
      `Cannot estimate a partial correlation: the data set must have the ${nBatch} samples of the batch, it has ${datasetSize}`,
    );
  }
  const densities = new PairDensities(batch.mu, batch.logvar, options);
  const byGroup = new Float64Array(nBatch * nGroups), whole = new Float64Array(nBatch);
  const gradients = gradientsLike(batch);
  const logWeight = logPairWeight(nBatch, datasetSize), logSize = Math.log(datasetSize);
  let total = 0;
  for (let i = 0; i < nBatch; i++) {
    densities.of(i, batch, logWeight, [byGroup, whole]);
    let value = softmaxInPlace(whole, 0, 1) - logSize;
    for (let g = 0; g < nGroups; g++) value -= softmaxInPlace(byGroup, g, nGroups) - logSize;
    total += value;
    for (let at = 0; at < byGroup.length; at++) {
      byGroup[at] = (whole[Math.floor(at / nGroups)] - byGroup[at]) / nBatch;
    }
    addGradients(i, byGroup, { batch, starts, inverse: densities.inverse, gradients });
  }
  scaleByVariance(gradients.logvar, densities.inverse, options.variance);
  return { value: total / nBatch, gradients };
}

function gradientsLike({ z }: LatentBatch): LatentBatch {
  const make = () => new Float64Array(z.length);
  return { z: make(), mu: make(), logvar: make() };
}

/** Adds what sample `i` gives, from the gradient `[nBatch, nGroups]` by the log-densities. */
function addGradients(
  i: number,
  byDensity: Float64Array,
  { batch: { z, mu }, starts, inverse, gradients }: {
    readonly batch: LatentBatch;
    readonly starts: readonly number[];
    readonly inverse: Float64Array;
    readonly gradients: LatentBatch;
  },
): void {
  const nGroups = starts.length - 1, n = starts[nGroups];
  for (let at = 0; at < byDensity.length; at++) {
    const share = byDensity[at];
    if (share === 0) continue;
    const g = at % nGroups, j = (at - g) / nGroups;
    for (let d = starts[g]; d < starts[g + 1]; d++) {
      const apart = z[i * n + d] - mu[j * n + d];
      const slope = apart * inverse[j * n + d];
      gradients.z[i * n + d] -= share * slope;
      gradients.mu[j * n + d] += share * slope;
      gradients.logvar[j * n + d] += 0.5 * share * (apart * slope - 1);
    }
  }
}

/** The slope of log v by logvar: 1, in the released code's form 2, and 0 where the variance is held at its least. */
function scaleByVariance(
  byLogVariance: Float64Array,
  inverse: Float64Array,
  variance: PartialCorrelationOptions["variance"] = "exact",
): void {
  const power = variance === "code" ? 2 : 1;
  for (let at = 0; at < inverse.length; at++) {
    byLogVariance[at] *= inverse[at] < 1 / MIN_VARIANCE ? power : 0;
  }
}
