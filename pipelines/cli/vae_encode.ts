/**
 * `gyrus vae encode`: latents of responses.
 *
 * @module
 */
import type { Command } from "commander";
import type { Population } from "../hvm/population.ts";
import { Hdf5Writer } from "../io/hdf5_writer.ts";
import { openSafetensors } from "../io/safetensors_file.ts";
import { neuralVaeFrom } from "../vae/from_state_dict.ts";
import { fitScale } from "../vae/samples.ts";
import { VAE_DEFAULTS } from "../vae/settings.ts";
import { type NeuralVaeRecord, readNeuralVae } from "../vae/vae_file.ts";
import { beginOutput } from "./output.ts";
import type { FinishVae } from "./vae.ts";
import {
  addVaeSource,
  readVaeSource,
  SOURCE_HELP,
  type VaeSettingOptions,
  type VaeSourceOptions,
} from "./vae_options.ts";
import { wholeNumber } from "./options.ts";

/** Options of commands that take a fitted VAE. */
export interface VaeApplyOptions
  extends VaeSourceOptions, Pick<VaeSettingOptions, "groups" | "poseGroup" | "categoryGroup"> {
  /** File of the VAE. */
  readonly vae: string;
}

const HELP = `${SOURCE_HELP}
A VAE is a file of vae fit, or a PyTorch or safetensors file of the released code's module (.pth, .pt, .safetensors): then
--groups says what its dimensions are, and responses are z-scored by their own means and deviations, as that code does.

Output (HDF5, float32): /mu and /logvar [stimuli, latents]; attribute groups; /stimuli, where they have names.

Example:
  gyrus vae encode --vae vae.h5 --responses it --sites 0:58 --out latents.h5
`;

/** Adds the options that say which VAE. */
export function addVaeFile(command: Command): Command {
  return command
    .requiredOption("--vae <file>", "a VAE from vae fit, or a PyTorch file of the released code's")
    .option(
      "--groups <sizes>",
      `latent groups of a PyTorch file (default: ${VAE_DEFAULTS.groups})`,
      (text: string) => text.split(",").map(wholeNumber),
    )
    .option("--pose-group <n>", "group that the pose supervised, of a PyTorch file", wholeNumber)
    .option("--category-group <n>", "group that the category supervised, of one", wholeNumber);
}

/** Adds the command. */
export function registerVaeEncode(vae: Command, finish: FinishVae): void {
  const encode = vae.command("encode")
    .description("latents of responses: /mu, /logvar [stimuli, latents] in HDF5");
  addVaeSource(addVaeFile(encode))
    .addHelpText("after", HELP)
    .action(async (_, command: Command) => await run(command.optsWithGlobals(), finish));
}

/** A VAE with what its file knows of its fit. */
export type OpenedVae = Pick<NeuralVaeRecord, "vae"> & Partial<NeuralVaeRecord>;

/**
 * Opens the VAE of a command.
 *
 * @throws {InputError} when the file is no VAE, or does not fit the options
 */
export async function openVae(
  { vae: path, groups, poseGroup, categoryGroup }: VaeApplyOptions,
  { responses, pose }: Population,
): Promise<OpenedVae> {
  if (!/\.(pth|pt|ckpt|bin|safetensors)$/i.test(path)) return await readNeuralVae(path);
  using checkpoint = openSafetensors(path);
  const vae = neuralVaeFrom(checkpoint.tensors, {
    groups: groups ?? VAE_DEFAULTS.groups,
    sites: fitScale(responses, undefined),
    pose: pose && fitScale(pose, undefined),
    poseGroup,
    categoryGroup,
  });
  return { vae };
}

async function run(options: VaeApplyOptions, finish: FinishVae): Promise<void> {
  const started = new Date();
  const output = beginOutput(options.out);
  const population = await readVaeSource(options);
  const { vae } = await openVae(options, population);
  const { mu, logvar } = vae.encode(population.responses);
  using file = await Hdf5Writer.create(output.partial, { inPlace: true });
  file.setAttribute("/", "groups", vae.groups);
  for (const [name, { data, shape }] of Object.entries({ mu, logvar })) {
    file.createDataset(`/${name}`, { shape, dtype: "f32" });
    file.writeRows(`/${name}`, 0, data);
  }
  if (population.stimuli) file.writeStrings("/stimuli", population.stimuli);
  file.commit();
  output.commit();
  const [nStimuli, nLatents] = mu.shape;
  const results = { nStimuli, nLatents, groups: vae.groups.join(",") };
  finish("vae encode", options, started, { results });
}
