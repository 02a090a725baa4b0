/**
 * Options that every command with a vision transformer has: the model, its input, its dense features.
 *
 * @module
 */
import { type Command, Option } from "commander";
import { BRAINSAIL_SEED, type PatchShift, patchShifts } from "../dense/offsets.ts";
import { posEmbedConventions } from "../models/pos_embed.ts";
import type { PosEmbedConvention } from "../models/pos_embed.ts";
import type { VitConfig } from "../models/vit_config.ts";
import { type DenseMode, denseModes, type DenseOptions } from "../models/vit.ts";
import type { ImageSize } from "../images/preprocess.ts";
import { type GlobalOptions, realNumber, wholeNumber } from "./options.ts";

/** Values of {@link addModelOptions}. */
export interface ModelCliOptions extends GlobalOptions {
  /** Weights. */
  readonly model: string;
  /** Configuration of the weights. */
  readonly config?: string;
  /** Last block of the dense path. */
  readonly dense?: DenseMode;
  /** Whether the last block of the dense path is kept whole. */
  readonly arch?: "reduced" | "vanilla";
  /** Gaussian window of NACLIP in patches. */
  readonly gaussianStd?: number;
  /** How positions are resized. */
  readonly posInterpolation: PosEmbedConvention | "auto";
  /** Size that images are brought to. */
  readonly size?: string;
  /** How. */
  readonly fit?: "crop" | "stretch";
  /** Number of augmentations. */
  readonly distill?: number;
}

/** Adds the options to a command. */
export function addModelOptions(command: Command): Command {
  return command
    .requiredOption(
      "--model <path>",
      "weights: a .safetensors or PyTorch file, an *.index.json or a folder",
    )
    .option("--config <file>", "configuration of the weights (default: the one beside them)")
    .addOption(
      new Option("--dense <mode>", "attention of the last block for dense features")
        .choices([...denseModes]),
    )
    .addOption(
      new Option(
        "--arch <arch>",
        "last block for dense features: attention alone, or whole (default: as the mode's own code, " +
          "reduced for naclip, kk and nonly)",
      ).choices(["reduced", "vanilla"]),
    )
    .option("--gaussian-std <s>", "window of naclip and nonly in patches (default: 5)", positive)
    .addOption(
      new Option("--pos-interpolation <convention>", "whose code resizes the positions")
        .choices(["auto", ...posEmbedConventions]).default("auto"),
    )
    .option("--size <SxS>", "size that images are brought to: S or HxW (default: the model's own)")
    .addOption(
      new Option(
        "--fit <fit>",
        "the family's own resize and crop, or straight to the size (default: stretch with --dense or " +
          "--distill, so that a map lies on the whole image, else crop)",
      ).choices(["crop", "stretch"]),
    )
    .option("--distill <n>", "average dense features over n shifted images", wholeNumber);
}

function positive(text: string): number {
  const value = realNumber(text);
  return value > 0 ? value : realNumber("");
}

/** How images are brought to their size. */
export function fitOf({ fit, dense, distill }: ModelCliOptions): "crop" | "stretch" {
  return fit ?? (dense !== undefined || distill !== undefined ? "stretch" : "crop");
}

/** The last block of the dense path. */
export function denseOptionsOf({ dense, arch, gaussianStd }: ModelCliOptions): DenseOptions {
  return { dense, arch, gaussianStd };
}

/**
 * The augmentations that `--distill` asks for; undefined without it.
 *
 * @throws {InputError} when there are none or too many
 */
export function shiftsOf(
  { distill, seed }: ModelCliOptions,
  { patchSize }: VitConfig,
  { height, width }: ImageSize,
): PatchShift[] | undefined {
  if (distill === undefined) return undefined;
  // Seed 0 is every command's default; the published offsets belong to a seed of their own.
  return patchShifts([height / patchSize, width / patchSize], distill, {
    seed: seed === 0 ? BRAINSAIL_SEED : seed,
  });
}
