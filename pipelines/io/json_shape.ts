import { InputError } from "../errors.ts";
import { isJsonObject, quote } from "./strict_json.ts";

/** What a value must be: a list of one shape, an object with shapes by key (`?` at the end of one that may be missing). */
export type JsonShape = "number" | "text" | readonly [JsonShape] | {
  readonly [key: string]: JsonShape;
};

/** An object whose keys all hold the same. */
export function sameShape(keys: readonly string[], shape: JsonShape): JsonShape {
  return Object.fromEntries(keys.map((key) => [key, shape]));
}

/**
 * The first place where a value is not what it must be: its path and what is due there; undefined where there is none.
 *
 * @param path what the value is called in the sentence; nothing for that of a whole file
 */
export function shapeMismatch(value: unknown, shape: JsonShape, path = ""): string | undefined {
  const due = (what: string) => `${path} must be ${what}, it is ${quote(value)}`.trimStart();
  if (shape === "number") return typeof value === "number" ? undefined : due("a number");
  if (shape === "text") return typeof value === "string" ? undefined : due("a text");
  if (Array.isArray(shape)) {
    if (!Array.isArray(value)) return due("a list");
    for (const [i, item] of value.entries()) {
      const wrong = shapeMismatch(item, shape[0], `${path}[${i}]`);
      if (wrong) return wrong;
    }
    return undefined;
  }
  if (!isJsonObject(value)) return due("an object");
  for (const [name, own] of Object.entries(shape)) {
    const key = name.replace(/\?$/, "");
    if (key !== name && value[key] === undefined) continue;
    const wrong = shapeMismatch(value[key], own, path === "" ? key : `${path}.${key}`);
    if (wrong) return wrong;
  }
  return undefined;
}

/** Deeper than any file that is meant for this, and far from where the stack ends. */
const MAX_DEPTH = 64;

/**
 * Parsed JSON with NaN for null, which is what JSON makes of numbers that are not finite.
 *
 * @throws {InputError} when lists and objects are nested more than 64 deep
 */
export function nullsAsNaN(value: unknown, depth = 0): unknown {
  if (value === null) return NaN;
  if (typeof value !== "object") return value;
  if (depth >= MAX_DEPTH) {
    throw new InputError(`Cannot read JSON that is nested more than ${MAX_DEPTH} deep`);
  }
  if (Array.isArray(value)) return value.map((item) => nullsAsNaN(item, depth + 1));
  return Object.fromEntries(
    Object.entries(value).map(([key, item]) => [key, nullsAsNaN(item, depth + 1)]),
  );
}
