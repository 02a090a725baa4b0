/**
 * Galleries of images that were made for voxels and regions.
 *
 * @module
 */
import type { RoiVoxels } from "../dense/relevance.ts";
import type { RgbImage } from "../images/rgb_image.ts";
import { InputError } from "../errors.ts";
import type { GalleryColoring, GalleryTarget } from "../report/voxel_gallery.ts";
import { quantileOf } from "../stats/bootstrap.ts";
import { bytesOf, type MadeImages } from "./made_images.ts";

/** Images of several folders, counted through. */
export interface GallerySource {
  /** Voxels in their order, then regions and contrasts in theirs. */
  readonly targets: readonly GalleryTarget[];
  /** Gives image `i`. */
  readonly read: (i: number) => RgbImage;
}

/** Images of the same target together, whichever folder they are in; the first folder's come first. */
export function gallerySource(folders: readonly MadeImages[]): GallerySource {
  const images = folders.flatMap((folder, f) =>
    folder.targets.map((target, i) => ({ folder, f, i, target }))
  );
  const found = new Map<string, number[]>();
  images.forEach(({ target }, at) => {
    const own = found.get(target);
    if (own) own.push(at);
    else found.set(target, [at]);
  });
  const targets = [...found].map(([target, own]): GalleryTarget => {
    const voxel = /^\d+$/.test(target) ? Number(target) : undefined;
    return {
      ...{ name: voxel === undefined ? target : `voxel ${voxel}`, voxel },
      images: own.map((at) => {
        const { folder, f, i } = images[at];
        const seed = `seed ${folder.seeds[i]}`;
        const isMixed = own.some((other) => images[other].f !== f);
        const label = isMixed ? `${seed}, folder ${f + 1}` : seed;
        return { label, response: folder.responses[i], image: at };
      }),
    };
  });
  const order = (target: GalleryTarget) => target.voxel ?? Infinity;
  return {
    targets: targets.sort((a, b) => order(a) === order(b) ? 0 : order(a) - order(b)),
    read(at) {
      const { folder, i } = images[at];
      return bytesOf(folder.read(i, i + 1), folder.size);
    },
  };
}

/** Region of each voxel, an index into the names; −1 where it has none. A voxel of several is in the last. */
export function regionOfVoxels(
  regions: readonly RoiVoxels[],
  nVoxels: number,
): Int32Array<ArrayBuffer> {
  const region = new Int32Array(nVoxels).fill(-1);
  regions.forEach(({ name, voxels }, r) => {
    for (let k = 0; k < voxels.length; k++) {
      if (!(voxels[k] >= 0 && voxels[k] < nVoxels)) {
        throw new InputError(
          `Cannot show the region "${name}": the map has ${nVoxels} voxels, it has voxel ${
            voxels[k]
          }`,
        );
      }
      region[voxels[k]] = r;
    }
  });
  return region;
}

/** The predicted response of the first image of each voxel, `[nVoxels]`; NaN for voxels without one. */
export function firstResponses(
  targets: readonly GalleryTarget[],
  nVoxels: number,
): Float64Array<ArrayBuffer> {
  const values = new Float64Array(nVoxels).fill(NaN);
  for (const { voxel, images } of targets) {
    if (voxel !== undefined && voxel < nVoxels) values[voxel] = images[0].response;
  }
  return values;
}

/**
 * Colours of voxels by how three targets' images drive them: red, green and blue from the lowest to the highest hundredth of the
 * responses to each.
 *
 * @param responses of every voxel to the images of the three, `[nVoxels]` each
 */
export function rgbOfTargets(
  names: readonly string[],
  responses: readonly ArrayLike<number>[],
): GalleryColoring {
  const nVoxels = responses[0]?.length ?? 0;
  if (names.length !== 3 || responses.length !== 3 || responses.some((r) => r.length !== nVoxels)) {
    throw new InputError(
      `Cannot colour voxels by ${
        names.join(", ")
      }: three targets with a response of each voxel are needed`,
    );
  }
  const colors = new Uint8Array(3 * nVoxels).fill(128);
  responses.forEach((values, c) => {
    const sorted = Float64Array.from(Array.from(values).filter(Number.isFinite)).sort();
    const [low, high] = [quantileOf(sorted, 0.01), quantileOf(sorted, 0.99)];
    for (let v = 0; v < nVoxels; v++) {
      if (!Number.isFinite(values[v])) continue;
      const t = high > low ? (values[v] - low) / (high - low) : 0.5;
      colors[3 * v + c] = Math.round(255 * Math.min(1, Math.max(0, t)));
    }
  });
  return {
    name: names.join(" · "),
    colors,
    legend: `red ${names[0]}, green ${names[1]}, blue ${names[2]}`,
  };
}
