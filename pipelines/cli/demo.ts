/**
 * `gyrus demo`: everything from images and brain responses to maps of what drives each region, on a phantom, with a page to look at.
 *
 * @module
 */
import type { Command } from "commander";
import { denseSettings } from "../brain_sail/config.ts";
import { meanScore } from "../brain_sail/evaluate.ts";
import { headline, studyPicture, studyReport } from "../brain_sail/phantom_report.ts";
import { runPhantomStudy, type StudyResult } from "../brain_sail/phantom_study.ts";
import { Hdf5Writer } from "../io/hdf5_writer.ts";
import { savePng } from "../io/png.ts";
import { phantomNetFiles } from "../phantom/nets.ts";
import { makePhantom, type Phantom } from "../phantom/phantom.ts";
import { runRecord } from "../run_record.ts";
import { loadModelFile } from "./load_model.ts";
import { openGpu } from "./open_gpu.ts";
import { type GlobalOptions, wholeNumber } from "./options.ts";
import { beginOutput, letSignalsIn, RUN_RECORD } from "./output.ts";
import { formatSeconds, Progress } from "./progress.ts";

interface DemoOptions extends GlobalOptions {
  readonly model: string;
  readonly config?: string;
  readonly train: number;
  readonly test: number;
  readonly images: number;
  readonly size: number;
  readonly distill: number;
}

/** The phantom's own CLIP, trained by this software on other scenes than the demo's. */
const MODEL = decodeURIComponent(phantomNetFiles("clip").weights.pathname);

/** BrainSAIL's number for the smaller of its grids; at 16 x 16 patches it is every shift within 15 % of the side, once. */
const AUGMENTATIONS = 25;

const HELP = `
Writes report/index.html (the page, one file), overview.png, maps.h5, scores.json and run.json.

Example:
  gyrus demo --out out/demo
`;

/** Adds the command. */
export function register(program: Command): void {
  program.command("demo")
    .description("the first pipeline end to end on a phantom, with a report: no data needed")
    .option("--model <path>", "another CLIP for 64 x 64 pixels (default: the phantom's own)", MODEL)
    .option("--config <file>", "its configuration")
    .option("--train <n>", "training images", wholeNumber, 600)
    .option("--test <n>", "test images", wholeNumber, 120)
    .option("--images <n>", "test images that are mapped", wholeNumber, 40)
    .option("--size <s>", "side of the mapped images in pixels", wholeNumber, 128)
    .option("--distill <n>", "augmentations of the distillation", wholeNumber, AUGMENTATIONS)
    .addHelpText("after", HELP)
    .action(async (_, command: Command) => await demo(command.optsWithGlobals()));
}

async function demo(options: DemoOptions): Promise<void> {
  const started = new Date();
  const output = beginOutput(options.out, { kind: "folder" });
  const progress = new Progress({ silent: options.json });
  using gpu = await openGpu(options);
  using model = await loadModelFile(gpu, options);
  const phantom = await makePhantom({
    seed: options.seed,
    nTrain: options.train,
    nTest: options.test,
    nSubjects: 1,
  }, { onProgress: progress.update });
  const phantomSeconds = (Date.now() - started.getTime()) / 1000;
  const study = await runPhantomStudy(gpu, model, phantom, {
    denseSize: options.size,
    nMapped: options.images,
    nAugmentations: options.distill,
    dense: denseSettings[model.family],
    onProgress: progress.update,
    breathe: letSignalsIn,
  });
  progress.end();
  const total = (Date.now() - started.getTime()) / 1000;
  const facts = { adapter: gpu.adapterName, model: modelName(options), total, phantomSeconds };
  const numbers = headline(phantom, study);
  const record = runRecord({
    command: "demo",
    options: { ...options },
    inputs: { model: options.model },
    gpu,
    started,
    results: { ...numbers },
  });
  const folder = output.partial;
  Deno.mkdirSync(`${folder}/report`, { recursive: true });
  Deno.writeTextFileSync(`${folder}/report/index.html`, studyReport(phantom, study, facts));
  savePng(`${folder}/overview.png`, studyPicture(phantom, study));
  await writeMaps(`${folder}/maps.h5`, phantom, study);
  Deno.writeTextFileSync(`${folder}/scores.json`, json(scoresOf(phantom, study)));
  Deno.writeTextFileSync(`${folder}/${RUN_RECORD}`, json(record));
  output.commit();
  if (options.json) console.log(JSON.stringify({ out: options.out, seconds: total, ...numbers }));
  else sayResult(options, numbers, total);
}

function json(value: unknown): string {
  return `${JSON.stringify(value, null, 2)}\n`;
}

function modelName({ model }: DemoOptions): string {
  return model === MODEL ? "The phantom's own CLIP" : model;
}

async function writeMaps(path: string, phantom: Phantom, study: StudyResult): Promise<void> {
  const { methods: [{ maps }], mapped, regions, grid } = study;
  using file = await Hdf5Writer.create(path);
  file.createDataset("/maps", { shape: [mapped.length, regions.length, ...grid], dtype: "f32" });
  file.writeRows("/maps", 0, maps);
  file.createDataset("/r2", { shape: [study.r2.length], dtype: "f64" });
  file.writeRows("/r2", 0, study.r2);
  file.createDataset("/images", { shape: [mapped.length], dtype: "u32" });
  file.writeRows("/images", 0, Uint32Array.from(mapped));
  file.writeStrings("/roi_names", regions.map(({ name }) => name));
  file.setAttribute("/", "seed", phantom.options.seed);
  file.commit();
}

/** Every score, for machines. */
function scoresOf(phantom: Phantom, study: StudyResult): Record<string, unknown> {
  const methods = study.methods.map(({ name, scores }) => ({
    name,
    mean: meanScore(scores),
    regions: Object.fromEntries(study.regions.map((region, r) => {
      const { perImage: _, ...means } = scores[r];
      return [region.name, means];
    })),
  }));
  return { ...headline(phantom, study), methods, seconds: Object.fromEntries(study.seconds) };
}

function sayResult(
  { out }: DemoOptions,
  { r2OfCeiling, distilled, notDistilled }: ReturnType<typeof headline>,
  total: number,
): void {
  const lines: [string, string][] = [
    [`${(100 * r2OfCeiling).toFixed(0)} %`, "of the noise ceiling explained in category regions"],
    [distilled.toFixed(3), "correlation of the maps with the true masks"],
    [notDistilled.toFixed(3), "the same without distillation"],
  ];
  console.log(`\nDone in ${formatSeconds(total)}. What the phantom's truth says of the result:`);
  for (const [value, text] of lines) console.log(`  ${value.padStart(6)}  ${text}`);
  console.log(`Look at ${out}/report/index.html (scores are about the software, never brains).`);
}
