/**
 * Ridge regression in little memory: 10,000 samples, 20,000 features and 40,000 targets on a device of 8 GB that binds 2 GB, all lengths
 * divided by 20 and so all bytes by 400.
 */
import assert from "node:assert/strict";
import { Gpu, hostMatrix, normal, randomKey, RidgeCV, type RidgeCVOptions } from "../../mod.ts";
import { openMethodGpu } from "../_gpu.ts";

const SCALE = 20;
const BUDGET = 8 * 2 ** 30 / SCALE ** 2;
const gpu = await openMethodGpu();

/** Standard normals without the cost of drawing each: rows of a few thousand are repeated with other signs. */
function matrix(seed: number, rows: number, columns: number) {
  const drawn = normal(randomKey(seed), 9973);
  const data = new Float32Array(rows * columns);
  data.forEach((_, at) => data[at] = drawn[at % 9973] * ((at * 2654435761 >>> 16) % 2 ? 1 : -1));
  return hostMatrix(data, [rows, columns]);
}

for (const solver of ["dual", "primal"] as const) {
  Deno.test(`RidgeCV ${solver} fits an eighth of the memory budget per tile and gives the same as without one`, async () => {
    const n = 10_000 / SCALE, p = (solver === "dual" ? 20_000 : 4_000) / SCALE;
    const x = matrix(1, n, p), y = matrix(2, n, 40_000 / SCALE);
    const options: RidgeCVOptions = {
      ...{ alphas: [1e3, 1e4], solver, precision: "f32", coef: true },
    };
    // Small buffers are rounded up to powers of two, which those of the full size are not.
    const limits = { maxBindingBytes: BUDGET / 4, maxBufferBytes: BUDGET / 2 };
    using small = Gpu.from(gpu.device, { memoryBudget: BUDGET, limits });
    let peak = 0;
    const onProgress = () => peak = Math.max(peak, small.pool.heldBytes);
    const fitted = await new RidgeCV(small, options).fit(x, y, { onProgress });
    assert.equal(small.liveBytes, 0);
    assert(peak > 0 && peak <= BUDGET, `${peak} bytes were held of ${BUDGET}`);
    const whole = await new RidgeCV(gpu, options).fit(x, y);
    assert.equal(gpu.liveBytes, 0);
    assert.deepEqual(fitted.bestAlphas, whole.bestAlphas);
    const worst = fitted.coef!.data.reduce(
      (most, value, at) => Math.max(most, Math.abs(value - whole.coef!.data[at])),
      0,
    );
    const size = whole.coef!.data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    assert(worst <= 1e-5 * size, `coefficients differ by ${worst} of ${size}`); // other tiles: other orders of f32 sums
  });
}

Deno.test("close the device", () => gpu[Symbol.dispose]());
