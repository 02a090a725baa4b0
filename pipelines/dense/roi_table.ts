/**
 * Regions of interest from a table with one row per voxel.
 *
 * @module
 */
import type { RoiVoxels } from "./relevance.ts";
import { InputError } from "../errors.ts";

/**
 * Reads regions from CSV text with a header that names the columns `voxel` (column of the encoder, from 0) and `roi`. Rows with an
 * empty `roi` belong to none; other columns are passed over.
 *
 * @param source name of the file, for messages
 * @returns regions in the order of their first voxel
 * @throws {InputError} when a column is missing or a voxel is not a whole number
 */
export function parseRoiTable(text: string, source: string): RoiVoxels[] {
  const [head = "", ...lines] = text.split(/\r?\n/);
  const names = head.split(",").map((name) => name.trim().toLowerCase());
  const [voxelAt, roiAt] = [names.indexOf("voxel"), names.indexOf("roi")];
  if (voxelAt < 0 || roiAt < 0) {
    throw new InputError(
      `Cannot read the table of regions "${source}": its first line must name the columns voxel and roi, it is "${
        head.slice(0, 80)
      }"`,
    );
  }
  const regions = new Map<string, number[]>();
  lines.forEach((line, i) => {
    if (line.trim() === "") return;
    const cells = line.split(",").map((cell) => cell.trim());
    const [voxel, roi] = [cells[voxelAt], cells[roiAt]];
    if (!/^\d+$/.test(voxel ?? "") || roi === undefined) {
      throw new InputError(
        `Cannot read the table of regions "${source}": line ${
          i + 2
        } must have a voxel from 0 and a roi, it is "${line.slice(0, 80)}"`,
      );
    }
    if (roi === "") return;
    const voxels = regions.get(roi);
    if (voxels) voxels.push(Number(voxel));
    else regions.set(roi, [Number(voxel)]);
  });
  if (regions.size === 0) {
    throw new InputError(`Cannot read the table of regions "${source}": no voxel has a region`);
  }
  return [...regions].map(([name, voxels]) => ({ name, voxels }));
}

/**
 * Chooses regions by name; all when no name is given.
 *
 * @throws {InputError} for a name that is not there
 */
export function chooseRois(
  regions: readonly RoiVoxels[],
  names: readonly string[] | undefined,
): RoiVoxels[] {
  if (names === undefined || names.length === 0) return [...regions];
  return names.map((name) => {
    const found = regions.find((region) => region.name.toLowerCase() === name.toLowerCase());
    if (found) return found;
    throw new InputError(
      `Cannot find the region "${name}": there are ${regions.map((r) => r.name).join(", ")}`,
    );
  });
}
