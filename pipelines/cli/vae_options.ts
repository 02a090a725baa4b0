/**
 * Options that `gyrus vae fit`, `encode` and `report` share.
 *
 * @module
 */
import { type Command, InvalidArgumentError, Option } from "commander";
import { type Population, readPopulation } from "../hvm/population.ts";
import { VAE_DEFAULTS, type VaeSettings } from "../vae/settings.ts";
import { type GlobalOptions, realNumber, wholeNumber } from "./options.ts";

/** Where responses and labels come from. */
export interface VaeSourceOptions extends GlobalOptions {
  /** Matrix, folder or assembly. */
  readonly responses: string;
  /** First site and the end. */
  readonly sites?: readonly [number, number];
  readonly pose?: string;
  readonly categories?: string;
  readonly stimuli?: string;
  readonly poseColumns?: readonly string[];
  readonly categoryColumn?: string;
  readonly region?: string;
  readonly animal?: string;
  readonly window?: readonly [number, number];
}

/** How a VAE is fitted, as options. */
export interface VaeSettingOptions {
  readonly groups?: readonly number[];
  readonly poseGroup?: number;
  readonly categoryGroup?: number;
  readonly hidden?: number;
  readonly epochs?: number;
  readonly batchSize?: number;
  readonly lr?: number;
  readonly weightDecay?: number;
  readonly klWeight?: number;
  readonly labelWeight?: number;
  readonly partialCorrelationWeight?: number;
  readonly variance?: VaeSettings["variance"];
  readonly sampleWeights?: VaeSettings["sampleWeights"];
  readonly normalize?: VaeSettings["normalize"];
  readonly poseScale?: VaeSettings["poseScale"];
  readonly keep?: VaeSettings["keep"];
  readonly evaluateEvery?: number;
  readonly testSize?: number;
  readonly splitSeed?: number;
}

/** Help on what `--responses` may be. */
export const SOURCE_HELP = `
Responses are a matrix [stimuli, sites] (PATH[:NAME]; .npy, HDF5, .safetensors, .mat, .csv), a folder with
sorted_it_avg_data.npy, stimulus_pose_features.npy and stimulus_category_ids.npy (the released code of MIG-Vis) or with
responses.npy, pose.npy and categories.npy (gyrus phantom it), or brain-score's assembly of HvM as netCDF-4 (.nc):
repeats of an image are averaged, and time bins over --window.
Labels are those that are named, else those of the folder, of --stimuli (brainio's CSV) or of the assembly.
`;

function range(text: string): [number, number] {
  const [, start, end] = /^(\d+):(\d+)$/.exec(text) ?? [];
  if (start === undefined || Number(start) >= Number(end)) {
    throw new InvalidArgumentError("START:END is needed, the first below the second.");
  }
  return [Number(start), Number(end)];
}

function sizes(text: string): number[] {
  return text.split(",").map(wholeNumber);
}

/** Adds the options that say where responses and labels come from. */
export function addVaeSource(command: Command): Command {
  return command
    .requiredOption("--responses <ref>", "responses [stimuli, sites]: a matrix, folder or assembly")
    .option("--sites <start:end>", "columns of the matrix, 0:58 are the first monkey's", range)
    .option("--pose <ref>", "pose features [stimuli, features]")
    .option("--categories <ref>", "category of each stimulus [stimuli], from 0")
    .option("--stimuli <csv>", "table of stimuli with columns of pose and category")
    .option(
      "--pose-columns <names>",
      "its columns of the pose; sin:NAME and cos:NAME of angles in degrees (default: s,ty,tz and the three *_semantic)",
      (text: string) => text.split(","),
    )
    .option("--category-column <name>", "its column of the category (default: category_name)")
    .option("--region <name>", "region of an assembly's sites, IT")
    .option("--animal <name>", "animal of an assembly's sites")
    .option("--window <from:to>", "milliseconds that an assembly is averaged over (70:170)", range);
}

/** Adds the options that say how a VAE is fitted. */
export function addVaeSettings(command: Command): Command {
  return addForms(addSizes(command));
}

/** An option with few values; its default is that of the library. */
function choice(flag: string, about: string, names: readonly string[], first: string): Option {
  return new Option(flag, `${about} (default: ${first})`).choices([...names]);
}

/** Sizes, steps and weights. */
function addSizes(command: Command): Command {
  const d = VAE_DEFAULTS;
  return command
    .option("--groups <sizes>", `dimensions of each latent group (default: ${d.groups})`, sizes)
    .option(
      "--pose-group <n>",
      `group that the pose supervises (default: ${d.poseGroup})`,
      wholeNumber,
    )
    .option(
      "--category-group <n>",
      `group that the category supervises (default: ${d.categoryGroup})`,
      wholeNumber,
    )
    .option("--hidden <n>", `width of the hidden layer (default: ${d.hidden})`, wholeNumber)
    .option("--epochs <n>", `passes over the training stimuli (default: ${d.epochs})`, wholeNumber)
    .option("--batch-size <n>", `stimuli per step (default: ${d.batchSize})`, wholeNumber)
    .option("--lr <x>", `step size of Adam (default: ${d.lr})`, realNumber)
    .option("--weight-decay <x>", `L2 in the gradient (default: ${d.weightDecay})`, realNumber)
    .option("--kl-weight <x>", `weight κ of the prior (default: ${d.klWeight})`, realNumber)
    .option("--label-weight <x>", `weight λ of the labels (default: ${d.labelWeight})`, realNumber)
    .option(
      "--partial-correlation-weight <x>",
      `weight τ of what groups share (default: ${d.partialCorrelationWeight}; 0.01 parts those of the phantom)`,
      realNumber,
    )
    .option(
      "--evaluate-every <n>",
      `epochs between looks at the test loss (default: ${d.evaluateEvery})`,
      wholeNumber,
    )
    .option("--test-size <share>", `share of stimuli held out (default: ${d.testSize})`, realNumber)
    .option(
      "--split-seed <n>",
      `seed of scikit-learn's train_test_split (default: ${d.splitSeed})`,
      wholeNumber,
    );
}

/** Forms in which the released code and the clean method differ. */
function addForms(command: Command): Command {
  const d = VAE_DEFAULTS;
  return command
    .addOption(choice(
      "--variance <kind>",
      "variance in the partial correlation: exp(logvar), or exp(2 logvar) as in the released code",
      ["exact", "code"],
      d.variance,
    ))
    .addOption(choice(
      "--sample-weights <kind>",
      "aggregated posterior of all training stimuli, or of the batch as in the released code",
      ["dataset", "batch"],
      d.sampleWeights,
    ))
    .addOption(choice(
      "--normalize <by>",
      "z-score sites by all stimuli as in the released code, or by training stimuli",
      ["all", "train"],
      d.normalize,
    ))
    .addOption(choice("--pose-scale <kind>", "scale of the pose", ["zscore", "none"], d.poseScale))
    .addOption(choice(
      "--keep <which>",
      "weights of the lowest test loss as in the released code, or the last ones",
      ["best", "last"],
      d.keep,
    ));
}

const SETTINGS = [
  "groups",
  "poseGroup",
  "categoryGroup",
  "hidden",
  "epochs",
  "batchSize",
  "lr",
  "weightDecay",
  "klWeight",
  "labelWeight",
  "partialCorrelationWeight",
  "variance",
  "sampleWeights",
  "normalize",
  "poseScale",
  "keep",
  "evaluateEvery",
  "testSize",
  "splitSeed",
] as const satisfies readonly (keyof VaeSettingOptions)[];

/** The settings among the options of a command. */
export function settingsOf(options: VaeSettingOptions): Partial<VaeSettings> {
  return Object.fromEntries(
    SETTINGS.flatMap((name) => options[name] === undefined ? [] : [[name, options[name]]]),
  );
}

/**
 * Reads what the options say.
 *
 * @throws {InputError} as `readPopulation` says
 */
export function readVaeSource({ responses, ...options }: VaeSourceOptions): Promise<Population> {
  return readPopulation(responses, options);
}

/** Paths that were read, by what they are. */
export function inputsOf(options: VaeSourceOptions & { readonly vae?: string }) {
  const { vae, responses, pose, categories, stimuli } = options;
  return Object.fromEntries(
    Object.entries({ vae, responses, pose, categories, stimuli })
      .filter((entry): entry is [string, string] => entry[1] !== undefined),
  );
}
