import { InputError } from "../errors.ts";

/** A way to cut a volume. */
export type PlaneName = "axial" | "coronal" | "sagittal";

/** The planes, for help texts. */
export const planeNames: readonly PlaneName[] = ["axial", "coronal", "sagittal"];

/** One axis of a volume, walked in one of its two directions. */
export interface Direction {
  /** Cells along it. */
  readonly length: number;
  /** What a place along it adds to a cell's C-order index. */
  readonly offset: (place: number) => number;
  /** The place of a cell along it. */
  readonly placeOf: (cell: number) => number;
  /** A place as the volume itself counts it. */
  readonly indexOf: (place: number) => number;
}

/** The axes of a picture of a slice. */
export interface SlicePlane {
  /** To the right, and down. */
  readonly directions: readonly [across: Direction, down: Direction];
  /** From slice to slice. */
  readonly slice: Direction;
}

/** An axis of space (x to the right, y to the front, z upward) as an axis of the volume, turned round where `sign` is −1. */
interface SpaceAxis {
  readonly axis: number;
  readonly sign: number;
}

/** The volume's own axes that lie closest to x, y and z. */
function closestAxes(affine: readonly number[] | undefined): SpaceAxis[] {
  if (!affine) return [0, 1, 2].map((axis) => ({ axis, sign: 1 }));
  const column = (axis: number) => [0, 1, 2].map((row) => affine[4 * row + axis]);
  const entries = [0, 1, 2].flatMap((axis) => {
    const own = column(axis);
    const length = Math.hypot(...own);
    return own.map((value, space) => ({ axis, space, cosine: value / length }));
  });
  if (entries.length !== 9 || !entries.every(({ cosine }) => Number.isFinite(cosine))) {
    throw new InputError(`Cannot cut a volume: its affine matrix is [${affine}]`);
  }
  // The best match first, then the best among what is left.
  entries.sort((a, b) => Math.abs(b.cosine) - Math.abs(a.cosine));
  const found: SpaceAxis[] = [];
  const taken = new Set<number>();
  for (const { axis, space, cosine } of entries) {
    if (found[space] || taken.has(axis)) continue;
    taken.add(axis);
    found[space] = { axis, sign: cosine < 0 ? -1 : 1 };
  }
  return found;
}

/**
 * The axes of a picture of a slice: left on the left, front or head on top.
 *
 * @param volumeShape `[Z, Y, X]`
 * @param affine `[4, 4]` of the volume; its axes are right, front and up when left out
 * @throws {InputError} when the matrix has an axis without direction
 */
export function planeOf(
  plane: PlaneName,
  volumeShape: readonly number[],
  affine?: readonly number[],
): SlicePlane {
  const axes = closestAxes(affine);
  const lengths = [volumeShape[2], volumeShape[1], volumeShape[0]];
  const strides = [1, lengths[0], lengths[0] * lengths[1]];
  const along = (space: number, turned = 1): Direction => {
    const { axis, sign } = axes[space];
    const [length, stride] = [lengths[axis], strides[axis]];
    const indexOf = (place: number) => sign * turned > 0 ? place : length - 1 - place;
    return {
      length,
      indexOf,
      offset: (place) => indexOf(place) * stride,
      placeOf: (cell) => indexOf(Math.floor(cell / stride) % length), // Its own inverse.
    };
  };
  const [across, up, through] =
    { axial: [0, 1, 2], coronal: [0, 2, 1], sagittal: [1, 2, 0] }[plane];
  return { directions: [along(across), along(up, -1)], slice: along(through) };
}
