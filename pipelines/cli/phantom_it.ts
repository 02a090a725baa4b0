/**
 * `gyrus phantom it`: stimuli of known factors and a simulated inferior temporal population.
 *
 * @module
 */
import type { Command } from "commander";
import { writeIt } from "../phantom/write_it.ts";
import { runRecord } from "../run_record.ts";
import { type GlobalOptions, wholeNumber } from "./options.ts";
import { beginOutput, RUN_RECORD } from "./output.ts";

interface ItOptions extends GlobalOptions {
  readonly n: number;
  readonly png: boolean;
}

const HELP = `
One striped plate on a uniform background: eight categories, six pose factors, two of content, and the background's
grey, all independent. Two simulated monkeys' 58 and 110 sites are tuned to pose, category and content in known shares.
Writes stimuli.npy [n, 32, 32] (-1 to 1), responses.npy [n, 168], pose.npy [n, 6] (s, ty, tz, rxy, rxz, ryz),
categories.npy [n], content.npy [n, 2] (stripes, tone), background.npy [n], stimuli.csv in brain-score's columns,
stimuli.png (the first 64), sites.json with the tuning of every site, and run.json.

Example:
  gyrus phantom it --out it --n 640
`;

/** Adds the command to `phantom`. */
export function registerIt(phantom: Command): void {
  phantom.command("it")
    .description("write stimuli of known factors and a simulated inferior temporal population")
    .option(
      "--n <images>",
      "stimuli; the recordings that these stand for have 5,760",
      wholeNumber,
      5760,
    )
    .option("--png", "also write every stimulus as images/<image_id>.png", false)
    .addHelpText("after", HELP)
    .action((_, command: Command) => write(command.optsWithGlobals()));
}

function write(options: ItOptions): void {
  const { n, seed, png } = options;
  const started = new Date();
  const output = beginOutput(options.out, { kind: "folder" });
  const { sites } = writeIt(output.partial, { n, seed, png });
  const results = { images: n, sites: sites.length };
  const record = runRecord({
    command: "phantom it",
    options: { ...options },
    inputs: {},
    started,
    results,
  });
  Deno.writeTextFileSync(`${output.partial}/${RUN_RECORD}`, `${JSON.stringify(record, null, 2)}\n`);
  output.commit();
  if (options.json) return console.log(JSON.stringify({ out: options.out, ...results }));
  console.log(`written ${n} images and the responses of ${sites.length} sites to ${options.out}`);
}
