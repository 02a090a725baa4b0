/** Outlines of COCO's objects as masks of the pixels that NSD showed. */

import { InputError } from "../errors.ts";

/** Polygons `[x0, y0, x1, y1, …]` in pixels (the first one spans 0 to 1), whose union is meant. */
export interface CocoPolygons {
  /** Corners of each. */
  readonly polygons: readonly (readonly number[])[];
}

/** Lengths of runs of pixels outside and inside in turn, column by column from the top left. */
export interface CocoRuns {
  /** The lengths, or pycocotools' text of them. */
  readonly counts: readonly number[] | string;
  /** Rows and columns. */
  readonly size: readonly [number, number];
}

/** The pixels of an object. */
export type CocoShape = CocoPolygons | CocoRuns;

/** From COCO's image to NSD's. */
export interface CocoMaskOptions {
  /** Fractions cut off at the top, bottom, left and right: a row of `cropBox` in the table of stimuli. */
  readonly cropBox?: ArrayLike<number>;
  /** Rows and columns of the mask; NSD's images have 425 of each. */
  readonly size?: readonly [number, number];
}

const MAX_PIXELS = 2 ** 28;
const NSD_SIZE = 425;

/**
 * The lengths that a text of pycocotools holds: digits of 5 bits from the lowest on in characters from "0", the bit above says that
 * more follow, and the last one's highest bit is the sign; from the third run on, differences to the run two before.
 *
 * @throws {InputError} for other text
 */
export function decodeRuns(text: string): number[] {
  const counts: number[] = [];
  for (let at = 0; at < text.length;) {
    let [value, shift, digit] = [0, 0, 0x20];
    while (digit & 0x20) {
      digit = text.charCodeAt(at++) - 48;
      // 6 digits hold what an image of 2^29 pixels needs.
      if (!(digit >= 0 && digit < 64) || shift > 25) {
        throw new InputError(`Cannot decode the runs of a mask: character ${at - 1} is no digit`);
      }
      value |= (digit & 0x1f) << shift;
      shift += 5;
    }
    if (digit & 0x10 && shift < 32) value |= -1 << shift;
    counts.push(counts.length > 2 ? value + counts[counts.length - 2] : value);
  }
  return counts;
}

interface Crop {
  readonly top: number;
  readonly left: number;
  /** COCO's rows to one of the mask. */
  readonly perRow: number;
  readonly perColumn: number;
  readonly rows: number;
  readonly columns: number;
}

/** The part of an image that NSD showed; fractions of rows and columns are cut down as Python's int() does. */
function cropOf(
  { height, width }: { readonly height: number; readonly width: number },
  { cropBox = [0, 0, 0, 0], size: [rows, columns] = [NSD_SIZE, NSD_SIZE] }: CocoMaskOptions,
): Crop {
  const [top, bottom, left, right] = Array.from(cropBox);
  const [first, end] = [Math.trunc(height * top), Math.trunc(height * (1 - bottom))];
  const [start, stop] = [Math.trunc(width * left), Math.trunc(width * (1 - right))];
  const isMask = [rows, columns].every((n) => Number.isInteger(n) && n >= 1);
  const isInside = first >= 0 && start >= 0 && end > first && stop > start && end <= height &&
    stop <= width;
  if (cropBox.length !== 4 || !isInside || !isMask || rows * columns > MAX_PIXELS) {
    throw new InputError(
      `Cannot make a mask of ${rows} × ${columns} from the crop (${
        Array.from(cropBox).join(", ")
      }) of an image of ${height} × ${width}`,
    );
  }
  const [perRow, perColumn] = [(end - first) / rows, (stop - start) / columns];
  return { top: first, left: start, perRow, perColumn, rows, columns };
}

/** Sets what lies inside of a polygon by the even-odd rule, judged at the centre of each of the mask's pixels. */
function fillPolygon(mask: Uint8Array, polygon: readonly number[], crop: Crop): void {
  const { top, left, perRow, perColumn, rows, columns } = crop;
  const n = polygon.length / 2;
  const crossings: number[] = [];
  for (let row = 0; row < rows; row++) {
    const y = top + (row + 0.5) * perRow;
    crossings.length = 0;
    for (let i = 0, j = n - 1; i < n; j = i++) {
      const [x0, y0, x1, y1] = [
        polygon[2 * j],
        polygon[2 * j + 1],
        polygon[2 * i],
        polygon[2 * i + 1],
      ];
      if (y0 <= y !== y1 <= y) crossings.push(x0 + (x1 - x0) * (y - y0) / (y1 - y0));
    }
    crossings.sort((a, b) => a - b);
    for (let k = 0; k + 1 < crossings.length; k += 2) {
      const column = (x: number): number =>
        Math.min(columns, Math.max(0, Math.ceil((x - left) / perColumn - 0.5)));
      mask.fill(1, row * columns + column(crossings[k]), row * columns + column(crossings[k + 1]));
    }
  }
}

/** Sets what lies inside of runs: the pixel of COCO's image under the centre of each of the mask's pixels. */
function fillRuns(mask: Uint8Array, { counts, size: [height, width] }: CocoRuns, crop: Crop): void {
  const runs = typeof counts === "string" ? decodeRuns(counts) : counts;
  const pixels = height * width;
  const isRuns = runs.every((run) => Number.isInteger(run) && run >= 0);
  const total = runs.reduce((sum, run) => sum + run, 0);
  if (!isRuns || total !== pixels || pixels > MAX_PIXELS) {
    throw new InputError(
      `Cannot decode a mask of ${height} × ${width}: its runs must have ${pixels} pixels, have ${total}`,
    );
  }
  const inside = new Uint8Array(pixels); // Column by column.
  let at = 0;
  runs.forEach((run, i) => inside.fill(i % 2, at, at += run));
  const { top, left, perRow, perColumn, rows, columns } = crop;
  for (let row = 0; row < rows; row++) {
    const y = top + Math.floor((row + 0.5) * perRow);
    for (let column = 0; column < columns; column++) {
      const x = left + Math.floor((column + 0.5) * perColumn);
      if (inside[x * height + y] === 1) mask[row * columns + column] = 1;
    }
  }
}

/**
 * The union of some objects as NSD showed it: COCO's image is cropped and then stretched. A pixel is 1 where its centre lies inside;
 * pycocotools rounds outlines to whole pixels first, which differs along the edges.
 *
 * @param shapes outlines in COCO's own image
 * @param image rows and columns of that image
 * @returns 0 or 1, `[size[0], size[1]]`
 * @throws {InputError} when the crop leaves nothing, or runs do not fit the image
 */
export function cocoMask(
  shapes: Iterable<CocoShape>,
  image: { readonly height: number; readonly width: number },
  options: CocoMaskOptions = {},
): Uint8Array<ArrayBuffer> {
  const crop = cropOf(image, options);
  const mask = new Uint8Array(crop.rows * crop.columns);
  for (const shape of shapes) {
    if ("polygons" in shape) {
      for (const polygon of shape.polygons) fillPolygon(mask, polygon, crop);
      continue;
    }
    if (shape.size[0] !== image.height || shape.size[1] !== image.width) {
      throw new InputError(
        `Cannot use a mask of ${
          shape.size.join(" × ")
        }: its image has ${image.height} × ${image.width}`,
      );
    }
    fillRuns(mask, shape, crop);
  }
  return mask;
}
