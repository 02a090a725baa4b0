/**
 * `gyrus steer`: images steered to latents of a group.
 *
 * @module
 */
import { type Command, Option } from "commander";
import { randomKey } from "../../engine/random.ts";
import { settingsProcess } from "../diffusion/settings.ts";
import { InputError } from "../errors.ts";
import type { ImageArray } from "../mig_vis/image_features.ts";
import { gaussianLikelihood, type SteerCriterion } from "../mig_vis/criteria.ts";
import { vitFeatures } from "../mig_vis/image_features.ts";
import {
  exchangeJobs,
  paperGammas,
  type SteerJob,
  traversalJobs,
} from "../mig_vis/latent_groups.ts";
import { mutualInformation } from "../mig_vis/mutual_information.ts";
import { readScorers, type Scorers } from "../mig_vis/scorer_file.ts";
import { addUnetOptions, requireCounts, SETTINGS_HELP } from "./diffuse_options.ts";
import { loadUnetFile } from "./load_unet.ts";
import { numberList } from "./maximize_options.ts";
import { openGpu } from "./open_gpu.ts";
import { realNumber, wholeNumber } from "./options.ts";
import {
  type FeatureNetwork,
  type GroupedLatents,
  groupList,
  loadFeatureNetwork,
  numbersOf,
  readImagesOf,
  readLatents,
} from "./steer_inputs.ts";
import { runSteering, type SteerCliOptions } from "./steer_run.ts";

const HELP = `
Images and rows of latents must be in the same order; --sources picks those that are steered. Each is brought to noise once, then back to
an image for every group and target, which guidance moves: to latents of the group plus gamma, or to those of other stimuli.

Output folder:
  images/<source>_g<group>_<target>.png   steered images; <target> is gamma or the other stimulus
  strips/<source>.png    a row for each group: the source, then targets in order, for gammas with the unsteered image at 0
  steer.h5  /images           [sources, groups, targets, channels, height, width] from -1 to 1
            /gamma [targets], or /target_index [targets]
            /sources [sources], /groups [groups], /timesteps [steps]
            /unsteered        [sources, channels, height, width], /psnr [sources] of it in dB, the range of colours being 2
            /scores           [sources, groups, targets, 2, names] of the source and of the image, names in the attribute "scores":
                              score s(z, f) and information s - log mean exp s over the latents, in nats, or log_likelihood
            /strengths        [sources, groups, targets, steps] root mean square of what guidance took from the noise
  run.json
${SETTINGS_HELP}
Example:
  gyrus steer --model unet.safetensors --vae vae.h5 --scorer scorers.safetensors --features-model dino.safetensors \\
    --images stimuli.npy --sources 0-7 --group all --gamma -10,-5,5,10 --out steered
`;

/** Adds the command. */
export function register(program: Command): void {
  const command = program.command("steer")
    .description("images steered to latents of a group by guided diffusion (MIG-Vis)");
  addUnetOptions(command)
    .requiredOption("--vae <file>", "a VAE of gyrus vae fit")
    .option("--latents <ref>", "latents of the images (default: /mu of the VAE's own stimuli)")
    .requiredOption("--scorer <file>", "scorers of gyrus scorer fit")
    .option(
      "--features-model <path>",
      "weights of the network that they were fitted with (default: where they were then)",
    )
    .option("--features-config <file>", "its configuration (default: the one beside it)")
    .requiredOption(
      "--images <ref>",
      "pictures, or an array [n, channels, height, width] or " +
        "[n, height, width] from -1 to 1, one image for each row of latents",
    )
    .option("--size <SxS>", "size that pictures are brought to: S or HxW (default: their own)")
    .option("--sources <list>", "images to steer, as 0,5,10-20 (default: all)")
    .requiredOption("--group <list>", "groups to steer, as 0,2, or all")
    .option("--gamma <list>", "added to a group's latents (default: -10,-5,5,10)", numberList)
    .option("--target-index <list>", "images whose latents are aimed at instead, as 0,5,10-20");
  addGuidanceOptions(command)
    .addHelpText("after", HELP)
    .action(async (_, command: Command) => await run(command.optsWithGlobals()));
}

function addGuidanceOptions(command: Command): Command {
  return command
    .addOption(
      new Option("--guidance <by>", "mutual information, or the likelihood of a regression")
        .choices(["mi", "likelihood"]).default("mi"),
    )
    .addOption(
      new Option(
        "--negatives <how>",
        "latents that targets are held against: drawn at every step, once, none",
      )
        .choices(["resampled", "fixed", "none"]).default("resampled"),
    )
    .option("--n-negatives <n>", "how many", wholeNumber, 10)
    .addOption(
      new Option("--gradient <through>", "noise held constant (the paper's code), or the UNet too")
        .choices(["detached", "full"]).default("detached"),
    )
    .option("--weight <w>", "of the gradient", realNumber, 100)
    .addOption(
      new Option(
        "--convention <c>",
        "what w multiplies: g (the paper's code), or sqrt(1 - alpha)·g",
      )
        .choices(["epsilon", "score"]).default("epsilon"),
    )
    .option("--start <timestep>", "level of noise that images are brought to", wholeNumber, 135)
    .addOption(
      new Option(
        "--sampler <how>",
        "inverted and sampled without noise (the paper), or with (its code)",
      )
        .choices(["ddim", "sdedit"]).default("ddim"),
    )
    .option("--batch <n>", "images made together (default: 8)", wholeNumber)
    .option(
      "--checkpoint <file>",
      "keep finished images there; the same command goes on after a stop",
    );
}

/** Refuses scorers of other latents, or of another network's features. */
function requireScorers(
  { record }: Scorers,
  { groups, network, weights, options: { scorer, vae } }: {
    readonly groups: readonly number[];
    readonly network: FeatureNetwork;
    readonly weights: string;
    readonly options: SteerCliOptions;
  },
): void {
  if (`${record.groups}` !== `${groups}`) {
    throw new InputError(
      `Cannot use ${scorer} with ${vae}: its groups have ${record.groups} latents, the VAE's ${groups}`,
    );
  }
  if (record.network === network.digest) return;
  throw new InputError(
    `Cannot use ${scorer} with features of ${weights}: it was fitted with another network's (${record.features.family})`,
  );
}

/** What is to be made of the sources. */
function jobsOf(
  { latents, groups: sizes }: GroupedLatents,
  options: SteerCliOptions,
): { jobs: SteerJob[]; sources: number[]; groups: number[]; targets: readonly number[] } {
  const n = latents.shape[0], { gamma, targetIndex } = options;
  const all = Array.from({ length: n }, (_, row) => row);
  const sources = options.sources === undefined
    ? all
    : numbersOf(options.sources, { n, what: "images" });
  const groups = groupList(options.group, sizes.length);
  if (targetIndex === undefined) {
    const gammas = gamma ?? paperGammas, rows = { sizes, groups, sources, gammas };
    return { jobs: traversalJobs(latents, rows), sources, groups, targets: gammas };
  }
  if (gamma) throw new InputError("Cannot aim at --gamma and --target-index: give one of them");
  const targets = numbersOf(targetIndex, { n, what: "images" });
  return {
    jobs: exchangeJobs(latents, { sizes, groups, sources, targets }),
    sources,
    groups,
    targets,
  };
}

/** Images of some rows. */
function takeImages({ data, shape: [, ...rest] }: ImageArray, rows: readonly number[]): ImageArray {
  const each = rest[0] * rest[1] * rest[2], own = new Float32Array(rows.length * each);
  rows.forEach((row, i) => own.set(data.subarray(row * each, (row + 1) * each), i * each));
  return { data: own, shape: [rows.length, rest[0], rest[1], rest[2]] };
}

async function run(options: SteerCliOptions): Promise<void> {
  const started = new Date(), { steps, spacing, batch } = options;
  requireCounts({ steps, batch });
  const grouped = await readLatents(options), { latents, groups: sizes } = grouped;
  const { jobs, sources, groups, targets } = jobsOf(grouped, options);
  using gpu = await openGpu(options);
  const unetOptions = { ...options, vae: undefined, vaeConfig: undefined, trajectory: false };
  using loaded = await loadUnetFile(gpu, unetOptions);
  const { channels, settings } = loaded, n = latents.shape[0];
  const images = await readImagesOf(options.images, { n, channels, size: options.size });
  using scorers = readScorers(gpu, options.scorer);
  const weights = options.featuresModel ?? scorers.record.weights;
  if (weights === undefined) {
    throw new InputError(`Cannot steer: ${options.scorer} names no network, give --features-model`);
  }
  using network = await loadFeatureNetwork(gpu, { model: weights, config: options.featuresConfig });
  requireScorers(scorers, { groups: sizes, network, weights, options });
  const features = vitFeatures(network.model, scorers.record.features);
  const key = randomKey(options.seed), { negatives, nNegatives } = options;
  const criterion: SteerCriterion = options.guidance === "likelihood"
    ? gaussianLikelihood(gpu, features, scorers.record.readouts)
    : mutualInformation(gpu, features, {
      ...{ scorers: scorers.scorers, pool: latents, sizes, key, negatives, nNegatives },
    });
  await runSteering({
    ...{ gpu, options, started, unet: loaded.unet, prediction: settings.prediction, criterion },
    ...{ process: settingsProcess(settings, { steps, spacing }), key, network: network.digest },
    ...{ images: takeImages(images, sources), jobs, sources, groups, targets, latents },
  });
}
