/**
 * `gyrus vae report`: what the latent groups say, on one page.
 *
 * @module
 */
import type { Command } from "commander";
import { foldIn, randomKey } from "../../engine/random.ts";
import type { Population } from "../hvm/population.ts";
import { vaeReport } from "../report/vae_report.ts";
import { compareNeuralVaes, type VariantScores } from "../vae/compare.ts";
import { describeLatents } from "../vae/describe.ts";
import { type VaeSettings, vaeSettings } from "../vae/settings.ts";
import { trainTestSplit } from "../vae/split.ts";
import { openGpu } from "./open_gpu.ts";
import { wholeNumber } from "./options.ts";
import { beginOutput } from "./output.ts";
import { Progress } from "./progress.ts";
import type { FinishVae } from "./vae.ts";
import { addVaeFile, type OpenedVae, openVae, type VaeApplyOptions } from "./vae_encode.ts";
import { needsDevice } from "./vae_fit.ts";
import { addVaeSource, readVaeSource, SOURCE_HELP } from "./vae_options.ts";

interface VaeReportOptions extends VaeApplyOptions {
  readonly ablations?: boolean;
  readonly seeds: number;
  readonly epochs?: number;
  readonly checkpoint?: string;
  readonly title?: string;
}

const HELP = `${SOURCE_HELP}
Writes one page that needs no other file: R² of the held-out stimuli (from the posterior's mean, and from a sample as the
released code has it), what each group says of the responses and of the labels, disentanglement (MIG, DCI, SAP) by dimension
and by group, and the losses. With --ablations it fits the method with the settings of the VAE, and without labels, without the
partial correlation, and without both, --seeds times each: means and standard deviations; --checkpoint keeps whole runs.

Example:
  gyrus vae report --vae vae.h5 --responses it --sites 0:58 --out report.html
  gyrus vae report --vae vae.h5 --responses it --sites 0:58 --ablations --seeds 3 --epochs 40 --out ablations.html
`;

/** Adds the command. */
export function registerVaeReport(vae: Command, finish: FinishVae): void {
  const report = vae.command("report")
    .description("what the latent groups say of responses, pose and category, on one page");
  addVaeSource(addVaeFile(report))
    .option("--ablations", "also fit and score the method without its parts", false)
    .option("--seeds <n>", "runs of each", wholeNumber, 5)
    .option("--epochs <n>", "passes of each run (default: as the VAE)", wholeNumber)
    .option("--checkpoint <file>", "keep whole runs; the same command goes on behind them")
    .option("--title <text>", "heading of the page")
    .addHelpText("after", HELP)
    .action(async (_, command: Command) => await run(command.optsWithGlobals(), finish));
}

/** Settings that a file keeps, where it keeps some. */
function settingsOfFile({ vae, settings = {} }: OpenedVae): VaeSettings {
  const { groups, hidden, pose, category } = vae.shape;
  const names = Object.keys(vaeSettings());
  const kept = Object.fromEntries(
    Object.entries(settings).filter(([name]) => names.includes(name)),
  );
  return vaeSettings({
    poseGroup: Math.min(pose?.group ?? 0, groups.length - 1),
    categoryGroup: Math.min(category?.group ?? 1, groups.length - 1),
    ...kept,
    ...{ groups, hidden },
  });
}

/** Rows that the VAE was not trained on, as far as its file or its settings know. */
function testRows(opened: OpenedVae, n: number): Uint32Array {
  const { split } = opened;
  if (split && split.train.length + split.test.length === n) return split.test;
  if (split) return Uint32Array.from({ length: n }, (_, row) => row); // other stimuli: all are new
  const { testSize, splitSeed } = settingsOfFile(opened);
  return trainTestSplit(n, { testSize, seed: splitSeed }).test;
}

async function ablationsOf(
  options: VaeReportOptions,
  opened: OpenedVae,
  population: Population,
  progress: Progress,
): Promise<VariantScores[] | undefined> {
  if (!options.ablations) return undefined;
  const { epochs, seeds, seed, checkpoint } = options;
  const settings = { ...settingsOfFile(opened), ...(epochs === undefined ? {} : { epochs }) };
  using gpu = needsDevice(population, settings) ? await openGpu(options) : undefined;
  return await compareNeuralVaes(population, {
    ...settings,
    ...{ nSeeds: seeds, key: randomKey(seed), gpu, checkpoint, onProgress: progress.update },
  });
}

async function run(options: VaeReportOptions, finish: FinishVae): Promise<void> {
  const started = new Date();
  const output = beginOutput(options.out);
  const population = await readVaeSource(options);
  const opened = await openVae(options, population);
  const progress = new Progress({ silent: options.json });
  const rows = testRows(opened, population.responses.shape[0]);
  const key = foldIn(randomKey(options.seed), 1);
  const described = describeLatents(opened.vae, population, {
    key,
    rows,
    poseNames: options.poseColumns,
  });
  const ablations = await ablationsOf(options, opened, population, progress);
  progress.end();
  const { title } = options;
  const page = vaeReport({ ...described, history: opened.history, ablations, title });
  Deno.writeTextFileSync(output.partial, page);
  output.commit();
  const { scores, measures } = described;
  const { r2, r2Sampled, categoryAccuracy } = scores;
  const results = {
    ...{ nStimuli: rows.length, nSites: opened.vae.shape.nSites, r2, r2Sampled },
    ...(categoryAccuracy === undefined ? {} : { categoryAccuracy }),
    ...measures,
    ...(ablations ? { variants: ablations.length, seeds: options.seeds } : {}),
  };
  finish("vae report", options, started, { results });
}
