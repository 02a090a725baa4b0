/**
 * `gyrus info`: the adapter, what it can do, and how fast it measures.
 *
 * @module
 */
import type { Command } from "commander";
import { measurePeaks } from "../../bench/peaks.ts";
import { openGpu } from "./open_gpu.ts";
import type { GlobalOptions } from "./options.ts";

/** Adds the command. */
export function register(program: Command): void {
  program.command("info")
    .description("show the adapter, its capabilities and limits, and measure how fast it is")
    .addHelpText("after", "\nExample:\n  gyrus info --json\n")
    .action(async (_, command: Command) => await info(command.optsWithGlobals()));
}

async function info(options: GlobalOptions): Promise<void> {
  using gpu = await openGpu(options);
  const { features, ...limits } = gpu.caps;
  const peaks = await measurePeaks(gpu);
  const report = {
    adapter: gpu.adapterName,
    backend: options.backend,
    runtime: navigator.userAgent,
    features: [...features].sort(),
    limits,
    measured: {
      gflops: Number(peaks.gflops.toFixed(1)),
      gbps: Number(peaks.gbps.toFixed(1)),
      dispatchUs: Number(peaks.dispatchUs.toFixed(2)),
      recordUs: Number(peaks.recordUs.toFixed(2)),
    },
  };
  if (options.json) {
    console.log(JSON.stringify(report));
    return;
  }
  const lines: [string, unknown][] = [
    ["adapter", report.adapter],
    ["backend", `${report.backend} (${report.runtime})`],
    ["features", report.features.join(" ")],
    ...Object.entries(limits),
    ["arithmetic, f32", `${report.measured.gflops} GFLOP/s measured`],
    ["memory", `${report.measured.gbps} GB/s measured`],
    ["dispatch", `${report.measured.dispatchUs} µs measured, recorded and run`],
    ["dispatch, host alone", `${report.measured.recordUs} µs measured`],
  ];
  for (const [name, value] of lines) console.log(`${name.padEnd(26)}${value}`);
}
