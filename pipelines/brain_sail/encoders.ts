/**
 * Encoders of a study: one for each subject on a backbone's class tokens, its R² beside the noise ceiling, and the control that was
 * fitted to shuffled responses.
 *
 * @module
 */
import { median } from "../stats/median.ts";
import type { Gpu } from "../../engine/gpu.ts";
import { foldIn, type Key } from "../../engine/random.ts";
import type { RoiVoxels } from "../dense/relevance.ts";
import { permutation } from "../encoding/cross_validation.ts";
import { type Encoder, fitEncoder, type FitEncoderOptions } from "../encoding/encoder.ts";
import { columnMeans, type HostMatrix, range } from "../encoding/host_matrix.ts";
import { multiply } from "../encoding/host_products.ts";
import type { LongCall } from "../encoding/linear_model.ts";
import { normalizeFeatures } from "../encoding/normalize.ts";
import { refitTest, type RidgeProblem } from "../encoding/refit_test.ts";
import { r2Score } from "../encoding/scoring.ts";
import { bhFdr } from "../stats/fdr.ts";
import type { PermutationOptions } from "../stats/permutation.ts";
import { type StudySubject, takeRows } from "./study.ts";

/** How the encoders are fitted. */
export type EncoderChoice = Pick<FitEncoderOptions, "solver" | "ridge" | "probe">;

/** What a region's voxels reach. */
export interface RoiFit {
  /** The region. */
  readonly name: string;
  /** Number of its voxels. */
  readonly nVoxels: number;
  /** Voxels that are predicted at q < 0.05; NaN where nothing is tested. */
  readonly nPredicted: number;
  /** Median R² on the test images. */
  readonly r2: number;
  /** Median noise ceiling; NaN where it is not known. */
  readonly ceiling: number;
  /** Median of R² / noise ceiling over voxels with a ceiling above 0; NaN where there are none. */
  readonly share: number;
}

/** An encoder of one subject. */
export interface SubjectEncoder {
  /** The encoder. */
  readonly encoder: Encoder;
  /** Responses that it was fitted to, `[nTrain, nVoxels]`. */
  readonly responses: HostMatrix;
  /** R² of each voxel on the test images, `[nVoxels]`. */
  readonly r2: Float64Array<ArrayBuffer>;
  /** q-value of each voxel's covariance of predictions and test responses, against fits to permuted responses; undefined where nothing is tested. */
  readonly qPredicted?: Float64Array<ArrayBuffer>;
  /** Regions, and last all voxels. */
  readonly rois: readonly RoiFit[];
}

/**
 * R² of regions beside their noise ceilings.
 *
 * @param r2 `[nVoxels]`
 * @param noiseCeiling `[nVoxels]`, in [0, 1]
 * @param qPredicted `[nVoxels]`
 */
export function roiFits(
  rois: readonly RoiVoxels[],
  r2: ArrayLike<number>,
  noiseCeiling?: ArrayLike<number>,
  qPredicted?: ArrayLike<number>,
): RoiFit[] {
  const all = { name: "all voxels", voxels: Array.from(r2, (_, v) => v) };
  return [...rois, all].map(({ name, voxels }) => {
    const own = Array.from(voxels);
    const ceiling = (v: number) => noiseCeiling?.[v] ?? NaN;
    return {
      name,
      nVoxels: own.length,
      nPredicted: qPredicted ? own.filter((v) => qPredicted[v] < 0.05).length : NaN,
      r2: median(own.map((v) => r2[v])),
      ceiling: noiseCeiling ? median(own.map(ceiling)) : NaN,
      share: median(own.filter((v) => ceiling(v) > 0).map((v) => r2[v] / ceiling(v))),
    };
  });
}

/**
 * Fits a subject's encoder and scores it on the test images.
 *
 * @param tokens class tokens of all images of the study, `[nImages, m]`
 * @param shuffle fits to responses whose rows are exchanged: the control in which brain data say nothing
 * @param test how predictions are tested
 */
export async function fitSubject(
  gpu: Gpu,
  subject: StudySubject,
  tokens: HostMatrix,
  { choice, shuffle, test: permutations, ...call }: LongCall & {
    readonly choice: EncoderChoice;
    readonly shuffle?: Key;
    readonly test: { readonly key: Key; readonly nPermutations: number };
  },
): Promise<SubjectEncoder> {
  const { train, trainRows, test, testRows, rois, noiseCeiling } = subject;
  const responses = shuffle ? takeRows(train, permutation(shuffle, train.shape[0])) : train;
  const features = takeRows(tokens, trainRows);
  const options = { ...choice, normalization: "l2", ...call } as const;
  const encoder = await fitEncoder(gpu, features, responses, options);
  const predicted = await encoder.predict(takeRows(tokens, testRows));
  const r2 = r2Score(test, predicted);
  const problem = ridgeProblem(encoder, features, responses);
  const qPredicted = permutations.nPermutations === 0 || !problem
    ? undefined
    : await testPredictions(
      problem,
      {
        features: normalizeFeatures(takeRows(tokens, testRows), encoder.normalizer),
        responses: test,
      },
      { ...permutations, ...call },
    );
  return { encoder, responses, r2, qPredicted, rois: roiFits(rois, r2, noiseCeiling, qPredicted) };
}

/** What a ridge encoder solved; undefined for other encoders. */
export function ridgeProblem(
  { solver, normalizer, details: { bestAlphas } }: Encoder,
  features: HostMatrix,
  responses: HostMatrix,
): RidgeProblem | undefined {
  if (solver !== "ridge") return undefined;
  return { features: normalizeFeatures(features, normalizer), responses, bestAlphas };
}

/** q-values of the covariance of predictions with test responses, one-sided, against fits to permuted responses. */
async function testPredictions(
  problem: RidgeProblem,
  { features, responses }: { readonly features: HostMatrix; readonly responses: HostMatrix },
  options: Omit<PermutationOptions, "alternative">,
): Promise<Float64Array<ArrayBuffer>> {
  const [n, p] = features.shape;
  const nVoxels = responses.shape[1];
  const means = columnMeans(responses, range(n));
  const centred = Float64Array.from(responses.data, (y, at) => y - means[at % nVoxels]);
  const transposed = new Float64Array(centred.length);
  for (let r = 0; r < n; r++) {
    for (let v = 0; v < nVoxels; v++) transposed[v * n + r] = centred[r * nVoxels + v];
  }
  const directions = multiply(transposed, Float64Array.from(features.data), [nVoxels, n, p]);
  const voxels = Array.from({ length: nVoxels }, (_, v) => v);
  const statistic = { directions, of: (v: number) => v };
  const test = await refitTest(problem, statistic, voxels, { ...options, alternative: "greater" });
  return bhFdr(test.pValues);
}

/** Voxels that the encoder is known to predict: those of at least `minR2`, at q < 0.05 where that was tested. */
export function predictedVoxels({ r2, qPredicted }: SubjectEncoder, minR2: number): number[] {
  return [...r2.keys()].filter((v) => r2[v] >= minR2 && !(qPredicted && qPredicted[v] >= 0.05));
}

/** The key of a subject's shuffled control. */
export function controlKey(key: Key, subject: number): Key {
  return foldIn(foldIn(key, 0x5AFF), subject);
}
