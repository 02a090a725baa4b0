/**
 * Controls of a channel alignment: the same training on targets that are not this brain, on networks that were not trained, and ways to
 * a shared space that need no brain. An effect of the brain is what is left when they are subtracted.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { foldIn, type Key } from "../../engine/random.ts";
import { fitAlignment } from "../encoding/alignment/fit_alignment.ts";
import type { AlignmentOptions } from "../encoding/alignment/settings.ts";
import { splitHeldOut } from "../encoding/alignment/held_out.ts";
import type { TokenSource } from "../encoding/alignment/tokens.ts";
import type { HostMatrix } from "../encoding/host_matrix.ts";
import type { LongCall } from "../encoding/linear_model.ts";
import { InputError } from "../errors.ts";
import { takeRows } from "../spectral/sample_nodes.ts";
import type { SpatialOrders } from "../stats/spatial_nulls.ts";
import {
  gaussianTargets,
  noisyTargets,
  readoutTargets,
  sharesOf,
  shuffledTargets,
} from "./control_targets.ts";
import { measuredMaps } from "./measured_maps.ts";
import { type RegionScores, type RegionTest, regionTest } from "./roi_correspondence.ts";
import { alignedSpace, rawSpace, type SharedSpace, turnedSpace } from "./shared_space.ts";
import {
  measureSpace,
  type PatchTruth,
  type SpaceMeasureOptions,
  type SpaceMeasures,
  takeTruth,
} from "./space_measures.ts";

/** A way to a shared space. */
export type Condition =
  | "brain"
  | "shuffled"
  | "gaussian"
  | "readout"
  | "low-level"
  | "no-brain"
  | "random-backbone"
  | "procrustes"
  | "unaligned";

/** All conditions, the brain first, with what they are. */
export const conditions: Readonly<Record<Condition, string>> = {
  brain: "responses as measured",
  shuffled: "responses of other images",
  gaussian: "noise with the covariance of the voxels",
  readout: "random readouts of a network",
  "low-level": "random readouts of colours and edges",
  "no-brain": "the other losses alone",
  "random-backbone": "networks before training",
  procrustes: "networks turned onto each other, without a brain",
  unaligned: "channels as they are",
};

/** Regions, and what they would be by chance. */
export interface ControlRegions {
  /** Region of each voxel, −1 for none, `[nVoxels]`. */
  readonly regionOf: ArrayLike<number>;
  /** Number of regions. */
  readonly nRegions: number;
  /** Orders of voxels by chance: permutations, spins or shifts. */
  readonly orders: SpatialOrders;
  /** Number of them. */
  readonly nPermutations?: number;
}

/** How far joint concepts correspond to regions in measured responses to held-out images, with p-values by chance orders. */
export interface RegionMatch
  extends
    Pick<RegionTest, "pSelectivity" | "pPurity" | "pAmi">,
    Pick<RegionScores, "selectivity" | "purity" | "ami"> {}

/** What is aligned, and what controls need. */
export interface ControlData {
  /** Tokens of all images. */
  readonly tokens: TokenSource;
  /** `[nImages, nVoxels]` */
  readonly responses: HostMatrix;
  /** The same images through networks with random weights, for `random-backbone`. */
  readonly randomTokens?: TokenSource;
  /** Features that random readouts weigh, for `readout`, `[nImages, nFeatures]`. */
  readonly readoutFeatures?: HostMatrix;
  /** Colours and edges, for `low-level`, `[nImages, nFeatures]`; see `lowLevelFeatures`. */
  readonly lowLevel?: HostMatrix;
  /** Share of the responses' variance that can be explained, which random readouts get too; 1 when left out. */
  readonly noiseCeiling?: number | ArrayLike<number>;
  /** Regions of the voxels, for the correspondence of concepts with them. */
  readonly regions?: ControlRegions;
  /** Classes of all patches on the grid of the tokens, `[nImages · grid²]`. */
  readonly truth?: PatchTruth;
}

/** Where finished runs are kept, so that a series that was stopped goes on. */
export interface ControlStore {
  /** A run that is there already. */
  read(condition: Condition, seed: number): ControlRun | undefined;
  /** Keeps a finished run. */
  keep(run: ControlRun): void;
}

/** Options of {@link runControls}. */
export interface ControlOptions extends LongCall {
  /** Everything random follows from it; run `s` has `foldIn(key, s)`. */
  readonly key: Key;
  /** Conditions; all that the data suffice for when left out. */
  readonly conditions?: readonly Condition[];
  /** Runs of each condition, with other first weights, orders, draws and cuts. */
  readonly nSeeds?: number;
  /** Images held out: their rows, or how many of the last ones; a random tenth when left out. All conditions have the same. */
  readonly heldOut?: number | ArrayLike<number>;
  /** Settings of the alignment. */
  readonly alignment?: AlignmentOptions;
  /** Where finished runs are kept. */
  readonly store?: ControlStore;
  /** Settings of the measures. */
  readonly measures?: Omit<SpaceMeasureOptions, "key" | "truth" | keyof LongCall>;
}

/** One run of a condition. */
export interface ControlRun {
  /** What it was aligned by. */
  readonly condition: Condition;
  /** Number of the run, from 0. */
  readonly seed: number;
  /** Mean held-out R² over voxels and layers, of the targets that were trained on; NaN where nothing was. */
  readonly meanR2: number;
  /** Measures of the held-out images. */
  readonly measures: Pick<SpaceMeasures, "names" | "values">;
  /** Concepts against regions; undefined without regions. */
  readonly regions?: RegionMatch;
}

/** All runs. */
export interface ControlRuns {
  /** Condition by condition. */
  readonly runs: readonly ControlRun[];
  /** Rows of the held-out images. */
  readonly heldOut: Uint32Array<ArrayBuffer>;
}

/** Conditions that the data suffice for, the brain first. */
export function possibleConditions(data: ControlData): Condition[] {
  return (Object.keys(conditions) as Condition[]).filter((name) => {
    if (name === "random-backbone") return data.randomTokens !== undefined;
    if (name === "readout") return data.readoutFeatures !== undefined;
    return name !== "low-level" || data.lowLevel !== undefined;
  });
}

function chosenConditions(data: ControlData, chosen?: readonly Condition[]): readonly Condition[] {
  const possible = possibleConditions(data), names = chosen ?? possible;
  const missing = names.find((name) => !possible.includes(name));
  if (missing !== undefined) {
    const needs: Partial<Record<Condition, string>> = {
      "random-backbone": "features of the networks with random weights",
      readout: "features to read out",
      "low-level": "the images",
    };
    throw new InputError(
      `Cannot run the control ${missing}: it needs ${needs[missing] ?? "a name"}`,
    );
  }
  if (!names.includes("brain") || new Set(names).size < names.length) {
    throw new InputError(
      `Cannot compare ${
        names.join(", ")
      }: each once, and brain among them, is what effects are taken of`,
    );
  }
  return names;
}

/** What a condition is trained on; undefined where nothing is trained. */
async function targetsOf(
  gpu: Gpu,
  condition: Condition,
  { responses, readoutFeatures, lowLevel, noiseCeiling = 1 }: ControlData,
  key: Key,
): Promise<HostMatrix | undefined> {
  const nTargets = responses.shape[1];
  const readOut = async (features: HostMatrix) =>
    noisyTargets(await readoutTargets(gpu, features, nTargets, key), noiseCeiling, foldIn(key, 1));
  if (condition === "shuffled") return shuffledTargets(responses, key);
  if (condition === "gaussian") return await gaussianTargets(gpu, responses, key);
  if (condition === "readout" && readoutFeatures) return await readOut(readoutFeatures);
  if (condition === "low-level" && lowLevel) return await readOut(lowLevel);
  return condition === "procrustes" || condition === "unaligned" ? undefined : responses;
}

interface Job {
  readonly data: ControlData;
  readonly options: ControlOptions;
  readonly train: Uint32Array<ArrayBuffer>;
  readonly heldOut: Uint32Array<ArrayBuffer>;
}

/** The held-out images in the space of a condition. */
async function spaceOf(
  gpu: Gpu,
  condition: Condition,
  { data, options, train, heldOut }: Job,
  key: Key,
): Promise<{ readonly space: SharedSpace; readonly meanR2: number }> {
  const { signal, alignment = {} } = options;
  const isRandom = condition === "random-backbone" && data.randomTokens;
  const tokens = isRandom ? data.randomTokens : data.tokens;
  const targets = await targetsOf(gpu, condition, data, foldIn(key, 1));
  if (!targets) {
    if (condition === "unaligned") return { space: rawSpace(tokens, heldOut), meanR2: NaN };
    const widest = Math.max(...tokens.slices.map(({ width }) => width));
    const nComponents = alignment.width ?? widest;
    const space = await turnedSpace(gpu, tokens, { train, images: heldOut, nComponents, signal });
    return { space, meanR2: NaN };
  }
  using fitted = await fitAlignment(gpu, tokens, targets, {
    ...alignment,
    // The closed form is fitted to responses too: without a brain the maps begin as PyTorch's.
    ...(condition === "no-brain" ? { brainWeight: 0, start: "linear" } : {}),
    ...{ heldOut, key: foldIn(key, 2), signal },
  });
  const { meanR2, bestEpoch } = fitted.training;
  const space = await alignedSpace(tokens, heldOut, fitted);
  return { space, meanR2: condition === "no-brain" ? NaN : meanR2[bestEpoch] };
}

async function runOnce(
  gpu: Gpu,
  { condition, seed, truth }: Pick<ControlRun, "condition" | "seed"> & {
    readonly truth?: PatchTruth;
  },
  job: Job,
): Promise<ControlRun> {
  const { key, measures: given, signal } = job.options;
  const own = foldIn(key, seed);
  const { space, meanR2 } = await spaceOf(gpu, condition, job, own);
  const options = { ...given, key: foldIn(own, 3), truth, signal };
  const { names, values, areas } = await measureSpace(gpu, space, options);
  const run = { condition, seed, meanR2, measures: { names, values } };
  const { regions, responses } = job.data;
  if (!regions) return run;
  const maps = measuredMaps(areas, takeRows(responses, job.heldOut));
  const { observed, pSelectivity, pPurity, pAmi } = await regionTest({ ...regions, maps }, regions);
  const { selectivity, purity, ami } = observed;
  return { ...run, regions: { selectivity, purity, ami, pSelectivity, pPurity, pAmi } };
}

/**
 * Aligns and measures under every condition, several times each, on the same held-out images.
 *
 * @throws {InputError} when a condition lacks what it needs, or as `fitAlignment` and `measureSpace` say
 */
export async function runControls(
  gpu: Gpu,
  data: ControlData,
  options: ControlOptions,
): Promise<ControlRuns> {
  const { key, nSeeds = 5, signal, onProgress, store } = options;
  if (!(Number.isInteger(nSeeds) && nSeeds >= 1)) {
    throw new InputError(`Cannot run controls ${nSeeds} times: it must be a whole number from 1`);
  }
  const names = chosenConditions(data, options.conditions);
  sharesOf(data.noiseCeiling ?? 1, data.responses.shape[1]); // refused before the first run
  const { train, test: heldOut } = splitHeldOut(
    data.tokens.nImages,
    options.heldOut,
    foldIn(key, 1000),
  );
  const truth = data.truth && takeTruth(data.truth, heldOut, data.tokens.grid ** 2);
  const job = { data, options, train, heldOut };
  const runs: ControlRun[] = [];
  for (const condition of names) {
    for (let seed = 0; seed < nSeeds; seed++) {
      await new Promise((resolve) => setTimeout(resolve)); // lets an interruption in
      signal?.throwIfAborted();
      const known = store?.read(condition, seed);
      runs.push(known ?? await runOnce(gpu, { condition, seed, truth }, job));
      if (!known) store?.keep(runs.at(-1)!);
      onProgress?.({ stage: "controls", done: runs.length, total: names.length * nSeeds });
    }
  }
  return { runs, heldOut };
}
