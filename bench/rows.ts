/**
 * Benchmark rows of kernels: every variant at every size of record, checked, then timed, then compared with the roofline.
 *
 * @module
 */
import type { Gpu } from "../engine/gpu.ts";
import { run } from "../engine/run.ts";
import { isSupported, select, simplest } from "../engine/select.ts";
import { dtypeBytes, readAll, Tensor } from "../engine/tensor.ts";
import {
  bufferDecls,
  bytesOf,
  type Dims,
  type KernelSpec,
  type KernelVariant,
} from "../shaders/kernel.ts";
import { checkKernel, hostInputs, shapeOf, splitCase, worstError } from "./check_kernel.ts";
import type { Peaks } from "./peaks.ts";
import { time, type TimeOptions } from "./time.ts";

/** One timed kernel. */
export interface BenchRow {
  /** Kernel. */
  readonly kernel: string;
  /** Variant. */
  readonly variant: string;
  /** True for the variant that the engine would choose. */
  readonly chosen: boolean;
  /** Sizes and scalars. */
  readonly dims: Dims;
  /** Storage type. */
  readonly dtype: "f32" | "f16";
  /** Median wall milliseconds per run. */
  readonly ms: number;
  /** Spread of the samples as a share of the median. */
  readonly spread: number;
  /** Milliseconds by GPU timestamps. */
  readonly gpuMs?: number;
  /** 10⁹ floating-point operations per second. */
  readonly gflops: number;
  /** 10⁹ bytes per second. */
  readonly gbps: number;
  /** Share of the measured roofline: the time that arithmetic or memory alone would need, over the time taken. */
  readonly roofline: number;
  /** Greatest error against the on-GPU oracle (the last variant that can run), by the tests' metric; 0 for the oracle itself. */
  readonly error: number;
}

/** Options of {@link benchKernel}. */
export interface BenchOptions extends TimeOptions {
  /** Times every variant, not only the one that the engine chooses. */
  readonly allVariants?: boolean;
  /** Storage type. */
  readonly dtype?: "f32" | "f16";
}

/**
 * Benches one kernel at its sizes of record (its test cases where it has none); none where the adapter cannot run it.
 *
 * @throws {Error} when a variant disagrees with the float64 reference or with the oracle: nothing is timed then.
 */
export async function* benchKernel(
  gpu: Gpu,
  spec: KernelSpec,
  peaks: Peaks,
  options: BenchOptions = {},
): AsyncGenerator<BenchRow> {
  const { allVariants = false, dtype = "f32" } = options;
  for (const sizes of spec.large ?? spec.cases.slice(-1)) {
    const { dims, args } = splitCase(spec, sizes);
    const supported = spec.variants.filter((v) => isSupported(v, dims, args, gpu.caps));
    if (supported.length === 0) continue; // the adapter lacks a feature, as f64
    const chosen = select(gpu, spec, dims, args).variant;
    for (const variant of allVariants ? supported : [chosen]) {
      await checkCases(gpu, spec, variant, dtype);
      yield await benchVariant(gpu, { spec, variant, sizes, dtype, chosen }, peaks, options);
    }
  }
}

async function checkCases(
  gpu: Gpu,
  spec: KernelSpec,
  variant: KernelVariant,
  elem: "f32" | "f16",
): Promise<void> {
  for (const dims of spec.cases) {
    const apart = splitCase(spec, dims);
    if (!isSupported(variant, apart.dims, apart.args, gpu.caps)) continue;
    await checkKernel(gpu, { spec, variant, dims, tunables: {}, elem });
  }
}

interface Subject {
  readonly spec: KernelSpec;
  readonly variant: KernelVariant;
  readonly sizes: Dims;
  readonly dtype: "f32" | "f16";
  readonly chosen: KernelVariant;
}

async function benchVariant(
  gpu: Gpu,
  { spec, variant, sizes, dtype, chosen }: Subject,
  peaks: Peaks,
  options: BenchOptions,
): Promise<BenchRow> {
  const { dims, args } = splitCase(spec, sizes);
  const host = hostInputs(spec, dims, args, dtype);
  const decls = bufferDecls(spec);
  const inputs = () =>
    decls.filter((d) => d.role !== "out").map((d) =>
      Tensor.from(gpu, host[d.name], shapeOf(d, dims), {
        dtype: d.dtype === "elem" ? dtype : d.dtype,
      })
    );
  const launch = (on: readonly Tensor[], name: string) =>
    run(spec, on, { gpu, dims, args, dtype, choice: { variant: name } });
  const oracle = simplest(spec, dims, args, gpu.caps)!;
  const error = await compareVariants(spec, inputs, launch, [variant, oracle], dtype);
  const on = inputs();
  const timing = await time(gpu, () => void launch(on, variant.name), options);
  on.forEach((t) => t.dispose());

  const bytes = bytesOf(spec, dims, dtypeBytes(dtype));
  const flops = spec.flops(dims, args);
  const bound = Math.max(flops / peaks.gflops, bytes / peaks.gbps) / 1e6;
  return {
    kernel: spec.name,
    variant: variant.name,
    chosen: variant === chosen,
    dims: sizes,
    dtype,
    ms: timing.ms,
    spread: timing.spread,
    gpuMs: timing.gpuMs,
    gflops: flops / timing.ms / 1e6,
    gbps: bytes / timing.ms / 1e6,
    roofline: bound / timing.ms,
    error,
  };
}

/** The error of a variant against the oracle at the size that is timed. */
async function compareVariants(
  spec: KernelSpec,
  inputs: () => Tensor[],
  launch: (on: readonly Tensor[], name: string) => Tensor[],
  [variant, oracle]: readonly [KernelVariant, KernelVariant],
  dtype: "f32" | "f16",
): Promise<number> {
  const results: Awaited<ReturnType<typeof readAll>>[] = [];
  for (const { name } of variant === oracle ? [variant] : [variant, oracle]) {
    const on = inputs();
    const updated = bufferDecls(spec).filter((d) => d.role !== "out")
      .flatMap((d, i) => (d.role === "inout" ? [on[i]] : []));
    const outputs = launch(on, name);
    results.push(await readAll([...outputs, ...updated]));
    [...on, ...outputs].forEach((t) => t.dispose());
  }
  const [got, want = results[0]] = results;
  const error = Math.max(...got.map((values, i) => worstError(values, want[i]).value));
  // Both sides round, and these sizes are larger than the cases that the tolerance was derived for.
  const allowed = 8 * (spec.tolerance[dtype] ?? spec.tolerance.f32);
  if (!(error <= allowed)) {
    throw new Error(
      `${variant.name} disagrees with ${oracle.name}: error ${
        error.toExponential(2)
      }, allowed ${allowed}`,
    );
  }
  return error;
}
