import type { Gpu } from "../../engine/gpu.ts";
import { InputError } from "../errors.ts";
import type { FeatureRecipe } from "./feature_recipe.ts";
import { splitsOf } from "./cross_validation.ts";
import type { HostMatrix } from "./host_matrix.ts";
import type { EncodingModel, LongCall, PredictOptions } from "./linear_model.ts";
import {
  type FeatureNormalizer,
  fitNormalizer,
  type Normalization,
  normalizeFeatures,
} from "./normalize.ts";
import { LinearProbe, type LinearProbeOptions, PROBE_DEFAULTS } from "./probe.ts";
import { GroupRidgeCV, type GroupRidgeCVOptions } from "./group_ridge.ts";
import { RidgeCV, type RidgeCVOptions } from "./ridge.ts";
import type { ScoreStore } from "./ridge_scores.ts";
import { r2Score } from "./scoring.ts";

/** How an encoder is fitted. */
export type EncoderSolver = "ridge" | "probe";

/** Numbers of one fit beside the weights, by name, each with one value per target, alpha, feature or epoch. */
export type EncoderDetails = Readonly<Record<string, Float64Array<ArrayBuffer>>>;

/** What an encoder is made of. */
export interface EncoderParts {
  /** The linear model on normalised features. */
  readonly model: EncodingModel;
  /** What happens to features before it. */
  readonly normalizer: FeatureNormalizer;
  /** How it was fitted. */
  readonly solver: EncoderSolver;
  /** `alphas`, `bestAlphas`, `cvSurface`, `cvR2` and of bands `deltas` of a ridge regression, `losses` of a probe. */
  readonly details: EncoderDetails;
  /** Options of the fit, as they were in force. */
  readonly options: Readonly<Record<string, unknown>>;
  /** How the features were made from images, where that is known: with it the encoder is a function of images. */
  readonly recipe?: FeatureRecipe;
}

/** A fitted encoding model: features of images in, predicted responses of voxels out. Frozen, without memory on the GPU. */
export class Encoder implements EncoderParts {
  readonly model: EncodingModel;
  readonly normalizer: FeatureNormalizer;
  readonly solver: EncoderSolver;
  readonly details: EncoderDetails;
  readonly options: Readonly<Record<string, unknown>>;
  readonly recipe?: FeatureRecipe;

  /** An encoder of these parts. */
  constructor({ model, normalizer, solver, details, options, recipe }: EncoderParts) {
    this.model = model;
    this.normalizer = normalizer;
    this.solver = solver;
    this.details = details;
    this.options = options;
    this.recipe = recipe;
    Object.freeze(this);
  }

  /** Number of features that it takes. */
  get nFeatures(): number {
    return this.model.nFeatures;
  }

  /** Number of responses that it predicts. */
  get nTargets(): number {
    return this.model.nTargets;
  }

  /**
   * Predicted responses.
   *
   * @param features as they came from the network, `[nSamples, nFeatures]`
   * @param options.runs run of each sample, where features are delayed
   * @returns `[nSamples, nTargets]`
   * @throws {InputError} when the features are not as many as it was fitted on
   */
  predict(
    features: HostMatrix,
    options: PredictOptions = {},
  ): Promise<HostMatrix> {
    return this.model.predict(normalizeFeatures(features, this.normalizer), options);
  }

  /**
   * R² of each target.
   *
   * @param features as they came from the network, `[nSamples, nFeatures]`
   * @param responses `[nSamples, nTargets]`
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

/** How weights of bands are searched: see {@link GroupRidgeCV}. */
export interface BandOptions extends
  Pick<
    GroupRidgeCVOptions,
    "groups" | "nIter" | "concentrations" | "key" | "jitterAlphas" | "racing"
  > {
  /** Name of each label, where labels count from 0: kept as the option `bandNames`, in the order of the bands. */
  readonly names?: readonly string[];
}

/** Options of {@link fitEncoder}. */
export interface FitEncoderOptions extends LongCall {
  /** Ridge regression with cross-validated alphas, or the paper's linear probe. */
  readonly solver?: EncoderSolver;
  /** What happens to features first; by default nothing for a ridge regression, unit norm as in BrainSAIL for a probe. */
  readonly normalization?: Normalization;
  /** Options of the ridge regression; its coefficients of features are made unless told otherwise. */
  readonly ridge?: RidgeCVOptions;
  /** Groups of features and how their weights are searched: makes the ridge regression a banded one. */
  readonly bands?: BandOptions;
  /** Keeps the scores of a ridge regression, so that a fit that was stopped goes on. */
  readonly store?: (samples: HostMatrix) => ScoreStore;
  /** Options of the probe. */
  readonly probe?: LinearProbeOptions;
  /** How the features were made from images, kept with the encoder. */
  readonly recipe?: FeatureRecipe;
}

/**
 * Candidates for features of unit norm: half decades from 10⁻⁴ to 10⁵. The best one is usually between 0.1 and 10 for 9,000 images and
 * CLIP features, and grows with the number of images.
 */
export const ENCODER_ALPHAS: readonly number[] = Array.from(
  { length: 19 },
  (_, i) => 10 ** (-4 + i / 2),
);

/**
 * Fits an encoding model.
 *
 * @param features `[nSamples, nFeatures]`
 * @param responses `[nSamples, nTargets]`
 * @throws {InputError} when the rows differ in number, a value is not finite, or a response never changes
 */
export async function fitEncoder(
  gpu: Gpu,
  features: HostMatrix,
  responses: HostMatrix,
  options: FitEncoderOptions = {},
): Promise<Encoder> {
  const { solver = "ridge", ridge = {}, probe = {}, ...rest } = options;
  const { normalization = solver === "probe" ? "l2" : "none" } = rest;
  const { bands, store, recipe, normalization: _, ...call } = rest;
  requireVariation(responses);
  const normalizer = fitNormalizer(features, normalization);
  const normalized = normalizeFeatures(features, normalizer);
  if (solver === "probe") {
    const { nTargetsBatch: _, key, ...named } = { ...PROBE_DEFAULTS, ...probe };
    const model = await new LinearProbe(gpu, probe).fit(normalized, responses, call);
    const details = { losses: model.losses };
    return new Encoder({ model, normalizer, solver, details, options: { ...named, key }, recipe });
  }
  const filled = { alphas: ENCODER_ALPHAS, cv: 5, fitIntercept: true, coef: true, ...ridge };
  const { fitIntercept, scoring = "l2NegLoss", localAlpha = true, conservative = false } = filled;
  const told = {
    ...{ folds: splitsOf(filled.cv, features.shape[0]).length, fitIntercept, localAlpha },
    ...{ scoring: typeof scoring === "string" ? scoring : "custom", conservative },
  };
  const fitCall = { ...call, store: store?.(normalized) };
  if (bands) {
    const { names, ...search } = bands;
    const { exact = true, screening: _, extendAlphas = false, ...grouped } = {
      ...filled,
      ...search,
    };
    if (!exact || extendAlphas) {
      throw new InputError(
        "Cannot search weights of bands that way: every weighting is scored at the given alphas, none are left out or added",
      );
    }
    const model = await new GroupRidgeCV(gpu, grouped).fit(normalized, responses, fitCall);
    const { alphas, bestAlphas, cvScores: cvSurface, cvR2, deltas } = model;
    const details = { alphas, bestAlphas, cvSurface, cvR2, deltas };
    const named = names && { bandNames: model.bands.labels.map((label) => names[label]) };
    const options = { ...told, ...named };
    return new Encoder({ model, normalizer, solver, details, options, recipe });
  }
  const model = await new RidgeCV(gpu, filled).fit(normalized, responses, fitCall);
  const { alphas, bestAlphas, cvSurface, cvR2 } = model;
  const details = { alphas, bestAlphas, cvSurface, cvR2 };
  return new Encoder({ model, normalizer, solver, details, options: told, recipe });
}

// A voxel without variance has no R² and no alpha: it is outside the brain, or the file is not what it seems.
function requireVariation({ data, shape: [rows, cols] }: HostMatrix): void {
  const constant: number[] = [];
  for (let t = 0; t < cols && rows > 0; t++) {
    let r = 1;
    while (r < rows && data[r * cols + t] === data[t]) r++;
    if (r === rows) constant.push(t);
  }
  if (constant.length === 0) return;
  throw new InputError(
    `Cannot fit the responses: ${constant.length} of ${cols} columns never change, the first is column ${
      constant[0]
    } (counted from 0); leave them out`,
  );
}
