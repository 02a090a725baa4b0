import { InputError } from "../errors.ts";
import { type HostMatrix, hostMatrix } from "./host_matrix.ts";
import { runPieces } from "./runs.ts";

/** Names of haemodynamic responses. */
export type HrfName = "spm" | "simple";

interface DoubleGamma {
  /** Seconds to the peak of the response, as the shape of its gamma density (scale 1 s). */
  readonly peak: number;
  /** The same of the undershoot. */
  readonly undershoot: number;
  /** Size of the undershoot against the response. */
  readonly ratio: number;
}

// SPM (spm_hrf.m): delay of response 6 s, of undershoot 16 s, dispersions 1 s, ratio of response to undershoot 6, length 32 s.
// "simple": the same densities with a tenth of undershoot, as demonstrations of encoding models use it.
const SHAPES: Readonly<Record<HrfName, DoubleGamma>> = {
  spm: { peak: 6, undershoot: 16, ratio: 1 / 6 },
  simple: { peak: 6, undershoot: 16, ratio: 0.1 },
};
const SECONDS = 32;

/** Density of the gamma distribution with a whole shape and scale 1: `t^(k−1)·e^(−t) / (k−1)!`. */
function gammaDensity(t: number, shape: number): number {
  if (t === 0) return 0; // shapes above 1
  let logFactorial = 0;
  for (let i = 2; i < shape; i++) logFactorial += Math.log(i);
  return Math.exp((shape - 1) * Math.log(t) - t - logFactorial);
}

/**
 * A double-gamma haemodynamic response sampled every `tr` seconds from 0 to 32 s, with sum 1.
 *
 * @param tr seconds from one sample to the next
 * @returns `[1 + floor(32 / tr)]`, in float64
 * @throws {InputError} when `tr` is not above 0 and below 32 s, or so coarse that the samples have no positive sum
 */
export function hrfKernel(tr: number, name: HrfName = "spm"): Float64Array<ArrayBuffer> {
  if (!(tr > 0 && tr < SECONDS)) {
    throw new InputError(
      `Cannot sample the haemodynamic response every ${tr} s: the step must be above 0 and below ${SECONDS} s`,
    );
  }
  const { peak, undershoot, ratio } = SHAPES[name];
  const values = Float64Array.from(
    { length: 1 + Math.floor(SECONDS / tr) },
    (_, i) => gammaDensity(i * tr, peak) - ratio * gammaDensity(i * tr, undershoot),
  );
  const sum = values.reduce((total, value) => total + value, 0);
  if (!(sum > 0)) {
    throw new InputError(
      `Cannot sample the haemodynamic response every ${tr} s: its samples sum to ${sum}, steps must be shorter`,
    );
  }
  return values.map((value) => value / sum);
}

/**
 * Features convolved with the haemodynamic response, run by run; nothing precedes the first sample of a run.
 *
 * @param features `[nSamples, nFeatures]`
 * @param options.tr seconds from one sample to the next
 * @param options.runs run of each sample, `[nSamples]`; without it all samples are one run
 * @param options.hrf `"spm"`: SPM's canonical response; `"simple"`: with an undershoot of a tenth
 * @returns `[nSamples, nFeatures]`
 * @throws {InputError} for a `tr` that cannot be used, or labels that are not runs
 */
export function hrfConvolve(
  { data, shape: [n, p] }: HostMatrix,
  { tr, runs, hrf = "spm" }: { tr: number; runs?: ArrayLike<number>; hrf?: HrfName },
): HostMatrix {
  const kernel = hrfKernel(tr, hrf);
  const out = new Float32Array(n * p);
  const row = new Float64Array(p);
  for (const { start, end } of runPieces(n, runs)) {
    for (let t = start; t < end; t++) {
      row.fill(0);
      for (let lag = 0; lag < kernel.length && lag <= t - start; lag++) {
        const from = (t - lag) * p, weight = kernel[lag];
        for (let j = 0; j < p; j++) row[j] += weight * data[from + j];
      }
      out.set(row, t * p);
    }
  }
  return hostMatrix(out, [n, p]);
}
