/** The phantom's vocabulary as a byte-pair encoding in CLIP's own two files. */

import { VOCABULARY } from "./captions.ts";

/** The text of CLIP's tokenizer files. */
export interface TokenizerFiles {
  /** `merges.txt`: a version line, then one merge per line, first merge first. */
  readonly merges: string;
  /** `vocab.json`: token to id. */
  readonly vocab: string;
}

const END_OF_WORD = "</w>";

/**
 * The 256 printable stand-ins for bytes, in CLIP's order: printable Latin-1 first, then the rest moved to 256 and up
 * (openai/CLIP, simple_tokenizer.py, bytes_to_unicode).
 */
function byteCharacters(): string[] {
  const printable = [[33, 126], [161, 172], [174, 255]];
  const codes: number[] = [];
  for (const [low, high] of printable) for (let code = low; code <= high; code++) codes.push(code);
  for (let code = 256; codes.length < 256; code++) codes.push(code);
  return codes.map((code) => String.fromCharCode(code));
}

/** Joins neighbours, lowest rank first, until no merge applies. */
function encode(word: string, ranks: ReadonlyMap<string, number>): string[] {
  let tokens = [...word];
  tokens[tokens.length - 1] += END_OF_WORD;
  for (;;) {
    let best = Infinity;
    for (let i = 0; i + 1 < tokens.length; i++) {
      best = Math.min(best, ranks.get(`${tokens[i]} ${tokens[i + 1]}`) ?? Infinity);
    }
    if (best === Infinity) return tokens;
    const joined: string[] = [];
    for (const token of tokens) {
      const last = joined.at(-1);
      if (last !== undefined && ranks.get(`${last} ${token}`) === best) {
        joined[joined.length - 1] = last + token;
      } else joined.push(token);
    }
    tokens = joined;
  }
}

/**
 * Makes merges under which each word becomes one token, and the vocabulary that goes with them.
 *
 * The vocabulary holds the 256 byte characters, the same at the end of a word, one token per merge, and last
 * `<|startoftext|>` and `<|endoftext|>`: the order of CLIP's own vocabulary.
 */
export function tokenizerFiles(words: readonly string[] = VOCABULARY): TokenizerFiles {
  const ranks = new Map<string, number>();
  for (const word of words) {
    // A merge made for an earlier word may split this one in an unlucky place, so each merge is tried out.
    for (let tokens = encode(word, ranks); tokens.length > 1; tokens = encode(word, ranks)) {
      ranks.set(`${tokens[0]} ${tokens[1]}`, ranks.size);
    }
  }
  const merges = [...ranks.keys()];
  const bytes = byteCharacters();
  const tokens = [
    ...bytes,
    ...bytes.map((character) => character + END_OF_WORD),
    ...merges.map((merge) => merge.replace(" ", "")),
    "<|startoftext|>",
    "<|endoftext|>",
  ];
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  return {
    merges: `#version: 0.2\n${merges.join("\n")}\n`,
    vocab: JSON.stringify(vocab),
  };
}
