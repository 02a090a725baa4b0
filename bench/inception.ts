/**
 * Inception V3: milliseconds of a pass and of a pass back, and what share of the adapter's measured rate of multiply-adds each kind of
 * convolution reaches.
 *
 * @module
 */
import type { Gpu } from "../engine/gpu.ts";
import { conv2d, convTranspose2d } from "../engine/ops/conv.ts";
import { mul } from "../engine/ops/elementwise.ts";
import { PreparedWeights } from "../engine/ops/prepared_weights.ts";
import { sum } from "../engine/ops/reduce.ts";
import { foldIn, type Key } from "../engine/random.ts";
import { Tape } from "../engine/tape.ts";
import { readAll, Tensor, tidy } from "../engine/tensor.ts";
import type { ImageSize } from "../pipelines/images/preprocess.ts";
import type { InceptionModel } from "../pipelines/models/inception.ts";
import { inceptionConvs, type SizedConv } from "../pipelines/models/inception_flops.ts";
import { tapFeatures } from "../pipelines/models/tap_features.ts";
import { checkLayer, type LayerValues, type LayerWork } from "./inception_check.ts";
import type { Peaks } from "./peaks.ts";
import { time } from "./time.ts";

/** A whole pass. */
export interface InceptionPassRow {
  /** To the logits; or to all pooled taps and back to the pixels, as a step of activation maximisation goes. */
  readonly pass: "forward" | "forward and data gradient";
  /** Height and width of the images in pixels. */
  readonly size: ImageSize;
  /** Images at once. */
  readonly batch: number;
  /** Milliseconds, the fastest of some. */
  readonly ms: number;
  /** 10⁹ operations of the convolutions of one pass. */
  readonly gflop: number;
  /** Those per second over the measured rate of multiply-adds. */
  readonly share: number;
  /** Most bytes on the device at once, the weights included. */
  readonly deviceBytes: number;
}

/** All convolutions of one kind. */
export interface InceptionConvRow {
  /** Kernel and stride, as `3x3/2`. */
  readonly signature: string;
  /** Which way. */
  readonly pass: "forward" | "data gradient";
  /** Convolutions of this kind. */
  readonly count: number;
  /** Milliseconds of all of them, one after the other, each the fastest of some. */
  readonly ms: number;
  /** 10⁹ operations of all of them. */
  readonly gflop: number;
  /** 10⁹ operations per second. */
  readonly gflops: number;
  /** `gflops` over the measured rate of multiply-adds. */
  readonly share: number;
  /** Greatest error of a layer at some places against float64, which was looked at before the times were taken. */
  readonly error: number;
}

/** Options of {@link benchInception}. */
export interface InceptionBenchOptions {
  /** Height and width of the images in pixels. */
  readonly size: ImageSize;
  /** Images at once (default 1). */
  readonly batch?: number;
  /** Seed of the images. */
  readonly key: Key;
  /** Samples of every time (default 3). */
  readonly samples?: number;
}

/** Times whole passes. */
export async function* benchInception(
  gpu: Gpu,
  model: InceptionModel,
  { size, batch = 1, key, samples = 3 }: InceptionBenchOptions,
  peaks: Peaks,
): AsyncGenerator<InceptionPassRow> {
  using pixels = Tensor.randn(gpu, key, [batch, 3, size.height, size.width]);
  using features = tapFeatures(model, pixels);
  using readout = Tensor.randn(gpu, foldIn(key, 1), features.shape);
  const flops = batch * inceptionConvs(model, size).reduce((all, { flops }) => all + flops, 0);
  const passes = [
    ["forward", 1, () => model.forward(pixels).output.dispose()],
    ["forward and data gradient", 2, () => stepBack(model, pixels, readout)],
  ] as const;
  for (const [pass, times, work] of passes) {
    gpu.pool.trim(); // so that what it holds afterwards is the most of this pass
    const { best } = await time(gpu, work, { sampleMs: 1, samples });
    const gflop = times * flops / 1e9;
    yield {
      ...{ pass, size, batch, ms: best, gflop, share: 1e3 * gflop / best / peaks.gflops },
      deviceBytes: gpu.pool.heldBytes,
    };
  }
}

/** The gradient by the pixels of a readout of all pooled taps. */
function stepBack(model: InceptionModel, pixels: Tensor, readout: Tensor): void {
  tidy(pixels.gpu, () => {
    using tape = new Tape();
    const x = tape.watch(pixels);
    tape.gradient(sum(mul(tapFeatures(model, x), readout)), [x]);
  });
}

/** Kernel and stride of a convolution. */
export function signatureOf({ conv: { kernel, stride } }: SizedConv): string {
  return `${kernel.join("x")}${stride === 1 ? "" : `/${stride}`}`;
}

/** Times every kind of convolution, forward and by its input, layer by layer; layers of equal sizes once. */
export async function* benchInceptionConvs(
  gpu: Gpu,
  model: InceptionModel,
  { size, batch = 1, key, samples = 3 }: InceptionBenchOptions,
  peaks: Peaks,
): AsyncGenerator<InceptionConvRow> {
  const convs = inceptionConvs(model, size);
  const signatures = [...new Set(convs.map(signatureOf))];
  for (const pass of ["forward", "data gradient"] as const) {
    for (const signature of signatures) {
      const layers = convs.filter((conv) => signatureOf(conv) === signature);
      const known = new Map<string, number>();
      let ms = 0, error = 0;
      for (const layer of layers) {
        const sizes = `${layer.input} ${layer.output}`;
        let once = known.get(sizes);
        if (once === undefined) {
          const found = await timeLayer(gpu, model, { layer, pass }, { batch, key, samples });
          once = found.ms;
          error = Math.max(error, found.error);
        }
        known.set(sizes, once);
        ms += once;
      }
      const gflop = batch * layers.reduce((all, { flops }) => all + flops, 0) / 1e9;
      const gflops = 1e3 * gflop / ms;
      const rates = { gflop, gflops, share: gflops / peaks.gflops };
      yield { signature, pass, count: layers.length, ms, ...rates, error };
    }
  }
}

/** A layer with bias and ReLU, or its gradient by the input without either. */
export function layerOp(
  model: InceptionModel,
  { layer: { name, conv: { stride, padding } }, pass }: LayerWork,
  x: Tensor,
  prepared: PreparedWeights,
): Tensor {
  const [weight, bias] = weightsOf(model, name);
  return pass === "forward"
    ? conv2d(x, weight, { bias, stride, padding, prepared, activation: "relu" })
    : convTranspose2d(x, weight, { stride, padding, prepared });
}

const weightsOf = (model: InceptionModel, name: string) =>
  ["weight", "bias"].map((part) => model.weights.get(`${name}.${part}`)!);

/** What a layer reads, on the host. */
export async function layerValues(
  model: InceptionModel,
  { layer }: LayerWork,
  x: Tensor,
): Promise<LayerValues> {
  const [values, weight, bias] = await readAll([x, ...weightsOf(model, layer.name)]);
  return { x: values, weight, bias };
}

/** Checks a layer and times it. */
async function timeLayer(
  gpu: Gpu,
  model: InceptionModel,
  work: LayerWork,
  { batch, key, samples }: { batch: number; key: Key; samples: number },
): Promise<{ ms: number; error: number }> {
  const { layer, pass } = work;
  using x = Tensor.randn(gpu, key, [batch, ...pass === "forward" ? layer.input : layer.output]);
  using prepared = new PreparedWeights();
  using y = tidy(gpu, () => layerOp(model, work, x, prepared));
  const values = await layerValues(model, work, x);
  const error = model.dtype === "f32" ? checkLayer(work, values, await y.data(), "a layer") : NaN;
  const { best } = await time(gpu, () => void layerOp(model, work, x, prepared), {
    sampleMs: 10,
    samples,
  });
  return { ms: best, error };
}
