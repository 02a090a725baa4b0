/**
 * `gyrus experiment`: whether regions prefer the images that were made for them, predicted and measured.
 *
 * @module
 */
import type { Command } from "commander";
import { InputError } from "../errors.ts";
import { wholeNumber } from "./options.ts";
import { addScreenOptions } from "./experiment_images.ts";
import { type ExperimentCliOptions, runExperimentFrom } from "./experiment_run.ts";
import { realNumber } from "./options.ts";

const HELP = `
Asks the encoder of every subject about images that gyrus maximize made for regions: the matrix of responses (images of each region ×
region that responds), own images against the others' and the next best with permutation and t-tests, intervals over images and over
voxels, and how many regions lie on the diagonal. Beside them the same images with random phases, the natural images that each region
is predicted to like most (--natural), images made otherwise (--control, as for other encoders), the images as a screen shows them
(--match, --aperture, --fixation, --gamma), edits of pictures for contrasts A-B (--originals), and measured betas (--betas, --trials).
With --held-out a subject counts for images that its own encoder was not made for alone.

Output folder:
  index.html       the report, one file that needs no other
  experiment.h5    /regions, /subjects; of each subject /0/predicted/*, /0/measured/*, /0/conditions/*, /0/contrasts/*,
                   /0/voxel_responses [regions, voxels] (for gyrus gallery --rgb); /across/*
  prepared/*.png   the images for the screen, where they are prepared
  run.json

Example:
  gyrus experiment --images made/ --model inception_v3_google-0cc3c7bd.pth --encoder s1.h5 s2.h5 --rois rois_s1.csv rois_s2.csv \\
    --natural test.h5:/features --out found
  gyrus experiment --images made/ --model inception_v3_google-0cc3c7bd.pth --encoder s1.h5 --rois rois_s1.csv \\
    --betas betas.h5:/betas --trials trials.csv --match spectrum,histogram --reference stimuli/ --aperture 0.95,0.1 --out found
`;

/** Adds the command. */
export function register(program: Command): void {
  const command = program.command("experiment")
    .description(
      "whether regions prefer the images made for them: matrices, tests, controls, report",
    )
    .requiredOption("--images <folders...>", "folders that maximize wrote")
    .requiredOption("--model <path>", "weights that the encoders' features were made with")
    .option("--config <file>", "configuration of the weights (default: the one beside them)")
    .requiredOption("--encoder <files...>", "a model from encode fit for each subject")
    .requiredOption("--rois <files...>", "regions of each subject, as for maximize")
    .option("--subject <names...>", "names of the subjects (default: of their encoders' files)")
    .option("--natural <ref>", "features of natural images that no encoder was fitted on")
    .option("--control <folders...>", "folders of maximize with images made otherwise")
    .option("--originals <ref>", "pictures that contrasts were made from (maximize --seed-image)")
    .option("--held-out", "leave out of each subject the images of its own encoder", false)
    .option("--no-scrambled", "leave out the images with random phases")
    .option("--betas <refs...>", "measured responses of each subject [trials, voxels]")
    .option(
      "--trials <files...>",
      "CSV of each subject with the columns target and, if any, block",
    );
  addScreenOptions(command)
    .option("--top <n>", "natural images of each region that make a control", wholeNumber, 8)
    .option("--draws <n>", "draws of permutations and bootstraps", wholeNumber, 10_000)
    .option("--level <share>", "level of intervals", realNumber, 0.95)
    .option("--batch <n>", "images together", wholeNumber, 8)
    .option("--title <text>", "heading of the report")
    .option("--checkpoint <file>", "keep predicted responses there; the same command goes on")
    .addHelpText("after", HELP)
    .action(async (_, command: Command) => {
      const options: ExperimentCliOptions = command.optsWithGlobals();
      requireSubjects(options);
      await runExperimentFrom(options);
    });
}

/** Refuses lists that do not have one entry for each encoder. */
function requireSubjects(options: ExperimentCliOptions): void {
  const { encoder, rois, subject, betas, trials, batch, draws } = options;
  const lists = { "--rois": rois, "--subject": subject, "--betas": betas, "--trials": trials };
  for (const [name, list] of Object.entries(lists)) {
    if (list === undefined || list.length === encoder.length) continue;
    throw new InputError(
      `Cannot match subjects: there are ${encoder.length} encoders and ${list.length} of ${name}`,
    );
  }
  if ((betas === undefined) !== (trials === undefined)) {
    throw new InputError("Cannot analyse betas: --betas and --trials belong together");
  }
  if (batch === 0 || draws === 0) {
    throw new InputError(`Cannot take --${batch === 0 ? "batch" : "draws"} 0: it counts from 1`);
  }
}
