import type { Gpu } from "../../engine/gpu.ts";
import { eighHost } from "../../engine/ops/eigh.ts";
import { eighTopK } from "../../engine/ops/eigh_top.ts";
import { div, full, maximum, sqrt } from "../../engine/ops/elementwise.ts";
import { gram } from "../../engine/ops/gram.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { type Key, randomKey } from "../../engine/random.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import type { LongCall } from "../encoding/linear_model.ts";
import { InputError } from "../errors.ts";
import type { Affinity } from "./affinity.ts";
import type { NodeSource } from "./node_source.ts";
import { nodeChunks, type PassOptions, type RowMap } from "./row_map.ts";

/** Options of {@link cutByFeatures}. */
export interface FeatureCutOptions extends LongCall {
  /** Eigenvectors, the trivial first among them. */
  readonly nEig: number;
  /** Rows that it cannot compare are refused. */
  readonly affinity: Affinity;
  /** Randomness of the eigensolver's first subspace. */
  readonly key?: Key;
  /** Rows on the device at once. */
  readonly chunkSize?: number;
  /** Features of nodes that are kept between the passes, in bytes; without room they are computed anew. */
  readonly cacheBytes?: number;
}

/** What turns features into eigenvectors; arrays of the host. */
export interface FeatureTurn {
  /** Sum of the features of all nodes, `[width]`: a degree is a product with it. */
  readonly total: Float32Array<ArrayBuffer>;
  /** Least degree. */
  readonly floor: number;
  /** `V·Λ^−½`, `[width, nEig]`. */
  readonly turn: Float32Array<ArrayBuffer>;
}

// Of the mean degree: below it a degree is rounding or chance of the approximation. Affinities of one graph rarely differ so much.
const LEAST_DEGREE = 1e-3;
const LEAST_EIGENVALUE = 1e-9; // of the first: below it vectors are rounding
const CACHE_BYTES = 2 ** 30;

/** Eigenvectors of nodes by their features, divided by the root of the degree and turned. */
export class FeatureEmbedding implements RowMap {
  /** Eigenvectors. */
  readonly width: number;
  readonly #features: RowMap;
  readonly #degrees: Degrees;
  readonly #turn: Tensor;

  /** Uploads a turn; the features are owned from here on. */
  constructor(gpu: Gpu, features: RowMap, { total, floor, turn }: FeatureTurn) {
    this.width = turn.length / features.width;
    this.#features = features;
    this.#degrees = {
      total: Tensor.from(gpu, total, [features.width, 1]),
      floor: Tensor.from(gpu, [floor], [1]),
    };
    this.#turn = Tensor.from(gpu, turn, [features.width, this.width]);
  }

  /** `[n, d]` → `[n, nEig]` */
  apply(x: Tensor): Tensor {
    return tidy(x.gpu, () => this.ofFeatures(this.#features.apply(x)));
  }

  /** Of features `[n, width]` that are there already. */
  ofFeatures(z: Tensor): Tensor {
    return tidy(z.gpu, () => matmul(scaledRows(z, this.#degrees), this.#turn));
  }

  /** Gives its memory and that of the features back. */
  [Symbol.dispose](): void {
    this.#features[Symbol.dispose]();
    [this.#degrees.total, this.#degrees.floor, this.#turn].forEach((t) => t.dispose());
  }
}

interface Degrees {
  /** Sum of all features, `[width, 1]`. */
  readonly total: Tensor;
  /** Least degree, `[1]`. */
  readonly floor: Tensor;
}

/** `z / √degree`, the degree being `z·total`. */
function scaledRows(z: Tensor, { total, floor }: Degrees): Tensor {
  return div(z, sqrt(maximum(matmul(z, total), floor)));
}

/** Features of all nodes, kept where there is room. */
class FeaturePass implements Disposable {
  readonly #kept: Tensor[] = [];
  readonly #keeps: boolean;

  constructor(
    private readonly gpu: Gpu,
    private readonly source: NodeSource,
    private readonly features: RowMap,
    private readonly options: PassOptions,
    cacheBytes: number,
  ) {
    this.#keeps = 4 * source.shape[0] * features.width <= cacheBytes;
  }

  async *chunks(stage: string): AsyncGenerator<Tensor> {
    if (this.#kept.length > 0) return yield* this.#kept;
    // Rows are looked at in the first pass only.
    const options = { ...this.options, stage };
    for await (const { x } of nodeChunks(this.gpu, this.source, options)) {
      const z = tidy(this.gpu, () => this.features.apply(x));
      if (this.#keeps) {
        this.#kept.push(z);
        yield z;
        continue;
      }
      try {
        yield z;
      } finally {
        z.dispose();
      }
    }
  }

  [Symbol.dispose](): void {
    this.#kept.forEach((z) => z.dispose());
  }
}

/** Column sums of the features in float64, `[width]`. */
async function totalOf(pass: FeaturePass, width: number): Promise<Float64Array<ArrayBuffer>> {
  const total = new Float64Array(width);
  for await (const z of pass.chunks("degrees")) {
    using part = tidy(z.gpu, () => sum(z, { axes: [0] }));
    (await part.data() as Float32Array).forEach((value, i) => total[i] += value);
  }
  return total;
}

/** `ẐᵀẐ` and the column sums of Ẑ, the features divided by the roots of the degrees. */
async function productsOf(
  gpu: Gpu,
  pass: FeaturePass,
  width: number,
  degrees: Degrees,
): Promise<{ readonly products: Tensor; readonly sums: Float64Array<ArrayBuffer> }> {
  const sums = new Float64Array(width);
  let products = full(gpu, [width, width], 0);
  try {
    for await (const z of pass.chunks("Gram matrix")) {
      const from = products;
      const grown = tidy(gpu, () => {
        const scaled = scaledRows(z, degrees);
        const part = sum(scaled, { axes: [0] });
        return { part, products: gram(scaled, { transpose: true, residual: from }) };
      });
      from.dispose();
      products = grown.products;
      using part = grown.part;
      (await part.data() as Float32Array).forEach((value, i) => sums[i] += value);
    }
  } catch (cause) {
    products.dispose();
    throw cause;
  }
  return { products, sums };
}

/** The leading eigenvectors of a graph by features of its nodes. */
export class FeatureCut implements Disposable {
  /** @internal */
  constructor(
    /** Descending, `[nEig]`. */
    readonly eigval: Float64Array<ArrayBuffer>,
    /** `‖G·v − λ·v‖ / λ₁` of the Gram matrix of the features. */
    readonly residuals: Float64Array<ArrayBuffer>,
    /** What makes the same map again. */
    readonly turn: FeatureTurn,
    /** Nodes to their rows of the eigenvectors. */
    readonly map: FeatureEmbedding,
    private readonly pass: FeaturePass,
  ) {}

  /** Rows of the eigenvectors, piece by piece, from features that were kept where there was room. */
  async *chunks(): AsyncGenerator<Float32Array<ArrayBuffer>> {
    for await (const z of this.pass.chunks("eigenvectors")) {
      using rows = tidy(z.gpu, () => this.map.ofFeatures(z));
      yield await rows.data() as Float32Array<ArrayBuffer>;
    }
  }

  /** Gives all memory back, that of the features too. */
  [Symbol.dispose](): void {
    this.pass[Symbol.dispose]();
    this.map[Symbol.dispose]();
  }
}

/**
 * The normalised cut of a graph whose affinities are products of features, A ≈ Z·Zᵀ: degrees are z·Σz, and the leading eigenvectors of
 * D^−½·Z·Zᵀ·D^−½ are Ẑ·V·Λ^−½ with those of the small ẐᵀẐ = V·Λ·Vᵀ, Ẑ = D^−½·Z. They are orthonormal over all nodes, need no
 * matrix of nodes, and three passes over the nodes find them: degrees, Gram matrix, eigenvectors.
 *
 * Features that are random may make a degree that is not positive: it is taken as a thousandth of the mean degree. Where they make
 * affinities that are negative, eigenvalues may exceed 1.
 *
 * @param features nodes `[n, d]` to `[n, width]`; owned by the result
 * @throws {InputError} when there are more eigenvectors than features or nodes, or a node cannot be compared
 */
export async function cutByFeatures(
  gpu: Gpu,
  source: NodeSource,
  features: RowMap,
  options: FeatureCutOptions,
): Promise<FeatureCut> {
  const { nEig, key = randomKey(0), cacheBytes = CACHE_BYTES, ...passOptions } = options;
  const pass = new FeaturePass(gpu, source, features, passOptions, cacheBytes);
  try {
    const { width } = features, most = Math.min(source.shape[0], width);
    if (!(Number.isInteger(nEig) && nEig >= 1 && nEig <= most)) {
      throw new InputError(
        `Cannot find ${nEig} eigenvectors of ${
          source.shape[0]
        } nodes by ${width} features: there must be from 1 to ${most}`,
      );
    }
    const sums = await totalOf(pass, width);
    const mean = sums.reduce((all, value) => all + value * value, 0) / source.shape[0];
    const total = Float32Array.from(sums), floor = LEAST_DEGREE * mean;
    using totalOn = Tensor.from(gpu, total, [width, 1]);
    using floorOn = Tensor.from(gpu, [floor], [1]);
    const degrees = { total: totalOn, floor: floorOn };
    const { products, sums: scaledSums } = await productsOf(gpu, pass, width, degrees);
    using whole = products;
    const { values, vectors, residuals } = await leading(whole, nEig, {
      key,
      signal: options.signal,
    });
    const rank = values.filter((value) => value > LEAST_EIGENVALUE * values[0]).length;
    if (rank < nEig) {
      throw new InputError(
        `Cannot find ${nEig} eigenvectors: the features of the nodes have rank ${rank}`,
      );
    }
    const turn = { total, floor, turn: turned(vectors, values, scaledSums) };
    return new FeatureCut(values, residuals, turn, new FeatureEmbedding(gpu, features, turn), pass);
  } catch (cause) {
    pass[Symbol.dispose]();
    features[Symbol.dispose]();
    throw cause;
  }
}

interface Leading {
  readonly values: Float64Array<ArrayBuffer>;
  /** `[width, nEig]` */
  readonly vectors: Float64Array<ArrayBuffer>;
  readonly residuals: Float64Array<ArrayBuffer>;
}

const DENSE_WIDTH = 384; // up to which all eigenvectors on the host are found faster than the leading ones on the device

/** The leading eigenvectors of a Gram matrix `[width, width]`, on the host. */
async function leading(
  gram: Tensor,
  nEig: number,
  { key, signal }: { readonly key: Key; readonly signal?: AbortSignal },
): Promise<Leading> {
  const [width] = gram.shape;
  if (width > DENSE_WIDTH) {
    const solver = { tolerance: 1e-6, iterations: 60, key, signal };
    const { values, vectors, residuals } = await eighTopK(gram, nEig, solver);
    using v = vectors;
    return { values, vectors: Float64Array.from(await v.data()), residuals };
  }
  const g = await gram.data(), all = eighHost(g, width);
  const values = all.values.slice(width - nEig).reverse();
  const vectors = new Float64Array(width * nEig);
  vectors.forEach((_, at) => {
    vectors[at] = all.vectors[Math.floor(at / nEig) * width + width - 1 - at % nEig];
  });
  const residuals = new Float64Array(nEig);
  for (let i = 0; i < width; i++) {
    for (let c = 0; c < nEig; c++) {
      let sum = -values[c] * vectors[i * nEig + c];
      for (let j = 0; j < width; j++) sum += g[i * width + j] * vectors[j * nEig + c];
      residuals[c] += sum * sum;
    }
  }
  return { values, vectors, residuals: residuals.map((r) => Math.sqrt(r) / values[0]) };
}

/** `V·Λ^−½`, columns with the sign that makes their sum over the nodes positive. */
function turned(
  vectors: Float64Array,
  values: Float64Array,
  sums: Float64Array,
): Float32Array<ArrayBuffer> {
  const k = values.length, width = vectors.length / k;
  const turn = new Float32Array(vectors.length);
  for (let c = 0; c < k; c++) {
    let along = 0;
    for (let i = 0; i < width; i++) along += vectors[i * k + c] * sums[i];
    const factor = (along < 0 ? -1 : 1) / Math.sqrt(Math.max(values[c], Number.MIN_VALUE));
    for (let i = 0; i < width; i++) turn[i * k + c] = vectors[i * k + c] * factor;
  }
  return turn;
}
