/**
 * Timing of GPU work: warm up, then samples of enough back-to-back runs, each closed by one wait.
 *
 * @module
 */
import type { Gpu } from "../engine/gpu.ts";
import { tidy } from "../engine/tensor.ts";

/** Times in milliseconds per run. */
export interface Timing {
  /** Median of the samples. */
  readonly ms: number;
  /** Fastest sample. */
  readonly best: number;
  /** Half the distance between the quartiles, as a share of the median. */
  readonly spread: number;
  /** By GPU timestamps, one run; undefined where there are none. */
  readonly gpuMs?: number;
  /** Samples taken. */
  readonly samples: number;
}

/** Options of {@link time}. */
export interface TimeOptions {
  /** Shortest sample: shorter work is repeated within it. */
  readonly sampleMs?: number;
  /** Samples to take. */
  readonly samples?: number;
}

/** Times `work`, which records ops and returns nothing that lives on. */
export async function time(
  gpu: Gpu,
  work: () => void,
  { sampleMs = 40, samples = 7 }: TimeOptions = {},
): Promise<Timing> {
  const once = () => tidy(gpu, () => void work());
  once(); // compiles
  await gpu.sync();
  const first = await sample(gpu, once, 1);
  const repeats = Math.max(1, Math.ceil(sampleMs / Math.max(first, 1e-3)));
  if (first < sampleMs) await sample(gpu, once, repeats);
  const times: number[] = [];
  for (let i = 0; i < samples; i++) times.push(await sample(gpu, once, repeats));
  times.sort((a, b) => a - b);
  const at = (q: number) => times[Math.round(q * (times.length - 1))];
  const rows = gpu.caps.features.has("timestamp-query") ? await gpu.profile(once) : [];
  const gpuMs = rows.every((r) => r.gpuMs !== undefined) && rows.length > 0
    ? rows.reduce((sum, r) => sum + r.gpuMs!, 0)
    : undefined;
  return {
    ms: at(0.5),
    best: times[0],
    spread: (at(0.75) - at(0.25)) / 2 / at(0.5),
    gpuMs,
    samples,
  };
}

async function sample(gpu: Gpu, work: () => void, repeats: number): Promise<number> {
  const start = performance.now();
  for (let i = 0; i < repeats; i++) work();
  await gpu.sync();
  return (performance.now() - start) / repeats;
}
