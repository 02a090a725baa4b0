/**
 * BrainSAIL's settings (Luo et al., arXiv 2410.05266; code: aluo-x/BrainSAIL, commit 8cf297a).
 *
 * @module
 */
import type { ImageSize } from "../images/preprocess.ts";
import type { DenseMode, DenseOptions } from "../models/vit.ts";
import type { ModelFamily } from "../models/vit_options.ts";
import type { VitConfig } from "../models/vit_config.ts";

/** How dense features are taken from a family of models. */
export interface DenseSettings extends DenseOptions {
  /** Attention of the last block. */
  readonly dense: DenseMode;
  /** Side of the image, as a multiple of the one that the positions were made for, or in pixels. */
  readonly size: { readonly scale: number } | { readonly pixels: number };
  /** Number of augmentations, the image itself among them. */
  readonly nAugmentations: number;
}

/** NACLIP's window in BrainSAIL's CLIP script, in patches, at a grid of 56 x 56. */
const CLIP_STD = 10;

const naclip: DenseSettings = {
  // The CLIP script: NACLIP, "reduced", 896 = 4 x 224 pixels, one null and 50 drawn augmentations.
  dense: "naclip",
  arch: "reduced",
  gaussianStd: CLIP_STD,
  size: { scale: 4 },
  nAugmentations: 51,
};

const valuePath: DenseSettings = {
  // The DINOv2 script: the last attention replaced by the identity, 518 pixels (the positions' own), one null and 24 drawn.
  dense: "maskclip",
  arch: "vanilla",
  size: { scale: 1 },
  nAugmentations: 25,
};

/** The paper's three backbones; the families that it does not use are treated as DINOv2. */
export const denseSettings: Readonly<Record<ModelFamily, DenseSettings>> = {
  clip: naclip,
  dinov2: valuePath,
  dino: valuePath,
  mae: valuePath,
  siglip: valuePath,
  // The RADIO script: 768 pixels, v2.5's preferred resolution.
  radio: { ...valuePath, size: { pixels: 768 } },
};

/** The size at which the paper takes dense features from a model. */
export function paperSize({ family, grid, patchSize }: VitConfig): ImageSize {
  const { size } = denseSettings[family];
  if ("pixels" in size) return { height: size.pixels, width: size.pixels };
  return {
    height: size.scale * grid[0] * patchSize,
    width: size.scale * grid[1] * patchSize,
  };
}
