/**
 * A simulated inferior temporal population: sites whose tuning to pose, category and content is known, behind a nonlinearity, with noise
 * of known size.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import { Draws } from "./draws.ts";
import {
  drawItScene,
  IT_CATEGORIES,
  IT_CONTENT,
  IT_POSE,
  IT_RANGES,
  type ItFactor,
  type ItScene,
} from "./it_stimuli.ts";

/** What sites are tuned to; the grey of the background drives none. */
export const IT_TUNINGS = ["pose", "category", ...IT_CONTENT] as const;

/** Kind of what a site is tuned to. */
export type ItTuning = typeof IT_TUNINGS[number];

/** How a site answers one content factor. */
export interface ContentTuning {
  /** Rises with the factor, falls with it, or peaks at `peak`. */
  readonly shape: "rising" | "falling" | "peaked";
  /** Where it peaks, in the factor's range from 0 to 1. */
  readonly peak: number;
}

/** What one site is tuned to: planted, so that what is found can be held against it. */
export interface ItSite {
  /** Number of the monkey, from 0. */
  readonly monkey: number;
  /** Share of the drive's variance that each of `IT_TUNINGS` has; they sum to 1. */
  readonly shares: Readonly<Record<ItTuning, number>>;
  /** Weight of each of `IT_POSE` in units of its standard deviation, of unit length. */
  readonly pose: Float64Array<ArrayBuffer>;
  /** Answer to each category, of mean 0 and variance 1. */
  readonly category: Float64Array<ArrayBuffer>;
  /** Answer to each of `IT_CONTENT`. */
  readonly content: Readonly<Record<typeof IT_CONTENT[number], ContentTuning>>;
  /** Softplus' gain on the drive. */
  readonly gain: number;
  /** Added to the drive times the gain. */
  readonly offset: number;
  /** Share of the variance of trial averages that is signal. */
  readonly reliability: number;
  /** Standard deviation of the noise in one trial, in units of the responses. */
  readonly trialNoise: number;
}

/** Responses with what is true of them. */
export interface ItResponses {
  /** Averages over trials, `[n, nSites]`; the sites of the first monkey come first. */
  readonly responses: Float32Array<ArrayBuffer>;
  /** The same without noise. */
  readonly signal: Float32Array<ArrayBuffer>;
  /** Planted tuning of each site. */
  readonly sites: readonly ItSite[];
}

/** Options of {@link simulateIt}. */
export interface ItPopulationOptions {
  /** Of all draws. */
  readonly seed?: number;
  /** Sites of each monkey. */
  readonly monkeys?: readonly number[];
  /** Presentations of each image, over which responses are averaged. */
  readonly nTrials?: number;
  /** Range of the sites' reliabilities, each over 0 and at most 1. */
  readonly reliability?: readonly [number, number];
  /** Number of the first image, as it was drawn. */
  readonly start?: number;
}

const SITES = 42, REFERENCE = 43, NOISE = 44; // Streams of draws.
const MONKEYS = [58, 110]; // Sites of the two monkeys of the HvM recordings.
const TRIALS = 28; // Fewest repeats of an image in those recordings.
const RELIABILITY = [0.6, 0.95] as const;
// Of ten sites four are mostly for pose, three for category, and three for content.
const MAIN: readonly ItTuning[] = [
  ...Array(4).fill("pose"),
  ...Array(3).fill("category"),
  "stripes",
  "stripes",
  "tone",
];
const MINOR = 0.12; // Largest share of the drive's variance, before they are made to sum to 1, of what a site is not mainly for.
const WIDTH = 0.22; // Standard deviation of a peak, in the factor's range.
const N_REFERENCE = 512; // Scenes over which a site's signal variance is taken.

/** A value's place in its factor's range, 0 to 1. */
function placeOf(factor: ItFactor, { values }: ItScene): number {
  const [low, high] = IT_RANGES[factor];
  return (values[factor] - low) / (high - low);
}

function shapeAt({ shape, peak }: ContentTuning, x: number): number {
  if (shape === "peaked") return Math.exp(-0.5 * ((x - peak) / WIDTH) ** 2);
  return shape === "rising" ? x : 1 - x;
}

/** Answer to a content factor, of mean 0 and variance 1 over the factor's range. */
function contentAnswer(tuning: ContentTuning): (x: number) => number {
  const grid = Array.from({ length: 200 }, (_, i) => shapeAt(tuning, (i + 0.5) / 200));
  const mean = grid.reduce((s, v) => s + v, 0) / 200;
  const sd = Math.sqrt(grid.reduce((s, v) => s + (v - mean) ** 2, 0) / 200);
  return (x) => (shapeAt(tuning, x) - mean) / sd;
}

function unitRow(draws: Draws, length: number, centred: boolean): Float64Array<ArrayBuffer> {
  const row = Float64Array.from({ length }, () => draws.normal());
  const mean = centred ? row.reduce((s, v) => s + v, 0) / length : 0;
  const norm = Math.hypot(...row.map((v) => v - mean)) / (centred ? Math.sqrt(length) : 1);
  return row.map((v) => (v - mean) / norm);
}

type Tuned = Omit<ItSite, "reliability" | "trialNoise">;

function drawTuned(draws: Draws, monkey: number): Tuned {
  const main = draws.pick(MAIN);
  const raw = IT_TUNINGS.map((kind) => kind === main ? 1 : draws.uniform(0, MINOR));
  const total = raw.reduce((s, v) => s + v, 0);
  const shares = Object.fromEntries(IT_TUNINGS.map((kind, k) => [kind, raw[k] / total]));
  const content = IT_CONTENT.map((name): [string, ContentTuning] => [
    name,
    { shape: draws.pick(["rising", "falling", "peaked"] as const), peak: draws.uniform(0.2, 0.8) },
  ]);
  return {
    monkey,
    shares: shares as Record<ItTuning, number>,
    pose: unitRow(draws, IT_POSE.length, false),
    category: unitRow(draws, IT_CATEGORIES.length, true),
    content: Object.fromEntries(content) as ItSite["content"],
    gain: draws.uniform(0.7, 1.3),
    offset: draws.uniform(-0.3, 0.9),
  };
}

/** A site's answer without noise: softplus of its drive. */
function answerOf(site: Tuned): (scene: ItScene) => number {
  const weight = (kind: ItTuning) => Math.sqrt(site.shares[kind]);
  const content = IT_CONTENT.map((name) => ({
    name,
    weight: weight(name),
    answer: contentAnswer(site.content[name]),
  }));
  const spread = Math.sqrt(12); // Of a uniform factor's range: a place less a half, times it, has unit variance.
  return (scene) => {
    const pose = IT_POSE.reduce(
      (s, name, k) => s + site.pose[k] * spread * (placeOf(name, scene) - 0.5),
      0,
    );
    let drive = weight("pose") * pose + weight("category") * site.category[scene.category];
    for (const { name, weight, answer } of content) {
      drive += weight * answer(placeOf(name, scene));
    }
    return Math.log1p(Math.exp(site.gain * drive + site.offset));
  };
}

function checkOptions(
  { monkeys, nTrials, reliability: [low, high] }: Required<
    Omit<ItPopulationOptions, "seed" | "start">
  >,
): void {
  const whole = (value: number) => Number.isInteger(value) && value >= 1;
  if (monkeys.length === 0 || !monkeys.every(whole) || !whole(nTrials)) {
    throw new InputError(
      `Cannot simulate monkeys of ${monkeys.join(", ")} sites in ${nTrials} trials: ` +
        "there must be whole numbers of both, from 1",
    );
  }
  if (!(low > 0 && low <= high && high <= 1)) {
    throw new InputError(
      `Cannot simulate reliabilities from ${low} to ${high}: they must rise, over 0 and at most 1`,
    );
  }
}

/**
 * Responses of simulated sites to images of `renderItStimuli`.
 *
 * A site's drive is a mixture, in its planted shares, of a linear answer to pose, one to the category, and rising, falling or peaked ones
 * to stripes and tone, each of unit variance; softplus makes it a rate, and averages over trials have normal noise.
 * Image `i` gets the same responses however many there are.
 *
 * @returns responses `[n, nSites]`
 * @throws {InputError} when there is no scene or site, or reliabilities are not over 0 and at most 1
 */
export function simulateIt(
  { scenes }: { readonly scenes: readonly ItScene[] },
  {
    seed = 0,
    monkeys = MONKEYS,
    nTrials = TRIALS,
    reliability = RELIABILITY,
    start = 0,
  }: ItPopulationOptions = {},
): ItResponses {
  checkOptions({ monkeys, nTrials, reliability });
  if (scenes.length === 0) throw new InputError("Cannot simulate responses to no images");
  const reference = Array.from({ length: N_REFERENCE }, (_, i) => drawItScene(REFERENCE, i));
  const made = monkeys.flatMap((nSites, monkey) =>
    Array.from({ length: nSites }, (_, i) => {
      const draws = new Draws(seed, SITES, monkey, i);
      const tuned = drawTuned(draws, monkey), answer = answerOf(tuned);
      const known = reference.map(answer);
      const mean = known.reduce((s, v) => s + v, 0) / N_REFERENCE;
      const variance = known.reduce((s, v) => s + (v - mean) ** 2, 0) / N_REFERENCE;
      const share = draws.uniform(...reliability);
      const trialNoise = Math.sqrt(nTrials * variance * (1 - share) / share);
      const site: ItSite = { ...tuned, reliability: share, trialNoise };
      return { site, answer };
    })
  );
  const nSites = made.length, signal = new Float32Array(scenes.length * nSites);
  const responses = new Float32Array(signal.length);
  scenes.forEach((scene, i) => {
    const draws = new Draws(seed, NOISE, start + i);
    made.forEach(({ site, answer }, s) => {
      const at = i * nSites + s, value = answer(scene);
      signal[at] = value;
      // The mean of normal noise over trials is normal: one draw stands for all of them.
      responses[at] = value + draws.normal() * site.trialNoise / Math.sqrt(nTrials);
    });
  });
  return { responses, signal, sites: made.map(({ site }) => site) };
}
