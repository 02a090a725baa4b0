/**
 * The checks that are no tests: each one passes or prints why not.
 *
 * @module
 */
import { runDeno, type Tally } from "./tally.ts";

/** One check: a name and the arguments for Deno. */
export interface Gate {
  readonly name: string;
  readonly args: string[];
}

/** In the order of how fast they fail. */
export const gates: readonly Gate[] = [
  { name: "format", args: ["fmt", "--check", "--quiet"] },
  { name: "lint", args: ["lint", "--quiet"] },
  { name: "types", args: ["check", "--quiet", "--cached-only", "--frozen", "."] },
  {
    name: "documentation of every export",
    args: ["doc", "--lint", "--quiet", "mod.ts", "bench/mod.ts"],
  },
  {
    name: "publish (dry run)",
    args: ["publish", "--dry-run", "--allow-dirty", "--quiet", "--no-check"],
  },
];

/** Runs one gate and prints one line, with the output where it failed. */
export async function runGate(gate: Gate, tally: Tally): Promise<void> {
  const { code, output, seconds } = await runDeno(gate.args);
  const held = code === 0;
  if (held) tally.passed++;
  else tally.failed++;
  console.log(`${held ? "ok  " : "FAIL"}  ${gate.name}  ${seconds.toFixed(1)} s`);
  if (!held) console.log(output.trimEnd());
}
