/**
 * What a study is about: images, subjects who saw them, and what is truly in the images where that is known.
 *
 * @module
 */
import type { RoiVoxels } from "../dense/relevance.ts";
import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import type { PixelField } from "../images/image_properties.ts";
import type { VoxelPlaces } from "../images/sample_volume.ts";
import type { RgbImage } from "../images/rgb_image.ts";

/** The images of a study, each once; subjects name them by row. */
export interface StudyImages {
  /** A name for each, usable as a file name; all different. */
  readonly names: readonly string[];
  /** The files that are read. */
  readonly files: readonly string[];
  /** Image `i`, from 0. */
  read(i: number): RgbImage;
}

/** Where voxels lie, for figures. */
export interface CortexPlaces {
  /** Flat-map coordinates, `[nVoxels, 2]`: x to the right, y upward. */
  readonly flat?: Float32Array<ArrayBuffer>;
  /** 0 left, 1 right, `[nVoxels]`. */
  readonly hemisphere?: Uint8Array<ArrayBuffer>;
  /** Where each voxel is in a volume. */
  readonly volume?: VoxelPlaces;
}

/** One subject. */
export interface StudySubject {
  /** Name, usable as a folder's name. */
  readonly name: string;
  /** Rows of the images that the encoder is fitted on, `[nTrain]`. */
  readonly trainRows: Uint32Array<ArrayBuffer>;
  /** Responses to them, `[nTrain, nVoxels]`. */
  readonly train: HostMatrix;
  /** Rows of the images that it is tested on, `[nTest]`. */
  readonly testRows: Uint32Array<ArrayBuffer>;
  /** Responses to them, `[nTest, nVoxels]`. */
  readonly test: HostMatrix;
  /** Share of the test responses' variance that a model can explain, in [0, 1], `[nVoxels]`, where it is known. */
  readonly noiseCeiling?: Float32Array<ArrayBuffer>;
  /** Regions. */
  readonly rois: readonly RoiVoxels[];
  /** Where voxels lie. */
  readonly places: CortexPlaces;
}

/** What is truly in images; a question that the truth does not answer for an image is undefined. */
export interface StudyTruth {
  /** Categories that have masks. */
  readonly categories: readonly string[];
  /** The pixels of a category in the image of a row. */
  mask(row: number, category: string): PixelField<Uint8Array> | undefined;
  /** How far the pixels are, far = large. */
  depth(row: number): PixelField<Float32Array> | undefined;
}

/** Everything that a study needs to know. */
export interface Study extends Disposable {
  /** Images. */
  readonly images: StudyImages;
  /** Subjects, each fitted on their own. */
  readonly subjects: readonly StudySubject[];
  /** Rows of the images that maps are made of, ascending: seen by every subject, in no subject's training. */
  readonly mappedRows: Uint32Array<ArrayBuffer>;
  /** What is in them. */
  readonly truth: StudyTruth;
}

/** A truth that knows nothing. */
export const NO_TRUTH: StudyTruth = {
  categories: [],
  mask: () => undefined,
  depth: () => undefined,
};

/**
 * The images to map: those that all subjects are tested on, or `n` of them, evenly spread.
 *
 * @throws {InputError} when the subjects share none
 */
export function sharedRows(
  subjects: readonly Pick<StudySubject, "testRows">[],
  n: number = Infinity,
): Uint32Array<ArrayBuffer> {
  const [first, ...others] = subjects.map(({ testRows }) => new Set(testRows));
  const shared = [...first].filter((row) => others.every((rows) => rows.has(row)))
    .sort((a, b) => a - b);
  if (shared.length === 0) {
    throw new InputError(
      `Cannot map images: the ${subjects.length} subjects share no test image`,
    );
  }
  const count = Math.min(n, shared.length);
  return Uint32Array.from(
    { length: count },
    (_, i) => shared[Math.floor(i * shared.length / count)],
  );
}

/** Some rows of a matrix. */
export function takeRows(
  { data, shape: [, cols] }: HostMatrix,
  rows: ArrayLike<number>,
): HostMatrix {
  const out = new Float32Array(rows.length * cols);
  for (let r = 0; r < rows.length; r++) {
    out.set(data.subarray(rows[r] * cols, (rows[r] + 1) * cols), r * cols);
  }
  return hostMatrix(out, [rows.length, cols]);
}
