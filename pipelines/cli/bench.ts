/**
 * `gyrus bench`: kernels checked, timed and held against the measured roofline.
 *
 * @module
 */
import type { Command } from "commander";
import { InputError } from "../errors.ts";
import { benchKernel, type BenchRow } from "../../bench/rows.ts";
import { measurePeaks, type Peaks } from "../../bench/peaks.ts";
import { modelRatios } from "../../bench/model_ratios.ts";
import { engineRatios, type Ratio } from "../../bench/ratios.ts";
import { Tensor } from "../../engine/tensor.ts";
import { kernels } from "../../shaders/mod.ts";
import { benchAll } from "./bench_all.ts";
import { registerDense } from "./bench_dense.ts";
import { registerHost } from "./bench_host.ts";
import { registerInception } from "./bench_inception.ts";
import { registerNcut } from "./bench_ncut.ts";
import { registerRidge } from "./bench_ridge.ts";
import { registerUnet } from "./bench_unet.ts";
import { openGpu } from "./open_gpu.ts";
import { type GlobalOptions, wholeNumber } from "./options.ts";
import { writeOutput } from "./output.ts";

interface BenchOptions extends GlobalOptions {
  readonly variants: boolean;
  readonly dtype: "f32" | "f16";
  readonly samples: number;
  readonly ratios: boolean;
  readonly all: boolean;
}

/** Adds the command. */
export function register(program: Command): void {
  const command = program.command("bench")
    .description("time kernels at their sizes of record; every one is checked before it is timed")
    .argument("[kernel...]", "names or parts of names; all kernels when absent")
    .option("--variants", "time every variant, not only the chosen one", false)
    .option("--dtype <type>", "storage type: f32 or f16", "f32")
    .option("--samples <n>", "samples per row", wholeNumber, 7)
    .option("--ratios", "compare two ways to one result instead: fused against composed, …", false)
    .option("--all", "run every bench below too, each with its defaults; --out is a folder", false)
    .addHelpText(
      "after",
      "\nExamples:\n  gyrus bench layer_norm softmax --variants\n  gyrus bench --all --json --out results\n",
    )
    .action(async (names: string[], _, command: Command) =>
      await bench(names, command.optsWithGlobals())
    );
  registerHost(command);
  registerRidge(command);
  registerDense(command);
  registerInception(command);
  registerNcut(command);
  registerUnet(command);
}

async function bench(names: readonly string[], options: BenchOptions): Promise<void> {
  if (options.all) return await benchAll(register, options);
  if (options.ratios) return await ratios(options);
  const chosen = kernels.filter((k) => names.length === 0 || names.some((n) => k.name.includes(n)));
  if (chosen.length === 0) {
    throw new InputError(
      `Cannot bench ${names.join(" ")}: no kernel has such a name, there are ${
        kernels.map((k) => k.name).join(" ")
      }.`,
    );
  }
  if (options.dtype !== "f32" && options.dtype !== "f16") {
    throw new InputError(`Cannot bench ${options.dtype}: the storage type must be f32 or f16.`);
  }
  using gpu = await openGpu(options);
  Tensor.zeros(gpu, [1], { dtype: options.dtype }).dispose(); // refused before anything is measured
  const peaks = await measurePeaks(gpu);
  if (!options.json) printHead(gpu.adapterName, peaks);
  const lines: string[] = [
    JSON.stringify({ adapter: gpu.adapterName, backend: options.backend, peaks }),
  ];
  if (options.json) console.log(lines[0]);
  for (const spec of chosen) {
    if (options.dtype === "f16" && spec.tolerance.f16 === undefined) continue;
    const rows = benchKernel(gpu, spec, peaks, {
      allVariants: options.variants,
      dtype: options.dtype,
      samples: options.samples,
    });
    for await (const row of rows) {
      const line = JSON.stringify(row);
      lines.push(line);
      console.log(options.json ? line : rowText(row));
    }
  }
  if (options.out) writeOutput(options.out, lines.join("\n") + "\n");
}

async function ratios(options: BenchOptions): Promise<void> {
  using gpu = await openGpu(options);
  const lines = [JSON.stringify({ adapter: gpu.adapterName, backend: options.backend })];
  console.log(options.json ? lines[0] : gpu.adapterName);
  const timing = { samples: options.samples };
  for (const rows of [engineRatios(gpu, timing), modelRatios(gpu, timing)]) {
    for await (const row of rows) {
      lines.push(JSON.stringify(row));
      console.log(options.json ? lines.at(-1) : ratioText(row));
    }
  }
  if (options.out) writeOutput(options.out, lines.join("\n") + "\n");
}

function ratioText({ name, plainMs, oursMs, ratio }: Ratio): string {
  return `${name.padEnd(64)}${plainMs.toFixed(3)} / ${oursMs.toFixed(3)} ms = ${ratio.toFixed(2)}`;
}

function printHead(adapter: string, { gflops, gbps, dispatchUs }: Peaks): void {
  console.log(
    `${adapter}: ${gflops.toFixed(0)} GFLOP/s, ${gbps.toFixed(1)} GB/s, ${
      dispatchUs.toFixed(1)
    } µs per dispatch (measured)`,
  );
  console.log(
    `${"variant".padEnd(34)}${"ms".padStart(10)}${"±".padStart(6)}${"GFLOP/s".padStart(10)}${
      "GB/s".padStart(8)
    }${"roofline".padStart(10)}  sizes`,
  );
}

function rowText(row: BenchRow): string {
  const sizes = Object.entries(row.dims).filter(([, n]) => n !== 0).map(([name, n]) =>
    `${name}=${n}`
  ).join(" ");
  return `${((row.chosen ? "" : "  ") + row.variant).padEnd(34)}${row.ms.toFixed(3).padStart(10)}${
    `${(100 * row.spread).toFixed(0)}%`.padStart(6)
  }${row.gflops.toFixed(1).padStart(10)}${row.gbps.toFixed(1).padStart(8)}${
    `${(100 * row.roofline).toFixed(0)} %`.padStart(10)
  }  ${sizes}`;
}
