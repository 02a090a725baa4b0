/**
 * `gyrus encode fit`: ridge regression, banded or not, or the paper's linear probe.
 *
 * @module
 */
import { type Command, InvalidArgumentError, Option } from "commander";
import type { Gpu } from "../../engine/gpu.ts";
import { randomKey } from "../../engine/random.ts";
import { fracridgeAlphas, parseAlphas } from "../encoding/alphas.ts";
import { type CrossValidation, parseSplits, withGap } from "../encoding/cross_validation.ts";
import { type Encoder, ENCODER_ALPHAS, fitEncoder } from "../encoding/encoder.ts";
import { readRecipe } from "../encoding/feature_recipe.ts";
import { FittedRidge } from "../encoding/fitted_ridge.ts";
import type { HostMatrix } from "../encoding/host_matrix.ts";
import { hrfConvolve, type HrfName } from "../encoding/hrf.ts";
import { fitNormalizer, type Normalization, normalizeFeatures } from "../encoding/normalize.ts";
import { PROBE_DEFAULTS } from "../encoding/probe.ts";
import { zscorePerRun } from "../encoding/runs.ts";
import { fingerprintOf, ScoreCheckpoint } from "../encoding/score_checkpoint.ts";
import type { Scoring } from "../encoding/scoring.ts";
import { singularValues } from "../encoding/singular_values.ts";
import { InputError } from "../errors.ts";
import { requireSameRows } from "../io/checks.ts";
import { readBands } from "./encode_bands.ts";
import { median } from "../stats/median.ts";
import { type GlobalOptions, realNumber, wholeNumber } from "./options.ts";
import type { Progress } from "./progress.ts";
import { readText } from "./read_text.ts";
import { readSamples, readVector } from "./read_matrix.ts";

/** Options of `encode fit`. */
export interface FitOptions extends GlobalOptions {
  /** Reference of the features. */
  readonly features: string;
  /** Reference of the responses. */
  readonly responses: string;
  readonly runs?: string;
  readonly delays?: readonly number[];
  readonly acrossRuns: boolean;
  readonly hrf?: HrfName;
  readonly tr?: number;
  readonly zscoreRuns: boolean;
  readonly bands?: string;
  readonly nIter: number;
  readonly racing?: number;
  readonly alphas: readonly number[] | "fracridge";
  readonly extendAlphas: boolean;
  readonly cv: string;
  readonly gap?: number;
  readonly shuffle: boolean;
  readonly scoring: Scoring;
  readonly conservative: boolean;
  readonly globalAlpha: boolean;
  readonly intercept: boolean;
  readonly coef: boolean;
  readonly screen?: "gcv" | "coarse";
  readonly space: "auto" | "primal" | "dual";
  readonly precision: "auto" | "f32" | "f64";
  readonly targetsBatch?: number;
  readonly alphasBatch?: number;
  readonly checkpoint?: string;
  readonly solver: "ridge" | "probe";
  readonly normalize?: Normalization;
  readonly epochs: number;
}

const SCORINGS: Readonly<Record<string, Scoring>> = {
  "l2-neg-loss": "l2NegLoss",
  "l2NegLoss": "l2NegLoss",
  "r2": "r2",
  "correlation": "correlation",
};

/** Adds the command. */
export function registerFit(encode: Command, action: (options: FitOptions) => Promise<void>): void {
  const fit = encode.command("fit")
    .description("fit one linear model per target: ridge regression, or the paper's linear probe")
    .requiredOption("--features <ref>", "features [samples, features]")
    .requiredOption("--responses <ref>", "responses [samples, targets], in the same order")
    .option("--runs <ref>", "run of each sample [samples], for --cv runs, --delays, --zscore-runs");
  addSignalOptions(fit);
  addRidgeOptions(fit);
  addWorkOptions(fit);
  fit
    .addHelpText(
      "after",
      "\nExample:\n  gyrus encode fit --features features.h5:/cls --normalize l2 \\\n" +
        "    --responses responses_subj01.h5:train --out model.h5\n",
    )
    .action(async (_, command: Command) => await action(command.optsWithGlobals()));
}

function addSignalOptions(fit: Command): void {
  fit
    .option(
      "--delays <list>",
      "delays of the features in samples, within runs: 1,2,3,4",
      wholeNumbers,
    )
    .option("--across-runs", "delays: let the end of a run reach into the next one", false)
    .addOption(
      new Option("--hrf <name>", "convolve the features with a haemodynamic response first")
        .choices(["spm", "simple"]),
    )
    .option("--tr <seconds>", "time between samples, for --hrf", realNumber)
    .option("--zscore-runs", "z-score the responses within each run first", false)
    .addOption(
      new Option(
        "--normalize <kind>",
        "features first: each sample to unit norm (as BrainSAIL), each feature z-scored, or neither" +
          " (default: none for ridge, l2 for probe)",
      ).choices(["l2", "zscore", "none"]),
    );
}

function addRidgeOptions(fit: Command): void {
  fit
    .addOption(
      new Option(
        "--alphas <list>",
        "ridge: candidates, 0.1,1,10 or from:to:count or logspace(from,to,count) on a log10 scale, or fracridge, by the " +
          "features' singular values",
      ).argParser((text): FitOptions["alphas"] => text === "fracridge" ? text : parseAlphas(text))
        .default(ENCODER_ALPHAS, "-4:5:19"),
    )
    .option(
      "--extend-alphas",
      "ridge: add alphas while a target's best is the first or last",
      false,
    )
    .option(
      "--cv <folds>",
      "ridge: contiguous folds, runs (leave one out), or a JSON file of {test, train} rows",
      "5",
    )
    .option(
      "--gap <n>",
      "ridge: samples left out of training on both sides of a test fold",
      wholeNumber,
    )
    .option("--shuffle", "ridge: shuffle the samples before they are split, by --seed", false)
    .addOption(
      new Option(
        "--scoring <name>",
        "ridge: what alphas are chosen by: l2-neg-loss, r2, correlation",
      )
        .default("l2NegLoss", "l2-neg-loss").argParser(parseScoring),
    )
    .option("--conservative", "ridge: the largest alpha within one deviation of the best", false)
    .option("--global-alpha", "ridge: one alpha for all targets", false)
    .option("--no-intercept", "ridge: do not centre features and responses")
    .option("--coef", "ridge: write weights of features where those of samples are fitted", false)
    .option(
      "--bands <groups>",
      "ridge: groups of features with weights of their own: taps, early-mid-late, or a file, JSON or an array",
    )
    .option("--n-iter <n>", "ridge with bands: weightings to try", wholeNumber, 100)
    .option("--racing <k>", "ridge with bands: give weightings up after one fold", realNumber)
    .addOption(
      new Option("--screen [how]", "ridge: leave alphas out by gcv (default) or coarse-to-fine")
        .choices(["gcv", "coarse"]).preset("gcv"),
    );
}

function addWorkOptions(fit: Command): void {
  fit
    .addOption(
      new Option("--solver <name>", "ridge is exact; probe is BrainSAIL's AdamW training")
        .choices(["ridge", "probe"]).default("ridge"),
    )
    .addOption(
      new Option("--space <name>", "ridge: solve in the space of features or of samples")
        .choices(["auto", "primal", "dual"]).default("auto"),
    )
    .addOption(
      new Option("--precision <name>", "ridge: arithmetic of factors, by alpha or for all")
        .choices(["auto", "f32", "f64"]).default("auto"),
    )
    .option(
      "--targets-batch <n>",
      "ridge: targets on the GPU at once (default: by its limits)",
      wholeNumber,
    )
    .option(
      "--alphas-batch <n>",
      "ridge: alphas prepared at once (default: by its limits)",
      wholeNumber,
    )
    .option(
      "--checkpoint <file>",
      "ridge: keep scores there; the same command goes on after a stop",
    )
    .option("--epochs <n>", "probe: passes over the samples", wholeNumber, PROBE_DEFAULTS.epochs);
}

/**
 * Parses whole numbers with commas between them, also negative ones.
 *
 * @throws InvalidArgumentError for anything else
 */
function wholeNumbers(text: string): number[] {
  const values = text.split(",").map((part) => part.trim() === "" ? NaN : Number(part));
  if (values.every(Number.isInteger)) return values;
  throw new InvalidArgumentError("Whole numbers with commas between them are needed.");
}

function parseScoring(text: string): Scoring {
  const scoring = SCORINGS[text];
  if (scoring) return scoring;
  throw new InvalidArgumentError("It must be one of l2-neg-loss, r2, correlation.");
}

/** Features and responses as they are fitted, with the runs that they are in. */
interface FitData {
  readonly features: HostMatrix;
  readonly responses: HostMatrix;
  readonly runs?: Float64Array;
}

async function readData(options: FitOptions): Promise<FitData> {
  const features = await readSamples(options.features, "features");
  const responses = await readSamples(options.responses, "targets");
  requireSameRows(features, responses);
  const runs = options.runs === undefined
    ? undefined
    : await readVector(options.runs, features.shape[0], "one per sample");
  const { hrf, tr, zscoreRuns } = options;
  if ((hrf === undefined) !== (tr === undefined)) {
    throw new InputError("Cannot convolve the features: --hrf and --tr go together");
  }
  return {
    features: hrf && tr ? hrfConvolve(features, { tr, runs, hrf }) : features,
    responses: zscoreRuns ? zscorePerRun(responses, runs) : responses,
    runs,
  };
}

/** The splits that `--cv`, `--gap` and `--shuffle` mean. */
function splitting(
  { cv, gap, shuffle, seed }: FitOptions,
  { features: { shape: [nSamples] }, runs }: FitData,
): CrossValidation {
  if (cv === "runs") {
    if (!runs) throw new InputError("Cannot leave runs out: --cv runs needs --runs");
    return { runs, gap };
  }
  if (/^\d+$/.test(cv)) {
    const nSplits = Number(cv);
    if (!shuffle && gap === undefined) return nSplits;
    return { nSplits, gap, key: shuffle ? randomKey(seed) : undefined };
  }
  const splits = parseSplits(readText(cv), nSamples, { source: cv });
  return gap === undefined ? splits : withGap(splits, gap, { runs });
}

/** The grid of fracridge for the features as they are fitted. */
async function alphasOfSpectrum(
  gpu: Gpu,
  features: HostMatrix,
  { normalize = "none", delays, intercept }: FitOptions,
): Promise<number[]> {
  if (delays) {
    throw new InputError("Cannot choose alphas by singular values: --delays changes them");
  }
  const normalized = normalizeFeatures(features, fitNormalizer(features, normalize));
  const values = await singularValues(gpu, normalized, { fitIntercept: intercept });
  return fracridgeAlphas(values.filter((value) => value > 1e-3 * values[0]));
}

/** Fits what the options say. */
export async function fitFrom(
  gpu: Gpu,
  options: FitOptions,
  progress: Progress,
): Promise<{ encoder: Encoder; results: Record<string, unknown> }> {
  const data = await readData(options);
  const { features, responses, runs } = data;
  const { solver, seed, epochs, delays, checkpoint } = options;
  const bands = options.bands === undefined ? undefined : {
    ...await readBands(options.bands, {
      ...{ features: options.features, nFeatures: features.shape[1] },
    }),
    ...{ nIter: options.nIter, racing: options.racing, key: randomKey(seed) },
  };
  const alphas = options.alphas === "fracridge"
    ? await alphasOfSpectrum(gpu, features, options)
    : options.alphas;
  const ridge = {
    ...{ alphas, cv: splitting(options, data), scoring: options.scoring },
    ...{ fitIntercept: options.intercept, coef: options.coef, conservative: options.conservative },
    ...{ localAlpha: !options.globalAlpha, solver: options.space, precision: options.precision },
    ...{ exact: options.screen === undefined, screening: options.screen },
    ...{
      extendAlphas: options.extendAlphas,
      delays,
      delayOptions: { runs, acrossRuns: options.acrossRuns },
    },
    ...{ nTargetsBatch: options.targetsBatch, nAlphasBatch: options.alphasBatch },
  };
  if (solver === "probe" && checkpoint !== undefined) {
    throw new InputError("Cannot keep a checkpoint of a probe: --checkpoint is for --solver ridge");
  }
  const held: { store?: ScoreCheckpoint } = {};
  const openStore = (samples: HostMatrix) => {
    const adapter = { name: gpu.adapterName, ...gpu.caps, features: [...gpu.caps.features] };
    const labels = { runs: runs && [...runs], groups: bands && [...bands.groups] };
    const facts = { ...ridge, bands, ...labels, adapter, kernels: gpu.options.kernels };
    const fingerprint = fingerprintOf([samples, responses], facts);
    return held.store = new ScoreCheckpoint(checkpoint!, fingerprint);
  };
  try {
    const encoder = await fitEncoder(gpu, features, responses, {
      ...{ solver, normalization: options.normalize, ridge, bands, onProgress: progress.update },
      probe: { epochs, key: randomKey(seed) },
      store: checkpoint === undefined ? undefined : openStore,
      recipe: await readRecipe(options.features),
    });
    const [nSamples] = features.shape;
    const { nFeatures, nTargets } = encoder;
    return { encoder, results: { nSamples, nFeatures, nTargets, ...summaryOf(encoder) } };
  } finally {
    held.store?.[Symbol.dispose]();
  }
}

function summaryOf({ model, details }: Encoder): Record<string, unknown> {
  if (details.losses) return { finalLoss: details.losses[details.losses.length - 1] };
  const { bestAlphas, cvR2 } = details;
  const summary = { medianAlpha: median(bestAlphas), medianCvR2: median(cvR2) };
  if (!(model instanceof FittedRidge)) return summary;
  const { cvScores, precisions, warnings } = model;
  const counts = Map.groupBy(precisions, (precision) => precision);
  const arithmetic = [...counts].map(([name, some]) => `${some.length} in ${name}`).join(", ");
  return {
    ...{ ...summary, medianCvScore: median(cvScores), alphas: arithmetic },
    ...(warnings.length > 0 ? { warnings } : {}),
  };
}
