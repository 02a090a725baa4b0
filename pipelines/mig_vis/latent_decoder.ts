/**
 * Images straight from latents, by a small network: the baseline of a standard latent traversal, which needs no diffusion model.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { square, sub } from "../../engine/ops/elementwise.ts";
import { gather } from "../../engine/ops/gather.ts";
import { linear } from "../../engine/ops/matmul.ts";
import { Adam } from "../../engine/ops/optim.ts";
import { mean } from "../../engine/ops/reduce.ts";
import { foldIn, type Key, normal, randomBits } from "../../engine/random.ts";
import { Tape } from "../../engine/tape.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { columnMeans, type HostMatrix, hostMatrix, range } from "../encoding/host_matrix.ts";
import type { LongCall } from "../encoding/linear_model.ts";
import { InputError } from "../errors.ts";

/** Options of {@link fitLatentDecoder}. */
export interface LatentDecoderOptions extends LongCall {
  /** Draws first weights and batches. */
  readonly key: Key;
  /** Width of both hidden layers (default 512). */
  readonly hidden?: number;
  /** Steps of Adam (default 1500). */
  readonly steps?: number;
  /** Images in a step (default 128). */
  readonly batch?: number;
  /** Step size of the first step, which falls to 0 along half a cosine (default 1e-3). */
  readonly lr?: number;
}

/** Draws images from latents. */
export interface LatentDecoder {
  /** Images of latents `[n, nLatent]`: `[n, nPixels]`, limited to −1…1. */
  decode(latents: HostMatrix): Promise<HostMatrix>;
  /** Mean squared error of every step. */
  readonly losses: readonly number[];
}

type Layers = readonly { readonly weight: Tensor; readonly bias: Tensor }[];

/** Two hidden layers of SiLU, then pixels. */
function forward(layers: Layers, x: Tensor): Tensor {
  return layers.reduce(
    (h, { weight, bias }, l) =>
      linear(h, weight, { bias, activation: l < layers.length - 1 ? "silu" : undefined }),
    x,
  );
}

function firstValues(key: Key, widths: readonly number[]): Float32Array<ArrayBuffer>[] {
  return widths.slice(1).flatMap((out, l) => [
    normal(foldIn(key, l), out * widths[l]).map((z) => z * Math.sqrt(2 / widths[l])),
    new Float32Array(out),
  ]);
}

function zscored(latents: HostMatrix) {
  const [n, width] = latents.shape, means = columnMeans(latents, range(n));
  const squares = new Float64Array(width);
  latents.data.forEach((v, at) => squares[at % width] += (v - means[at % width]) ** 2 / n);
  return ({ data, shape }: HostMatrix) =>
    hostMatrix(
      data.map((v, at) => (v - means[at % width]) / (Math.sqrt(squares[at % width]) || 1)),
      shape,
    );
}

/** One step of Adam on some rows. */
function trainStep(
  params: readonly Tensor[],
  optimizer: Adam,
  batch: { readonly x: Tensor; readonly y: Tensor },
): Tensor {
  return tidy(batch.x.gpu, () => {
    using tape = new Tape();
    const watched = params.map((p) => tape.watch(p));
    const loss = mean(square(sub(forward(layersOf(watched), batch.x), batch.y)));
    optimizer.step(tape.gradient(loss, watched));
    return loss.detach();
  });
}

function layersOf(params: readonly Tensor[]): Layers {
  return Array.from({ length: params.length / 2 }, (_, l) => ({
    weight: params[2 * l],
    bias: params[2 * l + 1],
  }));
}

/**
 * Trains a network of two hidden layers to draw images from latents by the squared error.
 *
 * @param latents `[n, nLatent]`
 * @param images `[n, nPixels]`, −1…1
 * @returns a decoder that holds no memory of the device between calls
 * @throws {InputError} when there are not as many images as latents, or an option is not a whole number from 1
 * @throws the signal's reason when it is aborted
 */
export async function fitLatentDecoder(
  gpu: Gpu,
  { latents, images }: { readonly latents: HostMatrix; readonly images: HostMatrix },
  { key, hidden = 512, steps = 1500, batch = 128, lr = 1e-3, signal, onProgress }:
    LatentDecoderOptions,
): Promise<LatentDecoder> {
  const [n, nLatent] = latents.shape, nPixels = images.shape[1];
  const isWhole = [hidden, steps, batch].every((v) => Number.isInteger(v) && v >= 1);
  if (images.shape[0] !== n || n === 0 || !isWhole) {
    throw new InputError(
      `Cannot fit a decoder of latents [${latents.shape}] to images [${images.shape}] with ${hidden} hidden units, ${steps} steps and batches of ${batch}`,
    );
  }
  const scaled = zscored(latents), widths = [nLatent, hidden, hidden, nPixels];
  const shapes = widths.slice(1).flatMap((out, l) => [[out, widths[l]], [out]]);
  const params = firstValues(foldIn(key, 0), widths)
    .map((values, k) => Tensor.from(gpu, values, shapes[k]));
  using optimizer = new Adam(params, { lr });
  using x = Tensor.from(gpu, scaled(latents).data, latents.shape);
  using y = Tensor.from(gpu, images.data, images.shape);
  const losses: number[] = [];
  try {
    for (let step = 0; step < steps; step++) {
      signal?.throwIfAborted();
      optimizer.lr = lr * 0.5 * (1 + Math.cos(Math.PI * step / steps));
      const bits = randomBits(foldIn(foldIn(key, 1), step), batch);
      const rows = Uint32Array.from(bits, (b) => Math.floor(b * n / 2 ** 32));
      using loss = tidy(
        gpu,
        () => trainStep(params, optimizer, { x: gather(x, rows), y: gather(y, rows) }),
      );
      losses.push(await loss.item());
      onProgress?.({ stage: "decoder", done: step + 1, total: steps });
    }
    const weights = await Promise.all(params.map((p) => p.data()));
    return {
      losses,
      decode: (some) => decodeWith(gpu, scaled(some), { weights, shapes, nPixels }),
    };
  } finally {
    for (const p of params) p.dispose();
  }
}

async function decodeWith(
  gpu: Gpu,
  { data, shape }: HostMatrix,
  { weights, shapes, nPixels }: {
    readonly weights: readonly ArrayLike<number>[];
    readonly shapes: readonly (readonly number[])[];
    readonly nPixels: number;
  },
): Promise<HostMatrix> {
  using out = tidy(gpu, () => {
    const params = weights.map((values, k) => Tensor.from(gpu, values, shapes[k]));
    return forward(layersOf(params), Tensor.from(gpu, data, shape));
  });
  const values = await out.data() as Float32Array;
  return hostMatrix(values.map((v) => Math.min(1, Math.max(-1, v))), [shape[0], nPixels]);
}
