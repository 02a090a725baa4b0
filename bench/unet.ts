/**
 * UNets of diffusion models: milliseconds of a pass, which share of the adapter's measured rate of multiply-adds that is, and which kernels
 * the time goes to.
 *
 * @module
 */
import type { Gpu } from "../engine/gpu.ts";
import { foldIn, type Key } from "../engine/random.ts";
import { Tensor } from "../engine/tensor.ts";
import { loadAdm } from "../pipelines/models/adm.ts";
import { loadDdpUnet } from "../pipelines/models/ddp_unet.ts";
import { loadDiffusersUnet } from "../pipelines/models/diffusers_unet.ts";
import type { Peaks } from "./peaks.ts";
import type { UnetNetwork } from "./unet_networks.ts";

/** A pass of a network: what a step of sampling takes, but for some additions. */
export interface UnetPassRow {
  /** Network. */
  readonly network: UnetNetwork["name"];
  /** What it is. */
  readonly title: string;
  /** Trained values. */
  readonly parameters: number;
  /** Images at once. */
  readonly batch: number;
  /** Milliseconds, the fastest of some. */
  readonly ms: number;
  /** Passes that were timed. */
  readonly repeats: number;
  /** 10⁹ operations of a pass: convolutions, linear layers, attention, counted as plain sums. */
  readonly gflop: number;
  /** Those per second over the measured rate of multiply-adds; convolutions that need fewer products may bring it over what they do. */
  readonly share: number;
  /** Bytes of the weights on the device. */
  readonly weightBytes: number;
  /** Most bytes on the device at once, the weights and forms of them that are kept included. */
  readonly deviceBytes: number;
  /** Kernels that a pass starts. */
  readonly dispatches: number;
}

/** What one kernel takes of a pass. */
export interface UnetKernelRow {
  /** Network. */
  readonly network: UnetNetwork["name"];
  /** Variant of a kernel. */
  readonly kernel: string;
  /** How often a pass starts it. */
  readonly dispatches: number;
  /** Milliseconds of all of them, by timestamps of one pass. */
  readonly ms: number;
  /** Those over the sum of all kernels'. */
  readonly part: number;
  /** 10⁹ operations that it does. */
  readonly gflop: number;
}

/** Options of {@link benchUnet}. */
export interface UnetBenchOptions {
  /** Images at once (default 1). */
  readonly batch?: number;
  /** Seed of the images. */
  readonly key: Key;
  /** Passes to time, after one that compiles (default 2). */
  readonly repeats?: number;
}

/** A network on a device. */
interface Runnable extends Disposable {
  readonly parameters: number;
  run(x: Tensor): Tensor;
}

const TIMESTEP = 100, CLASS = 7;

async function openUnet(gpu: Gpu, network: UnetNetwork, context?: Tensor): Promise<Runnable> {
  const { name, stateDict, config, numClasses } = network;
  const told = (n: number) => ({
    timesteps: new Array<number>(n).fill(TIMESTEP),
    ...numClasses > 0 ? { classLabels: new Array<number>(n).fill(CLASS) } : {},
    ...context ? { context } : {},
  });
  const model = name === "mig-vis"
    ? await loadDdpUnet(gpu, stateDict, config)
    : name === "adm64"
    ? await loadAdm(gpu, stateDict, config)
    : await loadDiffusersUnet(gpu, stateDict, config);
  return {
    parameters: model.parameters,
    run: (x) => model.forward(x, told(x.shape[0])).output,
    [Symbol.dispose]: () => model[Symbol.dispose](),
  };
}

/** Values of the output, which random weights of this spread keep finite. */
async function checkFinite(y: Tensor, title: string): Promise<void> {
  const values = await y.data();
  const at = values.findIndex((value) => !Number.isFinite(value));
  if (at >= 0) throw new Error(`Cannot time ${title}: value ${at} of its output is ${values[at]}`);
}

/** Times a network: its row, then those of the kernels that it spends most on. */
export async function* benchUnet(
  gpu: Gpu,
  network: UnetNetwork,
  { batch = 1, key, repeats = 2 }: UnetBenchOptions,
  peaks: Peaks,
): AsyncGenerator<UnetPassRow | UnetKernelRow> {
  const { name, title, input, context: sizes } = network;
  using x = Tensor.randn(gpu, key, [batch, ...input]);
  using context = sizes ? Tensor.randn(gpu, foldIn(key, 1), [batch, ...sizes]) : undefined;
  const before = gpu.liveBytes;
  using model = await openUnet(gpu, network, context);
  const weightBytes = gpu.liveBytes - before;
  {
    using y = model.run(x); // compiles, and makes the forms of weights that are kept
    await checkFinite(y, title);
  }
  gpu.pool.trim(); // so that what it holds afterwards is the most of a pass
  const rows = await gpu.profile(() => model.run(x).dispose());
  let ms = Infinity;
  for (let i = 0; i < repeats; i++) {
    await gpu.sync();
    const start = performance.now();
    model.run(x).dispose();
    await gpu.sync();
    ms = Math.min(ms, performance.now() - start);
  }
  const gflop = batch * network.flops / 1e9;
  yield {
    ...{ network: name, title, parameters: model.parameters, batch, ms, repeats, gflop },
    ...{ share: 1e3 * gflop / ms / peaks.gflops, weightBytes, dispatches: rows.length },
    deviceBytes: gpu.pool.heldBytes,
  };
  const total = rows.reduce((sum, { gpuMs = 0 }) => sum + gpuMs, 0);
  if (total === 0) return; // no timestamps
  const kernels = [...Map.groupBy(rows, ({ label }) => label)].map(([kernel, of]) => {
    const spent = of.reduce((sum, { gpuMs = 0 }) => sum + gpuMs, 0);
    const flops = of.reduce((sum, { flops }) => sum + flops, 0);
    return {
      ...{ network: name, kernel, dispatches: of.length, ms: spent, part: spent / total },
      gflop: flops / 1e9,
    };
  });
  yield* kernels.sort((a, b) => b.ms - a.ms);
}
