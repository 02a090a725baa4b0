import type { Gpu } from "../../engine/gpu.ts";
import { eighTopK } from "../../engine/ops/eigh_top.ts";
import { sub } from "../../engine/ops/elementwise.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { farthestPicks } from "../../engine/ops/neighbors.ts";
import { mean } from "../../engine/ops/reduce.ts";
import { foldIn, type Key, normal, randomKey, uniform } from "../../engine/random.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import type { HostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import { farthestOnHost } from "./farthest_host.ts";
import { pointBlocks } from "./point_blocks.ts";

/** What distances are measured in: a random orthogonal projection (ncut_pytorch v3), principal components (v1), or all features. */
export type SamplingSpace = "orthogonal" | "pca" | "all";

/** Options of {@link farthestPoints}. */
export interface FarthestPointOptions {
  /** The first pick, a row; drawn by the key when absent. */
  readonly start?: number;
  /** Seed of the projection, the drawn candidates and the first pick. */
  readonly key?: Key;
  /** What distances are measured in. */
  readonly space?: SamplingSpace;
  /** Dimensions of a projection; 8 in all versions of ncut_pytorch. */
  readonly dims?: number;
  /**
   * Rows that are drawn evenly for each pick, of which the picks are taken; all rows take part where there are fewer. 4 in ncut_pytorch
   * v1 and v3.
   */
  readonly candidatesPerPick?: number;
  /** Where picks are made: on the host where the device is a CPU driver, which is slower at it, else on the device. */
  readonly on?: "device" | "host";
}

const LARGEST = 2 ** 56; // above it squares overflow in f32

/**
 * One row of each of `count` equal stretches of `n` rows, drawn evenly within it: ascending, without repetition.
 *
 * @throws {InputError} when there are fewer rows
 */
export function stratifiedRows(n: number, count: number, key: Key): Uint32Array<ArrayBuffer> {
  requireCount(n, count);
  const within = uniform(key, count);
  return Uint32Array.from({ length: count }, (_, i) => {
    const start = Math.floor(i * n / count), end = Math.floor((i + 1) * n / count);
    return Math.min(end - 1, start + Math.floor(within[i] * (end - start)));
  });
}

function requireCount(n: number, count: number): void {
  if (!(Number.isInteger(count) && count >= 1 && count <= n)) {
    throw new InputError(`Cannot pick ${count} of ${n} nodes: there must be from 1 to ${n}`);
  }
}

/** `[d, dims]`: orthonormal columns in random directions, by Gram and Schmidt in float64. */
function randomDirections(d: number, dims: number, key: Key): Float32Array<ArrayBuffer> {
  const raw = normal(key, d * dims), out = new Float32Array(d * dims);
  const kept: Float64Array[] = [];
  for (let c = 0; c < dims; c++) {
    const v = Float64Array.from({ length: d }, (_, i) => raw[i * dims + c]);
    for (let pass = 0; pass < 2; pass++) { // twice is enough
      for (const u of kept) {
        const along = u.reduce((sum, value, i) => sum + value * v[i], 0);
        u.forEach((value, i) => v[i] -= along * value);
      }
    }
    const length = Math.hypot(...v);
    v.forEach((value, i) => out[i * dims + c] = v[i] = value / length);
    kept.push(v);
  }
  return out;
}

/** Rows in fewer dimensions, `[n, dims]`, on the host. */
async function projected(
  gpu: Gpu,
  nodes: HostMatrix,
  { space, dims, key }: { space: SamplingSpace; dims: number; key: Key },
): Promise<HostMatrix> {
  const [n, d] = nodes.shape;
  if (space === "all" || d <= dims) return nodes;
  using x = Tensor.from(gpu, nodes.data, [n, d]);
  using axes = space === "orthogonal"
    ? Tensor.from(gpu, randomDirections(d, dims, key), [d, dims])
    : await principalAxes(x, dims, key);
  using y = tidy(gpu, () => matmul(x, axes));
  return { data: await y.data() as Float32Array<ArrayBuffer>, shape: [n, dims] };
}

/** Directions of largest variance, `[d, dims]`. A hundredth of an eigenvalue is near enough to tell far from near. */
async function principalAxes(x: Tensor, dims: number, key: Key): Promise<Tensor> {
  const { gpu, shape: [, d] } = x;
  using centred = tidy(gpu, () => sub(x, mean(x, { axes: [0], keepDims: true })));
  const apply = (q: Tensor) =>
    tidy(gpu, () => matmul(centred, matmul(centred, q), { transposeA: true }));
  const options = { tolerance: 1e-2, iterations: 12, key };
  const { vectors } = await eighTopK({ gpu, n: d, apply }, dims, options);
  return vectors;
}

/**
 * Farthest-point sampling: each pick is the node whose nearest pick so far is farthest; of equal ones the first. A GPU makes all picks without
 * a look from the host; they are those of float64 wherever two distances differ by more than rounding in f32.
 *
 * Duplicates of picked nodes come last, each once.
 *
 * @param nodes `[n, d]`
 * @returns rows in the order in which they were picked
 * @throws {InputError} when there are fewer nodes than picks, or the start is none of them
 */
export async function farthestPoints(
  gpu: Gpu,
  nodes: HostMatrix,
  count: number,
  options: FarthestPointOptions = {},
): Promise<Uint32Array<ArrayBuffer>> {
  const { key = randomKey(0), space = "orthogonal", dims = 8, candidatesPerPick = 4 } = options;
  const [n] = nodes.shape;
  requireCount(n, count);
  const { start = Math.floor(uniform(foldIn(key, 1), 1)[0] * n) } = options;
  if (!(Number.isInteger(start) && start >= 0 && start < n)) {
    throw new InputError(`Cannot start at node ${start}: there are ${n}`);
  }
  if (!(candidatesPerPick >= 1)) {
    throw new InputError(`Cannot draw ${candidatesPerPick} candidates per pick: at least 1`);
  }
  const drawn = Math.min(n, Math.floor(candidatesPerPick * count));
  const rows = drawn < n ? stratifiedRows(n, drawn, foldIn(key, 2)) : undefined;
  const candidates = rows ? taken(nodes, rows) : nodes;
  const points = await projected(gpu, candidates, { space, dims, key: foldIn(key, 3) });
  // The candidate of the stretch that the start lies in.
  const first = rows ? Math.min(drawn - 1, Math.floor(start * drawn / n)) : start;
  const { data, shape: [, width] } = points;
  const { on = gpu.caps.isSoftware ? "host" : "device" } = options;
  if (data.some((value) => !(Math.abs(value) < LARGEST))) {
    throw new InputError(
      "Cannot pick the farthest nodes: a coordinate is not finite, or above 2^56",
    );
  }
  const found = on === "host"
    ? farthestOnHost(data, { n: drawn, d: width, start: first, count })
    : await farthestOnDevice(gpu, data, { n: drawn, d: width, start: first, count });
  return rows ? found.map((at) => rows[at]) : found;
}

async function farthestOnDevice(
  gpu: Gpu,
  points: Float32Array,
  { count, ...sizes }: { n: number; d: number; start: number; count: number },
): Promise<Uint32Array<ArrayBuffer>> {
  using blocks = pointBlocks(gpu, points, sizes);
  using picks = farthestPicks(blocks, count);
  return await picks.data() as Uint32Array<ArrayBuffer>;
}

function taken({ data, shape: [, d] }: HostMatrix, rows: Uint32Array): HostMatrix {
  const out = new Float32Array(rows.length * d);
  rows.forEach((row, i) => out.set(data.subarray(row * d, (row + 1) * d), i * d));
  return { data: out, shape: [rows.length, d] };
}
