/**
 * Recordings of inferior temporal cortex in the layouts of brain-score's HvM data (Majaj, Hong et al. 2015) and of MIG-Vis' code.
 *
 * @module
 */
export { type AssemblyOptions, type NeuralAssembly, readAssembly } from "./assembly.ts";
export {
  type Population,
  type PopulationOptions,
  readMatrix,
  readPopulation,
} from "./population.ts";
export {
  type CategoryLabels,
  categoryLabels,
  HVM_POSE,
  HVM_ROTATIONS,
  poseFeatures,
  readStimulusTable,
  type StimulusColumns,
} from "./stimuli.ts";
