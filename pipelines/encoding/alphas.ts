import { InputError } from "../errors.ts";
import { quote } from "../io/strict_json.ts";

/**
 * `count` values from 10^from to 10^to, evenly spaced on a log scale, as numpy's.
 *
 * @throws {InputError} when `count` is not a whole number of 2 or more, or an exponent is not finite
 */
export function logspace(from: number, to: number, count: number): number[] {
  const isRange = Number.isFinite(from) && Number.isFinite(to);
  if (!isRange || !Number.isInteger(count) || count < 2 || count > 10_000) {
    throw new InputError(
      `Cannot make ${count} values from 10^${from} to 10^${to}: there must be from 2 to 10000, between finite exponents`,
    );
  }
  return Array.from({ length: count }, (_, i) => 10 ** (from + (to - from) * i / (count - 1)));
}

const NUMBER = String.raw`\s*([^,:()\s]+)\s*`;
const RANGES = [
  new RegExp(`^${NUMBER}:${NUMBER}:${NUMBER}$`),
  new RegExp(String.raw`^\s*logspace\(${NUMBER},${NUMBER},${NUMBER}\)\s*$`),
];

/**
 * Alphas from text: a list `0.1,1,10`, or exponents of ten and how many, as `from:to:count` or `logspace(from,to,count)`.
 *
 * @throws {InputError} for anything else, and for values that are not above 0 and finite
 */
export function parseAlphas(text: string): number[] {
  const found = RANGES.map((pattern) => pattern.exec(text)).find((match) => match !== null);
  if (!found && /[:()]/.test(text)) {
    throw new InputError(
      `Cannot use the alphas ${
        quote(text)
      }: they must be a list 0.1,1,10 or a range from:to:count of exponents of ten`,
    );
  }
  const values = (found ? found.slice(1) : text.split(",")).map((part) =>
    part.trim() === "" ? NaN : Number(part)
  );
  const alphas = found ? logspace(values[0], values[1], values[2]) : values;
  const bad = alphas.findIndex((alpha) => !(alpha > 0 && Number.isFinite(alpha)));
  if (bad >= 0) {
    throw new InputError(
      `Cannot use the alphas ${quote(text)}: every one must be a number above 0, number ${
        bad + 1
      } is not`,
    );
  }
  return alphas;
}

// Singular values below this share of the largest are rounding of f32 data, not directions.
const RANK = 1e-7;

/** Squares of the singular values that are directions, and their places. */
function directions(singularValues: ArrayLike<number>): { squares: Float64Array; rows: number[] } {
  const values = Array.from(singularValues);
  const largest = values.reduce((top, s) => Math.max(top, s), 0);
  const bad = values.find((s) => !(s >= 0 && Number.isFinite(s)));
  if (bad !== undefined || largest === 0) {
    throw new InputError(
      `Cannot make alphas of ${values.length} singular values: they must be finite, none below 0 and not all 0${
        bad === undefined ? "" : `, one is ${bad}`
      }`,
    );
  }
  const rows = [...values.keys()].filter((i) => values[i] > RANK * largest);
  return { squares: Float64Array.from(rows, (i) => values[i] ** 2), rows };
}

/**
 * Alphas that take a ridge regression from no shrinkage to nearly nothing left, as fracridge's grid: from 10⁻² of the smallest to 10⁴
 * of the largest squared singular value, both rounded outwards to powers of ten (Rokem and Kay 2020, Fractional ridge regression).
 *
 * @param singularValues of the features, as they are fitted (centred for an intercept); zeros are left out
 * @param options.step decades from one alpha to the next
 * @returns ascending
 * @throws {InputError} when no singular value is above 0, one is not finite, or the step is not above 0
 */
export function fracridgeAlphas(
  singularValues: ArrayLike<number>,
  { step = 0.2 }: { step?: number } = {},
): number[] {
  if (!(step > 0 && step <= 10)) {
    throw new InputError(`Cannot step by ${step} decades: the step must be above 0 and at most 10`);
  }
  const { squares } = directions(singularValues);
  const from = Math.floor(Math.log10(1e-2 * squares.reduce((a, b) => Math.min(a, b))));
  const to = Math.ceil(Math.log10(1e4 * squares.reduce((a, b) => Math.max(a, b))));
  const count = Math.ceil((to - from) / step - 1e-9) + 1;
  return Array.from({ length: count }, (_, i) => 10 ** (from + step * i));
}

/** Length of the coefficients at an alpha as a share of their length without regularisation. */
function shareAt(weights: Float64Array, squares: Float64Array, alpha: number): number {
  let sum = 0;
  for (let i = 0; i < squares.length; i++) {
    const shrinkage = squares[i] / (squares[i] + alpha);
    sum += weights[i] * shrinkage * shrinkage;
  }
  return Math.sqrt(sum);
}

// Far below what a choice between fractions can tell.
const CLOSE = 1e-9;

/** The alpha between two others where the share falls to `fraction`: false position (Illinois) on the log scale. */
function solve(share: (alpha: number) => number, fraction: number, low: number, high: number) {
  let a = Math.log(low), b = Math.log(high);
  let fa = share(low) - fraction, fb = share(high) - fraction;
  if (Math.abs(fa) <= CLOSE) return low;
  if (Math.abs(fb) <= CLOSE) return high;
  for (let turn = 0; turn < 60; turn++) {
    const c = (a * fb - b * fa) / (fb - fa);
    const fc = share(Math.exp(c)) - fraction;
    if (Math.abs(fc) <= CLOSE) return Math.exp(c);
    if (fc > 0) {
      [a, fa] = [c, fc];
      fb /= 2;
    } else {
      [b, fb] = [c, fc];
      fa /= 2;
    }
  }
  return Math.exp((a + b) / 2);
}

/**
 * The alphas at which a target's coefficients have given shares of their length without regularisation, `‖β(α)‖ / ‖β(0)‖`
 * (Rokem and Kay 2020). The grid of {@link fracridgeAlphas} brackets each, a root finder on the log scale does the rest.
 *
 * @param singularValues s of the features `U·diag(s)·Vᵀ`, `[k]`
 * @param uty `Uᵀ·y`, `[k, nTargets]` row-major
 * @param fracs shares, above 0 and at most 1; a share of 1 is alpha 0
 * @returns `[fracs, nTargets]`; a target without coefficients (`Uᵀ·y` all 0) gets the largest alpha of the grid
 * @throws {InputError} for shares out of range, or arrays that do not fit
 */
export function fracsToAlphas(
  singularValues: ArrayLike<number>,
  uty: ArrayLike<number>,
  fracs: readonly number[],
): Float64Array<ArrayBuffer> {
  const bad = fracs.find((fraction) => !(fraction > 0 && fraction <= 1));
  if (bad !== undefined) {
    throw new InputError(
      `Cannot use the fraction ${bad}: fractions must be above 0 and at most 1`,
    );
  }
  const nTargets = uty.length / singularValues.length;
  if (!Number.isInteger(nTargets)) {
    throw new InputError(
      `Cannot use ${uty.length} products with ${singularValues.length} singular values: there must be one row for each`,
    );
  }
  const grid = fracridgeAlphas(singularValues);
  const { squares, rows } = directions(singularValues);
  const weights = new Float64Array(rows.length);
  const alphas = new Float64Array(fracs.length * nTargets);
  for (let v = 0; v < nTargets; v++) {
    let total = 0;
    rows.forEach((row, i) => total += weights[i] = uty[row * nTargets + v] ** 2 / squares[i]);
    for (let i = 0; i < weights.length && total > 0; i++) weights[i] /= total;
    const share = (alpha: number) => shareAt(weights, squares, alpha);
    const known = new Map<number, number>();
    fracs.forEach((fraction, f) => {
      alphas[f * nTargets + v] = total > 0
        ? alphaOf(share, fraction, grid, known)
        : grid[grid.length - 1];
    });
  }
  return alphas;
}

/** The alpha of one share; `known` keeps the shares of the grid from one call to the next. */
function alphaOf(
  share: (alpha: number) => number,
  fraction: number,
  grid: readonly number[],
  known: Map<number, number>,
): number {
  if (fraction === 1) return 0;
  const at = (i: number) => {
    const value = known.get(i) ?? share(grid[i]);
    known.set(i, value);
    return value;
  };
  let low = 0, high = grid.length - 1;
  // Above the share of the smallest alpha or below that of the largest, a bracket is made of further alphas.
  if (at(low) <= fraction) {
    return solve(share, fraction, smaller(share, fraction, grid[0]), grid[0]);
  }
  if (at(high) > fraction) {
    let end = grid[high];
    while (share(end) > fraction) end *= 10;
    return solve(share, fraction, grid[high], end);
  }
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (at(middle) > fraction) low = middle;
    else high = middle;
  }
  return solve(share, fraction, grid[low], grid[high]);
}

function smaller(share: (alpha: number) => number, fraction: number, from: number): number {
  let alpha = from;
  // The share reaches 1 to the last bit at some alpha above 0.
  while (share(alpha) <= fraction && share(alpha) < 1 - CLOSE) alpha /= 10;
  return alpha;
}

/** How many targets chose an alpha at an end of the grid. */
export interface EdgeReport {
  /** Targets at the first alpha. */
  readonly lowest: number;
  /** Targets at the last alpha. */
  readonly highest: number;
  /** All targets. */
  readonly nTargets: number;
}

/**
 * Counts the targets whose best alpha is the first or last of the grid: a better one may lie beyond it.
 *
 * @param bestAlphaIndices index into alphas in ascending order, `[nTargets]`
 * @param nAlphas how many alphas there are; where there is one it was given, not chosen, and nothing is counted
 */
export function edgeReport(bestAlphaIndices: ArrayLike<number>, nAlphas: number): EdgeReport {
  let lowest = 0, highest = 0;
  for (let t = 0; t < bestAlphaIndices.length && nAlphas > 1; t++) {
    if (bestAlphaIndices[t] === 0) lowest++;
    if (bestAlphaIndices[t] === nAlphas - 1) highest++;
  }
  return { lowest, highest, nTargets: bestAlphaIndices.length };
}

/**
 * A grid continued beyond its ends, with the ratio of the two alphas there.
 *
 * @param alphas ascending, two or more
 * @param options.below how many to add under the first
 * @param options.above how many to add over the last
 * @throws {InputError} when there are fewer than two alphas or they do not ascend
 */
export function extendAlphas(
  alphas: readonly number[],
  { below = 0, above = 0 }: { below?: number; above?: number },
): number[] {
  const ascends = alphas.every((alpha, i) => alpha > (i === 0 ? 0 : alphas[i - 1]));
  if (alphas.length < 2 || !ascends) {
    throw new InputError(
      `Cannot extend the alphas [${alphas}]: they must be two or more, ascending`,
    );
  }
  const [first, second] = alphas;
  const [last, before] = [alphas[alphas.length - 1], alphas[alphas.length - 2]];
  return [
    ...Array.from({ length: below }, (_, i) => first * (first / second) ** (below - i)),
    ...alphas,
    ...Array.from({ length: above }, (_, i) => last * (last / before) ** (i + 1)),
  ];
}
