import { gather } from "../../engine/ops/gather.ts";
import { normalize, sum, variance } from "../../engine/ops/reduce.ts";
import { sqrt } from "../../engine/ops/elementwise.ts";
import { type Tensor, tidy } from "../../engine/tensor.ts";
import { hostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import { quantileOf } from "../stats/bootstrap.ts";
import { type Affinity, comparesDirections, requireNodes } from "./affinity.ts";
import { farthestPoints } from "./farthest_points.ts";
import { squaredDistances } from "./squared_distances.ts";

/** Options of {@link findGamma} and {@link findSigma}. */
export interface ScaleOptions {
  /** The search looks at this many nodes at most, drawn by `sample`. */
  readonly nSample?: number;
  /** Draws `count` rows of `x: [n, d]`; farthest points from row 0 when absent. */
  readonly sample?: (x: Tensor, count: number) => Promise<ArrayLike<number>>;
}

/** Options of {@link findGamma}. */
export interface FindGammaOptions extends ScaleOptions {
  /** Mean affinity of two nodes that is wanted, between 0 and 1. */
  readonly degree?: number;
}

/** Options of {@link findSigma}. */
export interface FindSigmaOptions extends ScaleOptions {
  /** Quantile of the mean affinities of the nodes at a wide scale, which becomes the mean affinity of all. */
  readonly quantile?: number;
}

const N_SAMPLE = 1000; // ncut_pytorch v1 (affinity_gamma.py) and v3 (utils/sigma.py), as all below
const FIRST = 0.5;
const TOLERANCE = 1e-2; // of the wanted mean
const STEPS = 100;

/**
 * The `rbf` affinity of ncut_pytorch v1: sigma² = gamma·Σⱼ varⱼ with unbiased variances of the columns of `x: [n, d]`.
 *
 * @throws {InputError} for fewer than two nodes, when all are equal, or as {@link requireNodes}
 */
export async function rbfOfGamma(
  x: Tensor,
  gamma: number,
): Promise<Extract<Affinity, { kind: "rbf" }>> {
  await requireNodes(x, { kind: "rbf", sigma: 1 });
  return { kind: "rbf", sigma: Math.sqrt(gamma * await totalVariance(x)) };
}

/**
 * The gamma of ncut_pytorch v1 at which the mean affinity of the sampled nodes, each with itself too, is `degree` within 1 %: by doubling
 * from 0.5 and bisection. For `rbf` it is the gamma of {@link rbfOfGamma}.
 *
 * @param x `[n, d]`
 * @throws {InputError} when no gamma gives that mean, such as a degree below 1/n, or as {@link requireNodes}
 */
export async function findGamma(
  x: Tensor,
  kind: "cosine" | "rbf" | "euclidean",
  { degree = 0.05, ...options }: FindGammaOptions = {},
): Promise<number> {
  const name = "a gamma",
    affinity: Affinity = kind === "rbf" ? { kind, sigma: 1 } : { kind, gamma: 1 };
  requireShare(name, "the degree", degree);
  const sample = await sampled(x, affinity, options);
  // The exponent is −this/gamma.
  const exponents = kind === "euclidean" ? sample.squares.map(Math.sqrt) : sample.squares;
  const factor = kind === "rbf" ? 0.5 / sample.totalVariance : kind === "cosine" ? 0.5 : 1;
  const meanAt = (gamma: number) => mean(exponents, -factor / gamma);
  return bisected(name, meanAt, degree);
}

/**
 * The sigma of ncut_pytorch v3 for `rbf` or `squared-cosine`: with sigma₀ the sum of the standard deviations (unbiased) of the features, the
 * mean affinity that each sampled node has at sigma₀ is taken, and sigma is where the mean over all pairs is the `quantile` of these within
 * 1 %, by doubling from 0.5 and bisection. As sigma₀ is about √d times the spread of the nodes, affinities come out near 1; the
 * search often ends at a power of two.
 *
 * @param x `[n, d]`
 * @throws {InputError} when no sigma gives that mean, or as {@link requireNodes}
 */
export async function findSigma(
  x: Tensor,
  kind: "rbf" | "squared-cosine" = "rbf",
  { quantile = 0.25, ...options }: FindSigmaOptions = {},
): Promise<number> {
  const name = "a sigma";
  requireShare(name, "the quantile", quantile);
  const { squares, n, totalDeviation } = await sampled(x, { kind, sigma: 1 }, options);
  const isCosine = kind === "squared-cosine";
  const exponents = isCosine ? squares.map((value) => value * value / 4) : squares;
  const floor = isCosine ? 1e-3 : 0;
  const factor = (sigma: number) => -0.5 / sigma ** 2;
  const rows = Float64Array.from({ length: n }, (_, i) => {
    return mean(exponents.subarray(i * n, (i + 1) * n), factor(totalDeviation)) + floor;
  });
  const target = quantileOf(rows.sort(), quantile);
  return bisected(name, (sigma) => mean(exponents, factor(sigma)) + floor, target);
}

function mean(exponents: Float64Array, factor: number): number {
  let sum = 0;
  for (let i = 0; i < exponents.length; i++) sum += Math.exp(factor * exponents[i]);
  return sum / exponents.length;
}

/** Where a growing mean reaches its target. */
function bisected(name: string, meanAt: (scale: number) => number, target: number): number {
  let scale = FIRST, low = 0, high = Infinity;
  for (let step = 0; step <= STEPS; step++) {
    const value = meanAt(scale);
    if (Math.abs(value - target) <= TOLERANCE * target) return scale;
    if (value > target) high = scale;
    else low = scale;
    scale = high === Infinity ? 2 * scale : (low + high) / 2;
  }
  throw new InputError(
    `Cannot find ${name} of mean affinity ${target}: it is ${
      meanAt(scale)
    } at ${scale} after ${STEPS} steps`,
  );
}

function requireShare(name: string, what: string, value: number): void {
  if (!(value > 0 && value < 1)) {
    throw new InputError(`Cannot find ${name}: ${what} must be between 0 and 1, it is ${value}`);
  }
}

interface Sample {
  /** Nodes. */
  readonly n: number;
  /** `[n, n]`: squared distances, of unit vectors where the affinity compares directions. */
  readonly squares: Float64Array<ArrayBuffer>;
  /** Sum over the features of unbiased variances. */
  readonly totalVariance: number;
  /** Sum over the features of their roots. */
  readonly totalDeviation: number;
}

async function sampled(
  x: Tensor,
  affinity: Affinity,
  { nSample = N_SAMPLE, sample = farthestOf }: ScaleOptions,
): Promise<Sample> {
  await requireNodes(x, affinity);
  const rows = x.shape[0] > nSample ? await sample(x, nSample) : undefined;
  using nodes = tidy(x.gpu, () => rows ? gather(x.detach(), Uint32Array.from(rows)) : x.detach());
  const totals = await totalsOf(nodes);
  using distances = tidy(x.gpu, () => {
    const compared = comparesDirections(affinity) ? normalize(nodes, { eps: 0 }) : nodes;
    return squaredDistances(compared, compared);
  });
  return { n: nodes.shape[0], squares: Float64Array.from(await distances.data()), ...totals };
}

async function totalsOf(x: Tensor): Promise<{ totalVariance: number; totalDeviation: number }> {
  return { totalVariance: await totalVariance(x), totalDeviation: await totalDeviation(x) };
}

async function totalVariance(x: Tensor): Promise<number> {
  requireSpread(x);
  using total = tidy(x.gpu, () => sum(variance(x.detach(), { axes: [0], ddof: 1 })));
  return positive(await total.item());
}

async function totalDeviation(x: Tensor): Promise<number> {
  using total = tidy(x.gpu, () => sum(sqrt(variance(x.detach(), { axes: [0], ddof: 1 }))));
  return await total.item();
}

function requireSpread(x: Tensor): void {
  if (x.shape[0] < 2) {
    throw new InputError(`Cannot find the scale of nodes [${x.shape}]: it takes two or more`);
  }
}

function positive(variance: number): number {
  if (variance > 0) return variance;
  throw new InputError("Cannot find the scale of nodes that are all equal: their variance is 0");
}

async function farthestOf(x: Tensor, count: number): Promise<Uint32Array> {
  const nodes = hostMatrix(await x.data(), [x.shape[0], x.shape[1]]);
  return farthestPoints(x.gpu, nodes, count, { start: 0 });
}
