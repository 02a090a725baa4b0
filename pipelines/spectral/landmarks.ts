import type { Gpu } from "../../engine/gpu.ts";
import { foldIn, type Key } from "../../engine/random.ts";
import type { HostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import { farthestPoints, type SamplingSpace, stratifiedRows } from "./farthest_points.ts";
import { type NodeSource, takeNodes } from "./node_source.ts";
import { CHUNK_SIZE } from "./row_map.ts";

/** How landmarks are chosen. */
export interface LandmarkOptions {
  /** How many. */
  readonly nLandmarks: number;
  /** Farthest points among drawn candidates, or one node of each of as many equal stretches. */
  readonly sampling: "farthest" | "random";
  /** Candidates that are drawn for each landmark. */
  readonly candidatesPerPick: number;
  /** What distances of farthest points are measured in. */
  readonly space: SamplingSpace;
  /** Seed. */
  readonly key: Key;
  /** Rows that are read together. */
  readonly chunkSize?: number;
}

/** Some nodes and their features. */
export interface Landmarks {
  /** Rows among all nodes, `[m]`. */
  readonly indices: Uint32Array<ArrayBuffer>;
  /** `[m, d]` */
  readonly nodes: HostMatrix;
}

/**
 * Landmarks of a graph; only candidates are read.
 *
 * @throws {InputError} when there are fewer nodes
 */
export async function chooseLandmarks(
  gpu: Gpu,
  source: NodeSource,
  options: LandmarkOptions,
): Promise<Landmarks> {
  const { nLandmarks: m, sampling, candidatesPerPick, space, key, chunkSize = CHUNK_SIZE } =
    options;
  const [n] = source.shape;
  if (sampling === "random") {
    const indices = stratifiedRows(n, m, foldIn(key, 1));
    return { indices, nodes: takeNodes(source, indices, { chunkSize }) };
  }
  const nCandidates = Math.min(n, Math.max(m, Math.floor(candidatesPerPick * m)));
  const rows = stratifiedRows(n, nCandidates, foldIn(key, 2));
  const candidates = takeNodes(source, rows, { chunkSize });
  const picks = await farthestPoints(gpu, candidates, m, {
    ...{ key: foldIn(key, 3), space, candidatesPerPick: nCandidates },
  });
  const d = source.shape[1], data = new Float32Array(m * d);
  picks.forEach((pick, i) => data.set(candidates.data.subarray(pick * d, (pick + 1) * d), i * d));
  return { indices: picks.map((pick) => rows[pick]), nodes: { data, shape: [m, d] } };
}

/**
 * The landmarks of given rows.
 *
 * @throws {InputError} when a row is not among the nodes or given twice
 */
export function givenLandmarks(
  source: NodeSource,
  rows: ArrayLike<number>,
  chunkSize = CHUNK_SIZE,
): Landmarks {
  const [n] = source.shape, seen = new Set<number>();
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i];
    if (!(Number.isInteger(row) && row >= 0 && row < n) || seen.has(row)) {
      throw new InputError(
        `Cannot take row ${row} as a landmark: rows must be from 0 to ${n - 1}, each once`,
      );
    }
    seen.add(row);
  }
  const indices = Uint32Array.from(rows);
  return { indices, nodes: takeNodes(source, indices, { chunkSize }) };
}
