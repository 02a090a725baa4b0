import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";

/**
 * Latents of one group.
 *
 * @param latents of all groups side by side, `[n, sum of sizes]`
 * @param sizes length of each group
 * @returns `[n, sizes[group]]`
 * @throws {InputError} when there is no such group, or the sizes are not those of the latents
 */
export function latentsOfGroup(
  { data, shape: [n, width] }: HostMatrix,
  sizes: readonly number[],
  group: number,
): HostMatrix {
  requireGroup(sizes, group);
  const total = sizes.reduce((a, b) => a + b, 0);
  if (width !== total) {
    throw new InputError(
      `Cannot take group ${group} of latents [${n},${width}]: groups of ${sizes} are ${total} wide`,
    );
  }
  const start = sizes.slice(0, group).reduce((a, b) => a + b, 0), own = sizes[group];
  const values = new Float32Array(n * own);
  for (let i = 0; i < n; i++) {
    values.set(data.subarray(i * width + start, i * width + start + own), i * own);
  }
  return hostMatrix(values, [n, own]);
}

/** Refuses a group that is not there. @internal */
export function requireGroup(sizes: readonly number[], group: number): void {
  if (Number.isInteger(group) && group >= 0 && group < sizes.length) return;
  throw new InputError(
    `Cannot take group ${group} of latents: there are ${sizes.length}, counted from 0`,
  );
}

/** One image to make: a source, and what the latents of one of its groups should become. */
export interface SteerJob {
  /** Number of the source image, from 0. */
  readonly source: number;
  /** Group that is changed, from 0. */
  readonly group: number;
  /** Latents of that group to aim at. */
  readonly target: Float32Array<ArrayBuffer>;
  /** What was added to the source's own, where that is how the target came about. */
  readonly gamma?: number;
}

/** γ of MIG-Vis's traversals. */
export const paperGammas: readonly number[] = [-10, -5, 5, 10];

/** What to traverse. */
export interface TraversalOptions {
  /** Length of each group. */
  readonly sizes: readonly number[];
  /** Groups to traverse (default: all). */
  readonly groups?: readonly number[];
  /** Rows of the latents that belong to the sources (default: all). */
  readonly sources?: readonly number[];
  /** Added to every latent of the group (default {@link paperGammas}). */
  readonly gammas?: readonly number[];
}

/**
 * Jobs of traversals as MIG-Vis has them, z + γ·1 in one group: by source, then group, then γ. Their sources count from 0 in the order of
 * `sources`.
 *
 * @param latents of all images, `[n, sum of sizes]`
 * @throws {InputError} as {@link latentsOfGroup}, and when a source is not there
 */
export function traversalJobs(
  latents: HostMatrix,
  { sizes, groups = sizes.map((_, g) => g), sources, gammas = paperGammas }: TraversalOptions,
): SteerJob[] {
  return rowsOf(latents, sources).flatMap((row, source) =>
    groups.flatMap((group) => {
      const own = groupRow(latents, { sizes, group, row });
      return gammas.map((gamma): SteerJob => ({
        ...{ source, group, gamma },
        target: own.map((value) => value + gamma),
      }));
    })
  );
}

/** Whose latents sources are brought to. */
export interface LatentExchangeOptions extends Omit<TraversalOptions, "gammas"> {
  /** Rows of the latents to aim at. */
  readonly targets: readonly number[];
}

/**
 * Jobs that bring groups of the sources to those of other images, as MIG-Vis's code does: by source, then group, then target.
 *
 * @param latents of all images, `[n, sum of sizes]`
 * @throws {InputError} as {@link traversalJobs}, and when a target is not there
 */
export function exchangeJobs(
  latents: HostMatrix,
  { sizes, groups = sizes.map((_, g) => g), sources, targets }: LatentExchangeOptions,
): SteerJob[] {
  rowsOf(latents, targets);
  return rowsOf(latents, sources).flatMap((_, source) =>
    groups.flatMap((group) =>
      targets.map((row): SteerJob => ({
        ...{ source, group },
        target: groupRow(latents, { sizes, group, row }),
      }))
    )
  );
}

function groupRow(
  latents: HostMatrix,
  { sizes, group, row }: { sizes: readonly number[]; group: number; row: number },
): Float32Array<ArrayBuffer> {
  const own = latentsOfGroup(latents, sizes, group), width = own.shape[1];
  return own.data.slice(row * width, (row + 1) * width);
}

function rowsOf({ shape: [n] }: HostMatrix, rows?: readonly number[]): readonly number[] {
  const bad = rows?.find((row) => !(Number.isInteger(row) && row >= 0 && row < n));
  if (bad === undefined) return rows ?? Array.from({ length: n }, (_, row) => row);
  throw new InputError(`Cannot take latents of image ${bad}: there are ${n}, counted from 0`);
}
