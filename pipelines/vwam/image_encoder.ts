/**
 * An encoder as a function of images: the network that its features came from, the layers that it reads, and how an image becomes their
 * input.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import type { Encoder } from "../encoding/encoder.ts";
import { type FeatureRecipe, recipeLength } from "../encoding/feature_recipe.ts";
import { InputError } from "../errors.ts";
import { type AnyModel, isTapModel } from "../models/any_model.ts";
import { type LinearReducers, linearReducers, reducedNetwork } from "../models/linear_reducers.ts";
import { type PosEmbedConvention, posEmbedConventions } from "../models/pos_embed.ts";
import type { ImageModel } from "../optvis/maximize.ts";
import type { ReadoutLayer } from "../optvis/maximize_readouts.ts";
import type { ModelInput } from "../optvis/transform_images.ts";
import { imageModelOf } from "../optvis/vision_model.ts";

/** An encoder that images are made for. It owns nothing: the network stays the caller's. */
export interface ImageEncoder {
  /** The device. */
  readonly gpu: Gpu;
  /** The network. */
  readonly model: ImageModel;
  /** The encoder. */
  readonly encoder: Encoder;
  /** How its features were made. */
  readonly recipe: FeatureRecipe;
  /** Layers in the order of its features. */
  readonly layers: readonly ReadoutLayer[];
  /** How an image becomes the network's input. */
  readonly input: ModelInput;
}

/** What {@link openImageEncoder} joins. */
export interface ImageEncoderParts {
  /** The network; stays the caller's. */
  readonly model: AnyModel;
  /** The encoder, with the recipe of its features. */
  readonly encoder: Encoder;
  /** SHA-256 of the network's weights as the recipe has it, where they should be compared. */
  readonly weights?: string;
  /** Projections of its linear layers from {@link recipeReducers}, where its features have some; stay the caller's. */
  readonly reducers?: LinearReducers;
}

function fail(problem: string): never {
  throw new InputError(`Cannot make images for the encoder: ${problem}`);
}

/** What the network gives at the recipe's size: channels and the map's sides by layer. */
function layersOf(model: AnyModel, recipe: FeatureRecipe): Map<string, readonly number[]> {
  const [height, width] = recipe.size;
  if (isTapModel(model)) {
    return new Map(model.tapShapes({ height, width }).map(({ name, shape }) => [name, shape]));
  }
  return new Map([["output", [model.outputWidth, 1, 1]]]);
}

function requireLayers(model: AnyModel, recipe: FeatureRecipe): void {
  const there = layersOf(model, recipe);
  for (const { name, channels, grid } of recipe.layers) {
    const shape = there.get(name);
    if (!shape) fail(`the network has no ${name}, only ${[...there.keys()].join(", ")}`);
    const [own, height, width] = shape;
    if (own !== channels || grid > Math.min(height, width)) {
      fail(
        `its features have ${channels} channels on ${grid}x${grid} of ${name}, the network ${own} on ${height}x${width}`,
      );
    }
  }
}

function isConvention(name: string): name is PosEmbedConvention {
  return (posEmbedConventions as readonly string[]).includes(name);
}

/**
 * Makes the projections of linear layers again that the features of an encoder went through; undefined where they went through none.
 *
 * @throws {InputError} when its layers are reduced in different ways, or one is too large to be decomposed
 */
export async function recipeReducers(
  gpu: Gpu,
  model: AnyModel,
  { layers }: Pick<FeatureRecipe, "layers">,
): Promise<LinearReducers | undefined> {
  const reduced = layers.filter(({ linear }) => linear);
  const [first] = reduced;
  if (!first?.linear || !isTapModel(model)) return undefined;
  const { kind, seed } = first.linear;
  if (reduced.some(({ linear }) => linear!.kind !== kind || linear!.seed !== seed)) {
    fail("its layers are reduced in different ways");
  }
  return await linearReducers(gpu, model, reduced, { linear: kind, seed });
}

function imageModel(
  model: AnyModel,
  { layers, posInterpolation }: FeatureRecipe,
  reducers?: LinearReducers,
): ImageModel {
  const missing = layers.find(({ name, linear }) => linear && !reducers?.has(name));
  if (missing) fail(`its features of ${missing.name} are reduced, and there is no projection`);
  if (isTapModel(model)) return reducers ? reducedNetwork(model, reducers) : model;
  const known = posInterpolation !== undefined && isConvention(posInterpolation);
  return imageModelOf(model, known ? { posInterpolation } : {});
}

/**
 * Joins an encoder with the network that its features came from, by the recipe that `gyrus features` and `gyrus encode fit` keep.
 *
 * @throws {InputError} when the encoder has no recipe, or the network is not the one that made its features
 */
export function openImageEncoder(
  gpu: Gpu,
  { model, encoder, weights, reducers }: ImageEncoderParts,
): ImageEncoder {
  const { recipe } = encoder;
  if (!recipe) {
    fail(
      "it does not say how its features were made from images; compute them with gyrus features and fit it anew",
    );
  }
  if (recipe.family !== model.family) {
    fail(`its features are those of a network of the family ${recipe.family}, not ${model.family}`);
  }
  if (recipeLength(recipe) !== encoder.nFeatures) {
    fail(`it takes ${encoder.nFeatures} features, its recipe makes ${recipeLength(recipe)}`);
  }
  requireLayers(model, recipe);
  if (weights !== undefined && recipe.weights !== undefined && weights !== recipe.weights) {
    fail("its features were made with other weights of this network");
  }
  const [height, width] = recipe.size, [coverHeight, coverWidth] = recipe.resize;
  const { filter, mean, std, pool } = recipe;
  return {
    ...{ gpu, model: imageModel(model, recipe, reducers), encoder, recipe },
    layers: recipe.layers.map(({ name: layer, length: size, grid }) => ({
      ...{ layer, size, grid, pool },
    })),
    input: {
      size: { height, width },
      ...(recipe.fit === "crop" ? { cover: { height: coverHeight, width: coverWidth } } : {}),
      ...{ filter, mean, std, isBgr: recipe.channelOrder === "BGR" },
    },
  };
}
