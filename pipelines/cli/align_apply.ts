/**
 * `gyrus align apply`: tokens of a layer in the shared space, or the responses that each of them speaks for.
 *
 * @module
 */
import type { Command } from "commander";
import type { Gpu } from "../../engine/gpu.ts";
import type { Alignment } from "../encoding/alignment/alignment.ts";
import { loadAlignment } from "../encoding/alignment/alignment_file.ts";
import { hostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import { openArray, type RowSource } from "../io/array_ref.ts";
import { requireFinite } from "../io/checks.ts";
import { Hdf5Writer } from "../io/hdf5_writer.ts";
import { hostTensor } from "../io/state_dict.ts";
import { resumeSteps, type StepArrays, StepLog } from "../io/step_log.ts";
import { withFileErrors } from "../io/files.ts";
import { quote } from "../io/strict_json.ts";
import { writeBatches } from "./feature_batches.ts";
import { openGpu } from "./open_gpu.ts";
import type { GlobalOptions } from "./options.ts";
import { beginOutput, letSignalsIn } from "./output.ts";
import { Progress } from "./progress.ts";
import { slabRows } from "./read_matrix.ts";

/** Options of `align apply`. */
export interface AlignApplyOptions extends GlobalOptions {
  /** File of the alignment. */
  readonly alignment: string;
  /** Reference of the tokens. */
  readonly features: string;
  readonly model: string;
  readonly layer: string;
  readonly predict: boolean;
  readonly checkpoint?: string;
}

const BYTES_AT_ONCE = 64 * 2 ** 20;

const HELP = `
Output (HDF5, float32), with the axes of the features but the last:
  /aligned [..., width]      tokens times the map of the layer
  /responses [..., voxels]   with --predict: what the head makes of each token alone, z-scored; of the patches of an
                             image a map of the image for every voxel

Example:
  gyrus align apply --alignment align.h5 --features test.h5:/blocks/2 --model clip --layer 2 --out aligned.h5
`;

/** Adds the command. */
export function registerAlignApply(
  align: Command,
  action: (options: AlignApplyOptions) => Promise<void>,
): void {
  align.command("apply")
    .description("aligned features of tokens, or the responses they speak for")
    .requiredOption("--alignment <file>", "an alignment from align fit")
    .requiredOption("--features <ref>", "tokens [..., channels] of the layer")
    .requiredOption("--model <name>", "name of the network, as in align fit")
    .requiredOption("--layer <name>", "its layer")
    .option("--predict", "responses in place of aligned features", false)
    .option(
      "--checkpoint <file>",
      "keep finished rows there; the same command goes on after a stop",
    )
    .addHelpText("after", HELP)
    .action(async (_, command: Command) => await action(command.optsWithGlobals()));
}

/** Tokens in pieces of rows, from piece `first` on. */
async function* appliedRows(
  { alignment, rows, options, step, progress }: {
    readonly alignment: Alignment;
    readonly rows: RowSource;
    readonly options: AlignApplyOptions;
    readonly step: number;
    readonly progress: Progress;
  },
  first: number,
): AsyncGenerator<StepArrays> {
  const { model, layer, predict, features } = options;
  const [n, ...inner] = rows.shape;
  const width = inner.at(-1) ?? 1;
  const columns = inner.reduce((product, length) => product * length, 1);
  for (let start = first * step; start < n; start += step) {
    await letSignalsIn();
    const end = Math.min(n, start + step);
    const values = rows.readRows(start, end);
    requireFinite(values, { source: features, columns, firstRow: start });
    const matrix = hostMatrix(values, [values.length / width, width]);
    const name = { model, layer };
    const { data, shape } =
      await (predict ? alignment.predict(matrix, name) : alignment.apply(matrix, name));
    const shaped = [end - start, ...inner.slice(0, -1), shape[1]];
    yield new Map([[predict ? "/responses" : "/aligned", hostTensor(data, shaped)]]);
    progress.update({ stage: "tokens", done: end, total: n });
  }
}

function openLog(options: AlignApplyOptions, gpu: Gpu, step: number): StepLog | undefined {
  const { checkpoint, out, features, alignment, model, layer, predict } = options;
  if (checkpoint === undefined) return undefined;
  if (checkpoint === out) {
    throw new InputError(
      `Cannot keep the checkpoint in ${quote(checkpoint)}: the result goes there`,
    );
  }
  const stat = (path: string) => {
    const { size, mtime } = withFileErrors("read", path, () => Deno.statSync(path));
    return [size, mtime?.getTime()];
  };
  return new StepLog(checkpoint, {
    alignment: stat(alignment),
    features: [features, stat(features.replace(/:[^:/]*(\/[^:]*)?$/s, ""))],
    options: { model, layer, predict, step },
    adapter: [gpu.adapterName, { ...gpu.caps, features: [...gpu.caps.features] }, gpu.options],
  });
}

/** Applies what the options say. */
export async function alignApply(
  options: AlignApplyOptions,
  finish: (gpu: Gpu, results: Record<string, unknown>) => void,
): Promise<void> {
  const output = beginOutput(options.out);
  const { model, layer, predict, features } = options;
  using gpu = await openGpu(options);
  using alignment = await loadAlignment(gpu, options.alignment);
  using rows = await openArray(features);
  const width = alignment.slices[alignment.indexOf({ model, layer })].width;
  const [n, ...inner] = rows.shape;
  if (inner.at(-1) !== width) {
    throw new InputError(
      `Cannot align ${
        quote(features)
      }: tokens of layer ${layer} of ${model} have ${width} channels in the last axis, its shape is [${rows.shape}]`,
    );
  }
  const perRow = inner.slice(0, -1).reduce((product, length) => product * length, 1);
  const wide = Math.max(width, predict ? alignment.nVoxels : alignment.width);
  const step = slabRows(rows, BYTES_AT_ONCE / 4 / perRow / wide);
  const progress = new Progress({ silent: options.json });
  using log = openLog(options, gpu, step);
  const job = { alignment, rows, options, step, progress };
  let shapes: Record<string, readonly number[]> = {};
  {
    using file = await Hdf5Writer.create(output.partial, { inPlace: true });
    shapes = await writeBatches(file, resumeSteps(log, (first) => appliedRows(job, first)), { n });
    file.setAttribute("/", "model", model);
    file.setAttribute("/", "layer", layer);
    file.commit();
  }
  progress.end();
  output.commit();
  finish(gpu, { model, layer, shapes });
}
