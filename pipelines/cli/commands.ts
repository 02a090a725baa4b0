import type { Command } from "commander";

/** Adds one command to the program. */
export type Register = (program: Command) => void;

/** Every command, in the order of the help text. */
export const commands: readonly Register[] = [];
