import { centredPart, type HostMatrix, range } from "./host_matrix.ts";
import type { Split } from "./cross_validation.ts";

// Gram matrices in float64 on the host. In f32 the products alone would cost a ridge regression at a small alpha half its digits: the
// error of an eigenvalue is eps·λ_max whatever its size.

const WIDTH = 256; // values of each vector per pass: a panel stays in the cache

/** `into += panel · panelᵀ`, lower triangle. `panel: [count, WIDTH]` */
function addOuter(panel: Float64Array, count: number, into: Float64Array): void {
  for (let i = 0; i < count; i += 2) {
    const second = i + 1 < count;
    const a0 = i * WIDTH, a1 = (second ? i + 1 : i) * WIDTH;
    for (let j = 0; j <= i + 1 && j < count; j += 2) {
      const b0 = j * WIDTH, b1 = (j + 1 < count ? j + 1 : j) * WIDTH;
      let s00 = 0, s01 = 0, s10 = 0, s11 = 0;
      for (let k = 0; k < WIDTH; k++) {
        const x0 = panel[a0 + k], x1 = panel[a1 + k], y0 = panel[b0 + k], y1 = panel[b1 + k];
        s00 += x0 * y0;
        s01 += x0 * y1;
        s10 += x1 * y0;
        s11 += x1 * y1;
      }
      into[i * count + j] += s00;
      if (j + 1 <= i) into[i * count + j + 1] += s01;
      if (second) {
        into[(i + 1) * count + j] += s10;
        if (j + 1 <= i + 1) into[(i + 1) * count + j + 1] += s11;
      }
    }
  }
}

function mirror(g: Float64Array<ArrayBuffer>, n: number): Float64Array<ArrayBuffer> {
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) g[j * n + i] = g[i * n + j];
  }
  return g;
}

/** `xᵀ·x` over some rows, `[nFeatures, nFeatures]`, of values with `means` taken off. */
export function featureGram(
  x: HostMatrix,
  rows: ArrayLike<number>,
  means: Float64Array,
): Float64Array<ArrayBuffer> {
  const p = x.shape[1];
  const gram = new Float64Array(p * p);
  const panel = new Float64Array(p * WIDTH);
  for (let start = 0; start < rows.length; start += WIDTH) {
    const some = Array.from(rows).slice(start, start + WIDTH);
    const block = centredPart(x, some, means);
    panel.fill(0);
    for (let r = 0; r < some.length; r++) {
      for (let j = 0; j < p; j++) panel[j * WIDTH + r] = block[r * p + j];
    }
    addOuter(panel, p, gram);
  }
  return mirror(gram, p);
}

/** `x·xᵀ`, `[nSamples, nSamples]`, of values with `means` taken off. */
export function sampleGram(x: HostMatrix, means: Float64Array): Float64Array<ArrayBuffer> {
  const [n, p] = x.shape;
  const gram = new Float64Array(n * n);
  const panel = new Float64Array(n * WIDTH);
  for (let start = 0; start < p; start += WIDTH) {
    const end = Math.min(p, start + WIDTH);
    const block = centredPart(x, range(n), means, { start, end });
    panel.fill(0);
    for (let r = 0; r < n; r++) {
      const row = block.subarray(r * (end - start), (r + 1) * (end - start));
      panel.set(row, r * WIDTH);
    }
    addOuter(panel, n, gram);
  }
  return mirror(gram, n);
}

/** True where the test sides are the samples, each once, and every train side is the rest. */
function isPartition(splits: readonly Split[], nSamples: number): boolean {
  const seen = new Set(splits.flatMap(({ test }) => [...test]));
  return seen.size === nSamples &&
    splits.every(({ train, test }) => train.length + test.length === nSamples) &&
    splits.reduce((sum, { test }) => sum + test.length, 0) === nSamples;
}

/** `xᵀ·x` of each split's train side, and last of all samples; only `means` are taken off, not each side's own. */
export function trainGrams(
  x: HostMatrix,
  splits: readonly Split[],
  means: Float64Array,
): Float64Array<ArrayBuffer>[] {
  const n = x.shape[0];
  if (splits.length === 0 || !isPartition(splits, n)) {
    return [...splits.map(({ train }) => train), range(n)].map((rows) =>
      featureGram(x, rows, means)
    );
  }
  const parts = splits.map(({ test }) => featureGram(x, test, means));
  const total = parts[0].map((_, at) => parts.reduce((sum, part) => sum + part[at], 0));
  return [...parts.map((part) => total.map((value, at) => value - part[at])), total];
}

/** Takes the mean `m` of `count` rows off a Gram matrix `xᵀ·x`: `g − count·m·mᵀ`. */
export function centreFeatureGram(
  g: Float64Array<ArrayBuffer>,
  m: Float64Array,
  count: number,
): Float64Array<ArrayBuffer> {
  const p = m.length;
  return g.map((value, at) => value - count * m[Math.floor(at / p)] * m[at % p]);
}

/** The part of `x·xᵀ` of some rows, centred as if the mean of these rows had been taken off where asked. */
export function partOfSampleGram(
  k: Float64Array,
  n: number,
  rows: ArrayLike<number>,
  { centre }: { centre: boolean },
): Float64Array<ArrayBuffer> {
  const m = rows.length;
  const part = new Float64Array(m * m);
  const means = new Float64Array(m);
  for (let i = 0; i < m; i++) {
    for (let j = 0; j < m; j++) {
      part[i * m + j] = k[rows[i] * n + rows[j]];
      means[i] += part[i * m + j] / m;
    }
  }
  if (!centre) return part;
  const all = means.reduce((sum, mean) => sum + mean / m, 0);
  return part.map((value, at) => value - means[Math.floor(at / m)] - means[at % m] + all);
}
