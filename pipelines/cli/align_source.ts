/**
 * Tokens and responses of `gyrus align`: what its commands that train have in common.
 *
 * @module
 */
import { type Command, Option } from "commander";
import { type NodeType, nodeTypes } from "../dense/features.ts";
import { readTokens, TokenCache } from "../encoding/alignment/token_cache.ts";
import type { TokenSource } from "../encoding/alignment/tokens.ts";
import { InputError } from "../errors.ts";
import { quote } from "../io/strict_json.ts";
import type { ModelFile, OpenTokens, TokenChoice } from "./align_tokens.ts";
import { type GlobalOptions, wholeNumber } from "./options.ts";
import type { Progress } from "./progress.ts";
import { readSamples } from "./read_matrix.ts";

/** Options of the commands that train. */
export interface SourceOptions extends GlobalOptions {
  /** Networks, each `NAME=FILE`. */
  readonly model: readonly string[];
  readonly layers: string;
  readonly nodes: NodeType;
  readonly prefix: readonly string[];
  readonly grid: number;
  /** Reference of the responses. */
  readonly responses: string;
  readonly heldOut?: string;
  readonly cache?: string;
  readonly cacheDtype: "f16" | "f32";
  readonly checkpoint?: string;
}

/** Collects the values of an option that may be repeated. */
export const append = (text: string, before: readonly string[] = []): string[] => [...before, text];

/** Adds the options. */
export function addSourceOptions(command: Command): Command {
  return command
    .addOption(
      new Option("--model <name=file>", "features of a network; once for each")
        .argParser(append).makeOptionMandatory(),
    )
    .requiredOption("--responses <ref>", "responses [images, voxels]")
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
    );
}

/** Which tokens of the networks are read. */
export function tokenChoice(options: SourceOptions, models: readonly ModelFile[]): TokenChoice {
  const { layers, nodes, prefix } = options;
  return { layers, nodes, prefix: parsePrefixes(prefix, models) };
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

/** Images that are held out: how many of the last, or their rows. */
export async function heldOutOf(
  text: string | undefined,
): Promise<number | Float32Array | undefined> {
  if (text === undefined) return undefined;
  return /^\d+$/.test(text) ? Number(text) : (await readSamples(text, "1")).data;
}

/** Tokens that need more than this go to disk. */
const MOST_BYTES = 4 * 2 ** 30;

/** Tokens of all images on one grid, in memory or in the cache that the options name. */
export async function openSource(
  tokens: OpenTokens,
  options: SourceOptions,
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
