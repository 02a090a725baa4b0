import type { StateDict } from "../io/state_dict.ts";

/** Keys by which networks are told apart, and what they are; the first that fits counts. */
const NETWORKS: readonly (readonly [RegExp, string])[] = [
  [/(^|\.)middle_block\.1\.transformer_blocks\.0\./, "UNet of LDM (Stable Diffusion)"],
  [/(^|\.)input_blocks\.0\.0\.weight$/, "network of guided-diffusion"],
  [/(^|\.)time_mlp\.1\.weight$/, "UNet of denoising-diffusion-pytorch"],
  [/(^|\.)time_embedding\.linear_1\.weight$/, "UNet of diffusers"],
  [/(^|\.)temb\.dense\.0\.weight$/, "UNet of DDPM's port to PyTorch"],
  [/(^|\.)decoder\.conv_in\.weight$/, "autoencoder of latents"],
  [/(^|\.)Conv2d_1a_3x3\.conv\.weight$/, "Inception V3"],
  [/(^|\.)features\.0\.weight$/, "VGG"],
  [
    /(^|\.)(pos_embed|position_embeddings?|positional_embedding|class_embedding|cls_token)\b/,
    "transformer",
  ],
  [/(^|\.)layer1\.0\.conv1\.weight$/, "ResNet"],
];

/** What a state dict looks like, by its keys alone; undefined where nothing is known. */
export function resemblance(stateDict: StateDict): string | undefined {
  const keys = [...stateDict.keys()];
  return NETWORKS.find(([pattern]) => keys.some((key) => pattern.test(key)))?.[1];
}
