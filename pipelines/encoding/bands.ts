import { InputError } from "../errors.ts";

/** Groups of features. */
export interface Bands {
  /** Labels in order of first appearance. */
  readonly labels: readonly number[];
  /** Band of each feature, `[nFeatures]`. */
  readonly bandOf: Uint32Array<ArrayBuffer>;
}

/**
 * Reads the groups of features.
 *
 * @param groups label of each feature, `[nFeatures]`: any finite numbers
 * @throws {InputError} when there is not one label for each feature, or one is not finite
 */
export function bandsOf(groups: ArrayLike<number>, nFeatures: number): Bands {
  if (groups.length !== nFeatures) {
    throw new InputError(
      `Cannot group ${nFeatures} features by ${groups.length} labels: there must be one for each`,
    );
  }
  const bands = new Map<number, number>();
  const bandOf = Uint32Array.from(groups, (label, j) => {
    if (!Number.isFinite(label)) {
      throw new InputError(
        `Cannot group features: every label must be finite, that of feature ${j} is ${label}`,
      );
    }
    if (!bands.has(label)) bands.set(label, bands.size);
    return bands.get(label)!;
  });
  return { labels: [...bands.keys()], bandOf };
}

/**
 * Refuses weights of bands.
 *
 * @throws {InputError} for a wrong number of weights, one below 0 or not finite, or all 0
 */
export function requireGammas(gammas: readonly ArrayLike<number>[], nBands: number): void {
  for (const [i, gamma] of gammas.entries()) {
    const values = Array.from(gamma);
    const isPlain = values.length === nBands && values.every((g) => g >= 0 && Number.isFinite(g));
    if (isPlain && values.some((g) => g > 0)) continue;
    throw new InputError(
      `Cannot weight ${nBands} bands by gammas ${i}: [${values}] must be ${nBands} finite numbers from 0, not all 0`,
    );
  }
  if (gammas.length === 0) throw new InputError("Cannot search weights of bands: there are none");
}
