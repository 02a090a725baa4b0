import { InputError } from "../errors.ts";
import { RandomAccessFile } from "../io/files.ts";
import type { Hdf5File } from "../io/hdf5.ts";
import { toFloat64 } from "../io/state_dict.ts";
import { quote } from "../io/strict_json.ts";

/** Values of a coordinate, one for each place on its axis. */
export type Coordinate = readonly string[] | Float64Array;

/** The main variable of a netCDF-4 file, as xarray writes a labelled array. */
export interface LabelledVariable {
  /** Its dataset. */
  readonly name: string;
  /** Lengths of its axes, slowest first. */
  readonly shape: readonly number[];
  /** Coordinates along each axis, by name. */
  readonly coordinates: readonly ReadonlyMap<string, Coordinate>[];
}

/**
 * Refuses netCDF in the classic format, which is not HDF5.
 *
 * @throws {InputError} which says how to convert it
 */
export function refuseClassic(path: string): void {
  using file = new RandomAccessFile(path);
  const [c, d, f, version] = file.read(0, Math.min(4, file.size));
  const isClassic = String.fromCharCode(c, d, f) === "CDF" && [1, 2, 5].includes(version);
  if (!isClassic) return;
  throw new InputError(
    `Cannot read ${quote(path)}: it is netCDF in the classic format, and netCDF-4 is read ` +
      "(nccopy -k nc4 IN OUT converts it, as does xarray's to_netcdf with engine netcdf4)",
  );
}

/** What datasets say of the axis that they lie along: a reference to its dimension, in netCDF's own attribute. */
function axesOf(file: Hdf5File, name: string): string[] | undefined {
  const list: unknown = file.attributes(name).DIMENSION_LIST;
  if (!Array.isArray(list)) return undefined;
  return list.map((axis) =>
    JSON.stringify(axis, (_, value) => typeof value === "bigint" ? String(value) : value)
  );
}

/** Datasets of numbers with their shapes; the others hold text, or nothing that is read here. */
function numericShapes(file: Hdf5File): Map<string, readonly number[]> {
  const shapes = new Map<string, readonly number[]>();
  for (const name of file.datasets()) {
    try {
      shapes.set(name, file.info(name).shape);
    } catch (cause) {
      if (!(cause instanceof InputError)) throw cause;
    }
  }
  return shapes;
}

/** Text of a dataset: fixed-length characters, which netCDF-4 may keep along an axis of their own, are joined. */
function textOf(file: Hdf5File, name: string, lengths: readonly number[]): string[] | undefined {
  let text: string[];
  try {
    text = file.readStrings(name);
  } catch (cause) {
    if (cause instanceof InputError) return undefined;
    throw cause;
  }
  if (lengths.includes(text.length)) return text;
  const n = lengths.find((length) => length > 0 && text.length % length === 0);
  if (n === undefined || !text.every((part) => part.length <= 1)) return undefined;
  const width = text.length / n;
  return Array.from({ length: n }, (_, i) => text.slice(i * width, (i + 1) * width).join(""));
}

/** A dimension that has no coordinate of its own name still has a dataset. */
function isPlaceholder(file: Hdf5File, name: string): boolean {
  return String(file.attributes(name).NAME ?? "").startsWith("This is a netCDF dimension but not");
}

/** The axis that a coordinate lies along: by netCDF's references, else the only one of its length. */
function axisFor(
  axes: readonly string[] | undefined,
  own: readonly string[] | undefined,
  shape: readonly number[],
  length: number,
): number {
  if (axes !== undefined && own !== undefined) return axes.indexOf(own[0]);
  const fitting = shape.flatMap((size, axis) => size === length ? [axis] : []);
  return fitting.length === 1 ? fitting[0] : -1;
}

/**
 * Finds the largest variable of two or three axes, and the one-dimensional variables along each.
 *
 * @throws {InputError} when there is no such variable
 */
export function findVariable(file: Hdf5File): LabelledVariable {
  const shapes = numericShapes(file);
  const size = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
  const [found] = [...shapes].filter(([, shape]) => shape.length === 2 || shape.length === 3)
    .sort(([, a], [, b]) => size(b) - size(a));
  if (found === undefined) {
    throw new InputError(
      `Cannot read ${quote(file.path)}: it has no variable of presentations by neuroids`,
    );
  }
  const [main, shape] = found;
  const axes = axesOf(file, main);
  const coordinates = shape.map(() => new Map<string, Coordinate>());
  for (const name of file.datasets()) {
    if (name === main || isPlaceholder(file, name)) continue;
    const numbers = shapes.get(name);
    if (numbers !== undefined && numbers.length !== 1) continue;
    const values = numbers ? toFloat64(file.read(name)) : textOf(file, name, shape);
    if (values === undefined) continue;
    const axis = axisFor(axes, axesOf(file, name), shape, values.length);
    if (axis >= 0) coordinates[axis].set(name.replace(/^.*\//, ""), values);
  }
  return { name: main, shape, coordinates };
}
