/**
 * The claims of the README as ratios within one run: the same work done in two ways on the same data, checked against each
 * other, timed in turn.
 *
 * @module
 */
import type { Gpu } from "../engine/gpu.ts";
import { attention } from "../engine/ops/attention.ts";
import { neg } from "../engine/ops/elementwise.ts";
import { matmul } from "../engine/ops/matmul.ts";
import { softmax } from "../engine/ops/norm.ts";
import { scale } from "../engine/ops/elementwise.ts";
import { permute } from "../engine/ops/shape.ts";
import { normal, randomKey } from "../engine/random.ts";
import { run } from "../engine/run.ts";
import { readAll, Tensor, tidy } from "../engine/tensor.ts";
import { matmulKernel } from "../shaders/matmul/matmul.ts";
import { worstError } from "./check_kernel.ts";
import { time, type TimeOptions } from "./time.ts";

/** One claim. */
export interface Ratio {
  /** What is compared with what. */
  readonly name: string;
  /** Milliseconds of the plain way. */
  readonly plainMs: number;
  /** Milliseconds of our way. */
  readonly oursMs: number;
  /** `plainMs / oursMs`. */
  readonly ratio: number;
  /** Greatest relative error between the two results. */
  readonly error: number;
}

/** Two ways to the same result. */
export interface Pair {
  /** What is compared with what. */
  readonly name: string;
  /** The plain way. */
  plain(): Tensor;
  /** Our way. */
  ours(): Tensor;
  /** Greatest error between the results that is put down to rounding. */
  readonly tolerance: number;
}

/**
 * Checks and times a pair.
 *
 * @throws {Error} when the two results disagree: nothing is timed then.
 */
export async function compare(gpu: Gpu, pair: Pair, options: TimeOptions = {}): Promise<Ratio> {
  const both = [pair.plain(), pair.ours()];
  const [plain, ours] = await readAll(both);
  both.forEach((t) => t.dispose());
  const { value: error } = worstError(ours, plain);
  if (!(error <= pair.tolerance)) {
    throw new Error(`${pair.name}: the results differ by ${error}, allowed ${pair.tolerance}`);
  }
  const plainMs = (await time(gpu, () => void pair.plain(), options)).ms;
  const oursMs = (await time(gpu, () => void pair.ours(), options)).ms;
  return { name: pair.name, plainMs, oursMs, ratio: plainMs / oursMs, error };
}

/** Attention as a chain of kernels: head split, scores, softmax, mix, head join. */
function composedAttention(q: Tensor, k: Tensor, v: Tensor, nHeads: number): Tensor {
  return tidy(q.gpu, () => {
    const [batch, tokens, width] = q.shape;
    const split = (x: Tensor) =>
      permute(x.reshape([batch, tokens, nHeads, width / nHeads]), [0, 2, 1, 3]);
    const [qs, ks, vs] = [split(q), split(k), split(v)]; // [batch, heads, tokens, headDim]
    const scores = scale(matmul(qs, ks, { transposeB: true }), 1 / Math.sqrt(width / nHeads));
    const mixed = matmul(softmax(scores), vs);
    return permute(mixed, [0, 2, 1, 3]).reshape([batch, tokens, width]);
  });
}

/** The ratios that need no model. */
export async function* engineRatios(gpu: Gpu, options: TimeOptions = {}): AsyncGenerator<Ratio> {
  const random = (seed: number, shape: number[]) =>
    Tensor.from(gpu, normal(randomKey(seed), shape.reduce((a, b) => a * b, 1)), shape);
  {
    using q = random(1, [1, 197, 768]);
    using k = random(2, [1, 197, 768]);
    using v = random(3, [1, 197, 768]);
    yield await compare(gpu, {
      name: "attention 12×197×64: composed / fused",
      plain: () => composedAttention(q, k, v, 12),
      ours: () => attention(q, k, v, { nHeads: 12 }),
      tolerance: 2e-5,
    }, options);
  }
  {
    const n = 512;
    using a = random(4, [n, n]);
    using b = random(5, [n, n]);
    const naive = matmulKernel.variants.at(-1)!.name;
    const size = n * n;
    const dims = {
      ...{ batch: 1, m: n, n, k: n, aSize: size, bSize: size },
      ...{ biasSize: size, scaleSize: size, residualSize: size }, // bound, not read
    };
    yield await compare(gpu, {
      name: "matmul 512³ f32: naive / chosen",
      plain: () => run(matmulKernel, [a, b, a, a, a], { dims, choice: { variant: naive } })[0],
      ours: () => matmul(a, b),
      tolerance: 2e-5,
    }, options);
  }
  yield await dispatchRatio(gpu, options);
}

/** A chain of tiny dependent dispatches: one submit each, or recorded into one pass. */
async function dispatchRatio(gpu: Gpu, options: TimeOptions): Promise<Ratio> {
  using x = Tensor.from(gpu, [1, 2, 3, 4]);
  const chain = (each: () => void) =>
    tidy(gpu, () => {
      let y = x;
      for (let i = 0; i < 64; i++) {
        y = neg(y);
        each();
      }
      return y;
    });
  return await compare(gpu, {
    name: "64 dependent dispatches: one submit each / one pass",
    plain: () => chain(() => gpu.submit()),
    ours: () => chain(() => undefined),
    tolerance: 0,
  }, options);
}
