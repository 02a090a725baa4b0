/**
 * `gyrus localize --encoder`: maps of what in each image drives which brain region.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { Gpu } from "../../engine/gpu.ts";
import { denseSettings, paperSize } from "../brain_sail/config.ts";
import {
  gridOf,
  localize as localizeImages,
  type LocalizeOptions,
  type RegionWeights,
  regionWeights,
  requireSameSpace,
} from "../brain_sail/pipeline.ts";
import { chooseRois, parseRoiTable } from "../dense/roi_table.ts";
import type { RoiVoxels } from "../dense/relevance.ts";
import type { Encoder } from "../encoding/encoder.ts";
import { loadEncoder } from "../encoding/encoder_file.ts";
import { InputError } from "../errors.ts";
import { mosaic } from "../images/mosaic.ts";
import { overlayHeatmap } from "../images/overlay.ts";
import { pilResize } from "../images/pil_resize.ts";
import type { RgbImage } from "../images/rgb_image.ts";
import { fileError } from "../io/files.ts";
import { Hdf5Writer } from "../io/hdf5_writer.ts";
import { savePng } from "../io/png.ts";
import { quote } from "../io/strict_json.ts";
import { hostTensor, toFloat32 } from "../io/state_dict.ts";
import { resumeSteps, type StepArrays, type StepLog } from "../io/step_log.ts";
import type { VisionModel } from "../models/model.ts";
import { runRecord } from "../run_record.ts";
import { openCheckpoint } from "./checkpoint.ts";
import { loadModelFile } from "./load_model.ts";
import { type ModelCliOptions, shiftsOf } from "./model_options.ts";
import { openGpu } from "./open_gpu.ts";
import { beginOutput, letSignalsIn, RUN_RECORD } from "./output.ts";
import { openPixels, type PixelSource } from "./pixel_source.ts";
import { Progress } from "./progress.ts";

/** Options of {@link localizeMaps}. */
export interface LocalizeMapsOptions extends ModelCliOptions {
  readonly encoder: string;
  readonly images: string;
  readonly roi?: readonly string[];
  readonly roiTable?: string;
  readonly target?: readonly string[];
  readonly paper: boolean;
  readonly checkpoint?: string;
}

/** Targets that are mapped one by one where there is no table of regions. */
const MOST_TARGETS = 64;
/** Images in the overview. */
const OVERVIEW_ROWS = 12;
/** Side of its pictures in pixels. */
const OVERVIEW_SIDE = 96;

/** Maps images by an encoder that is there already. */
export async function localizeMaps(options: LocalizeMapsOptions): Promise<void> {
  const started = new Date();
  const output = beginOutput(options.out, { kind: "folder" });
  const progress = new Progress({ silent: options.json });
  using gpu = await openGpu(options);
  using model = await loadModelFile(gpu, options);
  const encoder = await loadEncoder(gpu, options.encoder);
  requireSameSpace(model, encoder);
  const regions = regionWeights(encoder, readRois(options, encoder));
  const settings = denseSettings[model.family];
  const size = options.size ?? (options.paper ? sizeText(model) : undefined);
  if (options.fit === "crop") {
    throw new InputError("Cannot localize in cropped images: maps lie on the whole image");
  }
  const pixels = { images: options.images, size, fit: "stretch" } as const;
  using source = await openPixels(pixels, model.config);
  const distill = options.distill ?? (options.paper ? settings.nAugmentations : undefined);
  const dense = options.dense
    ? { dense: options.dense, arch: options.arch, gaussianStd: options.gaussianStd }
    : {
      dense: settings.dense,
      arch: options.arch ?? settings.arch,
      gaussianStd: options.gaussianStd ?? settings.gaussianStd,
    };
  const run: LocalizeOptions = {
    ...dense,
    shifts: shiftsOf({ ...options, distill }, model.config, source.size),
    posInterpolation: options.posInterpolation,
    onProgress: progress.update,
  };
  const { shifts, posInterpolation } = run;
  const facts = { ...dense, shifts, posInterpolation, regions: digestOf(regions) };
  using log = openCheckpoint(options, { gpu, source, options: facts });
  await writeMaps(output.partial, { gpu, model, regions, source, run, log });
  const { encoder: encoderPath, images, model: modelPath } = options;
  const results = { images: source.n, regions: regions.names };
  const record = runRecord({
    command: "localize",
    options: { ...options, ...dense, distill, size: source.size },
    inputs: { model: modelPath, encoder: encoderPath, images },
    gpu,
    started,
    results,
  });
  Deno.writeTextFileSync(`${output.partial}/${RUN_RECORD}`, `${JSON.stringify(record, null, 2)}\n`);
  output.commit();
  if (options.json) console.log(JSON.stringify({ out: options.out, ...results }));
  else console.log(`maps of ${source.n} images for ${regions.names.join(", ")} in ${options.out}`);
}

function sizeText(model: VisionModel): string {
  const { height, width } = paperSize(model.config);
  return `${height}x${width}`;
}

/** Single voxels as regions of one. */
function singleTargets(targets: readonly string[], nTargets: number): RoiVoxels[] {
  return [...new Set(targets.flatMap((word) => word.split(",")))].map((word) => {
    const voxel = Number(word);
    if (/^\d+$/.test(word) && voxel < nTargets) return { name: `target_${voxel}`, voxels: [voxel] };
    throw new InputError(
      `Cannot map target ${quote(word)}: the encoder has ${nTargets}, counted from 0`,
    );
  });
}

function readRois(
  { roi, roiTable, target }: LocalizeMapsOptions,
  { nTargets }: Encoder,
): RoiVoxels[] {
  if (target !== undefined) {
    if (roiTable === undefined) return singleTargets(target, nTargets);
    throw new InputError("Cannot map single targets and regions at once: --target or --roi-table");
  }
  if (roiTable === undefined) {
    if (roi !== undefined) {
      throw new InputError("Cannot choose regions by name: --roi needs --roi-table");
    }
    if (nTargets > MOST_TARGETS) {
      throw new InputError(
        `Cannot map ${nTargets} targets one by one, at most ${MOST_TARGETS}: give regions by --roi-table or some by --target`,
      );
    }
    return Array.from({ length: nTargets }, (_, t) => ({ name: `target_${t}`, voxels: [t] }));
  }
  let text: string;
  try {
    text = Deno.readTextFileSync(roiTable);
  } catch (cause) {
    throw fileError("read", roiTable, cause);
  }
  return chooseRois(parseRoiTable(text, roiTable), roi);
}

interface MapsJob {
  readonly gpu: Gpu;
  readonly model: VisionModel;
  readonly regions: RegionWeights;
  readonly source: PixelSource;
  readonly run: LocalizeOptions;
  readonly log?: StepLog;
}

/** What stands for the weights of regions in a checkpoint. */
function digestOf({ names, coef, intercept, unitNorm }: RegionWeights): string {
  const hash = createHash("sha256").update(JSON.stringify([names, unitNorm]));
  return hash.update(coef).update(intercept).digest("hex");
}

/** Maps `[1, regions, gridH, gridW]` of the images from number `first` on. */
async function* mapsFrom(
  { gpu, model, regions, source, run }: MapsJob,
  first: number,
): AsyncGenerator<StepArrays> {
  const shape = [1, regions.names.length, ...gridOf(model, source.size)];
  for await (const { maps } of localizeImages(gpu, model, regions, source, { ...run, first })) {
    await letSignalsIn();
    yield new Map([["/maps", hostTensor(maps, shape)]]);
  }
}

async function writeMaps(folder: string, job: MapsJob): Promise<void> {
  const { model, regions, source, log } = job;
  const { names } = regions;
  const grid = gridOf(model, source.size);
  const folders = names.map((name) => `${folder}/overlays/${name.replace(/[^\w.-]+/g, "_")}`);
  for (const path of folders) Deno.mkdirSync(path, { recursive: true });
  using file = await Hdf5Writer.create(`${folder}/maps.h5`);
  file.createDataset("/maps", { shape: [source.n, names.length, ...grid], dtype: "f32" });
  file.writeStrings("/roi_names", names);
  file.writeStrings("/image_names", source.names ?? []);
  const overview: RgbImage[] = [];
  const area = grid[0] * grid[1];
  let image = 0;
  for await (const arrays of resumeSteps(log, (first) => mapsFrom(job, first))) {
    const maps = toFloat32(arrays.get("/maps")!);
    file.writeRows("/maps", image, maps);
    const picture = source.image!(image);
    const panels = names.map((_, r) =>
      overlayHeatmap(picture, maps.subarray(r * area, (r + 1) * area), { grid, alpha: 0.6 })
    );
    panels.forEach((panel, r) => savePng(`${folders[r]}/${source.names![image]}.png`, panel));
    if (image < OVERVIEW_ROWS) overview.push(...[picture, ...panels].map(thumbnail));
    image++;
  }
  file.commit();
  savePng(`${folder}/overview.png`, mosaic(overview, { columns: names.length + 1, gap: 4 }));
}

function thumbnail(image: RgbImage): RgbImage {
  return pilResize(image, { height: OVERVIEW_SIDE, width: OVERVIEW_SIDE, filter: "bicubic" });
}
