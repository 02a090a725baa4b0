/**
 * A study's folder, read back: what `study_files.ts` says is in it.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import type { RgbImage } from "../images/rgb_image.ts";
import { withFileErrors } from "../io/files.ts";
import { Hdf5File } from "../io/hdf5.ts";
import { loadPng } from "../io/png.ts";
import { hostArray, toFloat32 } from "../io/state_dict.ts";
import { isJsonObject, parseJsonObject, quote } from "../io/strict_json.ts";
import type { Grid } from "../models/pos_embed.ts";
import type { StudyResults } from "./results.ts";
import type { CortexPlaces } from "./study.ts";
import { subjectFolder } from "./study_files.ts";
import { checkResults } from "./study_shape.ts";

/** The voxels of a subject by a backbone. */
export interface StudyVoxels {
  /** R² on the test images, `[nVoxels]`. */
  readonly r2: Float64Array<ArrayBuffer>;
  /** q-values of the predictions, `[nVoxels]`; undefined where nothing was tested. */
  readonly qPredicted?: Float64Array<ArrayBuffer>;
  /** Noise ceilings in [0, 1], `[nVoxels]`, where they are known. */
  readonly noiseCeiling?: Float64Array<ArrayBuffer>;
  /** Names of the properties of {@link correlates}. */
  readonly properties: readonly string[];
  /** Mean over images of the correlation of maps with properties, `[nProperties, nVoxels]`. */
  readonly correlates: Float64Array<ArrayBuffer>;
  /** q-values of the properties, `[nProperties, nVoxels]`, NaN for voxels that were not tested; undefined where nothing was tested. */
  readonly qValues?: Float64Array<ArrayBuffer>;
  /** Signs of the tested slopes, `[nProperties, nVoxels]`. */
  readonly signs?: Float64Array<ArrayBuffer>;
  /** R, G, B of the voxels, `[nVoxels, 3]`, where they were coloured. */
  readonly rgb?: Uint8Array<ArrayBuffer>;
  /** Region of each voxel, an index into `roiNames`; as many as these where it has none, `[nVoxels]`. */
  readonly roi: Uint32Array<ArrayBuffer>;
  /** Names of the regions. */
  readonly roiNames: readonly string[];
  /** Where voxels lie. */
  readonly places: CortexPlaces;
}

/** Maps of some images. */
export interface StudyMaps {
  /** Names of the regions. */
  readonly roiNames: readonly string[];
  /** Patch grid. */
  readonly grid: Grid;
  /** Distilled maps of each image, `[nRois, gridHeight, gridWidth]`. */
  readonly distilled: readonly Float32Array<ArrayBuffer>[];
  /** The same without distillation. */
  readonly plain: readonly Float32Array<ArrayBuffer>[];
}

const cannotRead = (folder: string) => `Cannot read the study ${quote(folder)}:`;

/**
 * Reads the tables of a study.
 *
 * @throws {InputError} when there is no `results.json`, it is damaged, or no study's
 */
export function readStudyResults(folder: string): StudyResults {
  const path = `${folder}/results.json`;
  const bytes = withFileErrors("read", path, () => Deno.readFileSync(path));
  const cannot = cannotRead(folder);
  return checkResults(parseJsonObject(bytes, `${cannot} results.json`), cannot);
}

/** What the record of the run says of a study, as far as it is there. */
export interface StudyRecord {
  /** Seed of everything random. */
  readonly seed?: number;
  /** How long it took. */
  readonly seconds?: number;
  /** The device. */
  readonly adapter?: string;
}

/**
 * Reads the record of a study's run; nothing where there is none.
 *
 * @throws {InputError} when it is no JSON
 */
export function readStudyRecord(folder: string): StudyRecord {
  const path = `${folder}/run.json`;
  let bytes: Uint8Array;
  try {
    bytes = Deno.readFileSync(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return {};
    throw cause;
  }
  const { options, seconds, adapter } = parseJsonObject(bytes, `${cannotRead(folder)} run.json`);
  const seed = isJsonObject(options) ? options.seed : undefined;
  return {
    seed: typeof seed === "number" ? seed : undefined,
    seconds: typeof seconds === "number" ? seconds : undefined,
    adapter: typeof adapter === "string" ? adapter : undefined,
  };
}

/** Datasets of a file as numbers, of a due length. */
class Numbers {
  readonly #names: ReadonlySet<string>;

  constructor(readonly file: Hdf5File) {
    this.#names = new Set(file.datasets());
  }

  has(name: string): boolean {
    return this.#names.has(`/${name}`);
  }

  read(name: string, length?: number): Float64Array<ArrayBuffer> {
    const values = Float64Array.from(hostArray(this.file.read(name)), Number);
    if (length === undefined || values.length === length) return values;
    throw new InputError(
      `Cannot use ${
        quote(`${this.file.path}:${name}`)
      }: it must have ${length} values, has ${values.length}`,
    );
  }

  readIf(name: string, length: number): Float64Array<ArrayBuffer> | undefined {
    return this.has(name) ? this.read(name, length) : undefined;
  }
}

function placesOf(numbers: Numbers, n: number): CortexPlaces {
  const flat = numbers.readIf("flat", 2 * n);
  const hemisphere = numbers.readIf("hemisphere", n);
  const volumeIndex = numbers.readIf("volume_index", n);
  const { file } = numbers;
  const shape = volumeIndex && file.attributes("volume_index").shape;
  if (volumeIndex && !(Array.isArray(shape) && shape.length === 3)) {
    throw new InputError(
      `Cannot use ${
        quote(`${file.path}:volume_index`)
      }: its attribute "shape" must be [Z, Y, X], ` +
        `it is ${quote(shape)}`,
    );
  }
  return {
    flat: flat && Float32Array.from(flat),
    hemisphere: hemisphere && Uint8Array.from(hemisphere),
    volume: volumeIndex && {
      volumeIndex: Uint32Array.from(volumeIndex),
      volumeShape: (shape as unknown[]).map(Number),
    },
  };
}

/**
 * Reads what is kept of a subject's voxels.
 *
 * @throws {InputError} when the file is missing, damaged, or its parts do not agree
 */
export async function readStudyVoxels(
  folder: string,
  backbone: string,
  subject: string,
): Promise<StudyVoxels> {
  using file = await Hdf5File.open(`${subjectFolder(folder, backbone, subject)}/voxels.h5`);
  const numbers = new Numbers(file);
  const r2 = numbers.read("r2");
  const n = r2.length;
  const properties = file.readStrings("correlates/properties");
  const all = properties.length * n;
  const rgb = numbers.readIf("rgb", 3 * n);
  return {
    r2,
    qPredicted: numbers.readIf("q_predicted", n),
    noiseCeiling: numbers.readIf("noise_ceiling", n),
    properties,
    correlates: numbers.read("correlates/r", all),
    qValues: numbers.readIf("correlates/q", all),
    signs: numbers.readIf("correlates/sign", all),
    rgb: rgb && Uint8Array.from(rgb),
    roi: Uint32Array.from(numbers.read("roi", n)),
    roiNames: file.readStrings("roi_names"),
    places: placesOf(numbers, n),
  };
}

/**
 * Reads the maps of some images, one row of the file after the other.
 *
 * @param images names of mapped images
 * @throws {InputError} when the file is missing, damaged, or has no maps of an image
 */
export async function readStudyMaps(
  folder: string,
  { backbone, subject, images }: {
    readonly backbone: string;
    readonly subject: string;
    readonly images: readonly string[];
  },
): Promise<StudyMaps> {
  const path = `${subjectFolder(folder, backbone, subject)}/maps.h5`;
  using file = await Hdf5File.open(path);
  const names = file.readStrings("image_names");
  const roiNames = file.readStrings("roi_names");
  const { shape } = file.info("distilled");
  if (shape.length !== 4 || shape[0] !== names.length || shape[1] !== roiNames.length) {
    throw new InputError(
      `Cannot use ${
        quote(`${path}:distilled`)
      }: it must be [${names.length}, ${roiNames.length}, height, width], it is [${shape}]`,
    );
  }
  const rows = images.map((image) => {
    const row = names.indexOf(image);
    if (row >= 0) return row;
    throw new InputError(`Cannot use ${quote(path)}: it has no maps of ${quote(image)}`);
  });
  const read = (method: string) =>
    rows.map((row) => toFloat32(file.readRows(method, row, row + 1)));
  return {
    roiNames,
    grid: [shape[2], shape[3]],
    distilled: read("distilled"),
    plain: read("plain"),
  };
}

/**
 * Reads the colours of the patches of the shown images; undefined where a backbone was not coloured.
 *
 * @param nShown number of the study's shown images
 * @returns R, G, B of each image's patches, `[gridHeight, gridWidth, 3]`
 * @throws {InputError} when the file is damaged, or has not one picture for each of them
 */
export async function readStudyColors(
  folder: string,
  backbone: string,
  nShown: number,
): Promise<RgbImage[] | undefined> {
  const path = `${folder}/${backbone}/colors.h5`;
  const isThere = [...Deno.readDirSync(`${folder}/${backbone}`)]
    .some(({ name }) => name === "colors.h5");
  if (!isThere) return undefined;
  using file = await Hdf5File.open(path);
  const { shape } = file.info("rgb");
  if (shape.length !== 4 || shape[0] !== nShown || shape[3] !== 3) {
    throw new InputError(
      `Cannot use ${
        quote(`${path}:rgb`)
      }: it must be [${nShown}, height, width, 3], it is [${shape}]`,
    );
  }
  return Array.from({ length: nShown }, (_, i) => ({
    height: shape[1],
    width: shape[2],
    data: Uint8Array.from(hostArray(file.readRows("rgb", i, i + 1)), Number),
  }));
}

/**
 * Reads the picture of an image; undefined where the study kept none.
 *
 * @throws {InputError} when it is damaged
 */
export function readStudyImage(folder: string, name: string): RgbImage | undefined {
  const path = `${folder}/images/${name}.png`;
  try {
    Deno.statSync(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return undefined;
    throw cause;
  }
  return loadPng(path);
}
