import { MersenneTwister } from "../dense/numpy_random.ts";
import { InputError } from "../errors.ts";

/** Rows of a split, in the order in which they were drawn. */
export interface TrainTestSplit {
  /** Rows to train on. */
  readonly train: Uint32Array<ArrayBuffer>;
  /** Rows to test on. */
  readonly test: Uint32Array<ArrayBuffer>;
}

/**
 * The rows of scikit-learn's `train_test_split(…, test_size, random_state=seed)`, without strata, draw for draw.
 *
 * @param testSize share of the rows, rounded up
 * @throws {InputError} when either part would have no rows
 */
export function trainTestSplit(
  nSamples: number,
  { testSize, seed }: { readonly testSize: number; readonly seed: number },
): TrainTestSplit {
  const nTest = Math.ceil(testSize * nSamples);
  if (!(nTest > 0 && nTest < nSamples)) {
    throw new InputError(
      `Cannot split ${nSamples} stimuli: both parts need some, ${nTest} would be tested on`,
    );
  }
  const order = new MersenneTwister(seed).permutation(nSamples);
  return { train: order.slice(nTest), test: order.slice(0, nTest) };
}
