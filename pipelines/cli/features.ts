/**
 * `gyrus features`: what a vision transformer sees in images, on disk.
 *
 * @module
 */
import type { Command } from "commander";
import type { Gpu } from "../../engine/gpu.ts";
import { Tensor } from "../../engine/tensor.ts";
import { extractFeatures, type FeatureName, featureNames, parseLayers } from "../dense/features.ts";
import type { FeatureRequest } from "../dense/features.ts";
import { InputError } from "../errors.ts";
import { Hdf5Writer } from "../io/hdf5_writer.ts";
import type { VisionModel } from "../models/model.ts";
import { runRecord } from "../run_record.ts";
import { readCaptions, writeCaptions } from "./captions.ts";
import { loadModelFile } from "./load_model.ts";
import {
  addModelOptions,
  denseOptionsOf,
  fitOf,
  type ModelCliOptions,
  shiftsOf,
} from "./model_options.ts";
import { openGpu } from "./open_gpu.ts";
import { wholeNumber } from "./options.ts";
import { beginOutput, letSignalsIn, writeOutput } from "./output.ts";
import { openPixels, type PixelSource } from "./pixel_source.ts";
import { Progress } from "./progress.ts";

interface FeaturesOptions extends ModelCliOptions {
  readonly images?: string;
  readonly pixels?: string;
  readonly layers?: string;
  readonly save: string;
  readonly captions?: string;
  readonly tokenizer?: string;
  readonly batch?: number;
}

/** Tokens in a batch: enough to keep a device busy, little memory. */
const TOKENS_AT_ONCE = 4096;

const HELP = `
Output (HDF5, float32):
  /cls        [n, m]                     what an encoder is trained on: CLIP's projected image embedding, the
                                         normalised class token of DINO, DINOv2 and MAE, SigLIP's pooled
                                         embedding, RADIO's summary
  /final      [n, tokens, width]         after the final norm
  /projected  [n, tokens, m]             CLIP: all tokens in the space of /cls, under --dense and --arch
  /dense      [n, gridH, gridW, m]       patch tokens as a map, under --dense and --arch, not normalised to unit
                                         length; with --distill their mean over n shifted and mirrored images
  /blocks/<i> [n, tokens, width]         with --layers: residual stream after block i (from 0), prefix tokens
                                         included; also patch_embed, embeddings, ln_pre
  /captions   [k, m]                     with --captions: the text tower's embeddings, not normalised

Example:
  gyrus phantom --out data
  gyrus features --model clip.safetensors --images data/images/train --save cls --out train.h5
  gyrus features --model clip.safetensors --images data/images/test --dense naclip --size 128 --distill 17 --out test.h5
`;

/** Adds the command. */
export function register(program: Command): void {
  const command = program.command("features")
    .description("run a vision transformer on images and save what it computes")
    .option("--images <ref>", "images: a folder or list of .png, or an array [n, h, w, 3] of bytes")
    .option("--pixels <ref>", "preprocessed float array [n, 3, h, w], taken as it is");
  addModelOptions(command)
    .option("--layers <list>", "blocks to save, from 0 and with commas, or all")
    .option("--save <list>", `what else to save, of ${featureNames}`, featureNames.join(","))
    .option("--captions <file>", "text file with one caption per line")
    .option("--tokenizer <path>", "tokenizer file of CLIP, or a folder with one")
    .option("--batch <n>", "images at once (default: by their size)", wholeNumber)
    .addHelpText("after", HELP)
    .action(async (_, command: Command) => await features(command.optsWithGlobals()));
}

async function features(options: FeaturesOptions): Promise<void> {
  const started = new Date();
  const save = parseSave(options.save);
  const output = beginOutput(options.out);
  const progress = new Progress({ silent: options.json });
  using gpu = await openGpu(options);
  using model = await loadModelFile(gpu, options);
  using source = await openPixels({ ...options, fit: fitOf(options) }, model.config);
  const captions = await readCaptions(options);
  const request: FeatureRequest = {
    ...denseOptionsOf(options),
    save,
    layers: options.layers === undefined ? [] : parseLayers(options.layers, model.config.depth),
    shifts: shiftsOf(options, model.config, source.size),
    posInterpolation: options.posInterpolation,
  };
  const shapes: Record<string, readonly number[]> = {};
  {
    using file = await Hdf5Writer.create(output.partial, { inPlace: true });
    await writeBatches(model, source, {
      gpu,
      request,
      file,
      shapes,
      progress,
      batch: options.batch,
    });
    if (source.names) file.writeStrings("/names", source.names);
    if (captions) shapes["/captions"] = await writeCaptions(model, file, await captions);
    describe(file, model, options);
    file.commit();
  }
  output.commit();
  finish(options, { gpu, model, started, shapes });
}

function parseSave(text: string): FeatureName[] {
  const names = text.split(",").map((part) => part.trim()).filter((part) => part !== "");
  const unknown = names.find((name) => !featureNames.includes(name as FeatureName));
  if (unknown !== undefined) {
    throw new InputError(`Cannot save "${unknown}": --save takes ${featureNames.join(", ")}`);
  }
  return names as FeatureName[];
}

/** Images per batch. */
function batchSize(model: VisionModel, { size, n }: PixelSource, asked?: number): number {
  if (asked === 0) throw new InputError("Cannot run batches of 0 images: --batch counts from 1");
  const { patchSize, prefixTokens } = model.config;
  const tokens = size.height * size.width / patchSize ** 2 + prefixTokens;
  return Math.min(n, asked ?? Math.max(1, Math.floor(TOKENS_AT_ONCE / tokens)));
}

interface BatchJob {
  readonly gpu: Gpu;
  readonly request: FeatureRequest;
  readonly file: Hdf5Writer;
  readonly shapes: Record<string, readonly number[]>;
  readonly progress: Progress;
  readonly batch?: number;
}

/** Writes every batch as soon as it is done: memory does not grow with the number of images. */
async function writeBatches(
  model: VisionModel,
  source: PixelSource,
  { gpu, request, file, shapes, progress, batch }: BatchJob,
): Promise<void> {
  const { n, channels, size: { height, width } } = source;
  if (request.save.length === 0 && request.layers?.length === 0) return;
  const step = batchSize(model, source, batch);
  for (let start = 0; start < n; start += step) {
    progress.update({ stage: "features", done: start, total: n });
    await letSignalsIn();
    const end = Math.min(n, start + step);
    const values = source.read(start, end);
    using pixels = Tensor.from(gpu, values, [
      end - start,
      channels,
      height,
      width,
    ]);
    for (const [path, { shape, data }] of await extractFeatures(model, pixels, request)) {
      if (start === 0) {
        shapes[path] = [n, ...shape.slice(1)];
        file.createDataset(path, { shape: shapes[path], dtype: "f32" });
      }
      file.writeRows(path, start, data);
    }
  }
  progress.update({ stage: "features", done: n, total: n });
}

/** What made the file, kept in it. */
function describe(file: Hdf5Writer, model: VisionModel, options: FeaturesOptions): void {
  const { dense = "vanilla", distill, images, pixels } = options;
  file.setAttribute("/", "model", options.model);
  file.setAttribute("/", "family", model.family);
  file.setAttribute("/", "input", images ?? pixels ?? "");
  file.setAttribute("/", "dense", dense);
  file.setAttribute("/", "distill", distill ?? 0);
}

interface Finished {
  readonly gpu: Gpu;
  readonly model: VisionModel;
  readonly started: Date;
  readonly shapes: Readonly<Record<string, readonly number[]>>;
}

function finish(options: FeaturesOptions, { gpu, model, started, shapes }: Finished): void {
  const { model: weights, config, images, pixels, captions, tokenizer, out } = options;
  const given = Object.entries({ model: weights, config, images, pixels, captions, tokenizer })
    .filter((entry): entry is [string, string] => entry[1] !== undefined);
  const results = { family: model.family, shapes };
  const record = runRecord({
    command: "features",
    options: { ...options },
    inputs: Object.fromEntries(given),
    gpu,
    started,
    results,
  });
  writeOutput(`${out}.run.json`, `${JSON.stringify(record, null, 2)}\n`);
  if (options.json) {
    console.log(JSON.stringify({ out, ...results }));
    return;
  }
  console.log(`${model.family} features in ${out}`);
  for (const [path, shape] of Object.entries(shapes)) {
    console.log(`  ${path.padEnd(14)} [${shape.join(", ")}]`);
  }
}
