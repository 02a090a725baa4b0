import { add, scale } from "../../engine/ops/elementwise.ts";
import { gather } from "../../engine/ops/gather.ts";
import { norm } from "../../engine/ops/reduce.ts";
import { foldIn, type Key, normal } from "../../engine/random.ts";
import { readAll, Tensor, tidy } from "../../engine/tensor.ts";
import type { DenoiseOptions, DenoisingModel } from "../diffusion/denoise.ts";
import { startGuidance } from "../diffusion/guidances.ts";
import { type DiffusionProcess, processFrom } from "../diffusion/process.ts";
import { ddim, ddpm, type Guidance, type SamplingOptions } from "../diffusion/sampler.ts";
import type { LongCall } from "../encoding/linear_model.ts";
import { InputError } from "../errors.ts";
import type { SteerCriterion } from "./criteria.ts";
import type { SteerJob } from "./latent_groups.ts";

/** How images go to noise and back. */
export interface SteerPath extends Pick<DenoiseOptions, "prediction"> {
  /** All levels of noise, from the most to the least. */
  readonly process: DiffusionProcess;
  /** Step of the most noise that images are brought to (default 135, MIG-Vis's of 150). */
  readonly start?: number;
  /**
   * `"ddim"`: inverted and sampled without noise, as the paper has it (the default); `"sdedit"`: noise is added at once and anew at every step,
   * as its code does.
   */
  readonly sampler?: "ddim" | "sdedit";
  /** Draws the noise of `"sdedit"`, of each source its own, whatever is asked of it. */
  readonly key?: Key;
  /** Awaited after every step of a batch. */
  readonly onStep?: () => void | Promise<void>;
}

/** Step of the most noise in MIG-Vis, of 150. */
const PAPER_START = 135;

function levelsOf({ start = PAPER_START, ...path }: SteerPath): DiffusionProcess {
  return processFrom(path.process, start);
}

function keyOf({ key }: SteerPath): Key {
  if (key) return key;
  throw new InputError("Cannot add noise to images: it takes a key");
}

/**
 * Source images with noise: by DDIM inversion, the network asked about the level that each step goes to, as MIG-Vis has it, or with noise
 * added. It is what {@link steer} begins at, once for all groups and targets.
 *
 * @param images colours from −1 to 1, `[n, c, h, w]`
 * @param path.first number of the first image, where there are others before it
 * @returns `[n, c, h, w]`, the caller's
 * @throws {InputError} when the process has no such step, and as {@link ddim} does
 */
export async function noiseSources(
  model: DenoisingModel,
  images: Tensor,
  path: SteerPath & LongCall & { readonly first?: number },
): Promise<Tensor> {
  const levels = levelsOf(path), { sampler = "ddim", prediction, first = 0, ...call } = path;
  if (sampler === "ddim") {
    const { signal, onProgress, onStep } = call;
    return await ddim.invert(model, images, {
      ...{ process: levels, evaluateAt: "next", clip: false, rederivesEpsilon: false },
      ...{ prediction, signal, onProgress, onStep },
    });
  }
  const key = keyOf(path), [n] = images.shape, size = images.size / n, a = levels[0].alphaCumprod;
  return tidy(model.gpu, () => {
    const noise = new Float32Array(images.size);
    for (let s = 0; s < n; s++) {
      // One number more than any step has: the sampler draws step i's noise with i.
      noise.set(normal(foldIn(foldIn(key, first + s), levels.length), size), s * size);
    }
    const drawn = Tensor.from(model.gpu, noise, images.shape);
    return add(scale(images, Math.sqrt(a)), scale(drawn, Math.sqrt(1 - a)));
  });
}

/** Options of {@link steer}. */
export interface SteerOptions extends SteerPath, LongCall {
  /** What images are moved by; nothing moves them where it is left out. */
  readonly criterion?: SteerCriterion;
  /** Multiplies the gradient (default 100, MIG-Vis's code's). */
  readonly weight?: number;
  /** `"epsilon"`: ε − w·g as MIG-Vis's code; `"score"`: ε − √(1−ᾱ)·w·g as the theory has it. */
  readonly convention?: "epsilon" | "score";
  /** `"detached"`: the noise is held constant under the gradient, as MIG-Vis's code does; `"full"`: it goes through the UNet too. */
  readonly gradient?: "detached" | "full";
  /** Images made together (default 8). */
  readonly batch?: number;
  /** Number of the first job to do, where those before it are done. */
  readonly first?: number;
  /** Awaited with each batch; images can be kept and the call left and begun again behind them. */
  readonly onImages?: (made: readonly SteeredImage[]) => void | Promise<void>;
}

/** A steered image. */
export interface SteeredImage {
  /** What was asked for. */
  readonly job: SteerJob;
  /** Number of the job. */
  readonly number: number;
  /** Colours from −1 to 1, `[c, h, w]`. */
  readonly image: Float32Array<ArrayBuffer>;
  /** Root mean square of what guidance took from the noise at each step, which itself has about 1, `[steps]`. */
  readonly strengths: Float32Array<ArrayBuffer>;
  /** Scores of the source with the target, as the criterion names them. */
  readonly before: readonly number[];
  /** Scores of the image with the target. */
  readonly after: readonly number[];
}

/** Guidance of a batch, and how strong it was at each step. */
class Watched implements Disposable {
  readonly guidance?: Guidance;
  readonly #strengths: Tensor[] = [];

  constructor(model: DenoisingModel, jobs: readonly SteerJob[], options: SteerOptions) {
    const { criterion, weight = 100, convention = "epsilon", gradient = "detached" } = options;
    if (!criterion) return;
    const { prediction } = options, through = gradient === "full" ? model : undefined;
    const plain = startGuidance(
      (start, { index }) => criterion.objective(start, jobs, index),
      { ...{ weight, convention, clipsAfter: true, through, prediction } },
    );
    this.guidance = {
      ...plain,
      gradient: async (state) => {
        const found = await plain.gradient(state);
        const rows = found.reshape([jobs.length, -1]), each = found.size / jobs.length;
        const factor = convention === "score" ? Math.sqrt(1 - state.step.alphaCumprod) : 1;
        const size = Math.abs(weight) * factor / Math.sqrt(each);
        this.#strengths.push(tidy(model.gpu, () => scale(norm(rows, { axes: [1] }), size)));
        rows.dispose();
        return found;
      },
    };
  }

  /** Strengths of each image, `[jobs][steps]`. */
  async read(nJobs: number): Promise<Float32Array<ArrayBuffer>[]> {
    const steps = await readAll(this.#strengths);
    return Array.from({ length: nJobs }, (_, i) => Float32Array.from(steps, (step) => step[i]));
  }

  [Symbol.dispose](): void {
    this.#strengths.forEach((strength) => strength.dispose());
  }
}

/** Images of a batch of jobs, on the device. */
async function sampleBatch(
  model: DenoisingModel,
  noisy: Tensor,
  { jobs, guidance, options }: {
    readonly jobs: readonly SteerJob[];
    readonly guidance?: Guidance;
    readonly options: SteerOptions;
  },
): Promise<Tensor> {
  const { sampler = "ddim", prediction, signal, onStep } = options;
  const sources = Uint32Array.from(jobs, ({ source }) => source);
  using start = tidy(model.gpu, () => gather(noisy, sources));
  const sampling: SamplingOptions = {
    process: levelsOf(options),
    // The noise of the network itself, so that the gradient is taken at clean images without limits.
    ...{ rederivesEpsilon: false, guidance, prediction, signal, onStep },
  };
  if (sampler === "ddim") return await ddim.sample(model, start, sampling);
  const numbers = [...sources];
  return await ddpm.sample(model, start, { ...sampling, key: keyOf(options), numbers });
}

/** Scores of images with the targets of jobs, `[jobs][names]`. */
async function scoresOf(
  criterion: SteerCriterion | undefined,
  images: Tensor,
  jobs: readonly SteerJob[],
): Promise<number[][]> {
  if (!criterion) return jobs.map(() => []);
  using scores = criterion.scores(images, jobs);
  const values = await scores.data(), each = criterion.scoreNames.length;
  return jobs.map((_, i) => [...values.subarray(i * each, (i + 1) * each)]);
}

function requireJobs(sources: Tensor, noisy: Tensor, jobs: readonly SteerJob[], batch: number) {
  const [n] = sources.shape, bad = jobs.find(({ source }) => !(source >= 0 && source < n));
  if (`${sources.shape}` === `${noisy.shape}` && bad === undefined && batch >= 1) return;
  throw new InputError(
    `Cannot steer sources [${sources.shape}], with noise [${noisy.shape}], in batches of ${batch}${
      bad === undefined ? "" : `, one of them number ${bad.source}`
    }: shapes must agree, batches hold one or more, and sources count from 0`,
  );
}

/**
 * Steers images: from noise back to clean ones while a criterion moves them to latents of a group. Each image is the same whatever the batch
 * and wherever the call begins.
 *
 * @param sources the clean images, and what {@link noiseSources} made of them, both `[n, c, h, w]`
 * @param jobs what to make; groups may be mixed
 * @returns the images, in the order of the jobs from `first` on
 * @throws {InputError} when shapes or jobs do not fit, and as {@link ddim} and the criterion do
 * @throws the signal's reason when it is aborted
 */
export async function steer(
  model: DenoisingModel,
  { images, noisy }: { readonly images: Tensor; readonly noisy: Tensor },
  { jobs, ...options }: SteerOptions & { readonly jobs: readonly SteerJob[] },
): Promise<SteeredImage[]> {
  const { criterion, batch = 8, first = 0, signal, onProgress, onImages } = options;
  requireJobs(images, noisy, jobs, batch);
  const made: SteeredImage[] = [];
  for (let at = first; at < jobs.length; at += batch) {
    signal?.throwIfAborted();
    const some = jobs.slice(at, at + batch);
    using watched = new Watched(model, some, options);
    const { guidance } = watched;
    using found = await sampleBatch(model, noisy, { jobs: some, guidance, options });
    const sources = Uint32Array.from(some, ({ source }) => source);
    using own = tidy(model.gpu, () => gather(images, sources));
    const before = await scoresOf(criterion, own, some);
    const after = await scoresOf(criterion, found, some);
    const values = await found.data(), size = found.size / some.length;
    const strengths = await watched.read(some.length);
    const finished = some.map((job, i): SteeredImage => ({
      ...{
        job,
        number: at + i,
        image: Float32Array.from(values.subarray(i * size, (i + 1) * size)),
      },
      ...{ strengths: strengths[i], before: before[i], after: after[i] },
    }));
    made.push(...finished);
    await onImages?.(finished);
    onProgress?.({ stage: "images", done: at + some.length, total: jobs.length });
  }
  return made;
}
