/**
 * `gyrus vae fit`: fits the group-wise disentangled VAE.
 *
 * @module
 */
import { type Command, Option } from "commander";
import { foldIn, randomKey } from "../../engine/random.ts";
import type { Population } from "../hvm/population.ts";
import { InputError } from "../errors.ts";
import { quote } from "../io/strict_json.ts";
import { fitNeuralVae, type FittedNeuralVae, trainsOnDevice } from "../vae/fit.ts";
import { scoreNeuralVae } from "../vae/scores.ts";
import { type VaeSettings, vaeSettings } from "../vae/settings.ts";
import { writeNeuralVae } from "../vae/vae_file.ts";
import { openGpu } from "./open_gpu.ts";
import { beginOutput } from "./output.ts";
import { Progress } from "./progress.ts";
import type { FinishVae } from "./vae.ts";
import {
  addVaeSettings,
  addVaeSource,
  readVaeSource,
  settingsOf,
  SOURCE_HELP,
  type VaeSettingOptions,
  type VaeSourceOptions,
} from "./vae_options.ts";

interface VaeFitOptions extends VaeSourceOptions, VaeSettingOptions {
  readonly trainOn?: "host" | "device";
  readonly checkpoint?: string;
}

const HELP = `${SOURCE_HELP}
Output (HDF5):
  /weights/encoder.fc1.weight, …      tensors by their names in the released code, float32
  /mean, /std [sites]                 what responses are z-scored by
  /mu, /logvar [stimuli, latents]     posteriors of all stimuli; attribute groups: dimensions of each
  /losses/train, /losses/test         [epochs, 6]: total, responses, pose, category, KL, partial correlation
  /split/train, /split/test           rows

Example:
  gyrus phantom it --out it --n 2000
  gyrus vae fit --responses it --sites 0:58 --epochs 100 --partial-correlation-weight 0.01 --out vae.h5
`;

/** Adds the command. */
export function registerVaeFit(vae: Command, finish: FinishVae): void {
  const fit = vae.command("fit")
    .description("fit the VAE: groups of latents, some of them supervised by pose and category");
  addVaeSettings(addVaeSource(fit))
    .addOption(
      new Option("--train-on <where>", "where (default: by the number of sites)")
        .choices(["host", "device"]),
    )
    .option("--checkpoint <file>", "keep the state; the same command goes on after a stop")
    .addHelpText("after", HELP)
    .action(async (_, command: Command) => await run(command.optsWithGlobals(), finish));
}

/** Whether options or the number of sites ask for a device. */
export function needsDevice(
  { responses }: Population,
  settings: Partial<VaeSettings>,
  trainOn?: "host" | "device",
): boolean {
  const { hidden, groups } = vaeSettings(settings);
  const shape = { nSites: responses.shape[1], hidden, groups };
  return trainOn === undefined ? trainsOnDevice(shape) : trainOn === "device";
}

/** Scores on the test stimuli in a few numbers. */
export function summaryOf(
  { vae, split, keptEpoch, trainedOn }: FittedNeuralVae,
  population: Population,
  seed: number,
): Record<string, unknown> {
  const key = foldIn(randomKey(seed), 1);
  const scores = scoreNeuralVae(vae, population, { key, rows: split.test });
  const { r2, r2Sampled, poseR2, categoryAccuracy, partialCorrelation } = scores;
  return {
    ...{ nStimuli: population.responses.shape[0], nTest: split.test.length },
    ...{ nSites: vae.shape.nSites, groups: vae.groups.join(","), trainedOn, keptEpoch },
    ...{ r2, r2Sampled, partialCorrelation },
    ...(poseR2 ? { poseR2: poseR2.reduce((a, b) => a + b, 0) / poseR2.length } : {}),
    ...(categoryAccuracy === undefined ? {} : { categoryAccuracy }),
  };
}

async function run(options: VaeFitOptions, finish: FinishVae): Promise<void> {
  const started = new Date();
  const { checkpoint, out, seed, trainOn } = options;
  const output = beginOutput(out);
  if (checkpoint !== undefined && checkpoint === out) {
    throw new InputError(
      `Cannot keep the checkpoint in ${quote(checkpoint)}: the result goes there`,
    );
  }
  const settings = settingsOf(options);
  const population = await readVaeSource(options);
  using gpu = needsDevice(population, settings, trainOn) ? await openGpu(options) : undefined;
  const progress = new Progress({ silent: options.json });
  const fitted = await fitNeuralVae(population, {
    ...settings,
    ...{ key: randomKey(seed), gpu, trainOn, checkpoint, onProgress: progress.update },
  });
  progress.end();
  const latents = fitted.vae.encode(population.responses);
  const record = { ...fitted, latents, settings: { ...fitted.settings, seed } };
  await writeNeuralVae(output.partial, record, { inPlace: true });
  const results = summaryOf(fitted, population, seed);
  output.commit();
  finish("vae fit", options, started, { results, gpu });
}
