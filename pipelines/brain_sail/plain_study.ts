/**
 * A study from plain files: folders or arrays of images, one HDF5 file of responses a subject.
 *
 * @module
 */
import type { RoiVoxels } from "../dense/relevance.ts";
import { hostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import type { PixelField } from "../images/image_properties.ts";
import { requireFinite } from "../io/checks.ts";
import { Hdf5File } from "../io/hdf5.ts";
import { type ImageSource, openImages } from "../io/images.ts";
import { hostArray, toFloat32 } from "../io/state_dict.ts";
import { quote } from "../io/strict_json.ts";
import { NO_TRUTH, sharedRows, type Study, type StudySubject, type StudyTruth } from "./study.ts";

/** Where the files of a study are. */
export interface PlainStudyOptions {
  /** Images that encoders are fitted on: anything that `openImages` opens. */
  readonly trainImages: string;
  /** Images that they are tested on. */
  readonly testImages: string;
  /**
   * One HDF5 file a subject: `train [nTrain, nVoxels]` and `test [nTest, nVoxels]` in the order of the images, `roi [nVoxels]` (index into
   * the strings `roi_names`, whatever is beyond them belongs to none), and where there are, `noise_ceiling [nVoxels]` in [0, 1],
   * `flat [nVoxels, 2]` and `hemisphere [nVoxels]`.
   */
  readonly subjects: readonly string[];
  /**
   * HDF5 file of what is in the test images: `masks [nTest, k, height, width]` with the strings `categories`, `depth [nTest, height,
   * width]` (far = large), or one of both.
   */
  readonly truth?: string;
  /** Number of test images to map; all when left out. */
  readonly nMapped?: number;
}

/** A vector of the file with one value per voxel; undefined where there is none. */
function vectorOf(file: Hdf5File, name: string, nVoxels: number, columns = 1) {
  if (!file.datasets().includes(`/${name}`)) return undefined;
  const values = toFloat32(file.read(name));
  if (values.length === nVoxels * columns) return values;
  throw new InputError(
    `Cannot use ${quote(`${file.path}:${name}`)}: it must have ${nVoxels * columns} values for ` +
      `${nVoxels} voxels, has ${values.length}`,
  );
}

function matrixOf(file: Hdf5File, name: string, nRows: number) {
  const source = `${file.path}:${name}`;
  const { shape } = file.info(name);
  if (shape.length !== 2 || shape[0] !== nRows || shape[1] === 0) {
    throw new InputError(
      `Cannot use ${quote(source)}: it must be [${nRows} images, voxels], it is [${shape}]`,
    );
  }
  const data = toFloat32(file.readRows(name, 0, nRows));
  requireFinite(data, { source, columns: shape[1] });
  return hostMatrix(data, [nRows, shape[1]]);
}

function regionsOf(file: Hdf5File, nVoxels: number): RoiVoxels[] {
  const roi = vectorOf(file, "roi", nVoxels);
  if (!roi) return [];
  const names = file.readStrings("roi_names");
  return names.map((name, k) => ({
    name,
    voxels: [...roi.keys()].filter((v) => roi[v] === k),
  })).filter(({ voxels }) => voxels.length > 0);
}

async function readSubject(path: string, nTrain: number, nTest: number): Promise<StudySubject> {
  using file = await Hdf5File.open(path);
  const [train, test] = [matrixOf(file, "train", nTrain), matrixOf(file, "test", nTest)];
  const nVoxels = train.shape[1];
  if (test.shape[1] !== nVoxels) {
    throw new InputError(
      `Cannot use ${quote(path)}: train has ${nVoxels} voxels, test ${test.shape[1]}`,
    );
  }
  const noiseCeiling = vectorOf(file, "noise_ceiling", nVoxels);
  const bad = noiseCeiling?.find((value) => !(value >= 0 && value <= 1));
  if (bad !== undefined) {
    throw new InputError(
      `Cannot use ${
        quote(`${path}:noise_ceiling`)
      }: shares of variance are from 0 to 1, one is ${bad}`,
    );
  }
  const hemisphere = vectorOf(file, "hemisphere", nVoxels);
  return {
    name: path.replace(/^.*\//s, "").replace(/\.[^.]*$/, "").replace(/^responses_/, ""),
    trainRows: Uint32Array.from({ length: nTrain }, (_, i) => i),
    train,
    testRows: Uint32Array.from({ length: nTest }, (_, i) => nTrain + i),
    test,
    noiseCeiling,
    rois: regionsOf(file, nVoxels),
    places: {
      flat: vectorOf(file, "flat", nVoxels, 2),
      hemisphere: hemisphere && Uint8Array.from(hemisphere),
    },
  };
}

/** Opens `truth.h5`; its rows begin at the first test image. */
async function openTruth(
  path: string,
  nTrain: number,
  nTest: number,
): Promise<StudyTruth & Disposable> {
  const file = await Hdf5File.open(path);
  const has = (name: string) => file.datasets().includes(`/${name}`);
  const shapeOf = (name: string, rank: number) => {
    const { shape } = file.info(name);
    if (shape.length === rank && shape[0] === nTest) return shape;
    file.close();
    throw new InputError(
      `Cannot use ${
        quote(`${path}:${name}`)
      }: it must have ${rank} axes, the first of ${nTest} test images, ` +
        `it is [${shape}]`,
    );
  };
  const [masks, depths] = [
    has("masks") && shapeOf("masks", 4),
    has("depth") && shapeOf("depth", 3),
  ];
  const categories = masks ? file.readStrings("categories") : [];
  const fieldOf = <T extends Uint8Array | Float32Array>(data: T, size: readonly number[]) =>
    ({ data, size: [size[0], size[1]] }) satisfies PixelField<T>;
  return {
    categories,
    mask(row, category) {
      const k = categories.indexOf(category);
      if (!masks || k < 0 || row < nTrain) return undefined;
      const [, , height, width] = masks;
      const all = hostArray(file.readRows("masks", row - nTrain, row - nTrain + 1));
      const area = height * width;
      return fieldOf(Uint8Array.from(all.subarray(k * area, (k + 1) * area), Number), [
        height,
        width,
      ]);
    },
    depth(row) {
      if (!depths || row < nTrain) return undefined;
      const data = toFloat32(file.readRows("depth", row - nTrain, row - nTrain + 1));
      return fieldOf(data, depths.slice(1));
    },
    [Symbol.dispose]: () => file.close(),
  };
}

/** Two lists of images as one; names that both have are told apart by the list. */
function joined(train: ImageSource, test: ImageSource) {
  const isClear = new Set([...train.names, ...test.names]).size === train.n + test.n;
  const named = (list: string, names: readonly string[]) =>
    isClear ? names : names.map((name) => `${list}_${name}`);
  return {
    files: [...train.files, ...test.files],
    names: [...named("train", train.names), ...named("test", test.names)],
    read: (i: number) => i < train.n ? train.read(i) : test.read(i - train.n),
  };
}

/**
 * Opens a study from plain files. The caller disposes it.
 *
 * @throws {InputError} when a file is missing, or does not agree with the others
 */
export async function openPlainStudy(options: PlainStudyOptions): Promise<Study> {
  using opened = new DisposableStack();
  const train = opened.use(await openImages(options.trainImages));
  const test = opened.use(await openImages(options.testImages));
  const subjects: StudySubject[] = [];
  for (const path of options.subjects) subjects.push(await readSubject(path, train.n, test.n));
  const names = subjects.map(({ name }) => name);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice !== undefined || names.length === 0) {
    throw new InputError(
      `Cannot study ${names.length} subjects: at least one is needed, each with a file name of its own` +
        (twice === undefined ? "" : `, ${quote(twice)} is there twice`),
    );
  }
  const truth = options.truth === undefined
    ? NO_TRUTH
    : opened.use(await openTruth(options.truth, train.n, test.n));
  const held = opened.move();
  return {
    images: joined(train, test),
    subjects,
    mappedRows: sharedRows(subjects, options.nMapped),
    truth,
    [Symbol.dispose]: () => held.dispose(),
  };
}
