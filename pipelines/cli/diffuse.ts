/**
 * `gyrus diffuse`: images drawn with diffusion models, and the noise that images come from.
 *
 * @module
 */
import type { Command } from "commander";
import { register as invert } from "./diffuse_invert.ts";
import { register as sample } from "./diffuse_sample.ts";

/** Adds the command with its subcommands. */
export function register(program: Command): void {
  const diffuse = program.command("diffuse")
    .description("draw images with diffusion models, and invert images to noise");
  sample(diffuse);
  invert(diffuse);
}
