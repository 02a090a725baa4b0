/**
 * Optimisers over several steps.
 */
import assert from "node:assert/strict";
import {
  Adam,
  AdamW,
  NAdam,
  readAll,
  scale,
  Sgd,
  square,
  sum,
  Tape,
  Tensor,
  tidy,
} from "../../mod.ts";
import { openTestGpu } from "../_gpu.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

type Optimiser = Disposable & { step(grads: readonly Tensor[]): void };

/** Steps of `f(p) = 3·Σp²` from the same start. */
async function descend(make: (p: Tensor) => Optimiser, steps: number): Promise<number[]> {
  using p = Tensor.from(gpu, [1, -2, 0.5]);
  using optimiser = make(p);
  for (let i = 0; i < steps; i++) {
    using tape = new Tape();
    using on = tape.watch(p);
    using loss = tidy(gpu, () => sum(scale(square(on), 3)));
    const grads = tape.gradient(loss, [on]);
    optimiser.step(grads);
    grads.forEach((g) => g.dispose());
  }
  return [...await p.data()];
}

/** The same descent in float64, one value at a time. */
function expected(
  kind: "adam" | "adamw" | "sgd",
  steps: number,
  { lr, decay, momentum = 0 }: { lr: number; decay: number; momentum?: number },
): number[] {
  return [1, -2, 0.5].map((start) => {
    let p = start, m = 0, v = 0, u = 0;
    for (let t = 1; t <= steps; t++) {
      let g = 6 * p;
      if (kind !== "adamw") g += decay * p;
      else p *= 1 - lr * decay;
      m = 0.9 * m + 0.1 * g;
      v = 0.999 * v + 0.001 * g * g;
      u = momentum * u + g;
      p -= kind === "sgd"
        ? lr * u
        : lr * (m / (1 - 0.9 ** t)) / (Math.sqrt(v / (1 - 0.999 ** t)) + 1e-8);
    }
    return p;
  });
}

function assertClose(got: number[], want: number[]): void {
  got.forEach((x, i) => assert(Math.abs(x - want[i]) < 1e-5, `${got} is not ${want}`));
}

Deno.test("AdamW follows its definition for 20 steps", async () => {
  const got = await descend((p) => new AdamW([p], { lr: 0.05, weightDecay: 0.1 }), 20);
  assertClose(got, expected("adamw", 20, { lr: 0.05, decay: 0.1 }));
});

Deno.test("Adam follows its definition for 20 steps", async () => {
  const got = await descend((p) => new Adam([p], { lr: 0.05, weightDecay: 0.1 }), 20);
  assertClose(got, expected("adam", 20, { lr: 0.05, decay: 0.1 }));
});

Deno.test("NAdam follows its definition for 20 steps", async () => {
  const got = await descend((p) => new NAdam([p], { lr: 0.05, weightDecay: 0.1 }), 20);
  const want = [1, -2, 0.5].map((start) => {
    let p = start, m = 0, v = 0, product = 1;
    const momentum = (t: number) => 0.9 * (1 - 0.5 * Math.pow(0.96, t * 0.004));
    for (let t = 1; t <= 20; t++) {
      const g = 6 * p + 0.1 * p;
      m = 0.9 * m + 0.1 * g;
      v = 0.999 * v + 0.001 * g * g;
      product *= momentum(t);
      const size = Math.sqrt(v / (1 - 0.999 ** t)) + 1e-8;
      p -= 0.05 * (1 - momentum(t)) / (1 - product) * g / size;
      p -= 0.05 * momentum(t + 1) / (1 - product * momentum(t + 1)) * m / size;
    }
    return p;
  });
  assertClose(got, want);
});

Deno.test("Sgd follows its definition for 20 steps", async () => {
  const got = await descend((p) => new Sgd([p], { lr: 0.01, momentum: 0.9, weightDecay: 0.1 }), 20);
  assertClose(got, expected("sgd", 20, { lr: 0.01, decay: 0.1, momentum: 0.9 }));
});

Deno.test("restore() goes on from the steps and moments of another optimiser, to the same bits", async () => {
  const run = async (stops: boolean) => {
    using p = Tensor.from(gpu, [1, -2, 0.5]);
    let optimiser = new AdamW([p], { lr: 0.05 });
    for (let i = 0; i < 10; i++) {
      if (stops && i === 4) {
        const moments = await readAll(optimiser.moments);
        const { steps } = optimiser;
        optimiser[Symbol.dispose]();
        optimiser = new AdamW([p], { lr: 0.05 });
        assert.throws(() => optimiser.restore(steps, moments.slice(1)), { name: "ShapeError" });
        optimiser.restore(steps, moments);
      }
      using g = scale(p, 6);
      optimiser.step([g]);
    }
    optimiser[Symbol.dispose]();
    return [...await p.data()];
  };
  assert.deepEqual(await run(true), await run(false));
});

Deno.test("step() refuses gradients that do not fit", () => {
  using p = Tensor.zeros(gpu, [3]);
  using g = Tensor.zeros(gpu, [2]);
  using optimiser = new AdamW([p]);
  assert.throws(() => optimiser.step([g]), {
    name: "ShapeError",
    message: /\[\[2\]\] for \[\[3\]\]/,
  });
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
