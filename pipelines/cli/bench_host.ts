import type { Command } from "commander";
import { type Change, compareRuns } from "../../bench/compare.ts";
import { benchHost, type HostRow } from "../../bench/host.ts";
import { openGpu } from "./open_gpu.ts";
import { type GlobalOptions, wholeNumber } from "./options.ts";
import { writeOutput } from "./output.ts";
import { readText } from "./read_text.ts";

interface HostBenchOptions extends GlobalOptions {
  readonly samples: number;
}

/** Adds `bench host` and `bench compare`. */
export function registerHost(bench: Command): void {
  bench.command("host")
    .description(
      "what the host costs: ops against the same dispatches as raw WebGPU calls, readback, upload",
    )
    .option("--samples <n>", "times that each way runs, in turn", wholeNumber, 15)
    .addHelpText("after", "\nExample:\n  gyrus bench host\n")
    .action(async (_, command: Command) => await host(command.optsWithGlobals()));
  bench.command("compare")
    .description("hold a recorded run (--out of any bench) against an earlier one, row by row")
    .argument("<before>", "JSON lines of the earlier run")
    .argument("<after>", "JSON lines of the later run")
    .addHelpText("after", "\nExample:\n  gyrus bench compare old.jsonl new.jsonl\n")
    .action((before: string, after: string, _, command: Command) =>
      compare(before, after, command.optsWithGlobals())
    );
}

async function host(options: HostBenchOptions): Promise<void> {
  using gpu = await openGpu(options);
  const lines = [JSON.stringify({ adapter: gpu.adapterName, backend: options.backend })];
  console.log(options.json ? lines[0] : gpu.adapterName);
  for await (const row of benchHost(gpu, options)) {
    lines.push(JSON.stringify(row));
    console.log(options.json ? lines.at(-1) : hostText(row));
  }
  if (options.out) writeOutput(options.out, lines.join("\n") + "\n");
}

function hostText({ name, dispatches, oursUs, rawUs, ratio, recordUs }: HostRow): string {
  const us = (value: number) => `${value.toFixed(1)} µs`;
  const against = rawUs === undefined ? "" : `, raw ${us(rawUs)}, ratio ${ratio!.toFixed(2)}`;
  const each = dispatches > 1 ? `, ${us(oursUs / dispatches)} a dispatch` : "";
  const record = recordUs === undefined ? "" : `, calls alone ${us(recordUs)}`;
  return `${name.padEnd(34)}${us(oursUs).padStart(14)}${each}${against}${record}`;
}

function compare(before: string, after: string, { json }: GlobalOptions): void {
  const result = compareRuns(readText(before), readText(after));
  if (json) return console.log(JSON.stringify(result));
  const [old, fresh] = result.adapters;
  if (old !== fresh) console.log(`not one adapter: ${old}, then ${fresh}`);
  for (const change of result.changes) console.log(changeText(change));
  for (const row of result.gone) console.log(`gone: ${row}`);
  for (const row of result.added) console.log(`new: ${row}`);
}

function changeText({ row, time, before, after, ratio, spread }: Change): string {
  const noise = spread === undefined ? "" : ` ± ${(100 * spread).toFixed(0)} %`;
  const isTold = spread !== undefined && Math.abs(ratio - 1) > spread;
  const mark = isTold ? (ratio > 1 ? "slower" : "faster") : "";
  const times = `${before.toPrecision(4)} → ${after.toPrecision(4)} ${time}`;
  return `${`× ${ratio.toFixed(2)}${noise}`.padEnd(16)}${mark.padEnd(8)}${times.padEnd(36)}${row}`;
}
