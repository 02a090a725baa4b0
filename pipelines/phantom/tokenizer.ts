/** The phantom's vocabulary as a byte-pair encoding in CLIP's own two files. */

import { byteTokens, END_OF_TEXT, END_OF_WORD, START_OF_TEXT } from "../models/clip_bpe.ts";
import { VOCABULARY } from "./captions.ts";

/** The text of CLIP's tokenizer files. */
export interface TokenizerFiles {
  /** `merges.txt`: a version line, then one merge per line, first merge first. */
  readonly merges: string;
  /** `vocab.json`: token to id. */
  readonly vocab: string;
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
  const tokens = [
    ...byteTokens,
    ...merges.map((merge) => merge.replace(" ", "")),
    START_OF_TEXT,
    END_OF_TEXT,
  ];
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  return {
    merges: `#version: 0.2\n${merges.join("\n")}\n`,
    vocab: JSON.stringify(vocab),
  };
}
