/**
 * `gyrus encode pool`: one encoder of regions from those of several subjects.
 *
 * @module
 */
import { type Command, Option } from "commander";
import { foldIn, randomKey } from "../../engine/random.ts";
import { loadEncoder, saveEncoder } from "../encoding/encoder_file.ts";
import { InputError } from "../errors.ts";
import type { ReadoutPooling } from "../optvis/readout_weights.ts";
import { runRecord } from "../run_record.ts";
import { pooledEncoder, type PooledEncoderSubject } from "../vwam/pooled_encoder.ts";
import { readRegions } from "./maximize_options.ts";
import { openGpu } from "./open_gpu.ts";
import { type GlobalOptions, wholeNumber } from "./options.ts";
import { beginOutput, RUN_RECORD } from "./output.ts";

interface PoolOptions extends GlobalOptions {
  readonly encoder: readonly string[];
  readonly rois: readonly string[];
  readonly roi?: readonly string[];
  readonly pooling: ReadoutPooling;
  readonly top: number;
  readonly shuffled: boolean;
}

const HELP = `
Each subject's readout of a region gets length 1, and so does their mean: images that gyrus maximize makes with it are for subjects who
had no part in it, and gyrus experiment tests them there. With --shuffled the weights of each layer stand in a random order: images of a
control (gyrus experiment --control).

Output folder: encoder.h5 with one response for each region, rois.json for --rois of maximize, run.json.

Example:
  gyrus encode pool --encoder s1.h5 s2.h5 --rois rois_s1.csv rois_s2.csv --roi FFA EBA PPA --out pool
  gyrus maximize --model inception_v3_google-0cc3c7bd.pth --encoder pool/encoder.h5 --rois pool/rois.json \\
    --roi FFA EBA PPA --seeds 8 --out made
  gyrus experiment --images made --model inception_v3_google-0cc3c7bd.pth --encoder s3.h5 --rois rois_s3.csv --out found
`;

/** Adds the command. */
export function registerPool(encode: Command): void {
  encode.command("pool")
    .description(
      "one encoder of regions over several subjects, for images that others are tested with",
    )
    .requiredOption("--encoder <files...>", "a model from encode fit for each subject")
    .requiredOption("--rois <files...>", "regions of each subject, as for maximize")
    .option("--roi <names...>", "regions (default: those that all subjects have)")
    .addOption(
      new Option("--pooling <how>", "how a region's voxels become one readout")
        .choices(["mean", "accuracy", "zscore", "median", "top", "component"]).default("mean"),
    )
    .option("--top <n>", "voxels that --pooling top takes", wholeNumber, 100)
    .option("--shuffled", "weights of each layer in a random order, as a control", false)
    .addHelpText("after", HELP)
    .action(async (_, command: Command) => await pool(command.optsWithGlobals()));
}

async function pool(options: PoolOptions): Promise<void> {
  const started = new Date();
  const { encoder: files, rois, roi, pooling, top: nTop, shuffled, seed } = options;
  if (files.length !== rois.length) {
    throw new InputError(
      `Cannot pool encoders: there are ${files.length} and ${rois.length} of --rois`,
    );
  }
  const output = beginOutput(options.out, { kind: "folder" });
  using gpu = await openGpu(options);
  const subjects: PooledEncoderSubject[] = [];
  for (const [s, name] of files.entries()) {
    subjects.push({ name, encoder: await loadEncoder(gpu, name), regions: readRegions(rois[s]) });
  }
  const common = subjects[0].regions.map(({ name }) => name)
    .filter((name) => subjects.every(({ regions }) => regions.some((own) => own.name === name)));
  const names = roi ?? common;
  if (names.length === 0) throw new InputError("Cannot pool regions: subjects have none in common");
  const shuffle = shuffled ? foldIn(randomKey(seed), 3) : undefined;
  const pooled = await pooledEncoder(gpu, subjects, names, { pooling, nTop, shuffle });
  await saveEncoder(`${output.partial}/encoder.h5`, pooled);
  const columns = Object.fromEntries(names.map((name, r) => [name, [r]]));
  Deno.writeTextFileSync(`${output.partial}/rois.json`, `${JSON.stringify(columns)}\n`);
  const results = { subjects: files.length, regions: names };
  const inputs = [
    ...files.map((path, i) => [`encoder${i || ""}`, path]),
    ...rois.map((path, i) => [`rois${i || ""}`, path]),
  ];
  const record = runRecord({
    ...{ command: "encode pool", options: { ...options }, gpu, started, results },
    inputs: Object.fromEntries(inputs),
  });
  Deno.writeTextFileSync(`${output.partial}/${RUN_RECORD}`, `${JSON.stringify(record, null, 2)}\n`);
  output.commit();
  if (options.json) return console.log(JSON.stringify({ out: options.out, ...results }));
  console.log(`${names.join(", ")} of ${files.length} subjects in ${options.out}/encoder.h5`);
}
