/**
 * `gyrus vae`: latent groups of neural responses.
 *
 * @module
 */
import type { Command } from "commander";
import type { Gpu } from "../../engine/gpu.ts";
import { runRecord } from "../run_record.ts";
import type { GlobalOptions } from "./options.ts";
import { writeOutput } from "./output.ts";
import { registerVaeEncode } from "./vae_encode.ts";
import { registerVaeFit } from "./vae_fit.ts";
import { inputsOf, type VaeSourceOptions } from "./vae_options.ts";
import { registerVaeReport } from "./vae_report.ts";

/** What a command found. */
export interface VaeResults {
  /** In a few numbers. */
  readonly results: Record<string, unknown>;
  /** The device, where one was opened. */
  readonly gpu?: Gpu;
}

/** Adds the command. */
export function register(program: Command): void {
  const vae = program.command("vae")
    .description("latent groups of neural responses, parted by pose and category (MIG-Vis)");
  registerVaeFit(vae, finish);
  registerVaeEncode(vae, finish);
  registerVaeReport(vae, finish);
}

/** Writes the record of a run and says what came out. */
function finish(
  command: string,
  options: GlobalOptions & VaeSourceOptions,
  started: Date,
  { results, gpu }: VaeResults,
): void {
  const inputs = inputsOf(options);
  const record = runRecord({ command, options: { ...options }, inputs, gpu, started, results });
  writeOutput(`${options.out}.run.json`, `${JSON.stringify(record, null, 2)}\n`);
  if (options.json) {
    console.log(JSON.stringify({ out: options.out, ...results }));
    return;
  }
  for (const [name, value] of Object.entries(results)) {
    const isRounded = typeof value === "number" && !Number.isInteger(value);
    console.log(`${name.padEnd(24)}${isRounded ? Number(value.toPrecision(4)) : value}`);
  }
  console.log(`${"written".padEnd(24)}${options.out}`);
}

/** What {@link finish} is to the commands. */
export type FinishVae = typeof finish;
