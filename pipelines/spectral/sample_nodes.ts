import { type Key, uniform } from "../../engine/random.ts";
import { type HostMatrix, hostMatrix, range } from "../encoding/host_matrix.ts";

const CANDIDATES = 100; // times the samples: farthest points of more than these are told apart by no picture

/** Distinct rows drawn at random, one of each of `count` equal stretches, ascending; all where there are no more. */
export function drawRows(n: number, count: number, key: Key): Uint32Array<ArrayBuffer> {
  if (count >= n) return range(n);
  return Uint32Array.from(uniform(key, count), (u, i) => {
    const start = Math.floor(i * n / count), end = Math.floor((i + 1) * n / count);
    return start + Math.floor(u * (end - start));
  });
}

/** Some rows. */
function rowsOf({ data, shape: [, width] }: HostMatrix, rows: ArrayLike<number>): HostMatrix {
  const out = new Float32Array(rows.length * width);
  for (let r = 0; r < rows.length; r++) {
    out.set(data.subarray(rows[r] * width, (rows[r] + 1) * width), r * width);
  }
  return hostMatrix(out, [rows.length, width]);
}

/** Rows far from each other, each next the furthest from all before. */
function farthestRows(
  { data, shape: [n, width] }: HostMatrix,
  count: number,
  key: Key,
): Uint32Array<ArrayBuffer> {
  const candidates = drawRows(n, CANDIDATES * count, key);
  const chosen = new Uint32Array(count);
  const distance = new Float64Array(candidates.length).fill(Infinity);
  let last = 0;
  for (let s = 0; s < count; s++) {
    chosen[s] = candidates[last];
    let next = 0;
    for (let i = 0; i < candidates.length; i++) {
      let square = 0;
      for (let c = 0; c < width; c++) {
        square += (data[candidates[i] * width + c] - data[chosen[s] * width + c]) ** 2;
      }
      distance[i] = Math.min(distance[i], i === last ? -1 : square); // never the same twice
      if (distance[i] > distance[next]) next = i;
    }
    last = next;
  }
  return chosen;
}

/**
 * Nodes that lie far from each other in the space of their eigenvectors (Euclidean).
 *
 * @param eigvec `[n, nEig]`
 * @returns their indices, `count` or as many as there are, and their rows
 */
export function farthestSamples(
  eigvec: HostMatrix,
  count: number,
  key: Key,
): { readonly indices: Uint32Array<ArrayBuffer>; readonly samples: HostMatrix } {
  const indices = farthestRows(eigvec, Math.min(count, eigvec.shape[0]), key);
  return { indices, samples: rowsOf(eigvec, indices) };
}
