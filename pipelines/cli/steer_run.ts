/**
 * Steers images batch by batch, and keeps what is done.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { Gpu } from "../../engine/gpu.ts";
import type { Key } from "../../engine/random.ts";
import { Tensor } from "../../engine/tensor.ts";
import type { PredictionType } from "../diffusion/denoise.ts";
import { type DiffusionProcess, processFrom } from "../diffusion/process.ts";
import type { DiffusionUnet } from "../diffusion/settings.ts";
import type { HostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import { hostTensor, toFloat32, toFloat64 } from "../io/state_dict.ts";
import { type StepArrays, StepLog } from "../io/step_log.ts";
import { quote } from "../io/strict_json.ts";
import type { SteerCriterion } from "../mig_vis/criteria.ts";
import type { ImageArray } from "../mig_vis/image_features.ts";
import type { SteerJob } from "../mig_vis/latent_groups.ts";
import { noiseSources, steer, type SteeredImage, type SteerOptions } from "../mig_vis/steer.ts";
import { runRecord } from "../run_record.ts";
import type { DiffuseOptions } from "./diffuse_options.ts";
import { digestOfModel } from "./load_model.ts";
import { beginOutput, letSignalsIn, RUN_RECORD } from "./output.ts";
import { Progress } from "./progress.ts";
import { SteerFolder } from "./steer_files.ts";

/** Options of the command. */
export interface SteerCliOptions extends Omit<DiffuseOptions, "vae"> {
  readonly vae: string;
  readonly latents?: string;
  readonly scorer: string;
  readonly featuresModel?: string;
  readonly featuresConfig?: string;
  readonly images: string;
  readonly sources?: string;
  readonly group: string;
  readonly gamma?: readonly number[];
  readonly targetIndex?: string;
  readonly guidance: "mi" | "likelihood";
  readonly negatives: "resampled" | "fixed" | "none";
  readonly nNegatives: number;
  readonly gradient: "detached" | "full";
  readonly weight: number;
  readonly convention: "epsilon" | "score";
  readonly start: number;
  readonly sampler: "ddim" | "sdedit";
}

/** All that steering takes, read and checked. */
export interface Steering {
  readonly gpu: Gpu;
  readonly options: SteerCliOptions;
  readonly started: Date;
  readonly unet: DiffusionUnet;
  readonly prediction?: PredictionType;
  readonly process: DiffusionProcess;
  readonly criterion: SteerCriterion;
  readonly key: Key;
  /** Digest of the features' network. */
  readonly network: string;
  /** Images of the sources. */
  readonly images: ImageArray;
  /** By source, group and target. */
  readonly jobs: readonly SteerJob[];
  /** Numbers of the sources among all images. */
  readonly sources: readonly number[];
  readonly groups: readonly number[];
  readonly targets: readonly number[];
  /** Of all images. */
  readonly latents: HostMatrix;
}

/** A source with noise, and what it becomes unsteered. */
interface Reached {
  readonly noisy: Float32Array<ArrayBuffer>;
  readonly unsteered: Float32Array<ArrayBuffer>;
}

/** Images made together where nothing else is said. */
const BATCH = 8;

/** The checkpoint; it belongs to all that images follow from, but not to how many are made at a time. */
function openLog(
  { gpu, options, process: levels, images, jobs, latents, network }: Steering,
): StepLog | undefined {
  const { checkpoint, out, model, config, ema, scorer, seed, weight, convention } = options;
  if (checkpoint === undefined) return undefined;
  if (checkpoint === out) {
    throw new InputError(`Cannot keep the checkpoint in ${quote(out)}: the result goes there`);
  }
  const { guidance, negatives, nNegatives, gradient, sampler, start, prefix } = options;
  const data = createHash("sha256").update(images.data).update(latents.data)
    .update(Deno.readFileSync(scorer)).digest("hex");
  return new StepLog(checkpoint, {
    model: digestOfModel({ model, config, ...(ema ? { part: "ema" } : {}) }),
    features: network,
    inputs: [data, images.shape],
    jobs: jobs.map(({ target, ...job }) => [job, ...target]),
    options: {
      ...{ guidance, negatives, nNegatives, gradient, weight, convention, start, sampler },
      ...{ levels, seed, prefix },
    },
    adapter: [gpu.adapterName, { ...gpu.caps, features: [...gpu.caps.features] }, gpu.options],
  });
}

function packImage(
  { image, strengths, before, after }: SteeredImage,
  shape: readonly number[],
): StepArrays {
  const scores = Float64Array.from([...before, ...after]);
  return new Map([
    ["image", hostTensor(image, shape)],
    ["strengths", hostTensor(strengths, [strengths.length])],
    ["scores", hostTensor(scores, [scores.length])],
  ]);
}

function arrayOf(arrays: StepArrays, name: string) {
  const array = arrays.get(name);
  if (array) return array;
  throw new InputError(`Cannot go on from the checkpoint: one of its steps has no ${name}`);
}

function unpackImage(arrays: StepArrays, number: number, job: SteerJob): SteeredImage {
  const scores = [...toFloat64(arrayOf(arrays, "scores"))], half = scores.length / 2;
  return {
    ...{ job, number, before: scores.slice(0, half), after: scores.slice(half) },
    image: toFloat32(arrayOf(arrays, "image")),
    strengths: toFloat32(arrayOf(arrays, "strengths")),
  };
}

/** dB of an image, for values from −1 to 1. */
function psnrOf(image: ArrayLike<number>, made: ArrayLike<number>): number {
  let total = 0;
  for (let i = 0; i < image.length; i++) total += (image[i] - made[i]) ** 2;
  return 10 * Math.log10(4 * image.length / total);
}

/** Makes what a run has not made yet. */
class SteerRun {
  readonly #run: Steering;
  readonly #log?: StepLog;
  readonly #progress: Progress;
  readonly #path: Omit<SteerOptions, "criterion">;

  constructor(run: Steering, log: StepLog | undefined, progress: Progress) {
    const { options, prediction, key } = run;
    const { start, sampler, weight, convention, gradient, batch = BATCH } = options;
    this.#run = run;
    this.#log = log;
    this.#progress = progress;
    this.#path = {
      ...{
        process: run.process,
        prediction,
        key,
        start,
        sampler,
        weight,
        convention,
        gradient,
        batch,
      },
      onStep: letSignalsIn,
    };
  }

  /** Sources with noise and what they become unsteered, which all their images share. */
  async reach(): Promise<Reached[]> {
    const { gpu, unet, images: { data, shape: [n, ...rest] } } = this.#run;
    const each = rest[0] * rest[1] * rest[2], { batch = BATCH } = this.#path;
    const found: Reached[] = [];
    for (let s = 0; s < Math.min(n, this.#log?.size ?? 0); s++) {
      const arrays = this.#log!.read(s);
      const [noisy, unsteered] = ["noisy", "unsteered"].map((name) =>
        toFloat32(arrayOf(arrays, name))
      );
      found.push({ noisy, unsteered });
    }
    for (let first = found.length; first < n; first += batch) {
      const end = Math.min(n, first + batch), shape = [end - first, ...rest];
      using images = Tensor.from(gpu, data.subarray(first * each, end * each), shape);
      using noisy = await noiseSources(unet, images, { ...this.#path, first });
      const jobs = Array.from({ length: end - first }, (_, source): SteerJob => ({
        ...{ source, group: 0, target: new Float32Array(0) }, // without a criterion nothing aims at it
      }));
      const made = await steer(unet, { images, noisy }, { ...this.#path, jobs });
      const values = await noisy.data();
      made.forEach(({ image: unsteered }, i) => {
        const own = Float32Array.from(values.subarray(i * each, (i + 1) * each));
        this.#log?.append(
          new Map([["noisy", hostTensor(own, rest)], ["unsteered", hostTensor(unsteered, rest)]]),
        );
        found.push({ noisy: own, unsteered });
      });
      this.#progress.update({ stage: "inversion", done: end, total: n });
    }
    return found;
  }

  /** Steered images in order, those that are kept first. */
  async steer(reached: readonly Reached[], onImage: (made: SteeredImage) => void): Promise<void> {
    const { gpu, unet, criterion, images: { data, shape }, jobs } = this.#run;
    const first = Math.max(0, (this.#log?.size ?? 0) - shape[0]);
    for (let at = 0; at < first; at++) {
      onImage(unpackImage(this.#log!.read(shape[0] + at), at, jobs[at]));
    }
    const each = data.length / shape[0], all = new Float32Array(data.length);
    reached.forEach(({ noisy }, s) => all.set(noisy, s * each));
    using images = Tensor.from(gpu, data, shape);
    using noisy = Tensor.from(gpu, all, shape);
    await steer(unet, { images, noisy }, {
      ...{ ...this.#path, criterion, jobs, first, onProgress: this.#progress.update },
      onImages: (made) => {
        for (const one of made) {
          this.#log?.append(packImage(one, shape.slice(1)));
          onImage(one);
        }
      },
    });
  }
}

/** Makes all images, writes them and says what was found. */
export async function runSteering(run: Steering): Promise<void> {
  const { options, images: { data, shape }, sources, groups, targets, criterion } = run;
  const timesteps = processFrom(run.process, options.start).map(({ timestep }) => timestep);
  const output = beginOutput(options.out, { kind: "folder" });
  const progress = new Progress({ silent: options.json });
  const each = data.length / shape[0], perSource = groups.length * targets.length;
  const isTraversal = options.targetIndex === undefined, { scoreNames } = criterion;
  const psnrs: number[] = [], gains: number[] = [];
  {
    using log = openLog(run);
    using folder = await SteerFolder.create(output.partial, {
      ...{ sources, groups, targets, isTraversal, shape: shape.slice(1), timesteps, scoreNames },
    });
    const work = new SteerRun(run, log, progress), reached = await work.reach();
    let made: SteeredImage[] = [];
    await work.steer(reached, (image) => {
      made.push(image);
      gains.push(image.after.at(-1)! - image.before.at(-1)!);
      if (made.length < perSource) return;
      const at = psnrs.length, source = data.slice(at * each, (at + 1) * each);
      const { unsteered } = reached[at];
      psnrs.push(psnrOf(source, unsteered));
      folder.add(at, { source, unsteered, psnr: psnrs[at], made });
      made = [];
    });
    progress.end();
    const { model, vae, scorer, guidance, gradient, weight, convention, start, seed } = options;
    folder.finish({ model, vae, scorer, guidance, gradient, weight, convention, start, seed });
  }
  report(run, { output, psnrs, gains });
}

function report(
  { gpu, options, started, sources, groups, targets, criterion: { scoreNames } }: Steering,
  { output, psnrs, gains }: {
    readonly output: ReturnType<typeof beginOutput>;
    readonly psnrs: readonly number[];
    readonly gains: readonly number[];
  },
): void {
  const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  const results = {
    ...{ sources: sources.length, groups: groups.length, targets: targets.length },
    psnr: mean(psnrs),
    [`${scoreNames.at(-1)}_gain`]: mean(gains),
    gained: gains.filter((gain) => gain > 0).length / gains.length,
  };
  const { model, vae, latents, scorer, featuresModel, images } = options;
  const inputs = Object.entries({ model, vae, latents, scorer, featuresModel, images })
    .filter((entry): entry is [string, string] => entry[1] !== undefined);
  const record = runRecord({
    ...{ command: "steer", options: { ...options }, gpu, started, results },
    inputs: Object.fromEntries(inputs),
  });
  Deno.writeTextFileSync(`${output.partial}/${RUN_RECORD}`, `${JSON.stringify(record, null, 2)}\n`);
  output.commit();
  if (options.json) return console.log(JSON.stringify({ out: options.out, ...results }));
  console.log(
    `${gains.length} images of ${sources.length} sources in ${options.out}: unsteered ${
      results.psnr.toFixed(1)
    } dB, ${scoreNames.at(-1)} raised in ${(100 * results.gained).toFixed(0)} % of them, by ${
      mean(gains).toFixed(2)
    } on average`,
  );
}
