import { add, scale, sub } from "../../engine/ops/elementwise.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import type { Tensor } from "../../engine/tensor.ts";
import type { RidgeSamples } from "./ridge_samples.ts";
import type { DeviceCoefficients, RidgeSolver } from "./ridge_solver.ts";

const STEPS = 2;

/**
 * Coefficients after steps of refinement, whose residuals are formed with the features themselves and not with their Gram matrix: the
 * corrected seminormal equations (Björck 1987, "Stability analysis of the method of seminormal equations"). The error then grows with
 * the condition of the features, and no longer with its square.
 */
export function refined(
  samples: RidgeSamples,
  solver: RidgeSolver,
  { found, y, alpha }: { found: DeviceCoefficients; y: Tensor; alpha: number },
): DeviceCoefficients {
  let { coef, offset } = found;
  for (let step = 0; step < STEPS; step++) {
    const x = samples.features();
    const weights = solver.isDual ? matmul(x, coef, { transposeA: true }) : coef;
    const predictions = matmul(x, weights);
    const explained = offset ? add(predictions, offset) : predictions;
    const error = sub(y, explained);
    if (solver.isDual) {
      const correction = solver.coefficients(sub(error, scale(coef, alpha)));
      coef = add(coef, correction.coef);
      if (offset && correction.offset) offset = add(offset, correction.offset);
    } else {
      const gradient = sub(matmul(x, error, { transposeA: true }), scale(coef, alpha));
      coef = add(coef, solver.solve!(gradient));
    }
  }
  return { coef, offset };
}
