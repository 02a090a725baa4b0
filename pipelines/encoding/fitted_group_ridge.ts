import type { Gpu } from "../../engine/gpu.ts";
import { InputError } from "../errors.ts";
import type { Bands } from "./bands.ts";
import { type DelayOptions, delayRows } from "./delays.ts";
import { DualModel } from "./dual_model.ts";
import type { RidgeModelParts } from "./fitted_ridge.ts";
import { type HostMatrix, hostMatrix, takeColumns } from "./host_matrix.ts";
import { type EncodingModel, LinearModel, type PredictOptions } from "./linear_model.ts";
import { r2Score } from "./scoring.ts";

/** What a search over weights of bands found. */
export interface GroupRidgeParts extends RidgeModelParts {
  /** Groups of features. */
  readonly bands: Bands;
  /** Weights that were tried, `[nIter][nBands]`. */
  readonly gammas: readonly Float64Array<ArrayBuffer>[];
  /** Weights of each target, as an index into `gammas`, `[nTargets]`. */
  readonly bestGammas: Uint32Array<ArrayBuffer>;
  /** Regularisation of each target, `[nTargets]`. */
  readonly bestAlphas: Float64Array<ArrayBuffer>;
  /** Best score over the alphas of each weighting, `[nIter, nTargets]`; −∞ where a race was lost. */
  readonly cvScores: Float64Array<ArrayBuffer>;
  /** Mean R² over the folds at the best weighting and alpha, `[nTargets]`. */
  readonly cvR2: Float64Array<ArrayBuffer>;
  /** Regularisations, as they were before any jitter. */
  readonly alphas: Float64Array<ArrayBuffer>;
}

/** A banded ridge regression. It holds no memory on the GPU. */
export class FittedGroupRidge implements EncodingModel, GroupRidgeParts {
  readonly bands: Bands;
  readonly gammas: readonly Float64Array<ArrayBuffer>[];
  readonly bestGammas: Uint32Array<ArrayBuffer>;
  readonly bestAlphas: Float64Array<ArrayBuffer>;
  readonly cvScores: Float64Array<ArrayBuffer>;
  readonly cvR2: Float64Array<ArrayBuffer>;
  readonly alphas: Float64Array<ArrayBuffer>;
  readonly dualCoef?: HostMatrix;
  readonly xFit?: HostMatrix;
  readonly coef?: HostMatrix;
  readonly intercept: Float32Array<ArrayBuffer>;
  readonly fitIntercept: boolean;
  readonly delays?: readonly number[];
  readonly delayOptions?: DelayOptions;
  readonly #gpu: Gpu;

  /** Sets what was fitted. */
  constructor(gpu: Gpu, parts: GroupRidgeParts) {
    this.#gpu = gpu;
    this.bands = parts.bands;
    this.gammas = parts.gammas;
    this.bestGammas = parts.bestGammas;
    this.bestAlphas = parts.bestAlphas;
    this.cvScores = parts.cvScores;
    this.cvR2 = parts.cvR2;
    this.alphas = parts.alphas;
    this.dualCoef = parts.dualCoef;
    this.xFit = parts.xFit;
    this.coef = parts.coef;
    this.intercept = parts.intercept;
    this.fitIntercept = parts.fitIntercept;
    this.delays = parts.delays;
    this.delayOptions = parts.delayOptions;
    Object.freeze(this);
  }

  /** Number of features that it takes, before they are delayed. */
  get nFeatures(): number {
    return this.bands.bandOf.length;
  }

  /** Number of responses that it predicts. */
  get nTargets(): number {
    return this.bestAlphas.length;
  }

  /** `log(gamma / alpha)` of each band and target, `[nBands, nTargets]`, as himalaya's `deltas_`; −∞ for a band without weight. */
  get deltas(): Float64Array<ArrayBuffer> {
    const { bestGammas, bestAlphas, gammas, nTargets } = this;
    return Float64Array.from({ length: this.bands.labels.length * nTargets }, (_, at) => {
      const t = at % nTargets;
      return Math.log(gammas[bestGammas[t]][Math.floor(at / nTargets)] / bestAlphas[t]);
    });
  }

  /**
   * Predicted responses.
   *
   * @param features `[nSamples, nFeatures]`, not delayed
   * @returns `[nSamples, nTargets]`
   * @throws {InputError} when the features are not as many as the model was fitted on
   */
  async predict(features: HostMatrix, options: PredictOptions = {}): Promise<HostMatrix> {
    const all = await this.#predict(features, options, () => true);
    const { data } = all;
    data.forEach((value, at) => data[at] = value + this.intercept[at % this.nTargets]);
    return all;
  }

  /**
   * What each band adds to the predictions; with the intercept they sum to them.
   *
   * @param features `[nSamples, nFeatures]`, not delayed
   * @returns `[nSamples, nTargets]` for each band
   * @throws {InputError} when the features are not as many as the model was fitted on
   */
  async predictBands(features: HostMatrix, options: PredictOptions = {}): Promise<HostMatrix[]> {
    const parts: HostMatrix[] = [];
    for (const band of this.bands.labels.keys()) {
      parts.push(await this.#predict(features, options, (of) => of === band));
    }
    return parts;
  }

  /** Predictions without the intercept from the features of some bands. */
  async #predict(
    features: HostMatrix,
    { runs }: PredictOptions,
    isUsed: (band: number) => boolean,
  ): Promise<HostMatrix> {
    const { bandOf } = this.bands;
    const [rows, p] = features.shape;
    if (p !== this.nFeatures) {
      throw new InputError(
        `Cannot predict from features [${features.shape}]: the model was fitted on ${this.nFeatures} features`,
      );
    }
    const { delays, delayOptions, coef, nTargets } = this;
    if (coef) {
      const used = weighted(features, bandOf, (band) => Number(isUsed(band)));
      const x = delays ? delayRows(used, delays, { ...delayOptions, runs }) : used;
      return await new LinearModel(this.#gpu, coef, new Float32Array(nTargets)).predict(x);
    }
    const out = hostMatrix(new Float32Array(rows * nTargets), [rows, nTargets]);
    for (const g of new Set(this.bestGammas)) {
      const targets = this.bestGammas.reduce<number[]>((list, own, t) => {
        if (own === g) list.push(t);
        return list;
      }, []);
      const model = new DualModel(this.#gpu, {
        ...{ xFit: this.xFit!, dualCoef: takeColumns(this.dualCoef!, targets) },
        intercept: new Float32Array(targets.length),
        ...{ fitIntercept: this.fitIntercept, delays, delayOptions },
      });
      const used = weighted(
        features,
        bandOf,
        (band) => isUsed(band) ? this.gammas[g][band] : 0,
      );
      const { data } = await model.predict(used, { runs });
      for (let r = 0; r < rows; r++) {
        targets.forEach((t, j) => out.data[r * nTargets + t] = data[r * targets.length + j]);
      }
    }
    return out;
  }

  /**
   * R² of each target.
   *
   * @param features `[nSamples, nFeatures]`, not delayed
   * @param responses `[nSamples, nTargets]`
   * @returns `[nTargets]`, in float64
   * @throws {InputError} when the shapes do not fit
   */
  async score(
    features: HostMatrix,
    responses: HostMatrix,
    options: PredictOptions = {},
  ): Promise<Float64Array<ArrayBuffer>> {
    return r2Score(responses, await this.predict(features, options));
  }
}

function weighted(
  { data, shape }: HostMatrix,
  bandOf: Uint32Array,
  weightOf: (band: number) => number,
): HostMatrix {
  const p = shape[1];
  const weights = Float64Array.from(bandOf, (band) => weightOf(band));
  return hostMatrix(data.map((value, at) => value * weights[at % p]), shape);
}
