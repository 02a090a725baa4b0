import type { Panels } from "../../engine/ops/fold_sums.ts";
import { readAll, type Tensor } from "../../engine/tensor.ts";
import { FOLD_SUMS } from "../../shaders/matmul/fold_sums.ts";
import { type ScoreFunction, scoresOf, usesPredictionMoments } from "./fold_scores.ts";
import { range } from "./host_matrix.ts";
import type { StagedCall } from "./linear_model.ts";
import type { RidgeSamples } from "./ridge_samples.ts";
import type { RidgeSolver } from "./ridge_solver.ts";
import { PANEL, TargetTile } from "./ridge_targets.ts";

/** Where a score belongs, as a checkpoint keeps it. */
export interface ScoreUnit {
  /** Which of several searches: 0 where there is one. */
  readonly pass: number;
  /** Index of the alpha. */
  readonly alpha: number;
  /** Index of the split. */
  readonly fold: number;
  /** Index of the tile of targets. */
  readonly tile: number;
}

/** Scores that outlive the process. */
export interface ScoreStore {
  /** Scores of a unit that was finished: measure after measure, one per target of its tile. */
  read(unit: ScoreUnit): Float64Array | undefined;
  /** Keeps the scores of a unit. */
  write(unit: ScoreUnit, scores: Float64Array): void;
}

/** Which targets to score. */
export interface TargetChoice {
  /** The targets, those of an alpha side by side, so that it scores a part of what is on the device already. */
  readonly order: Uint32Array;
  /** First place in the order and the one after the last that an alpha scores; all where absent. */
  readonly spanOf?: (alpha: number) => readonly [start: number, end: number];
}

/** Options of {@link scoreAlphas}. */
export interface ScoreOptions extends StagedCall {
  /** Regularisations. */
  readonly alphas: readonly number[];
  /** The solver of each alpha. */
  readonly solverOf: (alpha: number) => RidgeSolver;
  /** What splits are scored by; the first one is what alphas are chosen by. */
  readonly measures: readonly ScoreFunction[];
  /** Targets to score; all where absent. */
  readonly targets?: TargetChoice;
  /** Targets that are on the device at once. */
  readonly nTargetsBatch: number;
  /** Alphas whose operators are on the device at once. */
  readonly nAlphasBatch: number;
  /** Keeps finished units. */
  readonly store?: ScoreStore;
  /** Which of several searches this is, for the store. */
  readonly pass?: number;
  /** Splits to score; all where absent. */
  readonly folds?: readonly number[];
  /** From this alpha on predictions are proportional to 1/alpha in f32: the first of these alphas is scored for all of them. */
  readonly proportionalFrom?: number;
}

/** A unit of work with the targets that it scores. */
interface Unit extends ScoreUnit {
  /** Index of the alpha whose predictions are scored, times what they are at this alpha. */
  readonly source: number;
  readonly columns: Uint32Array;
  /** Targets that are on the device for it. */
  readonly whole: Uint32Array;
  /** Places of the first target to score and of the one after the last among them. */
  readonly span: readonly [number, number];
}

/**
 * Scores every split at every alpha.
 *
 * @returns `[nAlphas, nSplits, nTargets]` for each measure: NaN where the problem was singular, −∞ where nothing was asked for
 */
export async function scoreAlphas(
  samples: RidgeSamples,
  options: ScoreOptions,
): Promise<Float64Array<ArrayBuffer>[]> {
  const { alphas, nAlphasBatch, store, measures } = options;
  const nFolds = samples.layout.folds.length, nTargets = samples.y.shape[1];
  const scores = measures.map(() =>
    new Float64Array(alphas.length * nFolds * nTargets).fill(-Infinity)
  );
  const keep = ({ alpha, fold, columns }: Unit, values: Float64Array) => {
    const start = (alpha * nFolds + fold) * nTargets;
    scores.forEach((into, m) =>
      columns.forEach((t, j) => into[start + t] = values[m * columns.length + j])
    );
  };
  const units = alphas.map((_, alpha) => unitsOf(samples, alpha, options));
  const total = units.flat().length;
  const open = units.map((some) =>
    some.filter((unit) => {
      const known = store?.read(unit);
      if (known) keep(unit, known);
      return !known;
    })
  );
  let done = total - open.flat().length;
  using tiles = new TileCache(samples);
  const report = () => options.onProgress?.({ stage: "cv", done, total });
  report();
  const bySource = [...Map.groupBy(open.flat(), ({ source }) => source).values()];
  for (let first = 0; first < bySource.length; first += nAlphasBatch) {
    const batch = bySource.slice(first, first + nAlphasBatch).flat();
    await scoreBatch(samples, { batch, tiles, ...options }, (unit, values) => {
      keep(unit, values);
      store?.write(unit, values);
      done++;
      report();
    });
  }
  return scores;
}

function unitsOf(
  samples: RidgeSamples,
  alpha: number,
  options: ScoreOptions,
): Unit[] {
  const { alphas, targets, nTargetsBatch, pass = 0, folds } = options;
  const source = sourceOf(samples, alpha, options);
  const order = targets?.order ?? range(samples.y.shape[1]);
  const [first, last] = targets?.spanOf?.(alphas[alpha]) ?? [0, order.length];
  const units: Unit[] = [];
  for (let start = 0; start < order.length; start += nTargetsBatch) {
    const whole = order.subarray(start, start + nTargetsBatch);
    const span = [Math.max(0, first - start), Math.min(whole.length, last - start)] as const;
    if (span[0] >= span[1]) continue;
    const own = { pass, alpha, source, tile: start / nTargetsBatch, whole, span };
    for (const fold of folds ?? samples.layout.folds.keys()) {
      units.push({ ...own, fold, columns: whole.subarray(...span) });
    }
  }
  return units;
}

/** The alpha whose predictions are those of another one times a factor, as indices. */
function sourceOf(
  samples: RidgeSamples,
  alpha: number,
  { alphas, proportionalFrom = Infinity }: ScoreOptions,
): number {
  // Sums of predictions less a mean are in no proportion.
  const isPlain = samples.fitIntercept || samples.hasSmallMeans;
  if (alphas[alpha] < proportionalFrom || !isPlain) return alpha;
  return alphas.reduce(
    (least, value, a) => value >= proportionalFrom && value < alphas[least] ? a : least,
    alpha,
  );
}

/** The tile that was used last: where all targets fit one tile they are uploaded once. */
class TileCache implements Disposable {
  readonly #samples: RidgeSamples;
  #columns?: Uint32Array;
  #tile?: TargetTile;

  constructor(samples: RidgeSamples) {
    this.#samples = samples;
  }

  of(columns: Uint32Array): TargetTile {
    const held = this.#columns;
    const isSame = held?.length === columns.length && columns.every((t, j) => t === held[j]);
    if (!this.#tile || !isSame) {
      this.#tile?.[Symbol.dispose]();
      this.#tile = undefined; // the next line may throw
      this.#tile = new TargetTile(this.#samples, columns);
      this.#columns = columns;
    }
    return this.#tile;
  }

  [Symbol.dispose](): void {
    this.#tile?.[Symbol.dispose]();
  }
}

/** Makes the operators of some alphas, then passes over the targets. */
async function scoreBatch(
  samples: RidgeSamples,
  { batch, tiles, alphas, solverOf, signal, measures, onStage }: ScoreOptions & {
    batch: readonly Unit[];
    tiles: TileCache;
  },
  onScores: (unit: Unit, scores: Float64Array) => void,
): Promise<void> {
  using held = new DisposableStack();
  const operators = new Map<string, Panels>();
  let prepared = -1;
  for (const { source, fold } of batch) {
    if (operators.has(`${source} ${fold}`)) continue;
    signal?.throwIfAborted();
    const solver = solverOf(alphas[source]);
    await onStage?.("gram");
    if (prepared !== source) solver.setAlpha(alphas[source]);
    prepared = source;
    await onStage?.("factor");
    const operator = solver.operator(fold);
    held.use(operator.values);
    operators.set(`${source} ${fold}`, operator);
    samples.gpu.submit();
    await onStage?.("operators");
  }
  for (const units of byTile(batch)) {
    signal?.throwIfAborted();
    const tile = tiles.of(units[0].whole);
    const launches = [...Map.groupBy(units, launchOf).values()];
    const score = ([{ source, fold, span }]: readonly Unit[], isPlain: boolean): Tensor =>
      tile.score(solverOf(alphas[source]), {
        ...{ fold, span, isPlain },
        operator: operators.get(`${source} ${fold}`)!,
      });
    const sums = launches.map((some) => score(some, false));
    // Predictions that shrink to 0 at a large alpha would vanish beside a mean: their moments are taken from plain sums then.
    const hasMeans = !samples.fitIntercept && !samples.hasSmallMeans;
    if (hasMeans && measures.some(usesPredictionMoments)) {
      sums.push(...launches.map((some) => score(some, true)));
    }
    const values = await readAll(sums);
    sums.forEach((t) => t.dispose());
    launches.forEach((some, i) => {
      for (const unit of some) {
        signal?.throwIfAborted();
        const first = FOLD_SUMS * (unit.span[0] % PANEL);
        const plain = values[launches.length + i]?.subarray(first);
        const scores = scoresOf(values[i].subarray(first), unit.columns, {
          ...{ stats: samples.stats[unit.fold], shifts: samples.shiftsOf(unit.fold) },
          ...{ count: samples.layout.folds[unit.fold].test.length, measures, plain },
          factor: alphas[unit.source] / alphas[unit.alpha],
        });
        onScores(unit, scores);
      }
    });
    await onStage?.("score");
  }
}

/** What one launch scores: units of it differ in the alpha alone. */
function launchOf({ source, fold, span }: Unit): string {
  return `${source} ${fold} ${span}`;
}

/** Units that share a tile of targets. */
function byTile(batch: readonly Unit[]): Unit[][] {
  return [...Map.groupBy(batch, ({ tile }) => tile).values()];
}
