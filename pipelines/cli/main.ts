/**
 * Builds the command line and turns what a command throws into an exit code:
 * 0 done, 1 a defect (with its stack), 2 bad input or an unfit machine (one sentence), 130 Ctrl-C.
 *
 * @module
 */
import { Command, CommanderError } from "commander";
import config from "../../deno.json" with { type: "json" };
import { commands } from "./commands.ts";
import { openGpu } from "./open_gpu.ts";
import { addGlobalOptions, type GlobalOptions } from "./options.ts";
import { discardOutputs, stopOnSignals } from "./output.ts";

/** Errors that the user can act on; every other error is a defect of the software. */
const USER_ERRORS: ReadonlySet<string> = new Set([
  "InputError",
  "ShapeError",
  "DTypeError",
  "UnsupportedError",
  "DeviceError", // the device went away, or the memory does not suffice
  "NotPositiveDefiniteError",
  // What Deno throws for a path: its message names the path and the reason.
  "NotFound",
  "AlreadyExists",
  "PermissionDenied",
  "NotCapable",
  "IsADirectory",
  "NotADirectory",
  "FilesystemLoop",
]);

/** System error codes that say the same: no space, quota, read-only, name too long, too many files. */
const USER_CODES: ReadonlySet<string> = new Set([
  "ENOSPC",
  "EDQUOT",
  "EROFS",
  "ENAMETOOLONG",
  "EMFILE",
  "EISDIR",
  "ENOTDIR",
]);

/** The program with every command registered. */
export function createProgram(): Command {
  const program = new Command("gyrus")
    .version(config.version)
    .description("WebGPU compute for vision neuroscience: images and brain responses in, maps out.")
    .exitOverride()
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ outputError: () => undefined }) // explain() words it
    .addHelpText(
      "after",
      "\n  test [options]               everything that must hold: format, lint, types, all tests" +
        "\n  check                        the quick part of it: format, lint, types, size budgets\n",
    );
  addGlobalOptions(program);
  for (const register of commands) register(program);
  return program;
}

/**
 * Runs one command line.
 *
 * @param args what follows `gyrus`
 * @returns the exit code
 */
export async function main(args: readonly string[]): Promise<number> {
  const restore = stopOnSignals();
  try {
    const program = createProgram();
    await program.parseAsync([...args], { from: "user" });
    const { profile, ...options } = program.opts<GlobalOptions>();
    if (profile) console.error(await profile.finish(() => openGpu(options)));
    return 0;
  } catch (error) {
    discardOutputs();
    return explain(error);
  } finally {
    restore();
  }
}

/**
 * Prints what went wrong and says with which code to exit.
 *
 * @param error anything thrown by a command
 * @returns 0 for help, 2 for what the user can act on, else 1
 */
export function explain(error: unknown): number {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return 0;
    // Without a command, commander prints the help itself and throws this code.
    if (error.code !== "commander.help") say(error.message.replace(/^error: /, ""));
    return 2;
  }
  if (error instanceof Error && isUserError(error)) {
    say(error.message);
    return 2;
  }
  console.error(error);
  return 1;
}

function isUserError(error: Error): boolean {
  if (USER_ERRORS.has(error.name)) return true;
  const code = (error as Error & { code?: unknown }).code;
  return typeof code === "string" && USER_CODES.has(code);
}

/** One sentence on one line, whatever the message held. */
function say(message: string): void {
  console.error(`gyrus: ${message.replaceAll(/\s*\n\s*/g, " ").trim()}`);
}
