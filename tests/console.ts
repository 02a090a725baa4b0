/**
 * The command line in this process, with what it prints collected.
 *
 * @module
 */
import { main } from "../pipelines/cli/main.ts";

/** What a command printed and how it ended. */
export interface Printed {
  /** Exit code. */
  readonly code: number;
  /** Lines on stdout. */
  readonly out: readonly string[];
  /** Lines on stderr. */
  readonly errors: readonly string[];
  /** All lines, in their order. */
  readonly text: string;
}

/** Runs `gyrus` with these arguments. */
export async function gyrus(...args: string[]): Promise<Printed> {
  const out: string[] = [], errors: string[] = [], all: string[] = [];
  const { log, error } = console;
  const into = (lines: string[]) => (...parts: unknown[]) => {
    lines.push(parts.join(" "));
    all.push(parts.join(" "));
  };
  console.log = into(out);
  console.error = into(errors);
  try {
    return { code: await main(args), out, errors, text: all.join("\n") };
  } finally {
    Object.assign(console, { log, error });
  }
}
