/**
 * `gyrus localize` without an encoder: a whole study, from responses to every analysis.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { foldIn, randomKey } from "../../engine/random.ts";
import { type Backbone, denseGrid } from "../brain_sail/backbone.ts";
import { openNsdStudy } from "../brain_sail/nsd_study.ts";
import { openPlainStudy } from "../brain_sail/plain_study.ts";
import {
  type BackboneResults,
  backboneResults,
  compareAll,
  type StudyResults,
  writeResults,
} from "../brain_sail/results.ts";
import { type BackboneRunOptions, runBackbone } from "../brain_sail/run_backbone.ts";
import type { Study } from "../brain_sail/study.ts";
import { MapFiles, readMaps, writeBackbone } from "../brain_sail/study_files.ts";
import type { Settings } from "../brain_sail/study_settings.ts";
import {
  brainSailCategories,
  type CaptionCategory,
  parseCaptionLists,
} from "../dense/caption_categories.ts";
import { parseAlphas } from "../encoding/alphas.ts";
import { InputError } from "../errors.ts";
import { shrink } from "../images/pil_resize.ts";
import { withFileErrors } from "../io/files.ts";
import { savePng } from "../io/png.ts";
import { StepLog } from "../io/step_log.ts";
import { quote } from "../io/strict_json.ts";
import { runRecord } from "../run_record.ts";
import { digestOfModel } from "./load_model.ts";
import { openGpu } from "./open_gpu.ts";
import type { GlobalOptions } from "./options.ts";
import { beginOutput, letSignalsIn, RUN_RECORD } from "./output.ts";
import { Progress } from "./progress.ts";
import { readText } from "./read_text.ts";
import { type BackboneChoice, backboneChoices, openBackbone } from "./study_backbones.ts";

/** Options of a study beside its settings. */
export interface StudyOptions extends GlobalOptions {
  /** Folder that keeps features meanwhile. */
  readonly checkpoint?: string;
}

const text = (settings: Settings, key: string) => settings[key] as string | undefined;
const number = (settings: Settings, key: string) => settings[key] as number | undefined;
const list = (settings: Settings, key: string) => settings[key] as readonly string[] | undefined;

function needed(settings: Settings, key: string): string {
  const value = text(settings, key);
  if (value !== undefined) return value;
  throw new InputError(
    `Cannot run a study: without an encoder it needs ${
      quote(key)
    }, in the configuration or as a flag`,
  );
}

/** The data that the settings name. */
async function openStudy(settings: Settings, progress: Progress): Promise<Study> {
  const subjects = list(settings, "subjects") ?? [];
  const nMapped = number(settings, "nMapped");
  const nsd = text(settings, "nsd");
  if (nsd === undefined) {
    return await openPlainStudy({
      trainImages: needed(settings, "trainImages"),
      testImages: needed(settings, "testImages"),
      subjects,
      truth: text(settings, "truth"),
      nMapped,
    });
  }
  const bad = subjects.find((subject) => !/^[1-8]$/.test(subject));
  if (bad !== undefined || subjects.length === 0) {
    throw new InputError(
      `Cannot read ${quote(nsd)}: "subjects" must be numbers from 1 to 8, got ${bad ?? "none"}`,
    );
  }
  return await openNsdStudy({
    nsd,
    subjects: subjects.map(Number),
    nMapped,
    sessions: number(settings, "sessions"),
    mask: text(settings, "mask"),
    minNcsnr: number(settings, "minNcsnr"),
    minT: number(settings, "minT"),
    atlases: list(settings, "atlases"),
    depth: text(settings, "depth"),
    onProgress: progress.update,
  });
}

/** The lists of captions: the paper's, or files by category. */
function captionLists(
  sources: readonly string[] | undefined,
): readonly CaptionCategory[] | undefined {
  if (sources === undefined) return undefined;
  if (sources.length === 1 && sources[0] === "paper") return brainSailCategories;
  const files = sources.flatMap((source) => {
    const isFolder = withFileErrors("read", source, () => Deno.statSync(source).isDirectory);
    if (!isFolder) return [source];
    return [...Deno.readDirSync(source)].map(({ name }) => name)
      .filter((name) => name.endsWith(".txt")).sort().map((name) => `${source}/${name}`);
  });
  return parseCaptionLists(
    files.map((file) => ({ name: file.replace(/^.*\//s, ""), text: readText(file) })),
  );
}

/** Files as a checkpoint knows them: names, sizes, times of change. */
function factsOf(files: readonly string[]): unknown[] {
  return files.map((path) => {
    const { size, mtime } = withFileErrors("read", path, () => Deno.statSync(path));
    return [path.replace(/^.*\//s, ""), size, mtime?.getTime()];
  });
}

/** Logs of a backbone's features in the checkpoint's folder. */
function openLogs(
  folder: string | undefined,
  { gpu, study, backbone, choice, held }: {
    readonly gpu: Gpu;
    readonly study: Study;
    readonly backbone: Backbone;
    readonly choice: BackboneChoice;
    readonly held: DisposableStack;
  },
): { tokens: StepLog; dense: StepLog } | undefined {
  if (folder === undefined) return undefined;
  withFileErrors("write", folder, () => Deno.mkdirSync(folder, { recursive: true }));
  const { name, encoderSize, ...settings } = backbone.settings;
  const facts = {
    model: digestOfModel(choice),
    images: factsOf(study.images.files),
    adapter: [gpu.adapterName, { ...gpu.caps, features: [...gpu.caps.features] }, gpu.options],
  };
  const open = (kind: string, options: unknown) =>
    held.use(new StepLog(`${folder}/${name}.${kind}`, { ...facts, options }));
  return {
    tokens: open("tokens", { encoderSize, names: study.images.names }),
    dense: open("dense", { settings, rows: [...study.mappedRows] }),
  };
}

/** What the settings say of encoders and analyses. */
function analysesOf(settings: Settings, seed: number): BackboneRunOptions {
  const key = randomKey(seed);
  return {
    choice: {
      solver: text(settings, "solver") as "ridge" | "probe",
      ridge: { alphas: parseAlphas(text(settings, "alphas")!), cv: number(settings, "cv") },
      probe: { epochs: number(settings, "epochs"), key: foldIn(key, 7) },
    },
    captions: captionLists(list(settings, "captions")),
    nTop: number(settings, "nTop")!,
    nTopOf: settings.nTopOf as Record<string, number>,
    nResamples: number(settings, "nResamples")!,
    nPermutations: number(settings, "nPermutations")!,
    nShuffles: number(settings, "nShuffles")!,
    minR2: number(settings, "minR2")!,
    roiCategories: settings.roiCategory as Record<string, string> | undefined,
    colors: {
      nNeighbors: number(settings, "umapNeighbors")!,
      minDist: number(settings, "umapMinDist")!,
      mostVoxels: number(settings, "umapVoxels")!,
    },
    nShown: number(settings, "nShown"),
    key,
  };
}

/** Runs the study with one backbone and writes its files. */
async function runOne(
  gpu: Gpu,
  study: Study,
  choice: BackboneChoice,
  { settings, options, folder, progress, shown, taken }: {
    readonly settings: Settings;
    readonly options: StudyOptions;
    readonly folder: string;
    readonly progress: Progress;
    readonly shown: readonly number[] | undefined;
    readonly taken: ReadonlySet<string>;
  },
): Promise<{ results: BackboneResults; shown: readonly number[] }> {
  using held = new DisposableStack();
  const backbone = held.use(await openBackbone(gpu, choice, options));
  const { name } = backbone.settings;
  if (taken.has(name) || !/^[\w.+-]+$/.test(name)) {
    throw new InputError(
      `Cannot call a backbone ${
        quote(name)
      }: its name must be letters, digits and -+._ and no other's, give one by --name`,
    );
  }
  using maps = await MapFiles.create(folder, name, { study, grid: denseGrid(backbone) });
  const result = await runBackbone(gpu, study, backbone, {
    ...analysesOf(settings, options.seed),
    logs: openLogs(options.checkpoint, { gpu, study, backbone, choice, held }),
    onMaps: async (owner, event) => {
      maps.sink(owner, event);
      await letSignalsIn();
    },
    shown,
    onProgress: ({ stage, ...event }) => progress.update({ stage: `${name}: ${stage}`, ...event }),
  });
  maps.commit();
  await writeBackbone(folder, result);
  const results = await backboneResults(result, study, {
    settings: { ...choice, ...backbone.settings },
    maps: (subject) => readMaps(folder, name, subject),
  });
  return { results, shown: result.shown };
}

/**
 * Runs a study and writes its folder.
 *
 * @throws {InputError} when settings are missing, or data do not suit each other
 */
export async function study(settings: Settings, options: StudyOptions): Promise<void> {
  const started = new Date();
  const output = beginOutput(options.out, { kind: "folder" });
  const progress = new Progress({ silent: options.json });
  const choices = backboneChoices(settings);
  using data = await openStudy(settings, progress);
  using gpu = await openGpu(options);
  const folder = output.partial;
  const backbones: BackboneResults[] = [];
  let shown: readonly number[] | undefined;
  for (const choice of choices) {
    const taken = new Set(backbones.map(({ name }) => name));
    const run = { settings, options, folder, progress, shown, taken };
    const one = await runOne(gpu, data, choice, run);
    backbones.push(one.results);
    shown = one.shown;
  }
  progress.end();
  const names = Array.from(data.mappedRows, (row) => data.images.names[row]);
  const results: StudyResults = {
    format: "gyrus brain_sail 1",
    settings,
    mapped: names,
    shown: shown!.map((image) => names[image]),
    subjects: data.subjects.map(({ name, train, test }) => ({
      name,
      nVoxels: train.shape[1],
      nTrain: train.shape[0],
      nTest: test.shape[0],
    })),
    backbones,
    comparisons: await compareAll(
      backbones.map(({ name }) => name),
      data,
      (backbone, subject) => readMaps(folder, backbone, subject),
    ),
  };
  writeImages(folder, data, results);
  Deno.writeTextFileSync(`${folder}/results.json`, writeResults(results));
  const record = runRecord({
    command: "localize",
    options: { ...options, ...settings },
    inputs: Object.fromEntries(choices.map(({ model }, i) => [`model ${i + 1}`, model])),
    gpu,
    started,
    results: { images: names.length, backbones: backbones.map(({ name }) => name) },
  });
  Deno.writeTextFileSync(`${folder}/${RUN_RECORD}`, `${JSON.stringify(record, null, 2)}\n`);
  output.commit();
  say(results, options);
}

/** Longest side of an image that is only among the best of a region. */
const SMALL = 160;

/** The images worth showing as they are, and the best ones of regions small. */
function writeImages(folder: string, { images, mappedRows }: Study, results: StudyResults): void {
  Deno.mkdirSync(`${folder}/images`);
  const shown = new Set(results.shown);
  const best = results.backbones.flatMap(({ subjects }) =>
    subjects.flatMap(({ top }) => top.flatMap((one) => one.images))
  );
  for (const name of new Set([...shown, ...best])) {
    const image = images.read(mappedRows[results.mapped.indexOf(name)]);
    const kept = shown.has(name) ? image : shrink(image, SMALL);
    savePng(`${folder}/images/${name}.png`, kept);
  }
}

function say({ backbones, mapped }: StudyResults, { json, out }: StudyOptions): void {
  const summary = backbones.flatMap(({ name, subjects }) =>
    subjects.map(({ name: subject, fits, localization }) => ({
      backbone: name,
      subject,
      r2: fits.at(-1)!.r2,
      share: fits.at(-1)!.share,
      pearson: localization.at(-1)!.scores.distilled.pearson.mean,
    }))
  );
  if (json) {
    console.log(JSON.stringify({ out, images: mapped.length, results: summary }));
    return;
  }
  for (const { backbone, subject, r2, share, pearson } of summary) {
    const shown = (value: number) => Number.isNaN(value) ? "–" : value.toFixed(3);
    console.log(
      `${backbone} ${subject}: median R² ${shown(r2)} (${shown(share)} of the ceiling), ` +
        `maps against masks r ${shown(pearson)}`,
    );
  }
  console.log(`everything in ${out}; gyrus report --results ${out} --out report draws it`);
}
