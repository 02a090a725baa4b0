/**
 * One pass over the mapped images of a study with one backbone: relevance maps of every subject's regions, judged by what is truly
 * there, assigned to categories by captions, and held against properties of the pixels.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { readAll, Tensor, tidy } from "../../engine/tensor.ts";
import { assignCategories, type CaptionCategory } from "../dense/caption_categories.ts";
import { areaAverage, luminance, saturation } from "../images/image_properties.ts";
import { PropertyCorrelates } from "../dense/property_correlates.ts";
import { normalizeRows, relevanceMaps } from "../dense/relevance.ts";
import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import type { Grid } from "../models/pos_embed.ts";
import type { DensePair } from "./backbone.ts";
import { isJudgeable, scoreMap } from "./evaluate.ts";
import { categoryOf, coarseMask, LocalizationScores, type MapMethodName } from "./localization.ts";
import { type RegionWeights, regionWeights } from "./pipeline.ts";
import type { SubjectEncoder } from "./encoders.ts";
import type { Study, StudySubject } from "./study.ts";

/** Properties of the pixels that maps are held against. */
export const imageProperties: readonly string[] = ["depth", "saturation", "luminance"];

/** Captions with their embeddings. */
export interface EmbeddedCaptions {
  /** Lists of captions. */
  readonly categories: readonly CaptionCategory[];
  /** Their embeddings in order, `[nCaptions, m]`. */
  readonly embeddings: HostMatrix;
}

/** Whose maps are made: a subject's own, or those of the control. */
export interface MapOwner {
  /** The subject. */
  readonly subject: StudySubject;
  /** Its encoder. */
  readonly fit: SubjectEncoder;
  /** Whether the encoder is the one of shuffled responses. */
  readonly isControl: boolean;
  /** Weights of regions of further shuffles, `[nFeatures, nShuffles · nRegions]`. */
  readonly shuffled?: Float32Array<ArrayBuffer>;
}

/** Hears of every map as it is made: `[nRegions, nPatches]`. */
export type MapSink = (
  owner: MapOwner,
  event: {
    readonly image: number;
    readonly distilled: Float32Array<ArrayBuffer>;
    readonly plain: Float32Array<ArrayBuffer>;
  },
) => void | Promise<void>;

/** What the pass found of one owner. */
export interface OwnerMaps {
  /** Whose. */
  readonly owner: MapOwner;
  /** Regions that have a category with masks, and their scores. */
  readonly scores: LocalizationScores;
  /** Category that captions assign, `[nRegions][nImages]`, −1 for none; undefined without captions. */
  readonly assigned?: readonly Int32Array<ArrayBuffer>[];
  /** Correlates of every voxel. */
  readonly correlates: PropertyCorrelates;
}

/** State of one owner during the pass. */
class Collector implements Disposable {
  readonly weights: RegionWeights;
  readonly judged: readonly {
    readonly region: number;
    readonly name: string;
    readonly category: string;
  }[];
  readonly scores: LocalizationScores;
  readonly nShuffles: number;
  readonly assigned?: Int32Array<ArrayBuffer>[];
  readonly correlates: PropertyCorrelates;
  #previous?: Float32Array;

  constructor(
    gpu: Gpu,
    readonly owner: MapOwner,
    { study, captions, roiCategories }: MapPassOptions,
  ) {
    const { subject: { rois }, fit: { encoder } } = owner;
    this.weights = regionWeights(encoder, rois);
    const { categories } = study.truth;
    this.judged = rois.flatMap(({ name }, region) => {
      const category = categoryOf(name, roiCategories);
      return category !== undefined && categories.includes(category)
        ? [{ region, name, category }]
        : [];
    });
    const n = study.mappedRows.length;
    this.nShuffles = (owner.shuffled?.length ?? 0) / this.weights.coef.length;
    this.scores = new LocalizationScores(this.judged, n, this.nShuffles);
    if (captions) this.assigned = rois.map(() => new Int32Array(n).fill(-1));
    const { coef } = encoder.model;
    if (!coef) throw new Error("the study fits encoders with their coefficients");
    this.correlates = new PropertyCorrelates(gpu, coef, imageProperties);
  }

  /** Scores of an image's maps against its masks. */
  judge(
    { study }: MapPassOptions,
    image: number,
    { grid, distilled, plain, shuffled }: {
      grid: Grid;
      distilled: Float32Array;
      plain: Float32Array;
      shuffled?: Float32Array;
    },
  ): void {
    const area = grid[0] * grid[1];
    const constant = new Float32Array(area);
    const before = this.#previous;
    this.#previous = distilled;
    this.judged.forEach(({ region, category }, r) => {
      const truth = study.truth.mask(study.mappedRows[image], category);
      if (!truth) return;
      const { data: mask, size } = coarseMask(truth);
      if (!isJudgeable(mask)) return;
      const own = (maps: Float32Array) => maps.subarray(region * area, (region + 1) * area);
      const methods: [MapMethodName, Float32Array | undefined][] = [
        ["distilled", own(distilled)],
        ["plain", own(plain)],
        ["chance", before && own(before)],
        ["whole image", constant],
      ];
      for (const [method, map] of methods) {
        if (map) this.scores.add(image, r, method, scoreMap({ map, mask }, { grid, size }));
      }
      for (let b = 0; shuffled && b < this.nShuffles; b++) {
        const at = b * this.weights.names.length + region;
        const map = shuffled.subarray(at * area, (at + 1) * area);
        this.scores.addShuffled(image, r, b, scoreMap({ map, mask }, { grid, size }));
      }
    });
  }

  [Symbol.dispose](): void {
    this.correlates[Symbol.dispose]();
  }
}

/** What {@link mapPass} needs. */
export interface MapPassOptions {
  /** The study. */
  readonly study: Study;
  /** Whose maps to make. */
  readonly owners: readonly MapOwner[];
  /** Patch grid of the features. */
  readonly grid: Grid;
  /** Captions to assign categories by. */
  readonly captions?: EmbeddedCaptions;
  /** Categories of regions whose names do not say them. */
  readonly roiCategories?: Readonly<Record<string, string>>;
  /** Hears of every map. */
  readonly onMaps?: MapSink;
  /** Images whose features are wanted, positions among the mapped ones. */
  readonly shown?: ReadonlySet<number>;
  /** Hears of their distilled features, of unit length, `[nPatches, m]`. */
  readonly onFeatures?: (image: number, features: HostMatrix) => void;
}

/** Every property over the patches of an image; undefined for what is not known of it. */
function fieldsOf(study: Study, row: number, grid: Grid): (Float64Array | undefined)[] {
  const image = study.images.read(row);
  const depth = study.truth.depth(row);
  return [
    depth && areaAverage(depth, grid),
    areaAverage(saturation(image), grid),
    areaAverage(luminance(image), grid),
  ];
}

/** Maps of weights on raw dense features, `[k, nPatches]`. */
async function mapsOf(
  gpu: Gpu,
  dense: HostMatrix,
  weights: readonly { readonly tensors: readonly [Tensor, Tensor | undefined] }[],
  grid: Grid,
): Promise<Float32Array<ArrayBuffer>[]> {
  const maps = tidy(gpu, () => {
    const features = Tensor.from(gpu, dense.data, [1, ...grid, dense.shape[1]]);
    return weights.map(({ tensors: [coef, intercept] }) =>
      relevanceMaps(features, coef, { intercept })
    );
  });
  try {
    return await readAll(maps) as Float32Array<ArrayBuffer>[];
  } finally {
    for (const map of maps) map.dispose();
  }
}

/** Unit rows of text as weights, `[m, nCaptions]`. */
function captionWeights(gpu: Gpu, { embeddings: { data, shape } }: EmbeddedCaptions): Tensor {
  const [k, m] = shape;
  const columns = new Float32Array(data.length);
  for (let c = 0; c < k; c++) {
    const row = data.subarray(c * m, (c + 1) * m);
    const length = Math.hypot(...row) || 1;
    for (let f = 0; f < m; f++) columns[f * k + c] = row[f] / length;
  }
  return Tensor.from(gpu, columns, [m, k]);
}

/**
 * Goes through the mapped images. The caller disposes the correlates of the result.
 *
 * @param dense features of the mapped images, in their order
 */
export async function mapPass(
  gpu: Gpu,
  dense: AsyncIterable<DensePair>,
  options: MapPassOptions,
): Promise<OwnerMaps[]> {
  const { study, owners, grid, captions, onMaps } = options;
  using held = new DisposableStack();
  using kept = new DisposableStack();
  const collectors = owners.map((owner) => kept.use(new Collector(gpu, owner, options)));
  const weights = collectors.map(({ weights: { coef, intercept, names } }) => ({
    tensors: [
      held.use(Tensor.from(gpu, coef, [coef.length / names.length, names.length])),
      held.use(Tensor.from(gpu, intercept)),
    ] as const,
  }));
  const words = captions
    ? [{ tensors: [held.use(captionWeights(gpu, captions)), undefined] as const }]
    : [];
  const shuffled = owners.map(({ shuffled: coef }, o) => {
    const nFeatures = weights[o].tensors[0].shape[0];
    if (!coef || coef.length === 0) return [];
    const tensor = held.use(Tensor.from(gpu, coef, [nFeatures, coef.length / nFeatures]));
    return [{ tensors: [tensor, undefined] as const }];
  });
  let image = 0;
  for await (const { distilled, plain } of dense) {
    const fields = fieldsOf(study, study.mappedRows[image], grid);
    const all = await mapsOf(gpu, distilled, [...weights, ...shuffled.flat(), ...words], grid);
    const controls = all.slice(owners.length);
    const alone = await mapsOf(gpu, plain, weights, grid);
    using unit = tidy(gpu, () => normalizeRows(Tensor.from(gpu, distilled.data, distilled.shape)));
    if (options.shown?.has(image)) {
      const data = await unit.data() as Float32Array<ArrayBuffer>;
      options.onFeatures?.(image, hostMatrix(data, distilled.shape));
    }
    for (const [o, collector] of collectors.entries()) {
      await collector.correlates.add(unit, fields);
      const control = shuffled[o].length > 0 ? controls.shift() : undefined;
      const maps = { grid, distilled: all[o], plain: alone[o], shuffled: control };
      collector.judge(options, image, maps);
      if (captions) assign(collector, image, { grid, maps: all[o], words: all.at(-1)!, captions });
      await onMaps?.(collector.owner, { image, distilled: all[o], plain: alone[o] });
    }
    image++;
  }
  kept.move(); // to the caller
  return collectors.map(({ owner, scores, assigned, correlates }) => ({
    owner,
    scores,
    assigned,
    correlates,
  }));
}

function assign(
  { assigned, weights: { names } }: Collector,
  image: number,
  { grid, maps, words, captions: { categories, embeddings } }: {
    grid: Grid;
    maps: Float32Array;
    words: Float32Array;
    captions: EmbeddedCaptions;
  },
): void {
  const area = grid[0] * grid[1];
  const { category } = assignCategories(
    { data: maps, shape: [names.length, area] },
    { data: words, shape: [embeddings.shape[0], area] },
    categories,
  );
  assigned!.forEach((row, r) => row[image] = category[r]);
}
