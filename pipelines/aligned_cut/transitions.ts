/**
 * How patches move between concepts from one layer to the next (the paper's figure 10), and what would move by chance.
 *
 * @module
 */
import { foldIn, type Key } from "../../engine/random.ts";
import { permutation } from "../encoding/cross_validation.ts";
import type { HostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import type { GraphSlice, JointGraph } from "./joint_graph.ts";

/** Movements between concepts. */
export interface Transitions {
  /** Patches that go from concept a to concept b, `[nConcepts, nConcepts]`; masses in place of numbers where memberships are soft. */
  readonly counts: Float64Array<ArrayBuffer>;
  /** Probability of b given a; rows of fewer patches than `minCount` are NaN. */
  readonly probabilities: Float64Array<ArrayBuffer>;
  /** Entropy of each row over that of equal chances, 0 to 1, `[nConcepts]`; NaN where the row is. */
  readonly rowEntropy: Float64Array<ArrayBuffer>;
  /** Share of patches that keep their concept. */
  readonly stationarity: number;
  /** Mutual information of the concepts of both layers, in nats. */
  readonly mutualInformation: number;
}

/** Options of {@link transitions}. */
export interface TransitionOptions {
  /** Number of concepts of the joint cut. */
  readonly nConcepts: number;
  /** Fewest patches of a row that has probabilities. */
  readonly minCount?: number;
}

function summarize(
  counts: Float64Array<ArrayBuffer>,
  { nConcepts: k, minCount = 1 }: TransitionOptions,
): Transitions {
  const rows = new Float64Array(k), columns = new Float64Array(k);
  let [total, same] = [0, 0];
  counts.forEach((count, at) => {
    rows[Math.floor(at / k)] += count;
    columns[at % k] += count;
    total += count;
    if (Math.floor(at / k) === at % k) same += count;
  });
  const probabilities = counts.map((count, at) => {
    const row = rows[Math.floor(at / k)];
    return row >= minCount && row > 0 ? count / row : NaN;
  });
  const rowEntropy = new Float64Array(k);
  let information = 0;
  counts.forEach((count, at) => {
    const a = Math.floor(at / k), p = probabilities[at];
    rowEntropy[a] -= p > 0 ? p * Math.log(p) : p * 0; // NaN stays
    if (count > 0) {
      information += count / total * Math.log(count * total / rows[a] / columns[at % k]);
    }
  });
  return {
    counts,
    probabilities,
    rowEntropy: rowEntropy.map((h) => k > 1 ? h / Math.log(k) : h),
    stationarity: same / total,
    mutualInformation: Math.max(0, information),
  };
}

function countPairs(
  from: ArrayLike<number>,
  to: ArrayLike<number>,
  k: number,
  order?: Uint32Array,
): Float64Array<ArrayBuffer> {
  const counts = new Float64Array(k * k);
  for (let i = 0; i < from.length; i++) counts[from[i] * k + to[order ? order[i] : i]]++;
  return counts;
}

function requireLabels(from: ArrayLike<number>, to: ArrayLike<number>, nConcepts: number): void {
  const isConcept = (z: number) => Number.isInteger(z) && z >= 0 && z < nConcepts;
  if (from.length === 0 || from.length !== to.length) {
    throw new InputError(
      `Cannot count transitions of ${from.length} patches to ${to.length}: they must be the same, and some`,
    );
  }
  for (let i = 0; i < from.length; i++) {
    if (isConcept(from[i]) && isConcept(to[i])) continue;
    throw new InputError(
      `Cannot count transitions: patch ${i} goes from ${from[i]} to ${
        to[i]
      }, there are ${nConcepts} concepts`,
    );
  }
}

/**
 * Transitions of patches between concepts of one joint cut.
 *
 * @param from concept of each patch in one layer, `[nPatches]`
 * @param to concepts of the same patches in the next layer, `[nPatches]`
 * @throws {InputError} when there are no patches, not as many, or a label is out of range
 */
export function transitions(
  from: ArrayLike<number>,
  to: ArrayLike<number>,
  options: TransitionOptions,
): Transitions {
  requireLabels(from, to, options.nConcepts);
  return summarize(countPairs(from, to, options.nConcepts), options);
}

/**
 * The soft version: `Qᵀ·Q′` of memberships, rows normalised.
 *
 * @param from memberships in one layer, rows of sum 1, `[nPatches, nConcepts]`: see {@link softMemberships}
 * @param to of the same patches in the next layer
 * @throws {InputError} when the shapes differ or there are no patches
 */
export function softTransitions(
  from: HostMatrix,
  to: HostMatrix,
  { minCount }: Pick<TransitionOptions, "minCount"> = {},
): Transitions {
  const [n, k] = from.shape;
  if (n === 0 || `${from.shape}` !== `${to.shape}`) {
    throw new InputError(
      `Cannot count transitions of memberships [${from.shape}] to [${to.shape}]: they must have one shape, with patches`,
    );
  }
  const counts = new Float64Array(k * k);
  for (let i = 0; i < n; i++) {
    for (let a = 0; a < k; a++) {
      for (let b = 0; b < k; b++) counts[a * k + b] += from.data[i * k + a] * to.data[i * k + b];
    }
  }
  return summarize(counts, { nConcepts: k, minCount });
}

/**
 * Soft memberships: the softmax of every row of rotated eigenvectors.
 *
 * @param rotated eigenvectors times the rotation of a k-way cut, `[n, nConcepts]`
 * @param temperature the softmax's; rows are of unit length first, so that it means the same for every node
 */
export function softMemberships(
  { data, shape: [n, k] }: HostMatrix,
  { temperature = 0.1 }: { readonly temperature?: number } = {},
): HostMatrix {
  const out = new Float32Array(n * k);
  for (let i = 0; i < n; i++) {
    const row = Float64Array.from(data.subarray(i * k, (i + 1) * k));
    const length = Math.hypot(...row) || 1;
    const top = row.reduce((a, b) => Math.max(a, b), -Infinity);
    const weights = row.map((value) => Math.exp((value - top) / length / temperature));
    const sum = weights.reduce((a, b) => a + b, 0);
    out.set(weights.map((w) => w / sum), i * k);
  }
  return { data: out, shape: [n, k] };
}

/** Transitions beside those of patches that forgot where they came from. */
export interface TransitionNull {
  /** Mean counts over the permutations, `[nConcepts, nConcepts]`. */
  readonly expected: Float64Array<ArrayBuffer>;
  /** Logarithm of the odds of b given a over those by chance, half a patch added to each count; NaN where the row is. */
  readonly logOdds: Float64Array<ArrayBuffer>;
  /** p-value of the mutual information. */
  readonly pInformation: number;
  /** p-value of the share that stays. */
  readonly pStationarity: number;
}

/**
 * What transitions would be if patches forgot their identity between the layers: labels of the second layer are exchanged among all
 * patches, `p = (1 + #{null ≥ observed}) / (1 + nPermutations)`.
 *
 * @throws {InputError} as {@link transitions} says, or when there is no permutation
 */
export function transitionNull(
  from: ArrayLike<number>,
  to: ArrayLike<number>,
  { key, nPermutations = 1000, ...options }: TransitionOptions & {
    readonly key: Key;
    readonly nPermutations?: number;
  },
): TransitionNull {
  if (!(Number.isInteger(nPermutations) && nPermutations >= 1)) {
    throw new InputError(`Cannot test with ${nPermutations} permutations: there must be some`);
  }
  const seen = transitions(from, to, options), k = options.nConcepts;
  const expected = new Float64Array(k * k);
  let [informed, stayed] = [1, 1];
  for (let p = 0; p < nPermutations; p++) {
    const counts = countPairs(from, to, k, permutation(foldIn(key, p), from.length));
    const drawn = summarize(counts, options);
    counts.forEach((count, at) => expected[at] += count / nPermutations);
    // Sums in another order differ by rounding; ties count.
    informed += Number(drawn.mutualInformation >= seen.mutualInformation - 1e-12);
    stayed += Number(drawn.stationarity >= seen.stationarity - 1e-12);
  }
  const logOdds = seen.counts.map((count, at) => {
    if (Number.isNaN(seen.probabilities[at])) return NaN;
    const row = seen.counts.subarray(at - at % k, at - at % k + k).reduce((a, b) => a + b, 0);
    const odds = (c: number) => Math.log((c + 0.5) / (row - c + 0.5));
    return odds(count) - odds(expected[at]);
  });
  return {
    expected,
    logOdds,
    pInformation: informed / (1 + nPermutations),
    pStationarity: stayed / (1 + nPermutations),
  };
}

/**
 * Transitions from every layer of a model to its next one in a joint graph.
 *
 * @param labels concept of each node, `[nNodes]`
 * @throws {InputError} when the model has fewer than two layers, or as {@link transitions} says
 */
export function layerTransitions(
  graph: JointGraph,
  labels: ArrayLike<number>,
  { model, ...options }: TransitionOptions & { readonly model: number | string },
): { readonly from: GraphSlice; readonly to: GraphSlice; readonly transitions: Transitions }[] {
  const slices = graph.slices.filter((slice) => slice.model === model)
    .sort((a, b) => a.layer - b.layer);
  if (slices.length < 2) {
    throw new InputError(
      `Cannot count transitions of model ${model}: the graph has ${slices.length} layers of it`,
    );
  }
  const part = ({ start, end }: GraphSlice) =>
    Array.prototype.slice.call(labels, start, end) as number[];
  return slices.slice(1).map((to, l) => {
    const from = slices[l];
    return { from, to, transitions: transitions(part(from), part(to), options) };
  });
}
