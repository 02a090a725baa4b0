/**
 * The check that the benchmark makes before it times anything, for the tests.
 *
 * @module
 */
export * from "../bench/check_kernel.ts";
