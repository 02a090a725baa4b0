import type { Gpu } from "../../engine/gpu.ts";
import { type Key, normal } from "../../engine/random.ts";
import { full } from "../../engine/ops/elementwise.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { transpose } from "../../engine/ops/shape.ts";
import { run } from "../../engine/run.ts";
import { allocate, readAll, Tensor, tidy } from "../../engine/tensor.ts";
import {
  tsneDistancesKernel,
  tsneForcesKernel,
  tsneJointKernel,
  tsnePrecisionsKernel,
  tsneStepKernel,
} from "../../shaders/spectral/tsne.ts";
import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import type { LongCall } from "../encoding/linear_model.ts";
import { InputError } from "../errors.ts";
import { fitPca } from "../stats/pca.ts";
import { type TsneConvention, type TsneMetric, unitRows } from "./tsne.ts";

// Exact t-SNE on the device, after scikit-learn's method="exact" (_t_sne.py): n² probabilities in memory, n² pairs per step.

const MOST_POINTS = 10_000; // 400 MB of probabilities
const PANEL_BYTES = 128 * 2 ** 20; // WebGPU's default limit of a binding
const PANEL_ROWS = 64; // its rows of forces and of states begin at multiples of 256 bytes, WebGPU's alignment
const SEARCH_STEPS = 64; // doublings from 1/mean distance and halvings to the last bit of a float32

/** How points become probabilities. */
export interface TsneAffinityOptions {
  /** Effective number of neighbours. */
  readonly perplexity?: number;
  /** How far points are from each other. */
  readonly metric?: TsneMetric;
  /** Most bytes of one panel of probabilities; fewer where the adapter binds less. */
  readonly panelBytes?: number;
}

/** Joint probabilities of points on the device, in row panels. */
export class TsneProbabilities implements Disposable {
  /** @internal Use {@link tsneProbabilities}. */
  constructor(
    readonly gpu: Gpu,
    /** Number of points. */
    readonly n: number,
    /** Panels of `[rows, n]`. @internal */
    readonly panels: readonly {
      readonly first: number;
      readonly rows: number;
      readonly values: Tensor;
    }[],
  ) {
    Object.freeze(this);
  }

  /**
   * Sums over all other points for each point: attraction (3), kernel, repulsion (3), divergence, `[n, 8]`.
   *
   * @param y embedding, `[n, nComponents]`
   * @internal
   */
  forces(
    y: Tensor,
    { divergence, convention }: { divergence: boolean; convention: TsneConvention },
  ): Tensor {
    return tidy(this.gpu, () => {
      const forces = allocate(this.gpu, [this.n, 8], "f32");
      for (const { first, rows, values } of this.panels) {
        const args = {
          first,
          divergence: Number(divergence),
          exact: Number(convention === "exact"),
        };
        const out = { forces: forces.alias([rows, 8], first * 8) };
        run(tsneForcesKernel, [values, y], { args, out });
      }
      return forces;
    });
  }

  /** The probabilities on the host, `[n, n]`. */
  async data(): Promise<Float32Array<ArrayBuffer>> {
    const all = new Float32Array(this.n * this.n);
    const parts = await readAll(this.panels.map(({ values }) => values));
    parts.forEach((part, i) => all.set(part, this.panels[i].first * this.n));
    return all;
  }

  /** Frees the device's memory. */
  [Symbol.dispose](): void {
    for (const { values } of this.panels) values.dispose();
  }
}

function requirePoints({ data, shape: [n] }: HostMatrix, perplexity: number): void {
  if (!(n >= 2 && n <= MOST_POINTS) || !(perplexity >= 1 && perplexity < n)) {
    throw new InputError(
      `Cannot embed ${n} points at perplexity ${perplexity}: there must be from 2 to ${MOST_POINTS} points, ` +
        "and the perplexity be from 1 to below their number",
    );
  }
  const bad = data.findIndex((value) => !Number.isFinite(value));
  if (bad >= 0) {
    throw new InputError(
      `Cannot embed: every value must be finite, value ${bad} (counted from 0) is ${data[bad]}`,
    );
  }
}

/**
 * Joint probabilities of neighbours on the device: symmetric, of sum 1, with a zero diagonal.
 *
 * @param samples `[n, nFeatures]`
 * @throws {InputError} when there are not from 2 to 10,000 points, the perplexity is not from 1 to below n, a value is not finite, or a
 * row that is compared by its direction has none
 */
export function tsneProbabilities(
  gpu: Gpu,
  samples: HostMatrix,
  { perplexity = 30, metric = "euclidean", panelBytes = PANEL_BYTES }: TsneAffinityOptions = {},
): TsneProbabilities {
  requirePoints(samples, perplexity);
  const [n] = samples.shape, squared = Number(metric === "cosine");
  const points = squared ? unitRows(samples) : samples;
  const bytes = Math.min(panelBytes, gpu.caps.maxBindingBytes);
  const most = Math.max(1, Math.floor(bytes / (4 * n * PANEL_ROWS))) * PANEL_ROWS;
  const panels = tidy(gpu, () => {
    const x = transpose(Tensor.from(gpu, points.data, points.shape)); // [nFeatures, n]
    const states = Tensor.zeros(gpu, [n, 4]);
    const made: { first: number; rows: number; values: Tensor }[] = [];
    for (let first = 0; first < n; first += most) {
      const rows = Math.min(most, n - first);
      const [values] = run(tsneDistancesKernel, [x], { dims: { rows }, args: { first, squared } });
      const own = states.alias([rows, 4], first * 4);
      for (let i = 0; i < SEARCH_STEPS; i++) {
        const step = i === 0 ? 0 : i === SEARCH_STEPS - 1 ? 2 : 1;
        const args = { first, step, entropy: Math.log(perplexity) };
        run(tsnePrecisionsKernel, [values, own], { args });
      }
      made.push({ first, rows, values });
    }
    for (const { first, values } of made) {
      run(tsneJointKernel, [states, values], { args: { first } });
    }
    return made;
  });
  return new TsneProbabilities(gpu, n, panels);
}

/** Options of {@link tsne}; the defaults are scikit-learn's (1.2 and later), but for the gradient. */
export interface TsneOptions extends TsneAffinityOptions, LongCall {
  /** Draws a random start. */
  readonly key: Key;
  /** Axes of the embedding. */
  readonly nComponents?: 2 | 3;
  /** Which gradient is followed: the exact one ends at a tenth of scikit-learn's divergence in three dimensions. */
  readonly convention?: TsneConvention;
  /** Most steps. */
  readonly iterations?: number;
  /** Factor of the probabilities in the first steps. */
  readonly earlyExaggeration?: number;
  /** Number of the first steps. */
  readonly exaggerationIterations?: number;
  /** Step size; max(n / earlyExaggeration / 4, 50) when left out. */
  readonly learningRate?: number;
  /** Smallest factor of a coordinate's own step size. */
  readonly minGain?: number;
  /**
   * Principal components, where there are as many, else normals; or normals; both with a standard deviation of 10⁻⁴. Or an embedding
   * `[n, nComponents]`.
   */
  readonly init?: "pca" | "random" | HostMatrix;
}

/** A t-SNE embedding. */
export interface TsneEmbedding {
  /** `[n, nComponents]` */
  readonly embedding: HostMatrix;
  /** Kullback–Leibler divergence of the embedding. */
  readonly kl: number;
  /** Steps taken. */
  readonly iterations: number;
  /** Divergence, without exaggeration, at every fiftieth step. */
  readonly history: readonly number[];
}

const START_STD = 1e-4;
const CHECK_EVERY = 50; // scikit-learn, _N_ITER_CHECK
const PATIENCE = 300; // n_iter_without_progress
const MIN_GRADIENT = 1e-7; // min_grad_norm

/** First embedding, `[n, nComponents]`. */
function startOf(
  samples: HostMatrix,
  { init = "pca", key, nComponents = 2 }: TsneOptions,
): HostMatrix {
  const [n, width] = samples.shape;
  if (typeof init !== "string") {
    if (`${init.shape}` !== `${[n, nComponents]}`) {
      throw new InputError(
        `Cannot start from an embedding [${init.shape}]: it must be [${n},${nComponents}]`,
      );
    }
    return init;
  }
  if (init === "pca" && Math.min(n, width) >= nComponents) {
    const start = fitPca(samples, nComponents).transform(samples);
    let [mean, square] = [0, 0];
    for (let i = 0; i < n; i++) mean += start.data[i * nComponents] / n;
    for (let i = 0; i < n; i++) square += (start.data[i * nComponents] - mean) ** 2 / n;
    if (square > 0) {
      const scaled = start.data.map((value) => value / Math.sqrt(square) * START_STD);
      return hostMatrix(scaled, start.shape);
    }
  }
  const drawn = normal(key, n * nComponents).map((value) => START_STD * value);
  return hostMatrix(drawn, [n, nComponents]);
}

/** What a descent changes: its place, its velocity, and a gain per coordinate. */
class Descent implements Disposable {
  readonly y: Tensor;
  velocity: Tensor;
  gains: Tensor;

  constructor(readonly probabilities: TsneProbabilities, start: HostMatrix) {
    this.y = Tensor.from(probabilities.gpu, start.data, start.shape);
    this.velocity = Tensor.zeros(this.y.gpu, start.shape);
    this.gains = full(this.y.gpu, start.shape, 1);
  }

  /** Forgets the velocity and the gains, as each phase of scikit-learn does. */
  rest(): void {
    this.velocity.dispose();
    this.gains.dispose();
    this.velocity = Tensor.zeros(this.y.gpu, this.y.shape);
    this.gains = full(this.y.gpu, this.y.shape, 1);
  }

  /** One step; its sums `[8]` and slopes `[n, nComponents]`, before the step. */
  step(
    args: Readonly<Record<"exaggeration" | "momentum" | "rate" | "minGain", number>>,
    forces: { divergence: boolean; convention: TsneConvention },
  ): readonly [totals: Tensor, slope: Tensor] {
    const dof = Math.max(this.y.shape[1] - 1, 1);
    return tidy(this.y.gpu, () => {
      const all = this.probabilities.forces(this.y, forces);
      const totals = sum(all, { axes: [0] });
      const state = [all, totals, this.y, this.velocity, this.gains];
      const out = run(tsneStepKernel, state, { args: { ...args, factor: 2 * (dof + 1) / dof } });
      return [totals, out.at(-1)!] as const;
    });
  }

  [Symbol.dispose](): void {
    for (const tensor of [this.y, this.velocity, this.gains]) tensor.dispose();
  }
}

/** Divergence by the sums of all forces: Σ p log(p/t) + log Σ t, as Σ p = 1. */
function divergenceOf(totals: ArrayLike<number>): number {
  return totals[7] + Math.log(totals[3]);
}

/**
 * Exact t-SNE (van der Maaten and Hinton, 2008) of points, all on the device: the host reads the divergence at every fiftieth step only.
 * Steps are scikit-learn's: 250 with exaggerated probabilities and a momentum of 0.5, then 0.8, until the divergence has not improved for
 * 300 steps or the slope is below 10⁻⁷.
 *
 * @param samples `[n, nFeatures]`
 * @throws {InputError} as {@link tsneProbabilities} says, or when a start has another shape, or an option is out of range
 */
export async function tsne(
  gpu: Gpu,
  samples: HostMatrix,
  options: TsneOptions,
): Promise<TsneEmbedding> {
  const { iterations = 1000, earlyExaggeration = 12, exaggerationIterations = 250 } = options;
  const { minGain = 0.01, convention = "exact", signal, onProgress } = options;
  const [n] = samples.shape, nComponents = options.nComponents ?? 2;
  const rate = options.learningRate ?? Math.max(n / earlyExaggeration / 4, 50);
  if (nComponents !== 2 && nComponents !== 3) {
    throw new InputError(
      `Cannot embed in ${nComponents} dimensions: there must be two or three`,
    );
  }
  if (!(Number.isInteger(iterations) && iterations >= 0 && rate > 0 && earlyExaggeration > 0)) {
    throw new InputError(
      `Cannot embed in ${iterations} steps of size ${rate}, exaggerated by ${earlyExaggeration}: ` +
        "steps must be a whole number from 0, the others above 0",
    );
  }
  using probabilities = tsneProbabilities(gpu, samples, options);
  using descent = new Descent(probabilities, startOf(samples, { ...options, nComponents }));
  const history: number[] = [];
  let done = 0;
  const phase = async (exaggeration: number, momentum: number, end: number) => {
    let best = Infinity, bestAt = done;
    descent.rest();
    while (done < end) {
      const checks = (done + 1) % CHECK_EVERY === 0;
      const args = { exaggeration, momentum, rate, minGain };
      const [totals, slope] = descent.step(args, { divergence: checks, convention });
      const read = checks ? await readAll([totals, slope]) : [];
      totals.dispose();
      slope.dispose();
      done++;
      if (!checks) continue;
      signal?.throwIfAborted();
      onProgress?.({ stage: "t-SNE", done, total: iterations });
      const kl = divergenceOf(read[0]);
      history.push(kl);
      if (kl < best) [best, bestAt] = [kl, done];
      else if (done - bestAt > PATIENCE) return;
      if (norm(read[1]) <= MIN_GRADIENT) return;
    }
  };
  await phase(earlyExaggeration, 0.5, Math.min(exaggerationIterations, iterations));
  await phase(1, 0.8, iterations);
  using last = tidy(gpu, () => {
    return sum(probabilities.forces(descent.y, { divergence: true, convention }), { axes: [0] });
  });
  const [totals, y] = await readAll([last, descent.y]);
  return {
    embedding: hostMatrix(y, [n, nComponents]),
    kl: divergenceOf(totals),
    iterations: done,
    history,
  };
}

/** Euclidean length. */
function norm(values: ArrayLike<number>): number {
  let square = 0;
  for (let i = 0; i < values.length; i++) square += values[i] ** 2;
  return Math.sqrt(square);
}
