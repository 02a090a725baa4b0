/** An experiment of two subjects whose regions are known to prefer their own images. */
import { type ExperimentData, foldIn, normal, randomKey, type SubjectData } from "../../mod.ts";

/** Seeds of each target, voxels of each region, natural images. */
const SEEDS = 5, VOXELS = 6, NATURAL = 40;
/** Regions of the fixture; the second name is one that a page must keep text. */
export const FIXTURE_REGIONS = ["FFA", `<b>"PPA"`, "EBA"];
/** Responses of a region to its own images, above 0. */
export const LIFT = 2;

/** Responses `[n, voxels]` whose region `r` has `lift` more where the target is `r`. */
function responsesTo(targets: readonly number[], lift: number, seed: number) {
  const nVoxels = 3 * VOXELS, noise = normal(randomKey(seed), targets.length * nVoxels);
  return {
    shape: [targets.length, nVoxels] as const,
    data: Array.from(noise, (v, at) => {
      const own = targets[Math.floor(at / nVoxels)] === Math.floor(at % nVoxels / VOXELS);
      return 0.3 * v + (own ? lift : 0);
    }),
  };
}

function subject(name: string, seed: number, targets: readonly number[]): SubjectData {
  const rows = targets.filter((t) => t >= 0);
  const regionRows = (lift: number, more: number) => ({
    shape: [rows.length, 3] as const,
    targets: rows,
    data: Array.from(
      normal(foldIn(randomKey(seed), more), rows.length * 3),
      (v, at) => 0.1 * v + (rows[Math.floor(at / 3)] === at % 3 ? lift : 0),
    ),
  });
  const trials = Array.from({ length: 36 }, (_, i) => i % 3);
  return {
    name,
    regions: FIXTURE_REGIONS.map((region, r) => ({
      name: region,
      voxels: Array.from({ length: VOXELS }, (_, k) => VOXELS * r + k),
    })),
    responses: responsesTo(targets, LIFT, seed),
    natural: { data: normal(foldIn(randomKey(seed), 1), 3 * NATURAL), shape: [NATURAL, 3] },
    conditions: [
      { ...regionRows(LIFT / 2, 2), name: "prepared", about: "for the screen", isChanged: true },
      { ...regionRows(0, 3), name: "shuffled", about: "of shuffled weights" },
    ],
    contrasts: [{
      a: 0,
      b: 1,
      deltas: Float64Array.of(1, -0.5, 0),
      apart: 1.5,
      rms: 0.02,
      largest: 0.1,
    }],
    measured: {
      betas: responsesTo(trials, 1, seed + 50),
      targets: trials,
      blocks: trials.map((_, i) => Math.floor(i / 6)),
    },
    isOwn: seed % 2 === 0,
  };
}

/** The data, with one image that is for a contrast and passed over. */
export function fixtureExperiment(): ExperimentData {
  const targets = [...Array.from({ length: 3 * SEEDS }, (_, i) => Math.floor(i / SEEDS)), -1];
  return { targets, subjects: [subject("s1", 4, targets), subject("s2", 5, targets)] };
}
