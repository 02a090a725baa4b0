import { InputError } from "../errors.ts";
import { openArray, type RowSource } from "../io/array_ref.ts";
import { requireFinite } from "../io/checks.ts";
import { quote } from "../io/strict_json.ts";
import { looksChannelFirst } from "./nodes.ts";

/** Rows and columns of patches. */
export type PatchGrid = readonly [height: number, width: number];

/** How arrays of features hold patches, where their shapes leave it open. */
export interface FeatureNodesOptions {
  /**
   * Tokens before the patches in arrays `[images, tokens, width]`; by default what the attributes `prefix_tokens` and `grid` of an HDF5
   * file say, as `gyrus features` writes them, else as many as leave a square, of 0, 1 and 5.
   */
  readonly prefixTokens?: number;
  /** Patches of an image in arrays `[images, tokens, width]`; by default as above. */
  readonly grid?: PatchGrid;
  /** Takes the last axis as channels even where it looks like a side of an image. */
  readonly isChannelLast?: boolean;
}

/** The nodes of one array. */
export interface NodePart {
  /** The reference as the user gave it. */
  readonly source: string;
  /** Its first node among all. */
  readonly firstNode: number;
  /** Images, or nodes where an array has no images. */
  readonly nImages: number;
  /** Patches of an image; undefined where rows are nodes. */
  readonly grid?: PatchGrid;
  /** Tokens before the patches. */
  readonly prefixTokens: number;
}

/** Tokens before the patches of vision transformers: none, a class token, a class token and four registers. */
const PREFIX_TOKENS = [0, 1, 5];

/** Nodes of one part. */
export function nNodesOf({ nImages, grid }: Pick<NodePart, "nImages" | "grid">): number {
  return grid ? nImages * grid[0] * grid[1] : nImages;
}

/** What a file says of its tokens, where the array has as many. */
function writtenLayout(rows: RowSource): FeatureNodesOptions {
  const { prefix_tokens: prefixTokens, grid } = rows.attributes();
  if (typeof prefixTokens !== "number" || !Array.isArray(grid) || grid.length !== 2) return {};
  const [height, width] = grid.map(Number);
  return rows.shape[1] === prefixTokens + height * width
    ? { prefixTokens, grid: [height, width] }
    : {};
}

function partOf(
  rows: RowSource,
  options: FeatureNodesOptions,
): Omit<NodePart, "firstNode"> {
  const { source, shape } = rows;
  if (shape.length < 2 || shape.length > 4 || shape.some((length) => length === 0)) {
    throw new InputError(
      `Cannot take the nodes of ${
        quote(source)
      }: features are [nodes, width], [images, tokens, width] or ` +
        `[images, gridH, gridW, width], none of them 0, its shape is [${shape}]`,
    );
  }
  if (!options.isChannelLast && looksChannelFirst(shape)) {
    throw new InputError(
      `Cannot take the nodes of ${
        quote(source)
      }: channels must be the last axis, and [${shape}] looks like ` +
        "[…, channels, height, width]; transpose it, or insist with --channels-last",
    );
  }
  const [nImages, ...inner] = shape;
  if (inner.length === 1) return { source, nImages, prefixTokens: 0 };
  if (inner.length === 3) return { source, nImages, grid: [inner[0], inner[1]], prefixTokens: 0 };
  const { prefixTokens, grid } = options;
  const layout = prefixTokens === undefined && grid === undefined ? writtenLayout(rows) : options;
  return { source, nImages, ...tokensOf(source, inner[0], layout) };
}

/** Which tokens are patches, and how they lie. */
function tokensOf(
  source: string,
  nTokens: number,
  { prefixTokens, grid }: FeatureNodesOptions,
): { readonly grid: PatchGrid; readonly prefixTokens: number } {
  const choices = prefixTokens === undefined ? PREFIX_TOKENS : [prefixTokens];
  for (const prefix of choices) {
    const patches = nTokens - prefix, side = Math.round(Math.sqrt(patches));
    const [height, width] = grid ?? [side, side];
    if (patches > 0 && height * width === patches) {
      return { grid: [height, width], prefixTokens: prefix };
    }
  }
  const wanted = grid ? `a grid of ${grid[0]}x${grid[1]}` : "a square grid";
  throw new InputError(
    `Cannot take the patches of ${quote(source)}: ${nTokens} tokens without the first ${
      choices.join(" or ")
    } must be ${wanted}; give --grid HxW and --prefix-tokens N`,
  );
}

/** Where a node comes from. */
export interface NodePlace {
  /** Which array. */
  readonly part: number;
  /** Which image of it, or which row where it has no images. */
  readonly image: number;
  /** Which patch of the image, row by row; 0 where there are none. */
  readonly patch: number;
}

/**
 * Features of one or several arrays as the nodes of one graph: patches image by image, array by array. They are read in pieces.
 */
export class FeatureNodes implements Disposable {
  readonly #sources: readonly RowSource[];

  private constructor(
    sources: readonly RowSource[],
    /** The arrays. */
    readonly parts: readonly NodePart[],
    /** `[nNodes, width]` */
    readonly shape: readonly [nNodes: number, width: number],
  ) {
    this.#sources = sources;
  }

  /**
   * Opens arrays `[nodes, width]`, `[images, tokens, width]` or `[images, gridH, gridW, width]` of the same width.
   *
   * @param references `path[:name]` each
   * @throws {InputError} when an array cannot be read, its shape is another or looks channel-first, its tokens make no grid, or widths
   * differ
   */
  static async open(
    references: readonly string[],
    options: FeatureNodesOptions = {},
  ): Promise<FeatureNodes> {
    const sources: RowSource[] = [];
    try {
      const parts: NodePart[] = [];
      let firstNode = 0;
      for (const reference of references) {
        const rows = await openArray(reference);
        sources.push(rows);
        const part = partOf(rows, options), width = rows.shape.at(-1)!;
        const first = sources[0].shape.at(-1)!;
        if (width !== first) {
          throw new InputError(
            `Cannot join ${quote(references[0])} and ${
              quote(reference)
            } in one graph: features must be as wide, ` +
              `they have ${first} and ${width} channels; align them first (gyrus align)`,
          );
        }
        parts.push({ ...part, firstNode });
        firstNode += nNodesOf(part);
      }
      if (firstNode === 0) throw new InputError("Cannot cut a graph without nodes");
      return new FeatureNodes(sources, parts, [firstNode, sources[0].shape.at(-1)!]);
    } catch (cause) {
      sources.forEach((rows) => rows.close());
      throw cause;
    }
  }

  /** The array, image and patch of a node. */
  placeOf(node: number): NodePlace {
    if (!(Number.isInteger(node) && node >= 0 && node < this.shape[0])) {
      throw new RangeError(`Cannot place node ${node}: there are ${this.shape[0]}`);
    }
    const part = this.parts.findLastIndex(({ firstNode }) => firstNode <= node);
    const { firstNode, grid = [1, 1] } = this.parts[part];
    const patches = grid[0] * grid[1], at = node - firstNode;
    return { part, image: Math.floor(at / patches), patch: at % patches };
  }

  /**
   * Features of the nodes `start` to before `end`, `[end − start, width]`.
   *
   * @throws {InputError} when the array cannot be read or holds a value that is not finite
   */
  readRows(start: number, end: number): Float32Array<ArrayBuffer> {
    const width = this.shape[1];
    if (!(start >= 0 && start <= end && end <= this.shape[0])) {
      throw new RangeError(`Cannot read nodes ${start} to ${end} of ${this.shape[0]}`);
    }
    const out = new Float32Array((end - start) * width);
    for (const [p, part] of this.parts.entries()) {
      const from = Math.max(start, part.firstNode);
      const to = Math.min(end, part.firstNode + nNodesOf(part));
      if (from >= to) continue;
      const piece = this.#read(p, from - part.firstNode, to - part.firstNode);
      out.set(piece, (from - start) * width);
    }
    return out;
  }

  /** Nodes of one part, counted within it. */
  #read(p: number, start: number, end: number): Float32Array {
    const { grid = [1, 1], prefixTokens, source } = this.parts[p], width = this.shape[1];
    const patches = grid[0] * grid[1], tokens = patches + prefixTokens;
    const first = Math.floor(start / patches), last = Math.ceil(end / patches);
    const rows = this.#sources[p].readRows(first, last);
    requireFinite(rows, { source, columns: tokens * width, firstRow: first });
    if (prefixTokens === 0) {
      return rows.subarray((start - first * patches) * width, (end - first * patches) * width);
    }
    const out = new Float32Array((end - start) * width);
    for (let image = first; image < last; image++) {
      const from = Math.max(start, image * patches), to = Math.min(end, (image + 1) * patches);
      const at = (image - first) * tokens + prefixTokens + from - image * patches;
      out.set(rows.subarray(at * width, (at + to - from) * width), (from - start) * width);
    }
    return out;
  }

  /** Closes the files. */
  [Symbol.dispose](): void {
    this.#sources.forEach((rows) => rows.close());
  }
}
