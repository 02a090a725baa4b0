/**
 * The settings of a study: one table that the configuration file, the command line's flags and their help come from.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import { isJsonObject, parseJsonObject, quote } from "../io/strict_json.ts";

/** What a setting holds. Kinds that end in "s" are lists; "counts" and "names" give a number or a text to each of some names. */
export type SettingKind =
  | "text"
  | "texts"
  | "whole"
  | "wholes"
  | "real"
  | "reals"
  | "counts"
  | "names";

/** A value of a setting. */
export type SettingValue =
  | string
  | number
  | readonly string[]
  | readonly number[]
  | Readonly<Record<string, string>>
  | Readonly<Record<string, number>>;

/** One setting. */
export interface SettingSpec {
  /** Its key in the file; the flag is the same in kebab case. */
  readonly key: string;
  /** What it holds. */
  readonly kind: SettingKind;
  /** What it means, for help texts. */
  readonly about: string;
  /** Value where none is given. */
  readonly fallback?: SettingValue;
  /** The only values that are allowed. */
  readonly choices?: readonly string[];
  /** Least number that is allowed. */
  readonly least?: number;
  /** Whether it names files: in a configuration they are looked for beside it. */
  readonly path?: boolean;
  /** Heading in the help text. */
  readonly group: "data" | "backbones" | "encoders" | "analyses" | "figures";
}

/** Values of settings by key. */
export type Settings = Readonly<Record<string, SettingValue | undefined>>;

const isText = (value: unknown): value is string => typeof value === "string" && value !== "";
const isReal = (value: unknown): value is number =>
  typeof value === "number" && Number.isFinite(value);

/** What a kind must be, in words. */
const WORDS: Readonly<Record<SettingKind, string>> = {
  text: "a text",
  texts: "a list of texts",
  whole: "a whole number",
  wholes: "a list of whole numbers",
  real: "a number",
  reals: "a list of numbers",
  counts: "whole numbers by name",
  names: "texts by name",
};

/** What a setting must be, in words. */
function ruleOf({ kind, choices, least }: SettingSpec): string {
  const among = choices ? ` of ${choices.join(", ")}` : "";
  const from = least === undefined ? "" : ` from ${least}`;
  return `${WORDS[kind]}${from}${among}`;
}

/** Whether a value is what a setting holds. */
function isValid({ kind, choices, least = -Infinity }: SettingSpec, value: unknown): boolean {
  const one = (item: unknown): boolean => {
    if (kind === "text" || kind === "texts" || kind === "names") {
      return isText(item) && (choices === undefined || choices.includes(item));
    }
    const isWhole = kind !== "real" && kind !== "reals";
    return isReal(item) && item >= least && (!isWhole || Number.isSafeInteger(item));
  };
  if (kind === "counts" || kind === "names") {
    return isJsonObject(value) && Object.values(value).every(one);
  }
  if (!kind.endsWith("s")) return one(value);
  return Array.isArray(value) && value.length > 0 && value.every(one);
}

/** A list of one where a list is due: `"model": "clip/"` means `["clip/"]`. */
function listed({ kind }: SettingSpec, value: unknown): unknown {
  const isList = kind === "texts" || kind === "wholes" || kind === "reals";
  return isList && !Array.isArray(value) ? [value] : value;
}

/**
 * Checks one value.
 *
 * @param cannot beginning of the message, `Cannot use "brain_sail.json":`
 * @throws {InputError} when it is not what the setting holds
 */
export function checkSetting(spec: SettingSpec, given: unknown, cannot: string): SettingValue {
  const value = listed(spec, given);
  if (isValid(spec, value)) return value as SettingValue;
  throw new InputError(
    `${cannot} ${quote(spec.key)} must be ${ruleOf(spec)}, it is ${quote(given)}`,
  );
}

/** The setting whose key is nearest to a mistyped one. */
function nearest(specs: readonly SettingSpec[], key: string): string | undefined {
  const plain = (text: string) => text.toLowerCase().replace(/[^a-z0-9]/g, "");
  const same = specs.find((spec) => plain(spec.key) === plain(key));
  const part = specs.find((spec) =>
    plain(spec.key).startsWith(plain(key)) || plain(key).startsWith(plain(spec.key))
  );
  return (same ?? part)?.key;
}

/**
 * Reads a configuration: a JSON object with the keys of the settings.
 *
 * @param source path of the file, for messages and to find what it names: paths in it are relative to its folder
 * @throws {InputError} for text that is no JSON object, an unknown key, or a value that its setting does not hold
 */
export function parseSettings(
  specs: readonly SettingSpec[],
  bytes: Uint8Array,
  source: string,
): Settings {
  const cannot = `Cannot use ${quote(source)}:`;
  const json = parseJsonObject(bytes, `${cannot} the configuration`);
  const settings: Record<string, SettingValue> = {};
  for (const [key, value] of Object.entries(json)) {
    const spec = specs.find((one) => one.key === key);
    if (!spec) {
      const near = nearest(specs, key);
      throw new InputError(
        `${cannot} there is no setting ${quote(key)}${
          near ? `, did you mean ${quote(near)}?` : ""
        }`,
      );
    }
    const checked = checkSetting(spec, value, cannot);
    settings[key] = spec.path ? beside(checked, folderOf(source)) : checked;
  }
  return settings;
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/") + 1);
}

/** Words in the place of a path, and the numbers of subjects. */
const NO_PATH = /^(paper|none|\d+)$/;

/** Paths as they are found from the working directory: beside the configuration that names them. */
function beside(value: SettingValue, folder: string): SettingValue {
  const one = (path: string) => path.startsWith("/") || NO_PATH.test(path) ? path : folder + path;
  if (typeof value === "string") return one(value);
  return Array.isArray(value) ? value.map((path) => one(String(path))) : value;
}

/**
 * A value from the words after a flag.
 *
 * @throws {InputError} when they are not what the setting holds
 */
export function settingOfWords(spec: SettingSpec, words: readonly string[]): SettingValue {
  const cannot = `Cannot use --${flagOf(spec.key)}:`;
  const number = (word: string): unknown =>
    word.trim() !== "" && Number.isFinite(Number(word)) ? Number(word) : word;
  const { kind } = spec;
  if (kind === "counts" || kind === "names") {
    const pairs = words.map((word) => {
      const at = word.indexOf("=");
      const text = word.slice(at + 1);
      return [at < 0 ? "" : word.slice(0, at), kind === "counts" ? number(text) : text] as const;
    });
    const bad = words.find((_, i) => pairs[i][0] === "");
    if (bad !== undefined) {
      throw new InputError(`${cannot} it takes NAME=VALUE, it is ${quote(bad)}`);
    }
    return checkSetting(spec, Object.fromEntries(pairs), cannot);
  }
  const isText = kind === "text" || kind === "texts";
  const values = isText ? words : words.map(number);
  return checkSetting(spec, kind.endsWith("s") ? values : values[0], cannot);
}

/** The flag of a setting: `nTop` is `n-top`. */
export function flagOf(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** Settings with their fallbacks where nothing else was said; what neither has is left out. */
export function fillSettings(specs: readonly SettingSpec[], given: Settings): Settings {
  const all = specs.map(({ key, fallback }) => [key, given[key] ?? fallback] as const);
  return Object.fromEntries(all.filter(([, value]) => value !== undefined));
}
