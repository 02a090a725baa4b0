/**
 * Every setting of a study and of its report.
 *
 * @module
 */
import { denseModes } from "../models/vit.ts";
import { posEmbedConventions } from "../models/pos_embed.ts";
import type { SettingSpec } from "./study_settings.ts";

const data: Omit<SettingSpec, "group">[] = [
  {
    key: "subjects",
    kind: "texts",
    path: true,
    about:
      "one HDF5 file of responses a subject, as the phantom's, or with nsd the subjects' numbers",
  },
  {
    key: "trainImages",
    kind: "text",
    path: true,
    about: "images of the train responses, in their order",
  },
  {
    key: "testImages",
    kind: "text",
    path: true,
    about: "images of the test responses, in their order",
  },
  {
    key: "truth",
    kind: "text",
    path: true,
    about: "HDF5 file with masks, categories, depth of the test images",
  },
  {
    key: "nsd",
    kind: "text",
    path: true,
    about: "the Natural Scenes Dataset: the folder that holds nsddata",
  },
  { key: "sessions", kind: "whole", about: "nsd: the first so many sessions", least: 1 },
  {
    key: "mask",
    kind: "text",
    about: "nsd: voxels, a mask by name or file",
    fallback: "nsdgeneral",
  },
  { key: "minNcsnr", kind: "real", about: "nsd: least ncsnr of a voxel", least: 0 },
  { key: "minT", kind: "real", about: "nsd: least t value of a localizer's voxels", fallback: 2 },
  { key: "atlases", kind: "texts", about: "nsd: label volumes that name regions" },
  {
    key: "depth",
    kind: "text",
    path: true,
    about: "nsd: array of depths [images, h, w], far = large",
  },
  { key: "nMapped", kind: "whole", about: "test images to map (default: all)", least: 1 },
];

const backbones: Omit<SettingSpec, "group">[] = [
  { key: "model", kind: "texts", path: true, about: "weights of each backbone: a file or folder" },
  {
    key: "modelConfig",
    kind: "texts",
    path: true,
    about: "configuration of each (default: beside the weights)",
  },
  { key: "name", kind: "texts", about: "name of each (default: its family)" },
  {
    key: "tokenizer",
    kind: "texts",
    path: true,
    about: "tokenizer of each text tower; none for one without",
  },
  {
    key: "textModel",
    kind: "texts",
    path: true,
    about: "weights with the text tower of each, where it is not its own",
  },
  { key: "size", kind: "texts", about: "size for dense features, S, HxW or paper" },
  { key: "encoderSize", kind: "texts", about: "size for class tokens (default: the family's)" },
  { key: "distill", kind: "wholes", about: "augmentations (default: the paper's)", least: 1 },
  {
    key: "dense",
    kind: "texts",
    about: "attention of the last block (default: the paper's)",
    choices: denseModes,
  },
  {
    key: "arch",
    kind: "texts",
    about: "last block: attention alone, or whole",
    choices: ["reduced", "vanilla"],
  },
  { key: "gaussianStd", kind: "reals", about: "window of naclip in patches", least: 0 },
  {
    key: "posInterpolation",
    kind: "text",
    about: "whose code resizes the positions",
    choices: ["auto", ...posEmbedConventions],
    fallback: "auto",
  },
];

const encoders: Omit<SettingSpec, "group">[] = [
  {
    key: "solver",
    kind: "text",
    about: "ridge regression, or the paper's probe",
    choices: ["ridge", "probe"],
    fallback: "ridge",
  },
  { key: "alphas", kind: "text", about: "ridge: candidates, as encode fit", fallback: "-4:5:19" },
  { key: "cv", kind: "whole", about: "ridge: folds", fallback: 5, least: 2 },
  { key: "epochs", kind: "whole", about: "probe: passes over the images", fallback: 100, least: 1 },
];

const analyses: Omit<SettingSpec, "group">[] = [
  {
    key: "captions",
    kind: "texts",
    path: true,
    about: "lists of captions by category: .txt files, a folder of them, or paper",
  },
  { key: "roiCategory", kind: "names", about: "category of a region whose name does not say it" },
  { key: "nTop", kind: "whole", about: "top images of a region", fallback: 5, least: 1 },
  { key: "nTopOf", kind: "counts", about: "other numbers", fallback: { food: 10 }, least: 1 },
  {
    key: "minR2",
    kind: "real",
    about: "least test R² of voxels that are tested for correlates or coloured, if q < 0.05",
    fallback: 0.05,
  },
  { key: "nResamples", kind: "whole", about: "bootstrap: resamples", fallback: 2000, least: 1 },
  {
    key: "nPermutations",
    kind: "whole",
    about: "correlates: permutations of the responses, 0 for no test",
    fallback: 999,
    least: 0,
  },
  {
    key: "nShuffles",
    kind: "whole",
    about: "control: fits to shuffled responses, 0 for none",
    fallback: 39,
    least: 0,
  },
  { key: "nShown", kind: "whole", about: "images worth showing", fallback: 12, least: 1 },
  { key: "umapNeighbors", kind: "whole", about: "colours: neighbours", fallback: 15, least: 2 },
  { key: "umapMinDist", kind: "real", about: "colours: least distance", fallback: 0.1, least: 0 },
  { key: "umapVoxels", kind: "whole", about: "colours: most voxels", fallback: 4000, least: 16 },
];

const figures: Omit<SettingSpec, "group">[] = [
  {
    key: "lhSurface",
    kind: "text",
    path: true,
    about:
      "left surface to draw on: GIFTI or FreeSurfer; {subject} in a path is the subject's name",
  },
  { key: "rhSurface", kind: "text", path: true, about: "right surface" },
  {
    key: "lhSample",
    kind: "text",
    path: true,
    about:
      "where its vertices lie in the volume: a surface, or NSD's .mgz of coordinates (default: lhSurface)",
  },
  { key: "rhSample", kind: "text", path: true, about: "the same of the right" },
  {
    key: "lhFull",
    kind: "text",
    path: true,
    about: "the surface that a flat patch was cut from (default: lhSample)",
  },
  { key: "rhFull", kind: "text", path: true, about: "the same of the right" },
  {
    key: "volume",
    kind: "text",
    path: true,
    about: "NIfTI whose affine places the voxels (nsd: ncsnr.nii.gz)",
  },
  { key: "anatomy", kind: "text", path: true, about: "NIfTI under the slices, on the same grid" },
];

/** Every setting. */
export const studySpecs: readonly SettingSpec[] = [
  ...data.map((spec) => ({ ...spec, group: "data" as const })),
  ...backbones.map((spec) => ({ ...spec, group: "backbones" as const })),
  ...encoders.map((spec) => ({ ...spec, group: "encoders" as const })),
  ...analyses.map((spec) => ({ ...spec, group: "analyses" as const })),
  ...figures.map((spec) => ({ ...spec, group: "figures" as const })),
];
