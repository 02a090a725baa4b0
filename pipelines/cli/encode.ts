/**
 * `gyrus encode`: fits encoding models, predicts responses with them, scores them.
 *
 * @module
 */
import type { Command } from "commander";
import { loadEncoder, saveEncoder } from "../encoding/encoder_file.ts";
import { runRecord } from "../run_record.ts";
import { type ApplyOptions, predictTo, scoreTo } from "./encode_apply.ts";
import { fitFrom, type FitOptions, registerFit } from "./encode_fit.ts";
import { registerPool } from "./encode_pool.ts";
import { registerReport, type ReportOptions, reportTo } from "./encode_report.ts";
import { openGpu } from "./open_gpu.ts";
import { type GlobalOptions, wholeNumber } from "./options.ts";
import { beginOutput, RUN_RECORD, writeOutput } from "./output.ts";
import { Progress } from "./progress.ts";

/** Adds the command. */
export function register(program: Command): void {
  const encode = program.command("encode")
    .description("fit encoding models from features to brain responses, predict, score");
  registerFit(encode, fit);
  encode.command("predict")
    .description("predict responses: /predictions [samples, targets] in HDF5")
    .requiredOption("--encoder <file>", "a model from encode fit")
    .requiredOption("--features <ref>", "features [samples, features], as for encode fit")
    .option("--runs <ref>", "run of each sample [samples], where features are delayed")
    .addHelpText(
      "after",
      "\nExample:\n  gyrus encode predict --encoder model.h5 --features test.h5:/cls --out predicted.h5\n",
    )
    .action(async (_, command: Command) => await apply(command, "encode predict", predictTo));
  encode.command("score")
    .description(
      "score on held-out responses: /r2, /correlation, … [targets] in HDF5; /r2Split, /correlationSplit of bands",
    )
    .requiredOption("--encoder <file>", "a model from encode fit")
    .requiredOption("--features <ref>", "features [samples, features], as for encode fit")
    .option("--runs <ref>", "run of each sample [samples], where features are delayed")
    .requiredOption("--responses <ref>", "measured responses [samples, targets]")
    .option("--noise-ceiling <ref>", "share of variance that can be explained [targets], 0 to 1")
    .option("--permutations <n>", "p-values of the correlations, and q-values", wholeNumber)
    .option("--block-length <n>", "samples that a permutation keeps together", wholeNumber)
    .addHelpText(
      "after",
      "\nExample:\n  gyrus encode score --encoder model.h5 --features test.h5:/cls \\\n" +
        "    --responses responses_subj01.h5:test --noise-ceiling responses_subj01.h5:noise_ceiling \\\n" +
        "    --out scores.h5\n",
    )
    .action(async (_, command: Command) => await apply(command, "encode score", scoreTo));
  registerReport(encode, report);
  registerPool(encode);
}

async function report(options: ReportOptions): Promise<void> {
  const started = new Date();
  const output = beginOutput(options.out, { kind: "folder" });
  using gpu = await openGpu(options);
  const encoder = await loadEncoder(gpu, options.encoder);
  const progress = new Progress({ silent: options.json });
  const folder = output.partial;
  const results = await reportTo(gpu, encoder, options, { folder, progress });
  progress.end();
  const { encoder: path, features, responses, runs, roiTable } = options;
  const inputs = inputsOf({ encoder: path, features, responses, runs, roiTable });
  const record = `${folder}/${RUN_RECORD}`;
  finish(options, "encode report", { output, gpu, started, results, record }, inputs);
}

/** Inputs that were named. */
function inputsOf(given: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(given).filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}

async function fit(options: FitOptions): Promise<void> {
  const started = new Date();
  const output = beginOutput(options.out);
  using gpu = await openGpu(options);
  const progress = new Progress({ silent: options.json });
  const { encoder, results } = await fitFrom(gpu, options, progress);
  progress.end();
  await saveEncoder(output.partial, encoder, { inPlace: true });
  const { features, responses, runs } = options;
  const inputs = inputsOf({ features, responses, runs });
  finish(options, "encode fit", { output, gpu, started, results }, inputs);
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
  const { encoder: path, features, responses, runs, noiseCeiling } = options;
  const inputs = inputsOf({ encoder: path, features, responses, runs, noiseCeiling });
  finish(options, name, { output, gpu, started, results }, inputs);
}

function finish(
  options: GlobalOptions,
  command: string,
  { output, gpu, started, results, record }: {
    output: ReturnType<typeof beginOutput>;
    gpu: Parameters<typeof runRecord>[0]["gpu"];
    started: Date;
    results: Record<string, unknown>;
    /** Where the record goes that is part of a folder of results. */
    record?: string;
  },
  inputs: Record<string, string>,
): void {
  const facts = { command, options: { ...options }, inputs, gpu, started, results };
  const text = `${JSON.stringify(runRecord(facts), null, 2)}\n`;
  if (record !== undefined) Deno.writeTextFileSync(record, text);
  output.commit();
  if (record === undefined) writeOutput(`${options.out}.run.json`, text);
  if (options.json) {
    console.log(JSON.stringify({ out: options.out, ...results }));
    return;
  }
  const { warnings = [], ...numbers } = results;
  for (const [name, value] of Object.entries(numbers)) {
    const isRounded = typeof value === "number" && !Number.isInteger(value);
    const text = isRounded ? Number(value.toPrecision(4)) : value;
    console.log(`${name.padEnd(24)}${text}`);
  }
  for (const warning of warnings as string[]) console.log(`${"warning".padEnd(24)}${warning}`);
  console.log(`${"written".padEnd(24)}${options.out}`);
}
