/**
 * The device that the tests run on, chosen by the test runner through two environment variables.
 *
 * @module
 */
import { Gpu, type OpenOptions } from "../engine/gpu.ts";

/**
 * Opens the device under test. `GYRUS_TEST_BACKEND` is `deno` or `dawn`, `GYRUS_TEST_KERNELS` is `auto` or `naive`.
 */
export function openTestGpu(options: OpenOptions = {}): Promise<Gpu> {
  const backend = Deno.env.get("GYRUS_TEST_BACKEND") === "dawn" ? "dawn" : "deno";
  const kernels = Deno.env.get("GYRUS_TEST_KERNELS") === "naive" ? "naive" : "auto";
  return Gpu.open({ backend, kernels, ...options });
}

/**
 * Opens the device for tests of what a whole method finds or how much memory it takes: with naive kernels, which the tests of kernels and
 * blocks run through, these would say the same after minutes, so that the run with naive kernels leaves their files out.
 */
export function openMethodGpu(options: OpenOptions = {}): Promise<Gpu> {
  return openTestGpu(options);
}

/**
 * Opens the device for tests of commands, which open one of their own with all kernels: the run with naive kernels leaves their files out.
 */
export function openCommandGpu(options: OpenOptions = {}): Promise<Gpu> {
  return openTestGpu(options);
}
