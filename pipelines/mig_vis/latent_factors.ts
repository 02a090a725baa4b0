/**
 * Which factors of stimuli each group of latents tells: readouts from one group at a time, judged on held-out stimuli.
 *
 * @module
 */
import type { Key } from "../../engine/random.ts";
import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import { multiply, productsOf } from "../encoding/host_products.ts";
import { assignRows } from "../stats/assignment.ts";
import { pinvHost } from "../stats/svd.ts";
import { judgedReadouts, type Regression } from "./factor_readouts.ts";
import type { Factor, Readings } from "./factors.ts";

/** Columns of one group, each less its mean and over its standard deviation, and all products of two. */
function quadratic(
  { data, shape: [n, width] }: HostMatrix,
  start: number,
  end: number,
): HostMatrix {
  const own = end - start, rows: number[][] = Array.from({ length: n }, () => []);
  for (let k = start; k < end; k++) {
    let [mean, squares] = [0, 0];
    for (let i = 0; i < n; i++) mean += data[i * width + k] / n;
    for (let i = 0; i < n; i++) squares += (data[i * width + k] - mean) ** 2 / n;
    rows.forEach((row, i) => row.push((data[i * width + k] - mean) / (Math.sqrt(squares) || 1)));
  }
  for (const row of rows) {
    for (let a = 0; a < own; a++) for (let b = 0; b <= a; b++) row.push(row[a] * row[b]);
  }
  return hostMatrix(rows.flat(), [n, rows[0].length]);
}

const PENALTY = 1e-4; // Of the stimuli's number, for columns of variance 1: against columns that say the same.

/** Features with a column of ones. */
function withOnes({ data, shape: [n, p] }: HostMatrix): Float64Array<ArrayBuffer> {
  return Float64Array.from({ length: n * (p + 1) }, (_, at) => {
    const j = at % (p + 1);
    return j < p ? data[Math.floor(at / (p + 1)) * p + j] : 1;
  });
}

/** Least squares in float64 on the host, for few features. */
const leastSquares: Regression = (features, targets) => {
  const [n, p] = features.shape, nTargets = targets.shape[1], x = withOnes(features);
  const gram = productsOf(x, [n, p + 1], { transpose: true });
  for (let j = 0; j < p; j++) gram[j * (p + 2)] += PENALTY * n;
  const moments = new Float64Array((p + 1) * nTargets);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= p; j++) {
      const value = x[i * (p + 1) + j];
      for (let t = 0; t < nTargets; t++) {
        moments[j * nTargets + t] += value * targets.data[i * nTargets + t];
      }
    }
  }
  const coef = multiply(pinvHost(gram, [p + 1, p + 1]), moments, [p + 1, p + 1, nTargets]);
  return Promise.resolve((some: HostMatrix) => {
    const told = multiply(withOnes(some), coef, [some.shape[0], p + 1, nTargets]);
    return Promise.resolve(hostMatrix(told, [some.shape[0], nTargets]));
  });
};

/**
 * How well each group of latents tells each factor of held-out stimuli, by least squares on the group's latents and their products: mean R²
 * over a factor's numbers; for a class how far the share of right ones is on the way from that of the most frequent class to all.
 *
 * @param latents of all groups side by side, `[n, sum of sizes]`
 * @param labels of the same stimuli, `[n, nColumns]`
 * @param options.sizes length of each group
 * @param options.key draws which stimuli are held out
 * @returns `[nGroups][nFactors]`
 * @throws {InputError} when the sizes are not those of the latents, and as `judgedReadouts` says
 */
export async function latentFactors(
  { latents, labels }: { readonly latents: HostMatrix; readonly labels: Readings },
  factors: readonly Factor[],
  { sizes, key }: { readonly sizes: readonly number[]; readonly key: Key },
): Promise<number[][]> {
  const total = sizes.reduce((a, b) => a + b, 0);
  if (total !== latents.shape[1]) {
    throw new InputError(
      `Cannot read groups of ${sizes} from latents [${latents.shape}]: they are ${total} wide`,
    );
  }
  const table: number[][] = [];
  let start = 0;
  for (const size of sizes) {
    const features = quadratic(latents, start, start + size);
    // The same stimuli are held out for every group.
    const { scores } = await judgedReadouts(leastSquares, { features, labels }, factors, { key });
    table.push(factors.map(({ columns, kind }) => {
      if (kind === "class") return aboveChance(scores[columns[0]], labels, columns[0]);
      return columns.reduce((sum, c) => sum + scores[c], 0) / columns.length;
    }));
    start += size;
  }
  return table;
}

function aboveChance(share: number, { data, shape: [n, width] }: Readings, column: number): number {
  const counts = new Map<number, number>();
  for (let i = 0; i < n; i++) {
    const c = data[i * width + column];
    counts.set(c, (counts.get(c) ?? 0) + 1);
  }
  const chance = Math.max(...counts.values()) / n;
  return (share - chance) / (1 - chance);
}

/**
 * The factor that each group stands for: given ones where the groups were supervised, and of the rest those which make the sum of what
 * groups tell of their factors largest, each factor once.
 *
 * @param table of {@link latentFactors}
 * @param given factor of some groups, an index
 * @param candidates factors that the other groups may stand for (default: all that none is given)
 * @returns an index into the factors for each group, −1 where none is left
 * @throws {InputError} for a group or factor that is not there
 */
export function ownFactors(
  table: readonly (readonly number[])[],
  given: ReadonlyMap<number, number>,
  candidates?: readonly number[],
): number[] {
  const nFactors = table[0]?.length ?? 0, own = table.map((_, g) => given.get(g) ?? -1);
  const taken = new Set(given.values());
  const free = candidates ??
    Array.from({ length: nFactors }, (_, f) => f).filter((f) => !taken.has(f));
  const bad = [...given.keys()].some((g) => !(g in table)) ||
    [...taken, ...free].some((f) => !(Number.isInteger(f) && f >= 0 && f < nFactors));
  if (bad) {
    throw new InputError(
      `Cannot name factors of ${table.length} groups: groups ${[...given.keys()]}, factors ${[
        ...taken,
        ...free,
      ]} of ${nFactors}, counted from 0`,
    );
  }
  const rest = table.map((_, g) => g).filter((g) => !given.has(g));
  if (rest.length === 0 || free.length === 0) return own;
  const gains = rest.flatMap((g) => free.map((f) => table[g][f]));
  assignRows(gains, [rest.length, free.length], { maximize: true })
    .forEach((column, row) => own[rest[row]] = column < 0 ? -1 : free[column]);
  return own;
}
