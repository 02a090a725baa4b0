/**
 * Gyrus: WebGPU compute for vision neuroscience.
 *
 * @module
 */
export { InputError } from "./pipelines/errors.ts";
export {
  readSafetensors,
  type ReadSafetensorsOptions,
  writeSafetensors,
} from "./pipelines/io/safetensors.ts";
export {
  FileTensor,
  openSafetensors,
  SafetensorsCheckpoint,
  saveSafetensors,
} from "./pipelines/io/safetensors_file.ts";
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
} from "./pipelines/io/state_dict.ts";
