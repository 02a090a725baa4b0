/**
 * `--paper`: BrainSAIL's dense settings of a model's family, under everything that is said explicitly.
 *
 * @module
 */
import { denseSettings, paperSize } from "../brain_sail/config.ts";
import type { VitConfig } from "../models/vit_config.ts";
import type { ModelCliOptions } from "./model_options.ts";

/** What `--paper` decides. */
export type PaperOptions = Pick<
  ModelCliOptions,
  "dense" | "arch" | "gaussianStd" | "size" | "distill"
>;

/**
 * The published attention, window, image size and number of augmentations where the options say nothing else. Another attention than
 * the paper's brings its own last block and window.
 */
export function paperOptions(
  { dense, arch, gaussianStd, size, distill }: PaperOptions,
  config: VitConfig,
): PaperOptions {
  const paper = denseSettings[config.family];
  const { height, width } = paperSize(config);
  return {
    dense: dense ?? paper.dense,
    arch: arch ?? (dense === undefined ? paper.arch : undefined),
    gaussianStd: gaussianStd ?? (dense === undefined ? paper.gaussianStd : undefined),
    size: size ?? `${height}x${width}`,
    distill: distill ?? paper.nAugmentations,
  };
}
