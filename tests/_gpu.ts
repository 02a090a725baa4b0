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
