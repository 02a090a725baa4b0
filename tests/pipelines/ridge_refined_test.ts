/**
 * Ridge regression beyond the host's sizes at alphas that f32 cannot resolve, on a device without float64.
 */
import assert from "node:assert/strict";
import { fitRidge, hostMatrix, normal, randomKey } from "../../mod.ts";
import { RidgeProblem } from "../../pipelines/encoding/ridge_problem.ts";
import { RidgeSamples } from "../../pipelines/encoding/ridge_samples.ts";
import { needs } from "../expectations.ts";
import { openMethodGpu } from "../_gpu.ts";

const gpu = await openMethodGpu();
const without = await openMethodGpu({ without: ["shader-f64"] });
Deno.test.afterEach(() => assert.equal(gpu.liveBytes + without.liveBytes, 0));

const ALPHA = 0.02; // a condition of about 10⁵ for the features below
const T = 3;

/** Features whose columns fall over three decades, and responses that follow from them but for 1/100. */
function problem(n: number, p: number) {
  const x = hostMatrix(normal(randomKey(1), n * p), [n, p]);
  x.data.forEach((value, at) => x.data[at] = value * 10 ** (-3 * (at % p) / p));
  const weights = normal(randomKey(2), p * T), y = normal(randomKey(3), n * T);
  y.forEach((noise, at) => {
    let sum = 0.01 * noise;
    for (let j = 0; j < p; j++) sum += x.data[Math.floor(at / T) * p + j] * weights[j * T + at % T];
    y[at] = sum;
  });
  return { x, y: hostMatrix(y, [n, T]) };
}

function relative(got: Float32Array, want: Float32Array): number {
  const error = want.reduce((sum, value, i) => sum + (got[i] - value) ** 2, 0);
  return Math.sqrt(error / want.reduce((sum, value) => sum + value ** 2, 0));
}

for (const [solver, n, p] of [["primal", 700, 650], ["dual", 650, 700]] as const) {
  Deno.test(
    `${solver} ridge regression is refined where there is no float64`,
    needs("f64", gpu.caps.features.has("shader-f64")),
    async () => {
      const { x, y } = problem(n, p);
      const options = { alpha: ALPHA, coef: true };
      const want = await fitRidge(gpu, x, y, { ...options, precision: "f64" });
      const got = await fitRidge(without, x, y, options);
      const error = relative(got.coef!.data, want.coef!.data);
      // Corrected seminormal equations leave eps·√κ·few: 6·10⁻⁸ · 300 · 30.
      assert(error < 6e-4, `refined ${error}`);
      const samples = new RidgeSamples(without, { x, y, splits: [], fitIntercept: true });
      using chosen = new RidgeProblem(samples, { isDual: solver === "dual" });
      await chosen.prepare([ALPHA, 10]);
      assert.deepEqual([ALPHA, 10].map((a) => chosen.precisionOf(a)), ["f32 refined", "f32"]);
      if (solver === "primal") return; // it is as exact without
      const plain = await fitRidge(without, x, y, { ...options, precision: "f32" });
      const unrefined = relative(plain.coef!.data, want.coef!.data);
      assert(error <= 0.7 * unrefined, `refined ${error}, plain ${unrefined}`);
    },
  );
}

Deno.test("close the devices", () => {
  gpu[Symbol.dispose]();
  without[Symbol.dispose]();
});
