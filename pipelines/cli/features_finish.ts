/**
 * How `gyrus features` ends: a record of the run beside the file, and what is in it on stdout.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { runRecord } from "../run_record.ts";
import type { GlobalOptions } from "./options.ts";
import { writeOutput } from "./output.ts";

/** Options that the record names files by. */
interface FileOptions extends GlobalOptions {
  readonly model: string;
  readonly config?: string;
  readonly images?: string;
  readonly pixels?: string;
  readonly captions?: string;
  readonly tokenizer?: string;
  readonly clips?: string;
}

/** What was done. */
export interface FinishedFeatures {
  readonly gpu: Gpu;
  readonly family: string;
  readonly started: Date;
  /** Shapes of the datasets by their paths. */
  readonly shapes: Readonly<Record<string, readonly number[]>>;
}

/** Writes the record and tells what there is. */
export function finishFeatures(
  options: FileOptions,
  { gpu, family, started, shapes }: FinishedFeatures,
): void {
  const { model: weights, config, images, pixels, captions, tokenizer, out } = options;
  const clips = options.clips === "folders" ? undefined : options.clips;
  const given = Object.entries({
    ...{ model: weights, config, images, pixels, captions, tokenizer, clips },
  })
    .filter((entry): entry is [string, string] => entry[1] !== undefined);
  const results = { family, shapes };
  const record = runRecord({
    command: "features",
    options: { ...options },
    inputs: Object.fromEntries(given),
    gpu,
    started,
    results,
  });
  writeOutput(`${out}.run.json`, `${JSON.stringify(record, null, 2)}\n`);
  if (options.json) {
    console.log(JSON.stringify({ out, ...results }));
    return;
  }
  console.log(`${family} features in ${out}`);
  for (const [path, shape] of Object.entries(shapes)) {
    console.log(`  ${path.padEnd(14)} [${shape.join(", ")}]`);
  }
}
