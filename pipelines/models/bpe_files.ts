import { InputError } from "../errors.ts";
import { isJsonObject, type JsonObject, parseJsonObject, quote } from "../io/strict_json.ts";
import { type BpeVocabulary, byteTokens, END_OF_TEXT, START_OF_TEXT } from "./clip_bpe.ts";

/**
 * Merges of CLIP's vocabulary: 49,152 less 256 bytes and 2 special tokens (`clip/simple_tokenizer.py`). OpenAI's
 * file holds five times as many lines; those after these are not used.
 */
export const CLIP_MERGES = 49152 - 256 - 2;

function utf8(bytes: Uint8Array, what: string): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new InputError(`${what} is not UTF-8 text`);
  }
}

/** The merges of a text file, without its `#version` line. */
function mergeLines(bytes: Uint8Array, what: string): string[] {
  const lines = utf8(bytes, what).split("\n");
  // Only the first line can be a comment: "# #" is a merge.
  const first = /#version:/.test(lines[0]) ? 1 : 0;
  const merges: string[] = [];
  for (let at = first; at < lines.length && merges.length < CLIP_MERGES; at++) {
    const merge = lines[at].endsWith("\r") ? lines[at].slice(0, -1) : lines[at];
    if (merge === "" && at === lines.length - 1) break;
    if (!/^[^ ]+ [^ ]+$/.test(merge)) {
      throw new InputError(
        `${what} is not a list of merges: lines must be two symbols and one space, ` +
          `line ${at + 1} is ${quote(merge)}`,
      );
    }
    merges.push(merge);
  }
  return merges;
}

/**
 * Vocabulary of OpenAI's `bpe_simple_vocab_16e6.txt`, where the line number of a merge gives the id.
 *
 * @param bytes the text, gunzipped
 * @param what start of an error message: "Cannot read …: it"
 * @throws {InputError} when the text is not a list of merges, or is cut short: every id would be wrong
 */
export function parseOpenAiBpe(bytes: Uint8Array, what: string): BpeVocabulary {
  const merges = mergeLines(bytes, what);
  if (merges.length < CLIP_MERGES) {
    throw new InputError(
      `${what} is cut short: CLIP's vocabulary needs ${CLIP_MERGES} merges, it holds ${merges.length}`,
    );
  }
  const tokens = [
    ...byteTokens,
    ...merges.map((merge) => merge.replace(" ", "")),
    START_OF_TEXT,
    END_OF_TEXT,
  ];
  return { ids: new Map(tokens.map((token, id) => [token, id])), merges };
}

function idsOf(json: JsonObject, what: string): Map<string, number> {
  const ids = new Map<string, number>();
  for (const [token, id] of Object.entries(json)) {
    if (typeof id !== "number") {
      throw new InputError(
        `${what} is not a vocabulary: tokens must have numbers, ${quote(token)} has ${quote(id)}`,
      );
    }
    ids.set(token, id);
  }
  return ids;
}

/**
 * Vocabulary of the pair of files that transformers writes.
 *
 * @param vocab `vocab.json`: token to id
 * @param merges `merges.txt`: one merge a line, best first
 * @param what starts of error messages for either
 * @throws {InputError} when either file is not what it should be
 */
export function parseVocabAndMerges(
  vocab: Uint8Array,
  merges: Uint8Array,
  what: { vocab: string; merges: string },
): BpeVocabulary {
  return {
    ids: idsOf(parseJsonObject(vocab, what.vocab), what.vocab),
    merges: mergeLines(merges, what.merges),
  };
}

function mergeOf(value: unknown, what: string): string {
  if (typeof value === "string") return value;
  // Newer releases of `tokenizers` write pairs, so that symbols may hold spaces; CLIP's never do.
  if (Array.isArray(value) && value.length === 2 && value.every((s) => typeof s === "string")) {
    return value.join(" ");
  }
  throw new InputError(`${what} has a merge that is not two symbols: ${quote(value)}`);
}

/**
 * Vocabulary of a `tokenizer.json` of the `tokenizers` library.
 *
 * @param json the file, parsed
 * @param what start of an error message
 * @throws {InputError} when it describes another kind of tokenizer than CLIP's
 */
export function parseTokenizerJson(
  json: Readonly<Record<string, unknown>>,
  what: string,
): BpeVocabulary {
  const { model, added_tokens: added } = json;
  if (!isJsonObject(model) || (model.type !== "BPE" && model.type !== undefined)) {
    const type = isJsonObject(model) ? model.type : model;
    throw new InputError(
      `${what} is not a tokenizer of CLIP: its model must be BPE, got ${quote(type)}`,
    );
  }
  if (!isJsonObject(model.vocab) || !Array.isArray(model.merges)) {
    throw new InputError(
      `${what} is not a tokenizer of CLIP: its model lacks a vocabulary or merges`,
    );
  }
  if (model.end_of_word_suffix !== "</w>") {
    throw new InputError(
      `${what} is not a tokenizer of CLIP: words must end in "</w>", got ` +
        quote(model.end_of_word_suffix ?? null),
    );
  }
  const ids = idsOf(model.vocab, what);
  for (const token of Array.isArray(added) ? added : []) {
    if (!isJsonObject(token) || typeof token.content !== "string" || typeof token.id !== "number") {
      throw new InputError(`${what} has an added token without content and id: ${quote(token)}`);
    }
    ids.set(token.content, token.id);
  }
  return { ids, merges: model.merges.map((merge) => mergeOf(merge, what)) };
}
