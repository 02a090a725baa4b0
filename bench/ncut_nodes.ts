/**
 * Nodes with structure, of any number, made as they are read: clusters of heavy-tailed sizes that stretch along a few directions each.
 *
 * @module
 */
import { foldIn, type Key, normal, uniform } from "../engine/random.ts";
import type { NodeSource } from "../pipelines/spectral/node_source.ts";

const CLUSTERS = 24; // of sizes 1, 1/2, 1/3, …
const LATENT = 32; // dimensions that the centres and the stretches lie in
const STRETCHES = 4; // directions of a cluster
const STRETCH = 0.35; // standard deviations along them; centres lie 1 apart per latent dimension
const NOISE = 0.3; // of every feature
const POOL = 2 ** 20; // normal numbers that the noise of a row is a stretch of

/** A whole number from a row and a seed, evenly spread (Murmur's finaliser). */
function hash(row: number, seed: number): number {
  let h = Math.imul(row ^ seed, 0x9e3779b1);
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** `n` nodes of `width` features; any row is the same however it is read. */
export function clusteredNodes(n: number, width: number, key: Key): NodeSource {
  const size = (count: number, at: number) => normal(foldIn(key, at), count);
  const basis = size(LATENT * width, 1), pool = size(POOL + width, 2);
  const inFeatures = (latent: Float32Array, scale: number) => {
    const out = new Float32Array(latent.length / LATENT * width);
    for (let i = 0; i < out.length; i++) {
      const row = Math.floor(i / width) * LATENT;
      for (let k = 0; k < LATENT; k++) out[i] += latent[row + k] * basis[k * width + i % width];
      out[i] *= scale / Math.sqrt(LATENT);
    }
    return out;
  };
  const centres = inFeatures(size(CLUSTERS * LATENT, 3), 1);
  const stretches = inFeatures(size(CLUSTERS * STRETCHES * LATENT, 4), STRETCH);
  const total = Array.from({ length: CLUSTERS }, (_, c) => 1 / (c + 1)).reduce((a, b) => a + b);
  const seed = Math.floor(uniform(foldIn(key, 5), 1)[0] * 2 ** 31);
  const write = (row: number, out: Float32Array, at: number) => {
    let left = hash(row, seed) / 2 ** 32 * total, c = 0;
    while (c < CLUSTERS - 1 && left > 1 / (c + 1)) left -= 1 / ++c;
    const from = hash(row, seed + 1) % POOL;
    for (let j = 0; j < width; j++) out[at + j] = centres[c * width + j] + NOISE * pool[from + j];
    for (let s = 0; s < STRETCHES; s++) {
      const along = pool[hash(row, seed + 2 + s) % POOL], start = (c * STRETCHES + s) * width;
      for (let j = 0; j < width; j++) out[at + j] += along * stretches[start + j];
    }
  };
  return {
    shape: [n, width],
    readRows(start, end) {
      const out = new Float32Array((end - start) * width);
      for (let row = start; row < end; row++) write(row, out, (row - start) * width);
      return out;
    },
  };
}
