/**
 * The device of a command.
 *
 * @module
 */
import { Gpu, type TuningTable } from "../../engine/gpu.ts";
import { InputError } from "../errors.ts";
import { quote } from "../io/strict_json.ts";
import { readTuning } from "../io/tuning_file.ts";
import type { GlobalOptions } from "./options.ts";

/**
 * Opens the device that the options ask for. `DEBUG=1` to `4` traces what the engine does on stderr.
 *
 * @throws {UnsupportedError} when there is no adapter, or another than the one asked for
 * @throws {InputError} when the tuning table is of another adapter
 */
export async function openGpu(
  { backend, adapter, tuning, explain, profile }: GlobalOptions,
): Promise<Gpu> {
  const level = Number(Deno.env.get("DEBUG") ?? 0);
  const asked = ([0, 1, 2, 3, 4] as const).find((l) => l === level) ?? 0;
  const gpu = await Gpu.open({
    backend,
    adapter: adapter === "software" ? "llvmpipe" : adapter,
    trace: explain && asked < 3 ? 3 : asked,
    log: asked > 0 ? (line) => console.error(line) : explainer(),
    tuning: (name) => tuning === undefined ? tableOfUser(name) : tableOf(tuning, name),
  });
  profile?.watch(gpu);
  return gpu;
}

/** Prints each choice of a kernel once. */
function explainer(): (line: string) => void {
  const told = new Set<string>();
  return (line) => {
    if (!line.startsWith("select ") || told.has(line)) return;
    told.add(line);
    console.error(line.slice("select ".length));
  };
}

/** File of the user's own table for an adapter; undefined where the launcher told no folder. */
export function userTuningPath(adapterName: string): string | undefined {
  const cache = Deno.env.get("GYRUS_CACHE");
  return cache && `${cache}/tuning/${adapterName.replaceAll(/[^\w.]+/g, "_")}.json`;
}

function tableOf(path: string, adapterName: string): TuningTable {
  const { adapter, table } = readTuning(path);
  if (adapter !== adapterName) {
    throw new InputError(
      `Cannot use the tuning table ${quote(path)}: it is of ${quote(adapter)}, this adapter is ${
        quote(adapterName)
      }`,
    );
  }
  return table;
}

function tableOfUser(adapterName: string): TuningTable | undefined {
  const path = userTuningPath(adapterName);
  if (!path) return undefined;
  try {
    Deno.statSync(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return undefined;
    throw cause;
  }
  return tableOf(path, adapterName);
}
