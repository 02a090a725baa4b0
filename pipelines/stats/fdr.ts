import { InputError } from "../errors.ts";

/**
 * q-values of Benjamini and Hochberg (1995): the smallest false discovery rate at which each p-value counts as a discovery.
 *
 * @param p p-values in [0, 1]
 * @returns q-values in the order of `p`, in float64
 * @throws {InputError} for a value outside [0, 1], which NaN is: leave out what was not tested
 */
export function bhFdr(p: ArrayLike<number>): Float64Array<ArrayBuffer> {
  const n = p.length;
  const order = Array.from({ length: n }, (_, i) => i).sort((a, b) => p[a] - p[b]);
  const q = new Float64Array(n);
  let least = 1;
  for (let rank = n; rank >= 1; rank--) {
    const i = order[rank - 1];
    if (!(p[i] >= 0 && p[i] <= 1)) {
      throw new InputError(`Cannot correct p-value ${p[i]} at ${i}: it must be from 0 to 1`);
    }
    least = Math.min(least, p[i] * n / rank);
    q[i] = least;
  }
  return q;
}
