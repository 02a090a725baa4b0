/**
 * `gyrus diffuse`: images drawn with diffusion models, the noise that images come from, and training.
 *
 * @module
 */
import type { Command } from "commander";
import { register as invert } from "./diffuse_invert.ts";
import { register as sample } from "./diffuse_sample.ts";
import { register as train } from "./diffuse_train.ts";

/** Adds the command with its subcommands. */
export function register(program: Command): void {
  const diffuse = program.command("diffuse")
    .description(
      "draw images with diffusion models, invert images to noise, and train such models",
    );
  sample(diffuse);
  invert(diffuse);
  train(diffuse);
}
