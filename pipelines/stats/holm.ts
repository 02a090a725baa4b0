import { InputError } from "../errors.ts";

/**
 * p-values corrected for the chance of any false discovery (Holm, 1979): the i-th smallest times how many are not smaller, never falling.
 *
 * @param p p-values in [0, 1]
 * @returns corrected p-values in the order of `p`, at most 1, in float64
 * @throws {InputError} for a value outside [0, 1], which NaN is
 */
export function holm(p: ArrayLike<number>): Float64Array<ArrayBuffer> {
  const n = p.length;
  const order = Array.from({ length: n }, (_, i) => i).sort((a, b) => p[a] - p[b]);
  const corrected = new Float64Array(n);
  let greatest = 0;
  order.forEach((i, rank) => {
    if (!(p[i] >= 0 && p[i] <= 1)) {
      throw new InputError(`Cannot correct p-value ${p[i]} at ${i}: it must be from 0 to 1`);
    }
    greatest = Math.max(greatest, Math.min(1, p[i] * (n - rank)));
    corrected[i] = greatest;
  });
  return corrected;
}
