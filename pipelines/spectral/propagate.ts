import type { Gpu } from "../../engine/gpu.ts";
import {
  add,
  addScalar,
  div,
  exp,
  full,
  maximum,
  mul,
  scale,
  sqrt,
  square,
  sub,
} from "../../engine/ops/elementwise.ts";
import { gather } from "../../engine/ops/gather.ts";
import { productTopK, rowTopK, weightedRows } from "../../engine/ops/neighbors.ts";
import { mean, normalize, sum } from "../../engine/ops/reduce.ts";
import { slice } from "../../engine/ops/shape.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import type { HostMatrix } from "../encoding/host_matrix.ts";
import type { LongCall } from "../encoding/linear_model.ts";
import { InputError } from "../errors.ts";
import { type Affinity, affinityMatrix, comparesDirections } from "./affinity.ts";
import { nodesOf, type NodeSource, requireRows } from "./node_source.ts";
import { inRowPieces, mapNodes, type RowMap } from "./row_map.ts";

/**
 * What the values of the K nearest landmarks are weighted by: `affinity`, affinities over their sum (ncut_pytorch v1); `degree`, affinities
 * over the sum of the landmarks' degrees, their mean affinities among each other (v3: weights do not sum to 1, and shrink far from all
 * landmarks); `cosine`, cosines over their sum (August 2024), neighbours by cosine.
 */
export type PropagationWeights = "affinity" | "degree" | "cosine";

/** Options of {@link Propagator} and {@link propagate}. */
export interface PropagateOptions {
  /** What neighbours are near by. */
  readonly affinity: Affinity;
  /** Landmarks that a node takes its values from. */
  readonly nNeighbors?: number;
  /** What they are weighted by. */
  readonly weights?: PropagationWeights;
}

const NEVER = 3e38; // a shift that keeps a padding row out

/**
 * Values of landmarks, carried to any node from its nearest landmarks: eigenvectors, colours or coordinates. Distances are by products of
 * rows less the mean landmark, as `squaredDistances`. With one neighbour a landmark has its own values.
 */
export class Propagator implements RowMap {
  /** Columns of the values. */
  readonly width: number;
  readonly #landmarks: Tensor;
  readonly #centre: Tensor;
  readonly #shift: Tensor;
  readonly #values: Tensor;
  readonly #degree?: Tensor;
  readonly #nNeighbors: number;
  readonly #weights: PropagationWeights;
  readonly #affinity: Affinity;

  /**
   * Uploads landmarks and values.
   *
   * @param landmarks `[m, d]`
   * @param values `[m, v]`
   * @throws {InputError} when the rows differ in number, there are fewer landmarks than neighbours, or a row has no direction or is not finite
   */
  constructor(
    gpu: Gpu,
    landmarks: HostMatrix,
    values: HostMatrix,
    { affinity, nNeighbors = 10, weights = "affinity" }: PropagateOptions,
  ) {
    const [m, d] = landmarks.shape, v = values.shape[1];
    if (values.shape[0] !== m || v < 1) {
      throw new InputError(
        `Cannot propagate values [${values.shape}] of landmarks [${landmarks.shape}]: the rows must be as many`,
      );
    }
    if (!(Number.isInteger(nNeighbors) && nNeighbors >= 1 && nNeighbors <= m)) {
      throw new InputError(
        `Cannot propagate from ${nNeighbors} neighbours: there must be from 1 to ${m}, the number of landmarks`,
      );
    }
    const compared: Affinity = weights === "cosine" ? { kind: "cosine", gamma: 1 } : affinity;
    requireRows(landmarks.data, { width: d, firstRow: 0, affinity: compared });
    this.width = v;
    this.#nNeighbors = nNeighbors;
    this.#weights = weights;
    this.#affinity = affinity;
    const rows = 4 * Math.ceil(m / 4), columns = 4 * Math.ceil(v / 4);
    const made = tidy(gpu, () => {
      const own = Tensor.from(gpu, landmarks.data, [m, d]);
      const near = this.#directed ? normalize(own, { eps: 0 }) : own;
      const centre = this.#directed
        ? full(gpu, [1, d], 0)
        : mean(near, { axes: [0], keepDims: true });
      const centred = this.#directed ? near : sub(near, centre);
      const half = scale(sum(square(centred), { axes: [1] }), 0.5);
      return {
        ...{ centre, landmarks: paddedRows(centred, rows, 0) },
        shift: paddedRows(
          affinity.kind === "custom" && weights !== "cosine"
            ? full(gpu, [m, 1], 0)
            : half.reshape([m, 1]),
          rows,
          NEVER,
        ).reshape([rows]),
        degree: weights === "degree"
          ? paddedRows(
            mean(affinityMatrix(own, own, affinity), { axes: [1], keepDims: true }),
            rows,
            0,
          )
          : undefined,
        values: Tensor.from(gpu, widened(values, columns), [m, columns]),
      };
    });
    this.#landmarks = made.landmarks;
    this.#centre = made.centre;
    this.#shift = made.shift;
    this.#degree = made.degree;
    this.#values = made.values;
  }

  get #directed(): boolean {
    return this.#weights === "cosine" || comparesDirections(this.#affinity);
  }

  /**
   * Values of nodes on the device.
   *
   * @param x `[n, d]`
   * @returns `[n, v]`
   */
  apply(x: Tensor): Tensor {
    return inRowPieces(x, this.#landmarks.shape[0], (x) =>
      tidy(x.gpu, () => {
        const { indices, weights } = this.#neighbours(x);
        const all = weightedRows(this.#values, indices, weights);
        return slice(all, { axis: 1, start: 0, end: this.width });
      }));
  }

  #neighbours(x: Tensor): { indices: Tensor; weights: Tensor } {
    const k = this.#nNeighbors;
    if (this.#affinity.kind === "custom" && this.#weights !== "cosine") {
      const { values, indices } = rowTopK(
        affinityMatrix(x, this.#landmarks, this.#affinity),
        this.#shift,
        k,
      );
      return { indices, weights: this.#divided(values, indices) };
    }
    const near = this.#directed ? normalize(x, { eps: 0 }) : sub(x, this.#centre);
    const { values, indices } = productTopK(near, this.#landmarks, this.#shift, k);
    if (this.#weights === "cosine") { // of unit vectors the score is the cosine less a half
      const cosines = addScalar(values, 0.5);
      return { indices, weights: div(cosines, sum(cosines, { axes: [1], keepDims: true })) };
    }
    const own = sum(square(near), { axes: [1], keepDims: true });
    const squares = maximum(sub(own, scale(values, 2)), full(x.gpu, [1], 0)); // [n, k]
    return { indices, weights: this.#divided(this.#affinities(squares), indices) };
  }

  /** Affinities by squared distance; where only their ratios count, over that of the nearest, which then is 1 and never 0. */
  #affinities(squares: Tensor): Tensor {
    const affinity = this.#affinity;
    if (affinity.kind === "custom") throw new Error("A custom affinity has no formula");
    if (affinity.kind === "squared-cosine") {
      return addScalar(exp(scale(square(squares), -0.125 / affinity.sigma ** 2)), 1e-3);
    }
    const exponent = affinity.kind === "rbf"
      ? scale(squares, -0.5 / affinity.sigma ** 2)
      : affinity.kind === "cosine"
      ? scale(squares, -0.5 / affinity.gamma)
      : scale(sqrt(squares), -1 / affinity.gamma);
    if (this.#weights === "degree") return exp(exponent);
    return exp(sub(exponent, slice(exponent, { axis: 1, start: 0, end: 1 })));
  }

  #divided(weights: Tensor, indices: Tensor): Tensor {
    const [n, k] = weights.shape;
    const by = this.#degree ? gather(this.#degree, indices).reshape([n, k]) : weights;
    return div(weights, sum(by, { axes: [1], keepDims: true }));
  }

  /** Gives the landmarks' memory back. */
  [Symbol.dispose](): void {
    for (
      const t of [this.#landmarks, this.#centre, this.#shift, this.#values, this.#degree]
    ) t?.dispose();
  }
}

/** Further rows of one value. */
function paddedRows(x: Tensor, rows: number, value: number): Tensor {
  const [m, d] = x.shape;
  if (rows === m) return x;
  const wide = full(x.gpu, [rows, d], value), flags = new Float32Array(rows).fill(1, 0, m);
  const keeps = Tensor.from(x.gpu, flags, [rows, 1]);
  const at = gather(x, Uint32Array.from({ length: rows }, (_, i) => Math.min(i, m - 1)));
  return add(mul(at, keeps), mul(wide, sub(full(x.gpu, [1], 1), keeps)));
}

function widened({ data, shape: [m, v] }: HostMatrix, columns: number): Float32Array<ArrayBuffer> {
  if (columns === v) return data;
  const wide = new Float32Array(m * columns);
  for (let i = 0; i < m; i++) wide.set(data.subarray(i * v, (i + 1) * v), i * columns);
  return wide;
}

/**
 * Carries values of landmarks to nodes, piece by piece.
 *
 * @param nodes `[n, d]`, or a source that reads them
 * @param landmarks `[m, d]`
 * @param values `[m, v]`: eigenvectors, colours, coordinates
 * @returns `[n, v]`
 * @throws {InputError} as {@link Propagator}, or naming a node that cannot be compared
 */
export async function propagate(
  gpu: Gpu,
  nodes: HostMatrix | NodeSource,
  landmarks: HostMatrix,
  values: HostMatrix,
  { chunkSize, signal, onProgress, ...options }:
    & PropagateOptions
    & LongCall
    & { readonly chunkSize?: number },
): Promise<HostMatrix> {
  using map = new Propagator(gpu, landmarks, values, options);
  const affinity: Affinity = options.weights === "cosine"
    ? { kind: "cosine", gamma: 1 }
    : options.affinity;
  return await mapNodes(gpu, nodesOf(nodes), map, { affinity, chunkSize, signal, onProgress });
}
