/**
 * A study with one backbone: encoders, maps and every analysis of them, for the subjects and for the control of each.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { foldIn, type Key } from "../../engine/random.ts";
import { type CaptionCategory, confusionCounts } from "../dense/caption_categories.ts";
import { type SlopeTest, testSlopes } from "../dense/property_correlates.ts";
import { type TopImages, topImages } from "../dense/top_images.ts";
import type { HostMatrix } from "../encoding/host_matrix.ts";
import type { RidgeProblem } from "../encoding/refit_test.ts";
import { InputError } from "../errors.ts";
import type { Grid } from "../models/pos_embed.ts";
import { type Backbone, denseGrid } from "./backbone.ts";
import { allDense, allTokens, type KeptFeatures } from "./backbone_features.ts";
import { type ColorOptions, type StudyColors, studyColors } from "./colors.ts";
import { embedCaptions } from "./embed_captions.ts";
import {
  controlKey,
  type EncoderChoice,
  fitSubject,
  predictedVoxels,
  ridgeProblem,
  type SubjectEncoder,
} from "./encoders.ts";
import type { RegionLocalization } from "./localization.ts";
import { type MapOwner, mapPass, type MapSink, type OwnerMaps } from "./map_pass.ts";
import { shuffledRegionWeights } from "./shuffled_regions.ts";
import { type Study, type StudySubject, takeRows } from "./study.ts";

/** How a study is run. */
export interface BackboneRunOptions extends KeptFeatures {
  /** How encoders are fitted. */
  readonly choice: EncoderChoice;
  /** Lists of captions to assign categories by; nothing is assigned without, or where a backbone has no text tower. */
  readonly captions?: readonly CaptionCategory[];
  /** Top images of a region. */
  readonly nTop: number;
  /** Top images of regions that have a number of their own. */
  readonly nTopOf?: Readonly<Record<string, number>>;
  /** Resamples of the images behind intervals. */
  readonly nResamples: number;
  /** Permutations of the responses behind p-values; 0 tests nothing. */
  readonly nPermutations: number;
  /** Shuffles of the responses behind the control; the first is run whole, the others for maps; 0 runs none. */
  readonly nShuffles: number;
  /** Voxels with less R², or that are not predicted at q < 0.05, are not tested for correlates and take no part in colours. */
  readonly minR2: number;
  /** Draws everything random. */
  readonly key: Key;
  /** Categories of regions whose names do not say them. */
  readonly roiCategories?: Readonly<Record<string, string>>;
  /** Hears of every map. */
  readonly onMaps?: MapSink;
  /** How weights become colours; nothing is coloured without. */
  readonly colors?: ColorOptions;
  /** Images worth showing where none are named. */
  readonly nShown?: number;
  /** Images to colour, positions among the mapped ones; the best of the regions when left out. */
  readonly shown?: readonly number[];
}

/** Categories that captions assign to the top images of regions. */
export interface Confusion {
  /** Names of the categories. */
  readonly categories: readonly string[];
  /** Top images of each region that each category was assigned to, `[nRegions, nCategories]`. */
  readonly counts: Uint32Array<ArrayBuffer>;
}

/** How maps go with properties of images, voxel by voxel. */
export interface VoxelCorrelates {
  /** Mean over images of the correlation of maps with properties, `[nProperties, nVoxels]`. */
  readonly r: Float64Array<ArrayBuffer>;
  /** The same over all patches of all images. */
  readonly pooled: Float64Array<ArrayBuffer>;
  /** Images that counted for each property. */
  readonly nImages: Uint32Array<ArrayBuffer>;
  /** Whether the responses have to do with it; undefined where nothing was tested. */
  readonly test?: SlopeTest;
}

/** Everything about one owner. */
export interface OwnerResult extends MapOwner {
  /** How well maps find categories; the mean over regions last. */
  readonly localization: readonly RegionLocalization[];
  /** Images that the encoder predicts each region to like most: rows of the mapped images. */
  readonly top: readonly TopImages[];
  /** Categories by captions. */
  readonly confusion?: Confusion;
  /** Correlates with depth, saturation and luminance. */
  readonly correlates: VoxelCorrelates;
}

/** Everything about one backbone. */
export interface BackboneResult {
  /** Its name. */
  readonly name: string;
  /** The family of its model. */
  readonly family: string;
  /** Patch grid of the maps. */
  readonly grid: Grid;
  /** Class tokens of all images, `[nImages, m]`. */
  readonly tokens: HostMatrix;
  /** The subjects, then their controls. */
  readonly owners: readonly OwnerResult[];
  /** Images worth showing, positions among the mapped ones. */
  readonly shown: readonly number[];
  /** Colours of the subjects' voxels and of the images worth showing. */
  readonly colors?: StudyColors;
}

/** The encoders of all subjects, then those of the controls. */
async function fitAll(
  gpu: Gpu,
  study: Study,
  tokens: HostMatrix,
  { choice, nShuffles, nPermutations, key, signal, onProgress }: BackboneRunOptions,
): Promise<MapOwner[]> {
  const owners: MapOwner[] = [];
  for (const isControl of nShuffles > 0 ? [false, true] : [false]) {
    for (const [s, subject] of study.subjects.entries()) {
      if (subject.rois.length === 0) {
        throw new InputError(`Cannot map ${subject.name}: it has no region with voxels`);
      }
      const report = (event: { stage: string; done: number; total: number }) =>
        onProgress?.({ ...event, stage: `${subject.name} ${event.stage}` });
      const shuffle = isControl ? controlKey(key, s) : undefined;
      const test = { key: foldIn(key, 4), nPermutations };
      const call = { choice, shuffle, test, signal, onProgress: report };
      const fit = await fitSubject(gpu, subject, tokens, call);
      const problem = problemOf(fit, subject, tokens);
      const draw = { key: foldIn(controlKey(key, s), 1), n: nShuffles };
      const shuffled = !isControl && problem && nShuffles > 0
        ? shuffledRegionWeights(problem, subject.rois, draw)
        : undefined;
      owners.push({ subject, isControl, fit, shuffled });
    }
  }
  return owners;
}

/** What a subject's ridge regression solved; undefined for other encoders. */
function problemOf(
  { encoder, responses }: SubjectEncoder,
  { trainRows }: StudySubject,
  tokens: HostMatrix,
): RidgeProblem | undefined {
  return ridgeProblem(encoder, takeRows(tokens, trainRows), responses);
}

/** Significance of the correlates; undefined for encoders that are no ridge regression. */
async function slopesOf(
  { owner: { subject, fit }, correlates }: OwnerMaps,
  tokens: HostMatrix,
  { nPermutations, minR2, key, signal, onProgress }: BackboneRunOptions,
): Promise<SlopeTest | undefined> {
  const problem = problemOf(fit, subject, tokens);
  if (nPermutations === 0 || !problem) return undefined;
  // A property that varies in no image has no direction: its slopes are 0.
  const directions = correlates.directions().map((value) => Number.isNaN(value) ? 0 : value);
  const voxels = predictedVoxels(fit, minR2);
  return await testSlopes(
    { ...problem, directions, voxels },
    { key: foldIn(key, 1), nPermutations, signal, onProgress },
  );
}

/** The images that an owner's encoder predicts each region to like most. */
async function topOf(
  { subject: { rois }, fit: { encoder } }: MapOwner,
  { mappedRows }: Study,
  tokens: HostMatrix,
  { nTop, nTopOf = {} }: BackboneRunOptions,
): Promise<TopImages[]> {
  const predicted = await encoder.predict(takeRows(tokens, mappedRows));
  return rois.map((roi) => {
    const wanted = nTopOf[roi.name] ?? nTop;
    return topImages(predicted, [roi], Math.min(mappedRows.length, wanted))[0];
  });
}

/** How often the top images of each region were assigned to each category. */
function confusionOf(
  top: readonly TopImages[],
  assigned: readonly Int32Array[],
  categories: readonly CaptionCategory[],
): Confusion {
  const own = top.map(({ images }, r) => Array.from(images, (image) => assigned[r][image]));
  return {
    categories: categories.map(({ name }) => name),
    counts: confusionCounts(own, categories.length),
  };
}

/** Images worth showing: the best of each region in turn, then their seconds, each once. */
function bestImages(top: readonly TopImages[], n: number): number[] {
  const ranks = Math.max(...top.map(({ images }) => images.length));
  const order = Array.from(
    { length: ranks },
    (_, k) => top.flatMap(({ images }) => images[k] ?? []),
  );
  return [...new Set(order.flat())].slice(0, n);
}

async function finish(
  maps: OwnerMaps,
  top: readonly TopImages[],
  tokens: HostMatrix,
  options: BackboneRunOptions,
): Promise<OwnerResult> {
  const { owner, scores, assigned, correlates } = maps;
  const { nResamples, key, captions } = options;
  return {
    ...owner,
    localization: scores.table({ key: foldIn(key, 2), nResamples }),
    top,
    confusion: assigned && captions && confusionOf(top, assigned, captions),
    correlates: {
      r: correlates.correlations(),
      pooled: correlates.pooled(),
      nImages: correlates.nImages,
      test: await slopesOf(maps, tokens, options),
    },
  };
}

/** Images that are shown where none are named. */
const SHOWN = 12;

/**
 * Runs a study with one backbone.
 *
 * @throws {InputError} when a subject has no regions, or data do not suit each other
 */
export async function runBackbone(
  gpu: Gpu,
  study: Study,
  backbone: Backbone,
  options: BackboneRunOptions,
): Promise<BackboneResult> {
  const tokens = await allTokens(gpu, backbone, study, options);
  const owners = await fitAll(gpu, study, tokens, options);
  const tops: TopImages[][] = [];
  for (const owner of owners) tops.push(await topOf(owner, study, tokens, options));
  const shown = options.shown ?? bestImages(tops[0], options.nShown ?? SHOWN);
  const features = new Map<number, HostMatrix>();
  const grid = denseGrid(backbone);
  const found = await mapPass(gpu, allDense(gpu, backbone, study, options), {
    study,
    owners,
    grid,
    captions: await embedCaptions(backbone, options.captions),
    roiCategories: options.roiCategories,
    onMaps: options.onMaps,
    shown: new Set(options.colors ? shown : []),
    onFeatures: (image, rows) => features.set(image, rows),
  });
  using held = new DisposableStack();
  for (const { correlates } of found) held.use(correlates);
  const results: OwnerResult[] = [];
  for (const [o, maps] of found.entries()) {
    results.push(await finish(maps, tops[o], tokens, options));
  }
  const { settings: { name }, model: { family } } = backbone;
  const own = owners.filter(({ isControl }) => !isControl);
  const { colors: colorOptions, minR2, key, signal, onProgress } = options;
  const colors = colorOptions && await studyColors(gpu, own, features, {
    ...{ options: colorOptions, minR2, key: foldIn(key, 3), signal, onProgress },
  });
  return { name, family, grid, tokens, owners: results, shown, colors };
}
