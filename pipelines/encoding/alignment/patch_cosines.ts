/**
 * How alike the same patches are in two networks, beside different patches.
 *
 * @module
 */
import type { HostMatrix } from "../host_matrix.ts";

/** Unit vectors of patches, with their sums over images. */
export interface UnitPatches {
  /** Number of images. */
  readonly nImages: number;
  /** Channels of a patch. */
  readonly width: number;
  /** `[nImages · patches, width]`; a patch without a direction is 0. */
  readonly units: Float64Array<ArrayBuffer>;
  /** Sums over the patches of each image, `[nImages, width]`. */
  readonly imageSums: Float64Array<ArrayBuffer>;
  /** Sums over all patches, `[width]`. */
  readonly sums: Float64Array<ArrayBuffer>;
}

/** Cosines of each image's patches in one network with those in another. */
export interface PatchCosines {
  /** Mean over the patches of an image of the cosine with the same patch, `[nImages]`. */
  readonly same: Float64Array<ArrayBuffer>;
  /** Mean cosine of the patches of an image with all patches of all other images, both ways, `[nImages]`. */
  readonly other: Float64Array<ArrayBuffer>;
}

/**
 * Patches as unit vectors, in float64.
 *
 * @param patches `[nImages · patches, width]`, image after image
 */
export function unitPatches(
  { data, shape: [rows, width] }: HostMatrix,
  nImages: number,
): UnitPatches {
  const units = Float64Array.from(data), perImage = rows / nImages;
  const imageSums = new Float64Array(nImages * width), sums = new Float64Array(width);
  for (let row = 0; row < rows; row++) {
    const unit = units.subarray(row * width, (row + 1) * width);
    const length = Math.sqrt(unit.reduce((sum, value) => sum + value * value, 0)) || 1;
    const to = Math.floor(row / perImage) * width;
    unit.forEach((value, c) => {
      unit[c] = value / length;
      imageSums[to + c] += unit[c];
      sums[c] += unit[c];
    });
  }
  return { nImages, width, units, imageSums, sums };
}

/** Cosines of the same patches and of different ones, over the channels that both networks have: all pairs, by sums of unit vectors. */
export function patchCosines(a: UnitPatches, b: UnitPatches): PatchCosines {
  const { nImages } = a, patches = a.units.length / a.width / nImages;
  const width = Math.min(a.width, b.width);
  const same = new Float64Array(nImages), other = new Float64Array(nImages);
  for (let image = 0; image < nImages; image++) {
    for (let row = image * patches; row < (image + 1) * patches; row++) {
      for (let c = 0; c < width; c++) {
        same[image] += a.units[row * a.width + c] * b.units[row * b.width + c] / patches;
      }
    }
    for (let c = 0; c < width; c++) {
      const [x, y] = [a.imageSums[image * a.width + c], b.imageSums[image * b.width + c]];
      other[image] += x * (b.sums[c] - y) + y * (a.sums[c] - x);
    }
    other[image] /= 2 * patches * patches * Math.max(1, nImages - 1);
  }
  return { same, other };
}
