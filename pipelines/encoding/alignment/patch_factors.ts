import { add, scale, sub } from "../../../engine/ops/elementwise.ts";
import { cholesky } from "../../../engine/ops/cholesky.ts";
import { matmul } from "../../../engine/ops/matmul.ts";
import { addDiagonal, diagonal } from "../../../engine/ops/matrix.ts";
import { mean } from "../../../engine/ops/reduce.ts";
import { broadcastTo } from "../../../engine/ops/shape.ts";
import type { Gpu } from "../../../engine/gpu.ts";
import { Tensor, tidy } from "../../../engine/tensor.ts";
import type { TokenSource } from "./tokens.ts";

/** Images that covariances are taken from: 64 patches of each are many more than there are channels. */
const MOST_IMAGES = 256;
/** Added to the diagonal, as a share of the mean variance: directions without variance must not count as free. */
const JITTER = 1;

/**
 * Lower Cholesky factors `[width, width]` of the covariance of patches within images, one for each slice: what tokens vary by that a
 * mean over the image does not show. The caller disposes them.
 *
 * @param rows images, of which the first are taken
 * @param scales what tokens of each slice are divided by
 */
export function patchFactors(
  gpu: Gpu,
  source: TokenSource,
  rows: Uint32Array,
  scales: Float64Array,
): Tensor[] {
  const sums: Tensor[] = [];
  const nPatches = source.grid ** 2;
  const chosen = rows.subarray(0, MOST_IMAGES), step = 16;
  for (let start = 0; start < chosen.length; start += step) {
    const part = chosen.subarray(start, start + step);
    source.read(part).forEach((tokens, s) => {
      const { width } = source.slices[s];
      const before = sums[s];
      sums[s] = tidy(gpu, () => {
        const all = Tensor.from(gpu, patchesOf(tokens, width, nPatches), [
          part.length,
          nPatches,
          width,
        ]);
        const centred = sub(all, mean(all, { axes: [1], keepDims: true })).reshape([-1, width]);
        const products = matmul(centred, centred, { transposeA: true });
        const scaled = scale(products, 1 / (chosen.length * nPatches * scales[s] ** 2));
        return before ? add(before, scaled) : scaled.alias();
      });
      before?.dispose();
    });
  }
  return sums.map((covariance) => {
    const factor = tidy(gpu, () => {
      const variance = mean(diagonal(covariance)); // one value
      const jitter = broadcastTo(scale(variance.reshape([1]), JITTER), [covariance.shape[0]]);
      return cholesky(addDiagonal(covariance, jitter));
    });
    covariance.dispose();
    return factor;
  });
}

function patchesOf(
  tokens: Float32Array,
  width: number,
  nPatches: number,
): Float32Array<ArrayBuffer> {
  const size = nPatches * width;
  const n = tokens.length / (size + width);
  const out = new Float32Array(n * size);
  for (let i = 0; i < n; i++) {
    out.set(tokens.subarray(i * (size + width) + width, (i + 1) * (size + width)), i * size);
  }
  return out;
}
