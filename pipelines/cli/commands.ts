import type { Command } from "commander";
import { register as align } from "./align.ts";
import { register as bench } from "./bench.ts";
import { register as bundle } from "./bundle.ts";
import { register as cut } from "./cut.ts";
import { register as demo } from "./demo.ts";
import { register as diffuse } from "./diffuse.ts";
import { register as effects } from "./effects.ts";
import { register as encode } from "./encode.ts";
import { register as experiment } from "./experiment.ts";
import { register as features } from "./features.ts";
import { register as gallery } from "./gallery.ts";
import { register as info } from "./info.ts";
import { register as inspect } from "./inspect.ts";
import { register as localize } from "./localize.ts";
import { register as maximize } from "./maximize.ts";
import { register as phantom } from "./phantom.ts";
import { register as report } from "./report.ts";
import { register as vae } from "./vae.ts";
import { register as scorer } from "./scorer.ts";
import { register as steer } from "./steer.ts";
import { register as tune } from "./tune.ts";

/** Adds one command to the program. */
export type Register = (program: Command) => void;

/** Every command, in the order of the help text. */
export const commands: readonly Register[] = [
  phantom,
  demo,
  info,
  inspect,
  features,
  encode,
  align,
  cut,
  localize,
  maximize,
  diffuse,
  vae,
  scorer,
  steer,
  effects,
  report,
  experiment,
  gallery,
  bench,
  tune,
  bundle,
];
