/**
 * The text towers of CLIP and SigLIP.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { add } from "../../engine/ops/elementwise.ts";
import { gather } from "../../engine/ops/gather.ts";
import { linear } from "../../engine/ops/matmul.ts";
import { slice } from "../../engine/ops/shape.ts";
import { Tensor } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import { dtypeBytes, type HostTensor, toFloat32 } from "../io/state_dict.ts";
import type { Captures } from "./captures.ts";
import { norm, runBlocks, type Tower } from "./vit_block.ts";
import type { TextConfig } from "./vit_config.ts";
import type { Weights } from "./vit_weights.ts";

/** Captions as token ids, start and end tokens included; shorter ones are padded. */
export type TokenRows = readonly ArrayLike<number>[];

/**
 * Token rows padded to one length: the model's context where padding is read, which is at the last position or by tokens that see
 * what follows them; else the longest row.
 *
 * @throws {InputError} when a row is empty, too long or has an id outside the vocabulary
 */
export function padTokens(rows: TokenRows, config: TextConfig): Int32Array<ArrayBuffer>[] {
  const { context, vocabulary, pooling, causal, padToken = 0 } = config;
  if (rows.length === 0) throw new InputError("Cannot encode text: there are no captions");
  rows.forEach((row, i) => {
    if (row.length === 0 || row.length > context) {
      throw new InputError(
        `Cannot encode caption ${i}: it must have 1 to ${context} tokens, got ${row.length}`,
      );
    }
    const bad = Array.from(row).find((id) => !Number.isInteger(id) || id < 0 || id >= vocabulary);
    if (bad !== undefined) {
      throw new InputError(
        `Cannot encode caption ${i}: token ids must be from 0 to ${vocabulary - 1}, got ${bad}`,
      );
    }
  });
  const longest = Math.max(...rows.map((row) => row.length));
  const length = causal && pooling === "end" ? longest : context;
  return rows.map((row) => {
    const padded = new Int32Array(length).fill(padToken);
    padded.set(Array.from(row));
    return padded;
  });
}

/**
 * Where each caption is read: its first end token, or the last position.
 *
 * @throws {InputError} when a caption has no end token
 */
export function readPositions(
  rows: readonly Int32Array[],
  { pooling, endToken }: Pick<TextConfig, "pooling" | "endToken">,
): number[] {
  if (pooling === "last") return rows.map((row) => row.length - 1);
  return rows.map((row, i) => {
    const end = row.indexOf(endToken ?? row.reduce((a, b) => Math.max(a, b)));
    if (end < 0) {
      throw new InputError(`Cannot encode caption ${i}: it lacks the end token ${endToken}`);
    }
    return end;
  });
}

/** Rows of the token embedding: `[captions, length, width]`. */
function embedded(
  gpu: Gpu,
  token: HostTensor,
  { rows, dtype }: { rows: readonly Int32Array[]; dtype: "f32" | "f16" },
): Tensor {
  const [width, length] = [token.shape[1], rows[0].length];
  const rowBytes = width * dtypeBytes[token.dtype];
  const bytes = token.bytes;
  const values = new Float32Array(rows.length * length * width);
  rows.forEach((row, r) =>
    row.forEach((id, t) => {
      const at = bytes.subarray(id * rowBytes, (id + 1) * rowBytes);
      const one = toFloat32({ dtype: token.dtype, shape: [width], bytes: at });
      values.set(one, (r * length + t) * width);
    })
  );
  return Tensor.from(gpu, values, [rows.length, length, width], { dtype });
}

/** What {@link runText} needs. */
export interface TextRequest {
  /** Weights by our names. */
  readonly weights: Weights;
  /** Sizes. */
  readonly config: TextConfig;
  /** Which activations to keep (`text.blocks.<i>`, `text.final`, …). */
  readonly captures: Captures;
  /** The position that each caption's embedding is read from. */
  readonly positions: readonly number[];
}

/** The text transformer on embedded tokens `[captions, length, width]` → `[captions, m]`. */
export function runText(tokens: Tensor, request: TextRequest): Tensor {
  const { weights, config, captures, positions } = request;
  const tower: Tower = { weights, config, root: "text.", captures };
  const [k, length, width] = tokens.shape;
  return captures.scope(tokens.gpu, () => {
    const pos = slice(weights.get("text.pos")!, { axis: 0, end: length });
    const attention = { mode: "qk", causal: config.causal } as const;
    const x = runBlocks(tower, add(tokens, pos), { from: 0, to: config.depth, attention });
    if (captures.wants("text.final")) captures.take("text.final", norm(tower, "post_norm", x));
    const flat = x.reshape([k * length, width]);
    const read = gather(flat, positions.map((p, i) => i * length + p));
    return linear(norm(tower, "post_norm", read), weights.get("text.projection.weight")!, {
      bias: weights.get("text.projection.bias"),
    });
  });
}

/** The text tower of a loaded model. */
export interface TextTower {
  /** Device. */
  readonly gpu: Gpu;
  /** Weights by our names. */
  readonly weights: Weights;
  /** Sizes. */
  readonly config: TextConfig;
  /** Token embedding `[vocabulary, width]`, on the host. */
  readonly token: HostTensor;
  /** Storage of activations. */
  readonly dtype: "f32" | "f16";
}

/**
 * Encodes captions. Where nothing is captured CLIP's rows are cut after the last end token, which its causal mask makes exact.
 *
 * @returns the embeddings `[captions, m]`; what was captured is in `captures.taken`
 */
export function encodeTokens(tower: TextTower, rows: TokenRows, captures: Captures): Tensor {
  const { gpu, config, token, dtype, weights } = tower;
  const padded = padTokens(rows, config);
  const positions = readPositions(padded, config);
  const needed = Math.max(...positions) + 1;
  const cut = config.causal && !captures.wantsAnything
    ? padded.map((row) => row.subarray(0, needed))
    : padded;
  return captures.scope(gpu, () => {
    const tokens = embedded(gpu, token, { rows: cut, dtype });
    return runText(tokens, { weights, config, captures, positions });
  });
}
