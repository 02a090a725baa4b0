import { type Command, InvalidArgumentError, Option } from "commander";
import { CommandProfiler } from "./profile.ts";

/** What every command accepts. */
export interface GlobalOptions {
  /** Print one JSON document on stdout, and no progress. */
  readonly json: boolean;
  /** Seed of everything random. */
  readonly seed: number;
  /** Part of the adapter's description that must match, or `software`. */
  readonly adapter?: string;
  /** Which WebGPU implementation. */
  readonly backend: "deno" | "dawn";
  /** Where the result goes: a file or a folder, as the command says. */
  readonly out?: string;
  /** File of `gyrus tune` to take choices of kernels from. */
  readonly tuning?: string;
  /** Print which variant of each kernel runs and why. */
  readonly explain?: boolean;
  /** Watches the devices of the command. */
  readonly profile?: CommandProfiler;
}

/**
 * Adds the options that every command has.
 *
 * @param program the root command
 */
export function addGlobalOptions(program: Command): void {
  program
    .option("--json", "print one JSON document for machines, no progress", false)
    .option("--seed <n>", "seed of everything random", wholeNumber, 0)
    .option("--adapter <name>", "part of the adapter's name that must match, or software")
    .addOption(
      new Option("--backend <name>", "WebGPU implementation").choices(["deno", "dawn"]).default(
        "deno",
      ),
    )
    .option("--out <path>", "where the result goes; the only path that is written")
    .option("--tuning <file>", "table of gyrus tune (default: the one of this user and adapter)")
    .option("--explain", "print on stderr which variant of each kernel runs, and why")
    .addOption(
      new Option("--profile <folder>", "also write where the time goes: kernels.csv, trace.json")
        .argParser((folder) => new CommandProfiler(folder)),
    );
}

/**
 * Parses an option value that counts something.
 *
 * @throws InvalidArgumentError for anything but 0, 1, 2, … up to 2^53 − 1
 */
export function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) {
    throw new InvalidArgumentError("A whole number is needed.");
  }
  return value;
}

/**
 * Parses an option value that is a real number.
 *
 * @throws InvalidArgumentError for anything but a finite decimal number
 */
export function realNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === "" || !Number.isFinite(value)) {
    throw new InvalidArgumentError("A number is needed.");
  }
  return value;
}
