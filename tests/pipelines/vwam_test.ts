/**
 * Images made for voxels, regions and differences of regions: they drive what they are made for, are the same in any batch and wherever
 * a run begins, keep to a budget, and say what cannot be.
 */
import assert from "node:assert/strict";
import {
  changedPreset,
  Encoder,
  foldIn,
  fourierParam,
  imageTargets,
  maximizeVoxels,
  type MaximizeVoxelsOptions,
  modelInput,
  normal,
  openImageEncoder,
  type PixelBudget,
  predictResponses,
  preprocessings,
  presetFor,
  randomKey,
  readoutObjective,
  type RgbImage,
  splitReadouts,
  type TargetRequest,
  targetResponses,
  Tensor,
  transformImages,
  transformMap,
  type VoxelImage,
} from "../../mod.ts";
import { affineWarpKernel } from "../../shaders/image/affine_warp.ts";
import { interpolate } from "../../pipelines/images/interpolate.ts";
import { openMethodGpu } from "../_gpu.ts";
import { gradcheck } from "../gradcheck.ts";
import type { FeatureMap } from "./inception_reference.ts";
import { assertInputError } from "./io_fixtures.ts";
import { decay, inverseReal, mixChannels, sigmoid } from "./optvis_reference.ts";
import { N_IMAGES, N_VOXELS, net, Planted, scenes, SIDE, size } from "./vwam_fixture.ts";

const gpu = await openMethodGpu();
const planted = await Planted.open(gpu);
let held = gpu.liveBytes;
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, held));

const { image } = planted;
const lucid = changedPreset(presetFor(image, "lucid"), {
  steps: 16,
  optimizer: { lr: 0.3 },
  transforms: { steps: [{ kind: "pad", by: 2 }, { kind: "jitter", by: 4 }] },
});
const BASE: Omit<MaximizeVoxelsOptions, "onImages"> = {
  ...{ key: randomKey(3), settings: lucid, size },
};
const voxels: TargetRequest[] = Array.from({ length: N_VOXELS }, (_, voxel) => ({ voxel }));

async function made(
  requests: Parameters<typeof maximizeVoxels>[1],
  options: Partial<MaximizeVoxelsOptions> = {},
): Promise<VoxelImage[]> {
  const images: VoxelImage[] = [];
  const onImages = (batch: { images: readonly VoxelImage[] }) => {
    images.push(...batch.images);
  };
  await maximizeVoxels(image, requests, { ...BASE, ...options, onImages });
  return images;
}

/** The largest value of each cell of PyTorch's adaptive pooling. */
function largest({ c, h, w, data }: FeatureMap, k: number): number[] {
  const bin = (i: number, n: number) => [Math.floor(i * n / k), Math.ceil((i + 1) * n / k)];
  return Array.from({ length: c * k * k }, (_, at) => {
    const [y0, y1] = bin(Math.floor(at / k) % k, h), [x0, x1] = bin(at % k, w);
    let most = -Infinity;
    for (let y = y0; y < y1; y++) {
      for (let x = x0; x < x1; x++) {
        most = Math.max(most, data[(Math.floor(at / (k * k)) * h + y) * w + x]);
      }
    }
    return most;
  });
}

/** Responses of the targets to the images that the encoder was fitted on, target by target. */
async function natural(requests: readonly TargetRequest[]): Promise<number[][]> {
  const targets = await imageTargets(image, requests);
  const { data } = await targetResponses(image, targets, planted.features);
  return targets.map((_, t) =>
    Array.from({ length: N_IMAGES }, (_, i) => data[i * targets.length + t])
  );
}

Deno.test("maximizeVoxels() drives every voxel above all images it was fitted on, and below when minimised", async () => {
  const some = voxels.slice(0, 2);
  const up = await made(some), down = await made(some, { isMinimized: true });
  for (const [v, others] of (await natural(some)).entries()) {
    assert.deepEqual([up[v].target, up[v].number, up[v].seed], [`${v}`, v, 0]);
    assert(up[v].response > Math.max(...others), `${up[v].response} of ${Math.max(...others)}`);
    assert(down[v].response < Math.min(...others), `${down[v].response}`);
    assert(up[v].losses[15] < up[v].losses[0]);
    assert(up[v].image.every((value) => value >= 0 && value <= 1));
  }
});

Deno.test("image s has the same bits in batches of one and three, wherever the run begins, and again", async () => {
  const options = { seeds: 2, settings: { ...lucid, steps: 3 } };
  const all = await made(voxels.slice(0, 2), { ...options, batch: 3 });
  assert.deepEqual(all.map(({ target, seed }) => `${target}.${seed}`), [
    ...["0.0", "0.1", "1.0", "1.1"],
  ]);
  assert.deepEqual(await made(voxels.slice(0, 2), { ...options, batch: 1 }), all);
  assert.deepEqual(
    await made(voxels.slice(0, 2), { ...options, first: 2, batch: 8 }),
    all.slice(2),
  );
  assert.notDeepEqual(all[0].image, all[1].image);
  const other = await made(voxels.slice(0, 1), { ...options, key: randomKey(4) });
  assert.notDeepEqual(other[0].image, all[0].image);
});

Deno.test("the gradient of parameters through views, resize, crop, taps and readout equals central differences", async () => {
  const small = { height: 24, width: 20 }, cover = { height: 80, width: 80 };
  const plane = SIDE * SIDE, views = lucid.transforms, draws = { key: randomKey(5), step: 2 };
  const { mean, std } = preprocessings.inception;
  const input = { size, cover, mean, std, isBgr: true } as const;
  using param = fourierParam(gpu, small);
  const readout = normal(randomKey(6), planted.encoder.nFeatures);
  const split = splitReadouts([readout], image.layers);
  const parts = image.layers.map(({ layer, size, grid, pool }) => ({
    ...{ layer, grid, pool },
    weights: Tensor.from(gpu, split.get(layer)!, [1, size]),
  }));
  const objective = readoutObjective(parts);
  const key = foldIn(foldIn(foldIn(foldIn(draws.key, 0), 2), 0), 0);
  const matrix = Float64Array.from(
    Float32Array.from(transformMap(views.steps, { size: small, key })),
  );
  const s = decay(small, 1), half = [1, 3, 24, 11];
  const scaled = (z: Float64Array) => z.map((v, i) => v * s[i % s.length] / 4);
  await gradcheck(gpu, {
    name: "the whole chain",
    shapes: [half, half],
    f: (re, im) => {
      const made = param.image([re, im]);
      const seen = modelInput(transformImages(made, views, draws), input);
      const taps = image.model.taps(seen, objective.layers, { reluGradient: "standard" });
      return objective.score({ image: made, crops: 1, activation: (name) => taps.get(name)! });
    },
    reference: (re, im) => {
      const made = mixChannels(inverseReal(scaled(re), scaled(im), small)).map(sigmoid);
      const dims = { batch: 1, crops: 1, channels: 3, ...small, outHeight: 24, outWidth: 20 };
      const { y } = affineWarpKernel.reference({ x: made, matrix }, dims, { fill: views.fill! });
      // 20 columns become 80 and 24 rows 96; the middle is 75 of each
      const { data } = interpolate(y, {
        ...{ layout: "chw", channels: 3, ...small, size: [96, 80] },
        ...{ mode: "bilinear", antialias: true },
      });
      const pixels = Float64Array.from({ length: 3 * plane }, (_, at) => {
        const c = Math.floor(at / plane), i = Math.floor(at / SIDE) % SIDE, j = at % SIDE;
        return (data[((2 - c) * 96 + i + 10) * 80 + j + 2] - mean[c]) / std[c];
      });
      const taps = net.forward(pixels, [SIDE, SIDE]);
      const features = image.layers.flatMap(({ layer, grid }) => largest(taps.get(layer)!, grid!));
      return [features.reduce((sum, v, j) => sum + v * readout[j], 0)];
    },
  });
  for (const { weights } of parts) weights.dispose();
});

const [A, B] = [{ name: "A", voxels: [0, 1] }, { name: "B", voxels: [2, 3] }];

Deno.test("images of A-B raise A and not B, and competitors are suppressed", async () => {
  const [a, contrast] = await made([{ roi: A }, { roi: A, against: B }]);
  const [suppressed] = await made([{ roi: A }], { competitors: [B], suppression: 1 });
  const both = await imageTargets(image, [{ roi: A }, { roi: B }]);
  const responses = async ({ image: picture }: VoxelImage) => {
    using x = Tensor.from(gpu, picture, [1, 3, SIDE, SIDE]);
    const split = splitReadouts(both.map(({ response }) => response.weights), image.layers);
    const parts = image.layers.map(({ layer, size, grid, pool }) => ({
      ...{ layer, grid, pool },
      weights: Tensor.from(gpu, split.get(layer)!, [2, size]),
    }));
    const intercept = both.map(({ response }) => response.intercept);
    const { data } = await predictResponses(x, image.model, parts, {
      input: image.input,
      intercept,
    });
    for (const { weights } of parts) weights.dispose();
    return data;
  };
  const [alone, against, without] = [a, contrast, suppressed].map(responses);
  const difference = ([toA, toB]: Float64Array) => toA - toB;
  const selectivity = ([toA, toB]: Float64Array) => (toA - toB) / (Math.abs(toA) + Math.abs(toB));
  assert(selectivity(await against) > selectivity(await alone) + 0.2);
  assert((await against)[1] < (await alone)[1], "B is driven less");
  assert(selectivity(await without) > selectivity(await alone) + 0.2);
  assert(Math.abs(a.response - (await alone)[0]) < 1e-4 * Math.abs(a.response));
  assert(Math.abs(contrast.response - difference(await against)) < 1e-4 * Math.abs(a.response));
  assert.deepEqual([a.target, contrast.target, suppressed.target], ["A", "A-B", "A"]);
});

Deno.test("every pooling gives a readout of length 1 that its region likes, zscore and median among them", async () => {
  for (const pooling of ["mean", "accuracy", "zscore", "median", "top", "component"] as const) {
    const accuracy = [0.9, 0.1, 0.5, 0.5];
    const [target] = await imageTargets(image, [{ roi: A }], { pooling, accuracy, nTop: 1 });
    const length = Math.hypot(...target.weights);
    const along = target.weights.reduce((sum, w, p) => sum + w * target.response.weights[p], 0);
    assert(Math.abs(length - 1) < 1e-12 && along > 0, `${pooling}: ${length}, ${along}`);
  }
  const [top] = await imageTargets(image, [{ roi: A }], {
    ...{ pooling: "top", accuracy: [0.1, 0.9], nTop: 1 },
  });
  const [one] = await imageTargets(image, [{ voxel: 1 }]);
  assert.deepEqual(top.weights, one.weights);
});

Deno.test("an encoder of features of length 1 is optimised and predicted as such", async () => {
  using unit = await Planted.open(gpu, { normalization: "l2", ridge: { alphas: [1e-3] } });
  const images: VoxelImage[] = [];
  await maximizeVoxels(unit.image, [{ voxel: 1 }], {
    ...BASE,
    onImages: (batch) => {
      images.push(...batch.images);
    },
  });
  const [target] = await imageTargets(unit.image, [{ voxel: 1 }]);
  const natural = await targetResponses(unit.image, [target], unit.features);
  const { data } = await unit.encoder.predict(unit.features);
  for (let i = 0; i < N_IMAGES; i++) {
    // f32 products of 600 features in the encoder, weights that are rounded once more here
    assert(Math.abs(natural.data[i] - data[i * N_VOXELS + 1]) < 1e-3 * Math.abs(data[1]) + 1e-3);
  }
  assert(images[0].response > Math.max(...Array.from(natural.data)));
});

const PICTURE = scenes(1, 12);
const picture: RgbImage = {
  ...size,
  data: Uint8Array.from({ length: 3 * SIDE * SIDE }, (_, at) => {
    const plane = SIDE * SIDE;
    return Math.round(255 * PICTURE[(at % 3) * plane + Math.floor(at / 3)]);
  }),
};

Deno.test("accentuation stays within a budget of pixels, and a wider one drives the target more", async () => {
  const settings = changedPreset(presetFor(image, "accentuate"), {
    ...{ steps: 6, transforms: { steps: [{ kind: "jitter", by: 2 }], crops: 1 } },
    optimizer: { lr: 10 },
  });
  const options = { settings, pictures: [picture, { ...picture }], size: undefined };
  const start =
    (await made([{ voxel: 0 }], { ...options, settings: { ...settings, steps: 1 } }))[0];
  const within = async (budget: PixelBudget) => {
    const images = await made([{ voxel: 0 }], { ...options, budget });
    assert.deepEqual(images.map(({ picture }) => picture), [0, 1]);
    for (const { change } of images) {
      // colours of bytes and of images are rounded to f32
      if (budget.max !== undefined) assert(change!.max <= budget.max + 1e-6, `${change!.max}`);
      if (budget.rms !== undefined) assert(change!.rms <= budget.rms + 1e-6, `${change!.rms}`);
    }
    return images[0];
  };
  const narrow = await within({ max: 4 / 255 }), wide = await within({ max: 16 / 255 });
  const ball = await within({ rms: 0.02 }), both = await within({ max: 8 / 255, rms: 0.02 });
  assert(narrow.change!.max > 3.9 / 255 && ball.change!.rms > 0.019, "budgets are used");
  assert(wide.response > narrow.response && narrow.response > start.response - 10);
  assert(both.response < wide.response);
  const [free] = await made([{ voxel: 0 }], options);
  assert(free.change!.rms > 0);
});

Deno.test("memory is the same after every look at the scores", async () => {
  const bytes = new Set<number>();
  const settings = { ...lucid, steps: 30 };
  const onProgress = () => bytes.add(gpu.liveBytes);
  await made([{ voxel: 0 }], { settings, readEvery: 10, onProgress });
  assert.equal(bytes.size, 1, `live bytes were ${[...bytes]}`);
});

Deno.test("what cannot be is said in one sentence", async () => {
  const { model, encoder } = planted;
  const { recipe, ...parts } = { ...encoder };
  const open = (change: object) =>
    openImageEncoder(gpu, { model, encoder: new Encoder({ ...parts, ...change }) });
  assertInputError(() => open({}), /does not say how its features were made/);
  assertInputError(
    () => open({ recipe: { ...recipe!, family: "clip" } }),
    /of the family clip, not inception/,
  );
  const layers = recipe!.layers.map((layer) => ({ ...layer }));
  const other = (change: object) => ({
    recipe: { ...recipe!, layers: [{ ...layers[0], ...change }, layers[1]] },
  });
  assertInputError(() => open(other({ name: "conv9" })), /the network has no conv9/);
  assertInputError(() => open(other({ channels: 3 })), /3 channels on .* the network 4/);
  assertInputError(() => open(other({ length: 7 })), /takes \d+ features, its recipe makes/);
  const weighted = new Encoder({ ...parts, recipe: { ...recipe!, weights: "aa" } });
  assertInputError(
    () => openImageEncoder(gpu, { model, encoder: weighted, weights: "bb" }),
    /other weights of this network/,
  );
  const refuse = (
    requests: readonly TargetRequest[],
    options: Partial<MaximizeVoxelsOptions>,
    message: RegExp,
  ) => assert.rejects(made(requests, options), { name: "InputError", message });
  await refuse([], {}, /no voxel and no region/);
  await refuse([{ voxel: 9 }], {}, /voxel 9 out: the encoder has 4/);
  await refuse([{ roi: { name: "C", voxels: [7] } }], {}, /voxel 7 .*\(region C\)/);
  await refuse([{ voxel: 0 }], { competitors: [B] }, /targets must be regions/);
  await refuse([{ voxel: 0 }], { pictures: [picture] }, /take the preset accentuate/);
  await refuse([{ voxel: 0 }], { settings: presetFor(image, "accentuate") }, /a picture/);
  await refuse([{ voxel: 0 }], { settings: presetFor(image, "vwam"), sizes: [8] }, /only fourier/);
  const free = { settings: presetFor(image, "accentuate"), pictures: [picture] };
  await refuse([{ voxel: 0 }], { ...free, budget: { max: 0 } }, /must be given, and both/);
  assertInputError(() => presetFor(image, "dream"), /there are vwam, lucid, maco, accentuate/);
  assertInputError(() => changedPreset(lucid, { lr: 1 }), /"lr": a preset has param, /);
  assertInputError(() => changedPreset(lucid, { optimizer: { lr: "1" } }), /must be a number/);
  assertInputError(() => changedPreset(lucid, { optimizer: { rate: 1 } }), /"optimizer.rate"/);
});

Deno.test("images may grow, and presets take twice the network's side for crops", async () => {
  const growing = { settings: { ...lucid, steps: 4 }, sizes: [20, 40], shares: [1, 1, 2] };
  const [grown] = await made([{ voxel: 0 }], growing);
  assert.equal(grown.image.length, 3 * SIDE * SIDE);
  const boxes = presetFor(image, "maco").transforms.steps.filter((step) => step.kind === "box");
  assert.deepEqual(boxes.map(({ output }) => output), [{ height: 150, width: 150 }]);
});

Deno.test("close the device", () => {
  planted[Symbol.dispose]();
  held = 0;
  gpu[Symbol.dispose]();
});
