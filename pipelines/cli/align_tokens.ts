/**
 * Tokens of networks in files of `gyrus features --layers`, as channel alignment reads them.
 *
 * @module
 */
import type { SliceReader } from "../encoding/alignment/token_cache.ts";
import type { NodeType } from "../dense/features.ts";
import { InputError } from "../errors.ts";
import { openArray, type RowSource } from "../io/array_ref.ts";
import { withFileErrors } from "../io/files.ts";
import { Hdf5File } from "../io/hdf5.ts";
import { quote } from "../io/strict_json.ts";
import { requireFinite } from "../io/checks.ts";

/** A network by name and the file of its features. */
export interface ModelFile {
  readonly name: string;
  readonly path: string;
}

/**
 * Reads `NAME=FILE`.
 *
 * @throws {InputError} for anything else
 */
export function parseModelFile(text: string): ModelFile {
  const [, name, path] = /^([\w-][\w.-]*)=(.+)$/s.exec(text) ?? [];
  if (name !== undefined) return { name, path };
  throw new InputError(
    `Cannot read the network ${
      quote(text)
    }: NAME=FILE is needed, the name of letters, digits, ".", "_" and "-"`,
  );
}

/** What of the files is aligned. */
export interface TokenChoice {
  /** Layers by number with commas, or `all`. */
  readonly layers: string;
  /** What of the blocks. */
  readonly nodes: NodeType;
  /** Tokens before the patches, by network, where files do not say. */
  readonly prefix: ReadonlyMap<string, number>;
}

/** Readers of tokens with the files that they keep open. */
export class OpenTokens implements Disposable {
  /** One for each layer of each network, networks in the order given, layers ascending. */
  readonly readers: readonly SliceReader[];
  readonly #sources: readonly RowSource[];

  constructor(readers: readonly SliceReader[], sources: readonly RowSource[]) {
    this.readers = readers;
    this.#sources = sources;
  }

  /** Closes the files. */
  [Symbol.dispose](): void {
    for (const source of this.#sources) source.close();
  }
}

/**
 * Opens the layers of every network.
 *
 * @throws {InputError} when a network is named twice, a file has no such layers, or its tokens are not a prefix and a grid of patches
 */
export async function openTokens(
  models: readonly ModelFile[],
  choice: TokenChoice,
): Promise<OpenTokens> {
  const twice = models.find(({ name }, i) => models.findIndex((other) => other.name === name) < i);
  if (twice) throw new InputError(`Cannot align two networks named ${quote(twice.name)}`);
  const readers: SliceReader[] = [], sources: RowSource[] = [];
  try {
    for (const model of models) {
      const { layers, attributes } = await layersOf(model, choice);
      for (const layer of layers) {
        const source = await openArray(`${model.path}:/${folderOf(choice.nodes)}/${layer}`);
        sources.push(source);
        readers.push(readerOf(model, layer, source, { attributes, choice }));
      }
    }
  } catch (cause) {
    sources.forEach((source) => source.close());
    throw cause;
  }
  return new OpenTokens(readers, sources);
}

const folderOf = (nodes: NodeType): string => nodes === "block" ? "blocks" : nodes;

async function layersOf(
  { name, path }: ModelFile,
  { layers, nodes }: TokenChoice,
): Promise<{ layers: string[]; attributes: Readonly<Record<string, unknown>> }> {
  using file = await Hdf5File.open(path);
  const root = `/${folderOf(nodes)}/`;
  const there = file.datasets().filter((dataset) => dataset.startsWith(root))
    .map((dataset) => dataset.slice(root.length)).filter((layer) => /^\d+$/.test(layer))
    .sort((a, b) => Number(a) - Number(b));
  const wanted = layers === "all" ? there : layers.split(",").map((layer) => layer.trim());
  const missing = wanted.find((layer) => !there.includes(layer));
  if (wanted.length === 0 || missing !== undefined) {
    throw new InputError(
      `Cannot align ${missing === undefined ? "" : `layer ${missing} of `}${name}: ${
        quote(path)
      } has ${
        there.length > 0 ? `the layers ${there.join(", ")}` : "no layers"
      } under ${root}; gyrus features --layers all --nodes ${nodes} writes them`,
    );
  }
  return { layers: wanted, attributes: file.attributes() };
}

function readerOf(
  { name, path }: ModelFile,
  layer: string,
  source: RowSource,
  { attributes, choice }: {
    readonly attributes: Readonly<Record<string, unknown>>;
    readonly choice: TokenChoice;
  },
): SliceReader {
  const [nImages, nTokens, width] = source.shape;
  const told = choice.prefix.get(name) ?? attributes.prefix_tokens;
  const prefixTokens = typeof told === "number" ? told : 1;
  const side = Math.sqrt(nTokens - prefixTokens);
  const given = attributes.grid;
  const grid: readonly [number, number] = isPair(given) && choice.prefix.get(name) === undefined
    ? [Number(given[0]), Number(given[1])]
    : [side, side];
  if (
    source.shape.length !== 3 || !Number.isInteger(grid[0]) ||
    prefixTokens + grid[0] * grid[1] !== nTokens
  ) {
    throw new InputError(
      `Cannot read tokens from ${
        quote(source.source)
      }: [images, tokens, channels] with ${prefixTokens} tokens before ${
        Number.isInteger(grid[0]) ? `${grid[0]} × ${grid[1]} patches` : "a square of patches"
      } is needed, its shape is [${source.shape}]; --prefix ${name}=N says how many stand before`,
    );
  }
  const { size, mtime } = withFileErrors("read", path, () => Deno.statSync(path));
  return {
    ...{ model: name, layer, width, nImages, prefixTokens, grid },
    facts: [path.replace(/^.*\//s, ""), size, mtime?.getTime(), choice.nodes],
    readRows(start, end) {
      const rows = source.readRows(start, end);
      requireFinite(rows, { source: source.source, columns: nTokens * width, firstRow: start });
      return rows;
    },
  };
}

function isPair(value: unknown): value is ArrayLike<number> {
  return typeof value === "object" && value !== null && "length" in value && value.length === 2;
}
