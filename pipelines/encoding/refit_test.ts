import { InputError } from "../errors.ts";
import { type PermutationOptions, permutationTest } from "../stats/permutation.ts";
import { type HostMatrix, hostMatrix } from "./host_matrix.ts";
import { RidgeSystems } from "./ridge_systems.ts";

/** A ridge regression with an intercept, as it was fitted. */
export interface RidgeProblem {
  /** Features as the model takes them, `[nSamples, nFeatures]`. */
  readonly features: HostMatrix;
  /** Responses, `[nSamples, nTargets]`. */
  readonly responses: HostMatrix;
  /** Regularisation of each target, `[nTargets]`. */
  readonly bestAlphas: ArrayLike<number>;
}

/** Numbers that are linear in the weights of targets. */
export interface WeightStatistic {
  /** Directions in the space of the features, `[nDirections, nFeatures]`. */
  readonly directions: Float64Array;
  /** Which of them belongs to a target; the statistic is its product with the target's weights. */
  readonly of: (target: number) => number;
}

/** Result of {@link refitTest}, one entry per tested target. */
export interface RefitTest {
  /** p-values. */
  readonly pValues: Float64Array<ArrayBuffer>;
  /** Sign of the statistic. */
  readonly signs: Int8Array<ArrayBuffer>;
}

/** Vectors `g = X(X'X + αI)⁻¹c` of the targets, as columns `[nSamples, nTargets]`. */
function statisticVectors(
  { features, bestAlphas }: RidgeProblem,
  { directions, of }: WeightStatistic,
  targets: readonly number[],
): HostMatrix {
  const systems = new RidgeSystems(features);
  const n = systems.nSamples, p = systems.nFeatures;
  const vectors = new Float32Array(n * targets.length);
  const places = Map.groupBy(targets.keys(), (i) => bestAlphas[targets[i]]);
  for (const [alpha, group] of places) {
    const used = [...new Set(group.map((i) => of(targets[i])))];
    const k = used.length;
    const columns = new Float64Array(p * k);
    used.forEach((d, j) => {
      for (let f = 0; f < p; f++) columns[f * k + j] = directions[d * p + f];
    });
    const solved = systems.apply(systems.solve(alpha, columns, k), k);
    const column = new Map(used.map((d, j) => [d, j]));
    for (const i of group) {
      const j = column.get(of(targets[i]))!;
      for (let r = 0; r < n; r++) vectors[r * targets.length + i] = solved[r * k + j];
    }
  }
  return hostMatrix(vectors, [n, targets.length]);
}

function columnsOf({ data, shape: [n, cols] }: HostMatrix, columns: readonly number[]): HostMatrix {
  const out = new Float32Array(n * columns.length);
  for (let r = 0; r < n; r++) {
    columns.forEach((v, i) => out[r * columns.length + i] = data[r * cols + v]);
  }
  return hostMatrix(out, [n, columns.length]);
}

/**
 * Tests whether a number that is linear in a target's ridge weights, `c'w`, says anything of its responses: against fits to responses
 * whose rows were permuted, at the target's own alpha. No fit is needed for that: `c'w = c'(X'X + αI)⁻¹X'y = g'y`, so that permuting the
 * responses permutes what a fixed vector `g` is correlated with.
 *
 * Permuting the rows of what is predicted would test another hypothesis: any direction in the space of features has something to do with
 * most things that can be seen in images, also one that was fitted to noise.
 *
 * @param targets to test; what is left out costs the others no power
 * @throws {InputError} when the shapes do not fit, or a system at an alpha of 0 is singular
 */
export async function refitTest(
  problem: RidgeProblem,
  statistic: WeightStatistic,
  targets: readonly number[],
  options: PermutationOptions,
): Promise<RefitTest> {
  const { features, responses, bestAlphas } = problem;
  const [n, nTargets] = responses.shape;
  const [rows, p] = features.shape;
  if (rows !== n || bestAlphas.length !== nTargets || statistic.directions.length % p !== 0) {
    throw new InputError(
      `Cannot test weights: features [${features.shape}], responses [${responses.shape}], ` +
        `${bestAlphas.length} alphas and ${statistic.directions.length} values of directions must agree`,
    );
  }
  if (targets.length === 0) return { pValues: new Float64Array(), signs: new Int8Array() };
  const vectors = statisticVectors(problem, statistic, targets);
  const { pValues, correlations } = await permutationTest(
    vectors,
    columnsOf(responses, targets),
    options,
  );
  return { pValues, signs: Int8Array.from(correlations, Math.sign) };
}
