/**
 * Cross-validated ridge regression against himalaya's algorithms on the same kernels, in one run and on the same data.
 *
 * @module
 */
import { cpuUsage } from "node:process";
import type { Gpu } from "../engine/gpu.ts";
import { matmul } from "../engine/ops/matmul.ts";
import { foldIn, type Key } from "../engine/random.ts";
import { Tensor } from "../engine/tensor.ts";
import { isDual, type Method, type MethodFit, methodsOf, outcomeOf } from "./ridge_methods.ts";
import { type RidgeCase, type RidgeData, ridgeData } from "./ridge_case.ts";
import { type Agreement, agreement, type RidgeOutcome } from "./ridge_check.ts";
import { type ByStage, StageClock, total } from "./ridge_stages.ts";
import { time } from "./time.ts";

/** One way to one case. */
export interface RidgeRow {
  /** Name of the case. */
  readonly case: string;
  /** Name of the way. */
  readonly method: string;
  /** Sizes: samples, features, targets, folds, alphas. */
  readonly sizes: Readonly<Record<"n" | "p" | "targets" | "folds" | "alphas", number>>;
  /** Alphas that some target chose. */
  readonly usedAlphas: number;
  /** Share of pairs of an alpha and a target that were scored. */
  readonly scored: number;
  /** Seconds by stage, the device drained after each. */
  readonly seconds: ByStage;
  /** Their sum. */
  readonly totalSeconds: number;
  /** Processor time of all threads, with a CPU driver the device's too: what other work on the machine changes less. */
  readonly cpuSeconds: number;
  /** 10⁹ operations by stage, by formula. */
  readonly gflop: ByStage;
  /** Their sum. */
  readonly totalGflop: number;
  /** The same sum where every alpha of the grid is in use. */
  readonly wholeGridGflop: number;
  /** 10⁹ operations per second. */
  readonly gflops: number;
  /** The rate of a plain product of the shape of one fold's predictions, in the same run. */
  readonly productGflops: number;
  /** `gflops / productGflops` */
  readonly share: number;
  /** Most bytes on the device at once. */
  readonly deviceBytes: number;
  /** Memory of the process at the end of the fit; with a CPU driver the device's is in it. */
  readonly hostBytes: number;
  /** Seconds of each baseline over these, by name. */
  readonly faster: ByStage;
  /** The same without the baseline's eigendecompositions. */
  readonly fasterWithoutEigh: ByStage;
  /** How far the fit is from the exact one; absent for that. */
  readonly agreement?: Agreement;
}

/** Options of {@link benchRidge}. */
export interface RidgeBenchOptions {
  /** Seed of the data. */
  readonly key: Key;
  /** Times that every way is timed, in turn; the fastest is told. */
  readonly repeats?: number;
}

/**
 * Checks the ways to a case against each other, then times them in turn.
 *
 * @throws {Error} where they disagree: nothing is timed then
 */
export async function* benchRidge(
  gpu: Gpu,
  ridge: RidgeCase,
  { key, repeats = 1 }: RidgeBenchOptions,
): AsyncGenerator<RidgeRow> {
  const data = await ridgeData(gpu, ridge, key);
  const methods = methodsOf(ridge);
  const agreements = await checkMethods(gpu, data, ridge, methods);
  const rate = await productRate(gpu, ridge, foldIn(key, 1));
  const timed = new Map<Method, Timed>();
  for (let repeat = 0; repeat < repeats; repeat++) {
    for (const method of methods) {
      const found = await timeMethod(gpu, method, data, ridge);
      const known = timed.get(method);
      if (!known || total(found.seconds) < total(known.seconds)) timed.set(method, found);
    }
  }
  for (const method of methods) {
    yield rowOf(ridge, method, { timed, rate, agreement: agreements.get(method) });
  }
}

/** Fits every way once, which compiles its kernels, and compares it with the first one. */
async function checkMethods(
  gpu: Gpu,
  data: RidgeData,
  ridge: RidgeCase,
  methods: readonly Method[],
): Promise<Map<Method, Agreement>> {
  const found = new Map<Method, Agreement>();
  const { n, p } = ridge;
  // The largest eigenvalue of the Gram matrix of standard normals, by the law of Marchenko and Pastur.
  const largest = (Math.sqrt(n) + Math.sqrt(p)) ** 2;
  let exact: RidgeOutcome | undefined;
  for (const method of methods) {
    const fit = await method.fit(gpu, data, ridge, () => Promise.resolve());
    const outcome = await outcomeOf(gpu, data, fit);
    if (!exact) {
      exact = outcome;
      continue;
    }
    const { isScreened } = method;
    const leastAlpha = method.resolved(ridge) * largest;
    const named = { ...ridge, name: `${ridge.name}, ${method.name}` };
    found.set(method, agreement(named, outcome, exact, { leastAlpha, isScreened }));
  }
  return found;
}

/** 10⁹ operations per second of the product that predicts a fold from responses of up to 4096 targets. */
async function productRate(gpu: Gpu, ridge: RidgeCase, key: Key): Promise<number> {
  const { n, p, nFolds } = ridge;
  const m = Math.ceil(n / nFolds), k = isDual(ridge) ? n - m : p;
  const width = Math.min(4096, ridge.nTargets);
  using a = Tensor.randn(gpu, foldIn(key, 0), [m, k]);
  using b = Tensor.randn(gpu, foldIn(key, 1), [k, width]);
  const { best } = await time(gpu, () => void matmul(a, b), { samples: 5 });
  return 2 * m * k * width / best / 1e6;
}

/** A timed fit. */
interface Timed {
  readonly fit: Pick<MethodFit, "best" | "scores">;
  readonly seconds: ByStage;
  readonly cpuSeconds: number;
  readonly deviceBytes: number;
  readonly hostBytes: number;
}

async function timeMethod(
  gpu: Gpu,
  method: Method,
  data: RidgeData,
  ridge: RidgeCase,
): Promise<Timed> {
  await gpu.sync();
  const before = cpuUsage();
  const clock = new StageClock(gpu);
  const { best, scores } = await method.fit(gpu, data, ridge, clock.mark);
  await clock.mark("rest");
  const used = cpuUsage(before);
  return {
    fit: { best, scores },
    seconds: clock.seconds,
    cpuSeconds: (used.user + used.system) / 1e6,
    deviceBytes: clock.peakBytes,
    hostBytes: Deno.memoryUsage().rss,
  };
}

/** Alphas whose operators and scores follow from the first of those that predictions are proportional to 1/alpha from. */
function repeatedIn({ n, p }: RidgeCase, alphas: readonly number[]): number[] {
  const trace = n * p; // of the Gram matrix of standard normals
  return alphas.filter((alpha) => alpha >= 2 ** 24 * trace).sort((a, b) => a - b).slice(1);
}

function rowOf(
  ridge: RidgeCase,
  method: Method,
  { timed, rate, agreement }: {
    timed: ReadonlyMap<Method, Timed>;
    rate: number;
    agreement?: Agreement;
  },
): RidgeRow {
  const { fit, seconds, cpuSeconds, deviceBytes, hostBytes } = timed.get(method)!;
  const { n, p, nTargets, nFolds, alphas } = ridge;
  const isScored = (score: number) => score !== -Infinity;
  const pairs = fit.scores.reduce((count, score) => count + Number(isScored(score)), 0);
  const together = method.together(alphas);
  const repeated = new Set(together.scores.flatMap((some) => repeatedIn(ridge, some)));
  const scored = fit.scores.reduce((count, score, at) => {
    const isOwn = !repeated.has(alphas[Math.floor(at / nTargets)]);
    return count + Number(isScored(score) && isOwn);
  }, 0);
  const shared = together.operators.flatMap((some) => repeatedIn(ridge, some)).length;
  const used = new Set(fit.best).size;
  const gflop = method.work(ridge, { used, scored, shared });
  const [totalSeconds, totalGflop] = [total(seconds), total(gflop)];
  const gflops = totalGflop / totalSeconds;
  const baselines = [...timed].filter(([other]) => other.isBaseline && other !== method);
  const against = (of: (stages: ByStage) => number): ByStage =>
    Object.fromEntries(
      baselines.map(([{ name }, { seconds }]) => [name, of(seconds) / totalSeconds]),
    );
  return {
    ...{ case: ridge.name, method: method.name, usedAlphas: used },
    sizes: { n, p, targets: nTargets, folds: nFolds, alphas: alphas.length },
    scored: pairs / fit.scores.length,
    ...{ seconds, totalSeconds, cpuSeconds, gflop, totalGflop },
    wholeGridGflop: total(method.work(ridge, { used: alphas.length, scored, shared })),
    ...{ gflops, productGflops: rate, share: gflops / rate, deviceBytes, hostBytes },
    faster: against(total),
    fasterWithoutEigh: against((stages) => total(stages) - (stages.eigh ?? 0)),
    agreement,
  };
}
