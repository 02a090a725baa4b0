import assert from "node:assert/strict";
import { InputError } from "../../pipelines/errors.ts";
import {
  compareNeuralVaes,
  type CompareVaesOptions,
  meanAndSd,
  VAE_VARIANTS,
} from "../../pipelines/vae/compare.ts";
import { plantedPopulation } from "./vae_population.ts";

const data = plantedPopulation(400, 12);
const options: CompareVaesOptions = {
  ...{ groups: [2, 3, 2], hidden: 24, epochs: 12, evaluateEvery: 5, lr: 5e-3, nSeeds: 2 },
  labelWeight: 1,
  partialCorrelationWeight: 0.02,
};

Deno.test("compareNeuralVaes() finds what labels give, and goes on behind whole runs", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const checkpoint = `${folder}/runs`;
    const stop = new AbortController();
    // Four variants of two seeds of 12 epochs: within the sixth run.
    const onProgress = ({ done }: { done: number }) => done === 5 * 12 + 4 && stop.abort();
    await assert.rejects(
      compareNeuralVaes(data, { ...options, checkpoint, onProgress, signal: stop.signal }),
      { name: "AbortError" },
    );
    const seen: number[] = [];
    const table = await compareNeuralVaes(data, {
      ...options,
      checkpoint,
      onProgress: ({ done }) => seen.push(done),
    });
    assert.equal(seen[0], 5 * 12 + 1, "five runs were kept");
    assert.deepEqual(table.map(({ variant }) => variant), [...VAE_VARIANTS]);
    const meanOf = (variant: number, name: "mig" | "groupSap" | "poseR2") =>
      meanAndSd(table[variant].runs.map((run) => run[name])).mean;
    // Labels put factors into groups; without them which dimension says what is left to chance.
    assert.ok(meanOf(3, "mig") > meanOf(1, "mig") + 0.05);
    assert.ok(Number.isNaN(meanOf(0, "poseR2")) && meanOf(3, "poseR2") > 0.6);
    assert.ok(table.every(({ runs }) => runs.every(({ r2 }) => r2 > 0.4 && r2 < 0.95)));
    assert.notDeepEqual(table[3].runs[0], table[3].runs[1], "seeds differ");
    await assert.rejects(
      compareNeuralVaes(data, { ...options, checkpoint, nSeeds: 3 }),
      /settings/,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("compareNeuralVaes() needs labels and seeds", async () => {
  const { responses, pose } = data;
  await assert.rejects(compareNeuralVaes({ responses }, options), InputError);
  await assert.rejects(compareNeuralVaes({ responses, pose }, { nSeeds: 0 }), /from 1, got 0/);
});

Deno.test("meanAndSd() has the deviation of a sample", () => {
  assert.deepEqual(meanAndSd([1, 3]), { mean: 2, sd: Math.SQRT2 });
  assert.ok(Number.isNaN(meanAndSd([1]).sd));
});
