/**
 * What was run: enough to run it again and to tell two results apart.
 *
 * @module
 */
import type { Gpu } from "../engine/gpu.ts";
import { parseArrayRef } from "./io/array_ref.ts";

/** Version of the software. */
export const VERSION = "0.1.0";

/** A file that was read. */
export interface InputFile {
  /** The reference as it was given. */
  readonly reference: string;
  /** Bytes of the file; undefined for a folder. */
  readonly bytes?: number;
  /** When it was last changed, ISO 8601. */
  readonly modified?: string;
}

/** The record of one run. */
export interface RunRecord {
  /** The software's version. */
  readonly gyrus: string;
  /** What was run, `encode fit`. */
  readonly command: string;
  /** Options in force, seeds among them. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Files that were read, by what they are. */
  readonly inputs: Readonly<Record<string, InputFile>>;
  /** Driver's description of the adapter, `none` where none was opened. */
  readonly adapter: string;
  /** Features in use. */
  readonly features: readonly string[];
  /** Deno's version and platform. */
  readonly runtime: string;
  /** When the run began, ISO 8601. */
  readonly started: string;
  /** How long it took. */
  readonly seconds: number;
  /** Variant, storage type and constants of every kernel that was compiled. */
  readonly kernels: readonly string[];
  /** Results in a few numbers. */
  readonly results: Readonly<Record<string, unknown>>;
}

/** What a command knows of its run. */
export interface RunFacts {
  /** What is run. */
  readonly command: string;
  /** Options in force. */
  readonly options: Readonly<Record<string, unknown>>;
  /** Array references and paths that were read, by what they are. */
  readonly inputs: Readonly<Record<string, string>>;
  /** The device; absent where none was opened. */
  readonly gpu?: Gpu;
  /** When it began. */
  readonly started: Date;
  /** Results in a few numbers. */
  readonly results?: Readonly<Record<string, unknown>>;
}

/** Makes the record of a run that has just ended. */
export function runRecord(
  { command, options, inputs, gpu, started, results = {} }: RunFacts,
): RunRecord {
  return {
    gyrus: VERSION,
    command,
    options,
    inputs: Object.fromEntries(
      Object.entries(inputs).map(([name, reference]) => [name, describeInput(reference)]),
    ),
    adapter: gpu?.adapterName ?? "none",
    features: [...gpu?.caps.features ?? []].sort(),
    runtime: `deno ${Deno.version.deno} ${Deno.build.target}`,
    started: started.toISOString(),
    seconds: Math.round(Date.now() - started.getTime()) / 1000,
    kernels: gpu ? compiledKernels(gpu) : [],
    results,
  };
}

/** Variant, storage type and constants of every kernel that a device has compiled: what was chosen for this run. */
export function compiledKernels(gpu: Gpu): string[] {
  return [...gpu.kernelCache.keys()].filter((key) => /^\w+\|f(16|32)(\||$)/.test(key)).sort();
}

function describeInput(reference: string): InputFile {
  const info = Deno.statSync(parseArrayRef(reference).path);
  return {
    reference,
    bytes: info.isFile ? info.size : undefined,
    modified: info.mtime?.toISOString(),
  };
}
