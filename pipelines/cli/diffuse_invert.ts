/**
 * `gyrus diffuse invert`: the noise that deterministic sampling would make images of, and how well it makes them again.
 *
 * @module
 */
import { type Command, Option } from "commander";
import { scale } from "../../engine/ops/elementwise.ts";
import type { Tensor } from "../../engine/tensor.ts";
import { processFrom } from "../diffusion/process.ts";
import { ddim, type InversionOptions } from "../diffusion/sampler.ts";
import { settingsProcess } from "../diffusion/settings.ts";
import { InputError } from "../errors.ts";
import { quote } from "../io/strict_json.ts";
import { hostTensor, toFloat64 } from "../io/state_dict.ts";
import type { StepArrays } from "../io/step_log.ts";
import {
  addDiffuseOptions,
  type DiffuseOptions,
  forEach,
  requireCounts,
  SETTINGS_HELP,
} from "./diffuse_options.ts";
import {
  arraysOfEach,
  type DiffuseJob,
  digestOf,
  type HostValues,
  part,
  placed,
  readContext,
  runDiffusion,
  taken,
} from "./diffuse_run.ts";
import { loadUnetFile, requireConditions } from "./load_unet.ts";
import { openGpu } from "./open_gpu.ts";
import { wholeNumber } from "./options.ts";
import { readSignedImages } from "./signed_images.ts";

/** Options of the command. */
interface InvertOptions extends DiffuseOptions {
  readonly images: string;
  readonly to?: number;
  readonly evaluateAt: "current" | "next";
}

const HELP = `
Output: a folder with reconstructions/00000.png ..., diffuse.h5 and run.json, or with --out F.h5 the arrays alone:
  /latents         [n, channels, height, width] the noise; gyrus diffuse sample --noise F.h5:/latents makes the images again
  /trajectory      [steps - 1, n, channels, height, width] after each step, the last are /latents
  /reconstructions [n, channels, height, width] what sampling makes of them
  /psnr            [n] peak signal-to-noise ratio of these in dB, the range of colours being 2
  /timesteps       [steps] of the process, from the most noise to the least
${SETTINGS_HELP}
Example:
  gyrus diffuse invert --model phantom_unet.safetensors --images stimuli/ --to 135 --evaluate-at next --out noise.h5
`;

/** Adds the command. */
export function register(diffuse: Command): void {
  const command = diffuse.command("invert").description("the noise that images come from");
  addDiffuseOptions(command)
    .requiredOption(
      "--images <ref>",
      "pictures, or an array [n, channels, height, width] from -1 to 1",
    )
    .option(
      "--to <timestep>",
      "level of noise to go to (default: the process's first)",
      wholeNumber,
    )
    .addOption(
      new Option(
        "--evaluate-at <level>",
        "which level the network is asked about: the one that images come from (guided-diffusion), or go to (MIG-Vis)",
      ).choices(["current", "next"]).default("current"),
    )
    .addHelpText("after", HELP)
    .action(async (_, command: Command) => await invert(command.optsWithGlobals()));
}

/** dB of a reconstruction, for values from −1 to 1. */
function psnr(images: ArrayLike<number>, made: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < images.length; i++) sum += (images[i] - made[i]) ** 2;
  return 10 * Math.log10(4 / (sum / images.length));
}

/** Noise and reconstructions of a batch. */
async function invertBatch(
  { gpu, loaded: { unet, settings, vae }, process }: Pick<DiffuseJob, "gpu" | "loaded" | "process">,
  { options, images, classLabels, context }: {
    readonly options: InvertOptions;
    readonly images: HostValues;
    readonly classLabels?: readonly number[];
    readonly context?: HostValues;
  },
  onStep: (done: number, total: number) => Promise<void>,
): Promise<StepArrays[]> {
  using scope = new DisposableStack();
  const trajectory: HostValues[] = [];
  const total = 2 * process.length - 1;
  let done = 0;
  const common: InversionOptions = {
    ...{ process, prediction: settings.prediction, clip: settings.clip, classLabels },
    rederivesEpsilon: settings.rederivesEpsilon,
    context: context && scope.use(placed(gpu, context)),
  };
  const given = scope.use(placed(gpu, images));
  const encoded = (): Tensor => {
    const { mean, logVariance } = vae!.encode(given);
    logVariance.dispose();
    using unscaled = mean;
    return scale(unscaled, vae!.scalingFactor);
  };
  const start = vae ? scope.use(encoded()) : given;
  const latents = scope.use(
    await ddim.invert(unet, start, {
      ...common,
      evaluateAt: options.evaluateAt,
      async onStep({ sample }) {
        if (options.trajectory) {
          trajectory.push({ data: Float32Array.from(await sample.data()), shape: sample.shape });
        }
        await onStep(++done, total);
      },
    }),
  );
  const again = scope.use(
    await ddim.sample(unet, latents, { ...common, onStep: () => onStep(++done, total) }),
  );
  const decoded = (): Tensor => {
    using scaled = scale(again, 1 / vae!.scalingFactor);
    return vae!.decode(scaled);
  };
  const made = await taken(vae ? decoded() : again.alias()), n = images.shape[0];
  const arrays = arraysOfEach(n, {
    latents: await taken(latents.alias()),
    reconstructions: made,
    ...(options.trajectory ? { trajectory } : {}),
  });
  return arrays.map((each, s) => {
    const db = psnr(part(images, s, s + 1).data, part(made, s, s + 1).data);
    return new Map([...each, ["psnr", hostTensor(Float64Array.of(db), [1])]]);
  });
}

async function invert(options: InvertOptions): Promise<void> {
  const started = new Date(), { steps, batch, spacing, to } = options;
  requireCounts({ steps, batch });
  using gpu = await openGpu(options);
  using loaded = await loadUnetFile(gpu, options);
  const { settings, vae, channels } = loaded;
  requireConditions(loaded.unet, options);
  const whole = settingsProcess(settings, { steps, spacing });
  const process = to === undefined ? whole : processFrom(whole, to);
  const images = await readSignedImages(options.images, {
    ...{ channels: vae ? 3 : channels, size: options.size },
  });
  const [n, , height, width] = images.shape, factor = vae?.factor ?? 1;
  if (height % factor !== 0 || width % factor !== 0) {
    throw new InputError(
      `Cannot use ${
        quote(options.images)
      }: the autoencoder takes sides that ${factor} divides, they are ${height}x${width}`,
    );
  }
  const classes = forEach(options.class, n), context = await readContext(options.context, n);
  const shape = [channels, height / factor, width / factor], { evaluateAt } = options;
  await runDiffusion({
    ...{ command: "diffuse invert", gpu, loaded, options, started, process, n },
    inputs: { images: options.images, context: options.context, vae: options.vae },
    facts: {
      ...{ images: digestOf(images), evaluateAt, class: classes, clip: settings.clip },
      ...{ prediction: settings.prediction, trajectory: options.trajectory },
    },
    shapes: {
      latents: shape,
      ...(options.trajectory ? { trajectory: [process.length - 1, ...shape] } : {}),
      reconstructions: images.shape.slice(1),
    },
    pictures: { reconstructions: "reconstructions" },
    make: (from, end, onStep) =>
      invertBatch({ gpu, loaded, process }, {
        ...{ options, images: part(images, from, end) },
        classLabels: classes?.slice(from, end),
        context: context && part(context, from, end),
      }, onStep),
    summary: (all) => ({ psnr: all.map((arrays) => toFloat64(arrays.get("psnr")!)[0]) }),
  });
}
