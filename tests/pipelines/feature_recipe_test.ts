/**
 * How features were made goes with them into the encoder's file, and an encoder's weights become readouts of a network.
 */
import assert from "node:assert/strict";
import {
  type Encoder,
  type FeatureRecipe,
  fitEncoder,
  type FitEncoderOptions,
  type HostMatrix,
  hostMatrix,
  imageReadouts,
  loadEncoder,
  normal,
  parseRecipe,
  randomKey,
  readRecipe,
  recipeLength,
  saveEncoder,
} from "../../mod.ts";
import { inputRecipe } from "../../pipelines/encoding/feature_recipe.ts";
import { preprocessings } from "../../pipelines/images/preprocess.ts";
import { Hdf5File } from "../../pipelines/io/hdf5.ts";
import { writeNpy } from "../../pipelines/io/npy.ts";
import { saveSafetensors } from "../../pipelines/io/safetensors_file.ts";
import { hostTensor } from "../../pipelines/io/state_dict.ts";
import { openTestGpu } from "../_gpu.ts";
import { gyrus } from "../console.ts";
import { TinyInception } from "./inception_reference.ts";
import { assertInputError, TestFolder } from "./io_fixtures.ts";
import { toStateDict } from "./vit_fixtures.ts";
import * as models from "./vit_models.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const [N, T] = [40, 4];
const matrix = (key: number, rows: number, cols: number): HostMatrix =>
  hostMatrix(normal(randomKey(key), rows * cols), [rows, cols]);
const moved = ({ data, shape }: HostMatrix): HostMatrix =>
  hostMatrix(data.map((v, at) => 3 + (1 + at % shape[1]) * v), shape);

/** What readouts say of features, in float64. */
function readOut(
  { weights: { data, shape: [nVoxels, p] }, intercept, normalization }: Awaited<
    ReturnType<typeof imageReadouts>
  >,
  x: HostMatrix,
): number[] {
  return Array.from({ length: x.shape[0] * nVoxels }, (_, at) => {
    const row = x.data.subarray(Math.floor(at / nVoxels) * p, (Math.floor(at / nVoxels) + 1) * p);
    const v = at % nVoxels;
    const length = normalization === "l2" ? Math.hypot(...row) : 1;
    return intercept[v] + row.reduce((sum, value, j) => sum + value * data[v * p + j], 0) / length;
  });
}

// Weights of samples are residuals over alpha in f32, see ridge_model_test.ts: what is promised for predictions.
const CLOSE = 1e-4;
function assertClose(got: ArrayLike<number>, want: ArrayLike<number>, what: string): void {
  const scale = Math.max(...Array.from(want, Math.abs));
  const off = Math.max(...Array.from(want, (v, i) => Math.abs(got[i] - v)));
  assert(got.length === want.length && off <= CLOSE * scale, `${what}: off by ${off} of ${scale}`);
}

const groups = Array.from({ length: 60 }, (_, j) => Math.floor(j / 20));
const FITS: Record<string, { p: number; options: FitEncoderOptions }> = {
  primal: { p: 12, options: {} },
  "dual, z-scored": { p: 60, options: { normalization: "zscore", ridge: { coef: false } } },
  "unit length": { p: 12, options: { normalization: "l2" } },
  "dual bands": {
    p: 60,
    options: {
      ridge: { coef: false, solver: "dual" },
      bands: { groups, nIter: 4, key: randomKey(9) },
    },
  },
  bands: { p: 60, options: { bands: { groups, nIter: 4, key: randomKey(9) } } },
  probe: { p: 12, options: { solver: "probe", probe: { epochs: 2 } } },
};

for (const [name, { p, options }] of Object.entries(FITS)) {
  Deno.test(`imageReadouts() of an encoder (${name}) predict what it predicts, for the voxels asked for`, async () => {
    const x = moved(matrix(1, N, p));
    if (name.endsWith("z-scored")) { for (let r = 0; r < N; r++) x.data[r * p + 5] = 0.7; }
    const encoder = await fitEncoder(gpu, x, matrix(2, N, T), {
      ...options,
      ridge: { alphas: [1, 100], cv: 3, ...options.ridge },
    });
    if (name.startsWith("dual")) assert.equal(encoder.model.coef, undefined);
    const fresh = moved(matrix(3, 7, p));
    const { data } = await encoder.predict(fresh);
    const voxels = [3, 0, 3];
    const readouts = await imageReadouts(gpu, encoder, voxels);
    assert.deepEqual(readouts.weights.shape, [3, p]);
    const want = Array.from(
      { length: 21 },
      (_, at) => data[Math.floor(at / 3) * T + voxels[at % 3]],
    );
    assertClose(readOut(readouts, fresh), want, name);
  });
}

for (const coef of [true, false]) {
  Deno.test(`imageReadouts() of delayed features with${coef ? "" : "out"} coef give the mean response over the delays`, async () => {
    const p = 12, delays = [1, 2, 4];
    const ridge = { alphas: [1], cv: 3, delays, coef, solver: "dual" } as const;
    const encoder = await fitEncoder(gpu, matrix(1, N, p), matrix(2, N, T), { ridge });
    const once = matrix(4, 6, p);
    once.data.fill(0, p); // one image, then nothing
    const { data } = await encoder.predict(once);
    const want = [2, 1].map((v) => delays.reduce((sum, d) => sum + data[d * T + v], 0) / 3);
    const readouts = await imageReadouts(gpu, encoder, [2, 1]);
    assertClose(readOut(readouts, hostMatrix(once.data.slice(0, p), [1, p])), want, "delays");
  });
}

Deno.test("imageReadouts() refuses voxels that are not there and weights that are no numbers", async () => {
  const encoder = await fitEncoder(gpu, matrix(1, N, 5), matrix(2, N, T), { ridge: { cv: 2 } });
  const refuse = (of: Encoder, voxels: number[], message: RegExp) =>
    assert.rejects(imageReadouts(gpu, of, voxels), { name: "InputError", message });
  await refuse(encoder, [], /at least one/);
  await refuse(encoder, [T], /voxel 4 out: the encoder has 4/);
  await refuse(encoder, [1.5], /voxel 1.5/);
  encoder.model.coef!.data[2 * T + 1] = NaN;
  await refuse(encoder, [0, 1], /voxel 1 out: its weight of feature 2 is NaN/);
});

const RECIPE: FeatureRecipe = {
  family: "inception",
  layers: [
    { name: "Mixed_6e", channels: 2, grid: 2, length: 8 },
    { name: "fc", channels: 4, grid: 1, length: 4 },
  ],
  ...{ pool: "max", channelOrder: "RGB" },
  ...inputRecipe(preprocessings.inception, { height: 299, width: 299 }),
};

Deno.test("a recipe goes through an encoder's file, and files without one stay readable", async () => {
  using folder = new TestFolder();
  assert.deepEqual([RECIPE.resize, RECIPE.size], [[342, 342], [299, 299]]);
  const fit = (recipe?: FeatureRecipe) =>
    fitEncoder(gpu, matrix(1, N, 12), matrix(2, N, T), { ridge: { cv: 2 }, recipe });
  await saveEncoder(folder.at("with.h5"), await fit(RECIPE));
  assert.deepEqual((await loadEncoder(gpu, folder.at("with.h5"))).recipe, RECIPE);
  await saveEncoder(folder.at("without.h5"), await fit());
  assert.equal((await loadEncoder(gpu, folder.at("without.h5"))).recipe, undefined);
  const wrong = { ...RECIPE, layers: RECIPE.layers.slice(1) };
  await saveEncoder(folder.at("wrong.h5"), await fit(wrong));
  await assert.rejects(loadEncoder(gpu, folder.at("wrong.h5")), {
    name: "InputError",
    message: /recipe of .*wrong\.h5.*: it makes 4 features, there are 12/,
  });
});

Deno.test("parseRecipe() says what is no recipe", () => {
  const refuse = (change: Record<string, unknown>, message: RegExp) =>
    assertInputError(
      () => parseRecipe(JSON.stringify({ ...RECIPE, ...change }), "x.h5", 12),
      message,
    );
  assertInputError(() => parseRecipe("{", "x.h5", 12), /recipe of "x.h5": it is not JSON/);
  refuse({ layers: 3 }, /layers must be a list, it is 3/);
  refuse({ layers: [] }, /no layer/);
  refuse({ layers: [{ ...RECIPE.layers[0], length: 9 }] }, /9 columns of 2 channels on 2x2/);
  refuse({ pool: "sum" }, /pool must be max or avg/);
  refuse({ size: [299] }, /size must be a height and a width/);
  refuse({ std: [1, 0, 1] }, /std positive/);
  refuse({ fit: "none" }, /fit must be crop or stretch/);
  assertInputError(
    () => inputRecipe({ ...preprocessings.clip, filter: "lanczos" }, { height: 8, width: 8 }),
    /bilinear or bicubic, it is lanczos/,
  );
  assert.equal(recipeLength(parseRecipe(JSON.stringify(RECIPE), "x.h5", 12)), 12);
});

Deno.test("features writes recipes of taps and embeddings, and encode fit copies them", async () => {
  using folder = new TestFolder();
  saveSafetensors(folder.at("net.safetensors"), new TinyInception(randomKey(7)).stateDict);
  const { keys, config } = models.clip.layouts[0];
  saveSafetensors(folder.at("clip.safetensors"), toStateDict(keys));
  folder.write("clip.config.json", JSON.stringify(config));
  const bytes = Uint8Array.from(normal(randomKey(5), 6 * 90 * 90 * 3), (v) => 128 + 40 * v);
  folder.write("images.npy", writeNpy(hostTensor(bytes, [6, 90, 90, 3])));
  const y = matrix(6, 6, 2).data;
  folder.write("y.npy", writeNpy(hostTensor(y, [6, 2])));
  const run = async (...args: string[]) => {
    const { code, text } = await gyrus(...args, "--json");
    assert.equal(code, 0, text);
  };
  const features = (name: string, ...more: string[]) =>
    run(
      ...["features", "--model", folder.at(`${name}.safetensors`), ...more],
      ...["--images", folder.at("images.npy"), "--out", folder.at(`${name}.h5`)],
    );
  await features("net", "--taps", "maxpool2,fc", "--budget", "200", "--size", "80", "--bgr");
  await features("clip", "--save", "cls", "--size", "32");
  const net = (await readRecipe(`${folder.at("net.h5")}:/features`))!;
  assert.deepEqual(net.layers, [
    { name: "maxpool2", channels: 12, grid: 4, length: 192 },
    { name: "fc", channels: 10, grid: 1, length: 10 },
  ]);
  const { family, size, resize, channelOrder, fit, filter } = net;
  assert.deepEqual({ family, size, resize, channelOrder, fit, filter }, {
    ...{ family: "inception", size: [80, 80], resize: [80, 80] },
    ...{ channelOrder: "BGR", fit: "crop", filter: "bilinear" },
  });
  assert.match(net.weights!, /^[0-9a-f]{64}$/);
  const one = (await readRecipe(`${folder.at("net.h5")}:/taps/fc`))!;
  assert.deepEqual([one.layers, one.weights], [net.layers.slice(1), net.weights]);
  const cls = (await readRecipe(`${folder.at("clip.h5")}:/cls`))!;
  using file = await Hdf5File.open(folder.at("clip.h5"));
  assert.deepEqual([cls.family, cls.layers[0].name, cls.layers[0].length], [
    ...["clip", "output"],
    file.info("/cls").shape[1],
  ]);
  assert.equal(await readRecipe(folder.at("y.npy")), undefined);
  await run(
    ...["encode", "fit", "--features", `${folder.at("net.h5")}:/features`, "--cv", "2"],
    ...["--responses", folder.at("y.npy"), "--out", folder.at("encoder.h5")],
  );
  assert.deepEqual((await loadEncoder(gpu, folder.at("encoder.h5"))).recipe, net);
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
