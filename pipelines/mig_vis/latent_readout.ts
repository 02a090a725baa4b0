import type { Gpu } from "../../engine/gpu.ts";
import type { Key } from "../../engine/random.ts";
import { permutation } from "../encoding/cross_validation.ts";
import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import type { LongCall } from "../encoding/linear_model.ts";
import { RidgeCV } from "../encoding/ridge.ts";
import { InputError } from "../errors.ts";

/** A Gaussian readout of a group's latents from features: p(z | image) = N(features · coef + intercept, variances). */
export interface LatentReadout {
  /** `[featureWidth, latentWidth]` */
  readonly coef: HostMatrix;
  /** `[latentWidth]` */
  readonly intercept: Float32Array<ArrayBuffer>;
  /** Mean squared error of each latent on left-out images, `[latentWidth]`. */
  readonly variances: Float32Array<ArrayBuffer>;
  /** Cross-validated R² of each latent, `[latentWidth]`. */
  readonly r2: Float32Array<ArrayBuffer>;
}

/** Candidates of the ridge penalty. */
const ALPHAS = Array.from({ length: 10 }, (_, i) => 10 ** (i - 3));

/**
 * Fits the readout of the baseline without mutual information: ridge regression of latents on features, penalties chosen by five folds,
 * variances those of the errors on left-out images.
 *
 * @param latents of one group, `[n, latentWidth]`
 * @param features `[n, featureWidth]`
 * @param options.key draws the order of the images before they are split
 * @throws {InputError} when there are fewer than ten images, rows do not match or a value is not finite
 */
export async function fitLatentReadout(
  gpu: Gpu,
  { latents, features }: { readonly latents: HostMatrix; readonly features: HostMatrix },
  { key, signal, onProgress }: { readonly key: Key } & LongCall,
): Promise<LatentReadout> {
  const n = latents.shape[0];
  if (n < 10 || features.shape[0] !== n) {
    throw new InputError(
      `Cannot fit a readout of latents [${latents.shape}] from features [${features.shape}]: there must be a row of each for ten images or more`,
    );
  }
  const order = permutation(key, n);
  const shuffled = ({ data, shape: [, width] }: HostMatrix) => {
    const rows = new Float32Array(data.length);
    order.forEach((from, to) =>
      rows.set(data.subarray(from * width, (from + 1) * width), to * width)
    );
    return hostMatrix(rows, [n, width]);
  };
  const ridge = new RidgeCV(gpu, { alphas: ALPHAS, coef: true });
  const fitted = await ridge.fit(shuffled(features), shuffled(latents), { signal, onProgress });
  return {
    coef: fitted.coef!,
    intercept: fitted.intercept,
    variances: Float32Array.from(fitted.cvScores, (score) => -score), // which are minus squared errors
    r2: Float32Array.from(fitted.cvR2),
  };
}
