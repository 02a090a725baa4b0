/**
 * Voxel-weighted activation maximisation (Shinkle and Lescroart, arXiv 2506.04379): images that drive voxels, regions and differences of
 * regions most, by an encoder of any network.
 *
 * @module
 */
import { foldIn, type Key } from "../../engine/random.ts";
import { Tensor } from "../../engine/tensor.ts";
import type { LongCall } from "../encoding/linear_model.ts";
import { InputError } from "../errors.ts";
import type { ImageSize } from "../images/preprocess.ts";
import type { RgbImage } from "../images/rgb_image.ts";
import type { ImageParam } from "../optvis/image_param.ts";
import { fitImage, type MagnitudeTemplate } from "../optvis/magnitude_template.ts";
import { maximizeReadouts, type ReadoutImages } from "../optvis/maximize_readouts.ts";
import type { PixelBudget } from "../optvis/param_budget.ts";
import { fourierParam } from "../optvis/param_fourier.ts";
import { predictResponses } from "../optvis/predict_responses.ts";
import { type OptvisPreset, optvisPresets } from "../optvis/presets.ts";
import { splitReadouts } from "../optvis/readout_weights.ts";
import type { ImageEncoder } from "./image_encoder.ts";
import { startOf } from "./settings.ts";
import {
  type ImageTarget,
  imageTargets,
  type TargetOptions,
  type TargetRequest,
} from "./targets.ts";

/** Options of {@link maximizeVoxels}. */
export interface MaximizeVoxelsOptions extends TargetOptions, LongCall {
  /** Draws starting points and views; those of image `s` depend on the key and on `s` alone. */
  readonly key: Key;
  /** How images are made (default: the preset `vwam`). */
  readonly settings?: OptvisPreset;
  /** Size of the images; that of the first picture, or the preset's square, when absent. */
  readonly size?: ImageSize;
  /** Sides of smaller squares to begin with, ascending, for the parameterisation `fourier`. */
  readonly sizes?: readonly number[];
  /** Share of the steps at each size, the last one too (default equal). */
  readonly shares?: readonly number[];
  /** Images of each target, from different starting points and views (default 1). */
  readonly seeds?: number;
  /** Images made together (default 8). */
  readonly batch?: number;
  /** Number of the image to begin with: where an interrupted run had come to. */
  readonly first?: number;
  /** Magnitudes for MACO. */
  readonly template?: MagnitudeTemplate;
  /** Pictures to start from: every target is accentuated in each. */
  readonly pictures?: readonly RgbImage[];
  /** How far images may go from their picture. */
  readonly budget?: PixelBudget;
  /** Steps between looks at the scores, which wait for the device. */
  readonly readEvery?: number;
  /** Whether to add up where the images matter, for transparency as MACO has it. */
  readonly hasSaliency?: boolean;
  /** Takes the images of a batch before the next one begins. */
  readonly onImages: (images: VoxelImages) => void | Promise<void>;
}

/** What an image has of its own. */
export interface VoxelImage {
  /** Number: seed `s mod seeds` of target `⌊s / seeds⌋ mod nTargets` in picture `⌊s / (seeds · nTargets)⌋`. */
  readonly number: number;
  /** Name of its target. */
  readonly target: string;
  /** Which of its target's seeds it is. */
  readonly seed: number;
  /** Which picture it started from; 0 where there are none. */
  readonly picture: number;
  /** `[3, height, width]`, colours in 0…1. */
  readonly image: Float32Array<ArrayBuffer>;
  /** Predicted response of its target to the image itself, without random views. */
  readonly response: number;
  /** What was made small, before each step, on random views: `[steps]`. */
  readonly losses: Float32Array<ArrayBuffer>;
  /** How far it went from its picture. */
  readonly change?: Required<PixelBudget>;
  /** `Σ_steps Σ_channels |∂score / ∂pixel|`, `[height, width]`, where it was asked for. */
  readonly saliency?: Float32Array<ArrayBuffer>;
}

/** Images of a batch. */
export interface VoxelImages {
  /** Their size. */
  readonly size: ImageSize;
  /** In order of number. */
  readonly images: readonly VoxelImage[];
}

/** Targets, made when their images are: weights of thousands of voxels are not held at once. */
class TargetCache {
  readonly #held = new Map<number, ImageTarget>();
  readonly length: number;

  constructor(
    readonly image: ImageEncoder,
    readonly targets: readonly (ImageTarget | TargetRequest)[],
    readonly options: TargetOptions,
  ) {
    this.length = targets.length;
  }

  get(number: number): ImageTarget {
    return this.#held.get(number)!;
  }

  async rows(numbers: readonly number[]): Promise<Float64Array[]> {
    for (const number of this.#held.keys()) {
      if (!numbers.includes(number)) this.#held.delete(number);
    }
    const missing = [...new Set(numbers)].filter((number) => !this.#held.has(number));
    const requests: TargetRequest[] = [], open: number[] = [];
    for (const number of missing) {
      const target = this.targets[number];
      if ("response" in target) this.#held.set(number, target);
      else {
        requests.push(target);
        open.push(number);
      }
    }
    const made = requests.length === 0
      ? []
      : await imageTargets(this.image, requests, this.options);
    made.forEach((target, i) => this.#held.set(open[i], target));
    return numbers.map((number) => this.get(number).weights);
  }
}

/** Predicted response of one image, alone: the same bits in a batch of any size. */
async function responseOf(
  { gpu, model, layers, input, encoder }: ImageEncoder,
  { response: { weights, intercept } }: ImageTarget,
  { image, size: { height, width } }: { image: Float32Array<ArrayBuffer>; size: ImageSize },
): Promise<number> {
  const split = splitReadouts([weights], layers);
  const parts = layers.map(({ layer, size, grid, pool }) => ({
    ...{ layer, grid, pool },
    weights: Tensor.from(gpu, split.get(layer)!, [1, size]),
  }));
  try {
    using x = Tensor.from(gpu, image, [1, 3, height, width]);
    const normalization = encoder.normalizer.kind === "l2" ? "l2" : "none";
    const options = { input, intercept: [intercept], normalization } as const;
    return (await predictResponses(x, model, parts, options)).data[0];
  } finally {
    for (const part of parts) part.weights.dispose();
  }
}

function changeOf(image: Float32Array, { data }: RgbImage): Required<PixelBudget> {
  const plane = image.length / 3;
  let max = 0, squares = 0;
  for (let at = 0; at < image.length; at++) {
    const before = Math.fround(data[3 * (at % plane) + Math.floor(at / plane)] / 255);
    const change = Math.abs(image[at] - before);
    max = Math.max(max, change);
    squares += change * change;
  }
  return { max, rms: Math.sqrt(squares / image.length) };
}

/** One parameterisation, or several of growing size. */
function paramsOf(
  { gpu }: ImageEncoder,
  last: ImageParam,
  { settings = optvisPresets.vwam, sizes = [] }: MaximizeVoxelsOptions,
): { params: ImageParam[] } & Disposable {
  const { param } = settings;
  if (sizes.length > 0 && param.kind !== "fourier") {
    throw new InputError(`Cannot begin with smaller ${param.kind} images: only fourier ones grow`);
  }
  const smaller = param.kind === "fourier"
    ? sizes.map((side) => fourierParam(gpu, { height: side, width: side }, param))
    : [];
  return {
    params: [...smaller, last],
    [Symbol.dispose]: () => smaller.forEach((one) => one[Symbol.dispose]()),
  };
}

/** Where a batch stands in the study. */
interface Place {
  readonly image: ImageEncoder;
  readonly cache: TargetCache;
  readonly seeds: number;
  readonly picture?: RgbImage;
  readonly number: number;
}

/** Images of a batch as they are reported. */
async function reported(
  { size, images, curve, saliency, first, count }: ReadoutImages,
  { image, cache, seeds, picture, number }: Place,
): Promise<VoxelImages> {
  const values = 3 * size.height * size.width, perPicture = cache.length * seeds;
  const fitted = picture && fitImage(picture, size);
  const list: VoxelImage[] = [];
  for (let i = 0; i < count; i++) {
    const at = first + i;
    const own = images.slice(i * values, (i + 1) * values)
      .map((v) => Math.min(1, Math.max(0, v)));
    const target = cache.get(Math.floor(at / seeds));
    list.push({
      ...{ number: number * perPicture + at, target: target.name, seed: at % seeds },
      ...{ picture: number, image: own },
      response: await responseOf(image, target, { image: own, size }),
      losses: Float32Array.from({ length: curve.length / count }, (_, k) => -curve[k * count + i]),
      ...(fitted ? { change: changeOf(own, fitted) } : {}),
      ...(saliency ? { saliency: saliency.slice(i * values / 3, (i + 1) * values / 3) } : {}),
    });
  }
  return { size, images: list };
}

/** Number of images of a run. */
export function countImages(
  nTargets: number,
  { seeds = 1, pictures }: Pick<MaximizeVoxelsOptions, "seeds" | "pictures">,
): number {
  return nTargets * seeds * (pictures?.length ?? 1);
}

/**
 * Makes images for targets, a batch at a time, by gradient ascent through the network. Their colours are clipped to 0…1 at the end, and
 * responses are predicted anew for what is left. The images of one number are the same wherever a run begins, under the rule of
 * `maximize`.
 *
 * @param image the encoder, from `openImageEncoder`
 * @param targets requests, resolved when their images are made, or readouts
 * @throws {InputError} when a target or an option cannot be, or a score is no longer finite
 * @throws the signal's reason when it is aborted
 */
export async function maximizeVoxels(
  image: ImageEncoder,
  targets: readonly (ImageTarget | TargetRequest)[],
  options: MaximizeVoxelsOptions,
): Promise<void> {
  const { key, settings = optvisPresets.vwam, seeds = 1, batch, first = 0, pictures } = options;
  if (targets.length === 0) {
    throw new InputError("Cannot make images: there is no voxel and no region to make them for");
  }
  const cache = new TargetCache(image, targets, options);
  const perPicture = targets.length * seeds, total = countImages(targets.length, options);
  const normalization = image.encoder.normalizer.kind === "l2" ? "l2" : "none";
  const size = options.size ?? (pictures && sizeOf(pictures[0]));
  for (const number of (pictures ?? [undefined]).keys()) {
    const before = Math.max(0, first - number * perPicture);
    if (before >= perPicture) continue;
    const picture = pictures?.[number];
    using start = startOf(image.gpu, settings, { ...options, size, picture });
    using grown = paramsOf(image, start.param, options);
    const place = { image, cache, seeds, picture, number };
    await maximizeReadouts(grown.params, image.model, cache, {
      ...settings,
      ...{ layers: image.layers, input: image.input, normalization, others: start.penalty },
      ...{ key: foldIn(key, number), seeds, batch, first: before, shares: options.shares },
      ...{ readEvery: options.readEvery, signal: options.signal, hasSaliency: options.hasSaliency },
      onImages: async (made) => await options.onImages(await reported(made, place)),
      onProgress: ({ stage, done }) =>
        options.onProgress?.({
          stage,
          done: number * perPicture * settings.steps + done,
          total: total * settings.steps,
        }),
    });
  }
}

const sizeOf = ({ height, width }: RgbImage): ImageSize => ({ height, width });
