import type { Gpu } from "../../engine/gpu.ts";
import type { Key } from "../../engine/random.ts";
import { type HostMatrix, hostMatrix, range } from "../encoding/host_matrix.ts";
import { farthestPoints } from "./farthest_points.ts";

const CANDIDATES = 100; // times the samples: farthest points of more than these are told apart by no picture

/** Some rows. */
export function takeRows(
  { data, shape: [, width] }: HostMatrix,
  rows: ArrayLike<number>,
): HostMatrix {
  const out = new Float32Array(rows.length * width);
  for (let r = 0; r < rows.length; r++) {
    out.set(data.subarray(rows[r] * width, (rows[r] + 1) * width), r * width);
  }
  return hostMatrix(out, [rows.length, width]);
}

/**
 * Nodes that lie far from each other in the space of all their eigenvectors (Euclidean).
 *
 * @param eigvec `[n, nEig]`
 * @returns their indices, `count` or as many as there are, and their rows
 */
export async function farthestSamples(
  gpu: Gpu,
  eigvec: HostMatrix,
  { count, key }: { readonly count: number; readonly key: Key },
): Promise<{ readonly indices: Uint32Array<ArrayBuffer>; readonly samples: HostMatrix }> {
  const n = eigvec.shape[0];
  const indices = count >= n ? range(n) : await farthestPoints(gpu, eigvec, count, {
    ...{ key, space: "all", candidatesPerPick: CANDIDATES },
  });
  return { indices, samples: takeRows(eigvec, indices) };
}
