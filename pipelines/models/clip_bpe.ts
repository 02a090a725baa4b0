import { InputError } from "../errors.ts";
import { cleanCaption } from "./clip_text_clean.ts";

/** Marks the end of a word in the vocabulary of CLIP. */
export const END_OF_WORD = "</w>";
/** The token before every caption. */
export const START_OF_TEXT = "<|startoftext|>";
/** The token after every caption, where the text tower is read out. */
export const END_OF_TEXT = "<|endoftext|>";
/** Tokens that CLIP's text tower takes (`clip/clip.py`, `tokenize`). */
export const CLIP_CONTEXT_LENGTH = 77;

/** Pattern of `clip/simple_tokenizer.py`, for text already in lower case. */
const words =
  /<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\p{White_Space}\p{L}\p{N}]+/gu;

/**
 * GPT-2's reversible map of the 256 bytes to printable characters, in the order in which CLIP numbers them:
 * printable Latin-1 as itself first, the rest from U+0100 on.
 */
function byteCharacters(): ReadonlyMap<number, string> {
  const map = new Map<number, string>();
  for (const [from, to] of [[0x21, 0x7e], [0xa1, 0xac], [0xae, 0xff]]) {
    for (let byte = from; byte <= to; byte++) map.set(byte, String.fromCharCode(byte));
  }
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    if (!map.has(byte)) map.set(byte, String.fromCharCode(next++));
  }
  return map;
}

const charOfByte = byteCharacters();
const byteOfChar = new Map([...charOfByte].map(([byte, char]) => [char, byte]));

/** The 512 tokens that every vocabulary starts from: each byte within a word, then each byte at its end. */
export const byteTokens: readonly string[] = [
  ...charOfByte.values(),
  ...[...charOfByte.values()].map((char) => char + END_OF_WORD),
];

/** A vocabulary as its files give it. */
export interface BpeVocabulary {
  /** Token to id. */
  readonly ids: ReadonlyMap<string, number>;
  /** Pairs to merge, best first, as `"first second"`. */
  readonly merges: readonly string[];
}

/** How {@link ClipTokenizer.encode} fills and cuts. */
export interface EncodeOptions {
  /** Tokens in the result. */
  contextLength?: number;
  /** What follows the end of the text: `zero` as OpenAI's code has it, `endOfText` as transformers has it. */
  padding?: "zero" | "endOfText";
  /** What to do with a caption that is too long: refuse it, or cut it and put the end token last. */
  overflow?: "error" | "truncate";
}

function checkVocabulary({ ids, merges }: BpeVocabulary): void {
  const need = [...byteTokens, START_OF_TEXT, END_OF_TEXT];
  const missing = need.find((token) => !ids.has(token));
  if (missing !== undefined) {
    throw new InputError(
      `Cannot use the vocabulary: a CLIP vocabulary holds ${
        JSON.stringify(missing)
      }, this one does not`,
    );
  }
  const names = new Map<number, string>();
  for (const [token, id] of ids) {
    if (!Number.isInteger(id) || id < 0 || id > 0x7fffffff || names.has(id)) {
      throw new InputError(
        `Cannot use the vocabulary: ids must be different whole numbers from 0, got ${id} for ` +
          JSON.stringify(token),
      );
    }
    names.set(id, token);
  }
  for (const [rank, merge] of merges.entries()) {
    const parts = merge.split(" ");
    if (parts.length !== 2 || !ids.has(parts.join(""))) {
      throw new InputError(
        `Cannot use the merges: merge ${rank + 1} must be two symbols that make a token of the ` +
          `vocabulary, got ${JSON.stringify(merge)}`,
      );
    }
  }
}

/** Cuts captions into the tokens of CLIP's text tower: byte-level BPE over words in lower case. */
export class ClipTokenizer {
  readonly #ids: ReadonlyMap<string, number>;
  readonly #tokens: ReadonlyMap<number, string>;
  readonly #ranks: ReadonlyMap<string, number>;
  readonly #cache = new Map<string, readonly number[]>();

  /** Rows that the token embedding needs: the largest id plus one. */
  readonly vocabSize: number;
  /** Id of `<|startoftext|>`. */
  readonly startOfText: number;
  /** Id of `<|endoftext|>`. */
  readonly endOfText: number;

  /**
   * Takes a vocabulary; see `loadTokenizer` for reading one from files.
   *
   * @throws {InputError} when a byte or a special token is missing, ids repeat, or a merge makes no token
   */
  constructor(vocabulary: BpeVocabulary) {
    checkVocabulary(vocabulary);
    const { ids, merges } = vocabulary;
    this.#ids = ids;
    this.#tokens = new Map([...ids].map(([token, id]) => [id, token]));
    this.#ranks = new Map(merges.map((merge, rank) => [merge, rank]));
    let largest = 0;
    for (const id of ids.values()) largest = Math.max(largest, id);
    this.vocabSize = largest + 1;
    this.startOfText = ids.get(START_OF_TEXT)!; // checked above, as every lookup below
    this.endOfText = ids.get(END_OF_TEXT)!;
  }

  /** Ids of a caption without the start and end tokens and without padding. */
  tokenize(caption: string): number[] {
    const out: number[] = [];
    const encoder = new TextEncoder();
    for (const [word] of cleanCaption(caption).matchAll(words)) {
      let known = this.#cache.get(word);
      if (!known) {
        known = word === START_OF_TEXT || word === END_OF_TEXT
          ? [this.#ids.get(word)!]
          : this.#merge([...encoder.encode(word)]).map((token) => this.#ids.get(token)!);
        this.#cache.set(word, known);
      }
      for (const id of known) out.push(id);
    }
    return out;
  }

  /**
   * A caption as the text tower takes it: start, tokens, end, padding.
   *
   * @returns `[contextLength]`
   * @throws {InputError} when the caption is too long and `overflow` is `error`
   */
  encode(
    caption: string,
    { contextLength = CLIP_CONTEXT_LENGTH, padding = "zero", overflow = "error" }: EncodeOptions =
      {},
  ): Int32Array<ArrayBuffer> {
    const ids = this.tokenize(caption);
    if (ids.length + 2 > contextLength) {
      if (overflow === "error") {
        throw new InputError(
          `Cannot encode the caption: it may have ${
            contextLength - 2
          } tokens, has ${ids.length}: ` +
            JSON.stringify(caption.length <= 60 ? caption : `${caption.slice(0, 57)}…`),
        );
      }
      ids.length = Math.max(contextLength - 2, 0);
    }
    const out = new Int32Array(contextLength).fill(padding === "zero" ? 0 : this.endOfText);
    out.set([this.startOfText, ...ids, this.endOfText].slice(0, contextLength));
    return out;
  }

  /**
   * Text of ids: words in lower case, each followed by a space, special tokens written out.
   *
   * @throws {InputError} when an id is not in the vocabulary
   */
  decode(ids: ArrayLike<number>): string {
    const bytes: number[] = [];
    for (const id of Array.from(ids)) {
      const token = this.#tokens.get(id);
      if (token === undefined) {
        throw new InputError(
          `Cannot decode: ids must be of this vocabulary of ${this.vocabSize}, got ${id}`,
        );
      }
      for (const char of token) {
        const byte = byteOfChar.get(char);
        if (byte === undefined) {
          throw new InputError(
            `Cannot decode: tokens must be made of byte characters, got ${JSON.stringify(token)}`,
          );
        }
        bytes.push(byte);
      }
    }
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(Uint8Array.from(bytes))
      .replaceAll(END_OF_WORD, " ");
  }

  /** Merges the best pair of a word, everywhere in it, until no pair of it is in the list. */
  #merge(word: number[]): string[] {
    let symbols = word.map((byte) => charOfByte.get(byte)!);
    symbols[symbols.length - 1] += END_OF_WORD;
    while (symbols.length > 1) {
      let best = Infinity;
      let at = 0;
      for (let i = 0; i + 1 < symbols.length; i++) {
        const rank = this.#ranks.get(`${symbols[i]} ${symbols[i + 1]}`) ?? Infinity;
        if (rank < best) [best, at] = [rank, i];
      }
      if (best === Infinity) break;
      symbols = mergePair(symbols, symbols[at], symbols[at + 1]);
    }
    return symbols;
  }
}

/** Joins every `first`, `second` of a word, from the left. */
function mergePair(symbols: readonly string[], first: string, second: string): string[] {
  const out: string[] = [];
  for (let i = 0; i < symbols.length; i++) {
    const joins = symbols[i] === first && symbols[i + 1] === second;
    out.push(joins ? first + second : symbols[i]);
    if (joins) i++;
  }
  return out;
}
