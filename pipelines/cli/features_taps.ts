/**
 * `gyrus features` with Inception V3 or a VGG: pooled taps, the features of an encoding model.
 *
 * @module
 */
import { type Command, Option } from "commander";
import type { Gpu } from "../../engine/gpu.ts";
import { concat } from "../../engine/ops/shape.ts";
import { readAll, Tensor } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import { Hdf5Writer } from "../io/hdf5_writer.ts";
import { hostTensor } from "../io/state_dict.ts";
import { resumeSteps, type StepArrays } from "../io/step_log.ts";
import {
  type LinearReducers,
  linearReducers,
  type LinearReduction,
  linearReductions,
} from "../models/linear_reducers.ts";
import { planTaps, pooledTaps, type TapPlan } from "../models/tap_features.ts";
import { tapFamilyNames, type TapModel } from "../models/tap_model.ts";
import { openCheckpoint } from "./checkpoint.ts";
import { type ClipCliOptions, clipsOf, writeClips } from "./clips.ts";
import { writeBatches } from "./feature_batches.ts";
import { finishFeatures } from "./features_finish.ts";
import { writeTapRecipes } from "./features_recipe.ts";
import { type ImagePass, imageSteps } from "./image_steps.ts";
import { fitOf, type ModelCliOptions } from "./model_options.ts";
import { wholeNumber } from "./options.ts";
import type { Output } from "./output.ts";
import { openTapPixels, type PixelSource } from "./pixel_source.ts";
import { Progress } from "./progress.ts";

/** Options of `features` that are about networks with taps. */
export interface TapCliOptions {
  readonly taps?: string;
  readonly budget?: number;
  readonly pool?: "max" | "avg";
  readonly linear?: LinearReduction | "none";
  readonly bgr?: boolean;
}

/** Options of `features` that this path reads. */
export interface TapFeaturesOptions extends ModelCliOptions, TapCliOptions, ClipCliOptions {
  readonly images?: string;
  readonly pixels?: string;
  readonly batch?: number;
  readonly checkpoint?: string;
}

/** Images of 299 pixels in a batch: enough to keep a device busy, 36 MB of activations each. */
const IMAGES_AT_ONCE = 8;

/** What the help says about them. */
export const TAPS_HELP = `
Output with torchvision's Inception V3 or a VGG (any of its kind), recognised by their keys:
  /taps/<name> [n, channels·k·k]         each tap pooled to k by k cells, channel by channel; k is √(budget/channels)
                                         rounded down, at least 1 and at most the map's side; layers without places are kept whole
  /features    [n, p]                    all of them side by side, for encode; 31,032 of Inception V3 at 299 pixels and 2500
Taps of a VGG are features.N after each ReLU and pooling, avgpool, and classifier.N.
With --linear weights_pca the outputs of a linear layer (fc, classifier.N) become coordinates along the principal components of
its weights, over its inputs; with random_projection along random directions of --seed: as many as --budget, at most one per output.
Images are resized so that the shorter side is --size (299; a VGG 224), the middle is cut out, ImageNet's mean and std
are taken, or those of the configuration.
`;

/** Adds the options. */
export function addTapOptions(command: Command): Command {
  return command
    .option(
      "--taps <list>",
      "Inception V3, VGG: taps by torchvision's names, or all (default: all)",
    )
    .option(
      "--budget <n>",
      "Inception V3, VGG: features of one tap at most (default: 2500)",
      wholeNumber,
    )
    .addOption(
      new Option("--pool <how>", "Inception V3, VGG: what is kept of a cell (default: max)")
        .choices(["max", "avg"]),
    )
    .addOption(
      new Option(
        "--linear <how>",
        "Inception V3, VGG: what becomes of linear layers (default: none)",
      ).choices(["none", ...linearReductions]),
    )
    .option("--bgr", "Inception V3, VGG: blue first, as OpenCV reads images");
}

/** Options of the command that mean nothing to networks with taps, by the names that a user types. */
const ONLY_TRANSFORMERS = {
  ...{ layers: "--layers", save: "--save", captions: "--captions", tokenizer: "--tokenizer" },
  ...{ dense: "--dense", arch: "--arch", gaussianStd: "--gaussian-std", distill: "--distill" },
  denseScale: "--dense-scale",
} as const;

/**
 * Refuses options of vision transformers.
 *
 * @throws {InputError} naming the first
 */
function refuseTransformerOptions(
  options: Readonly<Record<string, unknown>>,
  family: TapModel["family"],
): void {
  const given = Object.entries(ONLY_TRANSFORMERS).find(([name]) => options[name] !== undefined);
  const flag = given?.[1] ??
    (options.paper ? "--paper" : options.layout === "brainsail" ? "--layout" : undefined);
  if (flag === undefined) return;
  throw new InputError(
    `Cannot use ${flag} with ${tapFamilyNames[family]}: it is for vision transformers`,
  );
}

/**
 * Refuses options of networks with taps.
 *
 * @throws {InputError} naming the first
 */
export function refuseTapOptions({ taps, budget, pool, linear, bgr }: TapCliOptions): void {
  const given = Object.entries({ taps, budget, pool, linear, bgr }).find(([, value]) =>
    value !== undefined
  );
  if (given === undefined) return;
  throw new InputError(
    `Cannot use --${given[0]} with a vision transformer: it is for Inception V3 and VGG`,
  );
}

function tapNames(text?: string): string[] | undefined {
  if (text === undefined || text === "all") return undefined;
  return text.split(",").map((part) => part.trim()).filter((part) => part !== "");
}

function imagesAtOnce({ n, size }: PixelSource, asked?: number): number {
  if (asked === 0) throw new InputError("Cannot run batches of 0 images: --batch counts from 1");
  const fitting = Math.floor(IMAGES_AT_ONCE * 299 ** 2 / (size.height * size.width));
  return Math.min(n, asked ?? Math.max(1, fitting));
}

interface TapJob {
  readonly gpu: Gpu;
  readonly model: TapModel;
  readonly source: PixelSource;
  readonly plan: readonly TapPlan[];
  readonly reducers?: LinearReducers;
  readonly options: TapFeaturesOptions;
}

/** Pooled taps of the images `start` to before `end`, by their paths on disk. */
async function tapArrays(job: TapJob, start: number, end: number): Promise<StepArrays> {
  const { gpu, model, source, plan, reducers, options: { budget, pool } } = job;
  const { size: { height, width } } = source;
  const taps = plan.map(({ name }) => name);
  using pixels = Tensor.from(gpu, source.read(start, end), [end - start, 3, height, width]);
  const pooled = pooledTaps(model, pixels, { taps, budget, pool, reducers });
  using all = concat([...pooled.values()], 1);
  const tensors = [...pooled.values(), all];
  const values = await readAll(tensors);
  const paths = [...taps.map((name) => `/taps/${name}`), "/features"];
  for (const tap of pooled.values()) tap.dispose();
  return new Map(paths.map((path, i) => [path, hostTensor(values[i], tensors[i].shape)]));
}

/** Runs a network on images and saves its pooled taps. */
export async function featuresOfTaps(
  given: TapFeaturesOptions,
  { gpu, model, started, output }: {
    gpu: Gpu;
    model: TapModel;
    started: Date;
    output: Output;
  },
): Promise<void> {
  refuseTransformerOptions({ ...given }, model.family);
  const progress = new Progress({ silent: given.json });
  const { bgr, budget, pool, seed } = given;
  const linear = given.linear === "none" ? undefined : given.linear;
  using source = await openTapPixels({ ...given, fit: fitOf(given), bgr }, model);
  const clips = await clipsOf(given, source);
  const plan = planTaps(model, source.size, { taps: tapNames(given.taps), budget, linear });
  using reducers = linear && await linearReducers(gpu, model, plan, { linear, seed });
  const step = imagesAtOnce(source, given.batch);
  const facts = { plan, pool, bgr, step, fit: fitOf(given), clips: clips?.clips };
  using log = openCheckpoint(given, { gpu, source, options: linear ? { ...facts, seed } : facts });
  const job: TapJob = { gpu, model, source, plan, reducers, options: given };
  const pass: ImagePass = {
    ...{ n: source.n, step, clips: clips?.clips, progress },
    arraysOf: (start, end) => tapArrays(job, start, end),
  };
  let shapes: Record<string, readonly number[]> = {};
  {
    using file = await Hdf5Writer.create(output.partial, { inPlace: true });
    shapes = await writeBatches(file, resumeSteps(log, (first) => imageSteps(pass, first)), {
      n: clips?.clips.length ?? source.n,
    });
    if (clips) writeClips(file, clips);
    else if (source.names) file.writeStrings("/names", source.names);
    describe(file, plan, { ...given, size: source.size, family: model.family });
    writeTapRecipes(file, plan, { family: model.family, choice: given, source, pool, bgr, seed });
    file.commit();
  }
  output.commit();
  finishFeatures(given, { gpu, family: model.family, started, shapes });
}

/** What made the file, kept in it. */
function describe(
  file: Hdf5Writer,
  plan: readonly TapPlan[],
  { model, images, pixels, pool = "max", bgr = false, size, family }:
    & Omit<TapFeaturesOptions, "size">
    & Pick<PixelSource, "size">
    & Pick<TapModel, "family">,
): void {
  file.setAttribute("/", "model", model);
  file.setAttribute("/", "family", family);
  file.setAttribute("/", "input", images ?? pixels ?? "");
  file.setAttribute("/", "size", [size.height, size.width]);
  file.setAttribute("/", "channel_order", bgr ? "BGR" : "RGB");
  file.setAttribute("/", "pool", pool);
  file.setAttribute("/features", "taps", plan.map(({ name }) => name).join(","));
  file.setAttribute("/features", "tap_lengths", plan.map(({ length }) => length));
  for (const { name, grid, channels } of plan) {
    file.setAttribute(`/taps/${name}`, "grid", [channels, grid, grid]);
  }
}
