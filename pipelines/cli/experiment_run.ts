/**
 * A run of `gyrus experiment` from its options to its folder.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { foldIn, randomKey } from "../../engine/random.ts";
import { loadEncoder } from "../encoding/encoder_file.ts";
import type { HostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import { withFileErrors } from "../io/files.ts";
import { savePng } from "../io/png.ts";
import { StepLog } from "../io/step_log.ts";
import { quote } from "../io/strict_json.ts";
import type { RoiVoxels } from "../dense/relevance.ts";
import type { UnitValues } from "../stats/bootstrap.ts";
import { runRecord } from "../run_record.ts";
import {
  type ConditionData,
  type Experiment,
  runExperiment,
  type SubjectData,
} from "../vwam/experiment.ts";
import { contrastChanges, pixelChange } from "../vwam/experiment_changes.ts";
import { saveExperiment } from "../vwam/experiment_file.ts";
import { experimentReport } from "../vwam/experiment_report.ts";
import { regionResponses } from "../vwam/experiment_targets.ts";
import { type ImageEncoder, openImageEncoder, recipeReducers } from "../vwam/image_encoder.ts";
import { MADE_FILE } from "../vwam/made_images.ts";
import { naturalResponses, readMeasured, regionsOfSubject, targetsOf } from "./experiment_data.ts";
import type { ScreenCliOptions } from "./experiment_images.ts";
import { predictSets } from "./experiment_responses.ts";
import { type ExperimentSets, openSets } from "./experiment_sets.ts";
import { digestOfModel, loadAnyModelFile } from "./load_model.ts";
import { readRegions } from "./maximize_options.ts";
import { openGpu } from "./open_gpu.ts";
import type { GlobalOptions } from "./options.ts";
import { beginOutput, RUN_RECORD } from "./output.ts";
import { Progress } from "./progress.ts";

/** Options of `gyrus experiment`. */
export interface ExperimentCliOptions extends GlobalOptions, ScreenCliOptions {
  readonly images: readonly string[];
  readonly model: string;
  readonly config?: string;
  readonly encoder: readonly string[];
  readonly rois: readonly string[];
  readonly subject?: readonly string[];
  readonly natural?: string;
  readonly control?: readonly string[];
  readonly originals?: string;
  readonly heldOut: boolean;
  readonly scrambled: boolean;
  readonly betas?: readonly string[];
  readonly trials?: readonly string[];
  readonly top: number;
  readonly draws: number;
  readonly level: number;
  readonly batch: number;
  readonly title?: string;
  readonly checkpoint?: string;
}

const stemOf = (path: string): string => path.replace(/^.*\//s, "").replace(/\.[^.]*$/, "");

/** Whether two paths are of the same file; paths of files that are gone are compared as text. */
function isSameFile(a: string, b: string): boolean {
  const real = (path: string) => {
    try {
      return Deno.realPathSync(path);
    } catch (cause) {
      if (cause instanceof Deno.errors.NotFound) return path;
      throw cause;
    }
  };
  return real(a) === real(b);
}

function stamp(path: string): unknown {
  const { size, mtime } = withFileErrors("read", path, () => Deno.statSync(path));
  return [stemOf(path), size, mtime?.getTime()];
}

/** The checkpoint; it belongs to the encoders, the images and what is done to them. */
function openLog(gpu: Gpu, options: ExperimentCliOptions): StepLog | undefined {
  const { checkpoint, out, encoder, images, control = [], originals, reference } = options;
  if (checkpoint === undefined) return undefined;
  if (checkpoint === out) {
    throw new InputError(`Cannot keep the checkpoint in ${quote(out)}: the result goes there`);
  }
  const { match, aperture, fixation, background, gamma, scrambled, seed, batch } = options;
  return new StepLog(checkpoint, {
    model: digestOfModel(options),
    encoders: encoder.map(stamp),
    images: [...images, ...control].map((folder) => stamp(`${folder}/${MADE_FILE}`)),
    pictures: [originals, reference].map((path) => path && stamp(path)),
    options: { match, aperture, fixation, background, gamma, scrambled, seed, batch },
    adapter: [gpu.adapterName, { ...gpu.caps, features: [...gpu.caps.features] }, gpu.options],
  });
}

/** What the subjects' part is made of. */
interface Study {
  readonly options: ExperimentCliOptions;
  readonly encoders: readonly ImageEncoder[];
  readonly tables: readonly (readonly RoiVoxels[])[];
  readonly sets: ExperimentSets;
  /** Predicted responses of each set and subject. */
  readonly predicted: readonly (readonly HostMatrix[])[];
  readonly targets: ReturnType<typeof targetsOf>;
}

/** Rows of a table whose target is a region. */
function rowsFor(
  { data, shape: [, columns] }: UnitValues,
  targets: readonly number[],
): Pick<ConditionData, "data" | "shape" | "targets"> {
  const rows = targets.flatMap((t, i) => t >= 0 ? [i] : []);
  return {
    data: rows.flatMap((i) => Array.from({ length: columns }, (_, c) => data[i * columns + c])),
    shape: [rows.length, columns],
    targets: rows.map((i) => targets[i]),
  };
}

/** Edited images and what they were made from. */
function contrastsOf(
  { sets: { edited, originals }, predicted, targets: { pairs } }: Study,
  s: number,
  regions: readonly RoiVoxels[],
): SubjectData["contrasts"] {
  if (edited.length === 0) return [];
  const responses = predicted.map((set) => regionResponses(set[s], regions));
  const pick = ({ data, shape: [, n] }: UnitValues, rows: readonly number[]): UnitValues => ({
    data: rows.flatMap((i) => Array.from({ length: n }, (_, r) => data[i * n + r])),
    shape: [rows.length, n],
  });
  return contrastChanges(
    edited.flatMap(({ image }) => pairs[image] ?? []),
    pick(responses[0], edited.map(({ image }) => image)),
    pick(responses[originals], edited.map(({ original }) => original)),
    edited.map(({ values, before }) => pixelChange(values, before)),
  );
}

async function subjectData(study: Study, s: number): Promise<SubjectData> {
  const { options, encoders, tables, sets, predicted, targets: { names, targets } } = study;
  const { encoder } = encoders[s], regions = regionsOfSubject(tables[s], names, encoder);
  const isOwnImage = sets.madeWith.map((paths) =>
    paths?.some((path) => isSameFile(path, options.encoder[s]))
  );
  const own = targets.map((t, i) => options.heldOut && isOwnImage[i] ? -1 : t);
  const name = options.subject?.[s] ?? stemOf(options.encoder[s]);
  if (options.heldOut && isOwnImage.includes(undefined)) {
    throw new InputError(
      `Cannot test ${name} with --held-out: the encoder that images were made with is not where it was, so whose it is cannot be told`,
    );
  }
  if (options.heldOut && own.every((t) => t < 0)) {
    throw new InputError(
      `Cannot test ${name} with --held-out: every image for a region was made with its own encoder`,
    );
  }
  const conditions = sets.conditions.map(({ set, names: others, ...told }) => {
    const meaning = others ? others.map((target) => names.indexOf(target)) : own;
    const responses = regionResponses(predicted[set][s], regions);
    return { ...rowsFor(responses, meaning), ...told };
  }).filter(({ targets }) => new Set(Array.from(targets)).size > 1);
  const [betas, trials] = [options.betas?.[s], options.trials?.[s]];
  const known = isOwnImage.filter((_, i) => own[i] >= 0);
  return {
    ...{ name, regions, conditions, responses: predicted[0][s], targets: own },
    natural: options.natural === undefined
      ? undefined
      : await naturalResponses(options.natural, encoder, regions),
    contrasts: contrastsOf(study, s, regions),
    measured: betas === undefined || trials === undefined
      ? undefined
      : await readMeasured({ betas, trials }, names, encoder.nTargets),
    isOwn: known.includes(undefined) ? undefined : known.includes(true),
  };
}

async function writeFolder(
  folder: string,
  experiment: Experiment,
  { sets, options }: Pick<Study, "sets" | "options">,
): Promise<{ bytes: number; figures: number }> {
  await saveExperiment(`${folder}/experiment.h5`, experiment);
  const { page, titles } = experimentReport(experiment, {
    ...{ title: options.title, facts: sets.facts, pictures: await sets.pictures() },
  });
  const bytes = new TextEncoder().encode(page);
  Deno.writeFileSync(`${folder}/index.html`, bytes);
  return { bytes: bytes.length, figures: titles.length };
}

/** Opens everything, predicts, and finds what there is. */
async function study(
  gpu: Gpu,
  options: ExperimentCliOptions,
  { folder, progress }: { readonly folder: string; readonly progress: Progress },
): Promise<Record<string, unknown>> {
  const weights = digestOfModel(options);
  const loaded = [];
  for (const path of options.encoder) loaded.push(await loadEncoder(gpu, path));
  using model = await loadAnyModelFile(gpu, options);
  using projections = new DisposableStack();
  const encoders: ImageEncoder[] = [];
  for (const encoder of loaded) {
    const { recipe } = encoder;
    const reducers = projections.use(recipe && await recipeReducers(gpu, model, recipe));
    const own = recipe?.weights && weights;
    encoders.push(openImageEncoder(gpu, { model, encoder, weights: own, reducers }));
  }
  const tables = options.rois.map(readRegions);
  using sets = await openSets(gpu, options);
  const targets = targetsOf(sets.targets, tables[0]);
  await sets.writePrepared((name, image) => {
    Deno.mkdirSync(`${folder}/prepared`, { recursive: true });
    savePng(`${folder}/prepared/${name}.png`, image);
  });
  using log = openLog(gpu, options);
  const { batch, draws: nDraws, level, top: nTop, seed } = options;
  const predicted = await predictSets({ gpu, encoders, sets: sets.sets, batch, log, progress });
  const parts: Study = { options, encoders, tables, sets, predicted, targets };
  const subjects: SubjectData[] = [];
  for (const s of encoders.keys()) subjects.push(await subjectData(parts, s));
  progress.update({ stage: "statistics", done: 0, total: 1 });
  const experiment = runExperiment({ targets: targets.targets, subjects }, {
    ...{ key: foldIn(randomKey(seed), 1), nDraws, level, nTop },
  });
  progress.update({ stage: "statistics", done: 1, total: 1 });
  const written = await writeFolder(folder, experiment, parts);
  return {
    ...{ regions: experiment.regions, images: sets.sets[0].n, ...written },
    subjects: experiment.subjects.map(({ name, findings: { dominance }, measured }) => ({
      ...{ name, onDiagonal: dominance.count, of: dominance.of, pCount: dominance.pCount },
      measured: measured && {
        onDiagonal: measured.findings.dominance.count,
        pCount: measured.findings.dominance.pCount,
      },
    })),
  };
}

/** Runs the command. */
export async function runExperimentFrom(options: ExperimentCliOptions): Promise<void> {
  const started = new Date();
  const output = beginOutput(options.out, { kind: "folder" });
  using gpu = await openGpu(options);
  const progress = new Progress({ silent: options.json });
  const results = await study(gpu, options, { folder: output.partial, progress });
  progress.end();
  const { model, natural, originals } = options;
  const lists = Object.entries({
    ...{ images: options.images, encoder: options.encoder, rois: options.rois },
    ...{ control: options.control, betas: options.betas, trials: options.trials },
  }).flatMap(([name, all]) => (all ?? []).map((path, i) => [`${name}${i || ""}`, path] as const));
  const single = Object.entries({ model, natural, originals })
    .filter((entry): entry is [string, string] => entry[1] !== undefined);
  const record = runRecord({
    ...{ command: "experiment", options: { ...options }, gpu, started, results },
    inputs: Object.fromEntries([...lists, ...single]),
  });
  Deno.writeTextFileSync(`${output.partial}/${RUN_RECORD}`, `${JSON.stringify(record, null, 2)}\n`);
  output.commit();
  if (options.json) return console.log(JSON.stringify({ out: options.out, ...results }));
  console.log(`${results.figures} figures: look at ${options.out}/index.html`);
}
