/**
 * Tuning tables as `gyrus tune` writes them: which variant of a kernel runs at which sizes on one adapter.
 *
 * @module
 */
import type { TuningEntry, TuningTable } from "../../engine/gpu.ts";
import { InputError } from "../errors.ts";
import { withFileErrors } from "./files.ts";
import { isJsonObject, parseJsonObject, quote } from "./strict_json.ts";

/** A table with the adapter that it was measured on. */
export interface TuningFile {
  /** Driver's description of the adapter. */
  readonly adapter: string;
  /** The table. */
  readonly table: TuningTable;
}

/** The text of a file. */
export function formatTuning({ adapter, table }: TuningFile): string {
  const keys = Object.keys(table).sort();
  return `${
    JSON.stringify({ adapter, table: Object.fromEntries(keys.map((k) => [k, table[k]])) }, null, 2)
  }\n`;
}

function entryOf(value: unknown, cannot: string): TuningEntry {
  const isEntry = isJsonObject(value) &&
    Object.keys(value).every((key) => key === "variant" || key === "tunables") &&
    typeof value.variant === "string" &&
    (value.tunables === undefined || isJsonObject(value.tunables) &&
        Object.values(value.tunables).every(Number.isSafeInteger));
  if (!isEntry) {
    throw new InputError(
      `${cannot} an entry must be {"variant": name, "tunables": {name: integer}}, got ${
        JSON.stringify(value).slice(0, 80)
      }`,
    );
  }
  return value;
}

/**
 * Reads a table.
 *
 * @throws {InputError} when it is no such file
 */
export function readTuning(path: string): TuningFile {
  const cannot = `Cannot read the tuning table ${quote(path)}:`;
  const { adapter, table } = parseJsonObject(
    withFileErrors("read", path, () => Deno.readFileSync(path)),
    `${cannot} it`,
  );
  if (typeof adapter !== "string" || !isJsonObject(table)) {
    throw new InputError(`${cannot} it must have an adapter and a table`);
  }
  const entries = Object.entries(table).map(([key, value]) =>
    [key, entryOf(value, `${cannot} ${quote(key)}:`)] as const
  );
  return { adapter, table: Object.fromEntries(entries) };
}
