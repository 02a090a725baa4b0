/**
 * Recognises a checkpoint by its keys and brings them to one set of names:
 *
 * `patch.*`, `cls`, `registers`, `prefix`, `pos`, `pre_norm.*`, `blocks.<i>.{norm1.*, q.*, k.*, v.*, qkv.*, out.*, scale1, norm2.*,
 * fc1.*, gate.*, up.*, fc2.*, scale2}`, `post_norm.*`, `projection.*`, `pool.*` (SigLIP's attention pooling), `text.<the same>`,
 * `adaptors.<name>.*`, `input_mean`, `input_std`, `summary_indices`, `logit_scale`, `logit_bias`.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import type { HostTensor, StateDict } from "../io/state_dict.ts";
import {
  adaptorPatterns,
  ignoredAnywhere,
  type LayoutName,
  looseKeys,
  notLoose,
  type TowerTable,
  towerTables,
} from "./layout_tables.ts";

export type { LayoutName } from "./layout_tables.ts";

/** A tensor of a checkpoint with the name it has there. */
export interface NamedTensor {
  /** Name in the file. */
  readonly source: string;
  /** The tensor. */
  readonly tensor: HostTensor;
  /** True for a matrix stored as `[in, out]`. */
  readonly transposed: boolean;
}

/** A checkpoint under our names. */
export interface MappedCheckpoint {
  /** Layout of the image tower. */
  readonly layout: LayoutName;
  /** Tensors by our names. */
  readonly tensors: ReadonlyMap<string, NamedTensor>;
  /** Keys of the file that carry nothing for inference. */
  readonly ignored: readonly string[];
  /** Keys of the file that no table knows. */
  readonly unknown: readonly string[];
  /** The name that one of ours has, or would have, in this file. */
  sourceName(name: string): string;
}

/** Options of {@link mapCheckpoint}. */
export interface MapOptions {
  /** Beginning of the image tower's keys, where a file holds several image towers. */
  readonly prefix?: string;
}

/** A table with its prefix in one file. */
interface FoundTower {
  readonly table: TowerTable;
  readonly prefix: string;
}

/** A source pattern of a table, ready to match. */
interface Rule {
  readonly pattern: RegExp;
  readonly to: string;
  readonly from: string;
}

const SHOWN = 6;

/** The first few names, quoted. */
export function listNames(names: readonly string[]): string {
  const shown = names.slice(0, SHOWN).map((n) => JSON.stringify(n)).join(", ");
  return names.length > SHOWN ? `${shown} and ${names.length - SHOWN} more` : shown || "none";
}

function escape(text: string): string {
  return text.replace(/[.^$+?()[\]|\\]/g, "\\$&");
}

function rulesOf({ table, prefix }: FoundTower): Rule[] {
  return Object.entries(table.keys).map(([from, to]) => {
    const body = escape(from)
      .replace("{chunk}", "\\d+")
      .replace("{i}", "(?<i>\\d+)")
      .replace("*", "(?<kind>weight|bias)");
    return { pattern: new RegExp(`^${escape(prefix)}${body}$`), to, from: prefix + from };
  });
}

function targetOf(rule: Rule, match: RegExpMatchArray): string {
  const { i = "", kind = "" } = match.groups ?? {};
  return rule.to.replace("{i}", i === "" ? "" : String(Number(i))).replace("*", kind);
}

/** Prefixes under which a table's anchor stands in the file. */
function prefixesOf(table: TowerTable, keys: readonly string[]): string[] {
  return keys.filter((k) => k === table.anchor || k.endsWith(`.${table.anchor}`))
    .map((k) => k.slice(0, k.length - table.anchor.length));
}

function findTower(
  tower: "vision" | "text",
  keys: readonly string[],
  wanted?: string,
): FoundTower | undefined {
  for (const table of towerTables) {
    if (table.tower !== tower) continue;
    const prefixes = prefixesOf(table, keys).filter((p) => wanted === undefined || p === wanted);
    if (prefixes.length > 1) {
      throw new InputError(
        `Cannot tell which ${tower} tower to load: ${
          JSON.stringify(table.anchor)
        } stands under the prefixes ${listNames(prefixes)}; name one with the option "prefix"`,
      );
    }
    if (prefixes.length === 1) return { table, prefix: prefixes[0] };
  }
  return undefined;
}

function refuseUnrecognised(keys: readonly string[], prefix?: string): never {
  const anchors = towerTables.filter((t) => t.tower === "vision").map((t) => t.anchor);
  throw new InputError(
    `Cannot recognise the checkpoint: expected one of the keys ${listNames(anchors)}${
      prefix === undefined ? " (after any prefix)" : ` under the prefix ${JSON.stringify(prefix)}`
    }, found ${listNames(keys)}`,
  );
}

function isIgnored(key: string, towers: readonly FoundTower[]): boolean {
  if (ignoredAnywhere.some((pattern) => pattern.test(key))) return true;
  return towers.some(({ table, prefix }) =>
    key.startsWith(prefix) &&
    table.ignored.some((name) => {
      const rest = key.slice(prefix.length);
      return rest === name || /[._]$/.test(name) && rest.startsWith(name);
    })
  );
}

/** Our name for a key, or undefined. */
function nameOf(
  key: string,
  rules: { readonly vision: readonly Rule[]; readonly text: readonly Rule[] },
): string | undefined {
  for (const tower of ["vision", "text"] as const) {
    for (const rule of rules[tower]) {
      const match = key.match(rule.pattern);
      if (match) return (tower === "text" ? "text." : "") + targetOf(rule, match);
    }
  }
  for (const [end, name] of Object.entries(looseKeys)) {
    if ((key === end || key.endsWith(`.${end}`)) && !notLoose.test(key)) return name;
  }
  for (const pattern of adaptorPatterns) {
    const match = key.match(pattern);
    if (match) return `adaptors.${match[1]}.${match[2]}`;
  }
  return undefined;
}

/** Finds the spelling of a name in this file: the alternative that the file uses elsewhere, else the first. */
function sourceNamer(
  keys: readonly string[],
  rules: { readonly vision: readonly Rule[]; readonly text: readonly Rule[] },
): (name: string) => string {
  return (name) => {
    const isText = name.startsWith("text.");
    const bare = isText ? name.slice(5) : name;
    const block = bare.replace(/^blocks\.\d+\./, "blocks.{i}.");
    const matching = rules[isText ? "text" : "vision"].filter(({ to }) =>
      [block, block.replace(/\.(weight|bias)$/, ".*"), `${block}^T`].includes(to)
    );
    const used = matching.find(({ pattern }) => keys.some((k) => pattern.test(k)));
    const rule = used ?? matching[0];
    const loose = Object.entries(looseKeys).find(([, to]) => to === name)?.[0];
    if (!rule) return loose ?? name;
    return rule.from.replace("{chunk}.", "").replace("{i}", /\d+/.exec(bare)?.[0] ?? "0")
      .replace("*", bare.split(".").at(-1)!);
  };
}

/**
 * The tensors of a checkpoint under our names.
 *
 * @throws {InputError} when no layout fits (it lists what was looked for and what was found), or two keys mean the same tensor
 */
export function mapCheckpoint(
  stateDict: StateDict,
  { prefix }: MapOptions = {},
): MappedCheckpoint {
  const keys = [...stateDict.keys()];
  const vision = findTower("vision", keys, prefix);
  if (!vision) refuseUnrecognised(keys, prefix);
  const text = findTower("text", keys);
  const rules = { vision: rulesOf(vision), text: text ? rulesOf(text) : [] };
  const tensors = new Map<string, NamedTensor>();
  const ignored: string[] = [], unknown: string[] = [];
  for (const [source, tensor] of stateDict) {
    const target = nameOf(source, rules);
    if (target === undefined) {
      (isIgnored(source, text ? [vision, text] : [vision]) ? ignored : unknown).push(source);
      continue;
    }
    const name = target.replace("^T", "");
    const other = tensors.get(name)?.source;
    if (other !== undefined) {
      throw new InputError(
        `Cannot load the checkpoint: "${other}" and "${source}" both mean ${name}`,
      );
    }
    tensors.set(name, { source, tensor, transposed: target.endsWith("^T") });
  }
  dropClassifier(tensors, ignored);
  return {
    layout: vision.table.layout,
    tensors,
    ignored,
    unknown,
    sourceName: sourceNamer(keys, rules),
  };
}

/** timm calls CLIP's projection `head`, the name of every other model's classifier. */
function dropClassifier(tensors: Map<string, NamedTensor>, ignored: string[]): void {
  if (tensors.has("pre_norm.weight")) return;
  for (const name of ["projection.weight", "projection.bias"]) {
    const found = tensors.get(name);
    if (!found) continue;
    tensors.delete(name);
    ignored.push(found.source);
  }
}
