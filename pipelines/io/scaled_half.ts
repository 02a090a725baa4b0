import { InputError } from "../errors.ts";
import type { Hdf5File } from "./hdf5.ts";
import { encodeFloat16 } from "./state_dict.ts";

/** Largest finite value of IEEE's binary16. */
const LARGEST_HALF = 65504;

/**
 * Scale of dense features in half precision: values up to 4,094 fit, and those from 3.8e-6 on keep all 11 bits.
 */
export const DENSE_SCALE = 16;

/**
 * Half-precision bits of `scale · values`, for a dataset whose attribute `scale` says so. A scale that is a power of two rounds
 * nothing by itself: each value comes back within 2^-11 of itself, or within 2^-25 / scale where that is more.
 *
 * @throws {InputError} when the scale is not a power of two, or a value does not fit
 */
export function encodeScaledHalf(
  values: Float32Array<ArrayBuffer>,
  scale: number = DENSE_SCALE,
): Uint16Array<ArrayBuffer> {
  if (!(scale > 0) || !Number.isInteger(Math.log2(scale))) {
    throw new InputError(
      `Cannot store half precision at the scale ${scale}: it must be a power of two`,
    );
  }
  const most = LARGEST_HALF / scale;
  const bad = values.find((value) => !(Math.abs(value) <= most));
  if (bad !== undefined) {
    throw new InputError(
      `Cannot store half precision at the scale ${scale}: values must be between -${most} and ${most}, got ${bad}`,
    );
  }
  return encodeFloat16(values.map((value) => value * scale));
}

/** What the values of a half-precision dataset were multiplied by; undefined where it has no such attribute, or another type. */
export function scaleOfHalf(file: Hdf5File, name: string): number | undefined {
  if (file.info(name).dtype !== "f16") return undefined;
  const { scale } = file.attributes(name);
  return typeof scale === "number" && scale > 0 ? scale : undefined;
}
