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
  requireBelow(values, LARGEST_HALF / scale, `at the scale ${scale}`);
  return encodeFloat16(values.map((value) => value * scale));
}

function requireBelow(values: Float32Array, most: number, how: string): void {
  const bad = values.find((value) => !(Math.abs(value) <= most));
  if (bad === undefined) return;
  throw new InputError(
    `Cannot store half precision ${how}: values must be between -${most} and ${most}, got ${bad}`,
  );
}

/** BrainSAIL's dense scripts: what sums over augmentations are multiplied by before they are stored. */
const BRAINSAIL_FACTOR = 10;

/**
 * Half-precision bits of dense features as BrainSAIL's files hold them: ten times the sum over the augmentations that show a patch.
 *
 * @param means `[…, patches, m]`, means over augmentations
 * @param counts augmentations that show each patch, `[patches]`, see `patchCoverage`
 * @throws {InputError} when a value does not fit
 */
export function encodeBrainSail(
  means: Float32Array,
  counts: ArrayLike<number>,
  m: number,
): Uint16Array<ArrayBuffer> {
  const sums = Float32Array.from(
    means,
    (mean, at) => BRAINSAIL_FACTOR * counts[Math.floor(at / m) % counts.length] * mean,
  );
  requireBelow(sums, LARGEST_HALF, "as ten times sums over augmentations");
  return encodeFloat16(sums);
}

/** What the values of a half-precision dataset were multiplied by; undefined where it has no such attribute, or another type. */
export function scaleOfHalf(file: Hdf5File, name: string): number | undefined {
  if (file.info(name).dtype !== "f16") return undefined;
  const { scale } = file.attributes(name);
  return typeof scale === "number" && scale > 0 ? scale : undefined;
}
