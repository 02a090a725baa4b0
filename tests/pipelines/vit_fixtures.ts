/**
 * Tiny vision transformers with random weights, and writers that give them the key names of every layout. The names are written
 * out here once more, so that a wrong table of the loader is not checked against itself.
 *
 * @module
 */
import { normal, randomKey } from "../../engine/random.ts";
import { type HostTensor, hostTensor, type StateDict } from "../../pipelines/io/state_dict.ts";

/** A host array with its shape. */
export interface Plain {
  readonly shape: readonly number[];
  readonly data: Float32Array<ArrayBuffer>;
}

/** A model by plain names; see {@link makeTower}. */
export type PlainModel = Record<string, Plain>;

/** Sizes of a tiny tower. */
export interface TinySizes {
  readonly width: number;
  readonly depth: number;
  readonly hidden: number;
  readonly gated?: boolean;
  readonly layerScale?: boolean;
  readonly qkvBias?: boolean;
}

let nextKey = 0;

/** Normal values; every call draws others. */
export function random(shape: readonly number[], scale = 1, shift = 0): Plain {
  const size = shape.reduce((a, b) => a * b, 1);
  const data = Float32Array.from(
    normal(randomKey(1000 + nextKey++), size),
    (v) => scale * v + shift,
  );
  return { shape, data };
}

/** Weight and bias of a linear layer, scaled to keep variance. */
export function linearPair(name: string, out: number, inner: number, bias = true): PlainModel {
  const pair: PlainModel = { [`${name}.weight`]: random([out, inner], 1 / Math.sqrt(inner)) };
  if (bias) pair[`${name}.bias`] = random([out], 0.1);
  return pair;
}

/** Scale near 1 and bias near 0 of a layer norm. */
export function normPair(name: string, size: number): PlainModel {
  return { [`${name}.weight`]: random([size], 0.2, 1), [`${name}.bias`]: random([size], 0.1) };
}

/** Blocks named `blocks.<i>.{norm1,q,k,v,out,scale1,norm2,fc1,fc2,scale2}`. */
export function makeBlocks(prefix: string, sizes: TinySizes): PlainModel {
  const { width, depth, hidden, gated = false, layerScale = false, qkvBias = true } = sizes;
  const model: PlainModel = {};
  for (let i = 0; i < depth; i++) {
    const block = `${prefix}blocks.${i}.`;
    Object.assign(
      model,
      normPair(`${block}norm1`, width),
      ...["q", "k", "v"].map((part) => linearPair(block + part, width, width, qkvBias)),
      linearPair(`${block}out`, width, width),
      normPair(`${block}norm2`, width),
      linearPair(`${block}fc1`, gated ? 2 * hidden : hidden, width),
      linearPair(`${block}fc2`, width, hidden),
    );
    if (layerScale) {
      model[`${block}scale1`] = random([width], 0.3, 0.5);
      model[`${block}scale2`] = random([width], 0.3, 0.5);
    }
  }
  return model;
}

/** What a tiny image tower has. */
export interface TinyVision extends TinySizes {
  readonly patchSize: number;
  readonly grid: readonly [number, number];
  readonly patchBias?: boolean;
  /** Class token (and its row of positions). */
  readonly cls?: boolean;
  readonly registers?: number;
  readonly preNorm?: boolean;
  readonly postNorm?: boolean;
  readonly projected?: number;
  /** SigLIP's attention pooling. */
  readonly pool?: boolean;
}

/** An image tower: `patch`, `cls`, `registers`, `pos`, `pre_norm`, blocks, `post_norm`, `projection`, `pool.*`. */
export function makeVision(tiny: TinyVision): PlainModel {
  const { width, patchSize, grid, cls = true, registers = 0, projected, patchBias = true } = tiny;
  // Embeddings are small, so that a wrong eps of a norm shows.
  const model: PlainModel = {
    ...linearPair("patch", width, 3 * patchSize ** 2, patchBias),
    pos: random([(cls ? 1 : 0) + grid[0] * grid[1], width], 0.1),
    ...makeBlocks("", tiny),
  };
  model["patch.weight"].data.forEach((v, i, data) => data[i] = 0.1 * v);
  if (cls) model.cls = random([width], 0.1);
  if (registers) model.registers = random([registers, width], 0.1);
  if (tiny.preNorm) Object.assign(model, normPair("pre_norm", width));
  if (tiny.postNorm ?? true) Object.assign(model, normPair("post_norm", width));
  if (projected) Object.assign(model, linearPair("projection", projected, width, false));
  if (tiny.pool) {
    Object.assign(
      model,
      { "pool.probe": random([width]) },
      ...["q", "k", "v", "out"].map((part) => linearPair(`pool.${part}`, width, width)),
      normPair("pool.norm", width),
      linearPair("pool.fc1", tiny.hidden, width),
      linearPair("pool.fc2", width, tiny.hidden),
    );
  }
  return model;
}

/** A text tower: `text.{token,pos}`, blocks, `text.post_norm`, `text.projection`. */
export function makeText(
  sizes: TinySizes & { vocabulary: number; context: number; projected: number; headBias?: boolean },
): PlainModel {
  const { width, vocabulary, context, projected, headBias = false } = sizes;
  return {
    "text.token": random([vocabulary, width], 0.1),
    "text.pos": random([context, width], 0.1),
    ...makeBlocks("text.", sizes),
    ...normPair("text.post_norm", width),
    ...linearPair("text.projection", projected, width, headBias),
  };
}

/** `a` and `b` stacked along the first axis. */
export function stack(...parts: readonly Plain[]): Plain {
  const [first] = parts;
  const data = new Float32Array(parts.reduce((n, p) => n + p.data.length, 0));
  let at = 0;
  for (const part of parts) {
    data.set(part.data, at);
    at += part.data.length;
  }
  return { shape: [parts.reduce((n, p) => n + p.shape[0], 0), ...first.shape.slice(1)], data };
}

/** The transpose of a matrix. */
export function transposed({ shape: [rows, cols], data }: Plain): Plain {
  const out = new Float32Array(data.length);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < cols; c++) out[c * rows + r] = data[r * cols + c];
  }
  return { shape: [cols, rows], data: out };
}

/** The same values in another shape. */
export function reshaped({ data }: Plain, ...shape: number[]): Plain {
  return { shape, data };
}

/** A state dict of f32 tensors. */
export function toStateDict(model: PlainModel): StateDict {
  return new Map(
    Object.entries(model).map(([name, { shape, data }]): [string, HostTensor] => [
      name,
      hostTensor(data, shape),
    ]),
  );
}
