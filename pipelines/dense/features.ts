/**
 * Every feature of a batch of images that an analysis wants, by the names they have on disk.
 *
 * @module
 */
import { readAll, type Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import { preprocessings } from "../images/preprocess.ts";
import type { ModelFamily } from "../models/vit_options.ts";
import type { VisionModel } from "../models/model.ts";
import type { PosEmbedConvention } from "../models/pos_embed.ts";
import type { DenseOptions } from "../models/vit.ts";
import { distillDense } from "./distill.ts";
import type { PatchShift } from "./offsets.ts";

/** Features with a name of their own, beside those of single blocks. */
export type FeatureName = "cls" | "final" | "projected" | "dense";

/** Every name, for help texts. */
export const featureNames: readonly FeatureName[] = ["cls", "final", "projected", "dense"];

/**
 * What of a block its layers are: `block` the residual stream after it; `attn` what its attention adds to the stream,
 * scale₁·attention(norm₁ x) after the output projection and LayerScale; `mlp` what its MLP adds, likewise. `attn` are the nodes of
 * AlignedCut's released models, whatever the name suggests not attention maps.
 */
export type NodeType = "block" | "attn" | "mlp";

/** Every type of nodes, for help texts. */
export const nodeTypes: readonly NodeType[] = ["block", "attn", "mlp"];

/** Activations before the first block that can be asked for as layers. */
const BEFORE_BLOCKS: readonly string[] = ["patch_embed", "embeddings", "ln_pre"];

/** What {@link extractFeatures} is asked for. */
export interface FeatureRequest extends DenseOptions {
  /** Features by name. `projected` is passed over where the model has no projection. */
  readonly save: readonly FeatureName[];
  /** Blocks by number, or `patch_embed`, `embeddings`, `ln_pre`. */
  readonly layers?: readonly string[];
  /** What of the blocks among the layers; the residual stream when left out. */
  readonly nodes?: readonly NodeType[];
  /** Augmentations that `dense` is averaged over; the image alone when left out. */
  readonly shifts?: readonly PatchShift[];
  /** How positions are brought to the grid; the model's own choice when left out. */
  readonly posInterpolation?: PosEmbedConvention | "auto";
}

/** One feature of a batch, on the host. */
export interface FeatureArray {
  /** `[n, …]` */
  readonly shape: readonly number[];
  /** The values. */
  readonly data: Float32Array<ArrayBuffer>;
}

/**
 * White as a family's models take it, one value per channel: `(1 − mean) / std`, BrainSAIL's colour of what lies outside a shifted
 * image.
 */
export function whiteInfill(family: ModelFamily): number[] {
  const { mean, std } = preprocessings[family];
  return mean.map((m, c) => (1 - m) / std[c]);
}

/**
 * Reads `--layers`: `all`, or numbers and names with commas.
 *
 * @throws {InputError} for a layer that a model of this depth does not have
 */
export function parseLayers(text: string, depth: number): string[] {
  if (text.trim() === "all") return Array.from({ length: depth }, (_, i) => `${i}`);
  const layers = text.split(",").map((part) => part.trim()).filter((part) => part !== "");
  for (const layer of layers) {
    const isBlock = /^\d+$/.test(layer) && Number(layer) < depth;
    if (isBlock || BEFORE_BLOCKS.includes(layer)) continue;
    throw new InputError(
      `Cannot save the layer "${layer}": the model has the blocks 0 to ${depth - 1} and ${
        BEFORE_BLOCKS.join(", ")
      }`,
    );
  }
  return [...new Set(layers.map((layer) => /^\d+$/.test(layer) ? `${Number(layer)}` : layer))];
}

/** Name on disk and name of the activation of a block's nodes. */
function nodesOf(layer: string, type: NodeType): [path: string, capture: string] {
  if (type === "block") return [`/blocks/${layer}`, `blocks.${layer}`];
  const part = type === "attn" ? "attn.out.added" : "mlp.added";
  return [`/${type}/${layer}`, `blocks.${layer}.${part}`];
}

/** Datasets of a request: name on disk and name of the activation. */
function wanted(
  model: VisionModel,
  { save, layers = [], nodes = ["block"], shifts }: FeatureRequest,
): [path: string, capture: string][] {
  const has = (name: FeatureName) => save.includes(name);
  const pairs = layers.flatMap((layer): [string, string][] =>
    BEFORE_BLOCKS.includes(layer)
      ? [[`/${layer}`, layer]]
      : nodes.map((type) => nodesOf(layer, type))
  );
  if (has("final")) pairs.push(["/final", "final"]);
  if (has("projected") && model.family === "clip") pairs.push(["/projected", "projected"]);
  if (has("dense") && !shifts) pairs.push(["/dense", "dense"]);
  return pairs;
}

/**
 * Runs a model on a batch and brings the features to the host, keyed by their paths on disk:
 *
 * - `/cls` `[n, m]`: the image embedding that an encoder is trained on, of the model as trained: CLIP's projected class token, the
 *   normalised class token of DINO, DINOv2 and MAE, SigLIP's pooled embedding, RADIO's summary;
 * - `/blocks/<i>` `[n, tokens, width]`: residual stream after block `i`, from 0, prefix tokens included; `/patch_embed`,
 *   `/embeddings`, `/ln_pre` before the first; `/attn/<i>` and `/mlp/<i>`, of the same shape, what the block's halves add to it;
 * - `/final` `[n, tokens, width]`: after the final norm;
 * - `/projected` `[n, tokens, m]`: CLIP's projection of all tokens, under the attention that `dense` and `arch` name;
 * - `/dense` `[n, gridHeight, gridWidth, m]`: its patch rows as a map (elsewhere the normalised patch tokens, RADIO's through its
 *   adaptor head), raw as the reference code returns them: nothing is normalised to unit length; with `shifts` their mean over the
 *   augmentations.
 *
 * @param pixels `[n, channels, height, width]`, preprocessed as the model wants
 */
export async function extractFeatures(
  model: VisionModel,
  pixels: Tensor,
  request: FeatureRequest,
): Promise<Map<string, FeatureArray>> {
  const { save, shifts, dense, arch, gaussianStd, posInterpolation } = request;
  const pairs = wanted(model, request);
  const options = { dense, arch, gaussianStd, posInterpolation };
  const named: [string, Tensor][] = [];
  using held = new DisposableStack();
  tidy(pixels.gpu, () => {
    const needsForward = save.includes("cls") || pairs.length > 0;
    const run = needsForward
      ? model.forward(pixels, { ...options, capture: pairs.map(([, name]) => name) })
      : undefined;
    if (run && save.includes("cls")) named.push(["/cls", run.output]);
    for (const [path, name] of pairs) named.push([path, run!.captured.get(name)!]);
    if (save.includes("dense") && shifts) {
      const infill = whiteInfill(model.family);
      named.push(["/dense", distillDense(model, pixels, { ...options, shifts, infill })]);
    }
    return named.map(([, tensor]) => tensor);
  });
  for (const [, tensor] of named) held.use(tensor);
  const values = await readAll(named.map(([, tensor]) => tensor));
  return new Map(named.map(([path, { shape }], i) => {
    const data = values[i] as Float32Array<ArrayBuffer>; // every feature is floating point
    return [path, { shape, data }];
  }));
}
