/**
 * `gyrus scorer`: how well latents of a group and images go together.
 *
 * @module
 */
import type { Command } from "commander";
import { register as fit } from "./scorer_fit.ts";

/** Adds the command with its subcommands. */
export function register(program: Command): void {
  const scorer = program.command("scorer")
    .description("how well groups of a neural VAE's latents and images go together (MIG-Vis)");
  fit(scorer);
}
