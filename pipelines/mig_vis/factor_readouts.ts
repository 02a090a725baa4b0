/**
 * Readouts of factors from a network's features, for stimuli with labels: the network should be another than the one that steered, or its
 * own quirks count as effects.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import type { Key } from "../../engine/random.ts";
import { permutation } from "../encoding/cross_validation.ts";
import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import { RidgeCV } from "../encoding/ridge.ts";
import { InputError } from "../errors.ts";
import { type Factor, type Readings, requireReadings } from "./factors.ts";

/** Options of {@link fitFactorReadouts}. */
export interface FactorReadoutOptions {
  /** Draws which images are held out. */
  readonly key: Key;
  /** Share of the images that the readouts are judged on (default 0.2). */
  readonly heldOut?: number;
  /** Ridge penalties to choose from (default 1e-3 to 1e5). */
  readonly alphas?: readonly number[];
}

/** Fitted readouts. */
export interface FactorReadouts {
  /** Readings of images from their features, `[n, nColumns]` in the labels' columns; 0 in columns of no factor. */
  read(features: HostMatrix): Promise<Readings>;
  /** On held-out images, R² of each column of numbers and the share of right classes, `[nColumns]`; NaN for columns of no factor. */
  readonly scores: Float64Array<ArrayBuffer>;
}

const ALPHAS = Array.from({ length: 9 }, (_, i) => 10 ** (i - 3));

/** Where a column of the labels is found among the regression's targets. */
interface Target {
  readonly column: number;
  /** First target. */
  readonly at: number;
  /** Class of each target from there; none for a number. */
  readonly classes?: readonly number[];
}

function targetsOf({ data, shape: [n, nColumns] }: Readings, factors: readonly Factor[]): Target[] {
  const targets: Target[] = [];
  let at = 0;
  for (const { columns, kind } of factors) {
    for (const column of columns) {
      const values = Array.from({ length: n }, (_, i) => data[i * nColumns + column]);
      const classes = kind === "class" ? [...new Set(values)].sort((a, b) => a - b) : undefined;
      targets.push({ column, at, classes });
      at += classes?.length ?? 1;
    }
  }
  return targets;
}

/** Labels as the regression's targets: numbers as they are, classes as one column of zeros and ones each. */
function encoded({ data, shape: [n, nColumns] }: Readings, targets: readonly Target[]): HostMatrix {
  const rows = Array.from({ length: n }, (_, i) =>
    targets.flatMap(({ column, classes }) => {
      const value = data[i * nColumns + column];
      return classes ? classes.map((c) => Number(c === value)) : [value];
    }));
  return hostMatrix(rows.flat(), [n, rows[0].length]);
}

function decoded(
  { data, shape: [n, width] }: HostMatrix,
  targets: readonly Target[],
  nColumns: number,
): Readings {
  const out = new Float64Array(n * nColumns);
  for (let i = 0; i < n; i++) {
    for (const { column, at, classes } of targets) {
      const told = data.subarray(i * width + at, i * width + at + (classes?.length ?? 1));
      out[i * nColumns + column] = classes ? classes[told.indexOf(Math.max(...told))] : told[0];
    }
  }
  return { data: out, shape: [n, nColumns] };
}

function rowsOf({ data, shape: [, width] }: HostMatrix, rows: ArrayLike<number>): HostMatrix {
  const out = new Float32Array(rows.length * width);
  for (let r = 0; r < rows.length; r++) {
    out.set(data.subarray(rows[r] * width, (rows[r] + 1) * width), r * width);
  }
  return { data: out, shape: [rows.length, width] };
}

function labelRows({ data, shape: [, nColumns] }: Readings, rows: ArrayLike<number>): Readings {
  const out = Array.from(
    rows,
    (row) => Array.from({ length: nColumns }, (_, c) => data[row * nColumns + c]),
  );
  return { data: out.flat(), shape: [rows.length, nColumns] };
}

function scoresOf(
  told: Readings,
  known: Readings,
  targets: readonly Target[],
): Float64Array<ArrayBuffer> {
  const [n, nColumns] = known.shape, scores = new Float64Array(nColumns).fill(NaN);
  for (const { column, classes } of targets) {
    const pairs = Array.from({ length: n }, (_, i) => {
      const at = i * nColumns + column;
      return [told.data[at], known.data[at]];
    });
    const mean = pairs.reduce((s, [, y]) => s + y, 0) / n;
    const total = pairs.reduce((s, [, y]) => s + (y - mean) ** 2, 0);
    const missed = pairs.reduce((s, [x, y]) => s + (classes ? Number(x !== y) : (x - y) ** 2), 0);
    scores[column] = 1 - missed / (classes ? n : total);
  }
  return scores;
}

/** Fits features `[n, nFeatures]` to targets `[n, nTargets]`, and predicts those of other features. */
export type Regression = (
  features: HostMatrix,
  targets: HostMatrix,
) => Promise<(features: HostMatrix) => Promise<HostMatrix>>;

/**
 * Readouts by any regression, judged on stimuli held out and then fitted to all.
 *
 * @throws {InputError} when rows differ in number, a label is not finite, or fewer than ten images are on either side of the split
 */
export async function judgedReadouts(
  regression: Regression,
  { features, labels }: { readonly features: HostMatrix; readonly labels: Readings },
  factors: readonly Factor[],
  { key, heldOut = 0.2 }: Pick<FactorReadoutOptions, "key" | "heldOut">,
): Promise<FactorReadouts> {
  requireReadings(labels, "labels");
  const [n, nColumns] = labels.shape, nTest = Math.round(heldOut * n);
  if (features.shape[0] !== n || !(nTest >= 10 && n - nTest >= 10)) {
    throw new InputError(
      `Cannot fit readouts of ${n} labels from features of ${
        features.shape[0]
      } images with ${nTest} held out: there must be as many, and ten on either side`,
    );
  }
  const targets = targetsOf(labels, factors), order = permutation(key, n);
  const fit = (rows: ArrayLike<number>) =>
    regression(rowsOf(features, rows), encoded(labelRows(labels, rows), targets));
  const test = order.subarray(0, nTest), judged = await fit(order.subarray(nTest));
  const told = decoded(await judged(rowsOf(features, test)), targets, nColumns);
  const fitted = await fit(order);
  return {
    scores: scoresOf(told, labelRows(labels, test), targets),
    read: async (some) => decoded(await fitted(some), targets, nColumns),
  };
}

/**
 * Fits ridge regressions from features to every factor, classes as one target each of which the largest is told, with penalties chosen by
 * cross-validation. They are judged on images held out, and then fitted to all.
 *
 * @param features of the labelled images, `[n, nFeatures]`
 * @param labels `[n, nColumns]`
 * @throws {InputError} as {@link judgedReadouts} says, and when a feature is not finite
 */
export async function fitFactorReadouts(
  gpu: Gpu,
  data: { readonly features: HostMatrix; readonly labels: Readings },
  factors: readonly Factor[],
  { alphas = ALPHAS, ...options }: FactorReadoutOptions,
): Promise<FactorReadouts> {
  const ridge: Regression = async (features, targets) => {
    const fitted = await new RidgeCV(gpu, { alphas }).fit(features, targets);
    return (some) => fitted.predict(some);
  };
  return await judgedReadouts(ridge, data, factors, options);
}
