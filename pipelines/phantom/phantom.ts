/** The phantom: a data set of images and brain responses about which everything is known. */

import { RepeatAverager, zscoreSession } from "../encoding/betas.ts";
import { ncsnr, noiseCeiling } from "../encoding/noise_ceiling.ts";
import { InputError } from "../errors.ts";
import { captionScene } from "./captions.ts";
import { type RenderedScene, renderScene } from "./render.ts";
import { BETA_SCALE } from "../nsd/names.ts";
import { drawDesign, type ExperimentDesign, scan, type ScannedSubject } from "./scanner.ts";
import { randomScene, type Scene, type SceneOptions } from "./scene.ts";
import { type CorticalSheet, corticalSheet } from "./sheet.ts";
import { drawTuning, tunedResponses, type Tuning } from "./tuning.ts";

/** What a phantom is made of. */
export interface PhantomOptions {
  /** Everything random follows from it. */
  readonly seed?: number;
  /** Number of training images. */
  readonly nTrain?: number;
  /** Number of test images, NSD's shared ones. */
  readonly nTest?: number;
  /** Side of the images in pixels. */
  readonly size?: number;
  /** Number of subjects, at most 8, as in NSD. */
  readonly nSubjects?: number;
  /** About how many voxels each subject has. */
  readonly nVoxels?: number;
  /** Number of scanning sessions. */
  readonly nSessions?: number;
  /** How often each image is shown. */
  readonly nRepeats?: number;
  /** How often things occur in scenes. */
  readonly scenes?: SceneOptions;
}

/** Progress and cancellation of a long call. */
export interface PhantomCall {
  /** Called with the stage, how much of it is done, and how much there is. */
  readonly onProgress?: (progress: { stage: string; done: number; total: number }) => void;
  /** Stops the call, which then rejects with the signal's reason. */
  readonly signal?: AbortSignal;
}

/** One image of a phantom. */
export interface PhantomImage {
  /** What is in it. */
  readonly scene: Scene;
  /** Pixels, labels, instances, depth. */
  readonly rendered: RenderedScene;
  /** A full caption. */
  readonly caption: string;
  /** Whether it is a test image. */
  readonly test: boolean;
}

/** One subject of a phantom: cortex, tuning, measurements. */
export interface PhantomSubject extends ScannedSubject {
  /** `subj01` and so on. */
  readonly name: string;
  /** Where the voxels are. */
  readonly sheet: CorticalSheet;
  /** What they are tuned to. */
  readonly tuning: Tuning;
  /** Responses z-scored per session and averaged over repeats, [nImages, nVoxels]. */
  readonly responses: Float32Array<ArrayBuffer>;
  /** ncsnr estimated from the trials as NSD does, [nVoxels]. */
  readonly ncsnr: Float32Array<ArrayBuffer>;
  /** Largest R² that a model of the averaged responses can reach, from the true ncsnr, in [0, 1], [nVoxels]. */
  readonly noiseCeiling: Float32Array<ArrayBuffer>;
}

/** A data set with known truth. Images are in order: first training, then test. */
export interface Phantom {
  /** The options it was made with, defaults filled in. */
  readonly options: Required<PhantomOptions>;
  /** All pixels, [nImages, size, size, 3]. */
  readonly pixels: Uint8Array<ArrayBuffer>;
  /** Every image. */
  readonly images: readonly PhantomImage[];
  /** The order of the trials. */
  readonly design: ExperimentDesign;
  /** Every subject. */
  readonly subjects: readonly PhantomSubject[];
}

const DEFAULTS: Required<PhantomOptions> = {
  seed: 0,
  nTrain: 600,
  nTest: 120,
  size: 64,
  nSubjects: 2,
  nVoxels: 500,
  nSessions: 6,
  nRepeats: 3,
  scenes: {},
};

// Test scenes have numbers of their own, so that more training images never change the test.
const FIRST_TEST_SCENE = 2 ** 30;

function checkOptions(options: Required<PhantomOptions>): void {
  const limits: [keyof PhantomOptions, number, number][] = [
    ["seed", 0, Number.MAX_SAFE_INTEGER],
    ["nTrain", 1, 2 ** 20],
    ["nTest", 1, 2 ** 20],
    ["size", 16, 1024],
    ["nSubjects", 1, 8],
    ["nVoxels", 150, 2 ** 20],
    ["nSessions", 1, 99],
    ["nRepeats", 1, 99],
  ];
  for (const [name, low, high] of limits) {
    const value = options[name];
    if (typeof value !== "number" || !Number.isInteger(value) || value < low || value > high) {
      throw new InputError(
        `Cannot make a phantom: ${name} must be a whole number from ${low} to ${high}, got ${value}`,
      );
    }
  }
  const trials = (options.nTrain + options.nTest) * options.nRepeats;
  if (trials < 2 * options.nSessions) {
    throw new InputError(
      `Cannot make a phantom: ${options.nSessions} sessions need at least 2 trials each, got ${trials} trials`,
    );
  }
}

/** Number of the scene behind image `i` of a data set with `nTrain` training images. */
export function sceneIndex(i: number, nTrain: number): number {
  return i < nTrain ? i : FIRST_TEST_SCENE + i - nTrain;
}

async function renderImages(
  options: Required<PhantomOptions>,
  pixels: Uint8Array,
  { onProgress, signal }: PhantomCall,
): Promise<PhantomImage[]> {
  const { seed, nTrain, size, scenes } = options;
  const total = nTrain + options.nTest;
  const images: PhantomImage[] = [];
  for (let i = 0; i < total; i++) {
    const scene = randomScene(seed, sceneIndex(i, nTrain), scenes);
    const rendered = renderScene(scene, { size });
    pixels.set(rendered.rgb, i * rendered.rgb.length);
    images.push({ scene, rendered, caption: captionScene(scene), test: i >= nTrain });
    if (i % 16 === 15 || i === total - 1) {
      onProgress?.({ stage: "images", done: i + 1, total });
      await new Promise((resolve) => setTimeout(resolve)); // Lets Ctrl-C and progress bars in.
      signal?.throwIfAborted();
    }
  }
  return images;
}

/** Z-scores every session of integer betas and joins them, [nTrials, nVoxels]. */
function zscoredTrials(
  betas: Int16Array,
  nVoxels: number,
  { sessionStarts }: ExperimentDesign,
): Float32Array<ArrayBuffer> {
  const out = new Float32Array(betas.length);
  for (let s = 0; s + 1 < sessionStarts.length; s++) {
    const [start, end] = [sessionStarts[s] * nVoxels, sessionStarts[s + 1] * nVoxels];
    const session = Float32Array.from(betas.subarray(start, end), (b) => b / BETA_SCALE);
    out.set(zscoreSession(session, nVoxels), start);
  }
  return out;
}

function makeSubject(
  options: Required<PhantomOptions>,
  subject: number,
  images: readonly PhantomImage[],
  design: ExperimentDesign,
): PhantomSubject {
  const { seed, nVoxels, nRepeats } = options;
  const sheet = corticalSheet(seed, subject, nVoxels);
  const tuning = drawTuning(seed, subject, sheet);
  const measured = scan(seed, subject, sheet, tunedResponses(images, sheet, tuning), design);
  const trials = zscoredTrials(measured.betas, sheet.nVoxels, design);
  const repeats = new RepeatAverager(images.length, sheet.nVoxels);
  repeats.add(trials, design.trialImage);
  return {
    ...measured,
    name: `subj${String(subject + 1).padStart(2, "0")}`,
    sheet,
    tuning,
    responses: repeats.average(),
    ncsnr: ncsnr(trials, design.trialImage, { nRepeats }),
    noiseCeiling: noiseCeiling(measured.trueNcsnr, { [nRepeats]: 1 }),
  };
}

/**
 * Makes a phantom in memory. Image `i` depends on the seed and on `i` alone (test images on their place among the test images).
 *
 * @throws {InputError} for an option that is not a whole number in its range
 */
export async function makePhantom(
  options: PhantomOptions = {},
  call: PhantomCall = {},
): Promise<Phantom> {
  const full = { ...DEFAULTS, ...options };
  checkOptions(full);
  const nImages = full.nTrain + full.nTest;
  const pixels = new Uint8Array(nImages * full.size * full.size * 3);
  const images = await renderImages(full, pixels, call);
  const design = drawDesign(full.seed, nImages, full.nRepeats, full.nSessions);
  const subjects: PhantomSubject[] = [];
  for (let s = 0; s < full.nSubjects; s++) {
    call.signal?.throwIfAborted();
    subjects.push(makeSubject(full, s, images, design));
    call.onProgress?.({ stage: "subjects", done: s + 1, total: full.nSubjects });
  }
  return { options: full, pixels, images, design, subjects };
}
