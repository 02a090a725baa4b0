/**
 * The forward pass of a vision transformer: a function of weights, sizes and input, so that training can pass weights on a tape.
 *
 * @module
 */
import { add, div, sub } from "../../engine/ops/elementwise.ts";
import { cast } from "../../engine/ops/cast.ts";
import { linear } from "../../engine/ops/matmul.ts";
import { patchify } from "../../engine/ops/patchify.ts";
import { broadcastTo, concat } from "../../engine/ops/shape.ts";
import { type Tensor, tidy } from "../../engine/tensor.ts";
import type { Captures } from "./captures.ts";
import type { Grid } from "./pos_embed.ts";
import type { AttentionKind } from "./vit_attention.ts";
import { norm, runBlock, runBlocks, type Tower } from "./vit_block.ts";
import { denseMap, finalNorm, imageEmbedding, projectTokens, type Readout } from "./vit_readout.ts";
import type { Weights } from "./vit_weights.ts";

/** What replaces the attention of the last block for dense features. */
export type DenseMode = "vanilla" | "maskclip" | "sclip" | "naclip" | "kk" | "nonly";

/** Every dense mode, for help texts. */
export const denseModes: readonly DenseMode[] = [
  "vanilla",
  "maskclip",
  "sclip",
  "naclip",
  "kk",
  "nonly",
];

/** The last block of the dense path. */
export interface DenseOptions {
  /**
   * `vanilla`: as trained. `maskclip`: every token passes its own value on (Zhou et al. 2022). `sclip`: softmax(q·q) + softmax(k·k)
   * (Wang et al. 2024). `naclip`: k·k plus a Gaussian window (Hajimiri et al. 2025). `kk`, `nonly`: NACLIP's ablations without the
   * window and without the similarity.
   */
  readonly dense?: DenseMode;
  /**
   * `reduced` keeps the attention branch of the last block alone, without residual and MLP; `vanilla` keeps the block whole. As the
   * method's own code when left out: reduced for `naclip`, `kk` and `nonly`, vanilla for the others.
   */
  readonly arch?: "reduced" | "vanilla";
  /** Standard deviation of the Gaussian window in patches: 5 in NACLIP (default), 10 in BrainSAIL. */
  readonly gaussianStd?: number;
}

/** NACLIP, `naclip.py`: `gaussian_std=5`. */
export const NACLIP_STD = 5;

/** The arch that a mode's own code uses. */
export function archOf({ dense = "vanilla", arch }: DenseOptions): "reduced" | "vanilla" {
  const isNaclip = dense === "naclip" || dense === "kk" || dense === "nonly";
  return arch ?? (isNaclip ? "reduced" : "vanilla");
}

/** True where the dense path is the model itself. */
export function isPlain(options: DenseOptions): boolean {
  return (options.dense ?? "vanilla") === "vanilla" && archOf(options) === "vanilla";
}

/** An image tower ready to run. */
export interface ImageTower {
  /** Weights by our names, all on one device; those on a tape get gradients. */
  readonly weights: Weights;
  /** How it ends, and its sizes. */
  readonly readout: Readout;
}

/**
 * Embeds patches: `pixels: [n, channels, height, width]` → `[n, patches, width]`, without positions.
 */
export function embedPatches({ weights, readout }: ImageTower, pixels: Tensor): Tensor {
  return tidy(pixels.gpu, () => {
    const [mean, std] = [weights.get("input_mean"), weights.get("input_std")];
    const weight = weights.get("patch.weight")!;
    const stored = pixels.dtype === weight.dtype ? pixels : cast(pixels, weight.dtype);
    const input = mean && std ? div(sub(stored, mean), std) : stored;
    return linear(patchify(input, readout.config.patchSize), weight, {
      bias: weights.get("patch.bias"),
    });
  });
}

/** Adds positions `[patches, width]` and puts the prefix tokens in front. */
function embedTokens(tower: Tower, patches: Tensor, pos: Tensor): Tensor {
  const placed = add(patches, pos);
  const prefix = tower.weights.get("prefix");
  if (!prefix) return placed;
  const [n, , width] = patches.shape;
  const rows = prefix.reshape([1, prefix.shape[0], width]);
  return concat([broadcastTo(rows, [n, prefix.shape[0], width]), placed], 1);
}

/** What {@link runTokens} is asked for. */
export interface TokenRequest extends DenseOptions {
  /** Positions `[patches, width]` of the grid. */
  readonly pos: Tensor;
  /** Patch grid. */
  readonly grid: Grid;
  /** Which activations to keep. */
  readonly captures: Captures;
  /** `false` leaves out the image embedding, and with it the last block as trained where nothing else needs it. */
  readonly output?: boolean;
}

function attentionOf(
  { dense = "vanilla", gaussianStd = NACLIP_STD }: DenseOptions,
  place: { grid: Grid; prefix: number },
): AttentionKind {
  switch (dense) {
    case "vanilla":
      return { mode: "qk" };
    case "sclip":
      return { mode: "csa" };
    case "naclip":
    case "nonly":
      return { mode: dense, std: gaussianStd, ...place };
    default:
      return { mode: dense };
  }
}

/** The end of the model as trained: last block, final norm, embedding. Undefined where the caller wants none of it. */
function runPlainEnd(tower: Tower, x: Tensor, request: TokenRequest, readout: Readout) {
  const { captures } = request;
  const last = readout.config.depth - 1;
  const results = [".attn.out", ".attn.out.added", ".mlp", ".mlp.added"];
  const inBlock = ["", ".attn.q", ".attn.k", ".attn.v", ...results];
  const names = inBlock.map((part) => `blocks.${last}${part}`);
  const plainDense = isPlain(request) && captures.wantsAny("dense", "projected");
  if (
    request.output === false && !plainDense && !captures.wantsAny("final", "summary", ...names)
  ) return undefined;
  const tokens = runBlocks(tower, x, { from: last, to: last + 1, attention: { mode: "qk" } });
  if (captures.wants("final")) captures.take("final", finalNorm(tower, tokens));
  if (plainDense) takeDense(tower, tokens, request, readout);
  return request.output === false ? undefined : imageEmbedding(tower, tokens, readout);
}

function takeDense(
  tower: Tower,
  tokens: Tensor,
  { captures, grid }: TokenRequest,
  readout: Readout,
) {
  const projected = projectTokens(tower, tokens, readout);
  captures.take("projected", projected);
  if (captures.wants("dense")) captures.take("dense", denseMap(projected, grid));
}

/** The other end: the last block changed for dense features. Its inside is not captured: names mean the model as trained. */
function runDenseEnd(tower: Tower, x: Tensor, request: TokenRequest, readout: Readout): void {
  if (isPlain(request) || !request.captures.wantsAny("dense", "projected")) return;
  const { prefixTokens, depth } = readout.config;
  const attention = attentionOf(request, { grid: request.grid, prefix: prefixTokens });
  const quiet = { ...tower, captures: request.captures.none() };
  const options = { index: depth - 1, attention, arch: archOf(request) };
  takeDense(quiet, runBlock(quiet, x, options), request, readout);
}

/**
 * Runs the transformer on embedded patches `[n, patches, width]`.
 *
 * @returns the image embedding `[n, m]`, undefined where `output` is false; what was captured is in `captures.taken`
 */
export function runTokens(
  { weights, readout }: ImageTower,
  patches: Tensor,
  request: TokenRequest,
): Tensor | undefined {
  const { captures } = request;
  const { config } = readout;
  const tower: Tower = { weights, config, root: "", captures };
  return tidy(patches.gpu, () => {
    const embedded = embedTokens(tower, patches, request.pos);
    captures.take("embeddings", embedded);
    const start = weights.has("pre_norm.weight") ? norm(tower, "pre_norm", embedded) : embedded;
    captures.take("ln_pre", start);
    const before = { from: 0, to: config.depth - 1, attention: { mode: "qk" } } as const;
    const x = runBlocks(tower, start, before);
    const output = runPlainEnd(tower, x, request, readout);
    runDenseEnd(tower, x, request, readout);
    return { output: output ? [output] : [], taken: captures.taken };
  }).output[0];
}
