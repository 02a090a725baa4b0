/**
 * Settings of an alignment on the command line, from one table.
 *
 * @module
 */
import { type Command, InvalidArgumentError, Option } from "commander";
import { ALIGNMENT_DEFAULTS, type AlignmentSettings } from "../encoding/alignment/settings.ts";
import { realNumber, wholeNumber } from "./options.ts";

type Parse = (text: string) => unknown;

interface SettingOption {
  /** What the help says. */
  readonly help: string;
  /** Allowed words. */
  readonly choices?: readonly string[];
  /** How text becomes a value, where it is no word. */
  readonly parse?: Parse;
  /** The default in words, where it is not simply that of the library. */
  readonly told?: string;
}

/** Every setting: the option's name is the setting's with hyphens. */
const TABLE: Readonly<Record<keyof AlignmentSettings, SettingOption>> = {
  width: { help: "channels of the shared space", parse: wholeNumber, told: "the widest token" },
  readout: {
    help: "every layer predicts all voxels, or voxels choose layers by --coordinates",
    choices: ["per-layer", "factor-topy"],
  },
  pooling: {
    help: "per-layer: patches weigh alike, or by weights of each voxel",
    choices: ["mean", "voxel"],
  },
  start: {
    help: "first maps: the closed form, the identity where widths agree, or random",
    choices: ["ridge", "identity", "linear"],
  },
  brainLoss: { help: "form of the loss on responses", choices: ["smooth-l1", "l1", "mse"] },
  eigenLoss: {
    help: "form of the eigen-constraint",
    choices: ["projector", "mean-abs", "smooth-l1", "frobenius", "affinity"],
  },
  zeroLoss: { help: "form of the zero-centred loss", choices: ["channel-mean", "square"] },
  covarianceLoss: { help: "form of the covariance loss", choices: ["off-diagonal", "identity"] },
  brainWeight: { help: "weight of the loss on responses", parse: realNumber },
  eigenWeight: { help: "weight of the eigen-constraint", parse: realNumber },
  zeroWeight: { help: "weight of the zero-centred loss", parse: realNumber },
  covarianceWeight: { help: "weight of the covariance loss", parse: realNumber },
  eigenKs: { help: "numbers of eigenvectors that are constrained", parse: wholeNumbers },
  eigenNodes: {
    help: "patches of a graph of the eigen-constraint, at most 512",
    parse: wholeNumber,
  },
  eigenSlices: { help: "layers that are constrained in a step, drawn anew", parse: wholeNumber },
  eigenGamma: { help: "scale of the cosine affinity", parse: realNumber },
  lr: {
    help: "largest step size of AdamW",
    parse: realNumber,
    told: "0.0001 from ridge, else 0.001",
  },
  choiceLr: {
    help: "largest step size of what voxels choose",
    parse: realNumber,
    told: "0.001 of factor-topy, else 0.01",
  },
  weightDecay: { help: "decoupled weight decay", parse: realNumber },
  batchSize: { help: "images in a step", parse: wholeNumber },
  epochs: { help: "passes over the images", parse: wholeNumber },
  clipNorm: { help: "largest norm of all gradients together", parse: realNumber },
  patience: { help: "epochs without a better held-out R² before a stop", parse: wholeNumber },
  voxelChunk: { help: "voxels on the device at once", parse: wholeNumber },
};

/** Whole numbers with commas between them. */
function wholeNumbers(text: string): number[] {
  const values = text.split(",").map(Number);
  if (values.every((value) => Number.isSafeInteger(value) && value > 0)) return values;
  throw new InvalidArgumentError("Whole numbers with commas between them are needed.");
}

const flagOf = (name: string): string => name.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`);

/** Adds an option for every setting. */
export function addSettingOptions(command: Command): void {
  for (const [name, { help, choices, parse, told }] of Object.entries(TABLE)) {
    const value = ALIGNMENT_DEFAULTS[name as keyof typeof ALIGNMENT_DEFAULTS];
    const option = new Option(
      `--${flagOf(name)} <${choices ? "name" : name === "eigenKs" ? "list" : "n"}>`,
      `${help} (default: ${told ?? value})`,
    );
    if (choices) option.choices(choices);
    if (parse) option.argParser(parse);
    command.addOption(option);
  }
}

/** The settings among the options of a command, as they were given. */
export function settingsOf(options: Readonly<Record<string, unknown>>): Partial<AlignmentSettings> {
  return Object.fromEntries(
    Object.keys(TABLE).filter((name) => options[name] !== undefined)
      .map((name) => [name, options[name]]),
  );
}
