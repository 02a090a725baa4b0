/**
 * Opens Dawn and says on which adapter: see `dawn.ts`.
 *
 * @module
 */
import { Gpu } from "../../engine/gpu.ts";

try {
  using gpu = await Gpu.open({ backend: "dawn" });
  console.log(`adapter: ${gpu.adapterName}`);
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  Deno.exit(1);
}
