import type { Command } from "commander";
import { InvalidArgumentError } from "commander";
import { benchRidge, type RidgeRow } from "../../bench/ridge.ts";
import { ridgeCases, scaled } from "../../bench/ridge_case.ts";
import { benchScoreKernel, type ScoreKernelRow } from "../../bench/ridge_score_kernel.ts";
import type { ByStage } from "../../bench/ridge_stages.ts";
import { foldIn, randomKey } from "../../engine/random.ts";
import { openGpu } from "./open_gpu.ts";
import { type GlobalOptions, realNumber, wholeNumber } from "./options.ts";
import { writeOutput } from "./output.ts";

interface RidgeOptions extends GlobalOptions {
  readonly scale?: number;
  readonly repeats: number;
  readonly samples: number;
}

/** Adds `bench ridge`. */
export function registerRidge(bench: Command): void {
  bench.command("ridge")
    .description(
      "cross-validated ridge regression against himalaya's algorithms on the same kernels: himalaya's own benchmark and a large case, " +
        "checked against each other, then timed by stage",
    )
    .option(
      "--scale <s>",
      "each size times this; by default 1, on a CPU driver 0.3 and 0.08",
      scaleOption,
    )
    .option("--repeats <n>", "times that every way is timed, the fastest is told", atLeastOne, 1)
    .addHelpText("after", "\nExample:\n  gyrus bench ridge --scale 0.1\n")
    .action(async (_, command: Command) => await ridge(command.optsWithGlobals()));
}

function scaleOption(text: string): number {
  const scale = realNumber(text);
  if (scale > 0 && scale <= 1) return scale;
  throw new InvalidArgumentError("A number above 0 and at most 1 is needed.");
}

function atLeastOne(text: string): number {
  const count = wholeNumber(text);
  if (count >= 1) return count;
  throw new InvalidArgumentError("A whole number from 1 is needed.");
}

async function ridge(options: RidgeOptions): Promise<void> {
  using gpu = await openGpu(options);
  const lines = [JSON.stringify({ adapter: gpu.adapterName, backend: options.backend })];
  console.log(options.json ? lines[0] : gpu.adapterName);
  const tell = (row: RidgeRow | ScoreKernelRow, text: string) => {
    lines.push(JSON.stringify(row));
    console.log(options.json ? lines.at(-1) : text);
  };
  const key = randomKey(options.seed);
  for (const [c, whole] of ridgeCases.entries()) {
    const standard = gpu.caps.isSoftware ? whole.softwareScale : 1;
    const sized = scaled(whole, options.scale ?? standard);
    const { n, p, nTargets, nFolds, alphas } = sized;
    if (!options.json) {
      console.log(
        `\n${whole.name}: ${n} samples × ${p} features × ${nTargets} targets, ${alphas.length} alphas, ${nFolds} folds`,
      );
    }
    const own = foldIn(key, c);
    const kernel = await benchScoreKernel(gpu, sized, { key: own, samples: options.samples });
    tell(kernel, kernelText(kernel));
    for await (const row of benchRidge(gpu, sized, { key: own, repeats: options.repeats })) {
      tell(row, rowText(row));
    }
  }
  if (options.out) writeOutput(options.out, lines.join("\n") + "\n");
}

function kernelText({ sizes: { m, k, targets }, ...row }: ScoreKernelRow): string {
  return `score kernel ${m}×${k}×${targets}: ${row.fusedMs.toFixed(1)} ms, ${
    percent(row.share)
  } of the product's rate; product and separate scores / fused = ${row.ratio.toFixed(2)}`;
}

function rowText(row: RidgeRow): string {
  const stages = list(row.seconds, (s) => s.toFixed(2));
  const faster = list(
    row.faster,
    (ratio, name) =>
      `${ratio.toFixed(2)}× (${row.fasterWithoutEigh[name].toFixed(2)}× without its eigh)`,
  );
  return `${row.method.padEnd(25)}${row.totalSeconds.toFixed(2)} s (${
    row.cpuSeconds.toFixed(2)
  } of processors), ${row.totalGflop.toFixed(1)} GFLOP (${
    row.wholeGridGflop.toFixed(1)
  } with every alpha in use, ${row.usedAlphas} are), ${row.gflops.toFixed(1)} GFLOP/s = ${
    percent(row.share)
  } of the product's, device ${mib(row.deviceBytes)}, process ${mib(row.hostBytes)}; ${stages}${
    faster && `; against ${faster}`
  }`;
}

function list(values: ByStage, say: (value: number, name: string) => string): string {
  return Object.entries(values).map(([name, value]) => `${name} ${say(value, name)}`).join(", ");
}

const percent = (share: number) => `${(100 * share).toFixed(0)} %`;

const mib = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
