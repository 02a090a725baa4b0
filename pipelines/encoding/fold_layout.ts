import type { Split } from "./cross_validation.ts";
import { range } from "./host_matrix.ts";

/** One split in the order in which samples lie on the device. Positions, not sample numbers. */
export interface LaidFold {
  /** Fitted on, ascending. */
  readonly train: Uint32Array<ArrayBuffer>;
  /** Not fitted on, ascending: those that are scored, and those in a gap beside them. */
  readonly out: Uint32Array<ArrayBuffer>;
  /** Scored, ascending. */
  readonly test: Uint32Array<ArrayBuffer>;
}

/** The order of samples on the device, and the splits in it. */
export interface FoldLayout {
  /** Sample at each position. */
  readonly order: Uint32Array<ArrayBuffer>;
  /** The splits. */
  readonly folds: readonly LaidFold[];
}

/**
 * Lays samples out so that the test sides of splits that share no sample are contiguous blocks: products then leave a block out, and
 * nothing is gathered.
 */
export function layOut(splits: readonly Split[], nSamples: number): FoldLayout {
  const tests = splits.flatMap(({ test }) => [...test]);
  const isDisjoint = new Set(tests).size === tests.length;
  const rest = isDisjoint ? complement(tests, nSamples) : [];
  const order = isDisjoint ? Uint32Array.from([...tests, ...rest]) : range(nSamples);
  const position = new Uint32Array(nSamples);
  order.forEach((sample, at) => position[sample] = at);
  const laid = (samples: ArrayLike<number>) =>
    Uint32Array.from(samples, (sample) => position[sample]).sort();
  const folds = splits.map(({ train, test }) => ({
    ...{ train: laid(train), test: laid(test) },
    out: laid(complement(train, nSamples)),
  }));
  return { order, folds };
}

function complement(samples: ArrayLike<number>, nSamples: number): Uint32Array<ArrayBuffer> {
  const inside = new Uint8Array(nSamples);
  for (let i = 0; i < samples.length; i++) inside[samples[i]] = 1;
  return range(nSamples).filter((sample) => inside[sample] === 0);
}

/** True where positions follow one another without a gap. */
export function isContiguous(positions: Uint32Array): boolean {
  return positions.length === 0 ||
    positions[positions.length - 1] - positions[0] === positions.length - 1;
}
