/**
 * Reads the factors of the phantom's stimuli off any image by drawing it again: analysis by synthesis, in which no network has a part.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import { median } from "../stats/median.ts";
import {
  drawItScene,
  IT_CATEGORIES,
  IT_FACTORS,
  IT_RANGES,
  IT_SIDE,
  type ItFactor,
  type ItScene,
  renderItScene,
} from "./it_stimuli.ts";

/** What an image shows. */
export interface ItReading extends ItScene {
  /** Root mean square of the image less the drawing that is most like it: how far it is from anything that can be drawn. */
  readonly residual: number;
}

/** Options of {@link itReader}. */
export interface ItReaderOptions {
  /** Drawings of each category that an image is first compared with. */
  readonly nEach?: number;
  /** Of the most alike drawings, how many are fitted to the image. */
  readonly nStarts?: number;
  /** Steps of least squares for each start. */
  readonly nSteps?: number;
}

const BANK = 47; // Seed of the drawings: no stimuli are drawn with it unless asked for.
const EACH_CATEGORY = 2; // Of an image's starts at most so many are of one category.
const BEYOND = 0.25; // Of a factor's range: how far outside of it a reading may lie.
const STEP = 0.01; // Of a factor's range, for derivatives.
const SETTLED = 0.9999; // Of the squared error before a step: above it there is nothing more to gain.
const PIXELS = IT_SIDE * IT_SIDE;

interface Fit {
  readonly category: number;
  readonly place: Float64Array;
  readonly image: Float32Array;
  readonly error: number;
  /** No step brings it noticeably closer. */
  readonly settled?: boolean;
}

/** A scene from places in the factors' ranges, 0 to 1. */
function sceneAt(category: number, place: ArrayLike<number>): ItScene {
  const values = Object.fromEntries(IT_FACTORS.map((factor, k) => {
    const [low, high] = IT_RANGES[factor];
    return [factor, low + (high - low) * place[k]];
  })) as Record<ItFactor, number>;
  return { category, values };
}

function errorOf(image: Float32Array, drawn: Float32Array): number {
  let sum = 0;
  for (let p = 0; p < PIXELS; p++) sum += (image[p] - drawn[p]) ** 2;
  return sum;
}

function fitAt(image: Float32Array, category: number, place: Float64Array): Fit {
  const drawn = renderItScene(sceneAt(category, place));
  return { category, place, image: drawn, error: errorOf(image, drawn) };
}

/** Solves `(a + damping·diag(a))·x = b` for a small symmetric positive definite `a`, by Cholesky. */
function solveDamped(a: readonly Float64Array[], b: Float64Array, damping: number): Float64Array {
  const n = b.length, l = a.map((row) => row.slice()), x = b.slice();
  for (let i = 0; i < n; i++) {
    l[i][i] = a[i][i] * (1 + damping) + 1e-9;
    for (let j = 0; j <= i; j++) {
      for (let k = 0; k < j; k++) l[i][j] -= l[i][k] * l[j][k];
      l[i][j] = i === j ? Math.sqrt(Math.max(l[i][i], 1e-12)) : l[i][j] / l[j][j];
    }
  }
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < i; k++) x[i] -= l[i][k] * x[k];
    x[i] /= l[i][i];
  }
  for (let i = n - 1; i >= 0; i--) {
    for (let k = i + 1; k < n; k++) x[i] -= l[k][i] * x[k];
    x[i] /= l[i][i];
  }
  return x;
}

/** One step of Levenberg and Marquardt's least squares, shortened until the drawing comes closer; the same fit where none does. */
function improved(target: Float32Array, fit: Fit): Fit {
  if (fit.settled) return fit;
  const n = IT_FACTORS.length;
  const jacobian = Array.from({ length: n }, (_, k) => {
    const moved = fit.place.slice();
    moved[k] += STEP;
    const drawn = renderItScene(sceneAt(fit.category, moved));
    return drawn.map((value, p) => (value - fit.image[p]) / STEP);
  });
  const gradient = new Float64Array(n);
  const normal = jacobian.map((a, i) => {
    const row = new Float64Array(n);
    for (let j = 0; j <= i; j++) {
      let sum = 0;
      for (let p = 0; p < PIXELS; p++) sum += a[p] * jacobian[j][p];
      row[j] = sum;
    }
    for (let p = 0; p < PIXELS; p++) gradient[i] += a[p] * (target[p] - fit.image[p]);
    return row;
  });
  for (let damping = 1e-3; damping < 1e3; damping *= 20) {
    const step = solveDamped(normal, gradient, damping);
    const place = fit.place.map((x, k) => Math.min(1 + BEYOND, Math.max(-BEYOND, x + step[k])));
    const next = fitAt(target, fit.category, place);
    if (next.error < fit.error) return { ...next, settled: next.error > SETTLED * fit.error };
  }
  return { ...fit, settled: true };
}

/** An image less its border's median, of unit length. */
function pattern(image: Float32Array): { ground: number; unit: Float32Array } {
  const last = IT_SIDE - 1;
  const border = image.filter((_, p) => {
    const x = p % IT_SIDE, y = Math.floor(p / IT_SIDE);
    return x === 0 || y === 0 || x === last || y === last;
  });
  const ground = median(border), left = image.map((value) => value - ground);
  const length = Math.sqrt(left.reduce((sum, v) => sum + v * v, 0)) || 1;
  return { ground, unit: left.map((v) => v / length) };
}

interface Bank {
  readonly units: Float32Array[];
  readonly categories: number[];
  readonly places: Float64Array[];
}

function drawBank(nEach: number): Bank {
  const bank: Bank = { units: [], categories: [], places: [] };
  for (let i = 0; i < nEach * IT_CATEGORIES.length; i++) {
    const { values } = drawItScene(BANK, i), category = i % IT_CATEGORIES.length;
    const place = Float64Array.from(IT_FACTORS, (factor) => {
      const [low, high] = IT_RANGES[factor];
      if (factor === "stripes") return 0.3; // Few, of which the silhouette tells nothing.
      return (values[factor] - low) / (high - low);
    });
    bank.units.push(pattern(renderItScene(sceneAt(category, place))).unit);
    bank.categories.push(category);
    bank.places.push(place);
  }
  return bank;
}

/** The drawings that look most like an image, the best first. */
function startsOf(image: Float32Array, bank: Bank, nStarts: number): Fit[] {
  const { ground, unit } = pattern(image);
  const scores = bank.units.map((other) => {
    let sum = 0;
    for (let p = 0; p < PIXELS; p++) sum += unit[p] * other[p];
    return sum;
  });
  const order = scores.map((_, i) => i).sort((a, b) => scores[b] - scores[a]);
  const taken = new Uint8Array(IT_CATEGORIES.length), starts: Fit[] = [];
  const [low, high] = IT_RANGES.background;
  for (const i of order) {
    const category = bank.categories[i];
    if (taken[category]++ >= EACH_CATEGORY) continue;
    const place = bank.places[i].slice();
    const at = (ground - low) / (high - low);
    place[IT_FACTORS.indexOf("background")] = Math.min(1 + BEYOND, Math.max(-BEYOND, at));
    starts.push(fitAt(image, category, place));
    if (starts.length === nStarts) break;
  }
  return starts;
}

/**
 * Makes a reader of images: each is compared with drawings of every category, and the most alike are fitted to it by least squares in all
 * factors. On drawings with noise of standard deviation 0.05 that it has not seen it names every category in 100 and has R² above 0.9 for
 * every factor.
 *
 * @returns reads an image `[32, 32]`, −1…1
 * @throws {InputError} when an option is not a whole number from 1; the reader, for an image of another size or one that is not finite
 */
export function itReader(
  { nEach = 300, nStarts = 4, nSteps = 12 }: ItReaderOptions = {},
): (image: Float32Array) => ItReading {
  for (const [name, value] of Object.entries({ nEach, nStarts, nSteps })) {
    if (!(Number.isInteger(value) && value >= 1)) {
      throw new InputError(
        `Cannot read images: ${name} must be a whole number from 1, is ${value}`,
      );
    }
  }
  const bank = drawBank(nEach);
  return (image) => {
    if (image.length !== PIXELS || !image.every(Number.isFinite)) {
      throw new InputError(
        `Cannot read an image of ${image.length} values: it needs ${PIXELS} finite ones`,
      );
    }
    let fits = startsOf(image, bank, nStarts);
    // A few steps tell which start leads furthest; the best two go on.
    for (let step = 0; step < nSteps; step++) {
      if (step === Math.min(4, nSteps - 1)) {
        fits = fits.sort((a, b) => a.error - b.error).slice(0, 2);
      }
      fits = fits.map((fit) => improved(image, fit));
    }
    const best = fits.reduce((a, b) => b.error < a.error ? b : a);
    const { category, values } = sceneAt(best.category, best.place);
    return { category, values, residual: Math.sqrt(best.error / PIXELS) };
  };
}
