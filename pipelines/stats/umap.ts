import type { Gpu } from "../../engine/gpu.ts";
import { foldIn, type Key, randomBit32 } from "../../engine/random.ts";
import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import type { LongCall } from "../encoding/linear_model.ts";
import { InputError } from "../errors.ts";
import { quantileOf } from "./bootstrap.ts";
import { nearestRows, type Neighbors, type RowMetric } from "./nearest_rows.ts";

/** Options of {@link fitUmap}. */
export interface UmapOptions extends LongCall {
  /** Draws the start and the negative samples. */
  readonly key: Key;
  /** Axes of the embedding; three become a colour. */
  readonly nComponents?: number;
  /** Rows that count as near, the row itself included. */
  readonly nNeighbors?: number;
  /** Least distance of points in the embedding. */
  readonly minDist?: number;
  /** Angle over π, which says nothing of the length of rows (BrainSAIL), or Euclidean. */
  readonly metric?: RowMetric;
  /** Finds neighbours: worth it from some thousand rows on. */
  readonly gpu?: Gpu;
}

/** What {@link FittedUmap} keeps of its options. */
type UmapSettings = Required<Pick<UmapOptions, "nNeighbors" | "metric">> & Pick<UmapOptions, "gpu">;

/** An embedding of rows that places other rows among them. It holds no memory on the GPU. */
export class FittedUmap {
  readonly #rows: HostMatrix;
  readonly #settings: UmapSettings;

  /** @internal Use {@link fitUmap}. */
  constructor(
    rows: HostMatrix,
    /** `[nRows, nComponents]` */
    readonly embedding: HostMatrix,
    settings: UmapSettings,
  ) {
    this.#rows = rows;
    this.#settings = settings;
    Object.freeze(this);
  }

  /**
   * Places rows among the fitted ones: mean of the embeddings of their nearest fitted rows, with UMAP's weights `exp(−(d − ρ)/σ)`,
   * where ρ is the distance of the nearest and σ makes the weights sum to log₂ of their number. No gradient steps follow, as in UMAP's
   * own transform: those draw at random and move points by what else is transformed, and a patch must have one colour in every image.
   *
   * @param rows `[n, width]`
   * @returns `[n, nComponents]`
   * @throws {InputError} when widths differ, a value is not finite, or a row has no direction
   */
  async transform(rows: HostMatrix, { signal }: LongCall = {}): Promise<HostMatrix> {
    const { nNeighbors: k, metric, gpu } = this.#settings;
    const { indices, distances } = await nearestRows(rows, this.#rows, { k, metric, gpu, signal });
    const [n] = rows.shape, c = this.embedding.shape[1];
    const placed = new Float32Array(n * c);
    for (let i = 0; i < n; i++) {
      const weights = smoothWeights(distances.subarray(i * k, (i + 1) * k));
      for (let a = 0; a < c; a++) {
        let value = 0;
        for (let r = 0; r < k; r++) {
          value += weights[r] * this.embedding.data[indices[i * k + r] * c + a];
        }
        placed[i * c + a] = value;
      }
    }
    return hostMatrix(placed, [n, c]);
  }
}

/** Halvings of the interval of σ: more than f64 has digits. */
const SEARCH_STEPS = 64;

/** Weights of neighbours by distance, ascending, which sum to 1. */
function smoothWeights(distances: Float64Array): Float64Array {
  const [nearest] = distances, target = Math.log2(distances.length);
  const sumAt = (sigma: number) =>
    distances.reduce((s, d) => s + Math.exp((nearest - d) / sigma), 0);
  let [low, high] = [0, distances[distances.length - 1] - nearest];
  // At an infinite σ the sum is their number, which is above its logarithm; equal distances keep equal weights.
  while (high > 0 && sumAt(high) < target) high *= 2;
  for (let step = 0; step < SEARCH_STEPS && high > 0; step++) {
    const middle = (low + high) / 2;
    if (sumAt(middle) < target) low = middle;
    else high = middle;
  }
  const weights = distances.map((d) => high > 0 ? Math.exp((nearest - d) / high) : 1);
  const total = weights.reduce((sum, w) => sum + w, 0);
  return weights.map((w) => w / total);
}

/** Numbers in [0, 1) of a key, one after another. */
function stream(key: Key): () => number {
  let i = 0;
  return () => randomBit32(key, i++) / 2 ** 32;
}

/** Lists of neighbours as umap-js takes them: each row first among its own, at distance 0. */
function ownFirst(
  { indices, distances }: Neighbors,
  k: number,
): { indices: number[][]; distances: number[][] } {
  const lists = { indices: [] as number[][], distances: [] as number[][] };
  for (let i = 0; i * k < indices.length; i++) {
    const own = Array.from({ length: k }, (_, r) => i * k + r).filter((at) => indices[at] !== i)
      .slice(0, k - 1);
    lists.indices.push([i, ...own.map((at) => indices[at])]);
    lists.distances.push([0, ...own.map((at) => distances[at])]);
  }
  return lists;
}

const PAUSE_MS = 100;

/**
 * UMAP (McInnes, Healy and Melville 2018) of rows, by umap-js: exact neighbours, a random start, and its stochastic descent. The same
 * key gives the same bits; other keys give embeddings that are turned and folded otherwise.
 *
 * @param rows `[nRows, width]`, such as an encoder's weights, one row per voxel
 * @throws {InputError} when an option is out of range, there are not more rows than neighbours, a value is not finite, or a row has no
 * direction
 */
export async function fitUmap(rows: HostMatrix, options: UmapOptions): Promise<FittedUmap> {
  const { key, nComponents = 3, nNeighbors = 15, minDist = 0.1, metric = "angular" } = options;
  const { gpu, signal, onProgress } = options;
  const [n] = rows.shape;
  const isWhole = [nComponents, nNeighbors].every((value) => Number.isInteger(value));
  if (!isWhole || nComponents < 1 || nNeighbors < 2 || !(minDist >= 0 && minDist < 1)) {
    throw new InputError(
      `Cannot embed with ${nComponents} components, ${nNeighbors} neighbours and minDist ${minDist}: ` +
        "components must be a whole number from 1, neighbours from 2, minDist from 0 to below 1",
    );
  }
  if (n <= nNeighbors) {
    throw new InputError(
      `Cannot embed ${n} rows with ${nNeighbors} neighbours: there must be more rows than neighbours`,
    );
  }
  const near = await nearestRows(rows, rows, { k: nNeighbors, metric, gpu, signal });
  const { indices, distances } = ownFirst(near, nNeighbors);
  const { UMAP } = await import("umap-js");
  const random = stream(foldIn(key, 0));
  const umap = new UMAP({ nComponents, nNeighbors, minDist, random });
  umap.setPrecomputedKNN(indices, distances);
  const total = umap.initializeFit(indices.map(() => [])); // neighbours are given: rows are only counted
  let pause = performance.now() + PAUSE_MS;
  for (let epoch = 1; epoch <= total; epoch++) {
    umap.step();
    onProgress?.({ stage: "umap", done: epoch, total });
    if (performance.now() < pause) continue;
    await new Promise((resolve) => setTimeout(resolve)); // lets an interruption in
    signal?.throwIfAborted();
    pause = performance.now() + PAUSE_MS;
  }
  const embedding = hostMatrix(umap.getEmbedding().flat(), [n, nComponents]);
  return new FittedUmap(rows, embedding, { nNeighbors, metric, gpu });
}

/** Ends of each axis of an embedding that become 0 and 255. */
export interface ColorRange {
  /** `[3]` */
  readonly low: readonly number[];
  /** `[3]` */
  readonly high: readonly number[];
}

/** Shares of the points below and above what colours tell apart. */
const ROBUST: readonly [low: number, high: number] = [0.02, 0.98];

/**
 * Colours of a three-dimensional embedding: its axes are red, green and blue, from the 2nd to the 98th percentile of each. Give the range
 * of one embedding to another, as that of the cortex to the patches of images, and equal places have equal colours.
 *
 * @param embedding `[n, 3]`
 * @returns RGB bytes `[n, 3]` and the range; an axis without extent becomes mid grey
 * @throws {InputError} when there are not three axes, or no points to take a range from
 */
export function embeddingColors(
  { data, shape: [n, axes] }: HostMatrix,
  range?: ColorRange,
): { readonly rgb: Uint8Array<ArrayBuffer>; readonly range: ColorRange } {
  if (axes !== 3 || (n === 0 && !range)) {
    throw new InputError(
      `Cannot colour an embedding [${n},${axes}]: it must have three axes, and points`,
    );
  }
  const sorted = (axis: number) =>
    Float64Array.from({ length: n }, (_, i) => data[i * 3 + axis]).sort();
  const ends = ROBUST.map((share) => [0, 1, 2].map((axis) => quantileOf(sorted(axis), share)));
  const used = range ?? { low: ends[0], high: ends[1] };
  const rgb = Uint8Array.from(data, (value, at) => {
    const low = used.low[at % 3], extent = used.high[at % 3] - low;
    if (!(extent > 0)) return 128;
    return Math.round(255 * Math.max(0, Math.min(1, (value - low) / extent)));
  });
  return { rgb, range: used };
}
