/**
 * Files: arrays, volumes, surfaces and images on disk.
 *
 * @module
 */
export { readSafetensors, type ReadSafetensorsOptions, writeSafetensors } from "./safetensors.ts";
export {
  FileTensor,
  type OpenCheckpointOptions,
  openSafetensors,
  SafetensorsCheckpoint,
  saveSafetensors,
} from "./safetensors_file.ts";
export {
  type HostArray,
  hostArray,
  type HostDType,
  type HostTensor,
  hostTensor,
  mergeStateDicts,
  type StateDict,
  toFloat32,
  toFloat64,
} from "./state_dict.ts";
export { type ArrayRef, openArray, parseArrayRef, type RowSource } from "./array_ref.ts";
export type { ArrayBlock } from "./array_block.ts";
export { type Hdf5Attribute, type Hdf5Box, type Hdf5DatasetInfo, Hdf5File } from "./hdf5.ts";
export { type Hdf5DatasetOptions, type Hdf5WriteDType, Hdf5Writer } from "./hdf5_writer.ts";
export { NpyFile, NpyWriter, readNpy, writeNpy } from "./npy.ts";
export { type ImageSource, openImages } from "./images.ts";
export { type MatArray, readMat, type ReadMatOptions, writeMat } from "./mat.ts";
export {
  type NiftiHeader,
  readNifti,
  type ReadNiftiOptions,
  writeNifti,
  type WriteNiftiOptions,
} from "./nifti.ts";
export { NiftiFile, type NiftiSlab } from "./nifti_file.ts";
export { pickVertices, type Surface } from "./mesh.ts";
export { MghFile } from "./mgh.ts";
export {
  readSurface,
  type ReadSurfaceOptions,
  readVertexValues,
  type ReadVertexValuesOptions,
} from "./surface.ts";
export { DENSE_SCALE, encodeBrainSail, encodeScaledHalf } from "./scaled_half.ts";
export { resumeSteps, type RunFacts, type StepArrays, StepLog } from "./step_log.ts";
export { formatTuning, readTuning, type TuningFile } from "./tuning_file.ts";
