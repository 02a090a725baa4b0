/** Controls of an alignment, on networks about which everything is known: what the brain gives, controls do not. */
import assert from "node:assert/strict";
import { foldIn, normal, randomKey } from "../../engine/random.ts";
import { controlEffects } from "../../pipelines/aligned_cut/control_effects.ts";
import {
  type Condition,
  type ControlData,
  type ControlRun,
  possibleConditions,
  runControls,
} from "../../pipelines/aligned_cut/controls.ts";
import { measureSpace } from "../../pipelines/aligned_cut/space_measures.ts";
import { makeToyNets, TOY_ROIS } from "../../pipelines/aligned_cut/toy_nets.ts";
import { TOY_CATEGORIES } from "../../pipelines/aligned_cut/toy_scenes.ts";
import { tokensInMemory } from "../../pipelines/encoding/alignment/tokens.ts";
import { hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import { permutedOrders } from "../../pipelines/stats/spatial_nulls.ts";
import { openMethodGpu } from "../_gpu.ts";
import { assertInputError } from "./io_fixtures.ts";

const gpu = await openMethodGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const nets = makeToyNets({ key: randomKey(1), nImages: 120, nLayers: 2, categoryLayer: 1 });

/** Tokens of two networks, or noise of their sizes. */
function tokens(isNoise = false) {
  return tokensInMemory(
    [0, 1].flatMap((m) =>
      [0, 1].map((l) => {
        const { name, width } = nets.models[m], values = nets.tokens(m, l);
        const noise = () => normal(foldIn(randomKey(9), 2 * m + l), values.length);
        return { model: name, layer: `${l}`, width, tokens: isNoise ? noise() : values };
      })
    ),
    8,
  );
}

/** Background and four categories of every patch. */
const truth = { labels: nets.scenes.category, nClasses: 1 + TOY_CATEGORIES.length };

const data: ControlData = {
  tokens: tokens(),
  responses: nets.responses,
  randomTokens: tokens(true),
  readoutFeatures: hostMatrix(normal(randomKey(3), 120 * 10), [120, 10]),
  noiseCeiling: 0.8,
  truth,
  regions: {
    regionOf: nets.roi,
    nRegions: TOY_ROIS.length,
    orders: permutedOrders(randomKey(11), nets.roi.length),
    nPermutations: 99,
  },
};

Deno.test("what responses do for networks, controls do not, and the table says so with intervals", async () => {
  const names: Condition[] = [
    "brain",
    "shuffled",
    "gaussian",
    "readout",
    "no-brain",
    "random-backbone",
  ];
  const { runs, heldOut } = await runControls(gpu, data, {
    ...{
      key: randomKey(7),
      nSeeds: 1,
      heldOut: 20,
      conditions: [...names, "procrustes", "unaligned"],
    },
    alignment: { width: 24, epochs: 1, eigenNodes: 32, eigenSlices: 1, voxelChunk: 40 },
    measures: { nEig: 8, nClusters: 5 },
  });
  assert.deepEqual([runs.length, heldOut.length], [8, 20]);
  const { scores, effects, r2 } = controlEffects(runs, { key: randomKey(2), nResamples: 500 });
  const score = (condition: Condition, measure: string) =>
    scores.find((row) => row.condition === condition && row.measure === measure)!.mean;
  assert.ok(score("brain", "cosine") > 0.9 && score("brain", "margin") > 0.7);
  assert.ok(Math.abs(score("unaligned", "cosine")) < 0.05); // "≈ 0 before"
  assert.ok(score("brain", "truth") > 0.6, `${score("brain", "truth")}`);
  for (const control of [...names.slice(1), "unaligned"]) {
    for (const measure of ["margin", "agreement"]) {
      const { low, mean } = effects.find((e) => e.control === control && e.measure === measure)!;
      assert.ok(low > 0.2, `brain − ${control}, ${measure}: ${mean} from ${low}`);
    }
  }
  // In measured responses to held-out images, which the maps never saw: concepts of the aligned networks are those of regions.
  const match = (name: Condition) => runs.find(({ condition }) => condition === name)!.regions!;
  assert.equal(match("brain").pSelectivity, 0.01);
  const { ami } = match("brain"), without = match("random-backbone").ami;
  assert.ok(ami > without + 0.05, `${ami}, ${without}`);
  // Who knows which patch is which needs no brain for a part of it: the reference that an effect is read against.
  const turned = score("procrustes", "margin");
  assert.ok(turned > 0.15 && turned < score("brain", "margin"), `${turned}`);
  const r2Of = (name: Condition) => r2.find(({ condition }) => condition === name)!.mean;
  assert.ok(r2Of("brain") > 0.2 && r2Of("shuffled") < 0.05 && r2Of("gaussian") < 0.05);
  assert.ok(
    ["no-brain", "procrustes", "unaligned"].every((name) => Number.isNaN(r2Of(name as Condition))),
  );
});

Deno.test("controls that lack their data are left out, and refused by name", async () => {
  const { tokens, responses } = data;
  assert.deepEqual(possibleConditions({ tokens, responses }), [
    ...["brain", "shuffled", "gaussian", "no-brain", "procrustes", "unaligned"],
  ]);
  const refused = async (conditions: Condition[], message: RegExp) => {
    const error = await runControls(gpu, { tokens, responses }, { key: randomKey(0), conditions })
      .then(() => undefined, (cause) => cause);
    assertInputError(() => {
      throw error;
    }, message);
  };
  await refused(["brain", "low-level"], /control low-level: it needs the images/);
  await refused(["shuffled"], /brain among them/);
  await refused(["brain", "brain"], /each once/);
});

Deno.test("controlEffects() subtracts image by image", () => {
  const run = (
    condition: Condition,
    seed: number,
    values: number[],
    meanR2: number,
  ): ControlRun => ({
    ...{ condition, seed, meanR2 },
    measures: { names: ["cosine"], values: { data: values, shape: [values.length, 1] } },
  });
  const runs = [
    run("brain", 0, [0.9, 0.5, 0.7], 0.3),
    run("brain", 1, [0.7, 0.5, 0.5], 0.5),
    run("shuffled", 0, [0.3, 0, 0.1], 0),
  ];
  const { scores, effects, r2 } = controlEffects(runs, { key: randomKey(1), nResamples: 200 });
  const near = (a: number, b: number) => assert.ok(Math.abs(a - b) < 1e-12, `${a} for ${b}`);
  near(scores[0].mean, (0.8 + 0.5 + 0.6) / 3);
  near(scores[0].seedStd, Math.abs(2.1 / 3 - 1.7 / 3) / Math.SQRT2);
  assert.ok(Number.isNaN(scores[1].seedStd));
  // Every image has the same effect of a half: no resample can differ.
  [effects[0].mean, effects[0].low, effects[0].high].forEach((value) => near(value, 0.5));
  assert.deepEqual([effects[0].control, r2[0].mean], ["shuffled", 0.4]);
});

Deno.test("measureSpace() finds equal networks equal, and independent ones not", async () => {
  const n = 4 * 16, width = 6;
  const centers = normal(randomKey(1), 2 * width);
  const features = (seed: number) => {
    const noise = normal(randomKey(seed), n * width);
    const values = Float32Array.from(
      noise,
      (z, at) => 3 * centers[(Math.floor(at / width) % 16 < 8 ? 0 : width) + at % width] + 0.1 * z,
    );
    return hostMatrix(values, [n, width]);
  };
  const labels = Array.from({ length: n }, (_, i) => (i % 16 < 8 ? 0 : 1));
  const slices = [features(2), features(3)].map((f, i) => ({
    model: `m${i}`,
    layer: "0",
    features: f,
  }));
  const options = { nEig: 3, nClusters: 2, truth: { labels, nClasses: 2 } };
  const { names, values } = await measureSpace(gpu, { slices, nImages: 4, grid: 4 }, options);
  assert.deepEqual(names, ["cosine", "margin", "agreement", "truth", "segmentation"]);
  for (let i = 0; i < 4; i++) {
    const row = Array.from(values.data).slice(5 * i, 5 * i + 5);
    assert.ok(row[0] > 0.99 && row[1] > 0.1, `${row}`);
    assert.deepEqual(row.slice(2), [1, 1, 1]);
  }
  const one = { slices: slices.slice(0, 1), nImages: 4, grid: 4 };
  await assert.rejects(measureSpace(gpu, one, options), /it takes 2 of them/);
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
