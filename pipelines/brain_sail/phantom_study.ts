/**
 * BrainSAIL on the phantom, where the answer is known: an encoder per voxel from whole images, then maps of what drives each region,
 * with and without distillation and beside baselines, judged by the true masks. What it scores is about the software, never about
 * brains.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { Tensor } from "../../engine/tensor.ts";
import { extractFeatures } from "../dense/features.ts";
import { patchShifts } from "../dense/offsets.ts";
import type { RoiVoxels } from "../dense/relevance.ts";
import { fitEncoder } from "../encoding/encoder.ts";
import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import { preprocess, stretched } from "../images/preprocess.ts";
import type { RgbImage } from "../images/rgb_image.ts";
import type { VisionModel } from "../models/model.ts";
import type { Grid } from "../models/pos_embed.ts";
import type { DenseOptions } from "../models/vit.ts";
import type { Phantom } from "../phantom/phantom.ts";
import { categoryMask } from "../phantom/render.ts";
import { ROI_CATEGORY, ROIS } from "../phantom/sheet.ts";
import { isJudgeable, type RegionScore, scoreRegion } from "./evaluate.ts";
import { localize, type LocalizeOptions, regionWeights } from "./pipeline.ts";

/** How the study is run. */
export interface StudyOptions {
  /** Side of the images in pixels when maps are made. */
  readonly denseSize: number;
  /** Number of test images that are mapped. */
  readonly nMapped: number;
  /** Augmentations of the distillation. */
  readonly nAugmentations: number;
  /** Last block of the dense path. */
  readonly dense: DenseOptions;
  /** Images whose class tokens are computed at once. */
  readonly batch?: number;
  /** Hears where it stands. */
  readonly onProgress?: (event: { stage: string; done: number; total: number }) => void;
  /** Called between pieces of work, so that a program can look after other things. */
  readonly breathe?: () => Promise<void>;
}

/** One way of making maps. */
export interface MapMethod {
  /** Short name. */
  readonly name: string;
  /** What it is, in a sentence. */
  readonly about: string;
  /** `[nMapped, nRegions, gridHeight, gridWidth]` */
  readonly maps: Float32Array<ArrayBuffer>;
  /** Scores per region. */
  readonly scores: readonly RegionScore[];
}

/** A region with a category that drives it. */
export interface DrivenRegion extends RoiVoxels {
  /** The category. */
  readonly category: typeof ROI_CATEGORY[keyof typeof ROI_CATEGORY];
}

/** What a study found. */
export interface StudyResult {
  /** R² of every voxel on the test images. */
  readonly r2: Float64Array<ArrayBuffer>;
  /** Regions with a category. */
  readonly regions: readonly DrivenRegion[];
  /** Indices of the mapped images in the phantom. */
  readonly mapped: readonly number[];
  /** Patch grid of the maps. */
  readonly grid: Grid;
  /** Ways of making maps: distilled, not distilled, then the baselines. */
  readonly methods: readonly MapMethod[];
  /** Seconds of each stage, in order. */
  readonly seconds: readonly (readonly [stage: string, seconds: number])[];
}

/** One image of a phantom. */
export function phantomImage({ images, options: { size } }: Phantom, i: number): RgbImage {
  return { height: size, width: size, data: images[i].rendered.rgb };
}

/** Regions that a category drives, with the voxels of the first subject. */
export function drivenRegions({ subjects: [{ sheet }] }: Phantom): DrivenRegion[] {
  return ROIS.flatMap((name, label) => {
    const category = name in ROI_CATEGORY
      ? ROI_CATEGORY[name as keyof typeof ROI_CATEGORY]
      : undefined;
    const voxels = [...sheet.roi.keys()].filter((v) => sheet.roi[v] === label);
    return category && voxels.length > 0 ? [{ name, category, voxels }] : [];
  });
}

/** Test images to map: in turn one for each category, in their order, so that all categories come up about as often. */
export function chooseMapped(
  phantom: Phantom,
  regions: readonly DrivenRegion[],
  n: number,
): number[] {
  const categories = [...new Set(regions.map(({ category }) => category))];
  const test = [...phantom.images.keys()].filter((i) => phantom.images[i].test);
  const chosen: number[] = [];
  for (let turn = 0; chosen.length < Math.min(n, test.length); turn++) {
    const category = categories[turn % categories.length];
    const next = test.find((i) =>
      !chosen.includes(i) && isJudgeable(categoryMask(phantom.images[i].rendered, category))
    ) ?? test.find((i) =>
      !chosen.includes(i)
    );
    if (next === undefined) break;
    chosen.push(next);
  }
  return chosen;
}

/** Pixels of phantom images as the model takes them. */
function pixelsOf(phantom: Phantom, model: VisionModel, indices: readonly number[], side: number) {
  const values = 3 * side * side;
  const out = new Float32Array(indices.length * values);
  const family = stretched(model.family);
  indices.forEach((index, i) => {
    const size = { height: side, width: side };
    out.set(preprocess(phantomImage(phantom, index), { family, size }).data, i * values);
  });
  return out;
}

/** Class tokens of all images, `[nImages, m]`. */
async function classTokens(
  gpu: Gpu,
  model: VisionModel,
  phantom: Phantom,
  { batch = 48, onProgress, breathe }: StudyOptions,
): Promise<HostMatrix> {
  const n = phantom.images.length;
  const side = phantom.options.size;
  const out = new Float32Array(n * model.outputWidth);
  for (let start = 0; start < n; start += batch) {
    onProgress?.({ stage: "features", done: start, total: n });
    await breathe?.();
    const indices = Array.from({ length: Math.min(batch, n - start) }, (_, i) => start + i);
    const values = pixelsOf(phantom, model, indices, side);
    using pixels = Tensor.from(gpu, values, [indices.length, 3, side, side]);
    const features = await extractFeatures(model, pixels, { save: ["cls"] });
    out.set(features.get("/cls")!.data, start * model.outputWidth);
  }
  onProgress?.({ stage: "features", done: n, total: n });
  return hostMatrix(out, [n, model.outputWidth]);
}

function rowsOf({ data, shape: [, cols] }: HostMatrix, start: number, end: number): HostMatrix {
  return hostMatrix(data.subarray(start * cols, end * cols), [end - start, cols]);
}

/** Collects maps of all images in one array. */
async function collectMaps(
  maps: AsyncGenerator<{ image: number; maps: Float32Array }>,
  breathe?: () => Promise<void>,
): Promise<Float32Array<ArrayBuffer>> {
  const parts: Float32Array[] = [];
  for await (const { maps: values } of maps) {
    parts.push(values);
    await breathe?.();
  }
  const out = new Float32Array(parts.length * parts[0].length);
  parts.forEach((part, i) => out.set(part, i * part.length));
  return out;
}

/**
 * Runs the study on the first subject of a phantom.
 */
export async function runPhantomStudy(
  gpu: Gpu,
  model: VisionModel,
  phantom: Phantom,
  options: StudyOptions,
): Promise<StudyResult> {
  const { denseSize, nMapped, nAugmentations, dense, onProgress, breathe } = options;
  const seconds: [string, number][] = [];
  const timed = async <T>(stage: string, work: () => Promise<T>): Promise<T> => {
    const start = performance.now();
    const result = await work();
    seconds.push([stage, (performance.now() - start) / 1000]);
    return result;
  };
  const { nTrain } = phantom.options;
  const [subject] = phantom.subjects;
  const n = phantom.images.length;
  const features = await timed("features", () => classTokens(gpu, model, phantom, options));
  const responses = hostMatrix(subject.responses, [n, subject.sheet.nVoxels]);
  const fitting = { normalization: "l2", onProgress } as const;
  const encoder = await timed(
    "encoder",
    () => fitEncoder(gpu, rowsOf(features, 0, nTrain), rowsOf(responses, 0, nTrain), fitting),
  );
  const r2 = await encoder.score(rowsOf(features, nTrain, n), rowsOf(responses, nTrain, n));
  const regions = drivenRegions(phantom);
  const weights = regionWeights(encoder, regions);
  const mapped = chooseMapped(phantom, regions, nMapped);
  const patch = model.config.patchSize;
  const grid: Grid = [denseSize / patch, denseSize / patch];
  const images = {
    n: mapped.length,
    size: { height: denseSize, width: denseSize },
    read: (start: number, end: number) =>
      pixelsOf(phantom, model, mapped.slice(start, end), denseSize),
  };
  const judge = judgeOf(phantom, { regions, mapped, grid });
  const make = async (name: string, about: string, how: LocalizeOptions): Promise<MapMethod> => {
    const report = (event: { done: number; total: number }) =>
      onProgress?.({ stage: name, done: event.done, total: event.total });
    const maps = await timed(
      name,
      () =>
        collectMaps(localize(gpu, model, weights, images, { ...how, onProgress: report }), breathe),
    );
    return { name, about, maps, scores: judge(maps) };
  };
  const shifts = patchShifts(grid, nAugmentations);
  const methods = [
    await make("distilled", `mean over ${nAugmentations} shifted and mirrored images`, {
      ...dense,
      shifts,
    }),
    await make("not distilled", "the same attention, the image alone", dense),
    await make("raw attention", "the last block as trained", { dense: "vanilla" }),
  ];
  methods.push(wholeImage(methods[0].maps.length, judge));
  return { r2, regions, mapped, grid, methods, seconds };
}

/** The baseline that knows the whole image alone: the encoder's prediction is the same everywhere. */
function wholeImage(
  length: number,
  judge: (maps: Float32Array) => RegionScore[],
): MapMethod {
  const maps = new Float32Array(length);
  const about = "the class token alone: one prediction per image, the same everywhere, so chance";
  return { name: "whole image", about, maps, scores: judge(maps) };
}

/** Scores of the maps of all regions. */
function judgeOf(
  phantom: Phantom,
  { regions, mapped, grid }: {
    readonly regions: readonly DrivenRegion[];
    readonly mapped: readonly number[];
    readonly grid: Grid;
  },
): (maps: Float32Array) => RegionScore[] {
  const { size } = phantom.options;
  const area = grid[0] * grid[1];
  return (maps) =>
    regions.map(({ category }, r) => {
      const cases = mapped.map((image, i) => {
        const start = (i * regions.length + r) * area;
        return {
          map: maps.subarray(start, start + area),
          mask: categoryMask(phantom.images[image].rendered, category),
        };
      });
      return scoreRegion(cases, { grid, size: [size, size] });
    });
}
