/**
 * Gyrus: WebGPU compute for vision neuroscience.
 *
 * @module
 */
export {};
