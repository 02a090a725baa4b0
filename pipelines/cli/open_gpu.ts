/**
 * The device of a command.
 *
 * @module
 */
import { Gpu } from "../../engine/gpu.ts";
import type { GlobalOptions } from "./options.ts";

/**
 * Opens the device that the options ask for. `DEBUG=1` to `4` traces what the engine does on stderr.
 *
 * @throws {UnsupportedError} when there is no adapter, or another than the one asked for
 */
export async function openGpu({ backend, adapter, profile }: GlobalOptions): Promise<Gpu> {
  const level = Number(Deno.env.get("DEBUG") ?? 0);
  const trace = ([0, 1, 2, 3, 4] as const).find((l) => l === level) ?? 0;
  const name = adapter === "software" ? "llvmpipe" : adapter;
  const log = (line: string) => console.error(line);
  const gpu = await Gpu.open({ backend, adapter: name, trace, log });
  profile?.watch(gpu);
  return gpu;
}
