/**
 * Features of videos and of reduced linear layers, from frames on disk to a fitted encoder.
 */
import assert from "node:assert/strict";
import { normal, randomKey, uniform } from "../../engine/random.ts";
import { eighHost } from "../../engine/ops/eigh.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { Tape } from "../../engine/tape.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { delayRows } from "../../pipelines/encoding/delays.ts";
import { fitEncoder } from "../../pipelines/encoding/encoder.ts";
import {
  type FeatureRecipe,
  inputRecipe,
  parseRecipe,
} from "../../pipelines/encoding/feature_recipe.ts";
import { hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import { imageReadouts } from "../../pipelines/encoding/image_readouts.ts";
import { preprocessings } from "../../pipelines/images/preprocess.ts";
import { Hdf5File } from "../../pipelines/io/hdf5.ts";
import { writeNpy } from "../../pipelines/io/npy.ts";
import { writePng } from "../../pipelines/io/png.ts";
import { saveSafetensors } from "../../pipelines/io/safetensors_file.ts";
import { hostTensor, toFloat32 } from "../../pipelines/io/state_dict.ts";
import { loadInception } from "../../pipelines/models/inception.ts";
import { type LinearReducers, linearReducers } from "../../pipelines/models/linear_reducers.ts";
import { planTaps, tapFeatures } from "../../pipelines/models/tap_features.ts";
import { predictResponses } from "../../pipelines/optvis/predict_responses.ts";
import { splitReadouts } from "../../pipelines/optvis/readout_weights.ts";
import { modelInput } from "../../pipelines/optvis/transform_images.ts";
import { phantomNetFiles } from "../../pipelines/phantom/nets.ts";
import { openImageEncoder, recipeReducers } from "../../pipelines/vwam/image_encoder.ts";
import { openCommandGpu } from "../_gpu.ts";
import { gyrus } from "../console.ts";
import { assertInputError, TestFolder } from "./io_fixtures.ts";
import { TinyInception } from "./inception_reference.ts";
import { assertNear, oracleFits } from "./ridge_oracle.ts";

const gpu = await openCommandGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const net = new TinyInception(randomKey(7));
const folder = new TestFolder();
const model = folder.at("inception.safetensors");
saveSafetensors(model, net.stateDict);

/** Frames of two movies, 13 and 8, as a folder of folders. */
const MOVIES = { run1: 13, run2: 8 };
const frames = Object.entries(MOVIES).flatMap(([movie, count], m) => {
  Deno.mkdirSync(folder.at(`movies/${movie}`), { recursive: true });
  return Array.from({ length: count }, (_, i) => {
    const data = Uint8Array.from(uniform(randomKey(100 * m + i), 80 * 80 * 3), (v) => 256 * v);
    folder.write(`movies/${movie}/${i}.png`, writePng({ width: 80, height: 80, data }));
    return data;
  });
});

async function features(out: string, ...more: string[]) {
  return await gyrus(
    ...["features", "--model", model, "--images", folder.at("movies"), "--size", "80"],
    ...["--taps", "Mixed_5b,Mixed_6a,fc", "--budget", "40", "--batch", "4"],
    ...["--out", folder.at(out), ...more],
  );
}

async function read(out: string, ...names: string[]) {
  using file = await Hdf5File.open(folder.at(out));
  return names.map((name) => ({ shape: file.info(name).shape, data: toFloat32(file.read(name)) }));
}

/** Means of rows by definition. */
function means(
  { data, shape: [, width] }: { data: Float32Array; shape: readonly number[] },
  spans: readonly (readonly [number, number])[],
): number[] {
  return spans.flatMap(([start, end]) =>
    Array.from({ length: width }, (_, j) => {
      let total = 0;
      for (let i = start; i < end; i++) total += data[i * width + j];
      return total / (end - start);
    })
  );
}

Deno.test("features averages the frames of TRs, of folders and of numbered clips, and goes on", async () => {
  const plain = await features("frames.h5");
  assert.equal(plain.code, 0, plain.text);
  const [all, fc] = await read("frames.h5", "/features", "/taps/fc");
  assert.equal(all.shape[0], frames.length);
  // Frames of a clip are not those of a batch in the other run, and sums of products depend on that: a few roundings of f32.
  const near = (got: ArrayLike<number>, want: ArrayLike<number>) =>
    assertNear(got, want, 1e-5, "means of frames");

  const trs = await features(
    "trs.h5",
    "--frames-per-clip",
    "2.5",
    "--checkpoint",
    folder.at("log"),
  );
  assert.equal(trs.code, 0, trs.text);
  const spans = [
    ...[[0, 3], [3, 5], [5, 8], [8, 10], [10, 13]] as const,
    ...[[13, 16], [16, 18], [18, 21]] as const,
  ];
  const [ofTrs, fcOfTrs, counts, runs] = await read(
    ...["trs.h5", "/features", "/taps/fc", "/frames", "/runs"] as const,
  );
  near(ofTrs.data, means(all, spans));
  near(fcOfTrs.data, means(fc, spans));
  assert.deepEqual([...counts.data], spans.map(([start, end]) => end - start));
  assert.deepEqual([...runs.data], [0, 0, 0, 0, 0, 1, 1, 1]);
  {
    using file = await Hdf5File.open(folder.at("trs.h5"));
    assert.deepEqual(file.readStrings("/names").slice(4, 6), ["run1_4", "run2_0"]);
  }
  const bytes = Deno.readFileSync(folder.at("log"));
  for (const [out, kept] of [["again.h5", 1], ["torn.h5", 0.6]] as const) {
    folder.write("log", bytes.subarray(0, Math.floor(kept * bytes.length)));
    const again = await features(out, "--frames-per-clip", "2.5", "--checkpoint", folder.at("log"));
    assert.equal(again.code, 0, again.text);
    assert.deepEqual(Deno.readFileSync(folder.at(out)), Deno.readFileSync(folder.at("trs.h5")));
  }
  const other = await features("x.h5", "--frames-per-clip", "2", "--checkpoint", folder.at("log"));
  assert.match(other.text, /options/);

  const clips = await features("clips.h5", "--clips", "folders");
  assert.equal(clips.code, 0, clips.text);
  const [ofClips] = await read("clips.h5", "/features");
  near(ofClips.data, means(all, [[0, 13], [13, 21]]));
  const labels = frames.map((_, i) => i < 4 ? 9 : i < 20 ? 2 : 5);
  const ref = folder.write("labels.npy", writeNpy(hostTensor(Float32Array.from(labels), [21])));
  const numbered = await features("numbered.h5", "--clips", ref, "--linear", "none");
  assert.equal(numbered.code, 0, numbered.text);
  const [ofNumbered, own] = await read("numbered.h5", "/features", "/clips");
  near(ofNumbered.data, means(all, [[0, 4], [4, 20], [20, 21]]));
  assert.deepEqual([...own.data], [9, 2, 5]);
});

Deno.test("features averages what a vision transformer computes, before it is rounded to half precision", async () => {
  const clip = decodeURIComponent(phantomNetFiles("clip").weights.pathname);
  const run = async (out: string, ...more: string[]) => {
    const { code, text } = await gyrus(
      ...["features", "--model", clip, "--images", folder.at("movies"), "--save", "cls,dense"],
      ...["--dense", "naclip", "--batch", "8", "--out", folder.at(out), ...more],
    );
    assert.equal(code, 0, text);
    return await read(out, "/cls", "/dense");
  };
  const [cls, dense] = await run("plain_vit.h5");
  const [ofClips, ofDense] = await run("vit.h5", "--clips", "folders", "--dense-dtype", "f16");
  const spans = [[0, 13], [13, 21]] as const;
  assertNear(ofClips.data, means(cls, spans), 1e-5, "/cls");
  assert.deepEqual(ofDense.shape, [2, ...dense.shape.slice(1)]);
  const width = dense.data.length / 21;
  const want = means({ data: dense.data, shape: [21, width] }, spans);
  // As stored, 16 times the mean, rounded once to 11 bits.
  ofDense.data.forEach((value, i) =>
    assert(Math.abs(value - 16 * want[i]) <= 2 ** -11 * Math.abs(16 * want[i]) + 1e-5)
  );
});

Deno.test("features says what is wrong with clips", async () => {
  const short = folder.write("short.npy", writeNpy(hostTensor(new Float32Array(3), [3])));
  const cases: [string[], RegExp][] = [
    [["--clips", "folders", "--frames-per-clip", "2"], /exclude each other/],
    [["--clips", short], /21 values are needed, one per image/],
    [["--frames-per-clip", "0"], /clips of 0/],
    [["--images", folder.at("movies/run1"), "--clips", "folders"], /has no folders in it/],
  ];
  for (const [args, message] of cases) {
    const { code, text } = await features("none.h5", ...args);
    assert.equal(code, 2, text);
    assert.match(text, message);
  }
});

Deno.test("features of frames, averaged by TR and delayed within runs, fit the ridge regression of their definition", async () => {
  const n = 8, T = 3;
  const responses = hostMatrix(normal(randomKey(3), n * T), [n, T]);
  const y = folder.write("y.npy", writeNpy(hostTensor(responses.data, [n, T])));
  const given = ["--features", folder.at("trs.h5:/features"), "--runs", folder.at("trs.h5:/runs")];
  const { code, text } = await gyrus(
    ...["encode", "fit", ...given, "--responses", y, "--delays", "1,2", "--alphas", "100"],
    ...["--cv", "2", "--coef", "--out", folder.at("model.h5")],
  );
  assert.equal(code, 0, text);
  const [x] = await read("trs.h5", "/features"), [coef] = await read("model.h5", "/coef");
  const runs = [0, 0, 0, 0, 0, 1, 1, 1];
  const delayed = delayRows(hostMatrix(x.data, [n, x.shape[1]]), [1, 2], { runs });
  // The first TR of the second run has no past: its delayed features are 0.
  assert(delayed.data.subarray(5 * delayed.shape[1], 6 * delayed.shape[1]).every((v) => v === 0));
  const [want] = oracleFits(delayed, responses, { alphas: [100] });
  // f32 Gram matrices of features of unit size, at an alpha of their size.
  assertNear(coef.data, want.coef, 1e-4, "weights");
});

/** What units of `fc` and their absence become: rows of V `[channels, 6]`, and −mean·V. */
async function mapsOf(reducers: LinearReducers, channels: number) {
  const rows = new Float32Array((channels + 1) * channels);
  for (let c = 0; c < channels; c++) rows[c * (channels + 1)] = 1;
  using x = Tensor.from(gpu, rows, [channels + 1, channels]);
  using y = reducers.reduce("fc", x);
  const values = Float32Array.from(await y.data());
  const zero = values.slice(6 * channels);
  return { v: values.slice(0, 6 * channels).map((value, i) => value - zero[i % 6]), zero };
}

/** Means over the inputs of `weight: [channels, inputs]`, and the covariance of the outputs. */
function momentsOf(w: Float32Array, channels: number) {
  const inputs = w.length / channels;
  const mean = Float64Array.from(
    { length: channels },
    (_, c) => w.subarray(c * inputs, (c + 1) * inputs).reduce((s, value) => s + value, 0) / inputs,
  );
  const covariance = Float64Array.from({ length: channels ** 2 }, (_, at) => {
    const a = Math.floor(at / channels), b = at % channels;
    let total = 0;
    for (let i = 0; i < inputs; i++) {
      total += (w[a * inputs + i] - mean[a]) * (w[b * inputs + i] - mean[b]);
    }
    return total / (inputs - 1);
  });
  return { mean, covariance };
}

const REDUCED = { budget: 6, taps: ["Mixed_7a", "fc"] };
const SIZE = { height: 75, width: 75 };

Deno.test("linearReducers() finds the components of the weights of fc, as VWAM's PCA(weight.T)", async () => {
  using model = await loadInception(gpu, net.stateDict);
  const weight = model.linearWeight("fc")!, [channels] = weight.shape;
  assert.equal(model.linearWeight("avgpool"), undefined);
  const plan = planTaps(model, SIZE, { ...REDUCED, linear: "weights_pca" });
  assert.deepEqual(plan.map(({ length }) => length), [model.channels.get("Mixed_7a"), 6]);
  assert.equal(planTaps(model, SIZE, { linear: "weights_pca" }).at(-1)!.length, channels);
  using pca = await linearReducers(gpu, model, plan, { linear: "weights_pca" });
  using again = await linearReducers(gpu, model, plan, { linear: "weights_pca" });
  const { v, zero } = await mapsOf(pca, channels);
  assert.deepEqual(await mapsOf(again, channels), { v, zero });
  assertInputError(() => pca.reduce("avgpool", weight), /avgpool: it is no layer to be reduced/);
  const { mean, covariance } = momentsOf(Float32Array.from(await weight.data()), channels);
  const largest = [...eighHost(covariance, channels).values].reverse();
  for (let k = 0; k < 6; k++) {
    const column = Array.from({ length: channels }, (_, c) => v[c * 6 + k]);
    const product = column.map((_, a) =>
      column.reduce((s, value, b) => s + covariance[a * channels + b] * value, 0)
    );
    // V is rounded to f32, and read as differences of values of its size.
    product.forEach((value, c) =>
      assert(Math.abs(value - largest[k] * column[c]) < 1e-6 * largest[0])
    );
    assert(Math.abs(Math.hypot(...column) - 1) < 1e-6);
    const offset = -column.reduce((s, value, c) => s + value * mean[c], 0);
    assert(Math.abs(zero[k] - offset) < 1e-6);
  }
});

Deno.test("linearReducers() draws directions by the seed that keep lengths on average", async () => {
  using model = await loadInception(gpu, net.stateDict);
  const channels = model.outputWidth,
    plan = planTaps(model, SIZE, { ...REDUCED, linear: "random_projection" });
  using random = await linearReducers(gpu, model, plan, { linear: "random_projection", seed: 4 });
  using other = await linearReducers(gpu, model, plan, { linear: "random_projection", seed: 5 });
  const { v, zero } = await mapsOf(random, channels);
  assert.deepEqual([...zero], Array(6).fill(0));
  assert.notDeepEqual((await mapsOf(other, channels)).v, v);
  // The mean over the channels of 6 squares of normal values by 6, four deviations.
  const squared = v.reduce((s, value) => s + value * value, 0) / channels;
  assert(Math.abs(squared - 1) < 4 * Math.sqrt(2 / (6 * channels)), `${squared}`);
});

Deno.test("tapFeatures() with reducers has coordinates in place of the outputs, on the tape too", async () => {
  using model = await loadInception(gpu, net.stateDict);
  const channels = model.outputWidth,
    plan = planTaps(model, SIZE, { ...REDUCED, linear: "weights_pca" });
  using reducers = await linearReducers(gpu, model, plan, { linear: "weights_pca" });
  const image = Float32Array.from(uniform(randomKey(3), 3 * 75 * 75), (u) => 4 * u - 2);
  using pixels = Tensor.from(gpu, image, [1, 3, 75, 75]);
  using reduced = tapFeatures(model, pixels, { ...REDUCED, reducers });
  using plain = tapFeatures(model, pixels, REDUCED);
  const [got, whole] = [await reduced.data(), await plain.data()];
  const { start } = plan[1], { v, zero } = await mapsOf(reducers, channels);
  assert.deepEqual(got.slice(0, start), whole.slice(0, start));
  const want = Array.from({ length: 6 }, (_, k) => {
    let total = zero[k];
    for (let c = 0; c < channels; c++) total += whole[start + c] * v[c * 6 + k];
    return total;
  });
  assertNear(got.subarray(start), want, 1e-5, "coordinates of the logits");
  using tape = new Tape();
  using watched = tape.watch(pixels);
  using loss = tidy(
    gpu,
    () => sum(tapFeatures(model, watched, { budget: 6, reducers, taps: ["fc"] })),
  );
  const [gradient] = tape.gradient(loss, [watched]);
  using held = gradient;
  assert(Math.hypot(...await held.data()) > 0);
});

Deno.test("openImageEncoder() reads an encoder of reduced layers out of the network", async () => {
  using model = await loadInception(gpu, net.stateDict);
  const size = { height: 75, width: 75 }, choice = { budget: 5, taps: ["Mixed_7a", "fc"] };
  const plan = planTaps(model, size, { ...choice, linear: "weights_pca" });
  const linear = { kind: "weights_pca", seed: 0 } as const;
  const recipe: FeatureRecipe = {
    ...{ family: "inception", pool: "max", channelOrder: "RGB" },
    layers: plan.map(({ name, channels, grid, length }) => ({
      ...{ name, channels, grid, length, ...(name === "fc" ? { linear } : {}) },
    })),
    ...inputRecipe({ ...preprocessings.inception, resizeSide: undefined }, size),
  };
  using reducers = await recipeReducers(gpu, model, recipe);
  using images = Tensor.from(gpu, uniform(randomKey(8), 6 * 3 * 75 * 75), [6, 3, 75, 75]);
  const { mean, std } = preprocessings.inception;
  using pixels = tidy(gpu, () => modelInput(images, { size, mean, std }));
  using all = tapFeatures(model, pixels, { ...choice, reducers });
  const features = hostMatrix(Float32Array.from(await all.data()), [6, all.shape[1]]);
  const responses = hostMatrix(normal(randomKey(9), 12), [6, 2]);
  const ridge = { alphas: [1], cv: 2, coef: true };
  const encoder = await fitEncoder(gpu, features, responses, { ridge, recipe });
  assertInputError(
    () => openImageEncoder(gpu, { model, encoder }),
    /features of fc are reduced, and there is no projection/,
  );
  const image = openImageEncoder(gpu, { model, encoder, reducers });
  const { weights, intercept } = await imageReadouts(gpu, encoder, [0, 1]);
  const split = splitReadouts(
    [0, 1].map((v) => weights.data.subarray(v * features.shape[1], (v + 1) * features.shape[1])),
    image.layers,
  );
  const parts = image.layers.map(({ layer, size, grid, pool }) => ({
    ...{ layer, grid, pool, weights: Tensor.from(gpu, split.get(layer)!, [2, size]) },
  }));
  const { data } = await predictResponses(images, image.model, parts, {
    ...{ input: image.input, intercept },
  });
  for (const part of parts) part.weights.dispose();
  const want = await encoder.predict(features);
  // The same features in f32, weighted in another order.
  assertNear(data, want.data, 1e-5, "predicted responses");
});

Deno.test("features --linear keeps in the recipe how a layer was reduced", async () => {
  for (const [kind, seed] of [["weights_pca", "0"], ["random_projection", "3"]] as const) {
    const { code, text } = await features(
      "linear.h5",
      "--linear",
      kind,
      "--seed",
      seed,
      "--budget",
      "5",
    );
    assert.equal(code, 0, text);
    using file = await Hdf5File.open(folder.at("linear.h5"));
    const [, p] = file.info("/features").shape;
    const recipe = parseRecipe(String(file.attributes("/features").recipe), "linear.h5", p);
    const { linear, length, channels } = recipe.layers[2];
    assert.deepEqual([linear, length, channels], [{ kind, seed: Number(seed) }, 5, 10]);
    assert.equal(recipe.layers[1].linear, undefined);
    assert.deepEqual(file.info("/taps/fc").shape, [21, 5]);
  }
});

Deno.test("remove the files and close the device", () => {
  folder[Symbol.dispose]();
  gpu[Symbol.dispose]();
});
