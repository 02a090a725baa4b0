/**
 * The Natural Scenes Dataset as it lies on disk.
 *
 * @module
 */
export {
  type CocoImage,
  type CocoObject,
  readCocoCaptions,
  readCocoObjects,
  type ReadCocoOptions,
} from "./coco.ts";
export {
  cocoMask,
  type CocoMaskOptions,
  type CocoPolygons,
  type CocoRuns,
  type CocoShape,
  decodeRuns,
} from "./coco_mask.ts";
export { type NsdDesign, readNsdDesign } from "./design.ts";
export { loadNsd, type LoadNsdOptions, type NsdResponses } from "./load_nsd.ts";
export { nsdPaths } from "./names.ts";
export { countTrials, readSession, type SessionBetas, type SessionVoxels } from "./session.ts";
export { type NsdPart, type SplitNsdOptions, splitShared } from "./split.ts";
export { NsdStimuli } from "./stimuli.ts";
export { readStimulusInfo, type StimulusInfo } from "./stimulus_info.ts";
export {
  type NsdVoxelOptions,
  type NsdVoxels,
  parseLabelTable,
  selectNsdVoxels,
} from "./voxels.ts";
export { readNsdCoordinates } from "./surface_coordinates.ts";
