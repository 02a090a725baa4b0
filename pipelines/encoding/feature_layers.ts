/**
 * Which columns of a feature matrix came from which layer of a network.
 *
 * @module
 */
import { InputError } from "../errors.ts";

/** A layer whose features stand next to each other; layers follow each other in the order of the columns. */
export interface FeatureLayer {
  /** Name, such as a tap's. */
  readonly name: string;
  /** Number of its columns. */
  readonly length: number;
}

/** Depths that layers are summed up to. */
export const featureStages = ["early", "mid", "late"] as const;

/** A depth: see {@link layerStages}. */
export type FeatureStage = (typeof featureStages)[number];

/**
 * Refuses layers that are not those of the features.
 *
 * @throws {InputError} when there is none, one has no columns, a name occurs twice, or the columns are not as many
 */
export function requireLayers(layers: readonly FeatureLayer[], nFeatures: number): void {
  const total = layers.reduce((sum, { length }) => sum + length, 0);
  const isSound = layers.every(({ length }) => Number.isSafeInteger(length) && length >= 1) &&
    new Set(layers.map(({ name }) => name)).size === layers.length;
  if (isSound && layers.length > 0 && total === nFeatures) return;
  throw new InputError(
    `Cannot tell the layers of ${nFeatures} features apart: they must be named differently and have as many columns together, they are ${
      layers.map(({ name, length }) => `${name} with ${length}`).join(", ") || "none"
    }`,
  );
}

/**
 * Number of its layer for each feature, `[nFeatures]`: the `groups` of a banded ridge regression with one band per layer.
 *
 * @throws {InputError} when the layers have not as many columns, or are no layers
 */
export function layerGroups(
  layers: readonly FeatureLayer[],
  nFeatures: number,
): Float64Array<ArrayBuffer> {
  requireLayers(layers, nFeatures);
  const groups = new Float64Array(nFeatures);
  let start = 0;
  layers.forEach(({ length }, layer) => {
    groups.fill(layer, start, start + length);
    start += length;
  });
  return groups;
}

// By what the network does to the map there (torchvision's inception.py): the plain convolutions and poolings down to 35×35; the
// blocks at 35×35 and 17×17; those at 8×8, their mean and the classifier.
const INCEPTION_STAGES: readonly (readonly [RegExp, FeatureStage])[] = [
  [/^(Conv2d_[1-4][ab]_\dx\d|maxpool[12])$/, "early"],
  [/^Mixed_[56][a-e]$/, "mid"],
  [/^(Mixed_7[a-c]|avgpool|fc)$/, "late"],
];

/** Whether layers can be told apart by depth: taps of Inception V3, or three layers and more of another network. */
export function hasStages(names: readonly string[]): boolean {
  return names.length >= featureStages.length ||
    names.every((name) => INCEPTION_STAGES.some(([form]) => form.test(name)));
}

/**
 * How deep each layer lies. Inception V3's taps: `early` are the convolutions and poolings before the first block (`Conv2d_1a_3x3` to
 * `maxpool2`), `mid` the blocks `Mixed_5b` to `Mixed_6e`, `late` `Mixed_7a` to `fc`. Of other networks the first, second and last third
 * of the layers in their order, of four layers the first two being early.
 *
 * @param names in the order of the network
 * @throws {InputError} when there are fewer than three layers of another network
 */
export function layerStages(names: readonly string[]): FeatureStage[] {
  const known = names.map((name) => INCEPTION_STAGES.find(([form]) => form.test(name))?.[1]);
  if (known.every((stage) => stage !== undefined)) return known;
  if (!hasStages(names)) {
    throw new InputError(
      `Cannot call the layers ${names.join(", ")} early, mid and late: there must be three or more`,
    );
  }
  return names.map((_, i) => featureStages[Math.floor(3 * i / names.length)]);
}

/**
 * Number of its stage for each feature, `[nFeatures]`, counted among the stages that occur, from early to late: the `groups` of a banded ridge regression
 * with one band per stage.
 *
 * @throws {InputError} as {@link layerGroups} and {@link layerStages}
 */
export function stageGroups(
  layers: readonly FeatureLayer[],
  nFeatures: number,
): Float64Array<ArrayBuffer> {
  const stages = layerStages(layers.map(({ name }) => name));
  const there = featureStages.filter((stage) => stages.includes(stage));
  return layerGroups(layers, nFeatures).map((layer) => there.indexOf(stages[layer]));
}
