/**
 * Scenes of the phantom with what its tuned voxels see in them, and the same for images that no scene lies behind.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { Tensor } from "../../engine/tensor.ts";
import { hostMatrix } from "../encoding/host_matrix.ts";
import { fitSalience, type SalienceReadout } from "../phantom/category_readout.ts";
import { pixelVariables, planesOf, TUNED_VARIABLES } from "../phantom/tuned_variables.ts";
import { N_PIXEL_VARIABLES } from "../phantom/tuned_variables.ts";
import {
  tunedVariablesOf,
  type VariableMoments,
  variableMoments,
} from "../phantom/tuned_voxels.ts";
import { CATEGORIES, randomScene } from "../phantom/scene.ts";
import { renderScene } from "../phantom/render.ts";

/** Side of the phantom's images in pixels. */
export const PHANTOM_SIDE = 64;

/** Scenes, as a subject sees them. */
export interface PhantomWorld {
  /** `[nImages, 3, 64, 64]`, colours in 0…1. */
  readonly images: Float32Array<ArrayBuffer>;
  /** `TUNED_VARIABLES` of each image. */
  readonly variables: readonly Float64Array<ArrayBuffer>[];
  /** Of the variables over the images: what responses are in units of. */
  readonly moments: VariableMoments;
  /** What stands for the salience of categories where there is no scene. */
  readonly salience: SalienceReadout;
}

/**
 * Renders scenes and looks at them.
 *
 * @param seed of the scenes, as in a phantom
 * @param nImages how many
 */
export async function phantomWorld(
  gpu: Gpu,
  { seed, nImages }: { readonly seed: number; readonly nImages: number },
): Promise<PhantomWorld> {
  const values = 3 * PHANTOM_SIDE ** 2;
  const images = new Float32Array(nImages * values);
  const variables = Array.from({ length: nImages }, (_, i) => {
    const scene = randomScene(seed, i), rendered = renderScene(scene, { size: PHANTOM_SIDE });
    images.set(planesOf(rendered.rgb), i * values);
    return tunedVariablesOf(scene, rendered);
  });
  using pixels = Tensor.from(gpu, images, [nImages, 3, PHANTOM_SIDE, PHANTOM_SIDE]);
  const known = variables.flatMap((row) => [...row.subarray(N_PIXEL_VARIABLES)]);
  const salience = await fitSalience(gpu, pixels, hostMatrix(known, [nImages, CATEGORIES.length]));
  return { images, variables, moments: variableMoments(variables), salience };
}

/**
 * What tuned voxels see in images that were made: what pixels tell is exact; the salience of categories is what the phantom's RADIO takes
 * it for, a network that had no part in making them.
 *
 * @param images `[n, 3, 64, 64]`, colours in 0…1
 * @returns `TUNED_VARIABLES` of each image
 */
export async function seenVariables(
  { salience }: Pick<PhantomWorld, "salience">,
  images: Tensor,
): Promise<Float64Array<ArrayBuffer>[]> {
  const n = images.shape[0], values = images.size / n;
  const pixels = await images.data() as Float32Array;
  const categories = await salience(images), nCategories = CATEGORIES.length;
  return Array.from({ length: n }, (_, i) => {
    const row = new Float64Array(TUNED_VARIABLES.length);
    row.set(pixelVariables(pixels.subarray(i * values, (i + 1) * values), PHANTOM_SIDE));
    row.set(
      categories.data.subarray(i * nCategories, (i + 1) * nCategories),
      N_PIXEL_VARIABLES,
    );
    return row;
  });
}
