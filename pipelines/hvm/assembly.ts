/**
 * Neural assemblies as brain-score stores them: netCDF-4 of presentations × neuroids × time bins in any order of axes, with coordinates
 * along each, as xarray writes them once levels of indices are flattened (brainio's `write_netcdf`).
 *
 * @module
 */
import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import { Hdf5File } from "../io/hdf5.ts";
import { toFloat32, toFloat64 } from "../io/state_dict.ts";
import { quote } from "../io/strict_json.ts";
import { type Coordinate, findVariable, type LabelledVariable, refuseClassic } from "./netcdf.ts";

/** Responses to stimuli, averaged over their presentations. */
export interface NeuralAssembly {
  /** `[nStimuli, nSites]` */
  readonly responses: HostMatrix;
  /** Identifiers of the stimuli, in the order of their first presentation. */
  readonly stimuli: readonly string[];
  /** Presentations of each stimulus. */
  readonly repeats: Uint32Array<ArrayBuffer>;
  /** What is known of the stimuli, by name: coordinates of presentations that are the same in all of a stimulus. */
  readonly columns: ReadonlyMap<string, readonly string[]>;
  /** What is known of the sites, by name. */
  readonly sites: ReadonlyMap<string, readonly string[]>;
}

/** Options of {@link readAssembly}. */
export interface AssemblyOptions {
  /** Region of the sites, `IT`; else all. */
  readonly region?: string;
  /** Animal of the sites; else all. */
  readonly animal?: string;
  /** Milliseconds from stimulus onset, which time bins are averaged over: 70 to 170 as the paper and brain-score. */
  readonly window?: readonly [number, number];
}

const STIMULUS_IDS = ["stimulus_id", "image_id"];
const SITE_MARKS = ["neuroid_id", "neuroid", "region", "animal"];
const TIME_MARKS = ["time_bin_start", "time_bin", "time_bin_end"];

/** Which axis is which. */
interface Axes {
  readonly presentation: number;
  readonly neuroid: number;
  readonly time?: number;
}

function axesOf({ coordinates, shape }: LabelledVariable, path: string): Axes {
  const withAny = (names: readonly string[]) =>
    coordinates.findIndex((along) => names.some((name) => along.has(name)));
  const presentation = withAny(STIMULUS_IDS), time = withAny(TIME_MARKS);
  const known = withAny(SITE_MARKS);
  const others = shape.map((_, axis) => axis).filter((axis) =>
    axis !== presentation && axis !== time
  );
  const neuroid = known >= 0 ? known : others.length === 1 ? others[0] : -1;
  if (presentation < 0 || neuroid < 0 || presentation === neuroid) {
    throw new InputError(
      `Cannot read the assembly ${
        quote(path)
      }: one axis of its variable [${shape}] needs the coordinate ${
        STIMULUS_IDS.join(" or ")
      } and one ${SITE_MARKS.slice(0, 3).join(", ")}; its coordinates are ${
        coordinates.map((along) => `[${[...along.keys()]}]`).join(", ")
      }`,
    );
  }
  const rest = shape.map((_, axis) => axis).filter((axis) =>
    axis !== presentation && axis !== neuroid
  );
  return { presentation, neuroid, ...(rest.length === 1 ? { time: rest[0] } : {}) };
}

const textOf = (values: Coordinate): string[] => Array.from(values, String);

/** Places of the sites of a region and an animal. */
function chooseSites(
  along: ReadonlyMap<string, Coordinate>,
  n: number,
  { region, animal }: AssemblyOptions,
  path: string,
): number[] {
  let chosen = Array.from({ length: n }, (_, i) => i);
  for (const [name, wanted] of Object.entries({ region, animal })) {
    if (wanted === undefined) continue;
    const values = along.get(name);
    if (values === undefined) {
      throw new InputError(
        `Cannot choose sites of ${name} ${quote(wanted)} in ${quote(path)}: sites have no ${name}`,
      );
    }
    const text = textOf(values);
    const fitting = chosen.filter((site) => text[site] === wanted);
    if (fitting.length === 0) {
      throw new InputError(
        `Cannot choose sites of ${name} ${quote(wanted)} in ${quote(path)}: ${name} is ${
          [...new Set(chosen.map((site) => text[site]))].join(", ")
        }`,
      );
    }
    chosen = fitting;
  }
  return chosen;
}

/** Shares of the time bins in the average over a window that they tile. */
function timeShares(
  along: ReadonlyMap<string, Coordinate> | undefined,
  length: number,
  [from, to]: readonly [number, number],
  path: string,
): Float64Array {
  if (along === undefined) return Float64Array.of(1);
  const [starts, ends] = ["time_bin_start", "time_bin_end"].map((name) =>
    Array.from(along.get(name) ?? [], Number)
  );
  if (length === 1 && starts.length === 0) return Float64Array.of(1);
  const shares = Float64Array.from(
    { length },
    (_, i) => starts[i] >= from && ends[i] <= to ? (ends[i] - starts[i]) / (to - from) : 0,
  );
  const total = shares.reduce((a, b) => a + b, 0);
  if (Math.abs(total - 1) < 1e-6) return shares;
  const bins = starts.slice(0, 6).map((start, i) => `${start}-${ends[i]}`);
  throw new InputError(
    `Cannot average ${
      quote(path)
    } over ${from} to ${to} ms: its time bins do not make up that window, they are ${
      bins.join(", ") || "without start and end"
    }${starts.length > 6 ? `, … (${starts.length})` : ""}`,
  );
}

/** Sums of a site's answers to a stimulus, and how many there are. */
interface Sums {
  readonly values: Float64Array;
  readonly counts: Uint32Array;
}

const BLOCK_VALUES = 2 ** 22;

/** Adds up answers slab by slab, so that memory does not grow with the presentations. Answers that are NaN are passed over. */
function addUp(
  file: Hdf5File,
  { name, shape }: LabelledVariable,
  axes: Axes,
  { rowOf, columnOf, shares, nSites, nStimuli }: {
    /** Stimulus of each presentation. */
    readonly rowOf: ArrayLike<number>;
    /** Column of each neuroid, −1 where it is not chosen. */
    readonly columnOf: ArrayLike<number>;
    readonly shares: Float64Array;
    readonly nSites: number;
    readonly nStimuli: number;
  },
): Sums {
  const values = new Float64Array(nStimuli * nSites), counts = new Uint32Array(nStimuli * nSites);
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((a, b) => a * b, 1));
  const isDouble = file.info(name).dtype === "f64";
  const nRows = Math.max(1, Math.floor(BLOCK_VALUES / strides[0]));
  for (let first = 0; first < shape[0]; first += nRows) {
    const last = Math.min(shape[0], first + nRows);
    const slab = file.readRows(name, first, last);
    const data = isDouble ? toFloat64(slab) : toFloat32(slab);
    const extent = shape.map((length, axis) => axis === 0 ? last - first : length);
    for (let p = 0; p < extent[axes.presentation]; p++) {
      const row = rowOf[axes.presentation === 0 ? first + p : p];
      for (let s = 0; s < extent[axes.neuroid]; s++) {
        const column = columnOf[axes.neuroid === 0 ? first + s : s];
        if (column < 0) continue;
        let at = p * strides[axes.presentation] + s * strides[axes.neuroid], answer = 0;
        for (let t = 0; t < shares.length; t++) {
          if (shares[t] > 0) answer += shares[t] * data[at];
          at += axes.time === undefined ? 0 : strides[axes.time];
        }
        if (Number.isNaN(answer)) continue;
        values[row * nSites + column] += answer;
        counts[row * nSites + column]++;
      }
    }
  }
  return { values, counts };
}

/** Coordinates of presentations that every stimulus has one value of. */
function stimulusColumns(
  along: ReadonlyMap<string, Coordinate>,
  rowOf: Uint32Array,
  nStimuli: number,
): Map<string, readonly string[]> {
  const columns = new Map<string, readonly string[]>();
  for (const [name, values] of along) {
    const text = textOf(values), own = new Array<string | undefined>(nStimuli);
    const isSame = text.every((value, p) => (own[rowOf[p]] ??= value) === value);
    if (isSame) columns.set(name, own.map((value) => value ?? ""));
  }
  return columns;
}

/**
 * Reads responses of a region's sites, averaged over the presentations of each stimulus and over the time bins of a window. Repeats that
 * are NaN are left out.
 *
 * @throws {InputError} when the file is no such assembly, has no such sites or time bins, or a site never answered a stimulus
 */
export async function readAssembly(
  path: string,
  options: AssemblyOptions = {},
): Promise<NeuralAssembly> {
  refuseClassic(path);
  using file = await Hdf5File.open(path);
  const variable = findVariable(file);
  const { shape, coordinates } = variable;
  const axes = axesOf(variable, path);
  if (axes.time !== undefined && axes.time === 0) {
    throw new InputError(
      `Cannot read the assembly ${
        quote(path)
      }: its time bins are the first axis of [${shape}], transpose it`,
    );
  }
  const presentations = coordinates[axes.presentation], along = coordinates[axes.neuroid];
  const ids = textOf(
    STIMULUS_IDS.map((name) => presentations.get(name)).find((found) => found) ?? [],
  );
  const stimuli = [...new Set(ids)];
  const numberOf = new Map(stimuli.map((id, row) => [id, row]));
  const rowOf = Uint32Array.from(ids, (id) => numberOf.get(id) ?? 0);
  const sites = chooseSites(along, shape[axes.neuroid], options, path);
  const columnOf = new Int32Array(shape[axes.neuroid]).fill(-1);
  sites.forEach((site, column) => columnOf[site] = column);
  const time = axes.time === undefined ? undefined : coordinates[axes.time];
  const nBins = axes.time === undefined ? 1 : shape[axes.time];
  const shares = timeShares(time, nBins, options.window ?? [70, 170], path);
  const [nStimuli, nSites] = [stimuli.length, sites.length];
  const { values, counts } = addUp(file, variable, axes, {
    rowOf,
    columnOf,
    shares,
    nSites,
    nStimuli,
  });
  const never = counts.indexOf(0);
  if (never >= 0) {
    throw new InputError(
      `Cannot average the assembly ${quote(path)}: site ${
        sites[never % nSites]
      } (counted from 0) has no answer to stimulus ${quote(stimuli[Math.floor(never / nSites)])}`,
    );
  }
  const repeats = new Uint32Array(nStimuli);
  for (const row of rowOf) repeats[row]++;
  return {
    responses: hostMatrix(values.map((sum, i) => sum / counts[i]), [nStimuli, nSites]),
    stimuli,
    repeats,
    columns: stimulusColumns(presentations, rowOf, nStimuli),
    sites: new Map(
      [...along].map(([name, all]) => {
        const text = textOf(all);
        return [name, sites.map((site) => text[site])];
      }),
    ),
  };
}
