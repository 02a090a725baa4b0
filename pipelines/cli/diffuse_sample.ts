/**
 * `gyrus diffuse sample`: images out of noise.
 *
 * @module
 */
import { type Command, Option } from "commander";
import type { Gpu } from "../../engine/gpu.ts";
import { foldIn, type Key, normal, randomKey, split } from "../../engine/random.ts";
import { scale } from "../../engine/ops/elementwise.ts";
import type { Tensor } from "../../engine/tensor.ts";
import { classifierFree } from "../diffusion/classifier_free.ts";
import type { DenoisingModel } from "../diffusion/denoise.ts";
import { classifierGuidance } from "../diffusion/guidances.ts";
import { ddim, ddpm, type Guidance, type SamplingOptions } from "../diffusion/sampler.ts";
import { settingsProcess } from "../diffusion/settings.ts";
import { InputError } from "../errors.ts";
import { type ImageSize, parseImageSize } from "../images/preprocess.ts";
import { quote } from "../io/strict_json.ts";
import type { StepArrays } from "../io/step_log.ts";
import {
  addDiffuseOptions,
  classList,
  type DiffuseOptions,
  forEach,
  requireCounts,
  SETTINGS_HELP,
} from "./diffuse_options.ts";
import {
  arraysOfEach,
  type DiffuseJob,
  type HostValues,
  part,
  placed,
  readContext,
  readValues,
  runDiffusion,
  taken,
} from "./diffuse_run.ts";
import {
  loadClassifier,
  type LoadedUnet,
  loadUnetFile,
  requireConditions,
  takesClasses,
} from "./load_unet.ts";
import { openGpu } from "./open_gpu.ts";
import { realNumber, wholeNumber } from "./options.ts";

/** Options of the command. */
interface SampleOptions extends DiffuseOptions {
  readonly sampler: "ddim" | "ddpm";
  readonly eta: number;
  readonly noise?: string;
  readonly n?: number;
  readonly guidanceScale?: number;
  readonly uncondContext?: string;
  readonly nullClass?: number;
  readonly classifier?: string;
  readonly classifierConfig?: string;
  readonly classifierClass?: readonly number[];
  readonly classifierScale: number;
}

const HELP = `
Output: a folder with images/00000.png ..., diffuse.h5 and run.json, or with --out F.h5 the arrays alone:
  /images     [n, channels, height, width] about -1 to 1
  /trajectory [steps, n, channels, height, width] images after each step, the last are /images (of latents with --vae)
  /noise      [n, channels, height, width] what they were made of: --noise, or drawn by --seed
  /latents    [n, channels, height, width] with --vae, what /images are decoded from
  /timesteps  [steps] what the network was told
${SETTINGS_HELP}
Image s is the same whatever --batch is and wherever a run went on from its checkpoint.

Example:
  gyrus diffuse sample --model 64x64_diffusion.pt --steps 25 --class 207 --n 4 --out dogs
  gyrus diffuse sample --model ddpm-cifar10-32/ --sampler ddpm --noise noise.npy --out cifar.h5
  gyrus diffuse sample --model sd15/unet --vae sd15/vae --context text.npy --uncond-context empty.npy \\
    --guidance-scale 7.5 --steps 50 --out pictures
`;

/** Adds the command. */
export function register(diffuse: Command): void {
  const command = diffuse.command("sample").description("images out of noise");
  addDiffuseOptions(command)
    .addOption(
      new Option("--sampler <name>", "with noise at every step (ddpm), or --eta of it (ddim)")
        .choices(["ddim", "ddpm"]).default("ddim"),
    )
    .option("--eta <share>", "share of DDPM's noise that DDIM adds", realNumber, 0)
    .option("--noise <ref>", "noise to begin with: [n, channels, height, width]")
    .option("--n <count>", "images, where --noise does not say (default: 1)", wholeNumber)
    .option("--guidance-scale <w>", "classifier-free guidance; 1 is none", realNumber)
    .option("--uncond-context <ref>", "context of no text, for --guidance-scale")
    .option("--null-class <c>", "class for none, for --guidance-scale", wholeNumber)
    .option("--classifier <path>", "classifier of noisy images that leads to --class")
    .option("--classifier-config <file>", "its configuration, or flags")
    .option("--classifier-class <list>", "class that it leads to (default: --class)", classList)
    .option("--classifier-scale <s>", "how strongly it leads", realNumber, 1)
    .addHelpText("after", HELP)
    .action(async (_, command: Command) => await sample(command.optsWithGlobals()));
}

/** What images start from. */
interface Start {
  readonly n: number;
  /** `[channels, height, width]` */
  readonly shape: readonly number[];
  readonly read: (start: number, end: number) => HostValues;
}

function sizeOf({ size }: SampleOptions, side: number | undefined): ImageSize {
  if (size !== undefined) return parseImageSize(size);
  if (side !== undefined) return { height: side, width: side };
  throw new InputError(
    "Cannot draw images: neither the configuration nor the network tells their size; give --size",
  );
}

/** Noise of image s is its own, whatever the batch. */
function drawnNoise(key: Key, shape: readonly number[]): Start["read"] {
  const size = shape.reduce((a, b) => a * b, 1);
  return (start, end) => {
    const data = new Float32Array((end - start) * size);
    for (let s = start; s < end; s++) data.set(normal(foldIn(key, s), size), (s - start) * size);
    return { data, shape: [end - start, ...shape] };
  };
}

async function startOf(
  options: SampleOptions,
  { channels, side }: LoadedUnet,
  key: Key,
): Promise<Start> {
  if (options.noise !== undefined) {
    const all = await readValues(options.noise, ["n", "channels", "height", "width"]);
    const [n, found, ...sides] = all.shape;
    if (found !== channels || (options.n !== undefined && options.n !== n)) {
      throw new InputError(
        `Cannot use ${quote(options.noise)}: it is [${all.shape}], it must be [${
          options.n ?? "n"
        }, ${channels}, height, width]`,
      );
    }
    return { n, shape: [found, ...sides], read: (start, end) => part(all, start, end) };
  }
  const { height, width } = sizeOf(options, side), shape = [channels, height, width];
  return { n: options.n ?? 1, shape, read: drawnNoise(key, shape) };
}

/** Conditions of all images. */
interface Conditions {
  readonly classes?: readonly number[];
  /** Of a classifier. */
  readonly wanted?: readonly number[];
  readonly context?: HostValues;
  readonly none?: HostValues;
}

async function conditionsOf(options: SampleOptions, n: number): Promise<Conditions> {
  const { guidanceScale = 1, uncondContext, nullClass } = options;
  const [context, none] = [
    await readContext(options.context, n),
    await readContext(uncondContext, 1),
  ];
  const isGuided = guidanceScale !== 1;
  if (isGuided && (context === undefined) !== (none === undefined)) {
    throw new InputError(
      "Cannot guide without a classifier: --context and --uncond-context go together",
    );
  }
  if (isGuided && context === undefined && nullClass === undefined) {
    throw new InputError(
      "Cannot guide without a classifier: --guidance-scale takes --uncond-context or --null-class",
    );
  }
  return {
    classes: forEach(options.class, n),
    wanted: forEach(options.classifierClass ?? options.class, n),
    ...{ context, none },
  };
}

/** The network as it is sampled of, and guidance of some images. */
interface Drawing {
  readonly model: (scope: DisposableStack) => DenoisingModel;
  readonly guidance?: (labels: readonly number[]) => Guidance;
}

/** How networks are guided; a classifier is the scope's. */
async function drawingOf(
  gpu: Gpu,
  { unet }: LoadedUnet,
  { options, conditions, scope }: {
    readonly options: SampleOptions;
    readonly conditions: Conditions;
    readonly scope: DisposableStack;
  },
): Promise<Drawing> {
  const { guidanceScale = 1, nullClass, classifier: path } = options, { none } = conditions;
  const model = (within: DisposableStack): DenoisingModel => {
    if (guidanceScale === 1) return unet;
    const context = none && within.use(placed(gpu, none));
    const unconditional = { classLabel: nullClass, context };
    return classifierFree(unet, { scale: guidanceScale, unconditional });
  };
  if (path === undefined) return { model };
  if (conditions.wanted === undefined) {
    throw new InputError(
      "Cannot guide by a classifier: --classifier-class or --class says to which class",
    );
  }
  const classifier = scope.use(
    await loadClassifier(gpu, { model: path, config: options.classifierConfig }),
  );
  const weight = options.classifierScale;
  return {
    model,
    guidance: (labels) => classifierGuidance(classifier, { classLabels: labels, weight }),
  };
}

/** Images of a batch with what was on the way. */
async function draw(
  { gpu, loaded, process }: Pick<DiffuseJob, "gpu" | "loaded" | "process">,
  { options, start, conditions, drawing, key }: {
    readonly options: SampleOptions;
    readonly start: Start;
    readonly conditions: Conditions;
    readonly drawing: Drawing;
    readonly key: Key;
  },
  { from, to, onStep }: {
    readonly from: number;
    readonly to: number;
    readonly onStep: (done: number, total: number) => Promise<void>;
  },
): Promise<StepArrays[]> {
  const { settings, vae, unet } = loaded, noise = start.read(from, to);
  using scope = new DisposableStack();
  const labels = conditions.classes?.slice(from, to);
  const trajectory: HostValues[] = [];
  let done = 0;
  const common: SamplingOptions = {
    ...{ process, key, first: from, prediction: settings.prediction, clip: settings.clip },
    rederivesEpsilon: settings.rederivesEpsilon,
    classLabels: takesClasses(unet) ? labels : undefined,
    context: conditions.context && scope.use(placed(gpu, part(conditions.context, from, to))),
    guidance: drawing.guidance?.(conditions.wanted?.slice(from, to) ?? []),
    async onStep({ sample }) {
      if (options.trajectory) {
        trajectory.push({ data: Float32Array.from(await sample.data()), shape: sample.shape });
      }
      await onStep(++done, process.length);
    },
  };
  const model = drawing.model(scope), x = scope.use(placed(gpu, noise));
  const drawn = scope.use(
    options.sampler === "ddim"
      ? await ddim.sample(model, x, { ...common, eta: options.eta })
      : await ddpm.sample(model, x, { ...common, variance: settings.variance }),
  );
  const latents = { data: Float32Array.from(await drawn.data()), shape: drawn.shape };
  const decoded = (latents: Tensor): Tensor => {
    using scaled = scale(latents, 1 / vae!.scalingFactor);
    return vae!.decode(scaled);
  };
  return arraysOfEach(to - from, {
    ...(vae ? { images: await taken(decoded(drawn)), latents } : { images: latents }),
    noise,
    ...(options.trajectory ? { trajectory } : {}),
  });
}

async function sample(options: SampleOptions): Promise<void> {
  const started = new Date(), { steps, batch, n: count, seed, sampler } = options;
  requireCounts({ steps, batch, n: count });
  using gpu = await openGpu(options);
  using loaded = await loadUnetFile(gpu, options);
  const { settings, vae } = loaded;
  const isDdim = sampler === "ddim", isLed = options.classifier !== undefined;
  // a classifier leads to classes that the network need not be told
  requireConditions(loaded.unet, { ...options, class: isLed ? undefined : options.class });
  const process = settingsProcess(settings, { steps, spacing: options.spacing, isDdim });
  const [noiseKey, key] = split(randomKey(seed), 2);
  const start = await startOf(options, loaded, noiseKey), { n, shape } = start;
  const conditions = await conditionsOf(options, n);
  using scope = new DisposableStack();
  const drawing = await drawingOf(gpu, loaded, { options, conditions, scope });
  const [, height, width] = shape, factor = vae?.factor ?? 1;
  const { eta, guidanceScale, nullClass, classifierScale } = options;
  await runDiffusion({
    ...{ command: "diffuse sample", gpu, loaded, options, started, process, n },
    inputs: {
      ...{ noise: options.noise, context: options.context, uncondContext: options.uncondContext },
      ...{ vae: options.vae, classifier: options.classifier },
    },
    facts: {
      ...{ shape, sampler, eta, guidanceScale, nullClass, classifierScale },
      ...{
        class: conditions.classes,
        wanted: conditions.wanted,
        clip: settings.clip,
        prediction: settings.prediction,
      },
      trajectory: options.trajectory,
    },
    shapes: {
      images: vae ? [3, factor * height, factor * width] : shape,
      ...(vae ? { latents: shape } : {}),
      noise: shape,
      ...(options.trajectory ? { trajectory: [process.length, ...shape] } : {}),
    },
    pictures: { images: "images" },
    make: (from, to, onStep) =>
      draw({ gpu, loaded, process }, { options, start, conditions, drawing, key }, {
        ...{ from, to, onStep },
      }),
  });
}
