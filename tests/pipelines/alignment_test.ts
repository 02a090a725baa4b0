/** Channel alignment of networks about which everything is known. */
import assert from "node:assert/strict";
import { randomKey } from "../../engine/random.ts";
import { shuffledTargets } from "../../pipelines/aligned_cut/control_targets.ts";
import { makeToyNets } from "../../pipelines/aligned_cut/toy_nets.ts";
import type { Alignment } from "../../pipelines/encoding/alignment/alignment.ts";
import { loadAlignment, saveAlignment } from "../../pipelines/encoding/alignment/alignment_file.ts";
import { auditAlignment } from "../../pipelines/encoding/alignment/audit.ts";
import { fitAlignment } from "../../pipelines/encoding/alignment/fit_alignment.ts";
import { samePatchCosines } from "../../pipelines/encoding/alignment/same_patch.ts";
import type { AlignmentOptions } from "../../pipelines/encoding/alignment/settings.ts";
import { tokensInMemory, type TokenSource } from "../../pipelines/encoding/alignment/tokens.ts";
import { hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import { InputError } from "../../pipelines/errors.ts";
import { openMethodGpu } from "../_gpu.ts";
import { TestFolder } from "./io_fixtures.ts";

const gpu = await openMethodGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const LAYERS = 2; // figure and ground in the first, categories in the second
const nets = makeToyNets({ key: randomKey(1), nImages: 160, nLayers: LAYERS, categoryLayer: 1 });
const source = sourceOf([0, 1, 2]);
const options: AlignmentOptions = {
  ...{ key: randomKey(7), width: 24, epochs: 2, heldOut: 40 },
  ...{ eigenNodes: 48, eigenSlices: 2, voxelChunk: 40 },
};

function sourceOf(models: readonly number[], nImages = nets.nImages): TokenSource {
  const slices = models.flatMap((m) =>
    Array.from({ length: LAYERS }, (_, l) => {
      const { name, width } = nets.models[m];
      const tokens = nets.tokens(m, l).subarray(0, nImages * 65 * width);
      return { model: name, layer: `${l}`, width, tokens };
    })
  );
  return tokensInMemory(slices, 8);
}

/** The planted mixing of a slice times its map: what each latent becomes in the shared space, `[6][width]`. */
function latentsIn(alignment: Alignment, model: number, layer: number): number[][] {
  const { data: mixing, shape: [q, width] } = nets.mixing(model, layer);
  const { data, shape: [, shared] } = alignment.weights[model * LAYERS + layer];
  return Array.from({ length: q }, (_, k) =>
    Array.from({ length: shared }, (_, c) => {
      let sum = 0;
      for (let d = 0; d < width; d++) sum += mixing[k * width + d] * data[d * shared + c];
      return sum;
    }));
}

Deno.test("fitAlignment() brings the same patch of different networks together, and shuffled responses do not", async () => {
  const before = await samePatchCosines(source);
  assert(Math.abs(before.same) < 0.05, `before: ${before.same}`);
  using alignment = await fitAlignment(gpu, source, nets.responses, options);
  const after = await samePatchCosines(source, { alignment });
  assert(after.same >= 0.9 && after.margin >= 0.75, `after: ${after.same}, ${after.margin}`);
  assert(after.pairs.length === 3 * LAYERS && after.pairs.every(({ same }) => same > 0.8));
  const { meanR2, bestEpoch, r2, losses, heldOut } = alignment.training;
  assert(meanR2[bestEpoch] > 0.2, `R² ${meanR2}`);
  assert.deepEqual([r2.shape, heldOut.length], [[3 * LAYERS, 96], 40]);
  assert(Object.values(losses).every((loss) => loss.length === 2 && loss.every((x) => x > 0)));
  // Voxels of categories are predicted where categories are: by the second layers.
  const ofFaces = nets.roi.findIndex((r) => r === 7);
  assert(r2.data[96 + ofFaces] > r2.data[ofFaces] + 0.1);
  // The maps undo the mixing: each latent becomes the same vector whatever the network.
  for (let layer = 0; layer < LAYERS; layer++) {
    const [a, b] = [0, 1].map((m) => latentsIn(alignment, m, layer).flat());
    const difference = Math.sqrt(a.reduce((sum, x, i) => sum + (x - b[i]) ** 2, 0));
    const size = Math.sqrt(a.reduce((sum, x) => sum + x * x, 0));
    assert(difference < 0.2 * size, `layer ${layer}: ${difference / size}`);
  }
  const shuffled = shuffledTargets(nets.responses, randomKey(5));
  using control = await fitAlignment(gpu, source, shuffled, options);
  const none = await samePatchCosines(source, { alignment: control });
  assert(none.margin < 0.3 * after.margin, `shuffled: ${none.same}, ${none.margin}`);
  assert(Math.max(...control.training.meanR2) < 0.05);
});

const small: AlignmentOptions = {
  ...options,
  ...{
    start: "identity",
    lr: 1e-3,
    width: 96,
    epochs: 3,
    heldOut: 8,
    eigenNodes: 24,
    voxelChunk: 30,
  },
};
const few = hostMatrix(nets.responses.data.slice(0, 32 * 96), [32, 96]);
const some = sourceOf([0, 1], 32);

function bitsOf({ weights, head, training }: Alignment): Float32Array[] {
  const choices = Object.values(head.choices).map(({ data }) => data);
  return [
    ...weights.map(({ data }) => data),
    head.beta.data,
    head.bias,
    ...choices,
    training.r2.data,
  ];
}

Deno.test("fitAlignment() gives the same bits again, also when it was stopped and went on", async () => {
  using folder = new TestFolder();
  using once = await fitAlignment(gpu, some, few, small);
  using again = await fitAlignment(gpu, some, few, small);
  assert.deepEqual(bitsOf(again), bitsOf(once));
  const stop = new AbortController();
  const checkpoint = folder.at("state");
  const stopped = fitAlignment(gpu, some, few, {
    ...{ ...small, checkpoint, signal: stop.signal },
    onProgress: ({ done }) => done === 5 && stop.abort(new Error("enough")), // in the third epoch: two steps each
  });
  await assert.rejects(stopped, /enough/);
  const lines: string[] = [];
  using rest = await fitAlignment(gpu, some, few, {
    ...small,
    checkpoint,
    log: (line) => lines.push(line),
  });
  assert.deepEqual(lines.map((line) => line.slice(0, 8)), ["epoch 3:"]);
  assert.deepEqual(bitsOf(rest), bitsOf(once));
  assert.deepEqual(rest.training, once.training);
  const other = fitAlignment(gpu, some, few, { ...small, checkpoint, epochs: 4 });
  await assert.rejects(other, /it belongs to a run with another settings/);
});

Deno.test("fitAlignment() by coordinates chooses layers for voxels; voxels with places of their own predict too", async () => {
  const readouts: AlignmentOptions[] = [
    { readout: "factor-topy", coordinates: nets.coordinates },
    { pooling: "voxel" },
  ];
  for (const readout of readouts) {
    using alignment = await fitAlignment(gpu, some, few, {
      ...{ ...small, ...readout, epochs: 1, start: "ridge", width: 16, eigenLoss: "affinity" },
    });
    const { choices } = alignment.head;
    const shapes = Object.fromEntries(
      Object.entries(choices).map(([name, { shape }]) => [name, shape]),
    );
    const isTopy = "coordinates" in readout;
    assert.deepEqual(
      shapes,
      isTopy
        ? { places: [96, 2], layers: [96, LAYERS], shares: [96, 1] }
        : { shares: [96, 1], space: [96, 64] },
    );
    assert.deepEqual(alignment.training.r2.shape, [isTopy ? 2 : 2 * LAYERS, 96]);
    assert(alignment.training.meanR2.every(Number.isFinite));
  }
});

Deno.test("an alignment is saved and loaded, applies its maps and predicts from patches", async () => {
  using folder = new TestFolder();
  using fitted = await fitAlignment(gpu, some, few, { ...small, epochs: 1, brainLoss: "mse" });
  await saveAlignment(folder.at("a.h5"), fitted);
  using loaded = await loadAlignment(gpu, folder.at("a.h5"));
  assert.deepEqual(bitsOf(loaded), bitsOf(fitted));
  assert.deepEqual(loaded.training, fitted.training);
  assert.deepEqual(loaded.settings, JSON.parse(JSON.stringify(fitted.settings)));
  const features = hostMatrix(nets.tokens(1, 1).slice(0, 5 * 96), [5, 96]);
  const name = { model: "dino", layer: "1" };
  const aligned = await loaded.apply(features, name);
  const { data: map } = fitted.weights[3];
  const wanted = Array.from({ length: 96 }, (_, c) => {
    let sum = 0;
    for (let d = 0; d < 96; d++) sum += features.data[2 * 96 + d] * map[d * 96 + c];
    return sum;
  });
  wanted.forEach((x, c) => assert(Math.abs(aligned.data[2 * 96 + c] - x) < 1e-4));
  const predicted = await loaded.predict(features, name);
  assert.deepEqual(predicted.shape, [5, 96]);
  let direct = fitted.head.bias[9];
  wanted.forEach((x, c) => direct += x * fitted.head.beta.data[c * 96 + 9]);
  assert(Math.abs(predicted.data[2 * 96 + 9] - direct) < 1e-3);
  const fails = (given: ReturnType<typeof hostMatrix>, layer: string, message: RegExp) =>
    assert.rejects(loaded.apply(given, { model: "dino", layer }), message);
  await fails(features, "7", /the alignment has clip \(0, 1\), dino \(0, 1\)/);
  await fails(
    hostMatrix(new Float32Array(6), [2, 3]),
    "1",
    /have 96 channels, the features are \[2,3\]/,
  );
  const [audit] = await auditAlignment(gpu, some, loaded, { nNodes: 40, ks: [2, 4] });
  assert.deepEqual([audit.model, audit.layer, audit.projectorDistances.length], ["clip", "0", 2]);
  assert(audit.projectorDistances.every((d) => d >= 0 && d <= 1));
  assert(audit.participationBefore > 1 && audit.participationAfter > 1);
});

Deno.test("fitAlignment() refuses what it cannot align", async () => {
  const refused = async (given: AlignmentOptions, message: RegExp, y = few) => {
    await assert.rejects(
      fitAlignment(gpu, some, y, given),
      (error) => error instanceof InputError && message.test(error.message),
    );
  };
  await refused(
    {},
    /tokens of 32 images and responses \[31,96\]/,
    hostMatrix(new Float32Array(31 * 96), [31, 96]),
  );
  await refused({ epochs: 0 }, /epochs must be a whole number from 1, got 0/);
  await refused({ eigenNodes: 16 }, /eigenNodes must be .* above the largest of eigenKs, 16/);
  await refused({ heldOut: 31 }, /Cannot hold out 31 of 32 images/);
  await refused({ heldOut: [40, 2] }, /Cannot hold out image 40/);
  await refused({ readout: "factor-topy" }, /a place for each of 96 voxels, got \[none\]/);
  const bad = few.data.slice();
  bad[100] = NaN;
  await refused({}, /responses row 1, column 4 .* is NaN/, hostMatrix(bad, [32, 96]));
  assert.throws(() => tokensInMemory([], 8), InputError);
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
