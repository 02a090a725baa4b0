/**
 * Seconds and floating-point operations of a ridge fit by stage.
 *
 * @module
 */
import type { Gpu } from "../engine/gpu.ts";
import type { RidgeCase } from "./ridge_case.ts";

/** Numbers by stage. */
export type ByStage = Readonly<Record<string, number>>;

/** Sums up what stages take: at every mark the device is waited for. */
export class StageClock {
  readonly #gpu: Gpu;
  readonly #seconds = new Map<string, number>();
  #since = performance.now();

  /** A clock that runs from now. The pool is emptied, so that what it holds at the end is the most that was needed at once. */
  constructor(gpu: Gpu) {
    gpu.pool.trim();
    this.#gpu = gpu;
  }

  /** Ends a stage: the time since the last mark is put down to it. */
  readonly mark = async (stage: string): Promise<void> => {
    await this.#gpu.sync();
    const now = performance.now();
    this.#seconds.set(stage, (this.#seconds.get(stage) ?? 0) + (now - this.#since) / 1e3);
    this.#since = now;
  };

  /** Seconds by stage. */
  get seconds(): ByStage {
    return Object.fromEntries(this.#seconds);
  }

  /** Most bytes on the device at once, buffers that waited for reuse included. */
  get peakBytes(): number {
    return this.#gpu.pool.heldBytes;
  }
}

/** The sum over stages. */
export function total(stages: ByStage): number {
  return Object.values(stages).reduce((sum, value) => sum + value, 0);
}

/** What work depends on beside the sizes. */
export interface WorkOptions {
  /** Alphas that some target chose. */
  readonly used: number;
  /** Pairs of an alpha and a target that were scored; all where absent. */
  readonly scored?: number;
  /** Alphas that need no operators of their own. */
  readonly shared?: number;
  /** Whether alphas were screened by an eigendecomposition. */
  readonly isScreened?: boolean;
}

// A product of [m, k] and [k, n] counts 2·m·k·n, a symmetric one half, an inverse n³, eigh 9 n³ as a published rule of thumb has it.
const EIGH = 9;

/** Sizes by their letters: m rows of a fold, t rows that are fitted. */
function lettersOf({ n, p, nTargets, alphas, nFolds }: RidgeCase) {
  const m = n / nFolds;
  return { n, p, v: nTargets, a: alphas.length, f: nFolds, m, t: n - m };
}

/** Operations of Gyrus by stage, in 10⁹, in the space of samples where that is smaller than the features. */
export function oursWork(
  ridge: RidgeCase,
  { used, scored, shared = 0, isScreened }: WorkOptions,
): ByStage {
  const { n, p, v, f, m, t, a: all } = lettersOf(ridge);
  const a = all - shared;
  const isDual = p >= t;
  const small = Math.min(n, p);
  const screen: ByStage = isScreened
    ? { eigh: EIGH * small ** 3 + (isDual ? 0 : 2 * n * p * p), screen: 2 * n * small * v }
    : {};
  const pairs = scored ?? a * v;
  const own: ByStage = isDual
    ? {
      ...{ gram: n * n * p, factor: a * n ** 3, operators: a * f * (m ** 3 / 3 + 2 * m * m * t) },
      ...{ score: 2 * f * m * t * pairs, refit: 2 * n * n * v },
    }
    : {
      ...{ gram: 2 * n * p * p, operators: a * f * (p ** 3 / 3 + 2 * p * p * m) },
      score: 2 * n * p * v + 2 * f * m * p * pairs,
      refit: used * p ** 3 / 3 + 2 * n * p * v + 2 * p * p * v,
    };
  return inGiga({ ...screen, ...own });
}

/** Operations of himalaya's KernelRidgeCV by stage, in 10⁹. */
export function kernelWork(ridge: RidgeCase, { used }: WorkOptions): ByStage {
  const { n, p, v, a, f, m, t } = lettersOf(ridge);
  return inGiga({
    gram: 2 * n * n * p,
    eigh: f * EIGH * t ** 3 + EIGH * n ** 3,
    operators: f * 2 * m * t * t * (1 + a),
    score: 2 * a * f * m * t * v,
    refit: used * (2 * n ** 3 + 2 * n * n * v),
  });
}

/** Operations of himalaya's RidgeCV by stage, in 10⁹, its singular value decompositions made from eigh of the Gram matrix. */
export function svdWork(ridge: RidgeCase, { used }: WorkOptions): ByStage {
  const { n, p, v, a, f, m, t } = lettersOf(ridge);
  return inGiga({
    gram: 2 * p * p * (f * t + n),
    eigh: (f + 1) * EIGH * p ** 3 + 2 * p * p * (f * t + n),
    operators: a * f * (2 * p * p * t + 2 * m * p * t),
    score: 2 * a * f * m * t * v,
    refit: used * (2 * p * p * n + 2 * p * n * v),
  });
}

function inGiga(stages: ByStage): ByStage {
  return Object.fromEntries(Object.entries(stages).map(([name, work]) => [name, work / 1e9]));
}
