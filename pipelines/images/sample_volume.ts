/**
 * Values of voxels at points of space, as the vertices of a surface.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import { curvatureColors, type VertexColorOptions } from "./vertex_colors.ts";

/** Which voxels have values, and where their volume lies. */
export interface VoxelPlaces {
  /** C-order index of each voxel in the volume, `[nVoxels]`, as `NsdVoxels` has it. */
  readonly volumeIndex: ArrayLike<number>;
  /** Shape of the volume in C order, `[Z, Y, X]`. */
  readonly volumeShape: readonly number[];
  /** `[4, 4]` in C order from voxel indices (x, y, z, counted from 0) to the points' coordinates; the same when left out. */
  readonly affine?: readonly number[];
}

const IDENTITY = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1];

/** The inverse of an affine matrix, as its first three rows. */
function invertAffine(affine: readonly number[]): number[] {
  const [a, b, c, x, d, e, f, y, g, h, i, z] = affine;
  const determinant = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
  if (affine.length !== 16 || !Number.isFinite(determinant) || determinant === 0) {
    throw new InputError(
      `Cannot find voxels at points: the affine matrix must be [4,4] with an inverse, got [${affine}]`,
    );
  }
  const inverse = [
    [e * i - f * h, c * h - b * i, b * f - c * e],
    [f * g - d * i, a * i - c * g, c * d - a * f],
    [d * h - e * g, b * g - a * h, a * e - b * d],
  ];
  return inverse.flatMap((row) => {
    const [p, q, r] = row.map((value) => value / determinant);
    return [p, q, r, -(p * x + q * y + r * z)];
  });
}

/** Place of each cell of a volume in the list of voxels plus 1; 0 where there is no voxel. */
export function voxelPositions({ volumeIndex, volumeShape }: VoxelPlaces): Int32Array {
  const size = volumeShape.reduce((product, length) => product * length, 1);
  if (volumeShape.length !== 3 || !Number.isInteger(size) || size < 1) {
    throw new InputError(`Cannot place voxels: their volume must be [Z,Y,X], got [${volumeShape}]`);
  }
  const position = new Int32Array(size);
  for (let v = 0; v < volumeIndex.length; v++) {
    const cell = volumeIndex[v];
    if (!Number.isInteger(cell) || cell < 0 || cell >= size) {
      throw new InputError(
        `Cannot place voxels: [${volumeShape}] has ${size} cells, voxel ${v} is in cell ${cell}`,
      );
    }
    position[cell] = v + 1;
  }
  return position;
}

/**
 * The voxel in whose cell each point lies.
 *
 * @param points `[nPoints, 3]`, x, y, z; NaN is outside
 * @returns positions in the list of voxels, `[nPoints]`; −1 where there is no voxel
 * @throws {InputError} when a voxel lies outside of its volume, or the matrix has no inverse
 */
export function voxelsAtPoints(
  points: ArrayLike<number>,
  { affine = IDENTITY, ...places }: VoxelPlaces,
): Int32Array<ArrayBuffer> {
  const position = voxelPositions(places);
  const inverse = invertAffine(affine);
  const [depth, height, width] = places.volumeShape;
  const found = new Int32Array(Math.floor(points.length / 3));
  for (let p = 0; p < found.length; p++) {
    const [x, y, z] = [0, 4, 8].map((row) =>
      Math.round(
        inverse[row] * points[3 * p] + inverse[row + 1] * points[3 * p + 1] +
          inverse[row + 2] * points[3 * p + 2] + inverse[row + 3],
      )
    );
    const isInside = x >= 0 && x < width && y >= 0 && y < height && z >= 0 && z < depth;
    found[p] = isInside ? position[(z * height + y) * width + x] - 1 : -1;
  }
  return found;
}

/**
 * The value of the voxel in whose cell each point lies: results per voxel on a surface that the user has.
 *
 * @param values one per voxel, `[nVoxels]`
 * @param points `[nPoints, 3]`, the vertices of a surface in the volume's space
 * @returns `[nPoints]`; NaN where there is no voxel
 * @throws {InputError} when there is not one value per voxel, a voxel lies outside of its volume, or the matrix has no inverse
 */
export function sampleVolume(
  values: ArrayLike<number>,
  points: ArrayLike<number>,
  places: VoxelPlaces,
): Float32Array<ArrayBuffer> {
  if (values.length !== places.volumeIndex.length) {
    throw new InputError(
      `Cannot sample a volume: ${places.volumeIndex.length} voxels need as many values, got ${values.length}`,
    );
  }
  return Float32Array.from(voxelsAtPoints(points, places), (v) => v < 0 ? NaN : values[v]);
}

/**
 * The colour of the voxel in whose cell each point lies; points without a voxel are grey as `curvatureColors` has it.
 *
 * @param colors R, G, B of each voxel, `[nVoxels, 3]` bytes
 * @param points `[nPoints, 3]`, the vertices of a surface in the volume's space
 * @returns `[nPoints, 3]` bytes
 * @throws {InputError} when colours, underlay, voxels and volume do not fit, or the matrix has no inverse
 */
export function sampleVolumeColors(
  colors: Uint8Array,
  points: ArrayLike<number>,
  { underlay, ...places }: VoxelPlaces & Pick<VertexColorOptions, "underlay">,
): Uint8Array<ArrayBuffer> {
  const nPoints = Math.floor(points.length / 3);
  const fits = colors.length === 3 * places.volumeIndex.length;
  if (!fits || (underlay ?? { length: nPoints }).length !== nPoints) {
    throw new InputError(
      `Cannot sample a volume: ${places.volumeIndex.length} voxels and ${nPoints} points need as many colours and ` +
        `underlay values, got ${colors.length / 3} and ${underlay?.length ?? "none"}`,
    );
  }
  const sampled = curvatureColors(underlay ?? new Float32Array(nPoints));
  voxelsAtPoints(points, places).forEach((v, p) => {
    if (v >= 0) sampled.set(colors.subarray(3 * v, 3 * v + 3), 3 * p);
  });
  return sampled;
}
