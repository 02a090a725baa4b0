import { InputError } from "../errors.ts";

/** A parsed JSON object. */
export type JsonObject = { readonly [key: string]: unknown };

/** A name from a file, as it may stand in an error message: quoted, escaped, at most 120 characters. */
export function quote(name: unknown): string {
  const text = JSON.stringify(name) ?? String(name);
  return text.length <= 120 ? text : `${text.slice(0, 117)}…"`;
}

/** Whether a parsed JSON value is an object (not null, not an array). */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** End of the string literal that opens at `start`: the index of its closing quote. */
function stringEnd(text: string, start: number): number {
  let at = start + 1;
  while (text[at] !== '"') at += text[at] === "\\" ? 2 : 1;
  return at;
}

/** First key that one object of a valid JSON text has twice, or `undefined`. */
function duplicateKey(text: string): string | undefined {
  const open: Set<string>[] = [];
  for (let at = 0; at < text.length; at++) {
    const char = text[at];
    if (char === "{") open.push(new Set());
    else if (char === "}") open.pop();
    else if (char === '"') {
      const end = stringEnd(text, at);
      let next = end + 1;
      while (" \t\n\r".includes(text[next] ?? "x")) next++;
      if (text[next] === ":") {
        const keys = open[open.length - 1];
        // Through the parser, as "a" and "\u0061" are the same key.
        const key = JSON.parse(text.slice(at, end + 1)) as string;
        if (keys.has(key)) return key;
        keys.add(key);
      }
      at = end;
    }
  }
  return undefined;
}

/**
 * The object that UTF-8 JSON bytes hold. `JSON.parse` silently keeps the last of two equal keys, so two readers
 * of one file may see different data: such a text is refused.
 *
 * @param what what the bytes are, as the subject of an error sentence ("its header")
 * @throws {InputError} when the bytes are not UTF-8, not JSON, not an object, or repeat a key
 */
export function parseJsonObject(bytes: Uint8Array, what: string): JsonObject {
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new InputError(`${what} is not UTF-8 text`);
  }
  try {
    value = JSON.parse(text);
  } catch {
    throw new InputError(`${what} is not JSON; it starts with ${quote(text.slice(0, 24))}`);
  }
  if (!isJsonObject(value)) {
    throw new InputError(
      `${what} must be a JSON object, got ${
        Array.isArray(value) ? "an array" : value === null ? "null" : `a ${typeof value}`
      }`,
    );
  }
  const repeated = duplicateKey(text);
  if (repeated !== undefined) {
    throw new InputError(`${what} has the key ${quote(repeated)} twice`);
  }
  return value;
}
