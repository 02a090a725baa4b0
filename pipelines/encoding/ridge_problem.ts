import type { Gpu } from "../../engine/gpu.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { Tensor } from "../../engine/tensor.ts";
import type { Split } from "./cross_validation.ts";
import { type FoldResponses, foldResponses, foldSums, readScores } from "./fold_scores.ts";
import { centreFeatureGram, partOfSampleGram, sampleGram, trainGrams } from "./gram.ts";
import { centredPart, columnMeans, type HostMatrix, range, takeColumns } from "./host_matrix.ts";
import type { LongCall } from "./linear_model.ts";
import { choleskySystem, eigenSystem, type RidgeSystem } from "./ridge_system.ts";
import type { Scoring } from "./scoring.ts";

// An eigendecomposition of this size takes a few seconds on the host, and each fold needs one.
const LARGEST_EIGH = 640;
const BYTES_PER_BATCH = 64 * 2 ** 20;

/** What a {@link RidgeProblem} is told. */
export interface RidgeProblemOptions {
  /** Regularisations to score. */
  readonly alphas: readonly number[];
  /** Centres both sides, in every fold by the means of its training side. */
  readonly fitIntercept: boolean;
  /** What folds are scored by. */
  readonly scoring: Scoring;
  /** How systems are solved. */
  readonly solver: "auto" | "eigh" | "cholesky";
  /** Targets that are on the GPU at once. */
  readonly nTargetsBatch?: number;
  /** Every split that will be scored. */
  readonly splits: readonly Split[];
}

/** Features and responses with the float64 sums that all folds share. */
export class RidgeProblem {
  readonly #gpu: Gpu;
  readonly #x: HostMatrix;
  readonly #y: HostMatrix;
  readonly #options: RidgeProblemOptions;
  readonly #means: Float64Array<ArrayBuffer>;
  #trainGrams?: readonly Float64Array<ArrayBuffer>[];
  #sampleGram?: Float64Array<ArrayBuffer>;

  /** Checks nothing: the callers have. */
  constructor(gpu: Gpu, x: HostMatrix, y: HostMatrix, options: RidgeProblemOptions) {
    this.#gpu = gpu;
    this.#x = x;
    this.#y = y;
    this.#options = options;
    this.#means = this.#meansOf(x, range(x.shape[0]));
  }

  #meansOf(matrix: HostMatrix, rows: ArrayLike<number>): Float64Array<ArrayBuffer> {
    return this.#options.fitIntercept
      ? columnMeans(matrix, rows)
      : new Float64Array(matrix.shape[1]);
  }

  /** A problem of some samples; `fold` numbers its Gram matrix, the last one being that of all samples. */
  #system(rows: Uint32Array, fold: number): { system: RidgeSystem; xMeans: Float64Array } {
    const { solver, splits, fitIntercept } = this.#options;
    const [n, p] = this.#x.shape;
    const xMeans = this.#meansOf(this.#x, rows);
    const isDual = rows.length < p;
    using x = Tensor.from(this.#gpu, centredPart(this.#x, rows, xMeans), [rows.length, p]);
    const useEigh = solver === "eigh" ||
      (solver === "auto" && Math.min(rows.length, p) <= LARGEST_EIGH);
    const gram = () => {
      if (isDual) {
        this.#sampleGram ??= sampleGram(this.#x, this.#means);
        return partOfSampleGram(this.#sampleGram, n, rows, { centre: fitIntercept });
      }
      this.#trainGrams ??= trainGrams(this.#x, splits, this.#means);
      const moved = xMeans.map((mean, j) => mean - this.#means[j]);
      return centreFeatureGram(this.#trainGrams[fold], moved, rows.length);
    };
    const side = { x, gram, isDual };
    return { system: useEigh ? eigenSystem(side) : choleskySystem(side), xMeans };
  }

  /** Columns of the responses that are handled together. */
  #batches(columns: Uint32Array): Uint32Array[] {
    const tallest = Math.max(...this.#x.shape);
    const most = this.#options.nTargetsBatch ??
      Math.max(1, Math.floor(BYTES_PER_BATCH / 4 / tallest));
    const count = Math.ceil(columns.length / most);
    return Array.from({ length: count }, (_, i) => columns.slice(i * most, (i + 1) * most));
  }

  /** Scores of one fold, `[nAlphas, nTargets]`. */
  async scoreFold(fold: number, split: Split, { signal }: LongCall): Promise<Float64Array> {
    const { alphas, scoring } = this.#options;
    const nTargets = this.#y.shape[1];
    const scores = new Float64Array(alphas.length * nTargets).fill(-Infinity);
    const { system, xMeans } = this.#system(split.train, fold);
    using held = new DisposableStack();
    held.use(system);
    const predictors: (Tensor | undefined)[] = [];
    {
      const part = centredPart(this.#x, split.test, xMeans);
      using test = Tensor.from(this.#gpu, part, [split.test.length, this.#x.shape[1]]);
      for (const alpha of alphas) {
        signal?.throwIfAborted();
        const predictor = await system.predictor(test, alpha);
        predictors.push(predictor && held.use(predictor));
      }
    }
    for (const columns of this.#batches(range(nTargets))) {
      signal?.throwIfAborted();
      const y = this.#y.shape[1] === columns.length ? this.#y : takeColumns(this.#y, columns);
      const rows = await this.#scoreBatch(y, split, system, predictors, scoring);
      rows.forEach((row, a) => row && columns.forEach((t, j) => scores[a * nTargets + t] = row[j]));
    }
    return scores;
  }

  async #scoreBatch(
    y: HostMatrix,
    { train, test }: Split,
    system: RidgeSystem,
    predictors: readonly (Tensor | undefined)[],
    scoring: Scoring,
  ): Promise<(Float64Array | undefined)[]> {
    const means = this.#meansOf(y, train);
    const upload = (rows: Uint32Array) =>
      Tensor.from(this.#gpu, centredPart(y, rows, means), [rows.length, y.shape[1]]);
    using held = new DisposableStack();
    const right = (() => {
      using train_ = upload(train);
      return held.use(system.right(train_));
    })();
    const responses: FoldResponses = foldResponses(held.use(upload(test)));
    held.use(responses.centred);
    held.use(responses.squares);
    const solved = predictors.flatMap((predictor, a) => predictor ? [{ predictor, a }] : []);
    const sums = solved.map(({ predictor }) => {
      using predictions = matmul(predictor, right, { transposeA: true });
      const made = foldSums(responses, predictions, scoring);
      [made.error, ...made.products ?? []].forEach((t) => held.use(t));
      return made;
    });
    const values = await readScores(responses, sums, scoring);
    const rows: (Float64Array | undefined)[] = predictors.map(() => undefined);
    solved.forEach(({ a }, i) => rows[a] = values[i]);
    return rows;
  }

  /** Fits all samples with an alpha for each target. */
  async refit(
    alphas: Float64Array,
    { signal, onProgress }: LongCall,
  ): Promise<{ coef: HostMatrix; intercept: Float32Array<ArrayBuffer> }> {
    const [n, p] = this.#x.shape;
    const nTargets = alphas.length;
    const coef = new Float32Array(p * nTargets);
    const intercept = new Float64Array(nTargets);
    const { system, xMeans } = this.#system(range(n), this.#options.splits.length);
    using _system = system;
    let done = 0;
    for (const [alpha, targets] of groupTargets(alphas)) {
      for (const columns of this.#batches(targets)) {
        signal?.throwIfAborted();
        onProgress?.({ stage: "refit", done, total: nTargets });
        const y = takeColumns(this.#y, columns);
        const means = this.#meansOf(y, range(n));
        using on = Tensor.from(this.#gpu, centredPart(y, range(n), means), [n, columns.length]);
        using right = system.right(on);
        using weights = await system.coefficients(right, alpha);
        const values = await weights.data();
        columns.forEach((t, j) => {
          intercept[t] = means[j];
          for (let i = 0; i < p; i++) {
            const weight = values[i * columns.length + j];
            coef[i * nTargets + t] = weight;
            intercept[t] -= xMeans[i] * weight;
          }
        });
        done += columns.length;
      }
    }
    onProgress?.({ stage: "refit", done, total: nTargets });
    return { coef: { data: coef, shape: [p, nTargets] }, intercept: Float32Array.from(intercept) };
  }
}

/** Targets by their alpha. */
function groupTargets(alphas: Float64Array): Map<number, Uint32Array> {
  const groups = new Map<number, number[]>();
  alphas.forEach((alpha, t) => {
    const group = groups.get(alpha);
    if (group) group.push(t);
    else groups.set(alpha, [t]);
  });
  return new Map([...groups].map(([alpha, targets]) => [alpha, Uint32Array.from(targets)]));
}
