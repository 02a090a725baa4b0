/**
 * Loads a vision transformer from a state dict and runs it.
 *
 * @module
 */
import { DisposedError } from "../../engine/errors.ts";
import type { Gpu } from "../../engine/gpu.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import type { StateDict } from "../io/state_dict.ts";
import { Captures, checkCaptures } from "./captures.ts";
import { encodeTokens, type TokenRows } from "./clip_text.ts";
import { isInception } from "./inception_weights.ts";
import { isVgg } from "./vgg_weights.ts";
import { mapCheckpoint } from "./layouts.ts";
import { type Grid, type PosEmbedConvention, resizePosEmbed } from "./pos_embed.ts";
import {
  type DenseOptions,
  embedPatches,
  type ImageTower,
  runTokens,
  type TokenRequest,
} from "./vit.ts";
import { chooseAdaptor, radioTokens } from "./radio.ts";
import { checkTensors } from "./vit_check.ts";
import { inferTextConfig, inferVitConfig, ShapeReader } from "./vit_config.ts";
import type { TextConfig, VitConfig } from "./vit_config.ts";
import { type ModelFamily, type ModelOptions, readModelConfig } from "./vit_options.ts";
import { type HostWeights, own, uploadWeights, type Weights } from "./vit_weights.ts";

/** What a forward pass returns. The caller owns the tensors. */
export interface ForwardResult {
  /**
   * The image embedding `[n, m]`: CLIP's projected class token, SigLIP's pooled embedding, the normalised class token of DINO, DINOv2
   * and MAE, RADIO's adaptor summary or, without an adaptor, its summary (class tokens side by side).
   */
  readonly output: Tensor;
  /** Activations asked for, by name. */
  readonly captured: ReadonlyMap<string, Tensor>;
}

/** Options of {@link VisionModel.forward}. */
export interface ForwardOptions extends DenseOptions {
  /**
   * Activations to return: `patch_embed` `[n, patches, width]`; `embeddings` (with positions and prefix tokens), `ln_pre`,
   * `blocks.<i>` (residual stream after block i, from 0), `blocks.<i>.attn.{q,k,v,out}`, `blocks.<i>.mlp`, `.attn.out.added` and
   * `.mlp.added` (times LayerScale: what the stream is the sum of), `final` (after the final norm), all `[n, tokens, width]`; `summary` (RADIO) `[n, classes·width]`; `projected` (tokens in the space of the output:
   * `[n, tokens, m]`, without prefix tokens for SigLIP and RADIO's adaptor) and `dense` `[n, gridHeight, gridWidth, m]`.
   *
   * `dense` and `projected` come from the last block that `dense`, `arch` and `gaussianStd` describe; everything else, the output
   * included, is the model as trained.
   */
  readonly capture?: readonly string[];
  /** How positions are brought to the image's grid; the model's own choice when left out. */
  readonly posInterpolation?: PosEmbedConvention | "auto";
}

/** Grids whose positions stay on the device. */
const MAX_GRIDS = 4;

const BLOCK_PARTS = "(|\\.attn\\.(q|k|v|out|out\\.added)|\\.mlp|\\.mlp\\.added)";

function blockNames(tower: string, depth: number): RegExp {
  const numbers = Array.from({ length: depth }, (_, i) => i).join("|");
  return new RegExp(`^${tower}blocks\\.(${numbers})${BLOCK_PARTS}$`);
}

/** Everything that {@link loadVit} puts together. */
interface ModelParts {
  readonly gpu: Gpu;
  readonly config: VitConfig;
  readonly textConfig?: TextConfig;
  readonly weights: Weights;
  readonly host: HostWeights;
  readonly tower: ImageTower;
  readonly dtype: "f32" | "f16";
  readonly ignoredKeys: readonly string[];
}

/** A vision transformer on a device, with its text tower where it has one. Owns its weights. */
export class VisionModel implements Disposable {
  /** Family. */
  readonly family: ModelFamily;
  /** Sizes of the image tower. */
  readonly config: VitConfig;
  /** Sizes of the text tower. */
  readonly textConfig?: TextConfig;
  /** Keys of the checkpoint that carry nothing for inference, or that no layout knows where `strict` is off. */
  readonly ignoredKeys: readonly string[];
  /** Weights by our names (see `layouts.ts`), owned by the model. */
  readonly weights: Weights;
  readonly #parts: ModelParts;
  readonly #positions = new Map<string, Tensor>();
  #disposed = false;

  /** @internal Use {@link loadVit}. */
  constructor(parts: ModelParts) {
    this.#parts = parts;
    this.family = parts.config.family;
    this.config = parts.config;
    this.textConfig = parts.textConfig;
    this.weights = parts.weights;
    this.ignoredKeys = parts.ignoredKeys;
  }

  /** Natural logarithm of the factor on cosines of images and captions, where the checkpoint has it. */
  get logitScale(): number | undefined {
    return this.#parts.host.logitScale;
  }

  /** Added to the scaled cosines, where the checkpoint has it (SigLIP). */
  get logitBias(): number | undefined {
    return this.#parts.host.logitBias;
  }

  /** Length of the image embedding. */
  get outputWidth(): number {
    const { tower: { readout }, weights } = this.#parts;
    if (this.family === "radio") {
      const last = weights.get("adaptor.final.2.weight") ?? weights.get("adaptor.fc2.weight");
      return last?.shape[0] ?? readout.summaryTokens.length * this.config.width;
    }
    return weights.get("projection.weight")?.shape[0] ?? this.config.width;
  }

  #assertOpen(): void {
    if (this.#disposed) throw new DisposedError("Cannot run the model: it was disposed");
  }

  #gridOf(pixels: Tensor): Grid {
    const { patchSize, channels } = this.config;
    const [, c, height, width] = pixels.shape;
    if (
      pixels.shape.length !== 4 || c !== channels || height % patchSize !== 0 ||
      width % patchSize !== 0 || pixels.size === 0
    ) {
      throw new InputError(
        `Cannot run the model on pixels [${pixels.shape}]: they must be [n, ${channels}, height, width] with sides that are multiples of ${patchSize}`,
      );
    }
    return [height / patchSize, width / patchSize];
  }

  /** Positions `[patches, width]` of a grid, resized once on the host. */
  #positionsOf(grid: Grid, wanted: PosEmbedConvention | "auto" = "auto"): Tensor {
    const { width, posPrefix, grid: from, posInterpolation } = this.config;
    const convention = wanted === "auto" ? posInterpolation : wanted;
    const key = `${grid}|${convention}`;
    const known = this.#positions.get(key);
    if (known) return known;
    const options = { prefix: posPrefix, from, to: grid, width, convention };
    const rows = resizePosEmbed(this.#parts.host.pos, options).subarray(posPrefix * width);
    const { gpu, dtype } = this.#parts;
    const tensor = own(Tensor.from(gpu, rows, [grid[0] * grid[1], width], { dtype }));
    const oldest = this.#positions.keys().next().value;
    if (this.#positions.size >= MAX_GRIDS && oldest !== undefined) {
      this.#positions.get(oldest)?.dispose();
      this.#positions.delete(oldest);
    }
    this.#positions.set(key, tensor);
    return tensor;
  }

  #captures(names: readonly string[]): Captures {
    const { depth, family } = this.config;
    const rest = ["embeddings", "ln_pre", "final", "projected", "dense", "patch_embed"];
    if (family === "radio") rest.push("summary");
    checkCaptures(
      names,
      [blockNames("", depth), new RegExp(`^(${rest.join("|")})$`)],
      `${rest.join(", ")} and blocks.0 to blocks.${
        depth - 1
      }, each with .attn.q, .attn.k, .attn.v, .attn.out, .mlp and both times LayerScale: .attn.out.added, .mlp.added`,
    );
    return new Captures(names);
  }

  /**
   * Embeds the patches of `pixels: [n, channels, height, width]` → `[n, patches, width]`, without positions, for
   * {@link forwardTokens}. Images shifted by whole patches share their embeddings, so that they are computed once.
   *
   * @throws {InputError} when the sides are not multiples of the patch size
   */
  embedPatches(pixels: Tensor): Tensor {
    this.#assertOpen();
    this.#gridOf(pixels);
    return embedPatches(this.#parts.tower, pixels);
  }

  /**
   * Runs the model on images.
   *
   * @param pixels `[n, channels, height, width]`, preprocessed as the family wants (see `preprocessings`); a tensor on a tape makes the
   * results differentiable by it
   * @throws {InputError} when the sides are not multiples of the patch size, or a name to capture is not one of the model's
   */
  forward(pixels: Tensor, options: ForwardOptions = {}): ForwardResult {
    this.#assertOpen();
    const grid = this.#gridOf(pixels);
    const captures = this.#captures(options.capture ?? []);
    const output = captures.scope(pixels.gpu, () => {
      const patches = embedPatches(this.#parts.tower, pixels);
      captures.take("patch_embed", patches);
      return this.#run(patches, { ...options, grid, captures })!;
    });
    return { output, captured: new Map(Object.entries(captures.taken)) };
  }

  /**
   * Runs the model on embedded patches `[n, patches, width]`, as {@link embedPatches} gives them (gathered, shifted or filled).
   *
   * @throws {InputError} when the grid does not have as many patches
   */
  forwardTokens(patches: Tensor, options: ForwardOptions & { readonly grid: Grid }): ForwardResult {
    this.#checkPatches(patches, options.grid);
    const captures = this.#captures(options.capture ?? []);
    const output = captures.scope(patches.gpu, () => {
      captures.take("patch_embed", patches);
      return this.#run(patches, { ...options, captures })!;
    });
    return { output, captured: new Map(Object.entries(captures.taken)) };
  }

  /**
   * The dense map alone, `[n, gridHeight, gridWidth, m]`: as `forwardTokens` with `dense` captured, without the work that only the
   * image embedding needs.
   *
   * @throws {InputError} when the grid does not have as many patches
   */
  denseTokens(
    patches: Tensor,
    options: Omit<ForwardOptions, "capture"> & { readonly grid: Grid },
  ): Tensor {
    this.#checkPatches(patches, options.grid);
    return tidy(patches.gpu, () => {
      const captures = new Captures(["dense"]);
      this.#run(patches, { ...options, captures, output: false });
      return captures.taken.dense;
    });
  }

  #checkPatches(patches: Tensor, grid: Grid): void {
    this.#assertOpen();
    const { width } = this.config;
    const [, count, length] = patches.shape;
    if (patches.shape.length !== 3 || length !== width || count !== grid[0] * grid[1]) {
      throw new InputError(
        `Cannot run the model on patches [${patches.shape}]: a grid of ${grid[0]}x${
          grid[1]
        } needs [n, ${grid[0] * grid[1]}, ${width}]`,
      );
    }
  }

  #run(
    patches: Tensor,
    options: Omit<TokenRequest, "pos"> & Pick<ForwardOptions, "posInterpolation">,
  ): Tensor | undefined {
    const pos = this.#positionsOf(options.grid, options.posInterpolation);
    return runTokens(this.#parts.tower, patches, { ...options, pos });
  }

  /**
   * Encodes captions, given as token ids with start and end tokens, into the space of the image embedding: `[captions, m]`, not
   * normalised.
   *
   * @throws {InputError} when the model has no text tower, or a caption does not fit it
   */
  encodeText(tokens: TokenRows): Tensor {
    return this.forwardText(tokens).output;
  }

  /**
   * As {@link encodeText}, and returns activations: `text.blocks.<i>` with the parts of an image block, and `text.final`, all
   * `[captions, length, width]`.
   *
   * @throws {InputError} when the model has no text tower, or a caption does not fit it
   */
  forwardText(
    tokens: TokenRows,
    { capture = [] }: { readonly capture?: readonly string[] } = {},
  ): ForwardResult {
    this.#assertOpen();
    const { textConfig: config, gpu, weights, dtype, host } = this.#parts;
    if (!config || !host.token) {
      throw new InputError(
        `Cannot encode text: the ${this.family} checkpoint has no text tower`,
      );
    }
    checkCaptures(
      capture,
      [blockNames("text\\.", config.depth), /^text\.final$/],
      `text.final and text.blocks.0 to text.blocks.${config.depth - 1}`,
    );
    const captures = new Captures(capture);
    const output = encodeTokens(
      { gpu, weights, config, token: host.token, dtype },
      tokens,
      captures,
    );
    return { output, captured: new Map(Object.entries(captures.taken)) };
  }

  /** Frees the weights. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    this.#disposed = true;
    for (const tensor of this.#parts.weights.values()) tensor.dispose();
    for (const tensor of this.#positions.values()) tensor.dispose();
    this.#positions.clear();
  }
}

/**
 * Loads a vision transformer: recognises family and layout from the keys and shapes, checks every tensor, uploads the weights.
 *
 * Layouts: transformers (CLIP, SigLIP, ViT/DINO, ViTMAE, Dinov2, Dinov2WithRegisters), openai/CLIP and open_clip, timm, the original
 * repositories of DINO, DINOv2 and MAE, and AM-RADIO with its adaptor heads.
 *
 * @param config the `config.json` beside the weights, {@link ModelOptions}, or both mixed
 * @throws {InputError} when the checkpoint is not one of these: it lists what was expected and what was found
 *
 * @example
 * ```ts ignore
 * import { Gpu, loadVit, readSafetensors, Tensor } from "@gyrus/gyrus";
 * using gpu = await Gpu.open();
 * using model = await loadVit(gpu, readSafetensors(await Deno.readFile("model.safetensors")));
 * using pixels = Tensor.zeros(gpu, [1, 3, 224, 224]);
 * const { output, captured } = model.forward(pixels, { capture: ["blocks.3"] });
 * ```
 */
export async function loadVit(
  gpu: Gpu,
  stateDict: StateDict,
  config?: ModelOptions | Readonly<Record<string, unknown>>,
): Promise<VisionModel> {
  const said = readModelConfig(config);
  if (isInception(stateDict, said.prefix)) {
    throw new InputError(
      "Cannot load Inception V3 as a vision transformer: loadInception and loadModel load it",
    );
  }
  if (isVgg(stateDict, said.prefix)) {
    throw new InputError(
      "Cannot load VGG as a vision transformer: loadVgg and loadModel load it",
    );
  }
  const checkpoint = mapCheckpoint(stateDict, { prefix: said.prefix });
  const reader = new ShapeReader(checkpoint);
  const vision = inferVitConfig(reader, said);
  const text = inferTextConfig(reader, vision, said);
  checkTensors(reader, { vision, text, strict: said.strict });
  const adaptor = chooseAdaptor(reader, { said, width: vision.width });
  const tokens = vision.family === "radio"
    ? radioTokens(reader, { prefixTokens: vision.prefixTokens, said, adaptor })
    : { summaryTokens: [] };
  const dtype = said.dtype ?? "f32";
  const { weights, host } = uploadWeights(gpu, checkpoint, {
    vision,
    text,
    dtype,
    adaptor: adaptor?.key,
    conditioned: said.inputConditioner !== "external",
  });
  await gpu.settled(); // an upload that the device refused
  return new VisionModel({
    gpu,
    config: vision,
    textConfig: text,
    weights,
    host,
    tower: { weights, readout: { config: vision, ...tokens } },
    dtype,
    ignoredKeys: [...checkpoint.ignored, ...checkpoint.unknown],
  });
}
