/**
 * What `gyrus features` keeps beside features: how they were made from images, so that an encoder of them is a function of images.
 *
 * @module
 */
import { type FeatureRecipe, inputRecipe } from "../encoding/feature_recipe.ts";
import type { Hdf5Writer } from "../io/hdf5_writer.ts";
import type { TapPlan } from "../models/tap_features.ts";
import { digestOfModel, type ModelChoice } from "./load_model.ts";
import type { PixelSource } from "./pixel_source.ts";

/** What features of taps were made by. */
export interface TapRecipeFacts {
  /** The network. */
  readonly family: string;
  /** Its weights. */
  readonly choice: ModelChoice;
  readonly source: PixelSource;
  readonly pool?: "max" | "avg";
  readonly bgr?: boolean;
  /** Makes random projections. */
  readonly seed: number;
}

function keep(file: Hdf5Writer, path: string, recipe: FeatureRecipe): void {
  file.setAttribute(path, "recipe", JSON.stringify(recipe));
}

/** Writes the recipes of `/features` and of every `/taps/<name>` as their attribute `recipe`. */
export function writeTapRecipes(
  file: Hdf5Writer,
  plan: readonly TapPlan[],
  { family, choice, source, pool = "max", bgr = false, seed }: TapRecipeFacts,
): void {
  const layers = plan.map(({ name, channels, grid, length, linear }) => ({
    ...{ name, channels, grid, length },
    ...(linear ? { linear: { kind: linear, seed } } : {}),
  }));
  const recipe: FeatureRecipe = {
    ...{ family, layers, pool, channelOrder: bgr ? "BGR" : "RGB" },
    ...inputRecipe(source.recipe, source.size),
    weights: digestOfModel(choice),
  };
  keep(file, "/features", recipe);
  for (const layer of layers) keep(file, `/taps/${layer.name}`, { ...recipe, layers: [layer] });
}

/** Writes the recipe of `/cls`, the embedding of a vision transformer, `[n, width]`. */
export function writeEmbeddingRecipe(
  file: Hdf5Writer,
  width: number,
  { family, choice, source, posInterpolation }: {
    readonly family: string;
    readonly choice: ModelChoice;
    readonly source: PixelSource;
    readonly posInterpolation: string;
  },
): void {
  keep(file, "/cls", {
    family,
    layers: [{ name: "output", channels: width, grid: 1, length: width }],
    ...{ pool: "max", channelOrder: "RGB", posInterpolation },
    ...inputRecipe(source.recipe, source.size),
    weights: digestOfModel(choice),
  });
}
