/**
 * Images made for readouts whose tuning is known show it, by scorers that are not the network's; those for shuffled readouts do not.
 */
import assert from "node:assert/strict";
import {
  colorShares,
  diagonalDominance,
  directionEnergies,
  fourierParam,
  imageModelOf,
  maximizeReadouts,
  type MaximizeReadoutsOptions,
  predictResponses,
  quarterEnergies,
  randomKey,
  type ReadoutImages,
  shuffledReadout,
  splitReadouts,
  Tensor,
  type VisionModel,
} from "../../mod.ts";
import { openMethodGpu } from "../_gpu.ts";
import { TunedNet } from "./optvis_tuned.ts";

const gpu = await openMethodGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const SIDE = 24, SEEDS = 2, VALUES = 3 * SIDE * SIDE;
const layers = [{ layer: "maps", size: 28, grid: 2, pool: "avg" }] as const;

/** Weights of one channel over the four quarters. */
const readout = (channel: number, quarters: readonly number[] = [1, 1, 1, 1]) =>
  Float64Array.from({ length: 28 }, (_, p) => Math.floor(p / 4) === channel ? quarters[p % 4] : 0);
const negative = (weights: Float64Array) => weights.map((w) => -w);

const DIRECTIONS = [0, 1, 2, 3].map((k) => readout(k));
const COLORS = [4, 5, 6].map((k) => readout(k));
const QUARTERS = [0, 1, 2, 3].map((q) => readout(0, [0, 1, 2, 3].map((k) => Number(k === q))));
const ALL = [...DIRECTIONS, ...COLORS, ...QUARTERS];

const OPTIONS: Omit<MaximizeReadoutsOptions, "onImages"> = {
  layers,
  key: randomKey(12),
  seeds: SEEDS,
  batch: 22,
  steps: 24,
  optimizer: { name: "adam", lr: 0.1 },
  transforms: { steps: [{ kind: "pad", by: 1 }, { kind: "jitter", by: 2 }], fill: 0.5 },
};

async function made(readouts: readonly ArrayLike<number>[], more = {}): Promise<Float32Array[]> {
  using param = fourierParam(gpu, { height: SIDE, width: SIDE });
  using net = new TunedNet(gpu);
  const images: Float32Array[] = [];
  const onImages = (batch: ReadoutImages) => {
    assert.equal(images.length, batch.first - (OPTIONS.first ?? 0));
    for (let i = 0; i < batch.count; i++) {
      images.push(batch.images.slice(i * VALUES, (i + 1) * VALUES));
    }
  };
  await maximizeReadouts(param, net, readouts, { ...OPTIONS, ...more, onImages });
  return images;
}

const seen = (data: Float32Array) => ({ height: SIDE, width: SIDE, data });
const best = (scores: readonly number[]) => scores.indexOf(Math.max(...scores));
const images = await made(ALL);
const seedsOf = (k: number) => images.slice(SEEDS * k, SEEDS * (k + 1));

Deno.test("images of direction-tuned readouts vary along their direction", () => {
  DIRECTIONS.forEach((_, k) =>
    seedsOf(k).forEach((image) => assert.equal(best(directionEnergies(seen(image))), k))
  );
});

Deno.test("images of colour-tuned readouts have their colour", () => {
  COLORS.forEach((_, k) =>
    seedsOf(4 + k).forEach((image) => {
      assert.equal(best(colorShares(seen(image))), k);
      const others = images.slice(0, 4 * SEEDS).map((other) => colorShares(seen(other))[k]);
      assert(colorShares(seen(image))[k] > 2 * Math.max(...others)); // those were made for directions
    })
  );
});

Deno.test("images of readouts of one quarter have their contrast there", () => {
  QUARTERS.forEach((_, k) =>
    seedsOf(7 + k).forEach((image) => assert.equal(best(quarterEnergies(seen(image))), k))
  );
});

Deno.test("regions are driven most by their own images, and shuffled weights make no such images", async () => {
  using net = new TunedNet(gpu);
  const rois = [...DIRECTIONS, ...COLORS];
  const values = splitReadouts(rois, layers).get("maps")!;
  using weights = Tensor.from(gpu, values, [rois.length, 28]);
  const responsesOf = async (list: readonly Float32Array[]) => {
    const all = Float32Array.from(list.flatMap((image) => [...image]));
    using x = Tensor.from(gpu, all, [list.length, 3, SIDE, SIDE]);
    return await predictResponses(x, net, [{ ...layers[0], weights }]);
  };
  const targets = rois.flatMap((_, k) => Array<number>(SEEDS).fill(k));
  const options = { key: randomKey(1), nDraws: 2000 };
  const own = await responsesOf(images.slice(0, targets.length));
  const found = diagonalDominance({ ...own, targets }, options);
  assert.deepEqual([found.count, found.of], [7, 7]);
  assert(found.pCount < 0.001 && found.pDifference < 0.001);
  const shuffled = rois.map((row, i) => shuffledReadout(row, randomKey(100 + i)));
  const control = await responsesOf(await made(shuffled));
  const chance = diagonalDominance({ ...control, targets }, options);
  assert(chance.count < 7 && chance.difference < found.difference / 2);
  const reverse = await responsesOf(await made(rois.map(negative)));
  rois.forEach((_, k) => {
    for (let s = 0; s < SEEDS; s++) {
      const at = (SEEDS * k + s) * rois.length + k;
      assert(reverse.data[at] < own.data[at] / 10, "minimised images hardly drive their region");
    }
  });
});

Deno.test("a run may begin anywhere and be cut in any way", async () => {
  const more = { steps: 3 };
  const whole = await made(ALL.slice(0, 3), more);
  const parts = await made(ALL.slice(0, 3), { ...more, batch: 4 });
  assert.deepEqual(parts, whole);
  using param = fourierParam(gpu, { height: SIDE, width: SIDE });
  using net = new TunedNet(gpu);
  const later: number[] = [];
  const progress: string[] = [];
  await maximizeReadouts(param, net, ALL.slice(0, 3), {
    ...OPTIONS,
    ...more,
    first: 3,
    batch: 2,
    onProgress: ({ done, total }) => progress.push(`${done}/${total}`),
    onImages: ({ first, count, images }) => {
      later.push(first, count);
      assert.deepEqual(images.slice(0, VALUES), whole[first]);
    },
  });
  assert.deepEqual(later, [3, 2, 5, 1]);
  assert.deepEqual(progress, ["15/18", "18/18"]);
  const run = maximizeReadouts(param, net, ALL, { ...OPTIONS, seeds: 0, onImages: () => {} });
  await assert.rejects(run, { name: "InputError", message: /seeds must be a whole number, got 0/ });
});

Deno.test("imageModelOf() gives what a transformer captures, and its output", () => {
  using pixels = Tensor.zeros(gpu, [1, 3, 8, 8]);
  using output = Tensor.zeros(gpu, [1, 4]);
  using block = Tensor.zeros(gpu, [1, 5, 4]);
  const asked: (readonly string[])[] = [];
  const model = {
    forward(_: Tensor, { capture }: { capture: readonly string[] }) {
      asked.push(capture);
      return { output, captured: new Map([["blocks.0", block]]) };
    },
  } as unknown as VisionModel;
  const options = { reluGradient: "standard" } as const;
  const taps = imageModelOf(model).taps(pixels, ["output", "blocks.0"], options);
  assert.deepEqual([...taps.keys()], ["output", "blocks.0"]);
  assert.deepEqual(asked, [["blocks.0"]]);
  assert.throws(() => imageModelOf(model).taps(pixels, ["blocks.1"], options), {
    name: "InputError",
  });
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
