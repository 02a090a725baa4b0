import { InputError } from "../errors.ts";

/** Places of voxels of a volume on a page: slices side by side. */
export interface SlicePlaces {
  /** Places, `[n, 2]`: x to the right, y upward. */
  readonly flat: Float32Array<ArrayBuffer>;
  /** Distance between neighbours. */
  readonly spacing: number;
}

/** Share of a slice's width that stays empty beside it. */
const GAP = 0.08;

/**
 * Lays the voxels of a volume out as slices along the third axis, lowest first, row after row, so that the whole is about as wide as
 * high: a map where there is no flattened cortex.
 *
 * @param coords `[n, 3]`: place of each voxel along three axes, such as its indices in the volume
 * @throws {InputError} when there is no voxel, or a coordinate is missing or not finite
 */
export function slicePlaces(coords: ArrayLike<number>): SlicePlaces {
  const n = coords.length / 3, all = Array.from(coords);
  if (!(Number.isInteger(n) && n > 0) || !all.every(Number.isFinite)) {
    throw new InputError(
      `Cannot lay voxels out: three finite coordinates each are needed, got ${coords.length} values`,
    );
  }
  const along = (axis: number) => Array.from({ length: n }, (_, v) => coords[3 * v + axis]);
  const levels = [...new Set(along(2))].sort((a, b) => a - b);
  const stepOf = (values: readonly number[]) => {
    const sorted = [...new Set(values)].sort((a, b) => a - b);
    return sorted.slice(1).reduce((least, v, i) => Math.min(least, v - sorted[i]), Infinity);
  };
  const [xs, ys] = [along(0), along(1)];
  const steps = [stepOf(xs), stepOf(ys)].filter(Number.isFinite);
  const spacing = steps.length > 0 ? Math.min(...steps) : 1;
  const ends = (values: readonly number[]) =>
    values.reduce(([a, b], v) => [Math.min(a, v), Math.max(b, v)], [Infinity, -Infinity]);
  const [[left, right], [low, high]] = [ends(xs), ends(ys)];
  const [width, height] = [right - left + spacing, high - low + spacing].map((s) =>
    s * (1 + GAP) + spacing
  );
  const columns = Math.max(1, Math.round(Math.sqrt(levels.length * height / width)));
  const flat = new Float32Array(2 * n);
  for (let v = 0; v < n; v++) {
    const slice = levels.indexOf(coords[3 * v + 2]);
    flat[2 * v] = xs[v] - left + slice % columns * width;
    flat[2 * v + 1] = ys[v] - low - Math.floor(slice / columns) * height;
  }
  // As wide as the sheets that flat maps are drawn from.
  const scale = 2.5 / Math.max(columns * width, Math.ceil(levels.length / columns) * height);
  return { flat: flat.map((value) => value * scale), spacing: spacing * scale };
}
