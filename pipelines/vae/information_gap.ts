import type { HostMatrix } from "../encoding/host_matrix.ts";
import { requireFactors, type StimulusFactor, topTwo } from "./factors.ts";
import { groupStarts } from "./settings.ts";

/** Mutual information between latents and factors, and its gaps. */
export interface InformationGap {
  /** Mean over the factors of the gap between dimensions. */
  readonly mig: number;
  /** Of each factor: information of the best dimension less that of the second, over the factor's entropy. */
  readonly gaps: readonly number[];
  /** The most informative dimension of each factor. */
  readonly best: readonly number[];
  /** Nats, `[nFactors, nLatent]`. */
  readonly information: readonly Float64Array[];
  /** Entropies of the factors, nats. */
  readonly entropies: readonly number[];
  /** Mean over the factors of the gap between groups, where a group says what its best dimension says. */
  readonly groupMig: number;
  /** Of each factor, between groups. */
  readonly groupGaps: readonly number[];
  /** The most informative group of each factor. */
  readonly bestGroup: readonly number[];
}

/** Options of {@link informationGap}. */
export interface InformationGapOptions {
  /** Dimensions of each latent group; by default each dimension is one. */
  readonly groups?: readonly number[];
  /** Bins of equal width that numbers are put in: 20 as Locatello et al. 2019 and as the released code. */
  readonly nBins?: number;
  /** Added to entropies before dividing: 0, or the released code's 1e-10. */
  readonly epsilon?: number;
}

/** Bins of equal width from the smallest to the largest value. */
export function binsOf(values: ArrayLike<number>, nBins: number): Uint32Array {
  let low = Infinity, high = -Infinity;
  for (let i = 0; i < values.length; i++) {
    low = Math.min(low, values[i]);
    high = Math.max(high, values[i]);
  }
  const width = high - low;
  return Uint32Array.from(
    { length: values.length },
    (_, i) => width > 0 ? Math.min(nBins - 1, Math.floor((values[i] - low) / width * nBins)) : 0,
  );
}

function entropyOf(counts: Iterable<number>, total: number): number {
  let entropy = 0;
  for (const count of counts) {
    if (count > 0) entropy -= count / total * Math.log(count / total);
  }
  return entropy;
}

function countsOf(labels: Uint32Array, size: number): Float64Array {
  const counts = new Float64Array(size);
  for (const label of labels) counts[label]++;
  return counts;
}

/** Entropies of two discrete variables and their mutual information, nats. */
export function mutualInformation(
  a: Uint32Array,
  b: Uint32Array,
): { readonly information: number; readonly entropies: readonly [number, number] } {
  const n = a.length;
  const [sizeA, sizeB] = [a, b].map((labels) => labels.reduce((x, y) => Math.max(x, y), 0) + 1);
  const joint = new Float64Array(sizeA * sizeB);
  for (let i = 0; i < n; i++) joint[a[i] * sizeB + b[i]]++;
  const first = entropyOf(countsOf(a, sizeA), n), second = entropyOf(countsOf(b, sizeB), n);
  return {
    information: Math.max(0, first + second - entropyOf(joint, n)),
    entropies: [first, second],
  };
}

/** A factor in classes: categories as they are, numbers in bins. */
function classesOf({ kind, values }: StimulusFactor, nBins: number): Uint32Array {
  return kind === "category" ? Uint32Array.from(values) : binsOf(values, nBins);
}

/**
 * The mutual information gap (MIG; Chen et al. 2018), between dimensions and between groups of them: 1 where each factor is said in full by
 * one dimension and by no other, 0 where two say it alike.
 *
 * @param latents `[nStimuli, nLatent]`
 * @throws {InputError} as {@link requireFactors}
 */
export function informationGap(
  latents: HostMatrix,
  factors: readonly StimulusFactor[],
  options: InformationGapOptions = {},
): InformationGap {
  const [n, width] = latents.shape;
  const { groups = new Array<number>(width).fill(1), nBins = 20, epsilon = 0 } = options;
  requireFactors(latents, factors, groups);
  const starts = groupStarts(groups);
  const dims = Array.from(
    { length: width },
    (_, d) =>
      binsOf(Float64Array.from({ length: n }, (_, i) => latents.data[i * width + d]), nBins),
  );
  const results = factors.map((factor) => {
    const classes = classesOf(factor, nBins);
    const pairs = dims.map((dim) => mutualInformation(dim, classes));
    const information = Float64Array.from(pairs, (pair) => pair.information);
    const entropy = pairs[0].entropies[1];
    const gap = ({ first, second }: { first: number; second: number }) =>
      (first - second) / (entropy + epsilon);
    const top = topTwo(information);
    const byGroup = groups.map((_, g) =>
      Math.max(...information.subarray(starts[g], starts[g + 1]))
    );
    const topGroup = topTwo(byGroup);
    return {
      ...{ information, entropy, gap: gap(top), best: top.best },
      ...{ groupGap: gap(topGroup), bestGroup: topGroup.best },
    };
  });
  const mean = (of: (result: typeof results[number]) => number) =>
    results.reduce((sum, result) => sum + of(result), 0) / results.length;
  return {
    mig: mean(({ gap }) => gap),
    gaps: results.map(({ gap }) => gap),
    best: results.map(({ best }) => best),
    information: results.map(({ information }) => information),
    entropies: results.map(({ entropy }) => entropy),
    groupMig: mean(({ groupGap }) => groupGap),
    groupGaps: results.map(({ groupGap }) => groupGap),
    bestGroup: results.map(({ bestGroup }) => bestGroup),
  };
}
