/** Which parts of a chunked array have to be read to get some of its columns. */

import type { Hdf5Box, Hdf5DatasetInfo } from "../io/hdf5.ts";
import { dtypeBytes } from "../io/state_dict.ts";

/** Bytes of a box, unless one chunk is larger. */
const BOX_BYTES = 16 * 2 ** 20;
/** What `readBoxes` takes. */
const MAX_BOX_BYTES = 512 * 2 ** 20;
/** What asking for a box costs, in chunks that could be read meanwhile: measured, 0.4 ms and 0.07 ms for chunks of one voxel. */
const CALL = 6;

/** A box, and the chosen voxels in it. */
export interface VoxelBox extends Hdf5Box {
  /** Positions in the list of voxels. */
  readonly voxels: readonly number[];
  /** Where each stands within one row of the box. */
  readonly cells: readonly number[];
}

/** Boxes that hold all of the chosen voxels, for all trials. */
export interface TouchedBoxes {
  /** In order of the file; each chunk lies in one box. */
  readonly boxes: readonly VoxelBox[];
}

/** Place of a cell along each axis of the volume. */
function placeOf(cell: number, volume: readonly number[]): number[] {
  const place = volume.map(() => 0);
  for (let axis = volume.length - 1; axis >= 0; axis--) {
    place[axis] = cell % volume[axis];
    cell = Math.floor(cell / volume[axis]);
  }
  return place;
}

/** Chunks beside each other along the last axis: chunk numbers along each axis, and the voxels in them. */
interface Run {
  readonly first: readonly number[];
  length: number;
  readonly voxels: number[];
}

/** Chunks that hold voxels, as runs along the last axis with short gaps, and how many chunks the runs have. */
function runsOf(
  volumeIndex: Uint32Array,
  volume: readonly number[],
  chunk: readonly number[],
): { runs: Run[]; nChunks: number } {
  const last = volume.length - 1;
  const across = volume.map((length, axis) => Math.ceil(length / chunk[axis]));
  const byChunk = new Map<number, number[]>();
  volumeIndex.forEach((cell, v) => {
    const number = placeOf(cell, volume)
      .reduce((at, place, axis) => at * across[axis] + Math.floor(place / chunk[axis]), 0);
    const own = byChunk.get(number);
    if (own) own.push(v);
    else byChunk.set(number, [v]);
  });
  const runs: Run[] = [];
  let [before, nChunks] = [-Infinity, 0];
  for (const number of [...byChunk.keys()].sort((a, b) => a - b)) {
    const isSameLine = Math.floor(number / across[last]) === Math.floor(before / across[last]);
    const gap = number - before;
    const follows = isSameLine && gap <= CALL;
    if (!follows) runs.push({ first: placeOf(number, across), length: 0, voxels: [] });
    const run = runs[runs.length - 1];
    run.length += follows ? gap : 1;
    nChunks += follows ? gap : 1;
    run.voxels.push(...byChunk.get(number)!);
    before = number;
  }
  return { runs, nChunks };
}

/**
 * Boxes around the chosen voxels of `[trials, ...volume]`.
 *
 * @param volumeIndex C-order index of each voxel in the volume
 * @returns nothing where the array is not chunked, or so many chunks have voxels, or so large ones, that it should be read whole
 */
export function touchedBoxes(
  { shape, chunks, dtype }: Hdf5DatasetInfo,
  volumeIndex: Uint32Array,
): TouchedBoxes | undefined {
  const [nTrials, ...volume] = shape;
  if (!chunks || volume.length === 0 || shape.includes(0)) return undefined;
  const [trials, ...chunk] = chunks;
  const { runs, nChunks } = runsOf(volumeIndex, volume, chunk);
  const all = volume.reduce((n, length, axis) => n * Math.ceil(length / chunk[axis]), 1);
  if (nChunks + CALL * runs.length >= all) return undefined;
  const boxes: VoxelBox[] = [];
  for (const { first, length, voxels } of runs) {
    const offset = first.map((number, axis) => number * chunk[axis]);
    const count = volume.map((end, axis) =>
      Math.min(end - offset[axis], chunk[axis] * (axis === volume.length - 1 ? length : 1))
    );
    const cells = voxels.map((v) =>
      placeOf(volumeIndex[v], volume)
        .reduce((at, place, axis) => at * count[axis] + place - offset[axis], 0)
    );
    const columns = count.reduce((n, part) => n * part, dtypeBytes[dtype]);
    if (columns * trials > MAX_BOX_BYTES) return undefined;
    // Whole chunks of trials, so that none is read twice.
    const rows = trials * Math.max(1, Math.floor(BOX_BYTES / (columns * trials)));
    for (let start = 0; start < nTrials; start += rows) {
      const own = Math.min(rows, nTrials - start);
      boxes.push({ offset: [start, ...offset], count: [own, ...count], voxels, cells });
    }
  }
  return { boxes };
}
