/**
 * Images made for the regions of simulated subjects, with their controls, and what can be seen in them.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { foldIn, type Key } from "../../engine/random.ts";
import { Tensor } from "../../engine/tensor.ts";
import type { HostMatrix } from "../encoding/host_matrix.ts";
import type { LongCall } from "../encoding/linear_model.ts";
import type { TapModel } from "../models/tap_model.ts";
import { shuffledReadout } from "../optvis/controls.ts";
import { directionEnergies, hueShares, quarterEnergies } from "../optvis/image_measures.ts";
import { maximizeReadouts, type MaximizeReadoutsOptions } from "../optvis/maximize_readouts.ts";
import { fourierParam } from "../optvis/param_fourier.ts";
import type { Transforms } from "../optvis/transform_images.ts";
import { clipCategoryCosines } from "../phantom/category_readout.ts";
import { inputOf, tapLayers } from "./phantom_readouts.ts";
import { PHANTOM_SIDE } from "./phantom_world.ts";

const SIZE = { height: PHANTOM_SIDE, width: PHANTOM_SIDE };
/** Values of an image. */
const EACH = 3 * PHANTOM_SIDE ** 2;
/** Views that move an image by up to two pixels, and scale and turn it a little: a shift of more would blur what quarter it is in. */
const VIEWS: Transforms = {
  steps: [
    { kind: "pad", by: 2 },
    { kind: "jitter", by: 4 },
    { kind: "scale", factor: { low: 0.95, high: 1.05 } },
    { kind: "rotate", degrees: { low: -4, high: 4 } },
  ],
  fill: 0.5,
};

/** What images are made for. */
export type ImageGoal = "maximized" | "minimized" | "shuffled";

/** How images are made. */
export interface PhantomImageOptions extends LongCall {
  readonly key: Key;
  /** Images of each region. */
  readonly seeds: number;
  readonly steps: number;
  /** Step size of Adam. */
  readonly learningRate: number;
  /** Images made together. */
  readonly batch: number;
}

/** Readouts of a goal: as they are, negative, or with their weights in another order within each layer. */
function readoutsFor(
  goal: ImageGoal,
  readouts: readonly Float64Array[],
  key: Key,
  layers: MaximizeReadoutsOptions["layers"],
): readonly Float64Array[] {
  if (goal === "maximized") return readouts;
  if (goal === "minimized") return readouts.map((row) => row.map((w) => -w));
  return readouts.map((row, r) => shuffledReadout(row, foldIn(key, r), layers));
}

/**
 * Images for readouts, `[nReadouts · seeds, 3, 64, 64]`, those of a readout one after the other; the caller's to dispose. Image `s` of every
 * goal starts as image `s` of {@link startImages}.
 */
export async function makeImages(
  gpu: Gpu,
  model: TapModel,
  readouts: readonly Float64Array[],
  goal: ImageGoal,
  { key, learningRate: lr, ...options }: PhantomImageOptions,
): Promise<Tensor> {
  using param = fourierParam(gpu, SIZE);
  const layers = tapLayers(model), total = readouts.length * options.seeds;
  const images = new Float32Array(total * EACH);
  await maximizeReadouts(param, model, readoutsFor(goal, readouts, foldIn(key, 1), layers), {
    ...options,
    key: foldIn(key, 0),
    layers,
    optimizer: { name: "adam", lr },
    transforms: VIEWS,
    input: inputOf(model),
    redirectedSteps: Math.min(16, Math.floor(options.steps / 4)), // lucid's 16 of 512
    onImages: ({ first, images: made }) => images.set(made, first * EACH),
  });
  return Tensor.from(gpu, images, [total, 3, PHANTOM_SIDE, PHANTOM_SIDE]);
}

/** What images start as: `[count, 3, 64, 64]`, the caller's to dispose. */
export function startImages(gpu: Gpu, key: Key, count: number): Tensor {
  using param = fourierParam(gpu, SIZE);
  const theta = param.init(foldIn(foldIn(key, 0), 0), { first: 0, count });
  const image = param.image(theta);
  for (const tensor of theta) tensor.dispose();
  return image;
}

/**
 * Scores of images that share nothing with the network they were made with, one for each of `TUNED_VARIABLES` in their order: the structure
 * tensor's share of each direction, CIE LAB's share of each hue, each quarter's share of contrast, and the cosine to each category's prompts in
 * the phantom's CLIP.
 */
export async function scoreImages(gpu: Gpu, images: Tensor): Promise<number[][]> {
  const data = await images.data() as Float32Array;
  const categories: HostMatrix = await clipCategoryCosines(gpu, images);
  const [n, nCategories] = categories.shape;
  return Array.from({ length: n }, (_, i) => {
    const image = { ...SIZE, data: data.subarray(i * EACH, (i + 1) * EACH) };
    return [
      ...directionEnergies(image),
      ...hueShares(image),
      ...quarterEnergies(image),
      ...categories.data.subarray(i * nCategories, (i + 1) * nCategories),
    ];
  });
}
