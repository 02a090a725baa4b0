import { eigh } from "../../engine/ops/eigh_device.ts";
import { mul, square, sub } from "../../engine/ops/elementwise.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { slice } from "../../engine/ops/shape.ts";
import { readAll, Tensor, tidy } from "../../engine/tensor.ts";
import { range } from "./host_matrix.ts";
import type { StagedCall } from "./linear_model.ts";
import type { RidgeProblem } from "./ridge_problem.ts";

// Eigenvalues below this share of the largest are rounding errors of an f32 Gram matrix.
const RANK = 1e-6;

/**
 * The alpha of each target by generalised cross-validation (Golub, Heath and Wahba 1979): the mean squared residual of a fit of all
 * samples over the square of the mean of `alpha/(λ + alpha)`. One eigendecomposition of the smaller Gram matrix serves all alphas and
 * targets. With an intercept the constant direction is left out of both: it is fitted exactly, and counted it would draw every target to
 * the smallest alpha. It takes samples to be exchangeable.
 *
 * @returns indices of alphas, `[nTargets]`
 */
export async function gcvAlphas(
  problem: RidgeProblem,
  { alphas, nTargetsBatch, isDual, signal, onProgress, onStage }: StagedCall & {
    alphas: readonly number[];
    nTargetsBatch: number;
    isDual: boolean;
  },
): Promise<Uint32Array<ArrayBuffer>> {
  const { samples } = problem;
  const { gpu, nSamples, fitIntercept } = samples;
  const nTargets = samples.y.shape[1];
  const best = new Uint32Array(nTargets);
  using held = new DisposableStack();
  const { values, basis } = await basisOf(problem, isDual, { signal });
  held.use(basis);
  await onStage?.("eigh");
  const nDirections = nSamples - Number(fitIntercept);
  const shares = alphas.map((alpha) => values.map((value) => alpha / (value + alpha)));
  // Directions outside the span of the features keep their whole residual. With an intercept one of them is the constant one.
  const means = shares.map((d) =>
    (d.reduce((total, share) => total + share, 0) + nDirections - values.length) / nDirections
  );
  const squares = Float32Array.from(shares.flatMap((d) => [...d]), (share) => share ** 2);
  const weights = held.use(Tensor.from(gpu, squares, [alphas.length, values.length]));
  for (let start = 0; start < nTargets; start += nTargetsBatch) {
    signal?.throwIfAborted();
    onProgress?.({ stage: "screen", done: start, total: nTargets });
    const columns = range(nTargets).subarray(start, start + nTargetsBatch);
    const made = tidy(gpu, () => {
      const y = samples.responses(columns);
      const turned = matmul(basis, y, { transposeA: true });
      const inside = matmul(weights, square(turned));
      if (values.length >= nDirections) return [inside]; // the basis spans all that there is
      // Formed by itself and not as a difference of sums: at a small alpha little is left of a response.
      const outside = sub(y, matmul(basis, turned));
      return [inside, sum(square(outside), { axes: [0] })];
    });
    const [inside, outside] = await readAll(made);
    made.forEach((t) => t.dispose());
    columns.forEach((t, j) => {
      let least = Infinity;
      alphas.forEach((alpha, a) => {
        const residual = inside[a * columns.length + j] + (outside?.[j] ?? 0);
        const gcv = residual / means[a] ** 2;
        if (gcv < least || (gcv === least && alpha > alphas[best[t]])) {
          least = gcv;
          best[t] = a;
        }
      });
    });
  }
  onProgress?.({ stage: "screen", done: nTargets, total: nTargets });
  await onStage?.("screen");
  return best;
}

/** Eigenvalues above rounding, and an orthonormal basis of their directions in the space of samples, `[nSamples, rank]`. */
async function basisOf(
  problem: RidgeProblem,
  isDual: boolean,
  { signal }: { signal?: AbortSignal },
): Promise<{ values: Float64Array; basis: Tensor }> {
  const { samples } = problem;
  using gram = problem.gram("f32");
  const { values, vectors } = await eigh(gram, { signal });
  using _vectors = vectors;
  const n = values.length;
  const first = Math.max(0, values.findIndex((value) => value > RANK * values[n - 1]));
  const kept = values.slice(first);
  const basis = tidy(samples.gpu, () => {
    const part = slice(vectors, { axis: 1, start: first, end: n });
    if (isDual) return part;
    const inverse = Float32Array.from(kept, (value) => 1 / Math.sqrt(Math.max(value, 1e-30)));
    const scales = Tensor.from(samples.gpu, inverse, [1, kept.length]);
    return mul(matmul(samples.features(), part), scales);
  });
  return { values: kept, basis };
}
