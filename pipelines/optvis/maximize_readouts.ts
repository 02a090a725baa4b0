import { Tensor } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import type { ImageParam } from "./image_param.ts";
import {
  type ImageModel,
  maximize,
  type MaximizeOptions,
  type MaximizeResult,
} from "./maximize.ts";
import { addObjectives, type Objective } from "./objective.ts";
import { readoutObjective, type ReadoutOptions, type ReadoutPart } from "./objectives.ts";
import { splitReadouts } from "./readout_weights.ts";

/** A layer of concatenated features, and how it is pooled. */
export interface ReadoutLayer extends Pick<ReadoutPart, "layer" | "grid" | "pool"> {
  /** Features of the layer after pooling. */
  readonly size: number;
}

/** Images of some readouts, as they are done. */
export interface ReadoutImages extends MaximizeResult {
  /** Number of the first image: image `s` is seed `s mod seeds` of readout `⌊s / seeds⌋`. */
  readonly first: number;
  /** How many. */
  readonly count: number;
}

/** Options of {@link maximizeReadouts}. */
export interface MaximizeReadoutsOptions
  extends Omit<MaximizeOptions, "images">, Pick<ReadoutOptions, "normalization"> {
  /** Layers in the order of the readouts' weights. */
  readonly layers: readonly ReadoutLayer[];
  /** Images of each readout, from different starting points and views (default 1). */
  readonly seeds?: number;
  /** Images made together (default 8), whatever readouts they are for. */
  readonly batch?: number;
  /** Number of the image to begin with: where an interrupted run had come to. */
  readonly first?: number;
  /** Added to every image's score, such as scaled penalties. */
  readonly others?: Objective;
  /** Takes the images of a batch before the next one begins. */
  readonly onImages: (images: ReadoutImages) => void | Promise<void>;
}

/** Readouts that are made when their images are. */
export interface ReadoutSource {
  /** How many. */
  readonly length: number;
  /** The weights of some of them, one row each. */
  rows(numbers: readonly number[]): Promise<readonly ArrayLike<number>[]>;
}

function rowsOf(
  readouts: readonly ArrayLike<number>[] | ReadoutSource,
  numbers: readonly number[],
): Promise<readonly ArrayLike<number>[]> {
  if ("rows" in readouts) return readouts.rows(numbers);
  return Promise.resolve(numbers.map((number) => readouts[number]));
}

function requireWhole(values: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(values)) {
    if (!Number.isSafeInteger(value) || value < (name === "first" ? 0 : 1)) {
      throw new InputError(`Cannot make images: ${name} must be a whole number, got ${value}`);
    }
  }
}

/**
 * Images for many voxels or regions, a batch at a time, each with its own readout, starting point and views. The images of one number are the
 * same wherever a run begins, under the rule of {@link maximize}.
 *
 * @param readouts weights of each, over the features of all layers one after the other, or what gives those of a batch
 * @throws {InputError} when the weights do not fit the layers, and as {@link maximize} says
 * @throws the signal's reason when it is aborted
 */
export async function maximizeReadouts(
  params: ImageParam | readonly ImageParam[],
  model: ImageModel,
  readouts: readonly ArrayLike<number>[] | ReadoutSource,
  options: MaximizeReadoutsOptions,
): Promise<void> {
  const { layers, seeds = 1, batch = 8, first = 0, others, normalization, onImages, ...rest } =
    options;
  requireWhole({ seeds, batch, first });
  const param = Array.isArray(params) ? (params as readonly ImageParam[])[0] : params as ImageParam;
  const total = readouts.length * seeds;
  for (let start = first; start < total; start += batch) {
    const count = Math.min(batch, total - start);
    const numbers = Array.from({ length: count }, (_, i) => Math.floor((start + i) / seeds));
    const split = splitReadouts(await rowsOf(readouts, numbers), layers);
    const parts = layers.map(({ layer, size, grid, pool }): ReadoutPart => {
      const weights = Tensor.from(param.gpu, split.get(layer)!, [count, size]);
      return { layer, weights, grid, pool };
    });
    try {
      const own = readoutObjective(parts, { normalization });
      const result = await maximize(params, model, others ? addObjectives(own, others) : own, {
        ...rest,
        images: { first: start, count },
        onProgress: ({ done, total: steps }) =>
          rest.onProgress?.({
            stage: "images",
            done: start * steps + done * count,
            total: total * steps,
          }),
      });
      await onImages({ ...result, first: start, count });
    } finally {
      for (const { weights } of parts) weights.dispose();
    }
  }
}
