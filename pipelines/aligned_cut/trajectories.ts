/**
 * Paths of patches through the layers in one joint embedding (the paper's figures 9 and 18 to 22).
 *
 * @module
 */
import { foldIn, type Key } from "../../engine/random.ts";
import { permutation } from "../encoding/cross_validation.ts";
import { stratifiedRows } from "../spectral/farthest_points.ts";
import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import type { JointGraph } from "./joint_graph.ts";

/** Paths of patches. */
export interface Trajectories {
  /** Layers in order. */
  readonly layers: readonly number[];
  /** Places, `[nPatches, nLayers, nAxes]`: patches image by image. */
  readonly places: Float32Array<ArrayBuffer>;
  /** Patches of all images. */
  readonly nPatches: number;
  /** Axes of the embedding. */
  readonly nAxes: number;
}

/**
 * Paths of all patches of a model through its layers.
 *
 * @param coordinates of all nodes of the graph in one embedding, such as {@link spectralTsne}'s with two components, `[nNodes, nAxes]`
 * @throws {InputError} when the model has fewer than two layers, or layers differ in images or grid
 */
export function trajectories(
  graph: JointGraph,
  coordinates: HostMatrix,
  model: number | string,
): Trajectories {
  const slices = graph.slices.filter((slice) => slice.model === model)
    .sort((a, b) => a.layer - b.layer);
  const [first] = slices, nAxes = coordinates.shape[1];
  const isSame = slices.every(({ nImages, grid }) =>
    nImages === first.nImages && `${grid}` === `${first.grid}`
  );
  if (slices.length < 2 || !isSame || coordinates.shape[0] !== graph.shape[0]) {
    throw new InputError(
      `Cannot follow patches of model ${model} through ${slices.length} layers with ${
        coordinates.shape[0]
      } places of ${
        graph.shape[0]
      } nodes: there must be two layers with the same images and grid, and a place for each node`,
    );
  }
  const nPatches = first.end - first.start, nLayers = slices.length;
  const places = new Float32Array(nPatches * nLayers * nAxes);
  slices.forEach(({ start }, l) => {
    for (let p = 0; p < nPatches; p++) {
      const from = (start + p) * nAxes;
      places.set(coordinates.data.subarray(from, from + nAxes), (p * nLayers + l) * nAxes);
    }
  });
  return { layers: slices.map(({ layer }) => layer), places, nPatches, nAxes };
}

/** The path of one patch, `[nLayers, nAxes]`. */
export function pathOf(
  { places, layers, nAxes, nPatches }: Trajectories,
  patch: number,
): HostMatrix {
  if (!(Number.isInteger(patch) && patch >= 0 && patch < nPatches)) {
    throw new InputError(`Cannot follow patch ${patch}: there are ${nPatches}`);
  }
  const size = layers.length * nAxes;
  return hostMatrix(places.slice(patch * size, (patch + 1) * size), [layers.length, nAxes]);
}

const MOST_PATCHES = 2000; // that are exchanged: means of more are no more exact than is of use

/** Paths of some patches. */
function somePaths(paths: Trajectories, count: number, key: Key): Trajectories {
  if (count >= paths.nPatches) return paths;
  const size = paths.layers.length * paths.nAxes, places = new Float32Array(count * size);
  stratifiedRows(paths.nPatches, count, key).forEach((patch, i) => {
    places.set(paths.places.subarray(patch * size, (patch + 1) * size), i * size);
  });
  return { ...paths, places, nPatches: count };
}

/** Lengths of steps between layers beside those of patches that forgot who they are. */
export interface TrajectoryNull {
  /** Mean length of each step, `[nLayers − 1]`. */
  readonly steps: Float64Array<ArrayBuffer>;
  /** The same after the patches of every layer were exchanged, mean over permutations. */
  readonly expected: Float64Array<ArrayBuffer>;
  /** p-value of a step as short as that. */
  readonly pValues: Float64Array<ArrayBuffer>;
  /** Mean over all steps over that by chance: below 1 where patches stay near where they were. */
  readonly ratio: number;
}

/** Mean length of the step after layer `l`, patch `order[p]` following patch `p`. */
function stepLength(
  { places, layers, nAxes, nPatches }: Trajectories,
  l: number,
  order?: Uint32Array,
): number {
  let total = 0;
  for (let p = 0; p < nPatches; p++) {
    const a = (p * layers.length + l) * nAxes;
    const b = ((order ? order[p] : p) * layers.length + l + 1) * nAxes;
    let square = 0;
    for (let c = 0; c < nAxes; c++) square += (places[b + c] - places[a + c]) ** 2;
    total += Math.sqrt(square);
  }
  return total / nPatches;
}

/**
 * Tests whether paths are paths: a patch should stay nearer to where it was than to where any other patch was. Identities are exchanged
 * between layers, `p = (1 + #{null ≤ observed}) / (1 + nPermutations)`; of 2,000 patches, drawn at random, where there are more.
 *
 * @throws {InputError} when there is no permutation
 */
export function trajectoryNull(
  trajectories: Trajectories,
  { key, nPermutations = 1000 }: { readonly key: Key; readonly nPermutations?: number },
): TrajectoryNull {
  if (!(Number.isInteger(nPermutations) && nPermutations >= 1)) {
    throw new InputError(`Cannot test with ${nPermutations} permutations: there must be some`);
  }
  const paths = somePaths(trajectories, MOST_PATCHES, foldIn(key, nPermutations));
  const count = paths.layers.length - 1;
  const steps = Float64Array.from({ length: count }, (_, l) => stepLength(paths, l));
  const expected = new Float64Array(count), pValues = new Float64Array(count).fill(1);
  for (let i = 0; i < nPermutations; i++) {
    for (let l = 0; l < count; l++) {
      const order = permutation(foldIn(foldIn(key, i), l), paths.nPatches);
      const length = stepLength(paths, l, order);
      expected[l] += length / nPermutations;
      pValues[l] += Number(length <= steps[l] * (1 + 1e-12));
    }
  }
  const sum = (values: Float64Array) => values.reduce((a, b) => a + b, 0);
  return {
    steps,
    expected,
    pValues: pValues.map((p) => p / (1 + nPermutations)),
    ratio: sum(steps) / sum(expected),
  };
}
