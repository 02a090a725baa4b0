import { type Key, normal } from "../../engine/random.ts";
import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import { r2Score } from "../encoding/scoring.ts";
import { InputError } from "../errors.ts";
import type { NeuralLatents, NeuralVae } from "./neural_vae.ts";
import { partialCorrelation } from "./partial_correlation.ts";
import { requireCategories, rowsOf, type VaeData } from "./samples.ts";
import { groupStarts } from "./settings.ts";

/** How well a VAE says responses and labels of some stimuli, and which group says what. */
export interface VaeScores {
  /** R² of the reconstruction from the posterior's mean, a mean over sites. */
  readonly r2: number;
  /** The same from a sampled latent, which is what the released code scores. */
  readonly r2Sampled: number;
  /** R² of each site, from the posterior's mean. */
  readonly siteR2: Float64Array<ArrayBuffer>;
  /** R² with one group kept and all others 0, of each group: a mean over sites. */
  readonly groupR2: readonly number[];
  /** What R² loses where one group is 0, of each group. */
  readonly groupLoss: readonly number[];
  /** R² of each pose feature, where poses supervised. */
  readonly poseR2?: Float64Array<ArrayBuffer>;
  /** Share of stimuli whose category has the largest logit, where categories supervised. */
  readonly categoryAccuracy?: number;
  /** Partial correlation between the groups, nats: estimated from these stimuli alone. */
  readonly partialCorrelation: number;
}

/** Samples of posteriors: `mu + exp(logvar / 2) · noise`. */
export function sampleLatents({ mu, logvar }: NeuralLatents, key: Key): HostMatrix {
  const noise = normal(key, mu.data.length);
  return hostMatrix(
    mu.data.map((m, i) => m + Math.exp(0.5 * logvar.data[i]) * noise[i]),
    mu.shape,
  );
}

/** Latents with the dimensions of some groups at 0. */
export function withoutGroups(
  z: HostMatrix,
  groups: readonly number[],
  isOut: (group: number) => boolean,
): HostMatrix {
  const starts = groupStarts(groups), n = z.shape[1];
  const outDims = Array.from({ length: n }, (_, d) => isOut(starts.findLastIndex((s) => s <= d)));
  return hostMatrix(z.data.map((v, i) => outDims[i % n] ? 0 : v), z.shape);
}

function mean(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i];
  return sum / values.length;
}

const ROWS_AT_ONCE = 256;

/** The partial correlation of stimuli in pieces that are compared with themselves, each as a whole data set. */
function correlationOf(latents: NeuralLatents, z: HostMatrix, groups: readonly number[]): number {
  const [n, width] = z.shape;
  let total = 0;
  for (let row = 0; row < n; row += ROWS_AT_ONCE) {
    const part = ({ data }: HostMatrix) =>
      Float64Array.from(data.subarray(row * width, (row + ROWS_AT_ONCE) * width));
    const batch = { z: part(z), mu: part(latents.mu), logvar: part(latents.logvar) };
    const datasetSize = batch.z.length / width;
    total += datasetSize / n * partialCorrelation(batch, { groups, datasetSize }).value;
  }
  return total;
}

/** Share of rows whose largest logit is that of their category. */
function accuracy({ data, shape: [n, k] }: HostMatrix, categories: ArrayLike<number>): number {
  let right = 0;
  for (let r = 0; r < n; r++) {
    let best = 0;
    for (let c = 1; c < k; c++) if (data[r * k + c] > data[r * k + best]) best = c;
    if (best === categories[r]) right++;
  }
  return right / n;
}

/** Refuses labels that are not of the kind that the VAE was fitted to. */
function requireLabels({ shape }: NeuralVae, { pose, categories }: VaeData): void {
  if (pose && shape.pose && pose.shape[1] !== shape.pose.size) {
    throw new InputError(
      `Cannot score a VAE: it was fitted to ${shape.pose.size} pose features, ${
        pose.shape[1]
      } are given`,
    );
  }
  if (categories && shape.category) requireCategories(categories, shape.category.size);
}

/**
 * Scores of a VAE on some stimuli.
 *
 * @param rows the stimuli, for example the test part of a fit's split; else all
 * @param key of the sampled latents
 * @throws {InputError} when there are no stimuli, or responses or labels are not of the kind that it was fitted to
 */
export function scoreNeuralVae(
  vae: NeuralVae,
  data: VaeData,
  { key, rows }: { readonly key: Key; readonly rows?: ArrayLike<number> },
): VaeScores {
  const chosen = rows ?? Uint32Array.from({ length: data.responses.shape[0] }, (_, i) => i);
  if (chosen.length === 0) throw new InputError("Cannot score a VAE: there are no stimuli");
  requireLabels(vae, data);
  const responses = rowsOf(data.responses, chosen);
  const latents = vae.encode(responses), { mu } = latents;
  const sampled = sampleLatents(latents, key);
  const { groups } = vae;
  const scoreOf = (z: HostMatrix) => mean(r2Score(responses, vae.decode(z)));
  const siteR2 = r2Score(responses, vae.decode(mu));
  const r2 = mean(siteR2);
  const numbers = groups.map((_, g) => g);
  const pose = data.pose && rowsOf(data.pose, chosen);
  const categories = data.categories && Array.from(chosen, (row) => data.categories?.[row] ?? -1);
  return {
    r2,
    r2Sampled: scoreOf(sampled),
    siteR2,
    groupR2: numbers.map((g) => scoreOf(withoutGroups(mu, groups, (other) => other !== g))),
    groupLoss: numbers.map((g) => r2 - scoreOf(withoutGroups(mu, groups, (other) => other === g))),
    ...(pose && vae.shape.pose ? { poseR2: r2Score(pose, vae.decodePose(mu)) } : {}),
    ...(categories && vae.shape.category
      ? { categoryAccuracy: accuracy(vae.decodeCategory(mu), categories) }
      : {}),
    partialCorrelation: correlationOf(latents, sampled, groups),
  };
}
