/**
 * Which samples of an axis make a resampled one, and with what weights. Every linear map of images that works axis by axis (resizing,
 * average pooling) is two such tables.
 *
 * @module
 */

/**
 * A matrix with one run of non-zeros per row: output `i` is `Σ_t weight[t] · input[first[i] + t − offset[i]]` for `t` from `offset[i]`
 * to `offset[i + 1]`.
 */
export interface Taps {
  /** Number of input samples. */
  readonly inSize: number;
  /** Number of output samples. */
  readonly outSize: number;
  /** First input sample of each output. */
  readonly first: Uint32Array<ArrayBuffer>;
  /** Where the weights of each output start; one more at the end. */
  readonly offset: Uint32Array<ArrayBuffer>;
  /** Weights of all outputs. */
  readonly weight: Float64Array<ArrayBuffer>;
}

/** How to resample; the names of `torch.nn.functional.interpolate`, and PIL's Lanczos. */
export type ResampleMode = "nearest" | "nearest-exact" | "bilinear" | "bicubic" | "lanczos";

/** An axis to resample. */
export interface ResampleAxis {
  /** Input samples. */
  readonly inSize: number;
  /** Output samples. */
  readonly outSize: number;
  /** Output samples per input sample, where the sampling positions follow it and not the ratio of the sizes. */
  readonly scale?: number;
  /** Whether the centres of the corner samples coincide, rather than the outer edges. */
  readonly alignCorners?: boolean;
  /** Filter support that grows when shrinking, and weights renormalised at the borders. */
  readonly antialias?: boolean;
  /** Parameter of Keys' cubic kernel. */
  readonly a?: number;
}

function linear(x: number): number {
  return Math.max(0, 1 - Math.abs(x));
}

/** Keys' cubic convolution kernel. */
function cubic(x: number, a: number): number {
  const d = Math.abs(x);
  if (d < 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  if (d < 2) return ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
  return 0;
}

/** Pillow's Lanczos window of three lobes (Resample.c). */
function lanczos3(x: number): number {
  const sinc = (v: number) => v === 0 ? 1 : Math.sin(Math.PI * v) / (Math.PI * v);
  return Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0;
}

/** Filters of the smooth modes with half their support, in samples. */
const filters = {
  bilinear: { reach: 1, f: linear },
  bicubic: { reach: 2, f: cubic },
  lanczos: { reach: 3, f: lanczos3 },
} as const;

/** Builds a table from the inputs of each output, given as `[first sample, weights]`; zeros at either end of a run are left out. */
export function tapsOf(
  inSize: number,
  outSize: number,
  row: (i: number) => readonly [first: number, weights: readonly number[]],
): Taps {
  const first = new Uint32Array(outSize), offset = new Uint32Array(outSize + 1);
  const weight: number[] = [];
  for (let i = 0; i < outSize; i++) {
    const [start, weights] = row(i);
    const from = Math.max(0, weights.findIndex((w) => w !== 0));
    const run = weights.slice(from, weights.findLastIndex((w) => w !== 0) + 1);
    first[i] = start + from;
    weight.push(...run);
    offset[i + 1] = weight.length;
  }
  return { inSize, outSize, first, offset, weight: Float64Array.from(weight) };
}

/** The table of the transposed matrix. Zero weights inside a run stay; outputs that nothing reads get an empty run. */
export function transposeTaps({ inSize, outSize, first, offset, weight }: Taps): Taps {
  const columns: { first: number; weights: number[] }[] = Array.from(
    { length: inSize },
    () => ({ first: 0, weights: [] }),
  );
  for (let i = 0; i < outSize; i++) {
    for (let t = offset[i]; t < offset[i + 1]; t++) {
      const column = columns[first[i] + t - offset[i]];
      if (column.weights.length === 0) column.first = i;
      while (column.first + column.weights.length < i) column.weights.push(0);
      column.weights.push(weight[t]);
    }
  }
  return tapsOf(outSize, inSize, (j) => [columns[j].first, columns[j].weights]);
}

/** True where the table copies its input. */
export function isIdentity({ inSize, outSize, first, weight }: Taps): boolean {
  return inSize === outSize && weight.length === outSize && weight.every((w) => w === 1) &&
    first.every((j, i) => j === i);
}

function step({ inSize, outSize, scale, alignCorners = false }: ResampleAxis): number {
  if (alignCorners) return outSize > 1 ? (inSize - 1) / (outSize - 1) : 0;
  return scale === undefined ? inSize / outSize : 1 / scale;
}

function nearestTaps(axis: ResampleAxis, centre: number): Taps {
  const { inSize, outSize } = axis;
  // torch computes the source index of f32 images in f32 (UpSample.h, nearest_neighbor_compute_source_index).
  const by = Math.fround(step(axis));
  return tapsOf(inSize, outSize, (i) => {
    const at = Math.floor(Math.fround(Math.fround(i + centre) * by));
    return [Math.min(at, inSize - 1), [1]];
  });
}

/** Two or four samples around a point; those outside count for the border sample. */
function pointTaps(axis: ResampleAxis, reach: number, f: (x: number) => number): Taps {
  const { inSize, outSize, alignCorners = false } = axis;
  const by = step(axis);
  return tapsOf(inSize, outSize, (i) => {
    const x = alignCorners ? i * by : (i + 0.5) * by - 0.5;
    const base = Math.floor(x) - (reach - 1);
    const clamp = (j: number) => Math.min(Math.max(j, 0), inSize - 1);
    const first = clamp(base);
    const weights = new Array<number>(clamp(base + 2 * reach - 1) - first + 1).fill(0);
    for (let j = base; j < base + 2 * reach; j++) weights[clamp(j) - first] += f(x - j);
    return [first, weights];
  });
}

/** Weights of torch's `_upsample_bi*2d_aa` and of Pillow's `precompute_coeffs`: cut at the borders and renormalised. */
function antialiasTaps(axis: ResampleAxis, reach: number, f: (x: number) => number): Taps {
  const { inSize, outSize } = axis;
  const by = step(axis);
  const filterScale = Math.max(by, 1);
  return tapsOf(inSize, outSize, (i) => {
    const centre = (i + 0.5) * by;
    const first = Math.max(Math.trunc(centre - reach * filterScale + 0.5), 0);
    const end = Math.min(Math.trunc(centre + reach * filterScale + 0.5), inSize);
    const weights = Array.from(
      { length: end - first },
      (_, j) => f((first + j - centre + 0.5) / filterScale),
    );
    const sum = weights.reduce((s, w) => s + w, 0);
    return [first, weights.map((w) => w / sum)];
  });
}

/**
 * The table of an axis under `torch.nn.functional.interpolate`: bicubic has a = −0.75, and −0.5 with `antialias` (as in Pillow). A
 * bilinear sample before the first one is that one.
 */
export function resampleTaps(axis: ResampleAxis, mode: ResampleMode): Taps {
  if (mode === "nearest") return nearestTaps(axis, 0);
  if (mode === "nearest-exact") return nearestTaps(axis, 0.5);
  const { antialias = mode === "lanczos", a = antialias ? -0.5 : -0.75 } = axis;
  const { reach, f } = filters[mode];
  return antialias
    ? antialiasTaps(axis, reach, (x) => f(x, a))
    : pointTaps(axis, reach, (x) => f(x, a));
}
