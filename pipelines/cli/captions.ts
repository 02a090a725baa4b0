/**
 * Captions from a text file, through a model's text tower.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import { fileError } from "../io/files.ts";
import type { Hdf5Writer } from "../io/hdf5_writer.ts";
import { quote } from "../io/strict_json.ts";
import type { ClipTokenizer } from "../models/clip_bpe.ts";
import type { VisionModel } from "../models/model.ts";
import { loadTokenizer } from "../models/tokenizer.ts";

/** Captions that a text tower embeds at once. */
const AT_ONCE = 32;

/** Captions with the tokenizer that cuts them. */
export interface Captions {
  /** One per line of the file; empty lines are passed over. */
  readonly lines: readonly string[];
  /** Tokenizer. */
  readonly tokenizer: ClipTokenizer;
}

/**
 * Reads `--captions` and `--tokenizer`; undefined without them.
 *
 * @throws {InputError} when one is given without the other, or a file cannot be used
 */
export async function readCaptions(
  { captions, tokenizer }: { readonly captions?: string; readonly tokenizer?: string },
): Promise<Captions | undefined> {
  if (captions === undefined && tokenizer === undefined) return undefined;
  if (captions === undefined || tokenizer === undefined) {
    const missing = captions === undefined ? "--captions" : "--tokenizer";
    throw new InputError(`Cannot embed text: ${missing} is missing`);
  }
  let text: string;
  try {
    text = await Deno.readTextFile(captions);
  } catch (cause) {
    throw fileError("read", captions, cause);
  }
  const lines = text.split(/\r?\n/).filter((line) => line.trim() !== "");
  if (lines.length === 0) {
    throw new InputError(`Cannot embed ${quote(captions)}: it holds no captions`);
  }
  return { lines, tokenizer: await loadTokenizer(tokenizer) };
}

/**
 * Embeds captions into `/captions [k, m]`, with their text in `/caption_text`.
 *
 * @returns the shape
 * @throws {InputError} when the model has no text tower, or a caption is too long for it
 */
export async function writeCaptions(
  model: VisionModel,
  file: Hdf5Writer,
  { lines, tokenizer }: Captions,
): Promise<readonly number[]> {
  const contextLength = model.textConfig?.context;
  const encode = (line: string) => tokenizer.encode(line, { contextLength });
  let shape: readonly number[] = [];
  for (let start = 0; start < lines.length; start += AT_ONCE) {
    using embedded = model.encodeText(lines.slice(start, start + AT_ONCE).map(encode));
    if (start === 0) {
      shape = [lines.length, embedded.shape[1]];
      file.createDataset("/captions", { shape, dtype: "f32" });
    }
    file.writeRows("/captions", start, await embedded.data());
  }
  file.writeStrings("/caption_text", lines);
  return shape;
}
