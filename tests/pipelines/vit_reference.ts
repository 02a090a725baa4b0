/**
 * A vision transformer in float64 and plain loops: the oracle of the model tests. One image, rows as arrays, nothing shared with
 * the implementation but the resizing of positions, which has goldens of its own.
 *
 * @module
 */
import { erf64 } from "../../shaders/elementwise/erf.ts";
import type { PlainModel } from "./vit_fixtures.ts";

/** Tokens: one array per row. */
export type Rows = number[][];

const activations = {
  gelu: (x: number) => x * (1 + erf64(x / Math.SQRT2)) / 2,
  geluTanh: (x: number) =>
    0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))),
  quickGelu: (x: number) => x / (1 + Math.exp(-1.702 * x)),
  silu: (x: number) => x / (1 + Math.exp(-x)),
};

export { erf64 as erf };

/** Name of an activation of the reference. */
export type ReferenceActivation = keyof typeof activations;

/** `x·Wᵀ + b` by the name of the layer. */
export function linear(model: PlainModel, name: string, rows: Rows): Rows {
  const { shape: [out, inner], data } = model[`${name}.weight`];
  const bias = model[`${name}.bias`]?.data;
  return rows.map((row) =>
    Array.from({ length: out }, (_, o) => {
      let sum = bias ? bias[o] : 0;
      for (let i = 0; i < inner; i++) sum += row[i] * data[o * inner + i];
      return sum;
    })
  );
}

/** Layer norm of every row by the name of the layer. */
export function layerNorm(model: PlainModel, name: string, rows: Rows, eps: number): Rows {
  const [weight, bias] = [model[`${name}.weight`].data, model[`${name}.bias`].data];
  return rows.map((row) => {
    const mean = row.reduce((a, b) => a + b) / row.length;
    const variance = row.reduce((a, b) => a + (b - mean) ** 2, 0) / row.length;
    return row.map((v, i) => (v - mean) / Math.sqrt(variance + eps) * weight[i] + bias[i]);
  });
}

function softmax(logits: readonly number[]): number[] {
  const top = Math.max(...logits);
  const e = logits.map((v) => Math.exp(v - top));
  const sum = e.reduce((a, b) => a + b);
  return e.map((v) => v / sum);
}

/** Weights `[queries][keys]` of one head. */
type HeadWeights = (q: Rows, k: Rows) => number[][];

const dot = (a: readonly number[], b: readonly number[]) => a.reduce((s, v, i) => s + v * b[i], 0);

function similarity(a: Rows, b: Rows, bias: (i: number, j: number) => number): number[][] {
  const scale = 1 / Math.sqrt(a[0].length);
  return a.map((x, i) => softmax(b.map((y, j) => scale * dot(x, y) + bias(i, j))));
}

/** What the attention does, as in the model. */
export interface ReferenceAttention {
  readonly mode: "qk" | "causal" | "maskclip" | "sclip" | "naclip" | "kk" | "nonly";
  /** Patch grid, prefix tokens and std, for the window. */
  readonly window?: { grid: readonly [number, number]; prefix: number; std: number };
}

function windowOf({ window }: ReferenceAttention): (i: number, j: number) => number {
  if (!window) return () => 0;
  const { grid: [, columns], prefix, std } = window;
  return (i, j) => {
    if (i < prefix || j < prefix) return 0;
    const [a, b] = [i - prefix, j - prefix];
    const rows = Math.floor(a / columns) - Math.floor(b / columns);
    const cols = a % columns - b % columns;
    return Math.exp(-(rows ** 2 + cols ** 2) / (2 * std ** 2));
  };
}

function headWeights(kind: ReferenceAttention, lengths: number): HeadWeights {
  const omega = windowOf(kind);
  const none = () => 0;
  return (q, k) => {
    switch (kind.mode) {
      case "qk":
        return similarity(q, k, none);
      case "causal":
        return similarity(q, k, (i, j) => (j > i ? -Infinity : 0));
      case "maskclip":
        return q.map((_, i) => q.map((_, j) => (i === j ? 1 : 0)));
      case "sclip": {
        const [a, b] = [similarity(q, q, none), similarity(k, k, none)];
        return a.map((row, i) => row.map((v, j) => v + b[i][j]));
      }
      case "naclip":
        return similarity(k, k, omega);
      case "kk":
        return similarity(k, k, none);
      case "nonly":
        return q.map((_, i) => softmax(k.map((_, j) => omega(i, j) * lengths)));
    }
  };
}

/** NACLIP's `nonly` replaces the similarity by its typical size: scale · mean over heads and pairs of |q|·|k|. */
function typicalLength(q: Rows, k: Rows, heads: number): number {
  const d = q[0].length / heads;
  let sum = 0;
  for (let h = 0; h < heads; h++) {
    const mean = (rows: Rows) =>
      rows.reduce((s, r) => s + Math.hypot(...r.slice(h * d, (h + 1) * d)), 0) / rows.length;
    sum += mean(q) * mean(k);
  }
  return sum / heads / Math.sqrt(d);
}

/** Attention with several heads: `weights · v`. */
export function attention(
  { q, k, v }: { q: Rows; k: Rows; v: Rows },
  heads: number,
  kind: ReferenceAttention,
): Rows {
  const d = v[0].length / heads;
  const weigh = headWeights(kind, kind.mode === "nonly" ? typicalLength(q, k, heads) : 0);
  const out: Rows = q.map(() => []);
  for (let h = 0; h < heads; h++) {
    const part = (rows: Rows) => rows.map((r) => r.slice(h * d, (h + 1) * d));
    const values = part(v);
    weigh(part(q), part(k)).forEach((w, i) => {
      for (let c = 0; c < d; c++) out[i].push(w.reduce((s, a, j) => s + a * values[j][c], 0));
    });
  }
  return out;
}

/** Sizes and habits of a tower. */
export interface ReferenceTower {
  readonly heads: number;
  readonly eps: number;
  readonly activation: ReferenceActivation;
}

const plus = (a: Rows, b: Rows) => a.map((row, i) => row.map((v, j) => v + b[i][j]));

function scaled(model: PlainModel, name: string, rows: Rows): Rows {
  const scale = model[name]?.data;
  return scale ? rows.map((row) => row.map((v, i) => v * scale[i])) : rows;
}

/** Every activation of one block. */
export interface ReferenceBlock {
  readonly q: Rows;
  readonly k: Rows;
  readonly v: Rows;
  /** After the output layer, before LayerScale. */
  readonly out: Rows;
  /** After the MLP, before LayerScale; undefined where reduced. */
  readonly mlp?: Rows;
  /** The residual stream after the block. */
  readonly stream: Rows;
}

/** One block by name (`blocks.3`, `text.blocks.0`). */
export function block(
  model: PlainModel,
  { name, tower, kind, reduced = false }: {
    name: string;
    tower: ReferenceTower;
    kind: ReferenceAttention;
    reduced?: boolean;
  },
  x: Rows,
): ReferenceBlock {
  const h = layerNorm(model, `${name}.norm1`, x, tower.eps);
  const [q, k, v] = ["q", "k", "v"].map((part) => linear(model, `${name}.${part}`, h));
  const out = linear(model, `${name}.out`, attention({ q, k, v }, tower.heads, kind));
  const branch = scaled(model, `${name}.scale1`, out);
  if (reduced) return { q, k, v, out, stream: branch };
  const seen = plus(x, branch);
  const act = activations[tower.activation];
  const first = linear(model, `${name}.fc1`, layerNorm(model, `${name}.norm2`, seen, tower.eps));
  const hidden = model[`${name}.fc2.weight`].shape[1];
  const gated = first[0].length === 2 * hidden;
  const activated = first.map((row) =>
    gated ? row.slice(0, hidden).map((g, i) => activations.silu(g) * row[hidden + i]) : row.map(act)
  );
  const mlp = linear(model, `${name}.fc2`, activated);
  return { q, k, v, out, mlp, stream: plus(seen, scaled(model, `${name}.scale2`, mlp)) };
}

/** Rows of a plain tensor. */
export function rowsOf(
  { shape, data }: { shape: readonly number[]; data: ArrayLike<number> },
): Rows {
  const width = shape.at(-1)!;
  const rows = Array.from(data).length / width;
  return Array.from({ length: rows }, (_, r) => Array.from(data).slice(r * width, (r + 1) * width));
}

/** Patches of one image `[3, height, width]` through the convolution, row by row. */
export function embedPatches(
  model: PlainModel,
  image: Float64Array,
  { height, width }: { height: number; width: number },
): Rows {
  const side = Math.sqrt(model["patch.weight"].shape[1] / 3);
  const patches: Rows = [];
  for (let y = 0; y < height; y += side) {
    for (let x = 0; x < width; x += side) {
      const patch: number[] = [];
      for (let c = 0; c < 3; c++) {
        for (let dy = 0; dy < side; dy++) {
          for (let dx = 0; dx < side; dx++) {
            patch.push(image[(c * height + y + dy) * width + x + dx]);
          }
        }
      }
      patches.push(patch);
    }
  }
  return linear(model, "patch", patches);
}

/** Tokens before the first block, from positions (of the class token first, where it has one) for this grid. */
export function embedTokens(model: PlainModel, patches: Rows, pos: Rows): Rows {
  const classRows = pos.length - patches.length;
  const placed = plus(patches, pos.slice(classRows));
  const cls = model.cls
    ? [Array.from(model.cls.data, (v, i) => v + (classRows ? pos[0][i] : 0))]
    : [];
  const registers = model.registers ? rowsOf(model.registers) : [];
  const prefix = model.prefix ? rowsOf(model.prefix) : [];
  return [...prefix, ...cls, ...registers, ...placed];
}

/** SigLIP's attention pooling of the normed tokens. */
export function attentionPool(model: PlainModel, tokens: Rows, tower: ReferenceTower): number[] {
  const q = linear(model, "pool.q", rowsOf(model["pool.probe"]));
  const [k, v] = ["k", "v"].map((part) => linear(model, `pool.${part}`, tokens));
  const mixed = linear(model, "pool.out", attention({ q, k, v }, tower.heads, { mode: "qk" }));
  return poolMlp(model, mixed, tower)[0];
}

/** The second half of the pooling. */
export function poolMlp(model: PlainModel, h: Rows, tower: ReferenceTower): Rows {
  const normed = layerNorm(model, "pool.norm", h, tower.eps);
  const hidden = linear(model, "pool.fc1", normed).map((r) => r.map(activations[tower.activation]));
  return plus(h, linear(model, "pool.fc2", hidden));
}
