import type { Gpu } from "../../engine/gpu.ts";
import { addScalar, scale, sub } from "../../engine/ops/elementwise.ts";
import { logsumexp } from "../../engine/ops/reduce.ts";
import { concat, slice } from "../../engine/ops/shape.ts";
import { foldIn, type Key, randomBit32 } from "../../engine/random.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import type { HostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import { byGroup, ofGroup, requireTargets, type SteerCriterion } from "./criteria.ts";
import type { ImageFeatures } from "./image_features.ts";
import { latentsOfGroup, type SteerJob } from "./latent_groups.ts";
import type { LatentScorer } from "./scorer.ts";

/** Options of {@link mutualInformation}. */
export interface MutualInformationOptions {
  /** A scorer of each group that is steered. */
  readonly scorers: ReadonlyMap<number, LatentScorer>;
  /** Latents of many images, which negatives are drawn from, `[n, sum of sizes]`. */
  readonly pool: HostMatrix;
  /** Length of each group. */
  readonly sizes: readonly number[];
  /** Draws the negatives; the same for every target of a source and group. */
  readonly key: Key;
  /** Whether negatives are drawn anew at every step (default), once, or there are none. */
  readonly negatives?: "resampled" | "fixed" | "none";
  /** How many there are (default 10). */
  readonly nNegatives?: number;
  /** Weight of the logarithm of their sum with the target's own (default 1). */
  readonly negativeWeight?: number;
}

/** Most latents of the pool that an information is taken over. */
const MOST_RIVALS = 256;

/** Different rows of a pool of `n`. */
function drawRows(key: Key, count: number, n: number): Uint32Array<ArrayBuffer> {
  const rows = new Set<number>();
  for (let i = 0; rows.size < count; i++) rows.add(Math.floor(randomBit32(key, i) / 2 ** 32 * n));
  return Uint32Array.from(rows);
}

class MutualInformation implements SteerCriterion {
  readonly scoreNames = ["score", "information"];
  readonly #gpu: Gpu;
  readonly #features: ImageFeatures;
  readonly #options: Required<MutualInformationOptions>;
  readonly #pools: ReadonlyMap<number, HostMatrix>;

  constructor(gpu: Gpu, features: ImageFeatures, options: Required<MutualInformationOptions>) {
    const { pool, sizes } = options;
    this.#gpu = gpu;
    this.#features = features;
    this.#options = options;
    this.#pools = new Map(sizes.map((_, g) => [g, latentsOfGroup(pool, sizes, g)]));
  }

  /** Scores of jobs of one group: the target's, then those of rows of the pool. */
  #score(
    group: number,
    jobs: readonly SteerJob[],
    { features, rows }: { features: Tensor; rows: readonly Uint32Array[] },
  ): Tensor {
    const scorer = ofGroup(this.#options.scorers, group, "scorers");
    const width = scorer.sizes.latentWidth;
    requireTargets(jobs, width);
    const { data } = ofGroup(this.#pools, group, "latents"), m = 1 + rows[0].length;
    const values = new Float32Array(jobs.length * m * width);
    jobs.forEach(({ target }, i) => {
      values.set(target, i * m * width);
      rows[i].forEach((row, j) => {
        values.set(data.subarray(row * width, (row + 1) * width), (i * m + 1 + j) * width);
      });
    });
    return scorer.scores(Tensor.from(this.#gpu, values, [jobs.length, m, width]), features);
  }

  #negatives({ source, group }: SteerJob, index: number): Uint32Array {
    const { negatives, key, nNegatives, pool: { shape: [n] } } = this.#options;
    if (negatives === "none") return new Uint32Array(0);
    const own = foldIn(foldIn(key, source), group);
    return drawRows(negatives === "fixed" ? own : foldIn(own, index), nNegatives, n);
  }

  objective(start: Tensor, jobs: readonly SteerJob[], index: number): Tensor {
    const { negatives, negativeWeight } = this.#options;
    return tidy(
      this.#gpu,
      () =>
        byGroup(jobs, this.#features.extract(start), (group, some, features) => {
          const rows = some.map((job) => this.#negatives(job, index));
          const scores = this.#score(group, some, { features, rows });
          const wanted = slice(scores, { axis: 1, end: 1 }).reshape([some.length]);
          if (negatives === "none") return wanted;
          return sub(wanted, scale(logsumexp(scores, { axes: [1] }), negativeWeight));
        }),
    );
  }

  scores(images: Tensor, jobs: readonly SteerJob[]): Tensor {
    const [n] = this.#options.pool.shape, stride = Math.ceil(n / MOST_RIVALS);
    const rivals = Uint32Array.from({ length: Math.ceil(n / stride) }, (_, i) => i * stride);
    return tidy(
      this.#gpu,
      () =>
        byGroup(jobs, this.#features.extract(images), (group, some, features) => {
          const scores = this.#score(group, some, { features, rows: some.map(() => rivals) });
          const wanted = slice(scores, { axis: 1, end: 1 });
          const others = slice(scores, { axis: 1, start: 1 });
          const total = logsumexp(others, { axes: [1], keepDims: true });
          return concat([wanted, addScalar(sub(wanted, total), Math.log(rivals.length))], 1);
        }),
    );
  }
}

/**
 * MIG-Vis's criterion: s(z̃, f) − log Σ exp s(z, f) over the target z̃ and negatives z, f the features of the image: how much more the image
 * tells of the target than of other latents. What InfoNCE leaves open in a score, a function of the image alone, falls out of it; without
 * negatives it does not. `scores` are s(z̃, f), and in nats how far it is above the mean over the pool, s(z̃, f) − log mean exp s(z, f).
 *
 * @throws {InputError} when the pool has fewer rows than negatives, and when it is used, for groups without a scorer and targets of other sizes
 */
export function mutualInformation(
  gpu: Gpu,
  features: ImageFeatures,
  options: MutualInformationOptions,
): SteerCriterion {
  const { negatives = "resampled", nNegatives = 10, negativeWeight = 1 } = options;
  const [n] = options.pool.shape;
  if (!(Number.isInteger(nNegatives) && nNegatives >= 1 && nNegatives <= n)) {
    throw new InputError(
      `Cannot steer against ${nNegatives} negatives: there must be from 1 to the ${n} of the pool`,
    );
  }
  return new MutualInformation(gpu, features, {
    ...options,
    ...{ negatives, nNegatives, negativeWeight },
  });
}
