/**
 * Learning-free distillation in float64 and plain loops, fast enough for the paper's grids: every view is made pixel by pixel, runs
 * through the whole model, and what it shows of a patch goes into that patch's mean. Shares nothing with the implementation but the
 * resizing of positions, which has goldens of its own.
 *
 * @module
 */
import { erf64 } from "../../shaders/elementwise/erf.ts";
import type { PatchShift } from "../../pipelines/dense/offsets.ts";
import { type PosEmbedConvention, resizePosEmbed } from "../../pipelines/models/pos_embed.ts";
import type { PlainModel } from "./vit_fixtures.ts";

/** A matrix `[rows, columns]`, row by row. */
interface Matrix {
  readonly columns: number;
  readonly data: Float64Array;
}

/** A model with one attention head, and how its last block is run for dense features. */
export interface DenseOracle {
  readonly model: PlainModel;
  readonly depth: number;
  /** Grid of the positions, and the one of the images. */
  readonly native: number;
  readonly grid: number;
  readonly patchSize: number;
  readonly eps: number;
  readonly convention: PosEmbedConvention;
  /** NACLIP's window in patches, with the last block reduced to its attention; else MaskCLIP in a whole block. */
  readonly naclipStd?: number;
  /** RADIO's head: a two-layer MLP by the names `fc1 norm fc2`. */
  readonly head?: PlainModel;
}

function linear(model: PlainModel, name: string, { columns, data }: Matrix): Matrix {
  const { shape: [out], data: weight } = model[`${name}.weight`];
  const bias = model[`${name}.bias`]?.data;
  const rows = data.length / columns;
  const result = new Float64Array(rows * out);
  for (let r = 0; r < rows; r++) {
    for (let o = 0; o < out; o++) {
      let sum = bias ? bias[o] : 0;
      for (let i = 0; i < columns; i++) sum += data[r * columns + i] * weight[o * columns + i];
      result[r * out + o] = sum;
    }
  }
  return { columns: out, data: result };
}

function layerNorm(model: PlainModel, name: string, { columns, data }: Matrix, eps: number) {
  const [weight, bias] = [model[`${name}.weight`].data, model[`${name}.bias`].data];
  const result = new Float64Array(data.length);
  for (let at = 0; at < data.length; at += columns) {
    let [mean, variance] = [0, 0];
    for (let i = 0; i < columns; i++) mean += data[at + i] / columns;
    for (let i = 0; i < columns; i++) variance += (data[at + i] - mean) ** 2 / columns;
    const norm = 1 / Math.sqrt(variance + eps);
    for (let i = 0; i < columns; i++) {
      result[at + i] = (data[at + i] - mean) * norm * weight[i] + bias[i];
    }
  }
  return { columns, data: result };
}

function pick({ columns, data }: Matrix, rows: readonly number[]): Matrix {
  const picked = new Float64Array(rows.length * columns);
  rows.forEach((row, i) =>
    picked.set(data.subarray(row * columns, (row + 1) * columns), i * columns)
  );
  return { columns, data: picked };
}

const mapped = ({ columns, data }: Matrix, f: (x: number, i: number) => number): Matrix => ({
  columns,
  data: data.map(f),
});

const plus = (a: Matrix, b: Matrix): Matrix => mapped(a, (x, i) => x + b.data[i]);

/** `softmax(q·k / sqrt(d) + bias) · v` for the queries of some rows. */
function attend(
  [q, k, v]: readonly [Matrix, Matrix, Matrix],
  rows: readonly number[],
  bias?: (query: number, key: number) => number,
): Matrix {
  const d = q.columns;
  const [queries, keys, values] = [q.data, k.data, v.data];
  const tokens = keys.length / d;
  const out = new Float64Array(rows.length * d);
  const logits = new Float64Array(tokens);
  const query = new Float64Array(d), mixed = new Float64Array(d);
  for (let r = 0; r < rows.length; r++) {
    const row = rows[r];
    for (let c = 0; c < d; c++) query[c] = queries[row * d + c] / Math.sqrt(d);
    let top = -Infinity;
    for (let j = 0, at = 0; j < tokens; j++) {
      let dot = bias ? bias(row, j) : 0;
      for (let c = 0; c < d; c++, at++) dot += query[c] * keys[at];
      logits[j] = dot;
      if (dot > top) top = dot;
    }
    let total = 0;
    mixed.fill(0);
    for (let j = 0, at = 0; j < tokens; j++) {
      const weight = Math.exp(logits[j] - top);
      total += weight;
      for (let c = 0; c < d; c++, at++) mixed[c] += weight * values[at];
    }
    for (let c = 0; c < d; c++) out[r * d + c] = mixed[c] / total;
  }
  return { columns: d, data: out };
}

/** NACLIP's window between two tokens, of which the first `prefix` are no patches. */
function gaussian(grid: number, prefix: number, std: number) {
  const g = Float64Array.from({ length: grid }, (_, t) => Math.exp(-(t ** 2) / (2 * std ** 2)));
  return (query: number, key: number) => {
    if (query < prefix || key < prefix) return 0;
    const [a, b] = [query - prefix, key - prefix];
    return g[Math.abs(Math.floor(a / grid) - Math.floor(b / grid))] *
      g[Math.abs(a % grid - b % grid)];
  };
}

const gelu = (x: number) => x * (1 + erf64(x / Math.SQRT2)) / 2;

/** LayerScale, where the model has it. */
function scaled(model: PlainModel, name: string, x: Matrix): Matrix {
  const weights = model[name]?.data;
  return weights ? mapped(x, (v, i) => v * weights[i % x.columns]) : x;
}

/** Block `index` for the tokens of some rows. */
function block(oracle: DenseOracle, index: number, x: Matrix, rows: readonly number[]): Matrix {
  const { model, eps, depth, naclipStd, grid } = oracle;
  const name = `blocks.${index}`;
  const isLast = index === depth - 1;
  const h = layerNorm(model, `${name}.norm1`, x, eps);
  const part = (kind: string, of: Matrix) => linear(model, `${name}.${kind}`, of);
  let mixed: Matrix;
  if (isLast && naclipStd !== undefined) {
    const k = part("k", h);
    const prefix = x.data.length / x.columns - grid ** 2;
    mixed = attend([k, k, part("v", h)], rows, gaussian(grid, prefix, naclipStd));
    return part("out", mixed);
  }
  if (isLast) mixed = part("v", pick(h, rows)); // MaskCLIP
  else mixed = attend([part("q", h), part("k", h), part("v", h)], rows);
  const seen = plus(pick(x, rows), scaled(model, `${name}.scale1`, part("out", mixed)));
  const hidden = part("fc1", layerNorm(model, `${name}.norm2`, seen, eps));
  const mlp = part("fc2", mapped(hidden, gelu));
  return plus(seen, scaled(model, `${name}.scale2`, mlp));
}

/** The pixels `[3, side, side]` of a view: moved by whole patches, filled with a colour, then mirrored. */
function viewOf(
  image: Float64Array,
  { dy, dx, flip }: PatchShift,
  { patch, infill }: { patch: number; infill: readonly number[] },
): Float64Array {
  const side = Math.sqrt(image.length / 3);
  const view = new Float64Array(image.length);
  for (let c = 0; c < 3; c++) {
    for (let y = 0; y < side; y++) {
      const fromY = y + dy * patch;
      for (let x = 0; x < side; x++) {
        const fromX = x + dx * patch;
        const isInside = fromY >= 0 && fromY < side && fromX >= 0 && fromX < side;
        const value = isInside ? image[(c * side + fromY) * side + fromX] : infill[c];
        view[(c * side + y) * side + (flip ? side - 1 - x : x)] = value;
      }
    }
  }
  return view;
}

/** Every patch of an image through the convolution, `[patches, width]`. */
function embedPatches(model: PlainModel, pixels: Float64Array, patch: number): Matrix {
  const { shape: [width], data } = model["patch.weight"];
  const weight = Float64Array.from(data);
  const bias = model["patch.bias"]?.data;
  const side = Math.sqrt(pixels.length / 3);
  const grid = side / patch;
  const result = new Float64Array(grid * grid * width);
  const values = new Float64Array(3 * patch * patch);
  for (let cell = 0; cell < grid * grid; cell++) {
    const first = Math.floor(cell / grid) * patch * side + cell % grid * patch;
    let at = 0;
    for (let c = 0; c < 3; c++) {
      for (let y = 0; y < patch; y++) {
        const row = (c * side + y) * side + first;
        for (let x = 0; x < patch; x++) values[at++] = pixels[row + x];
      }
    }
    for (let o = 0; o < width; o++) {
      let sum = bias ? bias[o] : 0;
      for (let i = 0; i < at; i++) sum += values[i] * weight[o * at + i];
      result[cell * width + o] = sum;
    }
  }
  return { columns: width, data: result };
}

/** Tokens before the first block. */
function embed(
  { model, native, grid, patchSize, eps, convention }: DenseOracle,
  view: Float64Array,
) {
  const { columns, data } = embedPatches(model, view, patchSize);
  const classes = model.cls ? 1 : 0;
  const pos = resizePosEmbed(model.pos.data, {
    ...{ prefix: classes, from: [native, native], to: [grid, grid], width: columns, convention },
  });
  const before: number[] = [...(model.prefix?.data ?? [])];
  if (model.cls) before.push(...model.cls.data.map((v, i) => v + pos[i]));
  before.push(...(model.registers?.data ?? []));
  const placed = data.map((v, i) => v + pos[classes * columns + i]);
  const tokens = { columns, data: Float64Array.from([...before, ...placed]) };
  return model["pre_norm.weight"] ? layerNorm(model, "pre_norm", tokens, eps) : tokens;
}

/** Dense features of some patches of a view: `[cells, m]`. */
function denseOf(oracle: DenseOracle, view: Float64Array, cells: readonly number[]): Matrix {
  const { model, depth, grid, eps, head } = oracle;
  let x: Matrix = embed(oracle, view);
  const prefix = x.data.length / x.columns - grid ** 2;
  const all = Array.from({ length: prefix + grid ** 2 }, (_, i) => i);
  for (let i = 0; i < depth - 1; i++) x = block(oracle, i, x, all);
  x = block(oracle, depth - 1, x, cells.map((cell) => prefix + cell));
  if (model["post_norm.weight"]) x = layerNorm(model, "post_norm", x, eps);
  if (model["projection.weight"]) x = linear(model, "projection", x);
  if (!head) return x;
  const hidden = layerNorm(head, "norm", linear(head, "fc1", x), 1e-5);
  return linear(head, "fc2", mapped(hidden, (v) => Math.max(0, v)));
}

/**
 * Means of the features of some patches over all views that show them: `[patches, m]`.
 *
 * @param image `[3, side, side]`
 */
export function distillInFloat64(
  oracle: DenseOracle,
  image: Float32Array,
  { shifts, infill, patches }: {
    readonly shifts: readonly PatchShift[];
    readonly infill: readonly number[];
    readonly patches: readonly number[];
  },
): Float64Array {
  const { grid, patchSize } = oracle;
  const view = { patch: patchSize, infill };
  let sums = new Float64Array(0);
  const counts = new Float64Array(patches.length);
  const pixels = Float64Array.from(image);
  for (const shift of shifts) {
    const cells: number[] = [], to: number[] = [];
    patches.forEach((patch, i) => {
      const row = Math.floor(patch / grid) - shift.dy;
      const column = patch % grid - shift.dx;
      if (row < 0 || row >= grid || column < 0 || column >= grid) return;
      cells.push(row * grid + (shift.flip ? grid - 1 - column : column));
      to.push(i);
    });
    const { columns, data } = denseOf(oracle, viewOf(pixels, shift, view), cells);
    if (sums.length === 0) sums = new Float64Array(patches.length * columns);
    to.forEach((i, c) => {
      counts[i]++;
      for (let j = 0; j < columns; j++) sums[i * columns + j] += data[c * columns + j];
    });
  }
  const m = sums.length / patches.length;
  return sums.map((sum, at) => sum / counts[Math.floor(at / m)]);
}
