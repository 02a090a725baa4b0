/**
 * The measured roofline of an adapter: how fast it computes and how fast it moves memory, by our own kernels.
 *
 * @module
 */
import type { Gpu } from "../engine/gpu.ts";
import { run } from "../engine/run.ts";
import { Tensor, tidy } from "../engine/tensor.ts";
import { normal, randomKey } from "../engine/random.ts";
import { neg } from "../engine/ops/elementwise.ts";
import { checkKernel } from "./check_kernel.ts";
import { peakFmaKernel } from "./peak_fma.ts";
import { time } from "./time.ts";

/** Measured peaks. */
export interface Peaks {
  /** Multiply-adds count twice. */
  readonly gflops: number;
  /** Bytes read plus bytes written. */
  readonly gbps: number;
  /** Microseconds to record and run one dispatch of a long dependent chain of tiny ones. */
  readonly dispatchUs: number;
  /** Host microseconds of these to call an op and record its dispatch, before anything is submitted. */
  readonly recordUs: number;
}

/** Measures the peaks of an adapter; takes about a second. */
export async function measurePeaks(gpu: Gpu): Promise<Peaks> {
  const [variant] = peakFmaKernel.variants;
  await checkKernel(gpu, {
    spec: peakFmaKernel,
    variant,
    dims: peakFmaKernel.cases[0],
    tunables: {},
    elem: "f32",
  });
  const n = gpu.caps.isSoftware ? 1 << 12 : 1 << 20;
  const args = { steps: 64, a: 0.5, b: 0.25 };
  const fma = await time(gpu, () => void run(peakFmaKernel, [], { gpu, dims: { n }, args }));

  // Larger than any last-level cache, so that memory is what is measured.
  const size = Math.min(gpu.caps.isSoftware ? 1 << 24 : 1 << 26, gpu.caps.maxBindingBytes / 4);
  using x = Tensor.from(gpu, new Float32Array(size).fill(1.5));
  const copy = await time(gpu, () => void neg(x));

  using small = Tensor.from(gpu, normal(randomKey(0), 4));
  const chain = 640;
  const dispatch = await time(gpu, () => {
    let y = small;
    for (let i = 0; i < chain; i++) y = neg(y);
  });
  return {
    gflops: peakFmaKernel.flops({ n }, args) / fma.best / 1e6,
    gbps: 8 * size / copy.best / 1e6,
    dispatchUs: dispatch.best / chain * 1e3,
    recordUs: await timeRecording(gpu, small),
  };
}

/** Host microseconds of one recorded op, the best of some runs. */
async function timeRecording(gpu: Gpu, x: Tensor): Promise<number> {
  const count = 60; // before the recorder submits by itself
  let best = Infinity;
  for (let sample = 0; sample < 30; sample++) {
    await gpu.sync();
    tidy(gpu, () => {
      const start = performance.now();
      let y = x;
      for (let i = 0; i < count; i++) y = neg(y);
      best = Math.min(best, performance.now() - start);
    });
  }
  await gpu.sync();
  return best / count * 1e3;
}
