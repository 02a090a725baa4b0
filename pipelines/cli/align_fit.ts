/**
 * `gyrus align fit`: channel alignment of several networks by brain responses.
 *
 * @module
 */
import type { Command } from "commander";
import type { Gpu } from "../../engine/gpu.ts";
import { randomKey } from "../../engine/random.ts";
import type { Alignment } from "../encoding/alignment/alignment.ts";
import { saveAlignment } from "../encoding/alignment/alignment_file.ts";
import { fitAlignment } from "../encoding/alignment/fit_alignment.ts";
import { samePatchCosines } from "../encoding/alignment/same_patch.ts";
import type { TokenSource } from "../encoding/alignment/tokens.ts";
import { InputError } from "../errors.ts";
import { quote } from "../io/strict_json.ts";
import { addSettingOptions, settingsOf } from "./align_options.ts";
import {
  addSourceOptions,
  heldOutOf,
  openSource,
  type SourceOptions,
  tokenChoice,
} from "./align_source.ts";
import { type ModelFile, openTokens, parseModelFile } from "./align_tokens.ts";
import { openGpu } from "./open_gpu.ts";
import { beginOutput } from "./output.ts";
import { Progress } from "./progress.ts";
import { readSamples } from "./read_matrix.ts";

/** Options of `align fit`. */
export interface AlignFitOptions extends SourceOptions {
  /** Places of the voxels. */
  readonly coordinates?: string;
}

const HELP = `
Features are files of gyrus features --layers, one for each network, of the same images in the same order as the responses.
Tokens are brought to --grid × --grid patches and a class token (the mean of the patches where a network has none).

Output (HDF5, float32):
  /weights/<model>/<layer> [channels, width]   the map of each layer: aligned = token · weights
  /head/beta [width, voxels], /head/bias       the head that all layers share; /head/shares of the class token;
                                               /head/space, /head/layers, /head/places of voxels that choose them
  /r2 [layers or networks, voxels]             on the held-out images; /losses/… [epochs]; /held_out; /response_mean, _std

Example:
  gyrus features --model clip.safetensors --images data/images/train --layers all --save cls --out clip.h5
  gyrus features --model dino.safetensors --images data/images/train --layers all --save cls --out dino.h5
  gyrus align fit --model clip=clip.h5 --model dino=dino.h5 --responses responses_subj01.h5:train --out align.h5
`;

/** Adds the command. */
export function registerAlignFit(
  align: Command,
  action: (options: AlignFitOptions) => Promise<void>,
): void {
  const fit = align.command("fit")
    .description("bring layers of several networks into one space that predicts brain responses");
  addSourceOptions(fit)
    .option("--coordinates <ref>", "places of the voxels [voxels, axes], for factor-topy")
    .option(
      "--checkpoint <file>",
      "keep the state after every epoch; the same command goes on after a stop",
    );
  addSettingOptions(fit);
  fit.addHelpText("after", HELP)
    .action(async (_, command: Command) => await action(command.optsWithGlobals()));
}

/** Held-out images whose patches are compared between networks. */
const MOST_IMAGES = 64;

/** What `align fit` tells of an alignment. */
async function summaryOf(
  source: TokenSource,
  alignment: Alignment,
): Promise<Record<string, unknown>> {
  const { meanR2, medianR2, bestEpoch, heldOut } = alignment.training;
  const summary = {
    ...{ nImages: source.nImages, heldOut: heldOut.length, nVoxels: alignment.nVoxels },
    ...{ layers: alignment.slices.length, width: alignment.width, epochs: meanR2.length },
    ...{ bestEpoch: bestEpoch + 1, meanR2: meanR2[bestEpoch], medianR2: medianR2[bestEpoch] },
  };
  if (new Set(source.slices.map(({ model }) => model)).size < 2) return summary;
  const images = heldOut.subarray(0, MOST_IMAGES);
  const before = await samePatchCosines(source, { images });
  const after = await samePatchCosines(source, { alignment, images });
  return {
    ...summary,
    ...{ samePatchBefore: before.same, samePatchAfter: after.same },
    ...{ marginBefore: before.margin, marginAfter: after.margin },
  };
}

/** Fits what the options say and hands over the results. */
export async function alignFit(
  options: AlignFitOptions,
  finish: (gpu: Gpu, results: Record<string, unknown>, models: readonly ModelFile[]) => void,
): Promise<void> {
  const { checkpoint, out, seed } = options;
  const output = beginOutput(out);
  if (checkpoint !== undefined && checkpoint === out) {
    throw new InputError(
      `Cannot keep the checkpoint in ${quote(checkpoint)}: the result goes there`,
    );
  }
  const models = options.model.map(parseModelFile);
  const responses = await readSamples(options.responses, "voxels");
  const coordinates = options.coordinates === undefined
    ? undefined
    : await readSamples(options.coordinates, "axes");
  const heldOut = await heldOutOf(options.heldOut);
  using tokens = await openTokens(models, tokenChoice(options, models));
  const progress = new Progress({ silent: options.json });
  using gpu = await openGpu(options);
  using resources = new DisposableStack();
  const source = await openSource(tokens, options, progress);
  resources.defer(() => source[Symbol.dispose]?.());
  using alignment = await fitAlignment(gpu, source, responses, {
    ...settingsOf({ ...options }),
    ...{ coordinates, heldOut, checkpoint, key: randomKey(seed) },
    facts: { tokens: tokens.readers.map(({ facts }) => facts), grid: options.grid },
    onProgress: progress.update,
    log: (line) => progress.log(line),
  });
  progress.end();
  const results = await summaryOf(source, alignment);
  await saveAlignment(output.partial, alignment, { inPlace: true });
  output.commit();
  finish(gpu, results, models);
}
