import type { Gpu } from "../../engine/gpu.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { productTopK } from "../../engine/ops/neighbors.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { MOST_IN_REGISTERS } from "../../shaders/spectral/nearest_rows.ts";
import type { HostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";

/** How far rows are from each other: the angle between them over π, or the length of their difference. */
export type RowMetric = "angular" | "euclidean";

/** Nearest rows of each query, nearest first, the earlier of equal ones. */
export interface Neighbors {
  /** `[nQueries, k]` */
  readonly indices: Uint32Array<ArrayBuffer>;
  /** `[nQueries, k]`, in float64. */
  readonly distances: Float64Array<ArrayBuffer>;
}

// Candidates beyond k whose distances are computed anew in float64: products of the device are in f32.
const SPARE = 8;
const PRODUCTS = 2 ** 22; // in memory together: 16 MiB

/** Rows that can be compared: of unit length where only their direction counts. */
class Rows {
  readonly values: Float64Array;
  readonly n: number;
  readonly width: number;
  readonly squares: Float64Array;

  constructor({ data, shape: [n, width] }: HostMatrix, metric: RowMetric, what: string) {
    this.values = Float64Array.from(data);
    this.n = n;
    this.width = width;
    this.squares = new Float64Array(n);
    for (let i = 0; i < n; i++) {
      const row = this.values.subarray(i * width, (i + 1) * width);
      const square = row.reduce((sum, value) => sum + value * value, 0);
      if (!Number.isFinite(square) || (metric === "angular" && square === 0)) {
        const why = Number.isFinite(square) ? "is zero and has no direction" : "is not finite";
        throw new InputError(
          `Cannot compare ${what} by distance: row ${i} (counted from 0) ${why}`,
        );
      }
      if (metric === "angular") { for (let j = 0; j < width; j++) row[j] /= Math.sqrt(square); }
      this.squares[i] = metric === "angular" ? 1 : square;
    }
  }

  /** Rows `start` to `end` in f32. */
  part(start: number, end: number): Float32Array<ArrayBuffer> {
    return Float32Array.from(this.values.subarray(start * this.width, end * this.width));
  }
}

function distance(a: Rows, i: number, b: Rows, j: number, metric: RowMetric): number {
  let sum = 0;
  for (let c = 0, p = i * a.width, q = j * b.width; c < a.width; c++) {
    const difference = a.values[p + c] - b.values[q + c];
    sum += difference * difference;
  }
  // By the chord, which is exact for equal directions, where acos of a product loses half of the digits.
  return metric === "euclidean"
    ? Math.sqrt(sum)
    : 2 * Math.asin(Math.min(1, Math.sqrt(sum) / 2)) / Math.PI;
}

/** Products of some queries with all rows, `[end − start, n]`, in float64. */
function products(
  queries: Rows,
  rows: Rows,
  [start, end]: readonly [number, number],
): Float64Array {
  const { width, n } = rows;
  const out = new Float64Array((end - start) * n), x = queries.values, y = rows.values;
  for (let i = start; i < end; i++) {
    for (let j = 0; j < n; j += 4) { // four sums at a time stay in registers
      const r0 = j * width, q = i * width, last = (n - 1) * width;
      const r1 = Math.min(r0 + width, last), r2 = Math.min(r1 + width, last);
      const r3 = Math.min(r2 + width, last);
      let s0 = 0, s1 = 0, s2 = 0, s3 = 0;
      for (let c = 0; c < width; c++) {
        const value = x[q + c];
        s0 += value * y[r0 + c];
        s1 += value * y[r1 + c];
        s2 += value * y[r2 + c];
        s3 += value * y[r3 + c];
      }
      const at = (i - start) * n + j;
      out[at] = s0;
      if (j + 1 < n) out[at + 1] = s1;
      if (j + 2 < n) out[at + 2] = s2;
      if (j + 3 < n) out[at + 3] = s3;
    }
  }
  return out;
}

/** The `count` rows with the highest scores, in no order. */
function best(score: (j: number) => number, n: number, count: number): number[] {
  const kept: { j: number; score: number }[] = [];
  let least = -Infinity;
  for (let j = 0; j < n; j++) {
    const value = score(j);
    if (kept.length === count && value <= least) continue;
    let at = kept.length === count ? count - 1 : kept.length;
    while (at > 0 && kept[at - 1].score < value) {
      kept[at] = kept[at - 1];
      at--;
    }
    kept[at] = { j, score: value };
    least = kept[kept.length - 1].score;
  }
  return kept.map(({ j }) => j);
}

/** Rows on the device, as many as 4 divides: those beyond are never near. */
interface DeviceRows {
  readonly rows: Tensor;
  readonly half: Tensor;
}

const NEVER = 3e38;

function deviceRows(gpu: Gpu, { values, n, width, squares }: Rows): DeviceRows {
  const padded = 4 * Math.ceil(n / 4), data = new Float32Array(padded * width);
  data.set(values);
  const half = new Float32Array(padded).fill(NEVER);
  squares.forEach((square, i) => half[i] = square / 2);
  return {
    rows: Tensor.from(gpu, data, [padded, width]),
    half: Tensor.from(gpu, half, [padded]),
  };
}

/** Candidates of some queries, `[end − start, count]`: on the device by products in f32, else in float64. */
async function candidates(
  [queries, rows]: readonly [Rows, Rows],
  [start, end]: readonly [number, number],
  count: number,
  device?: DeviceRows,
): Promise<ArrayLike<number>> {
  const { n, squares, width } = rows, padded = device ? device.half.size : n;
  let values: ArrayLike<number>;
  if (device) {
    using found = tidy(device.rows.gpu, () => {
      const q = Tensor.from(device.rows.gpu, queries.part(start, end), [end - start, width]);
      return count > MOST_IN_REGISTERS
        ? matmul(q, device.rows, { transposeB: true })
        : productTopK(q, device.rows, device.half, count).indices;
    });
    values = await found.data();
    if (count <= MOST_IN_REGISTERS) return values;
  } else values = products(queries, rows, [start, end]);
  const out = new Uint32Array((end - start) * count);
  for (let i = 0; i < end - start; i++) {
    out.set(best((j) => values[i * padded + j] - squares[j] / 2, n, count), i * count);
  }
  return out;
}

/**
 * The `k` nearest rows of each query: `k + 8` candidates by products, on the device in f32 where one is given, otherwise in float64; their
 * distances and order in float64. So a near tie of more than eight rows is all that a device can decide otherwise.
 *
 * @param queries `[nQueries, width]`
 * @param rows `[nRows, width]`
 * @throws {InputError} when widths differ, there are fewer than `k` rows, a value is not finite, or a row has no direction
 */
export async function nearestRows(
  queries: HostMatrix,
  rows: HostMatrix,
  { k, metric, gpu, signal }: {
    readonly k: number;
    readonly metric: RowMetric;
    readonly gpu?: Gpu;
    readonly signal?: AbortSignal;
  },
): Promise<Neighbors> {
  const [nQueries, width] = queries.shape, [n, expected] = rows.shape;
  if (width !== expected || !(Number.isInteger(k) && k >= 1 && k <= n)) {
    throw new InputError(
      `Cannot find ${k} neighbours of [${queries.shape}] among [${rows.shape}]: widths must agree, and there be as many rows`,
    );
  }
  const from = new Rows(queries, metric, "the queries"), to = new Rows(rows, metric, "the rows");
  const indices = new Uint32Array(nQueries * k), distances = new Float64Array(nQueries * k);
  using resources = new DisposableStack();
  const device = gpu && deviceRows(gpu, to);
  if (device) [device.rows, device.half].forEach((tensor) => resources.use(tensor));
  const count = Math.min(n, k + SPARE);
  const step = Math.max(1, Math.floor(PRODUCTS / n));
  for (let start = 0; start < nQueries; start += step) {
    await new Promise((resolve) => setTimeout(resolve)); // lets an interruption in
    signal?.throwIfAborted();
    const end = Math.min(nQueries, start + step);
    const found = await candidates([from, to], [start, end], count, device);
    for (let i = start; i < end; i++) {
      const near = Array.from({ length: count }, (_, r) => found[(i - start) * count + r])
        .map((j) => ({ j, d: distance(from, i, to, j, metric) }))
        .sort((a, b) => a.d - b.d || a.j - b.j);
      for (let r = 0; r < k; r++) {
        indices[i * k + r] = near[r].j;
        distances[i * k + r] = near[r].d;
      }
    }
  }
  return { indices, distances };
}
