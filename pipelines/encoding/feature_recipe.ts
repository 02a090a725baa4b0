/**
 * How the columns of a feature matrix were made from an image: what turns an encoder back into a function of images.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import type { Preprocessing, Rgb } from "../images/preprocess.ts";
import { openArray } from "../io/array_ref.ts";
import { type LinearReduction, linearReductions } from "../models/linear_reducers.ts";
import { type JsonShape, shapeMismatch } from "../io/json_shape.ts";
import { parseJsonObject, quote } from "../io/strict_json.ts";

/** Neighbouring columns that one layer of a network gives. */
export interface RecipeLayer {
  /** The layer's name in the network; `output` is the embedding of a vision transformer. */
  readonly name: string;
  /** Channels. */
  readonly channels: number;
  /** Rows and columns of the grid that its map is pooled to; 1 for a vector. */
  readonly grid: number;
  /** Columns: `channels · grid²`, channel by channel, each row by row; of a reduced linear layer fewer. */
  readonly length: number;
  /** How a linear layer is reduced to fewer columns, as `linearReducers` does again from the same weights; its outputs themselves without. */
  readonly linear?: { readonly kind: LinearReduction; readonly seed: number };
}

/** How features were made from an image. */
export interface FeatureRecipe {
  /** Family of the network. */
  readonly family: string;
  /** Layers in the order of the columns. */
  readonly layers: readonly RecipeLayer[];
  /** What is kept of a cell of the grid. */
  readonly pool: "max" | "avg";
  /** Order of the colours that the network saw. */
  readonly channelOrder: "RGB" | "BGR";
  /** Height and width of the network's input. */
  readonly size: readonly [height: number, width: number];
  /** Height and width that an image is resized to cover, before the middle of `size` is cut out; `size` itself without a cut. */
  readonly resize: readonly [height: number, width: number];
  /** Whether the image keeps its aspect ratio and is cut (`crop`), or not (`stretch`). */
  readonly fit: "crop" | "stretch";
  /** Filter of the resize, antialiased. */
  readonly filter: "bilinear" | "bicubic";
  /** Subtracted from colours in 0…1. */
  readonly mean: Rgb;
  /** Divides what is left. */
  readonly std: Rgb;
  /** Whose code resized the positions of a vision transformer. */
  readonly posInterpolation?: string;
  /** SHA-256 of the network's weights and configuration. */
  readonly weights?: string;
}

const SHAPE: JsonShape = {
  family: "text",
  layers: [{
    ...{ name: "text", channels: "number", grid: "number", length: "number" },
    "linear?": { kind: "text", seed: "number" },
  }],
  ...{ pool: "text", channelOrder: "text", size: ["number"], resize: ["number"] },
  ...{ fit: "text", filter: "text", mean: ["number"], std: ["number"] },
  ...{ "posInterpolation?": "text", "weights?": "text" },
};

/** Values that texts may have, first those of the fields that have few. */
const WORDS = {
  pool: ["max", "avg"],
  channelOrder: ["RGB", "BGR"],
  fit: ["crop", "stretch"],
  filter: ["bilinear", "bicubic"],
} as const;

/** Number of features that a recipe makes. */
export function recipeLength({ layers }: Pick<FeatureRecipe, "layers">): number {
  return layers.reduce((sum, { length }) => sum + length, 0);
}

/** The part of a recipe that says how an image becomes the network's input. */
export function inputRecipe(
  { filter, fit, resizeSide, mean, std }: Preprocessing,
  size: { readonly height: number; readonly width: number },
): Pick<FeatureRecipe, "size" | "resize" | "fit" | "filter" | "mean" | "std"> {
  const { height, width } = size;
  if (filter !== "bilinear" && filter !== "bicubic") {
    throw new InputError(
      `Cannot record how images were resized: the filter must be bilinear or bicubic, it is ${filter}`,
    );
  }
  const side = fit === "crop" && resizeSide ? resizeSide : (side: number) => side;
  return { size: [height, width], resize: [side(height), side(width)], fit, filter, mean, std };
}

function isReduction(name: string): name is LinearReduction {
  return (linearReductions as readonly string[]).includes(name);
}

/** What is wrong with values of the right shape, if anything. */
function problemOf(recipe: FeatureRecipe): string | undefined {
  for (const [key, words] of Object.entries(WORDS)) {
    const word = recipe[key as keyof typeof WORDS];
    if (!(words as readonly string[]).includes(word)) {
      return `${key} must be ${words.join(" or ")}, it is ${quote(word)}`;
    }
  }
  const isCount = (n: number) => Number.isSafeInteger(n) && n >= 1;
  for (const key of ["size", "resize"] as const) {
    if (recipe[key].length !== 2 || !recipe[key].every(isCount)) {
      return `${key} must be a height and a width, it is [${recipe[key]}]`;
    }
  }
  const isColor = recipe.mean.length === 3 && recipe.mean.every(Number.isFinite) &&
    recipe.std.length === 3 && recipe.std.every((s) => s > 0 && s < Infinity);
  if (!isColor) return `mean and std must be three numbers each, std positive`;
  if (recipe.layers.length === 0) return "it has no layer";
  const unknown = recipe.layers.find(({ linear }) => linear && !isReduction(linear.kind));
  if (unknown) {
    return `layer ${quote(unknown.name)} is reduced by ${quote(unknown.linear!.kind)}, not by ${
      linearReductions.join(" or ")
    }`;
  }
  const bad = recipe.layers.find(({ channels, grid, length, linear }) =>
    !isCount(channels) || !isCount(grid) || !isCount(length) ||
    (linear ? grid !== 1 || length > channels : length !== channels * grid * grid)
  );
  if (bad) {
    return `layer ${
      quote(bad.name)
    } has ${bad.length} columns of ${bad.channels} channels on ${bad.grid}x${bad.grid}`;
  }
  return undefined;
}

/**
 * Reads a recipe from JSON text.
 *
 * @param source what the text belongs to, for messages
 * @param nFeatures columns that it must make
 * @throws {InputError} when it is no recipe, or makes another number of features
 */
export function parseRecipe(text: string, source: string, nFeatures: number): FeatureRecipe {
  const cannot = `Cannot read the recipe of ${quote(source)}:`;
  const json = parseJsonObject(new TextEncoder().encode(text), `${cannot} it`);
  const mismatch = shapeMismatch(json, SHAPE);
  const recipe = json as unknown as FeatureRecipe;
  const problem = mismatch ?? problemOf(recipe);
  if (problem !== undefined) throw new InputError(`${cannot} ${problem}`);
  const length = recipeLength(recipe);
  if (length !== nFeatures) {
    throw new InputError(`${cannot} it makes ${length} features, there are ${nFeatures}`);
  }
  return recipe;
}

/**
 * The recipe that `gyrus features` left on a feature array.
 *
 * @param reference `path[:name]`
 * @returns undefined where the file has none
 * @throws {InputError} when the array cannot be opened, or its recipe is not one
 */
export async function readRecipe(reference: string): Promise<FeatureRecipe | undefined> {
  using rows = await openArray(reference);
  const { recipe } = rows.arrayAttributes();
  if (recipe === undefined) return undefined;
  return parseRecipe(String(recipe), reference, rows.shape[1] ?? 1);
}
