/**
 * Outputs that appear whole or not at all. A result grows in `<out>.partial` and is renamed once it
 * is complete; Ctrl-C and errors remove the partial. The launcher allows writing to exactly these
 * paths: `<out>`, `<out>.partial`, `<out>.run.json` and `<out>.run.json.partial`.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import { removeTemporaries } from "../io/atomic.ts";

/** The run record inside a folder of results; also the sign that the folder may be replaced. */
export const RUN_RECORD = "run.json";

/** Partials to remove when the process is stopped or a command throws. */
const unfinished = new Set<string>();

/** An output that is being made. */
export interface Output {
  /** Where to write meanwhile: a file path, or an existing empty folder. */
  readonly partial: string;
  /** Puts the result in place with one rename, over an older result. */
  commit(): void;
}

/** How an output is begun. */
export interface OutputOptions {
  /** A file (default) or a folder. */
  readonly kind?: "file" | "folder";
  /** Keep a partial that is already there, and keep it on Ctrl-C: the command knows how to go on. */
  readonly resume?: boolean;
}

/**
 * Begins an output.
 *
 * @param path where the result will be
 * @throws InputError where there is no path, or where a file and a folder stand in each other's way
 */
export function beginOutput(path: string | undefined, options: OutputOptions = {}): Output {
  const { kind = "file", resume = false } = options;
  if (path === undefined || path === "") {
    throw new InputError("Cannot write the result: --out is missing.");
  }
  const target = path.replace(/\/+$/, "");
  checkKind(target, kind);
  const partial = `${target}.partial`;
  if (!resume) {
    removeSync(partial);
    unfinished.add(partial);
  }
  const folder = kind === "folder" ? partial : parentOf(target);
  // Only where it is missing: the permission to write covers the output, not the folder that it is in.
  if (statSync(folder) === undefined) Deno.mkdirSync(folder, { recursive: true });
  return {
    partial,
    commit(): void {
      if (kind === "folder") removeSync(target);
      Deno.renameSync(partial, target);
      unfinished.delete(partial);
    },
  };
}

/**
 * Writes one small file whole or not at all.
 *
 * @param path where it goes
 * @param content text (UTF-8) or bytes
 */
export function writeOutput(path: string | undefined, content: string | Uint8Array): void {
  const output = beginOutput(path);
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  Deno.writeFileSync(output.partial, bytes);
  output.commit();
}

/** Removes what was begun and not committed. */
export function discardOutputs(): void {
  for (const path of unfinished) removeSync(path);
  unfinished.clear();
  removeTemporaries();
}

/**
 * Stops cleanly on Ctrl-C (exit code 130) and on SIGTERM (143). Listeners run between awaits: a stop
 * comes after the submitted GPU work, which the engine keeps short.
 *
 * @returns a function that takes the listeners away
 */
export function stopOnSignals(): () => void {
  const stop = (signal: string, code: number) => () => {
    discardOutputs();
    console.error(`\ngyrus: stopped by ${signal}, no partial result was left.`);
    Deno.exit(code);
  };
  const interrupt = stop("Ctrl-C", 130);
  Deno.addSignalListener("SIGINT", interrupt);
  const terminate = stop("SIGTERM", 143);
  if (Deno.build.os !== "windows") Deno.addSignalListener("SIGTERM", terminate);
  return () => {
    Deno.removeSignalListener("SIGINT", interrupt);
    if (Deno.build.os !== "windows") Deno.removeSignalListener("SIGTERM", terminate);
  };
}

/** A file replaces a file; a folder replaces an empty one or an older result, never a user's data. */
function checkKind(target: string, kind: "file" | "folder"): void {
  if (/(^|\/)\.{0,2}$/.test(target)) {
    throw new InputError(`Cannot write ${target || "/"}: the result needs a name of its own.`);
  }
  const there = statSync(target);
  if (kind === "folder" && there?.isDirectory) checkReplaceable(target);
  if (there === undefined || there.isDirectory === (kind === "folder")) return;
  const seen = there.isDirectory ? "a folder" : "a file";
  throw new InputError(`Cannot write ${target}: a ${kind} is written there, and it is ${seen}.`);
}

function checkReplaceable(folder: string): void {
  const names = [...Deno.readDirSync(folder)].map((entry) => entry.name);
  if (names.length === 0 || names.includes(RUN_RECORD)) return;
  throw new InputError(
    `Cannot write ${folder}: the folder holds ${names[0]} and no ${RUN_RECORD} of an older result.`,
  );
}

function statSync(path: string): Deno.FileInfo | undefined {
  try {
    return Deno.statSync(path);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

function removeSync(path: string): void {
  try {
    Deno.removeSync(path, { recursive: true });
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/**
 * Lets signals in. Where reads from the device do not wait (Deno's own WebGPU), a loop of them never leaves the
 * microtasks, and listeners would wait for its end.
 */
export function letSignalsIn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

function parentOf(path: string): string {
  const slash = path.lastIndexOf("/");
  return slash < 0 ? "." : path.slice(0, slash) || "/";
}
