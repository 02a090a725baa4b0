import { InputError } from "../../errors.ts";
import { RecordLog, type RecordPlace } from "../../io/record_log.ts";
import { decodeFloat16, encodeFloat16 } from "../../io/state_dict.ts";
import { quote } from "../../io/strict_json.ts";
import type { LongCall } from "../linear_model.ts";
import {
  type AlignmentSlice,
  gridTokens,
  type SliceTokens,
  type TokenLayout,
  tokensInMemory,
  type TokenSource,
} from "./tokens.ts";

/** Tokens of a layer as a network gave them, on disk or wherever they are. */
export interface SliceReader extends AlignmentSlice, TokenLayout {
  /** Number of images. */
  readonly nImages: number;
  /** What tells these tokens from others, for the cache: a file with its size and time of change. */
  readonly facts: unknown;
  /** Tokens of images `start` to before `end`, `[end − start, prefix + rows·columns, width]`. */
  readRows(start: number, end: number): Float32Array<ArrayBuffer>;
}

/** Options of {@link TokenCache.open} and {@link readTokens}. */
export interface TokenCacheOptions extends LongCall {
  /** Patches along a side. 8 in FactorTopy's code. */
  readonly grid?: number;
  /** How values are kept: half precision takes half of the disk, and tokens with values above 65,504 need the other. */
  readonly dtype?: "f16" | "f32";
}

/** Patches along a side that heads are trained on: `BrainDecodesDeepNets`. */
const GRID = 8;
const IMAGES_AT_ONCE = 16;
const LARGEST_HALF = 65504;

function requireReaders(readers: readonly SliceReader[]): number {
  const nImages = readers[0]?.nImages ?? 0;
  const odd = readers.find((reader) => reader.nImages !== nImages);
  if (nImages > 0 && odd === undefined) return nImages;
  throw new InputError(
    odd
      ? `Cannot align layer ${odd.layer} of ${odd.model}: it has tokens of ${odd.nImages} images, layer ${
        readers[0].layer
      } of ${readers[0].model} of ${nImages}`
      : "Cannot align channels: there are no tokens of images",
  );
}

/**
 * Reads all tokens into memory, each brought to a class token and `grid` × `grid` patches.
 *
 * @throws {InputError} when layers differ in their number of images
 */
export async function readTokens(
  readers: readonly SliceReader[],
  { grid = GRID, signal, onProgress }: Omit<TokenCacheOptions, "dtype"> = {},
): Promise<TokenSource> {
  const nImages = requireReaders(readers);
  const slices: SliceTokens[] = [];
  const step = IMAGES_AT_ONCE;
  for (const [s, reader] of readers.entries()) {
    const { model, layer, width } = reader;
    const tokens = new Float32Array(nImages * (1 + grid * grid) * width);
    for (let start = 0; start < nImages; start += step) {
      signal?.throwIfAborted();
      const rows = reader.readRows(start, Math.min(nImages, start + step));
      tokens.set(gridTokens(rows, reader, grid), start * (1 + grid * grid) * width);
    }
    slices.push({ model, layer, width, tokens });
    onProgress?.({ stage: "tokens", done: s + 1, total: readers.length });
    await new Promise((resolve) => setTimeout(resolve)); // lets signals in
  }
  return tokensInMemory(slices, grid);
}

/**
 * Tokens of all layers of all networks in one file, image after image, so that a batch of images is read in few pieces: training
 * passes over them many times, and 9,000 images of three networks of twelve layers are 32 GB. Every image has a digest that is checked
 * when the file is opened; what is missing or damaged is made anew from there on.
 */
export class TokenCache implements TokenSource, Disposable {
  readonly nImages: number;
  readonly grid: number;
  readonly slices: readonly AlignmentSlice[];
  readonly #path: string;
  readonly #log: RecordLog;
  readonly #places: readonly RecordPlace[];
  readonly #dtype: "f16" | "f32";

  private constructor(
    path: string,
    log: RecordLog,
    places: readonly RecordPlace[],
    { slices, grid, dtype }: {
      readonly slices: readonly AlignmentSlice[];
      readonly grid: number;
      readonly dtype: "f16" | "f32";
    },
  ) {
    this.#path = path;
    this.#log = log;
    this.#places = places;
    this.#dtype = dtype;
    this.nImages = places.length;
    this.grid = grid;
    this.slices = slices;
  }

  /**
   * Opens a cache, after making what is missing of it.
   *
   * @throws {InputError} when layers differ in their number of images, the file belongs to other tokens, or a value does not fit half precision
   */
  static async open(
    path: string,
    readers: readonly SliceReader[],
    { grid = GRID, dtype = "f16", signal, onProgress }: TokenCacheOptions = {},
  ): Promise<TokenCache> {
    const nImages = requireReaders(readers);
    const slices = readers.map(({ model, layer, width }) => ({ model, layer, width }));
    const facts = readers.map(({ facts, prefixTokens, grid }) => [facts, prefixTokens, grid]);
    const places: RecordPlace[] = [];
    const log = RecordLog.open(
      path,
      {
        networks: JSON.stringify([slices, facts, nImages]),
        "grid or precision": `${grid} ${dtype}`,
      },
      (_, place) => places.push(place),
    );
    try {
      while (places.length < nImages) {
        signal?.throwIfAborted();
        const start = places.length, end = Math.min(nImages, start + IMAGES_AT_ONCE);
        const parts = readers.map((reader) =>
          gridTokens(reader.readRows(start, end), reader, grid)
        );
        for (let i = 0; i < end - start; i++) {
          places.push(log.append(packImage(parts, slices, { image: i, n: end - start, dtype })));
        }
        onProgress?.({ stage: "tokens", done: end, total: nImages });
        await new Promise((resolve) => setTimeout(resolve)); // lets signals in
      }
    } catch (cause) {
      log[Symbol.dispose]();
      throw cause;
    }
    return new TokenCache(path, log, places, { slices, grid, dtype });
  }

  /**
   * Tokens of some images.
   *
   * @throws {InputError} when the file cannot be read or was changed meanwhile
   */
  read(images: ArrayLike<number>): Float32Array<ArrayBuffer>[] {
    const rows = 1 + this.grid ** 2;
    const out = this.slices.map(({ width }) => new Float32Array(images.length * rows * width));
    for (let i = 0; i < images.length; i++) {
      const values = this.#values(images[i]);
      let at = 0;
      out.forEach((tokens, s) => {
        const size = rows * this.slices[s].width;
        tokens.set(values.subarray(at, at + size), i * size);
        at += size;
      });
    }
    return out;
  }

  #values(image: number): Float32Array {
    const bytes = this.#log.read(this.#places[image]);
    const size = (1 + this.grid ** 2) * this.slices.reduce((sum, { width }) => sum + width, 0);
    if (bytes.length !== size * (this.#dtype === "f16" ? 2 : 4)) {
      throw new InputError(`Cannot read ${quote(this.#path)}: image ${image} is damaged`);
    }
    return this.#dtype === "f16"
      ? decodeFloat16(new Uint16Array(bytes.buffer, bytes.byteOffset, size))
      : new Float32Array(bytes.buffer, bytes.byteOffset, size);
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    this.#log[Symbol.dispose]();
  }
}

/** One image of a batch's tokens, slice after slice. */
function packImage(
  parts: readonly Float32Array[],
  slices: readonly AlignmentSlice[],
  { image, n, dtype }: {
    readonly image: number;
    readonly n: number;
    readonly dtype: "f16" | "f32";
  },
): Uint8Array {
  const packed = parts.map((tokens, s) => {
    const size = tokens.length / n;
    const values = Float32Array.from(tokens.subarray(image * size, (image + 1) * size));
    if (dtype === "f32") return new Uint8Array(values.buffer);
    const bad = values.find((x) => !(Math.abs(x) <= LARGEST_HALF));
    if (bad !== undefined) {
      const { model, layer } = slices[s];
      throw new InputError(
        `Cannot keep tokens of layer ${layer} of ${model} in half precision: a value is ${bad}, at most ${LARGEST_HALF} fits; ` +
          "keep them as f32",
      );
    }
    return new Uint8Array(encodeFloat16(values).buffer);
  });
  const out = new Uint8Array(packed.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of packed) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}
