/** Single-trial betas of one session, read for some voxels without ever holding the whole volume. */

import { InputError } from "../errors.ts";
import { type Hdf5DatasetInfo, Hdf5File } from "../io/hdf5.ts";
import { NiftiFile } from "../io/nifti_file.ts";
import {
  type HostArray,
  hostArray,
  type HostDType,
  type HostTensor,
  shapeSize,
  toFloat32,
} from "../io/state_dict.ts";
import { quote } from "../io/strict_json.ts";
import { BETA_SCALE } from "./names.ts";
import { type TouchedBoxes, touchedBoxes } from "./touched_boxes.ts";

/** Which voxels of a volume to read. */
export interface SessionVoxels {
  /** C-order index of each voxel in the volume, ascending without repeats, [nVoxels]. */
  readonly volumeIndex: Uint32Array;
  /** Shape of the volume in C order: MATLAB's X × Y × Z is [Z, Y, X]. */
  readonly volumeShape: readonly number[];
  /** Name of the HDF5 dataset, `betas` when left out. */
  readonly dataset?: string;
}

/** Betas of one session. */
export interface SessionBetas {
  /** Percent signal change, [nTrials, nVoxels]. */
  readonly data: Float32Array<ArrayBuffer>;
  /** Trials and voxels. */
  readonly shape: readonly [number, number];
}

/** Values that can be multiplied: what `hostArray` gives for bits and 64-bit integers are not. */
type Numbers = Exclude<HostArray, BigInt64Array | BigUint64Array>;

/** Where the chosen voxels go. */
class Gather {
  readonly #voxels: Uint32Array;
  readonly #nCells: number;
  readonly #out: Float32Array<ArrayBuffer>;

  constructor(voxels: Uint32Array, nCells: number, out: Float32Array<ArrayBuffer>) {
    this.#voxels = voxels;
    this.#nCells = nCells;
    this.#out = out;
  }

  /** First position in the list of voxels that is not before `cell`. */
  #from(cell: number): number {
    let [low, high] = [0, this.#voxels.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#voxels[middle] < cell) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Takes the voxels of one trial among the cells from `cell` on, whose values stand in `values` from `at` to before `end`. */
  take(
    values: Numbers,
    { trial, cell, at, end }: { trial: number; cell: number; at: number; end: number },
  ): void {
    const row = trial * this.#voxels.length;
    const last = this.#from(cell + end - at);
    for (let v = this.#from(cell); v < last; v++) {
      this.#out[row + v] = values[at + this.#voxels[v] - cell];
    }
  }

  /** Takes the voxels of a run of elements that may begin and end within trials. */
  takeRun(values: Numbers, start: number): void {
    for (let at = 0; at < values.length;) {
      const trial = Math.floor((start + at) / this.#nCells);
      const cell = start + at - trial * this.#nCells;
      const end = Math.min(values.length, at + this.#nCells - cell);
      this.take(values, { trial, cell, at, end });
      at = end;
    }
  }
}

function requireVoxels({ volumeIndex, volumeShape }: SessionVoxels): void {
  const nCells = shapeSize(volumeShape);
  for (let v = 0; v < volumeIndex.length; v++) {
    if (volumeIndex[v] < (nCells ?? 0) && (v === 0 || volumeIndex[v] > volumeIndex[v - 1])) {
      continue;
    }
    throw new InputError(
      `Cannot choose voxels of the volume [${volumeShape}]: their indices must ascend and lie within, voxel ${v} is ${
        volumeIndex[v]
      }`,
    );
  }
}

function requireTrials(
  path: string,
  shape: readonly number[],
  { volumeShape }: SessionVoxels,
): number {
  // One trial may be written without the axis of trials.
  const full = shape.length === volumeShape.length ? [1, ...shape] : shape;
  if (full.length !== volumeShape.length + 1 || full.slice(1).join() !== volumeShape.join()) {
    throw new InputError(
      `Cannot use the betas of ${
        quote(path)
      }: they must be [trials,${volumeShape}], got [${shape}]`,
    );
  }
  return full[0];
}

/** What a stored value is multiplied by: 16-bit integers are percent signal change × 300, floats as they are. */
function scaleOf(dtype: HostDType, scaling?: { slope: number; intercept: number }): {
  slope: number;
  intercept: number;
} {
  return scaling ?? { slope: dtype === "i16" ? 1 / BETA_SCALE : 1, intercept: 0 };
}

function allocate(path: string, nTrials: number, nVoxels: number): Float32Array<ArrayBuffer> {
  try {
    return new Float32Array(nTrials * nVoxels);
  } catch (cause) {
    throw new InputError(
      `Cannot read the betas of ${
        quote(path)
      }: ${nTrials} trials of ${nVoxels} voxels do not fit in memory`,
      { cause },
    );
  }
}

function isNifti(path: string): boolean {
  return /\.nii(\.gz)?$/i.test(path);
}

/**
 * Number of trials of a session's file; only its header is read.
 *
 * @param path `betas_sessionNN.hdf5`, `.nii` or `.nii.gz`
 * @throws {InputError} when the file is missing, damaged, or its volume has another shape
 */
export async function countTrials(path: string, voxels: SessionVoxels): Promise<number> {
  if (isNifti(path)) {
    return requireTrials(path, (await NiftiFile.open(path)).header.shape, voxels);
  }
  using file = await Hdf5File.open(path);
  return requireTrials(path, file.info(voxels.dataset ?? "betas").shape, voxels);
}

/**
 * Reads the betas of some voxels of one session.
 *
 * HDF5: dataset `/betas`, which MATLAB made as X × Y × Z × trials and every C-order reader sees as [trials, Z, Y, X], in chunks of any
 * shape (NSD's hold one voxel and all trials); each chunk is read once, and where few have chosen voxels only those. NIfTI: X × Y × Z × trials with X fastest, which is the same
 * [trials, Z, Y, X]. 16-bit integers are divided by 300, unless a NIfTI header states a scaling of its own. At most about 64 MiB of the
 * file are in memory beside the result.
 *
 * @throws {InputError} when the file is missing, damaged, or its volume has another shape
 */
export async function readSession(path: string, voxels: SessionVoxels): Promise<SessionBetas> {
  requireVoxels(voxels);
  const { volumeIndex, volumeShape } = voxels;
  const nCells = shapeSize(volumeShape)!;
  const nVoxels = volumeIndex.length;
  if (isNifti(path)) {
    const file = await NiftiFile.open(path);
    const { dtype, shape, scaling } = file.header;
    const nTrials = requireTrials(path, shape, voxels);
    const data = allocate(path, nTrials, nVoxels);
    const gather = new Gather(volumeIndex, nCells, data);
    for await (const { start, values } of file.slabs()) gather.takeRun(values as Numbers, start);
    scale(data, scaleOf(dtype, scaling));
    return { data, shape: [nTrials, nVoxels] };
  }
  using file = await Hdf5File.open(path);
  const info = file.info(voxels.dataset ?? "betas");
  const nTrials = requireTrials(path, info.shape, voxels);
  const data = allocate(path, nTrials, nVoxels);
  // Where few chunks have chosen voxels only those are read: of NSD's, one in fifty.
  const touched = touchedBoxes(info, volumeIndex);
  if (touched) takeBoxes(file, info.name, { ...touched, data, nVoxels });
  else takeBlocks(file, info, new Gather(volumeIndex, nCells, data));
  scale(data, scaleOf(info.dtype));
  return { data, shape: [nTrials, nVoxels] };
}

/** The elements as numbers: half precision comes as bits and 64-bit integers as big ones, both have to be decoded. */
function numbersOf(tensor: HostTensor): Numbers {
  const isPlain = !["f16", "bf16", "i64", "u64"].includes(tensor.dtype);
  return isPlain ? hostArray(tensor) as Numbers : toFloat32(tensor);
}

/** Takes the chosen voxels from all of the file. */
function takeBlocks(file: Hdf5File, { name, shape }: Hdf5DatasetInfo, gather: Gather): void {
  for (const { firstRow, firstColumn, tensor } of file.readBlocks(name, 0, shape[0])) {
    const values = numbersOf(tensor);
    const [rows, columns] = tensor.shape;
    for (let r = 0; r < rows; r++) {
      const trial = firstRow + r;
      gather.take(values, { trial, cell: firstColumn, at: r * columns, end: (r + 1) * columns });
    }
  }
}

/** Takes the chosen voxels from boxes around them. */
function takeBoxes(
  file: Hdf5File,
  name: string,
  { boxes, data, nVoxels }: TouchedBoxes & { data: Float32Array<ArrayBuffer>; nVoxels: number },
): void {
  let i = 0;
  for (const tensor of file.readBoxes(name, boxes)) {
    const { offset: [firstTrial], voxels, cells } = boxes[i++];
    const values = numbersOf(tensor);
    const nTrials = tensor.shape[0], columns = values.length / nTrials;
    for (let t = 0; t < nTrials; t++) {
      const row = (firstTrial + t) * nVoxels;
      for (let k = 0; k < voxels.length; k++) {
        data[row + voxels[k]] = values[t * columns + cells[k]];
      }
    }
  }
}

function scale(
  data: Float32Array<ArrayBuffer>,
  { slope, intercept }: { slope: number; intercept: number },
): void {
  if (slope === 1 && intercept === 0) return;
  // Divided where NSD's factor is meant, so that stored 300 is exactly 1.
  const divisor = slope === 1 / BETA_SCALE ? BETA_SCALE : undefined;
  for (let i = 0; i < data.length; i++) {
    data[i] = divisor === undefined ? data[i] * slope + intercept : data[i] / divisor + intercept;
  }
}
