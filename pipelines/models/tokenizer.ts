import { InputError } from "../errors.ts";
import { fileError } from "../io/files.ts";
import { isJsonObject, parseJsonObject, quote } from "../io/strict_json.ts";
import { parseOpenAiBpe, parseTokenizerJson, parseVocabAndMerges } from "./bpe_files.ts";
import { type BpeVocabulary, ClipTokenizer } from "./clip_bpe.ts";

/** What a folder may hold, in the order of preference. */
const KNOWN_FILES = [
  "tokenizer.json",
  "vocab.json",
  "bpe_simple_vocab_16e6.txt.gz",
  "bpe_simple_vocab_16e6.txt",
] as const;

/** OpenAI's file is 3.2 MB and a `tokenizer.json` of CLIP 3.6 MB; the rest is room for larger vocabularies. */
const MAX_BYTES = 64 * 2 ** 20;

async function readFile(path: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    const { size } = await Deno.stat(path);
    if (size > MAX_BYTES) {
      throw new InputError(
        `Cannot read ${quote(path)}: a tokenizer may have ${MAX_BYTES} bytes, it has ${size}`,
      );
    }
    return await Deno.readFile(path);
  } catch (cause) {
    throw fileError("read", path, cause);
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isFile;
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return false;
    throw fileError("read", path, cause);
  }
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isDirectory;
  } catch (cause) {
    throw fileError("read", path, cause);
  }
}

async function gunzip(
  bytes: Uint8Array<ArrayBuffer>,
  path: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const chunks: Uint8Array<ArrayBuffer>[] = [];
  let size = 0;
  try {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    for await (const chunk of stream) {
      size += chunk.length;
      if (size > MAX_BYTES) {
        throw new InputError(
          `Cannot read ${quote(path)}: a tokenizer may have ${MAX_BYTES} bytes, it unpacks to more`,
        );
      }
      chunks.push(chunk);
    }
  } catch (cause) {
    if (cause instanceof InputError) throw cause;
    throw new InputError(`Cannot read ${quote(path)}: it is not a whole gzip file`, { cause });
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}

/** The path of a file next to another. */
function sibling(path: string, name: string): string {
  const cut = Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\"));
  return path.slice(0, cut + 1) + name;
}

async function readPair(vocabPath: string, mergesPath: string): Promise<BpeVocabulary> {
  for (const [path, other] of [[vocabPath, mergesPath], [mergesPath, vocabPath]]) {
    if (!await exists(path)) {
      throw new InputError(
        `Cannot read the tokenizer: ${quote(other)} needs ${
          quote(path)
        } beside it, there is no such file`,
      );
    }
  }
  return parseVocabAndMerges(await readFile(vocabPath), await readFile(mergesPath), {
    vocab: `Cannot read ${quote(vocabPath)}: it`,
    merges: `Cannot read ${quote(mergesPath)}: it`,
  });
}

async function readVocabulary(path: string): Promise<BpeVocabulary> {
  const raw = await readFile(path);
  const bytes = raw[0] === 0x1f && raw[1] === 0x8b ? await gunzip(raw, path) : raw;
  const what = `Cannot read ${quote(path)}: it`;
  if (bytes[0] === 0x7b) { // {
    const json = parseJsonObject(bytes, what);
    // A vocabulary may well hold a token "model", but then it is a number.
    return isJsonObject(json.model)
      ? parseTokenizerJson(json, what)
      : await readPair(path, sibling(path, "merges.txt"));
  }
  const start = new TextDecoder().decode(bytes.subarray(0, 64));
  if (start.includes("bpe_simple_vocab")) return parseOpenAiBpe(bytes, what);
  if (start.startsWith("#version") || path.endsWith("merges.txt")) {
    return await readPair(sibling(path, "vocab.json"), path);
  }
  throw new InputError(
    `${what} is none of CLIP's tokenizer files: tokenizer.json, vocab.json with merges.txt, ` +
      "or bpe_simple_vocab_16e6.txt.gz",
  );
}

/**
 * Reads CLIP's tokenizer from any of its files, told apart by their content: `tokenizer.json`, `vocab.json` or
 * `merges.txt` (the other one beside it), `bpe_simple_vocab_16e6.txt[.gz]`, or a folder with one of these.
 *
 * @throws {InputError} when the file is missing, damaged, or of another kind of tokenizer
 */
export async function loadTokenizer(path: string): Promise<ClipTokenizer> {
  if (!await isFolder(path)) return new ClipTokenizer(await readVocabulary(path));
  const folder = path.endsWith("/") ? path : `${path}/`;
  for (const name of KNOWN_FILES) {
    if (await exists(folder + name)) return new ClipTokenizer(await readVocabulary(folder + name));
  }
  throw new InputError(
    `Cannot find a tokenizer in ${quote(path)}: the folder must hold one of ${
      KNOWN_FILES.join(", ")
    }`,
  );
}
