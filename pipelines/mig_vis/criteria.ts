import type { Gpu } from "../../engine/gpu.ts";
import { mul, scale, square, sub } from "../../engine/ops/elementwise.ts";
import { gather } from "../../engine/ops/gather.ts";
import { linear } from "../../engine/ops/matmul.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { concat, transpose } from "../../engine/ops/shape.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import type { ImageFeatures } from "./image_features.ts";
import type { SteerJob } from "./latent_groups.ts";
import type { LatentReadout } from "./latent_readout.ts";

/** What steered images are moved by, and judged by. */
export interface SteerCriterion {
  /**
   * How likely the targets are given clean images, differentiable by these.
   *
   * @param start one image for each job, `[n, c, h, w]`
   * @param index number of the sampling step
   * @returns `[n]`, logarithms up to a constant
   */
  objective(start: Tensor, jobs: readonly SteerJob[], index: number): Tensor;
  /** What {@link SteerCriterion.scores} tells. */
  readonly scoreNames: readonly string[];
  /** Scores of images with their jobs' targets, nothing in them drawn, `[n, scoreNames.length]`. */
  scores(images: Tensor, jobs: readonly SteerJob[]): Tensor;
}

/** Values of a batch by group, in the batch's order. */
export function byGroup(
  jobs: readonly SteerJob[],
  features: Tensor,
  value: (group: number, jobs: readonly SteerJob[], features: Tensor) => Tensor,
): Tensor {
  const groups = [...new Set(jobs.map(({ group }) => group))];
  if (groups.length === 1) return value(groups[0], jobs, features);
  const rows = groups.map((group) =>
    Uint32Array.from(jobs.keys()).filter((at) => jobs[at].group === group)
  );
  const parts = groups.map((group, g) =>
    value(group, Array.from(rows[g], (at) => jobs[at]), gather(features, rows[g]))
  );
  const place = new Uint32Array(jobs.length);
  rows.flatMap((some) => [...some]).forEach((at, row) => place[at] = row);
  return gather(concat(parts, 0), place);
}

/** What there is of a group, or an error that says there is none. */
export function ofGroup<T>(all: ReadonlyMap<number, T>, group: number, what: string): T {
  const found = all.get(group);
  if (found !== undefined) return found;
  throw new InputError(
    `Cannot steer group ${group}: there are ${what} of ${[...all.keys()].join(", ") || "none"}`,
  );
}

/** Refuses targets of another length than their group's latents. */
export function requireTargets(jobs: readonly SteerJob[], width: number): void {
  const bad = jobs.find(({ target }) => target.length !== width);
  if (bad === undefined) return;
  throw new InputError(
    `Cannot steer group ${bad.group} to ${bad.target.length} latents: its scorer takes ${width}`,
  );
}

/**
 * The criterion of the baseline without mutual information: log p(z̃ | image) of a Gaussian readout. `scores` is that logarithm without its
 * constant, −½ Σ (z̃ − m)²/σ².
 *
 * @param readouts one of each group that is steered
 * @throws {InputError} when it is used, for groups without a readout and targets of other sizes
 */
export function gaussianLikelihood(
  gpu: Gpu,
  features: ImageFeatures,
  readouts: ReadonlyMap<number, LatentReadout>,
): SteerCriterion {
  const logLikelihood = (images: Tensor, jobs: readonly SteerJob[]) =>
    tidy(gpu, () =>
      byGroup(jobs, features.extract(images), (group, some, own) => {
        const { coef, intercept, variances } = ofGroup(readouts, group, "readouts");
        const width = intercept.length;
        requireTargets(some, width);
        const weight = transpose(Tensor.from(gpu, coef.data, coef.shape));
        const told = linear(own, weight, { bias: Tensor.from(gpu, intercept) });
        const targets = Float32Array.from(some.flatMap(({ target }) => [...target]));
        const away = sub(Tensor.from(gpu, targets, [some.length, width]), told);
        const precision = Tensor.from(gpu, variances.map((v) => 1 / v), [1, width]);
        return scale(sum(mul(square(away), precision), { axes: [1] }), -0.5);
      }));
  return {
    objective: logLikelihood,
    scoreNames: ["log_likelihood"],
    scores: (images, jobs) => tidy(gpu, () => logLikelihood(images, jobs).reshape([-1, 1])),
  };
}
