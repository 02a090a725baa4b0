/**
 * Do networks agree? Patches, labels, maps and subspaces of two models, or of two runs, side by side.
 *
 * @module
 */
import { patchCosines, unitPatches } from "../encoding/alignment/patch_cosines.ts";
import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import { multiply, productsOf } from "../encoding/host_products.ts";
import { InputError } from "../errors.ts";
import { assignRows } from "../stats/assignment.ts";
import { adjustedRandIndex } from "../stats/partitions.ts";
import type { GraphSlice, JointGraph } from "./joint_graph.ts";

/** Cosines of patches of two models. */
export interface PatchCosine {
  /** Mean cosine of a patch with itself in the other model. */
  readonly same: number;
  /** Mean cosine with all other patches. */
  readonly other: number;
  /** Difference of the two: what alignment should raise. */
  readonly margin: number;
}

function requireSame(a: HostMatrix, b: HostMatrix, what: string): void {
  if (`${a.shape}` === `${b.shape}` && a.shape[0] >= 2) return;
  throw new InputError(
    `Cannot compare ${what} [${a.shape}] and [${b.shape}]: they must have one shape, with two rows or more`,
  );
}

/**
 * Cosine of the same patch in two models, beside that of different patches: all pairs, by sums of unit rows.
 *
 * @param a `[nPatches, width]`
 * @param b the same patches in another model, `[nPatches, width]`
 * @throws {InputError} when shapes differ, or a row has no direction
 */
export function samePatchCosine(a: HostMatrix, b: HostMatrix): PatchCosine {
  requireSame(a, b, "patches");
  const [n, width] = a.shape;
  for (const { data } of [a, b]) {
    for (let i = 0; i < n; i++) {
      const length = Math.hypot(...data.subarray(i * width, (i + 1) * width));
      if (length > 0 && length < Infinity) continue;
      throw new InputError(`Cannot compare patches: row ${i} has no direction`);
    }
  }
  // Each patch an image of its own: those of other images are all others.
  const { same, other } = patchCosines(unitPatches(a, n), unitPatches(b, n));
  const [own, others] = [same, other].map((v) => v.reduce((sum, value) => sum + value, 0) / n);
  return { same: own, other: others, margin: own - others };
}

/** Agreement of two layers of a joint graph. */
export interface SliceAgreement extends PatchCosine {
  /** Adjusted Rand index of the joint labels. */
  readonly ari: number;
}

/**
 * Agreement of two layers of a joint graph, of two models or of one, over the same patches.
 *
 * @param labels concept of each node, `[nNodes]`
 * @throws {InputError} when they differ in images or grid, or a node has no direction
 */
export function compareSlices(
  graph: JointGraph,
  labels: ArrayLike<number>,
  [a, b]: readonly [GraphSlice, GraphSlice],
): SliceAgreement {
  if (a.nImages !== b.nImages || `${a.grid}` !== `${b.grid}`) {
    throw new InputError(
      `Cannot compare ${a.model}.${a.layer} of ${a.nImages} images of ${a.grid} with ${b.model}.${b.layer} of ` +
        `${b.nImages} of ${b.grid}: they must have the same patches`,
    );
  }
  const [x, y] = [a, b].map(({ start, end }) =>
    hostMatrix(graph.readRows(start, end), [end - start, graph.shape[1]])
  );
  const [p, q] = [a, b].map(({ start, end }) =>
    Array.prototype.slice.call(labels, start, end) as number[]
  );
  return { ...samePatchCosine(x, y), ari: adjustedRandIndex(p, q) };
}

/** Agreement of two models in a layer. */
export interface ModelAgreement extends SliceAgreement {
  /** The two models. */
  readonly models: readonly [number | string, number | string];
  /** The layer of both. */
  readonly layer: number;
}

/**
 * Agreement of every two models in every layer that both have.
 *
 * @param labels concept of each node of the joint graph, `[nNodes]`
 * @throws {InputError} as {@link compareSlices} says
 */
export function modelAgreement(graph: JointGraph, labels: ArrayLike<number>): ModelAgreement[] {
  return graph.slices.flatMap((a, i) =>
    graph.slices.slice(i + 1).filter((b) => b.layer === a.layer && b.model !== a.model).map((
      b,
    ) => ({
      ...{ models: [a.model, b.model] as const, layer: a.layer },
      ...compareSlices(graph, labels, [a, b]),
    }))
  );
}

/** Concepts of two cuts that belong together. */
export interface ConceptMatch {
  /** The concept of the second cut of each of the first, −1 where none is left. */
  readonly partner: Int32Array<ArrayBuffer>;
  /** Similarity of each pair, NaN without partner. */
  readonly similarity: Float64Array<ArrayBuffer>;
  /** Mean similarity of the pairs. */
  readonly mean: number;
}

/** Rows of unit length, after their mean is taken off where they are correlated. */
function normalized({ data, shape: [n, width] }: HostMatrix, centre: boolean): Float64Array {
  const out = Float64Array.from(data);
  for (let i = 0; i < n; i++) {
    const row = out.subarray(i * width, (i + 1) * width);
    const mean = centre ? row.reduce((sum, value) => sum + value, 0) / width : 0;
    row.forEach((value, c) => row[c] = value - mean);
    const length = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0)) || 1;
    row.forEach((value, c) => row[c] = value / length);
  }
  return out;
}

/**
 * Matches concepts of two cuts one to one so that the sum of their similarities is greatest (the Hungarian assignment).
 *
 * @param a channel means or voxel maps of the concepts of one model, `[nConcepts, width]`
 * @param b of the other, `[nConcepts′, width]`
 * @param options correlation suits voxel maps, cosine channel means
 * @throws {InputError} when widths differ or a value is not finite
 */
export function matchConcepts(
  a: HostMatrix,
  b: HostMatrix,
  { by = "correlation" }: { readonly by?: "correlation" | "cosine" } = {},
): ConceptMatch {
  const [n, width] = a.shape, [m, other] = b.shape;
  if (width !== other || n === 0 || m === 0) {
    throw new InputError(
      `Cannot match concepts [${a.shape}] and [${b.shape}]: there must be some, of one width`,
    );
  }
  const [x, y] = [a, b].map((rows) => normalized(rows, by === "correlation"));
  const similar = new Float64Array(n * m);
  for (let at = 0; at < similar.length; at++) {
    const i = Math.floor(at / m), j = at % m;
    for (let c = 0; c < width; c++) similar[at] += x[i * width + c] * y[j * width + c];
  }
  const partner = assignRows(similar, [n, m], { maximize: true });
  const similarity = Float64Array.from(partner, (j, i) => j < 0 ? NaN : similar[i * m + j]);
  const pairs = similarity.filter((value) => !Number.isNaN(value));
  return { partner, similarity, mean: pairs.reduce((sum, r) => sum + r, 0) / pairs.length };
}

/** Orthonormal columns of the same span, `[n, k]`, by Gram and Schmidt in float64, twice each. */
function orthonormal({ data, shape: [n, k] }: HostMatrix): Float64Array[] {
  const columns: Float64Array[] = [];
  for (let j = 0; j < k; j++) {
    const column = Float64Array.from({ length: n }, (_, i) => data[i * k + j]);
    const before = Math.sqrt(column.reduce((s, v) => s + v * v, 0));
    for (let pass = 0; pass < 2; pass++) {
      for (const q of columns) {
        const along = q.reduce((sum, value, i) => sum + value * column[i], 0);
        q.forEach((value, i) => column[i] -= along * value);
      }
    }
    const length = Math.sqrt(column.reduce((s, v) => s + v * v, 0));
    if (!(length > 1e-6 * before)) {
      throw new InputError(`Cannot span a space: column ${j} depends on those before`);
    }
    columns.push(column.map((value) => value / length));
  }
  return columns;
}

/**
 * Distance of the spans of two sets of eigenvectors, `‖P₁ − P₂‖_F / √(2k)`: 0 for the same space, 1 for orthogonal ones, whatever signs and
 * rotations.
 *
 * @param a `[n, k]`
 * @param b `[n, k]`
 * @throws {InputError} when shapes differ, or columns depend on each other
 */
export function projectorDistance(a: HostMatrix, b: HostMatrix): number {
  requireSame(a, b, "eigenvectors");
  const [p, q] = [orthonormal(a), orthonormal(b)], k = a.shape[1];
  let overlap = 0; // ‖P₁ − P₂‖² = 2k − 2‖QᵀQ′‖²
  for (const u of p) {
    for (const v of q) overlap += u.reduce((sum, value, i) => sum + value * v[i], 0) ** 2;
  }
  return Math.sqrt(Math.max(0, 1 - overlap / k));
}

/**
 * Linear centred kernel alignment (Kornblith et al. 2019) of two sets of features of the same samples, 0 to 1: invariant to rotations and to
 * one scale, not to any linear map.
 *
 * @param a `[n, width]`
 * @param b `[n, width′]`
 * @throws {InputError} when samples differ in number or there are fewer than two
 */
export function linearCka(a: HostMatrix, b: HostMatrix): number {
  const [n] = a.shape;
  if (n !== b.shape[0] || n < 2) {
    throw new InputError(
      `Cannot align [${a.shape}] and [${b.shape}]: they must have the same samples, two or more`,
    );
  }
  const [x, y] = [a, b].map(({ data, shape: [, width] }) => {
    const mean = new Float64Array(width);
    data.forEach((value, at) => mean[at % width] += value / n);
    return Float64Array.from(data, (value, at) => value - mean[at % width]);
  });
  const square = (values: Float64Array) => values.reduce((sum, value) => sum + value * value, 0);
  const [p, q] = [a.shape[1], b.shape[1]];
  const across = multiply(transposed(x, p), y, [p, n, q]);
  const own = square(productsOf(x, [n, p], { transpose: true }));
  return square(across) / Math.sqrt(own * square(productsOf(y, [n, q], { transpose: true })));
}

function transposed(x: Float64Array, width: number): Float64Array {
  const n = x.length / width;
  return Float64Array.from(x, (_, at) => x[(at % n) * width + Math.floor(at / n)]);
}
