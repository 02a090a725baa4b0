/**
 * The tensors that an architecture needs, and the check that a checkpoint has them.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import { listNames, type MappedCheckpoint } from "./layouts.ts";
import type { ShapeReader, TextConfig, TowerConfig, VitConfig } from "./vit_config.ts";

/** A tensor that a model may have. */
interface Wanted {
  readonly name: string;
  /** Number of values where the shape may have axes of 1 in it, else the shape. */
  readonly shape: readonly number[];
  readonly optional?: boolean;
}

function affine(name: string, size: number): Wanted[] {
  return [{ name: `${name}.weight`, shape: [size] }, { name: `${name}.bias`, shape: [size] }];
}

function linear(name: string, [out, inner]: readonly [number, number], hasBias = true): Wanted[] {
  return [
    { name: `${name}.weight`, shape: [out, inner] },
    { name: `${name}.bias`, shape: [out], optional: !hasBias },
  ];
}

/** Query, key and value as one matrix, or apart where the file has them apart. */
function attentionInput(
  reader: ShapeReader,
  block: string,
  { width, hasBias }: { width: number; hasBias: boolean },
): Wanted[] {
  const packed = reader.checkpoint.sourceName(`${block}.qkv.weight`) !== `${block}.qkv.weight`;
  if (packed) return linear(`${block}.qkv`, [3 * width, width], hasBias);
  return ["q", "k", "v"].flatMap((part) => linear(`${block}.${part}`, [width, width], hasBias));
}

/** The first layer of the MLP; of a gated one in two halves where the file has them apart. */
function mlpInput(
  reader: ShapeReader,
  tower: string,
  { block, config }: { block: string; config: TowerConfig },
): Wanted[] {
  const { width, hidden, gated } = config;
  if (!reader.has(`${tower}blocks.0.gate.weight`)) {
    return linear(`${block}.fc1`, [gated ? 2 * hidden : hidden, width]);
  }
  return ["gate", "up"].flatMap((part) => linear(`${block}.${part}`, [hidden, width]));
}

function blockTensors(reader: ShapeReader, tower: string, config: TowerConfig): Wanted[] {
  const { width, hidden, depth } = config;
  const blocks = Array.from({ length: depth }, (_, i) => `${tower}blocks.${i}`);
  // what some releases lack is all or nothing: one block without it is a damaged file
  const some = (name: string) => blocks.some((block) => reader.has(`${block}.${name}`));
  const hasBias = ["qkv.bias", "q.bias", "k.bias", "v.bias"].some(some);
  return blocks.flatMap((block) => [
    ...affine(`${block}.norm1`, width),
    ...attentionInput(reader, block, { width, hasBias }),
    ...linear(`${block}.out`, [width, width]),
    { name: `${block}.scale1`, shape: [width], optional: !some("scale1") },
    ...affine(`${block}.norm2`, width),
    ...mlpInput(reader, tower, { block, config }),
    ...linear(`${block}.fc2`, [width, hidden]),
    { name: `${block}.scale2`, shape: [width], optional: !some("scale2") },
  ]);
}

function poolTensors(reader: ShapeReader, width: number): Wanted[] {
  const hidden = reader.need("pool.fc2.weight", [2])[1];
  const input = reader.has("pool.kv.weight")
    ? [...linear("pool.q", [width, width]), ...linear("pool.kv", [2 * width, width])]
    : linear("pool.qkv", [3 * width, width]);
  return [
    { name: "pool.probe", shape: [width] },
    ...input,
    ...linear("pool.out", [width, width]),
    ...affine("pool.norm", width),
    ...linear("pool.fc1", [hidden, width]),
    ...linear("pool.fc2", [width, hidden]),
  ];
}

function visionTensors(reader: ShapeReader, config: VitConfig): Wanted[] {
  const { width, patchSize, channels, family, grid, posPrefix } = config;
  const registers = reader.shape("registers")?.at(-2);
  const projected = reader.shape("projection.weight")?.[0];
  const wanted: Wanted[] = [
    { name: "patch.weight", shape: [width, channels * patchSize * patchSize] },
    { name: "patch.bias", shape: [width], optional: family === "clip" || family === "radio" },
    { name: "pos", shape: [posPrefix + grid[0] * grid[1], width] },
    ...blockTensors(reader, "", config),
  ];
  if (family === "radio") wanted.push({ name: "prefix", shape: [config.prefixTokens, width] });
  else if (family !== "siglip") wanted.push({ name: "cls", shape: [width] });
  if (registers) wanted.push({ name: "registers", shape: [registers, width] });
  if (family === "clip") wanted.push(...affine("pre_norm", width));
  if (family !== "radio" || reader.has("post_norm.weight")) {
    wanted.push(...affine("post_norm", width));
  }
  if (reader.has("features.weight") || reader.has("features.mean")) {
    wanted.push({ name: "features.weight", shape: [width, width] });
    wanted.push({ name: "features.mean", shape: [width] });
  }
  if (projected) wanted.push(...linear("projection", [projected, width], false));
  const hasPool = [...reader.checkpoint.tensors.keys()].some((name) => name.startsWith("pool."));
  if (hasPool) wanted.push(...poolTensors(reader, width));
  return wanted;
}

function textTensors(reader: ShapeReader, config: TextConfig): Wanted[] {
  const { width, vocabulary, context } = config;
  const [embedded] = reader.need("text.projection.weight", [2]);
  return [
    { name: "text.token", shape: [vocabulary, width] },
    { name: "text.pos", shape: [context, width] },
    ...blockTensors(reader, "text.", config),
    ...affine("text.post_norm", width),
    ...linear("text.projection", [embedded, width], false),
  ];
}

function refuse(checkpoint: MappedCheckpoint, missing: readonly string[]): never {
  const has = [...checkpoint.tensors.values()].map((t) => t.source);
  const lines = [];
  if (missing.length > 0) lines.push(`missing ${listNames(missing)}`);
  if (checkpoint.unknown.length > 0) lines.push(`unknown ${listNames(checkpoint.unknown)}`);
  throw new InputError(
    `Cannot load the checkpoint as ${checkpoint.layout}: ${lines.join("; ")}; found ${
      listNames(has)
    }`,
  );
}

const squeezed = (shape: readonly number[]) => shape.filter((n) => n !== 1).join();

/**
 * Checks that a checkpoint has every tensor of its architecture, in its shape, and nothing unknown.
 *
 * @throws {InputError} listing what is missing and unknown beside what was found, or the first wrong shape
 */
export function checkTensors(
  reader: ShapeReader,
  { vision, text, strict = true }: { vision: VitConfig; text?: TextConfig; strict?: boolean },
): void {
  const { checkpoint } = reader;
  const wanted = [...visionTensors(reader, vision), ...text ? textTensors(reader, text) : []];
  const missing = wanted.filter((w) => !w.optional && !reader.has(w.name))
    .map((w) => checkpoint.sourceName(w.name));
  if (missing.length > 0 || strict && checkpoint.unknown.length > 0) refuse(checkpoint, missing);
  for (const { name, shape } of wanted) {
    const found = reader.shape(name);
    if (!found) continue;
    const flat = name === "patch.weight"
      ? [found[0], found.slice(1).reduce((a, b) => a * b)]
      : found;
    if (squeezed(flat) !== squeezed(shape)) {
      throw new InputError(
        `Cannot load the checkpoint: "${
          checkpoint.tensors.get(name)!.source
        }" must be [${shape}], got [${found}]`,
      );
    }
  }
}
