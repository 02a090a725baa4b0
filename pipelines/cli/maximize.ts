/**
 * `gyrus maximize`: images that drive voxels and regions most.
 *
 * @module
 */
import { type Command, Option } from "commander";
import { createHash } from "node:crypto";
import type { Gpu } from "../../engine/gpu.ts";
import { randomKey } from "../../engine/random.ts";
import { loadEncoder } from "../encoding/encoder_file.ts";
import { InputError } from "../errors.ts";
import { parseArrayRef } from "../io/array_ref.ts";
import { withFileErrors } from "../io/files.ts";
import { StepLog } from "../io/step_log.ts";
import { quote } from "../io/strict_json.ts";
import { type MagnitudeTemplate, magnitudeTemplate } from "../optvis/magnitude_template.ts";
import { compareWithNatural } from "../optvis/response_matrix.ts";
import type { OptvisPreset } from "../optvis/presets.ts";
import { type ImageEncoder, openImageEncoder, recipeReducers } from "../vwam/image_encoder.ts";
import { countImages, maximizeVoxels, type VoxelImage } from "../vwam/maximize_voxels.ts";
import { presetNames } from "../vwam/settings.ts";
import {
  imageTargets,
  type TargetOptions,
  type TargetRequest,
  targetResponses,
} from "../vwam/targets.ts";
import { runRecord } from "../run_record.ts";
import { digestOfModel, loadAnyModelFile } from "./load_model.ts";
import { ImageFolder, packImage, unpackImage } from "./maximize_files.ts";
import {
  colorChange,
  type MaximizeCliOptions,
  numberList,
  type Pictures,
  readPictures,
  requestsOf,
  settingsOf,
  sizeOf,
} from "./maximize_options.ts";
import { openGpu } from "./open_gpu.ts";
import { realNumber, wholeNumber } from "./options.ts";
import { beginOutput, letSignalsIn, RUN_RECORD } from "./output.ts";
import { Progress } from "./progress.ts";
import { readSamples } from "./read_matrix.ts";

const HELP = `
The encoder is one of gyrus encode fit on features of gyrus features: /features (or one of /taps) of Inception V3 or VGG, /cls of a
vision transformer. Both keep how the features were made, so that nothing of it has to be said again.

Output folder:
  images/00000.png …      the images
  maximize.h5  /images    [n, 3, height, width] colours in 0…1
               /responses [n] predicted response of the target, without random views: of the voxel, the mean of a region's
                          voxels, of A-B the difference of two means; where a preset makes colours beyond 0…1 of what is left
               /losses    [n, steps] on random views, before each step      /targets, /seeds [n] what each image is for
               /percentiles, /natural_z [n]                 with --natural, among the responses to those images
               /seed_images, /change_max, /change_rms [n]   with --seed-image: how far each image went, in colours of 0…1
               /saliency [n, height, width]                 of maco: sums of the gradients' sizes, for transparency
  losses.html, run.json

Image s is seed s mod S of target s/S, and the same whatever --batch is and wherever a run went on from its checkpoint.

Example:
  gyrus features --model inception_v3_google-0cc3c7bd.pth --images data/images/train --out train.h5
  gyrus encode fit --features train.h5:/features --responses data/responses_subj01.h5:train --out encoder.h5
  gyrus maximize --model inception_v3_google-0cc3c7bd.pth --encoder encoder.h5 --roi FFA PPA FFA-PPA \\
    --rois data/rois_subj01.csv --seeds 4 --checkpoint kept.log --out images
`;

/** Adds the command. */
export function register(program: Command): void {
  const command = program.command("maximize")
    .description("make images that drive voxels and regions most (voxel-weighted maximisation)")
    .requiredOption("--model <path>", "weights that the encoder's features were made with")
    .option("--config <file>", "configuration of the weights (default: the one beside them)")
    .requiredOption("--encoder <file>", "a model from encode fit")
    .option("--roi <name...>", "regions, or A-B for what drives A and not B; names as in --rois")
    .option("--voxels <list>", "voxels, as 0,5,10-20, or all")
    .option("--rois <file>", 'table with the columns voxel and roi, or JSON { "FFA": [0, 4] }')
    .addOption(
      new Option("--pooling <how>", "how a region's voxels become one readout")
        .choices(["mean", "accuracy", "zscore", "median", "top", "component"]).default("mean"),
    )
    .option("--top <n>", "voxels that --pooling top takes", wholeNumber, 100)
    .option("--suppress <name...>", "regions whose mean readout is taken from every target's")
    .option("--suppression <share>", "share of it", realNumber, 1)
    .option("--minimize", "images that drive the targets least", false);
  addImageOptions(command)
    .addHelpText("after", HELP)
    .action(async (_, command: Command) => await maximize(command.optsWithGlobals()));
}

function addImageOptions(command: Command): Command {
  return command
    .option(
      "--preset <name>",
      `${presetNames.join(", ")} (default: vwam, with --seed-image accentuate)`,
    )
    .option("--settings <file>", "JSON with values of the preset to change, as in run.json")
    .option("--size <SxS>", "size of the images: S or HxW (default: the preset's)")
    .option(
      "--sizes <list>",
      "sides of smaller images to begin with, for preset lucid",
      numberList,
    )
    .option("--shares <list>", "share of the steps at each size, --size too", numberList)
    .option("--steps <n>", "optimisation steps (default: the preset's)", wholeNumber)
    .option("--lr <rate>", "step size (default: the preset's)", realNumber)
    .option("--seeds <n>", "images of each target", wholeNumber, 1)
    .option("--batch <n>", "images made together (default: 8, 1 without a GPU)", wholeNumber)
    .option("--seed-image <ref>", "pictures to start from: a .png, a folder or list, or an array")
    .option("--max-change <c>", "most that a colour may change, as 8/255", colorChange)
    .option("--rms-change <c>", "most that colours may change in root mean square", colorChange)
    .option("--template-images <ref>", "images whose mean spectrum the preset maco keeps")
    .option("--natural <ref>", "features of natural images, to rank the responses among theirs")
    .option(
      "--checkpoint <file>",
      "keep finished images there; the same command goes on after a stop",
    );
}

/** What a run needs, read and checked. */
interface Study {
  readonly image: ImageEncoder;
  readonly requests: readonly TargetRequest[];
  readonly targeting: TargetOptions;
  readonly settings: OptvisPreset;
  readonly size: { readonly height: number; readonly width: number };
  readonly start?: Pictures;
  readonly options: MaximizeCliOptions;
}

function requireCounts({ seeds, batch, steps }: MaximizeCliOptions): void {
  for (const [name, value] of Object.entries({ seeds, batch, steps })) {
    if (value !== 0) continue;
    throw new InputError(`Cannot make images with --${name} 0: it counts from 1`);
  }
}

async function readStudy(image: ImageEncoder, options: MaximizeCliOptions): Promise<Study> {
  const { requests, competitors } = requestsOf(options, image.encoder.nTargets);
  const { pooling, top: nTop, suppression, minimize: isMinimized, maxChange, rmsChange } = options;
  const hasBudget = maxChange !== undefined || rmsChange !== undefined;
  if (hasBudget && options.seedImage === undefined) {
    throw new InputError("Cannot keep to a budget: --seed-image names the picture to start from");
  }
  const settings = settingsOf(image, options);
  const start = options.seedImage === undefined ? undefined : await readPictures(options.seedImage);
  const side = settings.size;
  const size = sizeOf(options) ?? start?.pictures[0] ?? { height: side, width: side };
  return {
    ...{ image, requests, settings, start, options },
    size: { height: size.height, width: size.width },
    targeting: { pooling, nTop, suppression, isMinimized, competitors },
  };
}

async function templateOf(
  gpu: Gpu,
  { options: { templateImages }, settings, size }: Study,
): Promise<MagnitudeTemplate | undefined> {
  if (templateImages === undefined) return undefined;
  if (settings.param.kind !== "maco") {
    throw new InputError("Cannot use --template-images: only the preset maco keeps a spectrum");
  }
  return await magnitudeTemplate(gpu, (await readPictures(templateImages)).pictures, size);
}

function stamp(reference: string): unknown {
  const { path } = parseArrayRef(reference);
  const { size, mtime } = withFileErrors("read", path, () => Deno.statSync(path));
  return [path.replace(/^.*\//s, ""), size, mtime?.getTime()];
}

/** The checkpoint; it belongs to everything that images follow from, but not to how many are made at a time. */
function openLog(gpu: Gpu, { options, requests, targeting, settings, size, start }: Study) {
  const { checkpoint, out, encoder, templateImages, seed, seeds } = options;
  if (checkpoint === undefined) return undefined;
  if (checkpoint === out) {
    throw new InputError(`Cannot keep the checkpoint in ${quote(out)}: the result goes there`);
  }
  const pictures = createHash("sha256");
  for (const { data, width } of start?.pictures ?? []) pictures.update(`${width}`).update(data);
  const { sizes, shares, maxChange, rmsChange } = options;
  return new StepLog(checkpoint, {
    model: digestOfModel(options),
    encoder: stamp(encoder),
    targets: { requests, ...targeting },
    images: [pictures.digest("hex"), templateImages && stamp(templateImages)],
    options: { settings, size, sizes, shares, seed, seeds, maxChange, rmsChange },
    adapter: [gpu.adapterName, { ...gpu.caps, features: [...gpu.caps.features] }, gpu.options],
  });
}

/** Makes the images that a checkpoint does not have. */
async function makeImages(
  gpu: Gpu,
  study: Study,
  { folder, progress }: { folder: ImageFolder; progress: Progress },
): Promise<void> {
  const { image, requests, targeting, settings, size, start, options } = study;
  const { seeds, sizes, shares, seed, maxChange: max, rmsChange: rms } = options;
  // Batches fill a GPU; a CPU gains nothing from them, and what is kept after each image is worth more.
  const batch = options.batch ?? (gpu.caps.isSoftware ? 1 : 8);
  const template = await templateOf(gpu, study);
  using log = openLog(gpu, study);
  for (let i = 0; i < (log?.size ?? 0); i++) folder.add(unpackImage(log!.read(i)));
  await maximizeVoxels(image, requests, {
    ...targeting,
    ...{ key: randomKey(seed), settings, size, sizes, shares, seeds, batch, template },
    ...{ first: log?.size ?? 0, readEvery: READ_EVERY, onProgress: progress.update },
    ...{ pictures: start?.pictures, hasSaliency: settings.param.kind === "maco" },
    budget: max === undefined && rms === undefined ? undefined : { max, rms },
    async onImages({ images }) {
      for (const made of images) {
        log?.append(packImage(made, size));
        folder.add(made);
      }
      await letSignalsIn();
    },
  });
}

/** Steps between looks at the scores: a stop waits for them. */
const READ_EVERY = 5;

/** Targets whose weights are on the device at once. */
const TARGETS_AT_ONCE = 64;

/** Responses of the targets to natural images, of each target one after the other; nothing where there are none. */
async function naturalResponses(
  { image, requests, targeting, options: { natural } }: Study,
): Promise<Float64Array[]> {
  if (natural === undefined) return [];
  const features = await readSamples(natural, "features");
  const responses: Float64Array[] = [];
  for (let start = 0; start < requests.length; start += TARGETS_AT_ONCE) {
    const some = requests.slice(start, start + TARGETS_AT_ONCE);
    const targets = await imageTargets(image, some, targeting);
    const { data, shape: [n, k] } = await targetResponses(image, targets, features);
    targets.forEach((_, t) => {
      responses.push(Float64Array.from({ length: n }, (_, i) => data[i * k + t]));
    });
  }
  return responses;
}

/** Where the responses stand among those to natural images. */
function ranks(
  facts: readonly Omit<VoxelImage, "image" | "saliency">[],
  natural: readonly Float64Array[],
  seeds: number,
): Record<string, Float64Array> {
  if (natural.length === 0) return {};
  const found = facts.map(({ number, response }) => {
    const data = natural[Math.floor(number / seeds) % natural.length];
    const theirs = { data, shape: [data.length, 1] as const };
    return compareWithNatural({ data: [response], shape: [1, 1] }, theirs);
  });
  return {
    "/percentiles": Float64Array.from(found, ({ percentiles }) => percentiles[0]),
    "/natural_z": Float64Array.from(found, ({ z }) => z[0]),
  };
}

/** What made the file, kept in it. */
function attributesOf({ image, settings, options }: Study): Record<string, string | number> {
  const { model, encoder, preset, pooling, suppress, suppression, seed, seeds } = options;
  const kind = { complex: "vwam", fourier: "lucid", maco: "maco", seed: "accentuate" };
  return {
    ...{ model, encoder, family: image.recipe.family, pooling, seed, seeds_per_target: seeds },
    ...{ preset: preset ?? kind[settings.param.kind], settings: JSON.stringify(settings) },
    ...(suppress ? { suppress: suppress.join(","), suppression } : {}),
    ...{ minimize: Number(options.minimize), layers: image.layers.map((l) => l.layer).join(",") },
  };
}

async function maximize(options: MaximizeCliOptions): Promise<void> {
  const started = new Date();
  requireCounts(options);
  const output = beginOutput(options.out, { kind: "folder" });
  using gpu = await openGpu(options);
  const encoder = await loadEncoder(gpu, options.encoder);
  using model = await loadAnyModelFile(gpu, options);
  const weights = encoder.recipe?.weights && digestOfModel(options);
  using reducers = encoder.recipe && await recipeReducers(gpu, model, encoder.recipe);
  const image = openImageEncoder(gpu, { model, encoder, weights, reducers });
  const study = await readStudy(image, options);
  const progress = new Progress({ silent: options.json });
  const { requests, settings, size, start } = study;
  const n = countImages(requests.length, { seeds: options.seeds, pictures: start?.pictures });
  const results: Record<string, unknown> = { n, targets: requests.length, ...size };
  {
    const { steps } = settings;
    const hasSaliency = settings.param.kind === "maco";
    const facts = { n, size, steps, hasSaliency, pictures: start?.names };
    const natural = await naturalResponses(study); // what is wrong with them is said before hours of work
    using folder = await ImageFolder.create(output.partial, facts);
    await makeImages(gpu, study, { folder, progress });
    progress.end();
    folder.finish(ranks(folder.facts, natural, options.seeds), attributesOf(study));
    results.responses = folder.facts.map(({ response }) => response);
  }
  const { encoder: file, model: path, rois, seedImage, natural, templateImages } = options;
  const given = { model: path, encoder: file, rois, seedImage, natural, templateImages };
  const inputs = Object.entries(given).filter((e): e is [string, string] => e[1] !== undefined);
  const record = runRecord({
    ...{ command: "maximize", options: { ...options, settings }, gpu, started, results },
    inputs: Object.fromEntries(inputs),
  });
  Deno.writeTextFileSync(`${output.partial}/${RUN_RECORD}`, `${JSON.stringify(record, null, 2)}\n`);
  output.commit();
  if (options.json) return console.log(JSON.stringify({ out: options.out, ...results }));
  console.log(`${n} images of ${size.height}x${size.width} pixels in ${options.out}`);
}
