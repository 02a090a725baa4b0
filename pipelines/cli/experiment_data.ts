/**
 * What `gyrus experiment` reads beside images: regions, natural images, measured betas.
 *
 * @module
 */
import type { RoiVoxels } from "../dense/relevance.ts";
import { chooseRois } from "../dense/roi_table.ts";
import type { Encoder } from "../encoding/encoder.ts";
import { hostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import { requireFinite } from "../io/checks.ts";
import { parseCsv } from "../io/csv.ts";
import { quote } from "../io/strict_json.ts";
import { contrastOf, type RegionPair } from "../vwam/experiment_changes.ts";
import type { MeasuredTrials } from "../vwam/experiment_measured.ts";
import { type FloatTable, regionResponses } from "../vwam/experiment_targets.ts";
import { openSamples, readSamples, slabRows } from "./read_matrix.ts";
import { readText } from "./read_text.ts";

/** What images are for. */
export interface ExperimentTargets {
  /** Regions that have images, or a part in a contrast. */
  readonly names: readonly string[];
  /** Region of each image, a place among the names; −1 for contrasts and voxels. */
  readonly targets: readonly number[];
  /** Regions of each image that is for a contrast. */
  readonly pairs: readonly (RegionPair | undefined)[];
}

/**
 * What the targets of images mean, given the regions that there are.
 *
 * @throws {InputError} for a target that is neither a voxel, nor a region, nor a contrast of two
 */
export function targetsOf(all: readonly string[], table: readonly RoiVoxels[]): ExperimentTargets {
  const known = table.map(({ name }) => name);
  const meanings = all.map((name) => {
    const region = known.indexOf(name), pair = contrastOf(name, known);
    if (region < 0 && !pair && !/^\d+$/.test(name)) {
      throw new InputError(
        `Cannot find the region "${name}", which images were made for: there are ${
          known.join(", ")
        }`,
      );
    }
    return { region, pair: region < 0 ? pair : undefined };
  });
  const used = new Set(
    meanings.flatMap(({ region, pair }) => [region, pair?.a ?? -1, pair?.b ?? -1]),
  );
  const places = known.flatMap((_, r) => used.has(r) ? [r] : []);
  return {
    names: places.map((r) => known[r]),
    targets: meanings.map(({ region }) => places.indexOf(region)),
    pairs: meanings.map(({ pair }) =>
      pair && { a: places.indexOf(pair.a), b: places.indexOf(pair.b) }
    ),
  };
}

/** A subject's regions in the order of the names. */
export function regionsOfSubject(
  table: readonly RoiVoxels[],
  names: readonly string[],
  { nTargets }: Encoder,
): RoiVoxels[] {
  const regions = chooseRois(table, names);
  for (const { name, voxels } of regions) {
    const bad = Array.from(voxels).find((v) => v >= nTargets);
    if (bad === undefined) continue;
    throw new InputError(
      `Cannot average the region "${name}": the encoder has ${nTargets} voxels, counted from 0, it has voxel ${bad}`,
    );
  }
  return regions;
}

const VALUES_AT_ONCE = 2 ** 24;

/**
 * Predicted responses of regions to natural images, from their features; voxels are never in memory for all images.
 *
 * @returns `[nNatural, nRegions]`
 */
export async function naturalResponses(
  reference: string,
  encoder: Encoder,
  regions: readonly RoiVoxels[],
): Promise<FloatTable> {
  const { rows, shape: [n, p] } = await openSamples(reference, "features");
  using _rows = rows;
  if (p !== encoder.nFeatures) {
    throw new InputError(
      `Cannot predict from ${
        quote(reference)
      }: the encoder was fitted on ${encoder.nFeatures} features, it has ${p}`,
    );
  }
  const data = new Float64Array(n * regions.length);
  const step = slabRows(rows, VALUES_AT_ONCE / Math.max(p, encoder.nTargets));
  for (let start = 0; start < n; start += step) {
    const end = Math.min(n, start + step);
    const part = rows.readRows(start, end);
    requireFinite(part, { source: reference, columns: p, firstRow: start });
    const predicted = await encoder.predict(hostMatrix(part, [end - start, p]));
    data.set(regionResponses(predicted, regions).data, start * regions.length);
  }
  return { data, shape: [n, regions.length] };
}

/**
 * Measured betas with what each trial showed: a table with the column `target` (the name of a region; other names and empty cells are
 * left out) and, where trials came in blocks or runs, `block`.
 *
 * @throws {InputError} when sizes differ, a column is missing, or a beta is not finite
 */
export async function readMeasured(
  { betas, trials }: { readonly betas: string; readonly trials: string },
  names: readonly string[],
  nVoxels: number,
): Promise<MeasuredTrials> {
  const values = await readSamples(betas, "voxels");
  const table = parseCsv(readText(trials), `Cannot read the trials ${quote(trials)}:`);
  const shown = table.get("target"), blocks = table.get("block");
  const [n, columns] = values.shape;
  if (!shown || shown.length !== n || columns !== nVoxels) {
    throw new InputError(
      !shown
        ? `Cannot read the trials ${quote(trials)}: there must be a column target, there are ${
          [...table.keys()].join(", ")
        }`
        : `Cannot use the betas ${
          quote(betas)
        }: [${shown.length} trials, ${nVoxels} voxels] are needed, their shape is [${values.shape}]`,
    );
  }
  const labels = blocks && [...new Set(blocks)];
  return {
    betas: values,
    targets: shown.map((name) => names.indexOf(name.trim())),
    blocks: labels && blocks.map((label) => labels.indexOf(label)),
  };
}
