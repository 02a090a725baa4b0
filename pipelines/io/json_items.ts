import { InputError } from "../errors.ts";
import { RandomAccessFile } from "./files.ts";
import { quote } from "./strict_json.ts";

/** Bytes of the file in memory at once, beside one element. */
const CHUNK = 2 ** 20;
/** An element longer than this is no record of a data set. */
const MAX_ITEM = 256 * 2 ** 20;

/** An element of an array in the file's outermost object. */
export interface JsonItem {
  /** Name of the array. */
  readonly key: string;
  /** The element. */
  readonly value: unknown;
}

const is = (char: string): number => char.charCodeAt(0);
const [QUOTE, ESCAPE, COLON, COMMA] = [is('"'), is("\\"), is(":"), is(",")];
const [OPEN, CLOSE, LIST, END] = [is("{"), is("}"), is("["), is("]")];

/** Walks over bytes and cuts out the elements; everything else is only counted. */
class Scanner {
  readonly #keys: ReadonlySet<string>;
  readonly #cannot: string;
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0);
  /** Where the element or name begins that is being read, or −1. */
  #start = -1;
  #depth = 0;
  #inString = false;
  #escaped = false;
  #lastString = "";
  #key = "";
  /** Whether inside an array whose elements are wanted. */
  #inArray = false;

  constructor(keys: readonly string[], cannot: string) {
    this.#keys = new Set(keys);
    this.#cannot = cannot;
  }

  /** Whether the outermost object has ended. */
  isComplete = false;

  *scan(chunk: Uint8Array<ArrayBuffer>): Generator<JsonItem> {
    let at = 0;
    if (this.#start < 0) this.#bytes = chunk;
    else {
      const held = this.#bytes.subarray(this.#start);
      if (held.length > MAX_ITEM) {
        throw new InputError(`${this.#cannot} one of its elements has more than ${MAX_ITEM} bytes`);
      }
      this.#bytes = new Uint8Array(held.length + chunk.length);
      this.#bytes.set(held);
      this.#bytes.set(chunk, held.length);
      at = held.length;
      this.#start = 0;
    }
    for (; at < this.#bytes.length; at++) {
      const item = this.#inString ? this.#inText(at) : this.#outside(at);
      if (item) yield item;
    }
  }

  #inText(at: number): undefined {
    const byte = this.#bytes[at];
    if (this.#escaped) this.#escaped = false;
    else if (byte === ESCAPE) this.#escaped = true;
    else if (byte === QUOTE) {
      this.#inString = false;
      if (this.#depth !== 1) return;
      this.#lastString = String(this.#parse(at + 1));
      this.#start = -1;
    }
  }

  #outside(at: number): JsonItem | undefined {
    const byte = this.#bytes[at];
    if (byte <= 32) return; // White space.
    if (this.isComplete || (this.#depth === 0 && byte !== OPEN)) {
      throw new InputError(`${this.#cannot} it must be one JSON object`);
    }
    const isBetween = this.#inArray && this.#depth === 2;
    let item: JsonItem | undefined;
    if (isBetween && (byte === COMMA || byte === END)) {
      if (this.#start >= 0) item = { key: this.#key, value: this.#parse(at) };
      this.#start = -1;
    } else if (isBetween && this.#start < 0) this.#start = at;
    if (byte === QUOTE) {
      this.#inString = true;
      if (this.#depth === 1) this.#start = at;
    } else if (byte === OPEN || byte === LIST) {
      this.#depth++;
      if (this.#depth === 2) this.#inArray = byte === LIST && this.#keys.has(this.#key);
    } else if (byte === CLOSE || byte === END) {
      this.#depth--;
      if (this.#depth === 1) this.#inArray = false;
      if (this.#depth === 0) this.isComplete = true;
    } else if (byte === COLON && this.#depth === 1) this.#key = this.#lastString;
    return item;
  }

  #parse(end: number): unknown {
    const text = new TextDecoder().decode(this.#bytes.subarray(this.#start, end));
    try {
      return JSON.parse(text);
    } catch (cause) {
      throw new InputError(`${this.#cannot} it is not JSON at ${quote(text.slice(0, 40))}`, {
        cause,
      });
    }
  }
}

/**
 * The elements of some arrays of a JSON file, one at a time: `annotations` of `{"images": […], "annotations": […]}`. The file may be
 * larger than memory, and than the longest string that JavaScript can hold.
 *
 * @param keys names of the arrays, which stand in the outermost object
 * @throws {InputError} when there is no such file, it is no JSON object, or it is cut off
 */
export function* jsonItems(path: string, keys: readonly string[]): Generator<JsonItem> {
  const cannot = `Cannot read JSON ${quote(path)}:`;
  using file = new RandomAccessFile(path);
  const scanner = new Scanner(keys, cannot);
  for (let at = 0; at < file.size; at += CHUNK) {
    yield* scanner.scan(file.read(at, Math.min(CHUNK, file.size - at)));
  }
  if (!scanner.isComplete) throw new InputError(`${cannot} it is cut off after ${file.size} bytes`);
}
