/**
 * The layers that columns of a feature array came from, as `gyrus features` notes them.
 *
 * @module
 */
import { type FeatureLayer, requireLayers } from "../encoding/feature_layers.ts";
import { readRecipe } from "../encoding/feature_recipe.ts";
import { InputError } from "../errors.ts";
import { openArray } from "../io/array_ref.ts";
import { quote } from "../io/strict_json.ts";

/**
 * Reads the layers of a feature array from its attribute `recipe`, or from `taps` and `tap_lengths` where it has none.
 *
 * @param reference `path[:name]`
 * @throws {InputError} when the file does not tell them, or they have other columns
 */
export async function readFeatureLayers(
  reference: string,
  nFeatures: number,
): Promise<readonly FeatureLayer[]> {
  const recipe = await readRecipe(reference);
  if (recipe) return recipe.layers;
  using rows = await openArray(reference);
  const { taps, tap_lengths: lengths } = rows.arrayAttributes();
  if (typeof taps !== "string" || lengths === undefined) {
    throw new InputError(
      `Cannot tell the layers of ${
        quote(reference)
      } apart: it must be /features of gyrus features with a network that has taps`,
    );
  }
  const columns = [lengths].flat().map(Number);
  const layers = taps.split(",").map((name, i) => ({ name, length: columns[i] }));
  requireLayers(layers, nFeatures);
  return layers;
}
