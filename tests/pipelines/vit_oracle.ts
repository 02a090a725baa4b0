/**
 * Runs the float64 reference of a tiny model and compares activations with it.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Tensor } from "../../engine/tensor.ts";
import { type PosEmbedConvention, resizePosEmbed } from "../../pipelines/models/pos_embed.ts";
import type { PlainModel } from "./vit_fixtures.ts";
import type { TinyModel } from "./vit_models.ts";
import * as reference from "./vit_reference.ts";
import type { ReferenceAttention, ReferenceTower, Rows } from "./vit_reference.ts";

/**
 * Relative Frobenius error that float32 may make: 2e-6 is what PyTorch's float32 reaches against float64 on models of this depth,
 * and the smallest mistake that people make (tanh for erf in GELU) is 1.6e-4.
 */
export const TOLERANCE = 1e-5;

/** `‖got − want‖ / ‖want‖`. */
export function relativeError(got: ArrayLike<number>, want: ArrayLike<number>): number {
  assert.equal(got.length, want.length);
  let difference = 0, norm = 0;
  for (let i = 0; i < want.length; i++) {
    difference += (got[i] - want[i]) ** 2;
    norm += want[i] ** 2;
  }
  return Math.sqrt(difference / norm);
}

/** Fails unless a tensor holds these values within a relative Frobenius error. */
export async function assertTensor(
  got: Tensor,
  want: ArrayLike<number>,
  what: string,
  tolerance: number = TOLERANCE,
): Promise<void> {
  const error = relativeError(await got.data(), want);
  assert.ok(error <= tolerance, `${what}: relative error ${error.toExponential(2)}`);
}

/** Sizes and habits of each family, written out here once more. */
const habits: Readonly<Record<string, { eps: number; activation: ReferenceTower["activation"] }>> =
  {
    clip: { eps: 1e-5, activation: "quickGelu" },
    dinov2: { eps: 1e-6, activation: "gelu" },
    dino: { eps: 1e-6, activation: "gelu" },
    mae: { eps: 1e-6, activation: "gelu" },
    siglip: { eps: 1e-6, activation: "geluTanh" },
    radio: { eps: 1e-6, activation: "gelu" },
  };

/** The convention that each tiny model is run with when nobody says. */
export function conventionOf({ family, model }: TinyModel): PosEmbedConvention {
  if (family === "dinov2") return model.registers ? "dinov2_reg" : "dinov2";
  return family === "dino" || family === "radio" ? family : "hf";
}

/** The tower of a tiny model. */
export function towerOf({ family, heads }: TinyModel): ReferenceTower {
  return { heads, ...habits[family] };
}

/** Tokens of every stage of the image tower, for one image. */
export interface ReferenceRun {
  readonly patches: Rows;
  readonly embeddings: Rows;
  readonly start: Rows;
  readonly blocks: readonly reference.ReferenceBlock[];
  readonly final: Rows;
}

/** Options of {@link runReference}. */
export interface ReferenceOptions {
  readonly height: number;
  readonly width: number;
  readonly convention?: PosEmbedConvention;
  /** The last block, where it is changed. */
  readonly last?: { kind: ReferenceAttention; reduced: boolean };
}

function conditioned(model: PlainModel, image: Float64Array): Float64Array {
  const mean = model["input_conditioner.norm_mean"]?.data;
  const std = model["input_conditioner.norm_std"]?.data;
  if (!mean || !std) return image;
  const plane = image.length / 3;
  return image.map((v, i) => (v - mean[Math.floor(i / plane)]) / std[Math.floor(i / plane)]);
}

/** Runs the reference on one image `[3, height, width]`. */
export function runReference(
  tiny: TinyModel,
  image: Float64Array,
  { height, width, convention = conventionOf(tiny), last }: ReferenceOptions,
): ReferenceRun {
  const { model } = tiny;
  const tower = towerOf(tiny);
  const side = Math.sqrt(model["patch.weight"].shape[1] / 3);
  const patches = reference.embedPatches(model, conditioned(model, image), { height, width });
  const [rows, length] = model.pos.shape;
  const prefix = model.cls ? 1 : 0;
  const native = Math.sqrt(rows - prefix);
  const pos = resizePosEmbed(model.pos.data, {
    prefix,
    from: [native, native],
    to: [height / side, width / side],
    width: length,
    convention,
  });
  const table = reference.rowsOf({ shape: [pos.length / length, length], data: pos });
  const embeddings = reference.embedTokens(model, patches, table);
  const start = model["pre_norm.weight"]
    ? reference.layerNorm(model, "pre_norm", embeddings, tower.eps)
    : embeddings;
  const blocks: reference.ReferenceBlock[] = [];
  const depth = 2;
  for (let i = 0; i < depth; i++) {
    const changed = i === depth - 1 ? last : undefined;
    const how = { kind: changed?.kind ?? { mode: "qk" }, reduced: changed?.reduced } as const;
    const x = i === 0 ? start : blocks[i - 1].stream;
    blocks.push(reference.block(model, { name: `blocks.${i}`, tower, ...how }, x));
  }
  const { stream } = blocks[depth - 1];
  const final = model["post_norm.weight"]
    ? reference.layerNorm(model, "post_norm", stream, tower.eps)
    : stream;
  return { patches, embeddings, start, blocks, final };
}

/** The image embedding of a run, without RADIO's adaptor. */
export function referenceOutput(tiny: TinyModel, { final }: ReferenceRun): number[] {
  const { model, family } = tiny;
  if (family === "siglip") return reference.attentionPool(model, final, towerOf(tiny));
  if (family === "radio") return [...final[0], ...final[2]]; // the two summary tokens of the fixtures
  return model["projection.weight"]
    ? reference.linear(model, "projection", [final[0]])[0]
    : final[0];
}
