import type { Gpu } from "../../engine/gpu.ts";
import { mul, sub } from "../../engine/ops/elementwise.ts";
import { gather } from "../../engine/ops/gather.ts";
import { Adam } from "../../engine/ops/optim.ts";
import { logsumexp, mean, sum } from "../../engine/ops/reduce.ts";
import { foldIn, type Key, randomBit32 } from "../../engine/random.ts";
import { Tape } from "../../engine/tape.ts";
import { readAll, Tensor, tidy } from "../../engine/tensor.ts";
import { permutation } from "../encoding/cross_validation.ts";
import type { HostMatrix } from "../encoding/host_matrix.ts";
import type { LongCall } from "../encoding/linear_model.ts";
import { InputError } from "../errors.ts";
import type { Weights } from "../models/vit_weights.ts";
import { LatentScorer, scoreLatents, type ScorerKind, type ScorerSizes } from "./scorer.ts";

/** Options of {@link fitScorer}. */
export interface FitScorerOptions extends LongCall {
  /** Draws first weights, the split and the batches. */
  readonly key: Key;
  /** What the scorer computes (default `"mlp"`). */
  readonly kind?: ScorerKind;
  /** Length of either projection (default 128). */
  readonly projection?: number;
  /** Width of the network's layers (default 256). */
  readonly hidden?: number;
  /** Images in a step, each one's latents being the others' negatives (default 256, the images there are at most). */
  readonly batch?: number;
  /** Most steps of Adam (default 3000). */
  readonly steps?: number;
  /** Step size (default 5e-4). */
  readonly lr?: number;
  /** L2 penalty in the gradient, PyTorch's `weight_decay` (default 1e-4). */
  readonly weightDecay?: number;
  /** Share of the images that the end is chosen by (default 0.2). */
  readonly heldOut?: number;
  /** Steps between looks at those (default 25). */
  readonly evalEvery?: number;
  /** Looks without a better one before the fit ends (default 12). */
  readonly patience?: number;
  /** Rows of features of each image, one after the other: views such as noisy copies, one of which a step draws (default 1). */
  readonly views?: number;
}

/** How a fit went. */
export interface ScorerFit {
  /** Bound on the mutual information in nats, log B − L, on held-out images; at most log B. */
  readonly bound: number;
  /** B of that bound: images in a batch of held-out ones. */
  readonly heldOutBatch: number;
  /** Step that the weights are of. */
  readonly step: number;
  /** Held-out loss L of every look, from step 0 on. */
  readonly heldOutLosses: readonly number[];
  /** Loss of every step on its batch. */
  readonly losses: readonly number[];
}

/** A fitted scorer and how its fit went. */
export interface FittedScorer {
  /** The scorer; the caller's. */
  readonly scorer: LatentScorer;
  /** How the fit went. */
  readonly fit: ScorerFit;
}

/** Loss of a batch: −E log of the share of each image's own latents among all of the batch's. */
export function infoNce(kind: ScorerKind, weights: Weights, batch: {
  readonly latents: Tensor;
  readonly features: Tensor;
}): Tensor {
  const { features } = batch, [b, width] = batch.latents.shape;
  return tidy(features.gpu, () => {
    const latents = batch.latents.reshape([1, b, width]);
    const scores = scoreLatents(kind, weights, { latents, features }); // [image, latents]
    const own = new Float32Array(b * b);
    for (let i = 0; i < b; i++) own[i * b + i] = 1;
    const matched = sum(mul(scores, Tensor.from(scores.gpu, own, [b, b])), { axes: [1] });
    return mean(sub(logsumexp(scores, { axes: [1] }), matched));
  });
}

type FitNumbers = Required<
  Omit<FitScorerOptions, "key" | "kind" | "signal" | "onProgress" | "projection" | "hidden">
>;

function numbersOf(options: FitScorerOptions): FitNumbers {
  const { batch = 256, steps = 3000, lr = 5e-4, weightDecay = 1e-4, heldOut = 0.2 } = options;
  const { evalEvery = 25, patience = 12, views = 1 } = options;
  const counts = { batch, steps, evalEvery, patience, views };
  for (const [name, value] of Object.entries(counts)) {
    if (Number.isInteger(value) && value >= 1) continue;
    throw new InputError(
      `Cannot fit a scorer with ${name} ${value}: it must be a whole number from 1`,
    );
  }
  if (!(lr > 0 && weightDecay >= 0 && heldOut > 0 && heldOut < 1)) {
    throw new InputError(
      `Cannot fit a scorer: lr must be above 0, weightDecay not below, heldOut between 0 and 1, they are ${lr}, ${weightDecay} and ${heldOut}`,
    );
  }
  return { ...counts, lr, weightDecay, heldOut };
}

/** Rows of latents and features on the device. */
class Pairs implements Disposable {
  readonly #latents: Tensor;
  readonly #features: Tensor;
  readonly #views: number;

  constructor(gpu: Gpu, latents: HostMatrix, features: HostMatrix, views: number) {
    this.#latents = Tensor.from(gpu, latents.data, latents.shape);
    this.#features = Tensor.from(gpu, features.data, features.shape);
    this.#views = views;
  }

  /** A batch by images; the first view of each, or one drawn with the key. */
  take(images: Uint32Array<ArrayBuffer>, key?: Key): { latents: Tensor; features: Tensor } {
    const rows = images.map((image, i) =>
      image * this.#views + (key ? randomBit32(key, i) % this.#views : 0)
    );
    return { latents: gather(this.#latents, images), features: gather(this.#features, rows) };
  }

  [Symbol.dispose](): void {
    this.#latents.dispose();
    this.#features.dispose();
  }
}

/** Images of each step: every epoch in an order of its own, what does not fill a batch left out. */
function batchOf(key: Key, images: Uint32Array<ArrayBuffer>, step: number, size: number) {
  const perEpoch = Math.floor(images.length / size), epoch = Math.floor(step / perEpoch);
  const order = permutation(foldIn(key, epoch), images.length), at = step % perEpoch * size;
  return Uint32Array.from(order.subarray(at, at + size), (i) => images[i]);
}

/** Mean loss over whole batches of images in their order. */
async function heldOutLoss(
  pairs: Pairs,
  scorer: LatentScorer,
  images: Uint32Array<ArrayBuffer>,
  size: number,
): Promise<number> {
  const count = Math.floor(images.length / size);
  let total = 0;
  for (let at = 0; at < count * size; at += size) {
    using loss = tidy(
      scorer.gpu,
      () => infoNce(scorer.sizes.kind, scorer.weights, pairs.take(images.slice(at, at + size))),
    );
    total += await loss.item();
  }
  if (Number.isFinite(total)) return total / count;
  throw new InputError(
    `Cannot go on fitting a scorer: its held-out loss must be finite, it is ${total / count}`,
  );
}

/** Steps of Adam, with the losses left on the device until they are asked for. */
class FitSteps implements Disposable {
  readonly #scorer: LatentScorer;
  readonly #optimizer: Adam;
  readonly #losses: Tensor[] = [];

  constructor(scorer: LatentScorer, optimizer: Adam) {
    this.#scorer = scorer;
    this.#optimizer = optimizer;
  }

  /** One step on a batch. */
  take(batch: () => { latents: Tensor; features: Tensor }): void {
    const { gpu, sizes: { kind }, weights } = this.#scorer;
    this.#losses.push(tidy(gpu, () => {
      using tape = new Tape();
      const watched = new Map([...weights].map(([name, w]) => [name, tape.watch(w)]));
      const loss = infoNce(kind, watched, batch());
      this.#optimizer.step(tape.gradient(loss, [...watched.values()]));
      return loss.detach();
    }));
  }

  /** Losses of the steps so far, each before its step. */
  async losses(): Promise<number[]> {
    return (await readAll(this.#losses)).map(([loss]) => loss);
  }

  [Symbol.dispose](): void {
    this.#losses.forEach((loss) => loss.dispose());
    this.#optimizer[Symbol.dispose]();
  }
}

function requirePairs(latents: HostMatrix, features: HostMatrix, views: number): void {
  const [n] = latents.shape;
  const bad = [latents, features].map(({ data }) => data.findIndex((v) => !Number.isFinite(v)));
  if (features.shape[0] !== n * views || bad.some((at) => at >= 0) || n < 4) {
    throw new InputError(
      `Cannot fit a scorer of latents [${latents.shape}] and features [${features.shape}]: there must be ${views} rows of features for each of four images or more, all finite`,
    );
  }
}

/**
 * Fits a scorer of one latent group by InfoNCE (van den Oord et al. 2018): of all latents in a batch, it should tell those of the image's
 * own response. Its score then is log p(z | image) − log p(z) but for what depends on the image alone. The weights are the best on held-out
 * images.
 *
 * @param latents of the group, one row for each image, `[n, latentWidth]`
 * @param features of the images, `[n·views, featureWidth]`
 * @throws {InputError} when there are fewer than four images, rows do not match, a value is not finite, or an option cannot be
 * @throws the signal's reason when it is aborted
 */
export async function fitScorer(
  gpu: Gpu,
  { latents, features }: { readonly latents: HostMatrix; readonly features: HostMatrix },
  options: FitScorerOptions,
): Promise<FittedScorer> {
  const { key, kind = "mlp", projection = 128, hidden = 256, signal, onProgress } = options;
  const { steps: most, lr, weightDecay, heldOut, evalEvery, patience, views, ...rest } = numbersOf(
    options,
  );
  requirePairs(latents, features, views);
  const [n, latentWidth] = latents.shape, featureWidth = features.shape[1];
  const order = permutation(foldIn(key, 0), n);
  const nHeld = Math.min(n - 2, Math.max(2, Math.round(heldOut * n)));
  const held = order.slice(0, nHeld), fitted = order.slice(nHeld);
  const batch = Math.min(rest.batch, fitted.length), heldOutBatch = Math.min(batch, nHeld);
  const sizes: ScorerSizes = { kind, latentWidth, featureWidth, projection, hidden };
  using pairs = new Pairs(gpu, latents, features, views);
  using scorer = new LatentScorer(gpu, sizes, { key: foldIn(key, 1) });
  using steps = new FitSteps(scorer, new Adam([...scorer.weights.values()], { lr, weightDecay }));
  const heldOutLosses: number[] = [];
  let best = { loss: Infinity, step: 0, values: await scorer.read() };
  for (let step = 0;; step++) {
    signal?.throwIfAborted();
    if (step % evalEvery === 0 || step === most) {
      const loss = await heldOutLoss(pairs, scorer, held, heldOutBatch);
      heldOutLosses.push(loss);
      if (loss < best.loss) best = { loss, step, values: await scorer.read() };
      onProgress?.({ stage: "scorer", done: step, total: most });
      if (step === most || step - best.step >= patience * evalEvery) break;
    }
    const images = batchOf(foldIn(key, 2), fitted, step, batch);
    steps.take(() => pairs.take(images, foldIn(foldIn(key, 3), step)));
  }
  const losses = await steps.losses();
  const { values, step } = best, bound = Math.log(heldOutBatch) - best.loss;
  return {
    scorer: new LatentScorer(gpu, sizes, { key, values }),
    fit: { bound, heldOutBatch, step, heldOutLosses, losses },
  };
}
