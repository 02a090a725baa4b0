/**
 * The error function in float64, for references.
 *
 * @module
 */

/** erf(x) to 1e-15: Maclaurin series below 3, continued fraction of erfc (Abramowitz and Stegun 7.1.14) above. */
export function erf64(x: number): number {
  const a = Math.abs(x);
  if (a > 6) return Math.sign(x);
  if (a < 3) {
    let term = x, sum = x;
    for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
      term *= -x * x / n;
      sum += term / (2 * n + 1);
    }
    return 2 / Math.sqrt(Math.PI) * sum;
  }
  let tail = a;
  for (let k = 60; k >= 1; k--) tail = a + k / 2 / tail;
  return Math.sign(x) * (1 - Math.exp(-a * a) / Math.sqrt(Math.PI) / tail);
}
