/**
 * Whether images made for voxels show what the voxels are tuned to, where that is known: on simulated subjects, with the phantom's
 * convolutional network, by scorers that are not the network's.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { foldIn, type Key, randomKey } from "../../engine/random.ts";
import { Tensor } from "../../engine/tensor.ts";
import type { LongCall } from "../encoding/linear_model.ts";
import { InputError } from "../errors.ts";
import type { TapModel } from "../models/tap_model.ts";
import { type DiagonalDominance, diagonalDominance } from "../optvis/selectivity.ts";
import { predictResponses } from "../optvis/predict_responses.ts";
import { splitReadouts } from "../optvis/readout_weights.ts";
import { TUNED_VARIABLES, type TuningKind } from "../phantom/tuned_variables.ts";
import { roiMeans, tunedVoxelResponses } from "../phantom/tuned_voxels.ts";
import { signFlipTest } from "../stats/sign_flip.ts";
import {
  type ImageGoal,
  makeImages,
  type PhantomImageOptions,
  scoreImages,
  startImages,
} from "./phantom_images.ts";
import {
  type EncodedSubject,
  encodeSubjects,
  inputOf,
  sharedReadouts,
  tapLayers,
} from "./phantom_readouts.ts";
import { type PhantomWorld, phantomWorld, seenVariables } from "./phantom_world.ts";

/** Options of {@link checkOnPhantom}. */
export interface PhantomCheckOptions {
  /** Seed of scenes, subjects and images (default 0). */
  readonly seed?: number;
  /** Scenes that encoders are fitted on (default 400). */
  readonly nScenes?: number;
  /** Subjects whose encoders images are made with (default 3). */
  readonly fitted?: number;
  /** Further subjects, who respond to the images (default 3). */
  readonly heldOut?: number;
  /** Images of each region and goal (default 4). */
  readonly seeds?: number;
  /** Steps of an image (default 48). */
  readonly steps?: number;
  /** Step size of Adam (default 0.05, lucid's). */
  readonly learningRate?: number;
  /** Images made together (default 18). */
  readonly batch?: number;
  /** Goals (default all): `maximized` is the first. */
  readonly goals?: readonly ImageGoal[];
  /** Regions, as numbers in `TUNED_VARIABLES`, that images are made for (default all). */
  readonly rois?: readonly number[];
}

/** What scorers say of images of one kind of tuning and one goal. */
export interface TuningScores {
  /** Kind. */
  readonly kind: TuningKind;
  /** What the images were made for. */
  readonly goal: ImageGoal;
  /** Whether each score is highest for its own images among those of the kind; for `minimized` ones, lowest. */
  readonly own: DiagonalDominance;
  /** Mean of each image's own score less that of its starting noise, and its one-sided p; for `minimized` with the sign turned. */
  readonly againstStart: { readonly mean: number; readonly p: number };
  /** The same less the score of the image of shuffled weights; absent for those and where none were made. */
  readonly againstShuffled?: { readonly mean: number; readonly p: number };
}

/** How regions respond to the images of all. */
export interface GoalResponses {
  /** What the images were made for. */
  readonly goal: ImageGoal;
  /** Whether regions prefer their own images in the encoders of held-out subjects; for `minimized` ones, whether they shun them. */
  readonly predicted: DiagonalDominance;
  /** The same in what the voxels of held-out subjects truly answer, without noise. */
  readonly simulated: DiagonalDominance;
}

/** What {@link checkOnPhantom} finds. */
export interface PhantomCheck {
  /** Median R² of each region's voxels in cross-validation, over the subjects that images are made with. */
  readonly r2: readonly number[];
  /** By kind and goal. */
  readonly scores: readonly TuningScores[];
  /** By goal. */
  readonly responses: readonly GoalResponses[];
  /** Images of each goal, `[nRois · seeds, 3, 64, 64]`, colours in 0…1. */
  readonly images: ReadonlyMap<ImageGoal, Float32Array<ArrayBuffer>>;
}

const DRAWS = 2000;
const ALL: readonly ImageGoal[] = ["maximized", "minimized", "shuffled"];

/** What is known of a set of images: region each was made for, and one score per variable. */
interface Scored {
  readonly goal: ImageGoal;
  readonly targets: readonly number[];
  readonly rows: readonly (readonly number[])[];
}

/** Dominance of some columns over the images that were made for them; negative scores where images were to be low. */
function dominanceOf({ goal, targets, rows }: Scored, columns: readonly number[], key: Key) {
  const sign = goal === "minimized" ? -1 : 1;
  const own = targets.flatMap((target, i) => columns.includes(target) ? [i] : []);
  const data = own.flatMap((i) => columns.map((column) => sign * rows[i][column]));
  const list = own.map((i) => columns.indexOf(targets[i]));
  return diagonalDominance(
    { data, shape: [own.length, columns.length], targets: list },
    { key, nDraws: DRAWS },
  );
}

/** Own scores of images of some regions less those of other images of the same numbers. */
function pairedTest(
  { goal, targets, rows }: Scored,
  others: Scored["rows"],
  columns: readonly number[],
  key: Key,
) {
  const sign = goal === "minimized" ? -1 : 1;
  const differences = targets.flatMap((target, i) =>
    columns.includes(target) ? [sign * (rows[i][target] - others[i][target])] : []
  );
  return signFlipTest(differences, { key, nDraws: DRAWS });
}

function scoresOf(
  scored: readonly Scored[],
  start: Scored["rows"],
  rois: readonly number[],
  key: Key,
): TuningScores[] {
  const shuffled = scored.find(({ goal }) => goal === "shuffled");
  const kinds = [...new Set(rois.map((r) => TUNED_VARIABLES[r].kind))];
  return scored.flatMap((set, g) =>
    kinds.map((kind, k): TuningScores => {
      const columns = rois.filter((r) => TUNED_VARIABLES[r].kind === kind);
      const at = foldIn(foldIn(key, g), k);
      const control = shuffled && set !== shuffled
        ? { againstShuffled: pairedTest(set, shuffled.rows, columns, foldIn(at, 2)) }
        : {};
      return {
        ...{ kind, goal: set.goal, own: dominanceOf(set, columns, foldIn(at, 0)) },
        againstStart: pairedTest(set, start, columns, foldIn(at, 1)),
        ...control,
      };
    })
  );
}

/** Responses of every region to images by readouts, `[nImages][nRois]`. */
async function predictedRows(
  gpu: Gpu,
  model: TapModel,
  images: Tensor,
  readouts: readonly Float64Array[],
): Promise<number[][]> {
  const layers = tapLayers(model), split = splitReadouts(readouts, layers);
  const parts = layers.map((layer) => ({
    ...layer,
    weights: Tensor.from(gpu, split.get(layer.layer)!, [readouts.length, layer.size]),
  }));
  try {
    const { data, shape } = await predictResponses(images, model, parts, { input: inputOf(model) });
    return rowsOf(data, shape);
  } finally {
    for (const { weights } of parts) weights.dispose();
  }
}

const rowsOf = (data: ArrayLike<number>, [n, columns]: readonly [number, number]): number[][] =>
  Array.from(
    { length: n },
    (_, i) => Array.from({ length: columns }, (_, c) => data[i * columns + c]),
  );

/** Mean over subjects of tables of one shape. */
function meanRows(tables: readonly number[][][]): number[][] {
  return tables[0].map((row, i) =>
    row.map((_, c) => tables.reduce((sum, table) => sum + table[i][c], 0) / tables.length)
  );
}

/** How subjects who had no part in the images respond to them: by their encoders, and as they are. */
async function responsesOf(
  { gpu, model, world }: { gpu: Gpu; model: TapModel; world: PhantomWorld },
  images: Tensor,
  subjects: readonly EncodedSubject[],
): Promise<{ predicted: number[][]; simulated: number[][] }> {
  const predicted: number[][][] = [], simulated: number[][][] = [];
  const variables = await seenVariables(world, images);
  for (const { subject, readouts } of subjects) {
    predicted.push(await predictedRows(gpu, model, images, readouts));
    const exact = roiMeans(subject, tunedVoxelResponses(subject, variables, world.moments));
    simulated.push(rowsOf(exact.data, exact.shape));
  }
  return { predicted: meanRows(predicted), simulated: meanRows(simulated) };
}

function requireCounts(counts: Readonly<Record<string, number>>, rois: readonly number[]): void {
  for (const [name, value] of Object.entries(counts)) {
    const least = name === "nScenes" ? 20 : 1; // five folds of a few scenes each
    if (!Number.isSafeInteger(value) || value < least) {
      throw new InputError(
        `Cannot check on the phantom: ${name} must be a whole number from ${least}, got ${value}`,
      );
    }
  }
  const bad = rois.find((r) => !TUNED_VARIABLES[r]);
  const kinds = rois.map((r) => TUNED_VARIABLES[r]?.kind);
  const lone = kinds.findIndex((kind) => kinds.filter((other) => other === kind).length < 2);
  if (rois.length > 0 && bad === undefined && lone < 0) return;
  throw new InputError(
    `Cannot check on the phantom: regions must be numbers below ${TUNED_VARIABLES.length}, two or more of a kind, got [${rois}]`,
  );
}

/**
 * Makes images for the regions of simulated subjects, for the least of their response, and for shuffled weights; and tests whether they
 * show what the regions are tuned to, by scorers that are not the network's, and whether they drive the same regions of other subjects.
 *
 * @param model the phantom's convolutional network, or another that takes 64 by 64 pixels
 * @throws {InputError} for numbers that cannot be
 * @throws the signal's reason when it is aborted
 */
export async function checkOnPhantom(
  gpu: Gpu,
  model: TapModel,
  options: PhantomCheckOptions = {},
  { signal, onProgress }: LongCall = {},
): Promise<PhantomCheck> {
  const { seed = 0, nScenes = 400, fitted = 3, heldOut = 3, goals = ALL } = options;
  const { seeds = 4, steps = 48, learningRate = 0.05, batch = 18 } = options;
  const rois = options.rois ?? TUNED_VARIABLES.map((_, r) => r);
  requireCounts({ nScenes, fitted, heldOut }, rois);
  const world = await phantomWorld(gpu, { seed, nImages: nScenes });
  const numbers = Array.from({ length: fitted + heldOut }, (_, s) => s);
  const subjects = await encodeSubjects(gpu, model, world, { seed, numbers });
  const key = randomKey(seed);
  const all = sharedReadouts(subjects.slice(0, fitted));
  const readouts = rois.map((r) => all[r]);
  const targets = rois.flatMap((r) => new Array<number>(seeds).fill(r));
  const call: PhantomImageOptions = { key, seeds, steps, learningRate, batch, signal };
  const scored: Scored[] = [], responses: GoalResponses[] = [];
  const made = new Map<ImageGoal, Float32Array<ArrayBuffer>>();
  using noise = startImages(gpu, key, targets.length);
  const start = await scoreImages(gpu, noise);
  for (const [g, goal] of goals.entries()) {
    using images = await makeImages(gpu, model, readouts, goal, {
      ...call,
      onProgress: ({ done, total }) =>
        onProgress?.({ stage: goal, done: g * total + done, total: goals.length * total }),
    });
    made.set(goal, Float32Array.from(await images.data()));
    scored.push({ goal, targets, rows: await scoreImages(gpu, images) });
    const rows = await responsesOf({ gpu, model, world }, images, subjects.slice(fitted));
    const judge = (table: number[][], k: number) =>
      dominanceOf({ goal, targets, rows: table }, rois, foldIn(foldIn(key, 3 + k), g));
    responses.push({
      ...{ goal, predicted: judge(rows.predicted, 0) },
      simulated: judge(rows.simulated, 1),
    });
  }
  const r2 = TUNED_VARIABLES.map((_, r) =>
    subjects.slice(0, fitted).reduce((sum, subject) => sum + subject.r2[r], 0) / fitted
  );
  return { r2, scores: scoresOf(scored, start, rois, foldIn(key, 2)), responses, images: made };
}
