/**
 * Slices of a volume side by side, with values of voxels in colour.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import type { ColormapName, ValueRange } from "./colormap.ts";
import { mosaic } from "./mosaic.ts";
import type { Rgb } from "./preprocess.ts";
import type { RgbImage } from "./rgb_image.ts";
import { type VoxelPlaces, voxelPositions } from "./sample_volume.ts";
import { vertexColors } from "./vertex_colors.ts";
import { type PlaneName, planeNames, planeOf, type SlicePlane } from "./volume_planes.ts";

/** Slices and background of {@link volumeColorMosaic}; the affine matrix turns the volume upright. */
export interface VolumeMosaicOptions extends VoxelPlaces {
  /** Which way it is cut: `axial` has the front on top, `coronal` and `sagittal` the head; left is on the left. */
  readonly plane?: PlaneName;
  /** Grey values of the whole volume behind the voxels, `[Z, Y, X]`. */
  readonly anatomy?: ArrayLike<number>;
  /** Slices shown at most, evenly spaced among those that hold voxels. */
  readonly maxSlices?: number;
  /** Slices in a row; the squarest arrangement when left out. */
  readonly columns?: number;
  /** Pixels of a voxel's edge; voxels are drawn as squares. */
  readonly scale?: number;
  /** Colour where there is neither voxel nor anatomy, 0..255. */
  readonly background?: Rgb;
}

/** Slices and colours of {@link volumeMosaic}. */
export interface ValueMosaicOptions extends VolumeMosaicOptions {
  /** The colours. */
  readonly colormap?: ColormapName;
  /** Values of the first and the last colour; the values' own range when left out. */
  readonly range?: ValueRange;
}

/** A picture of slices. */
export interface VolumeMosaic {
  /** The slices, row by row. */
  readonly image: RgbImage;
  /** Number of each slice along its axis of the volume, counted from 0. */
  readonly slices: readonly number[];
}

/** Voxels kept free around those that are shown. */
const MARGIN = 3;

/** First and last place of a box along each direction of the picture. */
type Box = readonly (readonly [number, number])[];

/** A picture of grey values: the darkest and the lightest hundredth are cut off. */
function greyOf(anatomy: ArrayLike<number>): (cell: number) => number {
  const present = Float32Array.from(anatomy).filter((value) =>
    Number.isFinite(value) && value !== 0
  )
    .sort();
  const [low, high] = present.length === 0
    ? [0, 1]
    : [0.01, 0.99].map((share) => present[Math.round(share * (present.length - 1))]);
  return (cell) => {
    const share = (anatomy[cell] - low) / (high - low || 1);
    return Math.round(255 * Math.max(0, Math.min(1, share || 0)));
  };
}

/** Where the shown voxels are, in the directions of the picture, and which slices hold some. */
function extentOf(
  cells: readonly number[],
  { directions, slice }: SlicePlane,
): { box: Box; held: number[] } {
  const held = new Set<number>();
  const box = directions.map(() => [Infinity, -Infinity] as [number, number]);
  for (const cell of cells) {
    directions.forEach(({ placeOf }, i) => {
      const place = placeOf(cell);
      box[i] = [Math.min(box[i][0], place), Math.max(box[i][1], place)];
    });
    held.add(slice.placeOf(cell));
  }
  const grown = box.map(([low, high], i): [number, number] => [
    Math.max(0, low - MARGIN),
    Math.min(directions[i].length - 1, high + MARGIN),
  ]);
  return { box: grown, held: [...held].sort((a, b) => a - b) };
}

/** Some of a list, evenly spaced, the ends among them. */
function spread(list: readonly number[], most: number): number[] {
  if (list.length <= most) return [...list];
  if (most === 1) return [list[list.length >> 1]];
  return Array.from(
    { length: most },
    (_, i) => list[Math.round(i * (list.length - 1) / (most - 1))],
  );
}

/** One slice within a box, each voxel a square of pixels. */
function drawSlice(
  colorOf: (cell: number) => ArrayLike<number>,
  { plane: { directions: [across, down], slice }, place, box, scale }: {
    readonly plane: SlicePlane;
    readonly place: number;
    readonly box: Box;
    readonly scale: number;
  },
): RgbImage {
  const [[left, right], [top, bottom]] = box;
  const width = (right - left + 1) * scale;
  const height = (bottom - top + 1) * scale;
  const data = new Uint8Array(width * height * 3);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const cell = across.offset(left + Math.floor(x / scale)) +
        down.offset(top + Math.floor(y / scale)) + slice.offset(place);
      data.set(colorOf(cell), 3 * (y * width + x));
    }
  }
  return { width, height, data };
}

function checkOptions(
  { volumeShape, anatomy, scale, maxSlices, plane }: {
    readonly volumeShape: readonly number[];
    readonly anatomy: ArrayLike<number> | undefined;
    readonly scale: number;
    readonly maxSlices: number;
    readonly plane: string;
  },
): void {
  const size = volumeShape.reduce((product, length) => product * length, 1);
  if (anatomy && anatomy.length !== size) {
    throw new InputError(
      `Cannot draw slices: the anatomy must have the ${size} voxels of [${volumeShape}], has ${anatomy.length}`,
    );
  }
  const isCount = (n: number) => Number.isInteger(n) && n >= 1;
  if (!isCount(scale) || !isCount(maxSlices) || !planeNames.some((name) => name === plane)) {
    throw new InputError(
      `Cannot draw slices: scale and maxSlices are whole numbers from 1 and the plane is one of ${
        planeNames.join(", ")
      }, got ${scale}, ${maxSlices} and ${plane}`,
    );
  }
}

/**
 * Slices of a volume with a colour for every voxel of a list. Slices without voxels are left out, as is what lies far from voxels.
 *
 * @param colors R, G, B of each voxel, `[nVoxels, 3]` bytes
 * @param isShown which voxels are drawn; all when left out
 * @throws {InputError} when the colours, the volume and the anatomy do not fit, or there is nothing to draw
 */
export function volumeColorMosaic(
  colors: Uint8Array,
  {
    plane = "axial",
    anatomy,
    maxSlices = 24,
    columns,
    scale = 3,
    background = [255, 255, 255],
    isShown = () => true,
    ...places
  }: VolumeMosaicOptions & { readonly isShown?: (voxel: number) => boolean },
): VolumeMosaic {
  const { volumeIndex, volumeShape, affine } = places;
  checkOptions({ volumeShape, anatomy, scale, maxSlices, plane });
  if (colors.length !== 3 * volumeIndex.length) {
    throw new InputError(
      `Cannot draw slices: ${volumeIndex.length} voxels need as many colours, got ${
        colors.length / 3
      }`,
    );
  }
  const position = voxelPositions(places);
  const shown = Array.from(volumeIndex).filter((_, v) => isShown(v));
  if (shown.length === 0) throw new InputError("Cannot draw slices: no voxel has a value");
  const cut = planeOf(plane, volumeShape, affine);
  const { box, held } = extentOf(shown, cut);
  const grey = anatomy && greyOf(anatomy);
  const colorOf = (cell: number): ArrayLike<number> => {
    const v = position[cell] - 1;
    if (v >= 0 && isShown(v)) return colors.subarray(3 * v, 3 * v + 3);
    if (!grey) return background;
    const level = grey(cell);
    return [level, level, level];
  };
  const chosen = spread(held, maxSlices);
  const images = chosen.map((place) => drawSlice(colorOf, { plane: cut, place, box, scale }));
  return {
    image: mosaic(images, { gap: 2, background, columns }),
    slices: chosen.map((place) => cut.slice.indexOf(place)),
  };
}

/**
 * Slices of a volume with the values of voxels in colour; voxels without a value (NaN) are background.
 *
 * @param values one per voxel, `[nVoxels]`
 * @throws {InputError} when the values, the volume and the anatomy do not fit, or no voxel has a value
 */
export function volumeMosaic(
  values: ArrayLike<number>,
  { colormap, range, ...options }: ValueMosaicOptions,
): VolumeMosaic {
  return volumeColorMosaic(vertexColors(values, { colormap, range }), {
    ...options,
    isShown: (v) => !Number.isNaN(values[v]),
  });
}
