/**
 * Do concepts correspond to regions? Scores of maps against regions, and what regions laid out by chance would score.
 *
 * @module
 */
import type { LongCall } from "../encoding/linear_model.ts";
import { InputError } from "../errors.ts";
import { adjustedMutualInfo } from "../stats/partitions.ts";
import type { SpatialOrders } from "../stats/spatial_nulls.ts";

/** Maps of concepts and the region of every voxel. */
export interface RegionMaps {
  /** Responses of concepts, z-scored per voxel, of held-out images where it matters, `[nClusters, nVoxels]`. */
  readonly maps: ArrayLike<number>;
  /** Region of each voxel from 0, −1 in none, `[nVoxels]`. */
  readonly regionOf: ArrayLike<number>;
  /** Number of regions. */
  readonly nRegions: number;
}

/** How well concepts and regions correspond. */
export interface RegionScores {
  /** d′ of each concept in each region, `[nClusters, nRegions]`. */
  readonly dPrime: Float64Array<ArrayBuffer>;
  /** Region of the greatest d′ of each concept, `[nClusters]`. */
  readonly bestRegion: Int32Array<ArrayBuffer>;
  /** Mean over concepts of their greatest d′. */
  readonly selectivity: number;
  /** Mean over concepts of the greatest share that a region has of their top voxels. */
  readonly purity: number;
  /** Adjusted mutual information of a voxel's strongest concept and its region, over voxels in regions. */
  readonly ami: number;
}

function requireMaps({ maps, regionOf, nRegions }: RegionMaps): number {
  const nClusters = maps.length / regionOf.length;
  if (regionOf.length === 0 || !Number.isInteger(nClusters) || nClusters < 1 || nRegions < 1) {
    throw new InputError(
      `Cannot compare ${maps.length} values with ${nRegions} regions of ${regionOf.length} voxels: there must be whole maps`,
    );
  }
  for (let at = 0; at < maps.length; at++) {
    if (Number.isFinite(maps[at])) continue;
    throw new InputError(
      `Cannot compare maps: concept ${Math.floor(at / regionOf.length)}, voxel ${
        at % regionOf.length
      } is ${maps[at]}`,
    );
  }
  for (let v = 0; v < regionOf.length; v++) {
    const region = regionOf[v];
    if (Number.isInteger(region) && region >= -1 && region < nRegions) continue;
    throw new InputError(
      `Cannot compare maps: voxel ${v} is in region ${region}, there are ${nRegions}`,
    );
  }
  return nClusters;
}

/** d′ of one map in every region: difference of means in and out over the root of the mean variance (n); 0 where nothing varies. */
function dPrimes(
  { maps, regionOf, nRegions }: RegionMaps,
  cluster: number,
  moments: { sums: Float64Array; squares: Float64Array; counts: Float64Array },
  into: Float64Array,
): void {
  const n = regionOf.length, base = cluster * n, { sums, squares, counts } = moments;
  [sums, squares, counts].forEach((values) => values.fill(0));
  let total = 0, square = 0;
  for (let v = 0; v < n; v++) total += maps[base + v];
  const mean = total / n; // moments about it do not cancel
  total = 0;
  for (let v = 0; v < n; v++) {
    const value = maps[base + v] - mean, region = regionOf[v];
    total += value;
    square += value * value;
    if (region < 0) continue;
    sums[region] += value;
    squares[region] += value * value;
    counts[region]++;
  }
  for (let r = 0; r < nRegions; r++) {
    const inside = sums[r] / counts[r], outside = (total - sums[r]) / (n - counts[r]);
    const within = squares[r] / counts[r] - inside * inside;
    const without = (square - squares[r]) / (n - counts[r]) - outside * outside;
    const spread = Math.sqrt(Math.max(0, within + without) / 2);
    into[cluster * nRegions + r] = spread > 0 ? (inside - outside) / spread : 0;
  }
}

/** Voxels of the highest values of each map. */
function topVoxels({ maps, regionOf }: RegionMaps, share: number): Uint32Array[] {
  const n = regionOf.length, count = Math.max(1, Math.round(share * n));
  return Array.from({ length: maps.length / n }, (_, c) => {
    const order = Uint32Array.from({ length: n }, (_, v) => v);
    return order.sort((a, b) => maps[c * n + b] - maps[c * n + a] || a - b).subarray(0, count);
  });
}

/** The concept with the highest value of each voxel, `[nVoxels]`. */
function strongest({ maps, regionOf }: RegionMaps): Uint32Array {
  const n = regionOf.length;
  return Uint32Array.from({ length: n }, (_, v) => {
    let best = 0;
    for (let c = 1; c < maps.length / n; c++) if (maps[c * n + v] > maps[best * n + v]) best = c;
    return best;
  });
}

function scoreWith(
  data: RegionMaps,
  { top, winner }: { readonly top: readonly Uint32Array[]; readonly winner: Uint32Array },
): RegionScores {
  const { regionOf, nRegions } = data, k = top.length;
  const make = () => new Float64Array(nRegions);
  const moments = { sums: make(), squares: make(), counts: make() };
  const dPrime = new Float64Array(k * nRegions), bestRegion = new Int32Array(k);
  let [selectivity, purity] = [0, 0];
  for (let c = 0; c < k; c++) {
    dPrimes(data, c, moments, dPrime);
    const own = dPrime.subarray(c * nRegions, (c + 1) * nRegions);
    const present = own.map((d) => Number.isNaN(d) ? -Infinity : d); // a region without voxels has no d′
    bestRegion[c] = present.indexOf(present.reduce((a, b) => Math.max(a, b)));
    selectivity += own[bestRegion[c]] / k;
    const shares = make();
    for (const v of top[c]) if (regionOf[v] >= 0) shares[regionOf[v]]++;
    purity += shares.reduce((a, b) => Math.max(a, b)) / top[c].length / k;
  }
  const inside = Array.from(winner.keys()).filter((v) => regionOf[v] >= 0);
  const ami = inside.length === 0
    ? NaN
    : adjustedMutualInfo(inside.map((v) => winner[v]), inside.map((v) => regionOf[v]));
  return { dPrime, bestRegion, selectivity, purity, ami };
}

/**
 * Scores of concepts against regions: selectivity d′ = (μ_in − μ_out) / √((σ²_in + σ²_out) / 2) over voxels, purity of the top voxels, and
 * mutual information.
 *
 * @throws {InputError} when maps and regions do not fit together, or a value is not finite
 */
export function regionScores(
  data: RegionMaps,
  { topShare = 0.1 }: { readonly topShare?: number } = {},
): RegionScores {
  requireMaps(data);
  return scoreWith(data, { top: topVoxels(data, topShare), winner: strongest(data) });
}

/** Scores with their p-values. */
export interface RegionTest {
  /** Scores of the regions as they are. */
  readonly observed: RegionScores;
  /** p-value of each d′, `[nClusters, nRegions]`. */
  readonly pDPrime: Float64Array<ArrayBuffer>;
  /** p-value of the mean greatest d′. */
  readonly pSelectivity: number;
  /** p-value of the purity. */
  readonly pPurity: number;
  /** p-value of the adjusted mutual information. */
  readonly pAmi: number;
}

/**
 * Tests the correspondence against regions laid out by chance, `p = (1 + #{null ≥ observed}) / (1 + nPermutations)`.
 *
 * @param options `orders` of voxels by chance: of spins, shifts or permutations
 * @throws {InputError} as {@link regionScores} says, or when there is no permutation
 */
export async function regionTest(
  data: RegionMaps,
  { orders, nPermutations = 1000, topShare = 0.1, signal, onProgress }: LongCall & {
    readonly orders: SpatialOrders;
    readonly nPermutations?: number;
    readonly topShare?: number;
  },
): Promise<RegionTest> {
  requireMaps(data);
  if (!(Number.isInteger(nPermutations) && nPermutations >= 1)) {
    throw new InputError(`Cannot test with ${nPermutations} permutations: there must be some`);
  }
  const fixed = { top: topVoxels(data, topShare), winner: strongest(data) };
  const observed = scoreWith(data, fixed);
  const above = new Float64Array(observed.dPrime.length).fill(1);
  const counts = { selectivity: 1, purity: 1, ami: 1 };
  const tie = 1e-12; // sums in another order differ by rounding; ties count
  for (let i = 0; i < nPermutations; i++) {
    if (i % 20 === 0) {
      await new Promise((resolve) => setTimeout(resolve)); // lets an interruption in
      signal?.throwIfAborted();
      onProgress?.({ stage: "regions", done: i, total: nPermutations });
    }
    const order = orders(i);
    const regionOf = Int32Array.from(order, (v) => data.regionOf[v]);
    const drawn = scoreWith({ ...data, regionOf }, fixed);
    drawn.dPrime.forEach((d, at) => above[at] += Number(d >= observed.dPrime[at] - tie));
    counts.selectivity += Number(drawn.selectivity >= observed.selectivity - tie);
    counts.purity += Number(drawn.purity >= observed.purity - tie);
    counts.ami += Number(drawn.ami >= observed.ami - tie);
  }
  const p = (count: number) => count / (1 + nPermutations);
  return {
    observed,
    pDPrime: above.map(p),
    pSelectivity: p(counts.selectivity),
    pPurity: p(counts.purity),
    pAmi: p(counts.ami),
  };
}
