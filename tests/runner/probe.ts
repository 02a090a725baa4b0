/**
 * Opens a device and says on which adapter: see `dawn.ts` and `swiftshader.ts`.
 *
 * @module
 */
import { Gpu } from "../../engine/gpu.ts";

try {
  using gpu = await Gpu.open({ backend: Deno.args[0] === "dawn" ? "dawn" : "deno" });
  console.log(`adapter: ${gpu.adapterName}`);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  Deno.exit(1);
}
