import type { Gpu } from "../../engine/gpu.ts";
import { mul, scale, square, sub } from "../../engine/ops/elementwise.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { putBlock } from "../../engine/ops/matrix.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { concat, transpose } from "../../engine/ops/shape.ts";
import { readAll, Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import { type Affinity, affinityMatrix, requireNodes } from "./affinity.ts";

/** Options of {@link featureGraph} and {@link affinityGraph}. */
export interface GraphOptions {
  /** Bytes of a panel of rows; at most a binding of the adapter. */
  readonly panelBytes?: number;
  /** Stops between two panels. */
  readonly signal?: AbortSignal;
}

/** Rows of affinities `start` to `end` as `[end − start, n]`; the caller owns them. @internal */
export type AffinityRows = (start: number, end: number) => Tensor;

const PANEL_BYTES = 2 ** 25; // several are in memory at once while one is made
const DEGREE_FLOOR = 1e-8; // ncut_pytorch v3, utils/math.py
const ASYMMETRY = 1e-3; // of a degree: above what f32 leaves of sums in another order

/**
 * The normalised matrix S = D^−½·A·D^−½ of a graph, in panels of rows on the device, less its known first eigenvector: S·u = u for
 * u = √(D/ΣD), so the panels hold S − u·uᵀ. Affinities near 1 leave it entries far smaller than those of S, which f32 then resolves.
 */
export class NormalizedGraph implements Disposable {
  /** The device. */
  readonly gpu: Gpu;
  /** Nodes. */
  readonly n: number;
  /** Sums of the affinities of each node, with itself too, at least 10⁻⁸. */
  readonly degree: Float64Array<ArrayBuffer>;
  /** `[n, 1]`: the eigenvector u of eigenvalue 1. */
  readonly trivial: Tensor;
  /** The Frobenius norm of S − u·uᵀ: no other eigenvalue is larger. */
  readonly bound: number;
  readonly #panels: readonly Tensor[];

  /** @internal Use {@link featureGraph} or {@link affinityGraph}. */
  constructor(
    panels: readonly Tensor[],
    { trivial, degree, bound }: Pick<NormalizedGraph, "trivial" | "degree" | "bound">,
  ) {
    this.gpu = trivial.gpu;
    this.n = degree.length;
    this.degree = degree;
    this.trivial = trivial;
    this.bound = bound;
    this.#panels = panels;
  }

  /** (S − u·uᵀ)·q, `q: [n, b]` → `[n, b]`. */
  applyRest(q: Tensor): Tensor {
    return tidy(this.gpu, () => {
      const parts = this.#panels.map((panel) => matmul(panel, q));
      return parts.length === 1 ? parts[0] : concat(parts);
    });
  }

  /**
   * The product with S on the vectors orthogonal to u, and with −`bound` on u itself, so that u comes last. `q: [n, b]` → `[n, b]`.
   */
  applyOutside(q: Tensor): Tensor {
    return tidy(this.gpu, () => {
      const along = matmul(this.trivial, q, { transposeA: true }); // [1, b]
      const y = this.applyRest(sub(q, matmul(this.trivial, along)));
      const drift = matmul(this.trivial, y, { transposeA: true });
      return sub(y, matmul(this.trivial, sub(drift, scale(along, -this.bound))));
    });
  }

  /** The matrix of {@link applyOutside}, `[n, n]`; the caller owns it. */
  matrixOutside(): Tensor {
    return tidy(this.gpu, () => {
      const rest = this.#panels.length === 1 ? this.#panels[0] : concat(this.#panels);
      const u = this.trivial, row = transpose(u);
      const drift = matmul(rest, u); // [n, 1], rounding only
      const level = matmul(u, drift, { transposeA: true }); // [1, 1]
      const inner = sub(drift, mul(u, scale(sub(level, full1(this.gpu, this.bound)), 0.5)));
      return sub(sub(rest, mul(inner, row)), mul(u, transpose(inner)));
    });
  }

  /** Gives the panels up. */
  [Symbol.dispose](): void {
    this.#panels.forEach((panel) => panel.dispose());
    this.trivial.dispose();
  }
}

const full1 = (gpu: Gpu, value: number): Tensor => Tensor.from(gpu, [value], [1, 1]);

/**
 * The graph of nodes `x: [n, d]` under an affinity. Duplicate nodes are allowed; parts without affinity between them give the eigenvalue 1
 * as often as there are parts.
 *
 * @throws {InputError} for rows as {@link requireNodes}, and as {@link affinityGraph}
 */
export async function featureGraph(
  x: Tensor,
  affinity: Affinity,
  options: GraphOptions = {},
): Promise<NormalizedGraph> {
  await requireNodes(x, affinity);
  const [n, d] = x.shape;
  const rows = (start: number, end: number) =>
    tidy(x.gpu, () => {
      if (start === 0 && end === n) {
        const all = x.detach();
        return affinityMatrix(all, all, affinity);
      }
      const part = x.alias([end - start, d], start * d);
      const panel = affinityMatrix(part, x.detach(), affinity);
      if (affinity.kind === "custom") return panel;
      // Within one tensor, nodes have affinity 1 with themselves to the last bit.
      const own = affinityMatrix(part, part, affinity).reshape([1, end - start, end - start]);
      putBlock(own, panel.alias([1, end - start, n]), { row: 0, col: start });
      return panel;
    });
  return await graphOf(x.gpu, n, rows, options);
}

/**
 * The graph of affinities `a: [n, n]`. They may be negative or not positive semi-definite, which is only as good as it is meant: a cut
 * takes the largest eigenvalues with their sign, and eigenvalues above 1 exist where affinities are negative.
 *
 * A degree within ±10⁻⁸ counts as 10⁻⁸: such a node has the eigenvalue 0 for itself.
 *
 * @throws {InputError} when the matrix is not square, not symmetric in its sums, or a degree is negative or not finite
 */
export async function affinityGraph(
  a: Tensor,
  options: GraphOptions = {},
): Promise<NormalizedGraph> {
  const [n, columns] = a.shape;
  if (a.shape.length !== 2 || n !== columns || n === 0 || a.dtype !== "f32") {
    throw new InputError(
      `Cannot cut a graph of affinities [${a.shape}] ${a.dtype}: they must be [n, n] in f32`,
    );
  }
  const rows = (start: number, end: number) => a.alias([end - start, n], start * n);
  return await graphOf(a.gpu, n, rows, options);
}

/** The graph of affinities that are made a panel of rows at a time; errors as {@link affinityGraph}. @internal */
export async function graphOf(
  gpu: Gpu,
  n: number,
  rows: AffinityRows,
  { panelBytes = PANEL_BYTES, signal }: GraphOptions,
): Promise<NormalizedGraph> {
  const bytes = Math.min(panelBytes, gpu.caps.maxBindingBytes);
  // Whole rows at offsets that every adapter binds.
  const step = n * n * 4 <= bytes ? n : Math.max(64, Math.floor(bytes / 4 / n / 64) * 64);
  const panels: Tensor[] = [];
  try {
    const degree = new Float64Array(n), columns = new Float64Array(n);
    for (let start = 0; start < n; start += step) {
      signal?.throwIfAborted();
      const panel = rows(start, Math.min(n, start + step));
      panels.push(panel);
      const sums = tidy(gpu, () => [0, 1].map((axis) => sum(panel, { axes: [axis] })));
      const [across, along] = await readAll(sums);
      sums.forEach((t) => t.dispose());
      degree.set(along, start);
      across.forEach((value, j) => columns[j] += value);
    }
    requireDegrees(degree, columns);
    return await normalized(panels, degree.map((d) => Math.max(d, DEGREE_FLOOR)));
  } catch (error) {
    panels.forEach((panel) => panel.dispose());
    throw error;
  }
}

function requireDegrees(degree: Float64Array, columns: Float64Array): void {
  const largest = degree.reduce((top, d) => Math.max(top, Math.abs(d)), 0);
  const bad = degree.findIndex((d) => !(d >= -DEGREE_FLOOR && Number.isFinite(d)));
  if (bad >= 0) {
    throw new InputError(
      `Cannot cut a graph: the affinities of every node must have a sum that is not negative, node ${bad} (counted from 0) has ${
        degree[bad]
      }`,
    );
  }
  const uneven = degree.findIndex((d, i) => !(Math.abs(d - columns[i]) <= ASYMMETRY * largest));
  if (uneven >= 0) {
    throw new InputError(
      `Cannot cut a graph: affinities must be symmetric, those of node ${uneven} (counted from 0) sum to ${
        degree[uneven]
      } in its row and ${columns[uneven]} in its column`,
    );
  }
}

/** Replaces every panel of affinities by its rows of S − u·uᵀ. */
async function normalized(
  panels: Tensor[],
  degree: Float64Array<ArrayBuffer>,
): Promise<NormalizedGraph> {
  const [{ gpu, shape: [, n] }] = panels;
  const volume = degree.reduce((total, d) => total + d, 0);
  const inverse = Float32Array.from(degree, (d) => 1 / Math.sqrt(d));
  const root = Float32Array.from(degree, (d) => Math.sqrt(d / volume));
  const trivial = Tensor.from(gpu, root, [n, 1]);
  let squares = 0;
  try {
    for (let p = 0, start = 0; p < panels.length; p++) {
      const [own] = panels[p].shape;
      const rest = tidy(gpu, () => {
        const rows = (values: Float32Array<ArrayBuffer>) =>
          Tensor.from(gpu, values.slice(start, start + own), [own, 1]);
        const columns = (values: Float32Array<ArrayBuffer>) => Tensor.from(gpu, values, [1, n]);
        const s = mul(mul(panels[p], rows(inverse)), columns(inverse));
        return sub(s, mul(rows(root), columns(root)));
      });
      panels[p].dispose();
      panels[p] = rest;
      start += own;
      using total = tidy(gpu, () => sum(square(rest)));
      squares += await total.item();
    }
  } catch (error) {
    trivial.dispose();
    throw error;
  }
  return new NormalizedGraph(panels, { trivial, degree, bound: Math.sqrt(squares) });
}
