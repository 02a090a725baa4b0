/**
 * `gyrus encode`: fits encoding models, predicts responses with them, scores them.
 *
 * @module
 */
import { type Command, Option } from "commander";
import { randomKey } from "../../engine/random.ts";
import { parseAlphas } from "../encoding/alphas.ts";
import { kFold } from "../encoding/cross_validation.ts";
import { type Encoder, ENCODER_ALPHAS, fitEncoder } from "../encoding/encoder.ts";
import { loadEncoder, saveEncoder } from "../encoding/encoder_file.ts";
import type { Normalization } from "../encoding/normalize.ts";
import { PROBE_DEFAULTS } from "../encoding/probe.ts";
import type { Scoring } from "../encoding/scoring.ts";
import { requireSameRows } from "../io/checks.ts";
import { runRecord } from "../run_record.ts";
import { type ApplyOptions, median, predictTo, scoreTo } from "./encode_apply.ts";
import { openGpu } from "./open_gpu.ts";
import { type GlobalOptions, wholeNumber } from "./options.ts";
import { beginOutput, writeOutput } from "./output.ts";
import { Progress } from "./progress.ts";
import { readSamples } from "./read_matrix.ts";

interface FitOptions extends GlobalOptions {
  readonly features: string;
  readonly responses: string;
  readonly alphas: readonly number[];
  readonly cv: number;
  readonly shuffle: boolean;
  readonly scoring: Scoring;
  readonly solver: "ridge" | "probe";
  readonly normalize: Normalization;
  readonly epochs: number;
}

/** Adds the command. */
export function register(program: Command): void {
  const encode = program.command("encode")
    .description("fit encoding models from features to brain responses, predict, score");
  registerFit(encode);
  encode.command("predict")
    .description("predict responses: /predictions [samples, targets] in HDF5")
    .requiredOption("--encoder <file>", "a model from encode fit")
    .requiredOption("--features <ref>", "features [samples, features], as for encode fit")
    .addHelpText(
      "after",
      "\nExample:\n  gyrus encode predict --encoder model.h5 --features test.h5:/cls --out predicted.h5\n",
    )
    .action(async (_, command: Command) => await apply(command, "encode predict", predictTo));
  encode.command("score")
    .description("score on held-out responses: /r2 and /correlation [targets] in HDF5")
    .requiredOption("--encoder <file>", "a model from encode fit")
    .requiredOption("--features <ref>", "features [samples, features], as for encode fit")
    .requiredOption("--responses <ref>", "measured responses [samples, targets]")
    .option("--noise-ceiling <ref>", "share of variance that can be explained [targets], 0 to 1")
    .addHelpText(
      "after",
      "\nExample:\n  gyrus encode score --encoder model.h5 --features test.h5:/cls \\\n" +
        "    --responses responses_subj01.h5:test --noise-ceiling responses_subj01.h5:noise_ceiling \\\n" +
        "    --out scores.h5\n",
    )
    .action(async (_, command: Command) => await apply(command, "encode score", scoreTo));
}

function registerFit(encode: Command): void {
  encode.command("fit")
    .description("fit one linear model per target: ridge regression, or the paper's linear probe")
    .requiredOption("--features <ref>", "features [samples, features]")
    .requiredOption("--responses <ref>", "responses [samples, targets], in the same order")
    .option(
      "--alphas <list>",
      "ridge: candidates, 0.1,1,10 or from:to:count on a log10 scale (default -4:5:19)",
      (text: string) => parseAlphas(text),
      ENCODER_ALPHAS,
    )
    .option("--cv <folds>", "ridge: folds of the cross-validation, contiguous", wholeNumber, 5)
    .option("--shuffle", "ridge: shuffle the samples before they are split, by --seed", false)
    .addOption(
      new Option("--scoring <name>", "ridge: what alphas are chosen by")
        .choices(["l2NegLoss", "r2", "correlation"]).default("l2NegLoss"),
    )
    .addOption(
      new Option("--solver <name>", "ridge is exact; probe is BrainSAIL's AdamW training")
        .choices(["ridge", "probe"]).default("ridge"),
    )
    .addOption(
      new Option(
        "--normalize <kind>",
        "features first: each sample to unit norm (as BrainSAIL), each feature z-scored, or neither",
      ).choices(["l2", "zscore", "none"]).default("l2"),
    )
    .option("--epochs <n>", "probe: passes over the samples", wholeNumber, PROBE_DEFAULTS.epochs)
    .addHelpText(
      "after",
      "\nExample:\n  gyrus encode fit --features features.h5:/cls " +
        "--responses responses_subj01.h5:train --out model.h5\n",
    )
    .action(async (_, command: Command) => await fit(command.optsWithGlobals()));
}

async function fit(options: FitOptions): Promise<void> {
  const started = new Date();
  const features = await readSamples(options.features, "features");
  const responses = await readSamples(options.responses, "targets");
  requireSameRows(features, responses);
  const output = beginOutput(options.out);
  using gpu = await openGpu(options);
  const progress = new Progress({ silent: options.json });
  const { solver, alphas, scoring, seed, epochs } = options;
  const cv = options.shuffle
    ? kFold(features.shape[0], options.cv, { key: randomKey(seed) })
    : options.cv;
  const encoder = await fitEncoder(gpu, features, responses, {
    solver,
    normalization: options.normalize,
    ridge: { alphas, cv, scoring },
    probe: { epochs, key: randomKey(seed) },
    onProgress: progress.update,
  });
  progress.end();
  await saveEncoder(output.partial, encoder, { inPlace: true });
  const results = {
    nSamples: features.shape[0],
    nFeatures: encoder.nFeatures,
    nTargets: encoder.nTargets,
    ...summaryOf(encoder),
  };
  finish(options, "encode fit", { output, gpu, started, results }, {
    features: options.features,
    responses: options.responses,
  });
}

function summaryOf({ details: { bestAlphas, cvScores, losses } }: Encoder): Record<string, number> {
  return losses
    ? { finalLoss: losses[losses.length - 1] }
    : { medianAlpha: median(bestAlphas), medianCvScore: median(cvScores) };
}

async function apply(
  command: Command,
  name: string,
  work: typeof predictTo,
): Promise<void> {
  const options: ApplyOptions = command.optsWithGlobals();
  const started = new Date();
  const output = beginOutput(options.out);
  using gpu = await openGpu(options);
  const encoder = await loadEncoder(gpu, options.encoder);
  const progress = new Progress({ silent: options.json });
  const results = await work(encoder, options, {
    path: output.partial,
    onProgress: progress.update,
  });
  progress.end();
  const { encoder: path, features, responses, noiseCeiling } = options;
  const given = Object.entries({ encoder: path, features, responses, noiseCeiling })
    .filter((entry): entry is [string, string] => entry[1] !== undefined);
  finish(options, name, { output, gpu, started, results }, Object.fromEntries(given));
}

function finish(
  options: GlobalOptions,
  command: string,
  { output, gpu, started, results }: {
    output: ReturnType<typeof beginOutput>;
    gpu: Parameters<typeof runRecord>[0]["gpu"];
    started: Date;
    results: Record<string, unknown>;
  },
  inputs: Record<string, string>,
): void {
  const facts = { command, options: { ...options }, inputs, gpu, started, results };
  output.commit();
  writeOutput(`${options.out}.run.json`, `${JSON.stringify(runRecord(facts), null, 2)}\n`);
  if (options.json) {
    console.log(JSON.stringify({ out: options.out, ...results }));
    return;
  }
  for (const [name, value] of Object.entries(results)) {
    const text = typeof value === "number" ? Number(value.toPrecision(4)) : value;
    console.log(`${name.padEnd(24)}${text}`);
  }
  console.log(`${"written".padEnd(24)}${options.out}`);
}
