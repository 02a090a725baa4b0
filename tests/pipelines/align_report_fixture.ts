/** An alignment and its controls of which every number is known beforehand: nothing was trained for them. */
import { foldIn, normal, randomKey } from "../../engine/random.ts";
import type { ControlResults } from "../../pipelines/aligned_cut/control_results.ts";
import type { AlignmentParts } from "../../pipelines/encoding/alignment/alignment.ts";
import { hostMatrix } from "../../pipelines/encoding/host_matrix.ts";

/** A name that a user may choose. */
export const EVIL = `<script>alert("1" & '2')</script>`;

/** Voxels of the fixture: ten in each of four regions, ten in none. */
export const N_VOXELS = 50;

/** Regions as `rois_subjNN.csv` has them; voxel 0 is in two of them. */
export const ROI_TABLE = [
  "voxel,roi,ncsnr",
  ...["V1", "V2", "FFA", "PPA"].flatMap((roi, r) =>
    Array.from({ length: 10 }, (_, i) => `${10 * r + i},${roi},0.5`)
  ),
  "0,early,0.5",
  "49,,0.5",
].join("\n");

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);

/** Three layers of two networks with six shared channels. */
export function fixtureAlignment(
  { nEpochs = 6, hasLayers = true }: { nEpochs?: number; hasLayers?: boolean } = {},
): AlignmentParts {
  const slices = ["clip", "dino"].flatMap((model) =>
    ["0", "5", "11"].map((layer) => ({ model, layer, width: model === "clip" ? 4 : 8 }))
  );
  const width = 6, key = randomKey(3);
  const draw = (name: number, n: number) => normal(foldIn(key, name), n);
  const nRows = hasLayers ? slices.length : 2;
  // Row r explains a share of 0.1 (r + 1) of voxels in V1, less elsewhere.
  const r2 = Float32Array.from(
    { length: nRows * N_VOXELS },
    (_, at) => 0.1 * (1 + Math.floor(at / N_VOXELS)) - 0.01 * (at % N_VOXELS),
  );
  // A direction of its own for each ten voxels, and noise.
  const noise = draw(1, width * N_VOXELS);
  const beta = noise.map((x, at) =>
    0.3 * x + Number(Math.floor(at % N_VOXELS / 10) === Math.floor(at / N_VOXELS))
  );
  const falling = (scale: number) =>
    Float64Array.from({ length: nEpochs }, (_, e) => scale * (0.5 + Math.exp(-e / 2)));
  const meanR2 = Float64Array.from({ length: nEpochs }, (_, e) => 0.2 - 0.1 * Math.exp(-e));
  const shares = Float32Array.from({ length: N_VOXELS }, (_, v) => v / N_VOXELS);
  const layers = Float32Array.from({ length: 3 * N_VOXELS }, (_, at) => at % 3 === 1 ? 0.5 : 0.25);
  return {
    slices,
    grid: 2,
    weights: slices.map(({ width: nIn }, s) => hostMatrix(draw(10 + s, nIn * width), [nIn, width])),
    head: {
      beta: hostMatrix(beta, [width, N_VOXELS]),
      bias: new Float32Array(N_VOXELS),
      choices: {
        shares: hostMatrix(shares, [N_VOXELS, 1]),
        ...(hasLayers ? {} : { layers: hostMatrix(layers, [N_VOXELS, 3]) }),
      },
    },
    responseMean: new Float64Array(N_VOXELS),
    responseStd: new Float64Array(N_VOXELS).fill(1),
    settings: { brainWeight: 1, eigenWeight: 1, zeroWeight: 0.01, covarianceWeight: 0.01 },
    training: {
      losses: {
        brain: falling(0.4),
        eigen: falling(0.1),
        zero: falling(1e-4),
        covariance: falling(2),
      },
      meanR2,
      medianR2: meanR2.map((value) => value - 0.02),
      bestEpoch: nEpochs - 1,
      r2: hostMatrix(r2, [nRows, N_VOXELS]),
      heldOut: Uint32Array.of(8, 9, 10, 11),
    },
  };
}

/** What each condition scores by each measure, as means over images. */
const MEANS: Readonly<Record<string, readonly number[]>> = {
  brain: [0.9, 0.8, 0.7, 0.6, 0.5],
  shuffled: [0.2, 0.1, 0.3, 0.2, 0.2],
  "no-brain": [0.5, 0.3, 0.3, 0.65, 0.3],
  unaligned: [0, 0, 0.1, 0.3, 0.25],
};

const MEASURES: Readonly<Record<string, string>> = {
  cosine: "cosine of the same patch in two networks",
  margin: "the same, less that of different patches",
  agreement: "ARI of joint concepts between networks",
  truth: "ARI of joint concepts with the classes, last layers",
  segmentation: "mIoU of classes, last layers, centres from other images",
};

/** Two runs of four conditions on four images: run 1 is 0.02 better than run 0, image i 0.01·(i − 1.5) better than the mean. */
export function fixtureControls(): ControlResults {
  const names = Object.keys(MEASURES), conditions = Object.keys(MEANS);
  const value = (condition: string, seed: number, image: number, m: number) =>
    MEANS[condition][m] + 0.02 * (seed - 0.5) * (condition === "brain" ? 2 : 1) +
    0.01 * (image - 1.5);
  const runs = conditions.flatMap((condition) =>
    [0, 1].map((seed) => ({
      condition,
      seed,
      meanR2: condition === "unaligned" ? NaN : 0.1 + 0.01 * seed,
      names,
      values: [0, 1, 2, 3].map((image) => names.map((_, m) => value(condition, seed, image, m))),
    }))
  );
  const around = (mean: number, half: number) => ({ mean, low: mean - half, high: mean + half });
  return {
    settings: { seeds: 2, images: EVIL },
    nImages: 4,
    heldOut: [8, 9, 10, 11],
    conditions: Object.fromEntries(
      conditions.map((name) => [name, name === "brain" ? "responses" : `instead: ${EVIL}`]),
    ),
    measures: MEASURES,
    runs,
    scores: conditions.flatMap((condition) =>
      names.map((measure, m) => ({
        ...{ condition, measure, ...around(MEANS[condition][m], 0.03) },
        seedStd: condition === "unaligned" ? NaN : 0.014,
      }))
    ),
    effects: conditions.slice(1).flatMap((control) =>
      names.map((measure, m) => ({
        ...{ control, measure },
        ...around(MEANS.brain[m] - MEANS[control][m], 0.04),
      }))
    ),
    r2: conditions.map((condition) => {
      const own = runs.filter((run) => run.condition === condition).map(({ meanR2 }) => meanR2);
      return { condition, mean: sum(own) / own.length, std: 0.007 };
    }),
  };
}
