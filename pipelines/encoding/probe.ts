import type { Gpu } from "../../engine/gpu.ts";
import { add, scale, square, sub } from "../../engine/ops/elementwise.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { AdamW } from "../../engine/ops/optim.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { foldIn, type Key, randomKey, split, uniform } from "../../engine/random.ts";
import { readAll, Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import { permutation } from "./cross_validation.ts";
import { type HostMatrix, range, requireSamples, takeColumns } from "./host_matrix.ts";
import { LinearModel, type LongCall } from "./linear_model.ts";

/** Options of {@link LinearProbe}. */
export interface LinearProbeOptions {
  /** Passes over the samples. */
  readonly epochs?: number;
  /** Samples per step. */
  readonly batchSize?: number;
  /** Step size that the schedule starts below. */
  readonly lr?: number;
  /** Step size of the last epoch; in between it falls exponentially. */
  readonly lrFinal?: number;
  /** Decoupled weight decay, of weights and intercepts. */
  readonly weightDecay?: number;
  /** Randomness of the first weights and of the order of samples. */
  readonly key?: Key;
  /** Targets that are trained at once; by default as many as fit 64 MiB per array. The result does not depend on it. */
  readonly nTargetsBatch?: number;
}

/**
 * Defaults. The paper (BrainSAIL) names AdamW with decoupled decay, an exponential schedule and 100 epochs; the values that its text
 * leaves out are those of its sibling code: 3e-4 → 1.5e-4 and batches of 32 from BrainSCUBA, decay 2e-2 from BrainDiVE's head for
 * higher visual cortex.
 */
export const PROBE_DEFAULTS = {
  epochs: 100,
  batchSize: 32,
  lr: 3e-4,
  lrFinal: 1.5e-4,
  weightDecay: 2e-2,
} as const;

const BYTES_PER_BATCH = 64 * 2 ** 20;

/** A fitted probe. It is frozen and holds no memory on the GPU. */
export class FittedProbe extends LinearModel {
  /** Sets what was fitted. */
  constructor(
    gpu: Gpu,
    fitted: { coef: HostMatrix; intercept: Float32Array<ArrayBuffer> },
    /** Mean squared error of each epoch, over its batches as they came, `[epochs]`. */
    readonly losses: Float64Array<ArrayBuffer>,
  ) {
    super(gpu, fitted.coef, fitted.intercept);
    Object.freeze(this);
  }
}

/**
 * The linear probe of BrainSAIL: one linear layer trained by AdamW on the mean squared error over samples and targets. The features
 * should have unit norm (`normalizeRows`). The same key gives the same weights, on one adapter bit for bit.
 */
export class LinearProbe {
  readonly #gpu: Gpu;
  readonly #options: Required<Omit<LinearProbeOptions, "nTargetsBatch">> & {
    nTargetsBatch?: number;
  };

  /**
   * A probe to train.
   *
   * @throws {InputError} for an option out of range
   */
  constructor(gpu: Gpu, options: LinearProbeOptions = {}) {
    this.#gpu = gpu;
    this.#options = { ...PROBE_DEFAULTS, key: randomKey(0), ...options };
    const { epochs, batchSize, lr, lrFinal, weightDecay } = this.#options;
    if (![epochs, batchSize].every((n) => Number.isSafeInteger(n) && n > 0)) {
      throw new InputError(
        `Cannot train a probe: epochs and batch size must be whole numbers above 0, got ${epochs} and ${batchSize}`,
      );
    }
    if (
      !(lr > 0 && lrFinal > 0 && weightDecay >= 0 && Number.isFinite(lr + lrFinal + weightDecay))
    ) {
      throw new InputError(
        `Cannot train a probe: step sizes must be above 0 and weight decay not below, got ${lr}, ${lrFinal} and ${weightDecay}`,
      );
    }
  }

  /**
   * Trains on all samples.
   *
   * @param features `[nSamples, nFeatures]`
   * @param responses `[nSamples, nTargets]`
   * @throws {InputError} when the rows differ in number or a value is not finite
   */
  async fit(
    features: HostMatrix,
    responses: HostMatrix,
    { signal, onProgress }: LongCall = {},
  ): Promise<FittedProbe> {
    requireSamples(features, responses);
    const { epochs, key, nTargetsBatch } = this.#options;
    const p = features.shape[1], nTargets = responses.shape[1];
    const [weightKey, interceptKey] = split(key, 3);
    // PyTorch's Linear: weights and intercepts uniform within ±1/√nFeatures.
    const first = (k: Key, n: number) => uniform(k, n).map((u) => (2 * u - 1) / Math.sqrt(p));
    const weight = first(weightKey, nTargets * p); // [nTargets, nFeatures]
    const intercept = first(interceptKey, nTargets);
    const losses = new Float64Array(epochs);
    const most = nTargetsBatch ?? Math.max(1, Math.floor(BYTES_PER_BATCH / 4 / p));
    const nBatches = Math.ceil(nTargets / most);
    for (let batch = 0; batch < nBatches; batch++) {
      const [from, to] = [batch * most, Math.min(nTargets, (batch + 1) * most)];
      const part = {
        weight: weight.subarray(from * p, to * p),
        intercept: intercept.subarray(from, to),
      };
      const columns = range(nTargets).subarray(from, to);
      const y = nBatches === 1 ? responses : takeColumns(responses, columns);
      await this.#train({ x: features, y, nTargets }, part, {
        signal,
        onEpoch: (epoch, loss) => {
          losses[epoch] += loss;
          onProgress?.({
            stage: "probe",
            done: batch * epochs + epoch + 1,
            total: nBatches * epochs,
          });
        },
      });
    }
    const coef = new Float32Array(p * nTargets);
    weight.forEach((w, at) => coef[(at % p) * nTargets + Math.floor(at / p)] = w);
    const fitted = { coef: { data: coef, shape: [p, nTargets] as const }, intercept };
    return new FittedProbe(this.#gpu, fitted, losses);
  }

  /** Trains some targets and leaves the result in `start`. Targets share nothing but the order of the samples. */
  async #train(
    data: { x: HostMatrix; y: HostMatrix; nTargets: number },
    start: { weight: Float32Array<ArrayBuffer>; intercept: Float32Array<ArrayBuffer> },
    { signal, onEpoch }: {
      signal?: AbortSignal;
      onEpoch: (epoch: number, loss: number) => void;
    },
  ): Promise<void> {
    const { epochs, lr, lrFinal, weightDecay, key } = this.#options;
    const [n, p] = data.x.shape, width = data.y.shape[1];
    using weight = Tensor.from(this.#gpu, start.weight, [width, p]);
    using intercept = Tensor.from(this.#gpu, start.intercept, [1, width]);
    using optimizer = new AdamW([weight, intercept], { weightDecay });
    const orderKey = split(key, 3)[2];
    for (let epoch = 0; epoch < epochs; epoch++) {
      optimizer.lr = lr * (lrFinal / lr) ** ((epoch + 1) / epochs);
      const order = permutation(foldIn(orderKey, epoch), n);
      using loss = this.#epoch(data, order, { weight, intercept, optimizer, signal });
      const [total] = await readAll([loss]);
      if (!Number.isFinite(total[0])) {
        throw new InputError(`Cannot train a probe with step size ${lr}: the loss is not finite`);
      }
      onEpoch(epoch, total[0] / (n * data.nTargets));
    }
    const [w, b] = await readAll([weight, intercept]);
    start.weight.set(w);
    start.intercept.set(b);
  }

  /** Records the steps of one epoch; returns the sum of squared errors `[1]`. */
  #epoch(
    { x, y, nTargets }: { x: HostMatrix; y: HostMatrix; nTargets: number },
    order: Uint32Array,
    { weight, intercept, optimizer, signal }: {
      weight: Tensor;
      intercept: Tensor;
      optimizer: AdamW;
      signal?: AbortSignal;
    },
  ): Tensor {
    const { batchSize } = this.#options;
    let loss = Tensor.zeros(this.#gpu, [1]);
    for (let from = 0; from < order.length; from += batchSize) {
      if (signal?.aborted) {
        loss.dispose();
        signal.throwIfAborted();
      }
      const rows = order.subarray(from, from + batchSize);
      const before = loss;
      loss = tidy(this.#gpu, () => {
        const inputs = uploadRows(this.#gpu, x, rows);
        const wanted = uploadRows(this.#gpu, y, rows);
        const predicted = add(matmul(inputs, weight, { transposeB: true }), intercept);
        const error = sub(predicted, wanted); // [batch, nTargets]
        // d/dŷ of the mean over samples and all targets, also those of other batches of targets.
        const g = scale(error, 2 / (rows.length * nTargets));
        optimizer.step([matmul(g, inputs, { transposeA: true }), sum(g, { axes: [0] })]);
        return add(before, sum(square(error)).reshape([1]));
      });
      before.dispose();
    }
    return loss;
  }
}

function uploadRows(gpu: Gpu, { data, shape: [, cols] }: HostMatrix, rows: Uint32Array): Tensor {
  const part = new Float32Array(rows.length * cols);
  rows.forEach((row, i) => part.set(data.subarray(row * cols, (row + 1) * cols), i * cols));
  return Tensor.from(gpu, part, [rows.length, cols]);
}
