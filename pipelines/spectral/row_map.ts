import type { Gpu } from "../../engine/gpu.ts";
import { concat } from "../../engine/ops/shape.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import type { HostMatrix } from "../encoding/host_matrix.ts";
import type { LongCall } from "../encoding/linear_model.ts";
import type { Affinity } from "./affinity.ts";
import { type NodeSource, requireRows, windows } from "./node_source.ts";

/** Something computed for every node by itself, on the device. */
export interface RowMap extends Disposable {
  /** Columns of the result. */
  readonly width: number;
  /** `[n, d]` → `[n, width]` */
  apply(x: Tensor): Tensor;
}

/** A map of rows that makes `columns` values for each on the way: of as many rows at a time as the adapter binds those of. */
export function inRowPieces(x: Tensor, columns: number, work: (x: Tensor) => Tensor): Tensor {
  const [n, d] = x.shape;
  // A multiple of 64 rows begins at an offset that every adapter binds.
  const most = Math.max(64, Math.floor(x.gpu.caps.maxBindingBytes / 4 / columns / 64) * 64);
  if (n <= most) return work(x);
  return tidy(x.gpu, () =>
    concat(
      [...windows(n, most)].map(([start, end]) => work(x.alias([end - start, d], start * d))),
    ));
}

/** Options of a pass over nodes. */
export interface PassOptions extends LongCall {
  /** Rows on the device at once. */
  readonly chunkSize?: number;
  /** Rows that it cannot compare are refused; they are not looked at when absent. */
  readonly affinity?: Affinity;
  /** Name of the pass for `onProgress`. */
  readonly stage?: string;
  /** Row to begin with, a multiple of the chunk size. */
  readonly firstRow?: number;
}

/** Rows on the device at once, by default: 24 MiB of 768 features, and a product of them that keeps the device busy. */
export const CHUNK_SIZE = 8192;

/** The nodes in pieces on the device; each piece is gone when the next one comes. */
export async function* nodeChunks(
  gpu: Gpu,
  source: NodeSource,
  { chunkSize = CHUNK_SIZE, affinity, stage = "nodes", signal, onProgress, firstRow = 0 }:
    PassOptions,
): AsyncGenerator<{ readonly x: Tensor; readonly start: number; readonly end: number }> {
  const [n, width] = source.shape;
  for (const [start, end] of windows(n, chunkSize)) {
    if (start < firstRow) continue;
    await new Promise((resolve) => setTimeout(resolve)); // lets an interruption in
    signal?.throwIfAborted();
    const rows = source.readRows(start, end);
    if (affinity) requireRows(rows, { width, firstRow: start, affinity });
    using x = Tensor.from(gpu, rows, [end - start, width]);
    yield { x, start, end };
    onProgress?.({ stage, done: end, total: n });
  }
}

/** A map of all nodes, `[n, width]`. */
export async function mapNodes(
  gpu: Gpu,
  source: NodeSource,
  map: RowMap,
  options: PassOptions = {},
): Promise<HostMatrix> {
  const n = source.shape[0];
  const data = new Float32Array(n * map.width);
  for await (const { x, start } of nodeChunks(gpu, source, options)) {
    using y = tidy(gpu, () => map.apply(x));
    data.set(await y.data() as Float32Array, start * map.width);
  }
  return { data, shape: [n, map.width] };
}
