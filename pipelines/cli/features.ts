/**
 * `gyrus features`: what a network sees in images, on disk.
 *
 * @module
 */
import { type Command, Option } from "commander";
import type { Gpu } from "../../engine/gpu.ts";
import { patchCoverage } from "../dense/distill.ts";
import {
  type FeatureName,
  featureNames,
  type FeatureRequest,
  type NodeType,
  nodeTypes,
  parseLayers,
} from "../dense/features.ts";
import type { PatchShift } from "../dense/offsets.ts";
import { InputError } from "../errors.ts";
import { Hdf5Writer } from "../io/hdf5_writer.ts";
import { DENSE_SCALE, encodeBrainSail, encodeScaledHalf } from "../io/scaled_half.ts";
import { resumeSteps } from "../io/step_log.ts";
import { isTapModel } from "../models/any_model.ts";
import type { VisionModel } from "../models/model.ts";
import { type TrainedPart, trainedParts } from "../models/random_weights.ts";
import { archOf, NACLIP_STD } from "../models/vit.ts";
import type { VitConfig } from "../models/vit_config.ts";
import { readCaptions, writeCaptions } from "./captions.ts";
import { openCheckpoint } from "./checkpoint.ts";
import { addClipOptions, type ClipCliOptions, CLIPS_HELP, clipsOf, writeClips } from "./clips.ts";
import {
  type BatchJob,
  batchSize,
  featureBatches,
  writeBatches,
  writeImageDatasets,
} from "./feature_batches.ts";
import { finishFeatures } from "./features_finish.ts";
import { writeEmbeddingRecipe } from "./features_recipe.ts";
import {
  addTapOptions,
  featuresOfTaps,
  refuseTapOptions,
  type TapCliOptions,
  TAPS_HELP,
} from "./features_taps.ts";
import { loadAnyModelFile } from "./load_model.ts";
import {
  addModelOptions,
  denseOptionsOf,
  fitOf,
  type ModelCliOptions,
  shiftsOf,
} from "./model_options.ts";
import { openGpu } from "./open_gpu.ts";
import { realNumber, wholeNumber } from "./options.ts";
import { beginOutput, type Output } from "./output.ts";
import { paperOptions } from "./paper_options.ts";
import { openPixels, type PixelSource } from "./pixel_source.ts";
import { Progress } from "./progress.ts";

interface FeaturesOptions extends ModelCliOptions, TapCliOptions, ClipCliOptions {
  readonly images?: string;
  readonly pixels?: string;
  readonly layers?: string;
  readonly nodes: string;
  readonly save?: string;
  readonly captions?: string;
  readonly tokenizer?: string;
  readonly batch?: number;
  readonly paper: boolean;
  readonly denseDtype: "f32" | "f16";
  readonly denseScale?: number;
  readonly layout: "arrays" | "brainsail";
  readonly checkpoint?: string;
  readonly randomWeights?: TrainedPart;
}

const HELP = `
Output (HDF5, float32, but /dense as --dense-dtype says):
  /cls        [n, m]                     what an encoder is trained on: CLIP's projected image embedding, the
                                         normalised class token of DINO, DINOv2 and MAE, SigLIP's pooled
                                         embedding, RADIO's summary
  /final      [n, tokens, width]         after the final norm
  /projected  [n, tokens, m]             CLIP: all tokens in the space of /cls, under --dense and --arch
  /dense      [n, gridH, gridW, m]       patch tokens as a map, under --dense and --arch, not normalised to unit
                                         length; with --distill their mean over n shifted and mirrored images
  /offsets    [augmentations, 3]         with --distill: rows and columns in patches, mirrored or not
  /blocks/<i> [n, tokens, width]         with --layers: residual stream after block i (from 0), prefix tokens
                                         included; also patch_embed, embeddings, ln_pre
  /attn/<i>   [n, tokens, width]         with --layers and --nodes attn: what the attention of block i adds to the
                                         residual stream, after its output projection and LayerScale: vectors of
                                         tokens, no attention maps. With --nodes mlp /mlp/<i>: what its MLP adds
  /captions   [k, m]                     with --captions: the text tower's embeddings, not normalised

In half precision /dense holds f16(scale x value), and its attribute "scale" says so; commands here divide by it. A value
comes back within 2^-11 of itself, or within 2^-25 / scale where that is more. One above 65504 / scale is refused.

With --layout brainsail the file holds one half-precision dataset [gridH, gridW, m] for each image, under its name: ten
times the sum over the augmentations that show a patch, not divided by their number, as BrainSAIL's own files.

With --paper: 896 pixels, naclip with a window of 10 and 51 augmentations for CLIP; 518, maskclip and 25 for DINOv2;
768, maskclip and 25 for RADIO; what is said explicitly wins.
${TAPS_HELP}${CLIPS_HELP}
Example:
  gyrus phantom --out data
  gyrus features --model clip.safetensors --images data/images/train --save cls --out train.h5
  gyrus features --model clip.safetensors --images data/images/test --dense naclip --size 128 --distill 17 --out test.h5
`;

/** Adds the command. */
export function register(program: Command): void {
  const command = program.command("features")
    .description(
      "run a vision transformer, Inception V3 or a VGG on images and save what it computes",
    )
    .option("--images <ref>", "images: a folder or list of .png, or an array [n, h, w, 3] of bytes")
    .option("--pixels <ref>", "preprocessed float array [n, 3, h, w], taken as it is");
  addModelOptions(command)
    .option("--layers <list>", "blocks to save, from 0 and with commas, or all")
    .option(
      "--nodes <list>",
      `what of the blocks among --layers, of ${nodeTypes}: residual stream, or what a half adds to it`,
      "block",
    )
    .option(
      "--save <list>",
      `what else to save, of ${featureNames} (default: all; with --paper dense)`,
    )
    .option("--captions <file>", "text file with one caption per line")
    .option("--tokenizer <path>", "tokenizer file of CLIP, or a folder with one")
    .option("--batch <n>", "images at once (default: by their size)", wholeNumber)
    .option(
      "--paper",
      "BrainSAIL's dense features of the family: attention, window, image size, augmentations",
      false,
    )
    .addOption(
      new Option("--dense-dtype <type>", "storage of /dense").choices(["f32", "f16"]).default(
        "f32",
      ),
    )
    .option(
      "--dense-scale <s>",
      `f16 holds s times the values, s a power of two (default: ${DENSE_SCALE})`,
      realNumber,
    )
    .addOption(
      new Option(
        "--layout <name>",
        "arrays as below, or a dataset for each image as BrainSAIL's files",
      )
        .choices(["arrays", "brainsail"]).default("arrays"),
    )
    .addOption(
      new Option(
        "--random-weights <keep>",
        "the network before training, drawn by --seed; what is kept of the trained one",
      ).choices([...trainedParts]),
    )
    .option(
      "--checkpoint <file>",
      "keep finished batches there; the same command goes on after a stop",
    )
    .addHelpText("after", HELP);
  addTapOptions(addClipOptions(command))
    .action(async (_, command: Command) => await features(command.optsWithGlobals()));
}

async function features(given: FeaturesOptions): Promise<void> {
  const started = new Date();
  const isPerImage = given.layout === "brainsail";
  const all = given.paper || isPerImage ? "dense" : featureNames.join(",");
  const save = parseSave(given.save ?? all);
  const halfScale = halfScaleOf(given);
  if (isPerImage) requireDenseAlone(given, save);
  const output = beginOutput(given.out);
  using gpu = await openGpu(given);
  using model = await loadAnyModelFile(gpu, given);
  if (isTapModel(model)) {
    return await featuresOfTaps(given, { gpu, model, started, output });
  }
  refuseTapOptions(given);
  await featuresOfTokens(given, { gpu, model, started, output, save, halfScale });
}

/** What a command found out before it began. */
interface Begun {
  readonly gpu: Gpu;
  readonly model: VisionModel;
  readonly started: Date;
  readonly output: Output;
  readonly save: readonly FeatureName[];
  readonly halfScale?: number;
}

/** Runs a vision transformer on images and saves what it computes. */
async function featuresOfTokens(
  given: FeaturesOptions,
  { gpu, model, started, output, save, halfScale }: Begun,
): Promise<void> {
  const isPerImage = given.layout === "brainsail";
  const progress = new Progress({ silent: given.json });
  const options = given.paper ? withPaper(given, model.config) : given;
  using source = await openPixels({ ...options, fit: fitOf(options) }, model.config);
  const captions = await readCaptions(options);
  const request: FeatureRequest = {
    ...denseOptionsOf(options),
    save,
    layers: options.layers === undefined ? [] : parseLayers(options.layers, model.config.depth),
    nodes: parseNodes(options.nodes),
    shifts: shiftsOf(options, model.config, source.size),
    posInterpolation: options.posInterpolation,
  };
  const { shifts } = request;
  const step = batchSize(model, source, options.batch);
  const plan = await clipsOf(options, source), clips = plan?.clips;
  const facts = { request, step, halfScale, layout: options.layout, fit: fitOf(options), clips };
  using log = openCheckpoint(options, { gpu, source, options: facts });
  const encodeDense = encoderOf(options, { model, source, shifts, halfScale });
  const job = { gpu, model, source, request, step, clips, encodeDense, progress };
  const batches = resumeSteps(log, (first) => featureBatches(job, first));
  const wantsNone = save.length === 0 && request.layers?.length === 0;
  let shapes: Record<string, readonly number[]> = {};
  {
    using file = await Hdf5Writer.create(output.partial, { inPlace: true });
    const names = plan?.names ?? source.names, n = clips?.length ?? source.n;
    if (isPerImage) shapes = await writeImageDatasets(file, batches, names!);
    else if (!wantsNone) shapes = await writeBatches(file, batches, { n, halfScale });
    if (plan && !isPerImage) writeClips(file, plan);
    else if (names && !isPerImage) file.writeStrings("/names", names);
    if (shifts && !isPerImage) writeOffsets(file, shifts);
    if (captions) shapes["/captions"] = await writeCaptions(model, file, await captions);
    describe(file, { model, source, options });
    if (shapes["/cls"]) {
      const facts = { ...options, family: model.family, choice: options, source };
      writeEmbeddingRecipe(file, shapes["/cls"][1], facts);
    }
    file.commit();
  }
  output.commit();
  finishFeatures(options, { gpu, family: model.family, started, shapes });
}

/** BrainSAIL's files hold nothing beside the images' datasets. */
function requireDenseAlone(options: FeaturesOptions, save: readonly FeatureName[]): void {
  const { layers, captions, pixels, denseScale } = options;
  if (save.join() !== "dense" || layers !== undefined || captions !== undefined) {
    throw new InputError(
      "Cannot save other features with --layout brainsail: it holds /dense alone",
    );
  }
  if (pixels !== undefined) {
    throw new InputError("Cannot name the datasets of --layout brainsail: --pixels has no names");
  }
  if (denseScale !== undefined) {
    throw new InputError("Cannot scale --layout brainsail: it holds ten times the sums");
  }
}

/** How `/dense` becomes half precision; undefined where it stays single. */
function encoderOf(
  { layout }: FeaturesOptions,
  { model, source: { size }, shifts, halfScale }: {
    readonly model: VisionModel;
    readonly source: PixelSource;
    readonly shifts?: readonly PatchShift[];
    readonly halfScale?: number;
  },
): BatchJob["encodeDense"] {
  if (layout === "brainsail") {
    const { patchSize } = model.config;
    const grid = [size.height / patchSize, size.width / patchSize] as const;
    const counts = shifts ? patchCoverage(grid, shifts) : [1];
    return (values, m) => encodeBrainSail(values, counts, m);
  }
  return halfScale === undefined ? undefined : (values) => encodeScaledHalf(values, halfScale);
}

/** The scale of `/dense` in half precision; undefined where it is single precision. */
function halfScaleOf({ denseDtype, denseScale, layout }: FeaturesOptions): number | undefined {
  if (denseDtype === "f32" && denseScale !== undefined && layout === "arrays") {
    throw new InputError("Cannot scale single precision: --dense-scale needs --dense-dtype f16");
  }
  return denseDtype === "f16" ? denseScale ?? DENSE_SCALE : undefined;
}

/** Preprocessed pixels keep their size. */
function withPaper(options: FeaturesOptions, config: VitConfig): FeaturesOptions {
  const paper = paperOptions(options, config);
  return { ...options, ...paper, size: options.pixels === undefined ? paper.size : options.size };
}

/** The augmentations as rows `dy, dx, flip`. */
function writeOffsets(file: Hdf5Writer, shifts: readonly PatchShift[]): void {
  file.createDataset("/offsets", { shape: [shifts.length, 3], dtype: "i32" });
  const rows = shifts.flatMap(({ dy, dx, flip }) => [dy, dx, Number(flip)]);
  file.writeRows("/offsets", 0, Int32Array.from(rows));
}

function parseSave(text: string): FeatureName[] {
  const names = text.split(",").map((part) => part.trim()).filter((part) => part !== "");
  const unknown = names.find((name) => !featureNames.includes(name as FeatureName));
  if (unknown !== undefined) {
    throw new InputError(`Cannot save "${unknown}": --save takes ${featureNames.join(", ")}`);
  }
  return names as FeatureName[];
}

function parseNodes(text: string): NodeType[] {
  const names = text.split(",").map((part) => part.trim()).filter((part) => part !== "");
  const known = nodeTypes.filter((type) => names.includes(type));
  if (known.length > 0 && known.length === new Set(names).size) return known;
  throw new InputError(`Cannot save nodes "${text}": --nodes takes ${nodeTypes.join(", ")}`);
}

/** What made the file, kept in it. */
function describe(
  file: Hdf5Writer,
  { model, source: { size }, options }: {
    readonly model: VisionModel;
    readonly source: PixelSource;
    readonly options: FeaturesOptions;
  },
): void {
  const { dense = "vanilla", distill, images, pixels, arch, gaussianStd } = options;
  file.setAttribute("/", "model", options.model);
  file.setAttribute("/", "family", model.family);
  file.setAttribute("/", "input", images ?? pixels ?? "");
  file.setAttribute("/", "dense", dense);
  file.setAttribute("/", "arch", archOf({ dense, arch }));
  if (dense === "naclip" || dense === "nonly") {
    file.setAttribute("/", "gaussian_std", gaussianStd ?? NACLIP_STD);
  }
  file.setAttribute("/", "size", [size.height, size.width]);
  file.setAttribute("/", "distill", distill ?? 0);
  const { patchSize, prefixTokens } = model.config;
  file.setAttribute("/", "prefix_tokens", prefixTokens);
  file.setAttribute("/", "grid", [size.height / patchSize, size.width / patchSize]);
  if (options.randomWeights) {
    file.setAttribute(
      "/",
      "random_weights",
      `keeps ${options.randomWeights}, seed ${options.seed}`,
    );
  }
}
