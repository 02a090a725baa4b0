/**
 * `gyrus localize`: maps of what in each image drives which brain region, of images alone or as a whole study.
 *
 * @module
 */
import { type Command, Option } from "commander";
import { flagOf, type Settings } from "../brain_sail/study_settings.ts";
import { InputError } from "../errors.ts";
import { isJsonObject, quote } from "../io/strict_json.ts";
import { localizeMaps } from "./localize_maps.ts";
import type { GlobalOptions } from "./options.ts";
import { readText } from "./read_text.ts";
import { study } from "./study.ts";
import { backboneChoices } from "./study_backbones.ts";
import { addSettingFlags, settingsOf } from "./study_options.ts";

interface LocalizeCliOptions extends GlobalOptions, Record<string, unknown> {
  readonly config?: string;
  readonly printConfig: boolean;
  readonly encoder?: string;
  readonly images?: string;
  readonly roi?: readonly string[];
  readonly roiTable?: string;
  readonly target?: readonly string[];
  readonly paper: boolean;
  readonly fit?: "crop" | "stretch";
  readonly checkpoint?: string;
}

const HELP = `
With --encoder, maps of images. Output folder: maps.h5 (/maps [images, regions, gridH, gridW], /roi_names, /image_names),
overlays/REGION/IMAGE.png, overview.png (images down, regions across; viridis, each map from its own minimum to its maximum).

Without, a whole study: encoders of every subject on every backbone, maps of the shared test images with and without
distillation, and every analysis, beside controls. Output folder: results.json; for each backbone and subject encoder.h5,
maps.h5, voxels.h5. gyrus report draws it. All settings may stand in a JSON file, by the names of the flags in camel case.

Without --dense the attention is the paper's: naclip for CLIP (window 10), maskclip for the others.

Example:
  gyrus localize --model clip.safetensors --encoder model.h5 --images data/images/test \\
    --roi-table data/rois_subj01.csv --roi FFA PPA food --size 128 --distill 17 --out maps
  gyrus localize --config brain_sail.json --n-mapped 40 --out study
`;

/** Adds the command. */
export function register(program: Command): void {
  const command = program.command("localize")
    .description("map which parts of images drive which brain regions")
    .option("--config <file>", "settings of a study, brain_sail.json; flags win over it")
    .option("--print-config", "print the settings in force and stop", false)
    .option("--encoder <file>", "a model from encode fit, fitted on /cls of this network")
    .option("--images <ref>", "with --encoder: a folder or list of .png, or an array of bytes")
    .option("--roi <name...>", "with --encoder: regions to map (default: all of the table)")
    .option(
      "--roi-table <csv>",
      "with --encoder: table with the columns voxel and roi, as the phantom's rois_*.csv",
    )
    .option("--target <n...>", "with --encoder: voxels to map one by one, from 0")
    .option("--paper", "with --encoder: the paper's size and number of augmentations: slow", false)
    .addOption(
      new Option("--fit <fit>", "maps lie on the whole image").choices(["crop", "stretch"])
        .hideHelp(),
    )
    .option(
      "--checkpoint <path>",
      "keep what is computed there, a file with --encoder, else a folder; the same command goes on after a stop",
    );
  addSettingFlags(command, ({ group }) => group !== "figures")
    .addHelpText("after", HELP)
    .action(async (_, command: Command) => await localize(command.optsWithGlobals()));
}

/** Whether a file is a network's configuration, which belongs to --model-config. */
function isModelConfig(path: string): boolean {
  let json: unknown;
  try {
    json = JSON.parse(readText(path));
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    return false; // the settings' own reader says what is wrong
  }
  return isJsonObject(json) &&
    ["model_type", "architectures", "model_cfg", "hidden_size"].some((key) => key in json);
}

async function localize(options: LocalizeCliOptions): Promise<void> {
  const isModels = options.config !== undefined && isModelConfig(options.config);
  const settings = settingsOf(isModels ? undefined : options.config, {
    ...options,
    ...(isModels ? { modelConfig: [options.config] } : {}),
  }, ({ group }) => group !== "figures");
  if (options.printConfig) return console.log(JSON.stringify(settings, null, 2));
  if (options.encoder === undefined) {
    refuse(options, ["images", "roi", "roiTable", "target", "paper"], "it needs --encoder");
    return await study(settings, options);
  }
  await localizeMaps(mapsOptions(settings, options, options.encoder));
}

/** Refuses flags that mean nothing in this way of running. */
function refuse(options: LocalizeCliOptions, keys: readonly string[], reason: string): void {
  const given = keys.find((key) => options[key] !== undefined && options[key] !== false);
  if (given !== undefined) throw new InputError(`Cannot use --${flagOf(given)}: ${reason}`);
}

/** The options of maps by one encoder and one network. */
function mapsOptions(settings: Settings, options: LocalizeCliOptions, encoder: string) {
  refuse(
    options,
    ["subjects", "trainImages", "testImages", "nsd"],
    "with --encoder nothing is fitted",
  );
  if (options.images === undefined) {
    throw new InputError("Cannot localize: --images is missing");
  }
  const choices = backboneChoices(settings);
  if (choices.length !== 1) {
    throw new InputError(
      `Cannot localize with ${choices.length} models: an encoder belongs to one, got ${
        quote(choices.map(({ model }) => model).join(" "))
      }`,
    );
  }
  const [{ size, posInterpolation, ...choice }] = choices;
  return {
    ...options,
    ...choice,
    encoder,
    images: options.images,
    size: size === "paper" ? undefined : size,
    paper: options.paper || size === "paper",
    posInterpolation: posInterpolation ?? "auto",
  };
}
