/**
 * `gyrus scorer fit`: scorers of latent groups with images.
 *
 * @module
 */
import { type Command, Option } from "commander";
import type { Gpu } from "../../engine/gpu.ts";
import { foldIn, normal, randomKey } from "../../engine/random.ts";
import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import { parseImageSize } from "../images/preprocess.ts";
import { fitScorer, type FittedScorer } from "../mig_vis/fit_scorer.ts";
import {
  extractFeatures,
  type ImageArray,
  type ImageFeatures,
  vitFeatures,
} from "../mig_vis/image_features.ts";
import { latentsOfGroup } from "../mig_vis/latent_groups.ts";
import { fitLatentReadout, type LatentReadout } from "../mig_vis/latent_readout.ts";
import type { ScorerKind } from "../mig_vis/scorer.ts";
import { writeScorers } from "../mig_vis/scorer_file.ts";
import { runRecord } from "../run_record.ts";
import { openGpu } from "./open_gpu.ts";
import { type GlobalOptions, realNumber, wholeNumber } from "./options.ts";
import { beginOutput, writeOutput } from "./output.ts";
import { Progress } from "./progress.ts";
import { groupList, loadFeatureNetwork, readImagesOf, readLatents } from "./steer_inputs.ts";

const HELP = `
Images and rows of latents must be in the same order. A scorer learns by InfoNCE which of a batch's latents are an image's own; the file
also keeps a ridge regression of each group's latents on the features, for steering by likelihood.

Output S.safetensors, for gyrus steer:
  groups.<g>.scorer.<tensor>                 weights of the scorer of group g
  groups.<g>.readout.coef                    [features, latents]; also intercept, variances, r2 [latents]
  metadata                                   sizes of the groups, how features came about, how each fit went
and S.safetensors.run.json

Printed for each group: the bound log B - L on the mutual information of its latents and the features, in nats, on held-out images (at
most log B, B the batch), the step it was reached at, and the mean cross-validated R2 of the regression.

Example:
  gyrus scorer fit --vae vae.h5 --images stimuli.npy --model vit_small_patch16_224.dino.safetensors --out scorers.safetensors
`;

/** Options of the command. */
interface ScorerFitCliOptions extends GlobalOptions {
  readonly vae: string;
  readonly latents?: string;
  readonly images: string;
  readonly size?: string;
  readonly model: string;
  readonly config?: string;
  readonly groups: string;
  readonly token: "cls" | "patches" | "tokens";
  readonly range: "symmetric" | "unit";
  readonly featureSize?: string;
  readonly views: number;
  readonly noise: number;
  readonly kind: ScorerKind;
  readonly projection?: number;
  readonly hidden?: number;
  readonly batch?: number;
  readonly steps?: number;
  readonly lr?: number;
  readonly heldOut?: number;
}

/** Adds the command. */
export function register(scorer: Command): void {
  const command = scorer.command("fit")
    .description("fit a scorer of each latent group with images")
    .requiredOption("--vae <file>", "a VAE of gyrus vae fit")
    .option("--latents <ref>", "latents of the images (default: /mu of the VAE's own stimuli)")
    .requiredOption(
      "--images <ref>",
      "pictures, or an array [n, channels, height, width] or " +
        "[n, height, width] from -1 to 1, one image for each row of latents",
    )
    .option("--size <SxS>", "size that pictures are brought to: S or HxW (default: their own)")
    .requiredOption("--model <path>", "weights of a vision transformer that tells features")
    .option("--config <file>", "its configuration (default: the one beside it)")
    .option("--groups <list>", "groups, as 0,2, or all", "all");
  addFitOptions(command)
    .addHelpText("after", HELP)
    .action(async (_, command: Command) => await fit(command.optsWithGlobals()));
}

function addFitOptions(command: Command): Command {
  return command
    .addOption(
      new Option(
        "--token <which>",
        "features: the image's embedding, the mean of its patches', or all of these side by side",
      ).choices(["cls", "patches", "tokens"]).default("cls"),
    )
    .addOption(
      new Option(
        "--range <how>",
        "colours that are normalised: -1 to 1 as MIG-Vis's code has it, or 0 to 1 as in the training",
      ).choices(["symmetric", "unit"]).default("symmetric"),
    )
    .option("--feature-size <SxS>", "size at which features are taken (default: the network's)")
    .option("--views <n>", "copies of each image, all but the first with noise", wholeNumber, 1)
    .option("--noise <sd>", "largest standard deviation of that noise", realNumber, 0.5)
    .addOption(
      new Option("--kind <kind>", "a network on both, or the product of projections")
        .choices(["mlp", "bilinear"]).default("mlp"),
    )
    .option("--projection <n>", "width of either projection (default: 128)", wholeNumber)
    .option("--hidden <n>", "width of the network's layers (default: 256)", wholeNumber)
    .option("--batch <n>", "images in a step (default: 256)", wholeNumber)
    .option("--steps <n>", "most steps of Adam (default: 3000)", wholeNumber)
    .option("--lr <rate>", "step size (default: 5e-4)", realNumber)
    .option(
      "--held-out <share>",
      "share of the images that ends the fit (default: 0.2)",
      realNumber,
    );
}

/** Images with noise, each view `v` of a standard deviation of its own, from 0 to the largest. */
function noisyView(images: ImageArray, view: number, options: ScorerFitCliOptions): ImageArray {
  if (view === 0) return images;
  const { views, noise, seed } = options, sd = noise * view / (views - 1);
  const drawn = normal(foldIn(foldIn(randomKey(seed), 0), view), images.data.length);
  return { ...images, data: images.data.map((v, i) => v + sd * drawn[i]) };
}

/** Features of all views of images, `[n·views, width]`, the views of an image one after the other. */
async function viewFeatures(
  gpu: Gpu,
  features: ImageFeatures,
  { images, options, progress }: {
    readonly images: ImageArray;
    readonly options: ScorerFitCliOptions;
    readonly progress: Progress;
  },
): Promise<HostMatrix> {
  const { views } = options, [n] = images.shape, { width } = features.settings;
  const all = new Float32Array(n * views * width);
  for (let view = 0; view < views; view++) {
    const seen = noisyView(images, view, options);
    const { data } = await extractFeatures(gpu, features, { ...seen, onProgress: progress.update });
    for (let i = 0; i < n; i++) {
      all.set(data.subarray(i * width, (i + 1) * width), (i * views + view) * width);
    }
  }
  return hostMatrix(all, [n * views, width]);
}

/** Rows of the first view. */
function firstViews({ data, shape: [rows, width] }: HostMatrix, views: number): HostMatrix {
  const own = new Float32Array(data.length / views);
  for (let i = 0; i < rows / views; i++) {
    own.set(data.subarray(i * views * width, (i * views + 1) * width), i * width);
  }
  return hostMatrix(own, [rows / views, width]);
}

async function fit(options: ScorerFitCliOptions): Promise<void> {
  const started = new Date(), { views, noise, seed } = options;
  if (views < 1 || !(noise >= 0)) {
    throw new InputError(
      `Cannot fit scorers on ${views} views with noise ${noise}: there must be one or more, the noise not below 0`,
    );
  }
  const output = beginOutput(options.out);
  const { latents, groups } = await readLatents(options), n = latents.shape[0];
  const chosen = groupList(options.groups, groups.length);
  const images = await readImagesOf(options.images, { n, size: options.size });
  using gpu = await openGpu(options);
  using network = await loadFeatureNetwork(gpu, options);
  const side = options.featureSize === undefined ? undefined : parseImageSize(options.featureSize);
  const size = side && [side.height, side.width] as const;
  const features = vitFeatures(network.model, { ...options, size });
  const progress = new Progress({ silent: options.json });
  const seen = await viewFeatures(gpu, features, { images, options, progress });
  using owned = new DisposableStack();
  const scorers = new Map<number, FittedScorer>(), readouts = new Map<number, LatentReadout>();
  for (const group of chosen) {
    const own = latentsOfGroup(latents, groups, group);
    const key = foldIn(foldIn(randomKey(seed), 1), group), { update: onProgress } = progress;
    const fitted = await fitScorer(gpu, { latents: own, features: seen }, {
      ...options,
      ...{ key: foldIn(key, 0), onProgress },
    });
    owned.use(fitted.scorer);
    scorers.set(group, fitted);
    const pairs = { latents: own, features: firstViews(seen, views) };
    readouts.set(group, await fitLatentReadout(gpu, pairs, { key: foldIn(key, 1), onProgress }));
  }
  progress.end();
  const { settings } = features, { digest } = network;
  const kept = { groups, features: settings, network: digest, weights: options.model };
  Deno.writeFileSync(output.partial, await writeScorers({ ...kept, scorers, readouts }));
  output.commit();
  report(options, { gpu, started, scorers, readouts });
}

function report(
  options: ScorerFitCliOptions,
  { gpu, started, scorers, readouts }: {
    readonly gpu: Gpu;
    readonly started: Date;
    readonly scorers: ReadonlyMap<number, FittedScorer>;
    readonly readouts: ReadonlyMap<number, LatentReadout>;
  },
): void {
  const results = {
    groups: [...scorers].map(([group, { fit: { bound, heldOutBatch, step } }]) => {
      const { r2 } = readouts.get(group)!;
      return { group, bound, heldOutBatch, step, r2: r2.reduce((a, b) => a + b) / r2.length };
    }),
  };
  const { vae, latents, images, model } = options;
  const inputs = Object.entries({ vae, latents, images, model })
    .filter((entry): entry is [string, string] => entry[1] !== undefined);
  const record = runRecord({
    ...{ command: "scorer fit", options: { ...options }, gpu, started, results },
    inputs: Object.fromEntries(inputs),
  });
  writeOutput(`${options.out}.run.json`, `${JSON.stringify(record, null, 2)}\n`);
  if (options.json) return console.log(JSON.stringify({ out: options.out, ...results }));
  for (const { group, bound, heldOutBatch, step, r2 } of results.groups) {
    const most = Math.log(heldOutBatch).toFixed(2);
    console.log(
      `group ${group}  bound ${bound.toFixed(3)} of at most ${most} nats  step ${step}  R2 ${
        r2.toFixed(3)
      }`,
    );
  }
}
