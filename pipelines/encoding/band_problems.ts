import { add, scale } from "../../engine/ops/elementwise.ts";
import { type Tensor, tidy } from "../../engine/tensor.ts";
import type { Bands } from "./bands.ts";
import { range } from "./host_matrix.ts";
import type { RidgePlan } from "./ridge_plan.ts";
import { RidgeProblem } from "./ridge_problem.ts";
import type { RidgeSamples } from "./ridge_samples.ts";

// What the Gram matrices of all bands may take; beyond it they are made again for every weighting.
const MOST_BYTES = 2 ** 30;

/** Ridge problems of the same samples with other weights of their bands. */
export class BandProblems implements Disposable {
  readonly samples: RidgeSamples;
  readonly #plan: RidgePlan;
  readonly #bands: Bands;
  readonly #grams: Tensor[] = [];

  /** Problems of these samples. */
  constructor(samples: RidgeSamples, { plan, bands }: { plan: RidgePlan; bands: Bands }) {
    this.samples = samples;
    this.#plan = plan;
    this.#bands = bands;
  }

  /** Band of a column of the design, which may hold delayed copies of the features one after another. */
  bandOf(column: number): number {
    const { bandOf } = this.#bands;
    return bandOf[column % bandOf.length];
  }

  /** The problem in which features of band i are multiplied by √gamma_i. */
  weighted(gamma: Float64Array): RidgeProblem {
    const scales = Float64Array.from(
      { length: this.samples.nFeatures },
      (_, j) => Math.sqrt(gamma[this.bandOf(j)]),
    );
    const scaled = this.samples.scaled(scales);
    const bytes = 4 * this.#bands.labels.length * this.samples.nSamples ** 2;
    if (!this.#plan.isDual || bytes > MOST_BYTES) return new RidgeProblem(scaled, this.#plan);
    return new RidgeProblem(scaled, { ...this.#plan, knownGram: () => this.#sum(gamma) });
  }

  #sum(gamma: Float64Array): Tensor {
    const grams = this.#bandGrams();
    return tidy(
      this.samples.gpu,
      () => grams.map((k, band) => scale(k, gamma[band])).reduce((sum, k) => add(sum, k)),
    );
  }

  #bandGrams(): readonly Tensor[] {
    if (this.#grams.length > 0) return this.#grams;
    const problem = new RidgeProblem(this.samples, this.#plan);
    for (const band of this.#bands.labels.keys()) {
      const columns = range(this.samples.nFeatures).filter((j) => this.bandOf(j) === band);
      this.#grams.push(problem.gram("f32", columns));
    }
    return this.#grams;
  }

  [Symbol.dispose](): void {
    for (const k of this.#grams) k.dispose();
  }
}
