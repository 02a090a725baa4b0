import { type HostMatrix, hostMatrix, takeColumns } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import { openArray, parseArrayRef } from "../io/array_ref.ts";
import { requireFinite } from "../io/checks.ts";
import { parseCsv } from "../io/csv.ts";
import { RandomAccessFile, withFileErrors } from "../io/files.ts";
import { readMat } from "../io/mat.ts";
import { quote } from "../io/strict_json.ts";
import { type AssemblyOptions, readAssembly } from "./assembly.ts";
import {
  categoryLabels,
  HVM_POSE,
  poseFeatures,
  readStimulusTable,
  type StimulusColumns,
} from "./stimuli.ts";

/** Responses of a population to stimuli, with what labels there are. */
export interface Population {
  /** `[nStimuli, nSites]` */
  readonly responses: HostMatrix;
  /** Pose features, `[nStimuli, nPose]`. */
  readonly pose?: HostMatrix;
  /** Categories from 0, `[nStimuli]`. */
  readonly categories?: Uint32Array<ArrayBuffer>;
  /** Names of the categories, where they have some. */
  readonly categoryNames?: readonly string[];
  /** Identifiers of the stimuli, where they have some. */
  readonly stimuli?: readonly string[];
}

/** Options of {@link readPopulation}. */
export interface PopulationOptions extends AssemblyOptions {
  /** Columns of the matrix that are read, from the first to before the second: `[0, 58]` is the first monkey of the released code. */
  readonly sites?: readonly [number, number];
  /** Reference of pose features `[nStimuli, nPose]`. */
  readonly pose?: string;
  /** Reference of categories `[nStimuli]`. */
  readonly categories?: string;
  /** Table of stimuli (CSV), with columns of pose and category. */
  readonly stimuli?: string;
  /** Columns of the pose in the table, or in the assembly. */
  readonly poseColumns?: readonly string[];
  /** Column of the category there. */
  readonly categoryColumn?: string;
}

/** Files of one folder: the released code's, and those of `gyrus phantom it`. */
const FILE_SETS = [
  {
    responses: "sorted_it_avg_data.npy",
    pose: "stimulus_pose_features.npy",
    categories: "stimulus_category_ids.npy",
  },
  { responses: "responses.npy", pose: "pose.npy", categories: "categories.npy" },
] as const;

function isFile(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound || cause instanceof Deno.errors.NotADirectory) {
      return false;
    }
    throw cause;
  }
}

function isFolder(path: string): boolean {
  try {
    return Deno.statSync(path).isDirectory;
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return false;
    throw cause;
  }
}

function readCsvMatrix(path: string): HostMatrix {
  const text = withFileErrors("read", path, () => Deno.readTextFileSync(path));
  const cannot = `Cannot read the matrix ${quote(path)}:`;
  const isNumber = (cell: string) => cell.trim() !== "" && !Number.isNaN(Number(cell));
  // Without names the first record is data too: then names are put before it.
  const first = text.slice(0, text.search(/\r?\n|$/)).split(",");
  const named = first.every(isNumber)
    ? `${first.map((_, c) => `column ${c}`).join(",")}\n${text}`
    : text;
  const columns = [...parseCsv(named, cannot)];
  const n = columns[0]?.[1].length ?? 0;
  const data = new Float32Array(n * columns.length);
  columns.forEach(([name, cells], c) =>
    cells.forEach((cell, row) => {
      if (!isNumber(cell)) {
        throw new InputError(
          `${cannot} ${quote(cell)} in row ${row} of ${quote(name)} is no number`,
        );
      }
      data[row * columns.length + c] = Number(cell);
    })
  );
  return hostMatrix(data, [n, columns.length]);
}

/** An array of MATLAB's own files; `undefined` where the file is HDF5. */
function readMatMatrix(reference: string): HostMatrix | undefined {
  const { path, name } = parseArrayRef(reference);
  using file = new RandomAccessFile(path);
  const head = new TextDecoder("latin1").decode(file.read(0, Math.min(10, file.size)));
  if (head !== "MATLAB 5.0") return undefined;
  const arrays = readMat(file.read(0, file.size), { source: path });
  const names = [...arrays.keys()];
  const chosen = name ?? (names.length === 1 ? names[0] : undefined);
  const array = chosen === undefined ? undefined : arrays.get(chosen);
  if (array === undefined || array.shape.length !== 2) {
    throw new InputError(
      `Cannot choose a matrix in ${quote(path)}: give one by PATH:NAME; it has ${
        names.slice(0, 8).join(", ") || "none"
      }`,
    );
  }
  return hostMatrix(array.data, [array.shape[0], array.shape[1]]);
}

/**
 * A matrix of a .npy, HDF5, safetensors, MATLAB or CSV file; one axis alone is one column.
 *
 * @param columns what the columns are, for messages
 * @throws {InputError} when there is no such matrix, or a value is not finite: it names its row
 */
export async function readMatrix(reference: string, columns: string): Promise<HostMatrix> {
  const { path } = parseArrayRef(reference);
  const matrix = /\.csv$/i.test(path)
    ? readCsvMatrix(path)
    : /\.mat$/i.test(path)
    ? readMatMatrix(reference)
    : undefined;
  if (matrix !== undefined) {
    requireFinite(matrix.data, { source: reference, columns: matrix.shape[1] });
    return matrix;
  }
  using rows = await openArray(reference);
  const { shape } = rows;
  if (shape.length > 2) {
    throw new InputError(
      `Cannot use ${
        quote(reference)
      }: it must have the axes [stimuli, ${columns}], its shape is [${shape}]`,
    );
  }
  const data = rows.readRows(0, shape[0]);
  requireFinite(data, { source: reference, columns: shape[1] ?? 1 });
  return hostMatrix(data, [shape[0], shape[1] ?? 1]);
}

/** Some columns of the responses. */
function chooseColumns(
  responses: HostMatrix,
  sites: readonly [number, number] | undefined,
): HostMatrix {
  if (sites === undefined) return responses;
  const [start, end] = sites, [, nSites] = responses.shape;
  if (!(start >= 0 && start < end && end <= nSites)) {
    throw new InputError(
      `Cannot take sites ${start} to ${end}: the responses have ${nSites}, and the first must be before the end`,
    );
  }
  return takeColumns(responses, Array.from({ length: end - start }, (_, i) => start + i));
}

/** Labels by the columns of a table, those that it has where none are asked for. */
function labelsOf(
  columns: StimulusColumns,
  { poseColumns, categoryColumn }: PopulationOptions,
): Pick<Population, "pose" | "categories" | "categoryNames"> {
  const hasPose = HVM_POSE.every((name) => columns.has(name));
  const names = poseColumns ?? (hasPose ? HVM_POSE : undefined);
  const category = categoryColumn ?? (columns.has("category_name") ? "category_name" : undefined);
  const labels = category === undefined ? undefined : categoryLabels(columns, category);
  return {
    ...(names ? { pose: poseFeatures(columns, names) } : {}),
    ...(labels ? { categories: labels.categories, categoryNames: labels.names } : {}),
  };
}

/** Whole numbers of an array of labels. */
async function readCategories(reference: string): Promise<Uint32Array<ArrayBuffer>> {
  const { data } = await readMatrix(reference, "1");
  const bad = data.findIndex((label) => !(Number.isInteger(label) && label >= 0));
  if (bad >= 0) {
    throw new InputError(
      `Cannot use the categories ${
        quote(reference)
      }: each must be a whole number from 0, that of stimulus ${bad} is ${data[bad]}`,
    );
  }
  return Uint32Array.from(data);
}

/**
 * Reads responses with labels: a matrix `[stimuli, sites]` of any format, a folder with the released code's files
 * (`sorted_it_avg_data.npy`, `stimulus_pose_features.npy`, `stimulus_category_ids.npy`) or those of `gyrus phantom it`, or brain-score's
 * assembly (`.nc`). Labels are those that are named, else those of the folder, of the table of stimuli, or of the assembly.
 *
 * @throws {InputError} when a file is missing or is not what it must be, a value is not finite, or numbers of stimuli differ
 */
export async function readPopulation(
  source: string,
  options: PopulationOptions = {},
): Promise<Population> {
  const found = await readSource(source, options);
  const [n] = found.responses.shape;
  const pose = options.pose === undefined ? found.pose : await readMatrix(options.pose, "features");
  const named = options.categories === undefined
    ? undefined
    : await readCategories(options.categories);
  const categories = named ?? found.categories;
  for (
    const [what, length] of Object.entries({
      "pose features": pose?.shape[0],
      categories: categories?.length,
    })
  ) {
    if (length === undefined || length === n) continue;
    throw new InputError(
      `Cannot pair ${quote(source)} with its ${what}: it has ${n} stimuli, they are of ${length}`,
    );
  }
  return {
    responses: chooseColumns(found.responses, options.sites),
    ...(found.stimuli ? { stimuli: found.stimuli } : {}),
    ...(pose ? { pose } : {}),
    ...(categories ? { categories } : {}),
    ...(named === undefined && found.categoryNames ? { categoryNames: found.categoryNames } : {}),
  };
}

async function readSource(source: string, options: PopulationOptions): Promise<Population> {
  const readTable = (stimuli?: readonly string[]) => {
    const path = options.stimuli;
    if (path === undefined) return undefined;
    const text = withFileErrors("read", path, () => Deno.readTextFileSync(path));
    return readStimulusTable(text, { stimuli, source: path });
  };
  if (/\.(nc|nc4|cdf)$/i.test(source)) {
    const assembly = await readAssembly(source, options);
    const columns = readTable(assembly.stimuli) ?? assembly.columns;
    const { responses, stimuli } = assembly;
    return { responses, stimuli, ...labelsOf(columns, options) };
  }
  const table = readTable();
  const labels = table ? labelsOf(table, options) : {};
  if (!isFolder(source)) return { responses: await readMatrix(source, "sites"), ...labels };
  const set = FILE_SETS.find(({ responses }) => isFile(`${source}/${responses}`));
  if (set === undefined) {
    throw new InputError(
      `Cannot read responses of the folder ${quote(source)}: it must have ${
        FILE_SETS.map(({ responses }) => responses).join(" or ")
      }`,
    );
  }
  const [poseFile, categoryFile] = [set.pose, set.categories].map((name) => `${source}/${name}`);
  return {
    responses: await readMatrix(`${source}/${set.responses}`, "sites"),
    ...(isFile(poseFile) ? { pose: await readMatrix(poseFile, "features") } : {}),
    ...(isFile(categoryFile) ? { categories: await readCategories(categoryFile) } : {}),
    ...labels,
  };
}
