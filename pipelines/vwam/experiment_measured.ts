/**
 * Measured responses to images that were made for regions: betas of trials as an experiment's matrix, intervals and tests.
 *
 * @module
 */
import { foldIn } from "../../engine/random.ts";
import type { RoiVoxels } from "../dense/relevance.ts";
import { InputError } from "../errors.ts";
import type { TargetResponses } from "../optvis/response_matrix.ts";
import type { ResamplingOptions } from "../optvis/selectivity.ts";
import type { UnitValues } from "../stats/bootstrap.ts";
import {
  type RegionFindings,
  regionFindings,
  type VoxelFindings,
  voxelFindings,
} from "./experiment_findings.ts";
import { regionResponses, voxelResponses } from "./experiment_targets.ts";

/** What was measured. */
export interface MeasuredTrials {
  /** Betas of trials, `[nTrials, nVoxels]`. */
  readonly betas: UnitValues;
  /** Region whose images each trial showed, as a place in the list of regions; −1 for other trials, which are left out. */
  readonly targets: ArrayLike<number>;
  /** Block or run of each trial. */
  readonly blocks?: ArrayLike<number>;
}

/**
 * How trials were grouped: not at all; in blocks that show images of one target, whose means are the units; or in blocks that show
 * several, within which labels are exchanged and over which tests are paired.
 */
export type MeasuredDesign = "trials" | "blocks of one target" | "blocks of several targets";

/** What measured responses say of regions. */
export interface MeasuredFindings {
  /** How trials were grouped. */
  readonly design: MeasuredDesign;
  /** Units: trials, or blocks of one target. */
  readonly nUnits: number;
  /** Over units. */
  readonly findings: RegionFindings;
  /** Over voxels. */
  readonly voxels: VoxelFindings;
}

/** Options of {@link measuredFindings}. */
export interface MeasuredOptions extends ResamplingOptions {
  /** Level of intervals. */
  readonly level?: number;
}

function requireTrials(
  { betas: { shape: [n] }, targets, blocks }: MeasuredTrials,
  nRegions: number,
) {
  if (targets.length !== n || blocks && blocks.length !== n) {
    throw new InputError(
      `Cannot analyse ${n} trials: there must be a target for each, and a block where there are blocks, got ${targets.length}${
        blocks ? ` and ${blocks.length}` : ""
      }`,
    );
  }
  const bad = Array.from(targets).find((t) => !(Number.isInteger(t) && t >= -1 && t < nRegions));
  if (bad !== undefined) {
    throw new InputError(`Cannot analyse trials: one shows target ${bad}, of ${nRegions} from 0`);
  }
}

/** Rows of a table. */
function chosenRows({ data, shape: [, columns] }: UnitValues, rows: readonly number[]): UnitValues {
  const out = new Float64Array(rows.length * columns);
  rows.forEach((row, i) => {
    for (let c = 0; c < columns; c++) out[i * columns + c] = data[row * columns + c];
  });
  return { data: out, shape: [rows.length, columns] };
}

/** Means over the trials of each block, and the target that it showed. */
function blockUnits(
  { data, shape: [, columns] }: UnitValues,
  targets: readonly number[],
  blocks: readonly number[],
): TargetResponses {
  const labels = [...new Set(blocks)];
  const out = new Float64Array(labels.length * columns);
  labels.forEach((label, b) => {
    const rows = blocks.flatMap((own, i) => own === label ? [i] : []);
    for (let c = 0; c < columns; c++) {
      const sum = rows.reduce((s, i) => s + data[i * columns + c], 0);
      out[b * columns + c] = sum / rows.length;
    }
  });
  const shown = labels.map((label) => targets[blocks.indexOf(label)]);
  return { data: out, shape: [labels.length, columns], targets: shown };
}

/**
 * The measured counterpart of an experiment's predictions: mean beta of every region for every target's images, error bars, own images
 * against the next highest, and the diagonal, by the design of the blocks.
 *
 * @param regions voxel lists, in the order of the targets
 * @throws {InputError} when sizes differ, a target is no region, fewer than two targets were shown, or a beta is not finite
 */
export function measuredFindings(
  trials: MeasuredTrials,
  regions: readonly RoiVoxels[],
  { key, nDraws, level }: MeasuredOptions,
): MeasuredFindings {
  requireTrials(trials, regions.length);
  const rows = Array.from(trials.targets, (_, i) => i).filter((i) => trials.targets[i] >= 0);
  if (rows.length === 0) {
    throw new InputError("Cannot analyse trials: none shows an image that was made for a region");
  }
  const betas = chosenRows(trials.betas, rows);
  const targets = rows.map((i) => trials.targets[i]);
  const blocks = trials.blocks && rows.map((i) => trials.blocks?.[i] ?? 0);
  const responses = regionResponses(betas, regions);
  const isMixed = blocks?.some((block, i) => targets[i] !== targets[blocks.indexOf(block)]);
  const design = !blocks
    ? "trials"
    : isMixed
    ? "blocks of several targets"
    : "blocks of one target";
  const units = blocks && !isMixed
    ? blockUnits(responses, targets, blocks)
    : { ...responses, targets };
  const groups = isMixed ? blocks : undefined;
  const means = voxelResponses(betas, targets, regions.length);
  return {
    design,
    nUnits: units.shape[0],
    findings: regionFindings(units, { key: foldIn(key, 0), nDraws, level, groups }),
    voxels: voxelFindings(means, regions, { key: foldIn(key, 1), nDraws, level }),
  };
}
