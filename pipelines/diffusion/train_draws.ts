import { foldIn, type Key, randomBits, uniform } from "../../engine/random.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import type { Gpu } from "../../engine/gpu.ts";
import { slice } from "../../engine/ops/shape.ts";

/** Images to train on. */
export interface TrainingImages {
  /** Values from −1 to 1, row-major. */
  readonly values: Float32Array<ArrayBuffer>;
  /** `[n, channels, height, width]` */
  readonly shape: readonly [n: number, channels: number, height: number, width: number];
}

/** What one sample of a step is. */
export interface SampleDraw {
  /** Which image. */
  readonly image: number;
  /** Its time step, uniform. */
  readonly timestep: number;
  /** Whether left and right are exchanged. */
  readonly isFlipped: boolean;
}

/** What is random about training, and nothing else is: sample `s` of step `k` is the same however a step is divided. */
export class TrainingDraws {
  #epoch = -1;
  #order: readonly number[] = [];

  constructor(
    readonly key: Key,
    readonly facts: {
      /** Number of images. */
      readonly n: number;
      /** Samples of a step. */
      readonly perStep: number;
      /** Number of time steps. */
      readonly timesteps: number;
      /** Probability of exchanging left and right. */
      readonly flip: number;
    },
  ) {}

  /** Image of a sample: all images in a random order, then all in another, as a loader that shuffles gives them. */
  #image(sample: number): number {
    const { n } = this.facts, epoch = Math.floor(sample / n);
    if (epoch !== this.#epoch) {
      const words = randomBits(foldIn(foldIn(this.key, 0), epoch), n);
      const order = Array.from({ length: n }, (_, i) => i);
      this.#order = order.sort((a, b) => words[a] - words[b] || a - b);
      this.#epoch = epoch;
    }
    return this.#order[sample % n];
  }

  /** Sample `s` of step `k`. */
  sample(k: number, s: number): SampleDraw {
    const { perStep, timesteps, flip } = this.facts, at = k * perStep + s;
    const [time, side] = uniform(foldIn(foldIn(this.key, 1), at), 2);
    return {
      image: this.#image(at),
      timestep: Math.floor(time * timesteps),
      isFlipped: side < flip,
    };
  }

  /** Noise of samples `from` to `to` of step `k`, standard normal, `[to − from, …shape]`. */
  noise(
    gpu: Gpu,
    k: number,
    { from, to, shape }: {
      readonly from: number;
      readonly to: number;
      readonly shape: readonly number[];
    },
  ): Tensor {
    const { perStep } = this.facts, key = foldIn(foldIn(this.key, 2), k);
    return tidy(gpu, () => {
      const all = Tensor.randn(gpu, key, [perStep, ...shape]);
      return to - from === perStep ? all : slice(all, { axis: 0, start: from, end: to });
    });
  }
}

/** Images of some samples, `[samples, channels, height, width]`. */
export function gatherImages(
  { values, shape: [, channels, height, width] }: TrainingImages,
  samples: readonly SampleDraw[],
): Float32Array<ArrayBuffer> {
  const size = channels * height * width, out = new Float32Array(samples.length * size);
  samples.forEach(({ image, isFlipped }, s) => {
    const own = out.subarray(s * size, (s + 1) * size);
    own.set(values.subarray(image * size, (image + 1) * size));
    if (!isFlipped) return;
    for (let at = 0; at < size; at += width) own.subarray(at, at + width).reverse();
  });
  return out;
}
