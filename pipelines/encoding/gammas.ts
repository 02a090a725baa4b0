import { foldIn, type Key, normal, uniform } from "../../engine/random.ts";
import { InputError } from "../errors.ts";

/** One draw of the gamma distribution of unit scale; `shape` above 0. Marsaglia and Tsang (2000), "A simple method for generating gamma variables". */
function drawGamma(key: Key, shape: number): number {
  if (shape < 1) {
    const [u] = uniform(foldIn(key, 0), 1);
    return drawGamma(foldIn(key, 1), shape + 1) * Math.max(u, Number.MIN_VALUE) ** (1 / shape);
  }
  const d = shape - 1 / 3, c = 1 / Math.sqrt(9 * d);
  for (let i = 2;; i++) {
    const [x] = normal(foldIn(key, 2 * i), 1), [u] = uniform(foldIn(key, 2 * i + 1), 1);
    const v = (1 + c * x) ** 3;
    if (v > 0 && Math.log(u) < x * x / 2 + d - d * v + d * Math.log(v)) return d * v;
  }
}

/** Options of {@link dirichletGammas}. */
export interface DirichletOptions {
  /** Concentrations, taken in turn; below 1 most weight falls on few bands. */
  readonly concentrations?: readonly number[];
  /** Makes the draws. */
  readonly key: Key;
}

/**
 * Weights of bands on the simplex, `[count][nBands]`, drawn from Dirichlet distributions whose concentrations alternate, as himalaya's
 * `generate_dirichlet_samples`; the first one is uniform, as in its random search.
 *
 * @throws {InputError} for concentrations that are not above 0
 */
export function dirichletGammas(
  count: number,
  nBands: number,
  { concentrations = [0.1, 1], key }: DirichletOptions,
): Float64Array<ArrayBuffer>[] {
  const bad = concentrations.find((concentration) => !(concentration > 0));
  if (bad !== undefined || concentrations.length === 0) {
    throw new InputError(
      `Cannot draw weights of bands with concentrations [${concentrations}]: there must be some, all above 0`,
    );
  }
  return Array.from({ length: count }, (_, i) => {
    const concentration = concentrations[i % concentrations.length];
    if (i === 0 || concentration === Infinity) return new Float64Array(nBands).fill(1 / nBands);
    const own = foldIn(key, i);
    const draws = Float64Array.from(
      { length: nBands },
      (_, band) => drawGamma(foldIn(own, band), concentration),
    );
    const total = draws.reduce((sum, value) => sum + value, 0);
    return total > 0 ? draws.map((value) => value / total) : draws.fill(1 / nBands);
  });
}
