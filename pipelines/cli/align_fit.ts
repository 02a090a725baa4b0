/**
 * `gyrus align fit`: channel alignment of several networks by brain responses.
 *
 * @module
 */
import { type Command, Option } from "commander";
import type { Gpu } from "../../engine/gpu.ts";
import { randomKey } from "../../engine/random.ts";
import { type NodeType, nodeTypes } from "../dense/features.ts";
import type { Alignment } from "../encoding/alignment/alignment.ts";
import { saveAlignment } from "../encoding/alignment/alignment_file.ts";
import { fitAlignment } from "../encoding/alignment/fit_alignment.ts";
import { samePatchCosines } from "../encoding/alignment/same_patch.ts";
import { readTokens, TokenCache } from "../encoding/alignment/token_cache.ts";
import type { TokenSource } from "../encoding/alignment/tokens.ts";
import { InputError } from "../errors.ts";
import { quote } from "../io/strict_json.ts";
import { addSettingOptions, settingsOf } from "./align_options.ts";
import { type ModelFile, type OpenTokens, openTokens, parseModelFile } from "./align_tokens.ts";
import { openGpu } from "./open_gpu.ts";
import { type GlobalOptions, wholeNumber } from "./options.ts";
import { beginOutput } from "./output.ts";
import { Progress } from "./progress.ts";
import { readSamples } from "./read_matrix.ts";

/** Options of `align fit`. */
export interface AlignFitOptions extends GlobalOptions {
  /** Networks, each `NAME=FILE`. */
  readonly model: readonly string[];
  readonly layers: string;
  readonly nodes: NodeType;
  readonly prefix: readonly string[];
  readonly grid: number;
  /** Reference of the responses. */
  readonly responses: string;
  readonly coordinates?: string;
  readonly heldOut?: string;
  readonly cache?: string;
  readonly cacheDtype: "f16" | "f32";
  readonly checkpoint?: string;
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

const append = (text: string, before: readonly string[] = []): string[] => [...before, text];

/** Adds the command. */
export function registerAlignFit(
  align: Command,
  action: (options: AlignFitOptions) => Promise<void>,
): void {
  const fit = align.command("fit")
    .description("bring layers of several networks into one space that predicts brain responses")
    .addOption(
      new Option("--model <name=file>", "features of a network; once for each")
        .argParser(append).makeOptionMandatory(),
    )
    .requiredOption("--responses <ref>", "responses [images, voxels]")
    .option("--coordinates <ref>", "places of the voxels [voxels, axes], for factor-topy")
    .option("--layers <list>", "layers of every network, with commas, or all", "all")
    .addOption(
      new Option("--nodes <type>", "what of the blocks: see gyrus features --help")
        .choices(nodeTypes).default("block"),
    )
    .addOption(
      new Option("--prefix <name=n>", "tokens before the patches, where the file does not say (1)")
        .argParser(append).default([], "of the file"),
    )
    .option("--grid <n>", "patches along a side", wholeNumber, 8)
    .option(
      "--held-out <n or ref>",
      "last images held out, or an array of rows (default: a random tenth)",
    )
    .option("--cache <file>", "keep the tokens there, in place of memory; made once")
    .addOption(
      new Option("--cache-dtype <type>", "precision of the cache").choices(["f16", "f32"]).default(
        "f16",
      ),
    )
    .option(
      "--checkpoint <file>",
      "keep the state after every epoch; the same command goes on after a stop",
    );
  addSettingOptions(fit);
  fit.addHelpText("after", HELP)
    .action(async (_, command: Command) => await action(command.optsWithGlobals()));
}

function parsePrefixes(
  texts: readonly string[],
  models: readonly ModelFile[],
): Map<string, number> {
  return new Map(texts.map((text) => {
    const [, name, count] = /^(.+)=(\d+)$/.exec(text) ?? [];
    if (name !== undefined && models.some((model) => model.name === name)) {
      return [name, Number(count)];
    }
    throw new InputError(
      `Cannot read --prefix ${quote(text)}: NAME=N is needed, the name one of ${
        models.map((model) => model.name).join(", ")
      }`,
    );
  }));
}

async function heldOutOf(text: string | undefined): Promise<number | Float32Array | undefined> {
  if (text === undefined) return undefined;
  return /^\d+$/.test(text) ? Number(text) : (await readSamples(text, "1")).data;
}

/** Tokens that need more than this go to disk. */
const MOST_BYTES = 4 * 2 ** 30;

async function openSource(
  tokens: OpenTokens,
  options: AlignFitOptions,
  progress: Progress,
): Promise<TokenSource & Partial<Disposable>> {
  const { grid, cache, cacheDtype: dtype, checkpoint, out } = options;
  const { readers } = tokens;
  if (grid === 0) throw new InputError("Cannot align grids of 0 patches: --grid counts from 1");
  const onProgress = progress.update;
  if (cache !== undefined) {
    if (cache === out || cache === checkpoint) {
      throw new InputError(`Cannot keep tokens in ${quote(cache)}: something else goes there`);
    }
    return await TokenCache.open(cache, readers, { grid, dtype, onProgress });
  }
  const values = readers.reduce((sum, { width }) => sum + width, 0) * (1 + grid * grid);
  const bytes = 4 * values * (readers[0]?.nImages ?? 0);
  if (bytes > MOST_BYTES) {
    throw new InputError(
      `Cannot hold tokens of ${
        (bytes / 2 ** 30).toFixed(1)
      } GiB in memory: --cache FILE keeps them on disk`,
    );
  }
  return await readTokens(readers, { grid, onProgress });
}

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
  const before = await samePatchCosines(source, { images: heldOut });
  const after = await samePatchCosines(source, { alignment });
  return {
    ...summary,
    ...{ samePatchBefore: before.same, samePatchAfter: after.same },
    ...{ marginBefore: before.margin, marginAfter: after.margin },
  };
}

/** Fits what the options say; returns the results and the device they were computed on, which the caller disposes. */
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
  const prefix = parsePrefixes(options.prefix, models);
  const responses = await readSamples(options.responses, "voxels");
  const coordinates = options.coordinates === undefined
    ? undefined
    : await readSamples(options.coordinates, "axes");
  const heldOut = await heldOutOf(options.heldOut);
  using tokens = await openTokens(models, { layers: options.layers, nodes: options.nodes, prefix });
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
