/**
 * The backbones that a study's settings name.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import type { Backbone, BackboneSettings } from "../brain_sail/backbone.ts";
import { denseSettings, paperSize } from "../brain_sail/config.ts";
import type { Settings } from "../brain_sail/study_settings.ts";
import { InputError } from "../errors.ts";
import { type ImageSize, parseImageSize } from "../images/preprocess.ts";
import { quote } from "../io/strict_json.ts";
import type { VisionModel } from "../models/model.ts";
import type { PosEmbedConvention } from "../models/pos_embed.ts";
import { loadTokenizer } from "../models/tokenizer.ts";
import type { DenseMode, DenseOptions } from "../models/vit.ts";
import type { GlobalOptions } from "./options.ts";
import { loadModelFile, type ModelChoice } from "./load_model.ts";
import { defaultSize } from "./pixel_source.ts";

/** What the settings say of one backbone; undefined is the family's own. */
export interface BackboneChoice extends ModelChoice {
  /** Name. */
  readonly name?: string;
  /** Tokenizer of its text tower. */
  readonly tokenizer?: string;
  /** Weights with the text tower, where it is not in the model's own. */
  readonly textModel?: string;
  /** Size for dense features, `paper` or as `--size`. */
  readonly size?: string;
  /** Size for class tokens. */
  readonly encoderSize?: string;
  /** Augmentations. */
  readonly distill?: number;
  /** Attention of the last block. */
  readonly dense?: DenseMode;
  /** Last block. */
  readonly arch?: "reduced" | "vanilla";
  /** Window of naclip. */
  readonly gaussianStd?: number;
  /** Whose code resizes the positions. */
  readonly posInterpolation?: PosEmbedConvention | "auto";
}

/**
 * The backbones of the settings. A list has one entry for all of them, or one for each; `none` and 0 leave a place to the family.
 *
 * @throws {InputError} when there is none, or a list has another length
 */
export function backboneChoices(settings: Settings): BackboneChoice[] {
  const models = (settings.model ?? []) as readonly string[];
  if (models.length === 0) {
    throw new InputError("Cannot run a study: it needs the weights of a backbone, --model");
  }
  const one = (key: string, i: number): unknown => {
    const value = settings[key];
    if (!Array.isArray(value)) return value;
    if (value.length !== 1 && value.length !== models.length) {
      throw new InputError(
        `Cannot run a study: ${
          quote(key)
        } must have one entry, or one for each of ${models.length} models, it has ${value.length}`,
      );
    }
    const item = value.length === 1 ? value[0] : value[i];
    return item === "none" || item === 0 ? undefined : item;
  };
  return models.map((model, i) => ({
    model,
    config: one("modelConfig", i) as string | undefined,
    name: one("name", i) as string | undefined,
    tokenizer: one("tokenizer", i) as string | undefined,
    textModel: one("textModel", i) as string | undefined,
    size: one("size", i) as string | undefined,
    encoderSize: one("encoderSize", i) as string | undefined,
    distill: one("distill", i) as number | undefined,
    dense: one("dense", i) as DenseMode | undefined,
    arch: one("arch", i) as "reduced" | "vanilla" | undefined,
    gaussianStd: one("gaussianStd", i) as number | undefined,
    posInterpolation: settings.posInterpolation as PosEmbedConvention | "auto",
  }));
}

function sizeOf(text: string, { config: { patchSize } }: VisionModel): ImageSize {
  const size = parseImageSize(text);
  if (size.height % patchSize === 0 && size.width % patchSize === 0) return size;
  throw new InputError(
    `Cannot cut ${size.height}x${size.width} pixels into patches: both sides must be multiples of ${patchSize}`,
  );
}

/**
 * Loads a backbone. The caller disposes it.
 *
 * @throws {InputError} when a file is missing or damaged, or a setting does not suit the model
 */
export async function openBackbone(
  gpu: Gpu,
  choice: BackboneChoice,
  { seed }: GlobalOptions,
): Promise<Backbone & Disposable> {
  using held = new DisposableStack();
  const model = held.use(await loadModelFile(gpu, choice));
  const text = choice.textModel === undefined
    ? undefined
    : held.use(await loadModelFile(gpu, { model: choice.textModel }));
  const backbone: Backbone = {
    model,
    textModel: text,
    tokenizer: choice.tokenizer === undefined ? undefined : await loadTokenizer(choice.tokenizer),
    settings: settingsFor(model, choice, seed),
  };
  const loaded = held.move();
  return { ...backbone, [Symbol.dispose]: () => loaded.dispose() };
}

/** How a model is used: as the choice says, else as the paper does. */
function settingsFor(
  model: VisionModel,
  choice: BackboneChoice,
  seed: number,
): BackboneSettings {
  const paper = denseSettings[model.family];
  const { dense, arch, gaussianStd, size = "paper", encoderSize } = choice;
  // Another attention than the paper's brings its own last block and window.
  const own: DenseOptions = dense === undefined ? paper : { dense };
  return {
    name: choice.name ?? model.family,
    encoderSize: encoderSize === undefined ? defaultSize(model.config) : sizeOf(encoderSize, model),
    denseSize: size === "paper" ? paperSize(model.config) : sizeOf(size, model),
    dense: {
      dense: own.dense,
      arch: arch ?? own.arch,
      gaussianStd: gaussianStd ?? own.gaussianStd,
    },
    nAugmentations: choice.distill ?? paper.nAugmentations,
    // Seed 0 is every command's default; the published offsets belong to a seed of their own.
    offsetSeed: seed === 0 ? undefined : seed,
    posInterpolation: choice.posInterpolation,
  };
}
