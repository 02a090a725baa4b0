/**
 * `gyrus align controls`: what responses give an alignment beyond targets that are not this brain.
 *
 * @module
 */
import { type Command, InvalidArgumentError } from "commander";
import type { Gpu } from "../../engine/gpu.ts";
import { foldIn, randomKey } from "../../engine/random.ts";
import { type ControlEffects, controlEffects } from "../aligned_cut/control_effects.ts";
import { lowLevelFeatures } from "../aligned_cut/control_targets.ts";
import {
  type Condition,
  conditions,
  type ControlData,
  type ControlRun,
  type ControlRuns,
  type ControlStore,
  runControls,
} from "../aligned_cut/controls.ts";
import { type MeasureName, measureTitles, type PatchTruth } from "../aligned_cut/space_measures.ts";
import { patchLabels } from "../aligned_cut/patch_labels.ts";
import type { TokenSource } from "../encoding/alignment/tokens.ts";
import type { HostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import { openArray } from "../io/array_ref.ts";
import { openImages } from "../io/images.ts";
import { hostTensor, toFloat64 } from "../io/state_dict.ts";
import { StepLog } from "../io/step_log.ts";
import { quote } from "../io/strict_json.ts";
import { addSettingOptions, settingsOf } from "./align_options.ts";
import {
  addSourceOptions,
  append,
  heldOutOf,
  openSource,
  type SourceOptions,
  tokenChoice,
} from "./align_source.ts";
import { openTokens, parseModelFile } from "./align_tokens.ts";
import { openGpu } from "./open_gpu.ts";
import { realNumber, wholeNumber } from "./options.ts";
import { beginOutput, letSignalsIn } from "./output.ts";
import { Progress } from "./progress.ts";
import { readSamples, readVector } from "./read_matrix.ts";

/** Options of `align controls`. */
export interface AlignControlsOptions extends SourceOptions {
  readonly randomModel: readonly string[];
  readonly readoutFeatures?: string;
  readonly images?: string;
  readonly labels?: string;
  readonly noiseCeiling?: string;
  readonly conditions?: readonly Condition[];
  readonly seeds: number;
  readonly nEig: number;
  readonly nClusters: number;
  readonly gamma: number;
  readonly resamples: number;
}

const HELP = `
Conditions, and what they need beside tokens and responses:
${Object.entries(conditions).map(([name, told]) => `  ${name.padEnd(18)}${told}`).join("\n")}
  readout needs --readout-features, low-level --images, random-backbone --random-model; what lacks its data is left out.
Measures, on the held-out images, their layers and networks cut together:
${Object.entries(measureTitles).map(([name, told]) => `  ${name.padEnd(18)}${told}`).join("\n")}

Output (JSON): every run image by image, means with intervals over images, effects brain - control pair by pair.

Example:
  gyrus align controls --model clip=clip.h5 --model dino=dino.h5 --responses responses_subj01.h5:train \\
    --images data/images/train --seeds 5 --out controls.json
`;

function conditionNames(text: string): Condition[] {
  return text.split(",").map((part) => {
    const name = part.trim();
    if (Object.hasOwn(conditions, name)) return name as Condition;
    throw new InvalidArgumentError(`Some of ${Object.keys(conditions).join(",")} are needed.`);
  });
}

/** Adds the command. */
export function registerAlignControls(
  align: Command,
  action: (options: AlignControlsOptions) => Promise<void>,
): void {
  const command = align.command("controls")
    .description("what the brain gives an alignment beyond controls, with intervals");
  addSourceOptions(command)
    .option(
      "--conditions <list>",
      "with commas (default: all that the data suffice for)",
      conditionNames,
    )
    .option("--seeds <n>", "runs of each condition", wholeNumber, 5)
    .option(
      "--random-model <name=file>",
      "features of a network with random weights; once for each",
      append,
      [],
    )
    .option("--readout-features <ref>", "features [images, n] that random readouts weigh")
    .option("--images <ref>", "the images, for colours and edges")
    .option(
      "--labels <ref>",
      "classes of pixels or patches: [images, height, width], 0 the background, 255 none; or masks " +
        "[images, classes, height, width]",
    )
    .option("--noise-ceiling <ref or s>", "share of the responses that can be explained, 0 to 1")
    .option("--n-eig <n>", "eigenvectors of the joint cut", wholeNumber, 10)
    .option("--n-clusters <n>", "concepts of the joint cut", wholeNumber, 6)
    .option("--gamma <g>", "scale of the joint cut's cosine affinity", realNumber, 1)
    .option("--resamples <n>", "draws of images of an interval", wholeNumber, 10_000)
    .option(
      "--checkpoint <file>",
      "keep finished runs there; the same command goes on after a stop",
    );
  addSettingOptions(command);
  command.addHelpText("after", HELP)
    .action(async (_, command: Command) => await action(command.optsWithGlobals()));
}

/** Classes of the patches of all images. */
async function readTruth(reference: string, nImages: number, grid: number): Promise<PatchTruth> {
  using rows = await openArray(reference);
  const { shape } = rows;
  if ((shape.length !== 3 && shape.length !== 4) || shape[0] !== nImages) {
    throw new InputError(
      `Cannot use ${
        quote(reference)
      } as classes: [images, height, width] or [images, classes, height, width] of ` +
        `${nImages} images are needed, its shape is [${shape}]`,
    );
  }
  const [height, width] = shape.slice(-2), size = height * width;
  const labels = new Uint8Array(nImages * grid * grid);
  let most = 1;
  for (let i = 0; i < nImages; i++) {
    const values = rows.readRows(i, i + 1);
    const own = new Uint8Array(size);
    values.forEach((value, at) => {
      if (!(Number.isInteger(value) && value >= 0 && value <= 255)) {
        throw new InputError(
          `Cannot use ${
            quote(reference)
          } as classes: whole numbers from 0 to 255 are needed, image ${i} has ${value}`,
        );
      }
      if (shape.length === 3) own[at] = value;
      else if (value > 0) own[at % size] = 1 + Math.floor(at / size);
    });
    own.forEach((label) => most = label === 255 ? most : Math.max(most, label));
    labels.set(patchLabels({ height, width, labels: own }, [grid, grid]), i * grid * grid);
  }
  return { labels, nClasses: most + 1 };
}

/** Colours and edges of the images. */
async function readLowLevel(reference: string, nImages: number): Promise<HostMatrix> {
  using images = await openImages(reference);
  if (images.n !== nImages) {
    throw new InputError(
      `Cannot use ${quote(reference)}: tokens are of ${nImages} images, there are ${images.n}`,
    );
  }
  return lowLevelFeatures((function* () {
    for (let i = 0; i < nImages; i++) yield images.read(i);
  })());
}

async function readRowsOf(
  reference: string,
  nImages: number,
): Promise<HostMatrix> {
  const samples = await readSamples(reference, "features");
  if (samples.shape[0] === nImages) return samples;
  throw new InputError(
    `Cannot use ${
      quote(reference)
    }: ${nImages} rows are needed, one for each image, its shape is [${samples.shape}]`,
  );
}

async function readCeiling(text: string | undefined, nVoxels: number) {
  if (text === undefined || text.trim() === "") return undefined;
  const value = Number(text);
  return Number.isFinite(value) ? value : await readVector(text, nVoxels, "one for each voxel");
}

/** Everything that conditions need, as far as the options name it. */
async function controlData(
  options: AlignControlsOptions,
  tokens: TokenSource,
  randomTokens: TokenSource | undefined,
): Promise<ControlData> {
  const { readoutFeatures: readout, images, labels } = options, { nImages, grid } = tokens;
  const responses = await readSamples(options.responses, "voxels");
  return {
    ...{ tokens, responses, randomTokens },
    readoutFeatures: readout === undefined ? undefined : await readRowsOf(readout, nImages),
    lowLevel: images === undefined ? undefined : await readLowLevel(images, nImages),
    noiseCeiling: await readCeiling(options.noiseCeiling, responses.shape[1]),
    truth: labels === undefined ? undefined : await readTruth(labels, nImages, grid),
  };
}

/** Runs in a log: values of the measures, and the R². */
function storeOf(log: StepLog | undefined): ControlStore | undefined {
  if (!log) return undefined;
  const known = new Map<string, ControlRun>();
  for (let step = 0; step < log.size; step++) {
    const arrays = log.read(step);
    const head = JSON.parse(new TextDecoder().decode(arrays.get("run")!.bytes));
    const { shape } = arrays.get("values")!, data = toFloat64(arrays.get("values")!);
    const values = { data, shape: [shape[0], shape[1]] as const };
    const [meanR2] = toFloat64(arrays.get("r2")!);
    const { condition, seed, names } = head as Pick<ControlRun, "condition" | "seed"> & {
      readonly names: MeasureName[];
    };
    known.set(`${condition} ${seed}`, { condition, seed, meanR2, measures: { names, values } });
  }
  return {
    read: (condition, seed) => known.get(`${condition} ${seed}`),
    keep({ condition, seed, meanR2, measures: { names, values } }) {
      const head = new TextEncoder().encode(JSON.stringify({ condition, seed, names }));
      log.append(
        new Map([
          ["run", hostTensor(head, [head.length])],
          ["values", hostTensor(Float64Array.from(values.data), values.shape)],
          ["r2", hostTensor(Float64Array.of(meanR2), [1])],
        ]),
      );
    },
  };
}

const orNull = (value: number): number | null => Number.isFinite(value) ? value : null;

/** What is written. */
function documentOf(
  { runs, heldOut }: ControlRuns,
  effects: ControlEffects,
  settings: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const names = [...new Set(runs.map(({ condition }) => condition))];
  const measures = runs[0].measures.names;
  return {
    settings,
    nImages: heldOut.length,
    heldOut: Array.from(heldOut),
    conditions: Object.fromEntries(names.map((name) => [name, conditions[name]])),
    measures: Object.fromEntries(measures.map((name) => [name, measureTitles[name]])),
    runs: runs.map(({ condition, seed, meanR2, measures: { names, values } }) => ({
      ...{ condition, seed, names },
      meanR2: orNull(meanR2),
      values: Array.from(
        { length: values.shape[0] },
        (_, i) => names.map((_, c) => orNull(values.data[i * names.length + c])),
      ),
    })),
    scores: effects.scores.map((score) => ({ ...score, seedStd: orNull(score.seedStd) })),
    effects: effects.effects,
    r2: effects.r2.map(({ condition, mean, std }) => ({
      ...{ condition, mean: orNull(mean), std: orNull(std) },
    })),
  };
}

/** The effects as lines of text. */
export function effectLines({ effects, scores }: ControlEffects): string[] {
  const short = (value: number) => value.toFixed(3);
  const score = (condition: Condition, measure: MeasureName) =>
    scores.find((row) => row.condition === condition && row.measure === measure)!;
  const head = `${"brain - control".padEnd(18)}${"measure".padEnd(14)}${"brain".padEnd(8)}${
    "control".padEnd(9)
  }effect  95 % over images`;
  return [
    head,
    ...effects.map(({ control, measure, mean, low, high }) =>
      [
        control.padEnd(17),
        measure.padEnd(13),
        short(score("brain", measure).mean).padEnd(7),
        short(score(control, measure).mean).padEnd(8),
        `${short(mean).padEnd(7)} ${short(low)} to ${short(high)}`,
      ].join(" ")
    ),
  ];
}

interface Source {
  readonly source: TokenSource;
  readonly facts: readonly unknown[];
}

/** Tokens of the networks, and of those with random weights where there are any. */
async function openSources(
  options: AlignControlsOptions,
  { resources, progress }: {
    readonly resources: DisposableStack;
    readonly progress: Progress;
  },
): Promise<{ readonly own: Source; readonly random?: Source }> {
  const models = options.model.map(parseModelFile);
  const open = async (files: typeof models, cache: string | undefined): Promise<Source> => {
    const tokens = resources.use(await openTokens(files, tokenChoice(options, models)));
    const source = await openSource(tokens, { ...options, cache }, progress);
    resources.defer(() => source[Symbol.dispose]?.());
    return { source, facts: tokens.readers.map(({ facts }) => facts) };
  };
  const own = await open(models, options.cache);
  if (options.randomModel.length === 0) return { own };
  return { own, random: await open(options.randomModel.map(parseModelFile), undefined) };
}

/** Runs what the options say, writes it and prints the effects. */
export async function alignControls(
  options: AlignControlsOptions,
  finish: (gpu: Gpu, results: Record<string, unknown>, lines: readonly string[]) => void,
): Promise<void> {
  const { out, checkpoint, seed, seeds: nSeeds } = options;
  const output = beginOutput(out);
  if (checkpoint !== undefined && checkpoint === out) {
    throw new InputError(
      `Cannot keep the checkpoint in ${quote(checkpoint)}: the result goes there`,
    );
  }
  const progress = new Progress({ silent: options.json });
  using resources = new DisposableStack();
  const { own, random } = await openSources(options, { resources, progress });
  const data = await controlData(options, own.source, random?.source);
  using gpu = await openGpu(options);
  const { nEig, nClusters, gamma, conditions: chosen } = options;
  const settings = { ...settingsOf({ ...options }), seed, nSeeds, nEig, nClusters, gamma };
  const { heldOut, responses, readoutFeatures, images, labels, noiseCeiling, layers, grid } =
    options;
  const facts = { heldOut, responses, readoutFeatures, images, labels, noiseCeiling, layers, grid };
  const log = checkpoint === undefined ? undefined : resources.use(
    new StepLog(checkpoint, {
      tokens: [own.facts, random?.facts],
      options: { ...settings, ...facts },
      adapter: [gpu.adapterName, gpu.options],
    }),
  );
  const key = randomKey(seed);
  const runs = await runControls(gpu, data, {
    ...{ key, nSeeds, conditions: chosen, heldOut: await heldOutOf(heldOut) },
    alignment: settingsOf({ ...options }),
    measures: { nEig, nClusters, gamma },
    store: storeOf(log),
    onProgress: (event) => {
      progress.update(event);
      void letSignalsIn();
    },
  });
  progress.end();
  const effects = controlEffects(runs.runs, {
    key: foldIn(key, 2000),
    nResamples: options.resamples,
  });
  const document = documentOf(runs, effects, { ...settings, ...facts });
  Deno.writeTextFileSync(output.partial, `${JSON.stringify(document)}\n`);
  output.commit();
  const results = {
    heldOut: runs.heldOut.length,
    runs: runs.runs.length,
    effects: effects.effects,
  };
  finish(gpu, results, effectLines(effects));
}
