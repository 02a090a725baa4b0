/**
 * The file of a cut: its results, and what places new nodes in it.
 *
 * @module
 */
import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import { Hdf5File } from "../io/hdf5.ts";
import type { Hdf5WriteDType, Hdf5Writer } from "../io/hdf5_writer.ts";
import { type HostArray, toFloat32, toFloat64 } from "../io/state_dict.ts";
import { isJsonObject, quote } from "../io/strict_json.ts";
import type { Affinity } from "../spectral/affinity.ts";
import type { FeatureNodes } from "../spectral/feature_nodes.ts";
import type { NcutOptions } from "../spectral/ncut_options.ts";
import type { NcutState } from "../spectral/ncut_solve.ts";

/** Options that the map of new nodes depends on. */
export type FitOptions = Pick<
  NcutOptions,
  "nEig" | "method" | "extension" | "weights" | "nNeighbors" | "kernelDim" | "frequencies"
>;

/** What makes the map of new nodes again. */
export interface StoredFit {
  readonly options: FitOptions;
  /** Seed of everything random. */
  readonly seed: number;
  /** The solution; rows of landmarks and neighbours are counted within `nodes`. */
  readonly state: NcutState;
  /** Features of the nodes that the map needs, `[m, width]`; one row that is not looked at for random features. */
  readonly nodes: HostMatrix;
}

/** Clusters of the nodes for one number of them. */
export interface StoredLabels {
  readonly k: number;
  /** `[nNodes]` */
  readonly labels: Uint32Array<ArrayBuffer>;
  /** Scores of clusters are rows of eigenvectors of unit length times it, `[nEig, k]`. */
  readonly rotation: HostMatrix;
}

/** Everything that a file of a cut holds. */
export interface StoredCut {
  readonly fit: StoredFit;
  /** `[nNodes, nEig]` */
  readonly eigvec: HostMatrix;
  readonly clusters: readonly StoredLabels[];
  /** `[nNodes, 3]` bytes, and the nodes whose colours new ones take. */
  readonly colors?: {
    readonly rgb: Uint8Array<ArrayBuffer>;
    readonly samples: Uint32Array<ArrayBuffer>;
  };
}

/** Writes a whole dataset. */
export function writeDataset(
  file: Hdf5Writer,
  name: string,
  { dtype, shape, data }: {
    readonly dtype: Hdf5WriteDType;
    readonly shape: readonly number[];
    readonly data: HostArray;
  },
): void {
  file.createDataset(name, { shape, dtype });
  if (data.length > 0) file.writeRows(name, 0, data);
}

const writeMatrix = (file: Hdf5Writer, name: string, { data, shape }: HostMatrix) =>
  writeDataset(file, name, { dtype: "f32", shape, data });
const writeIndices = (file: Hdf5Writer, name: string, data: Uint32Array<ArrayBuffer>) =>
  writeDataset(file, name, { dtype: "u32", shape: [data.length], data });
const writeNumbers = (file: Hdf5Writer, name: string, data: Float64Array<ArrayBuffer>) =>
  writeDataset(file, name, { dtype: "f64", shape: [data.length], data });

/** Where nodes come from: an array, its images, its grid, its prefix tokens. */
export function writeParts(file: Hdf5Writer, { parts }: FeatureNodes): void {
  const rows = parts.flatMap(({ firstNode, nImages, grid, prefixTokens }) => [
    ...[firstNode, nImages],
    ...(grid ?? [0, 0]),
    prefixTokens,
  ]);
  const data = Int32Array.from(rows);
  writeDataset(file, "/parts", { dtype: "i32", shape: [parts.length, 5], data });
  file.setAttribute(
    "/parts",
    "columns",
    "first node, images, grid rows, grid columns, prefix tokens",
  );
  file.writeStrings("/sources", parts.map(({ source }) => source));
}

/** Labels, rotations and colours of nodes. */
export function writeReadings(
  file: Hdf5Writer,
  { eigvec, clusters, colors }: Omit<StoredCut, "fit">,
): void {
  writeMatrix(file, "/eigvec", eigvec);
  for (const { k, labels, rotation } of clusters) {
    writeIndices(file, `/labels/${k}`, labels);
    writeMatrix(file, `/rotations/${k}`, rotation);
  }
  if (colors === undefined) return;
  const { rgb, samples } = colors;
  writeDataset(file, "/rgb", { dtype: "u8", shape: [rgb.length / 3, 3], data: rgb });
  writeIndices(file, "/color_samples", samples);
}

/** The solution. Landmarks are rows among all nodes, as the user counts them. */
export function writeFit(
  file: Hdf5Writer,
  { options, seed, state, nodes }: StoredFit,
  { landmarks, isKept }: {
    readonly landmarks: Uint32Array<ArrayBuffer>;
    /** Whether new nodes can be placed by it. */
    readonly isKept: boolean;
  },
): void {
  const { affinity, eigval, residuals, neighbors, turn } = state;
  writeNumbers(file, "/eigval", eigval);
  writeNumbers(file, "/residuals", residuals);
  writeIndices(file, "/landmarks", landmarks);
  const [name, value] = scaleOf(affinity);
  writeNumbers(file, "/sigma", Float64Array.of(value));
  file.setAttribute("/sigma", "parameter", name);
  file.setAttribute("/sigma", "affinity", affinity.kind);
  if (!isKept) return;
  writeMatrix(file, "/fit/nodes", nodes);
  if (neighbors) {
    writeIndices(file, "/fit/neighbors", neighbors.rows);
    writeMatrix(file, "/fit/values", neighbors.values);
  }
  if (turn) {
    const { total, turn: values } = turn, width = total.length;
    writeDataset(file, "/fit/total", { dtype: "f32", shape: [width], data: total });
    writeMatrix(file, "/fit/turn", hostMatrix(values, [width, values.length / width]));
    file.setAttribute("/fit", "floor", turn.floor);
  }
  const near = neighbors?.affinity;
  file.setAttribute("/fit", "options", JSON.stringify({ ...options, seed, affinity, near }));
}

function scaleOf(affinity: Affinity): [name: string, value: number] {
  if (affinity.kind === "custom") throw new TypeError("A custom affinity has no scale to write");
  return "sigma" in affinity ? ["sigma", affinity.sigma] : ["gamma", affinity.gamma];
}

function readMatrix(file: Hdf5File, name: string): HostMatrix {
  const tensor = file.read(name);
  return hostMatrix(toFloat32(tensor), [tensor.shape[0], tensor.shape[1] ?? 1]);
}

const readIndices = (file: Hdf5File, name: string) => Uint32Array.from(toFloat64(file.read(name)));

function readFit(file: Hdf5File, path: string): StoredFit {
  const { options: text, floor } = file.attributes("/fit");
  const parsed: unknown = typeof text === "string" ? JSON.parse(text) : undefined;
  if (!isJsonObject(parsed)) {
    throw new InputError(`Cannot place nodes in ${quote(path)}: its /fit does not say its options`);
  }
  const { seed, affinity, near, ...options } = parsed as FitOptions & {
    readonly seed: number;
    readonly affinity: Affinity;
    readonly near?: Affinity;
  };
  const names = new Set(file.datasets());
  const neighbors = names.has("/fit/neighbors")
    ? {
      rows: readIndices(file, "/fit/neighbors"),
      values: readMatrix(file, "/fit/values"),
      affinity: near ?? affinity,
    }
    : undefined;
  const turn = names.has("/fit/turn")
    ? {
      total: toFloat32(file.read("/fit/total")),
      turn: readMatrix(file, "/fit/turn").data,
      floor: Number(floor),
    }
    : undefined;
  const nodes = readMatrix(file, "/fit/nodes");
  const state = {
    affinity,
    eigval: toFloat64(file.read("/eigval")),
    residuals: toFloat64(file.read("/residuals")),
    landmarks: Uint32Array.from({ length: nodes.shape[0] }, (_, i) => i),
    ...(neighbors ? { neighbors } : {}),
    ...(turn ? { turn } : {}),
  };
  return { options, seed, state, nodes };
}

/**
 * Reads the file of a cut.
 *
 * @throws {InputError} when it is no such file, is damaged, or was written for looking at alone
 */
export async function readCut(path: string): Promise<StoredCut> {
  using file = await Hdf5File.open(path);
  const names = new Set(file.datasets());
  if (!names.has("/eigvec") || !names.has("/fit/nodes")) {
    throw new InputError(
      `Cannot place nodes in ${
        quote(path)
      }: it must be the file of gyrus cut, without --orthogonal, ` +
        "with /eigvec and /fit",
    );
  }
  const clusters = [...names].flatMap((name) => {
    const k = Number(/^\/labels\/(\d+)$/.exec(name)?.[1]);
    if (!Number.isFinite(k)) return [];
    return [{ k, labels: readIndices(file, name), rotation: readMatrix(file, `/rotations/${k}`) }];
  }).sort((a, b) => a.k - b.k);
  const colors = names.has("/rgb")
    ? {
      rgb: Uint8Array.from(toFloat64(file.read("/rgb"))),
      samples: readIndices(file, "/color_samples"),
    }
    : undefined;
  return { fit: readFit(file, path), eigvec: readMatrix(file, "/eigvec"), clusters, colors };
}
