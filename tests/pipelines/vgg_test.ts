import assert from "node:assert/strict";
import { DisposedError } from "../../engine/errors.ts";
import { foldIn, normal, randomKey, uniform } from "../../engine/random.ts";
import { readAll, Tensor } from "../../engine/tensor.ts";
import {
  preprocess,
  type Preprocessing,
  preprocessings,
} from "../../pipelines/images/preprocess.ts";
import { Hdf5File } from "../../pipelines/io/hdf5.ts";
import { writeNpy } from "../../pipelines/io/npy.ts";
import { saveSafetensors } from "../../pipelines/io/safetensors_file.ts";
import {
  encodeFloat16,
  type HostTensor,
  hostTensor,
  type StateDict,
  toFloat32,
} from "../../pipelines/io/state_dict.ts";
import { isTapModel, loadAnyModel } from "../../pipelines/models/any_model.ts";
import { loadVit } from "../../pipelines/models/model.ts";
import { planTaps, tapFeatures } from "../../pipelines/models/tap_features.ts";
import { tapGradient } from "../../pipelines/models/tap_model.ts";
import { loadVgg } from "../../pipelines/models/vgg.ts";
import { openTestGpu } from "../_gpu.ts";
import { gyrus } from "../console.ts";
import { assertInputError, TestFolder } from "./io_fixtures.ts";
import { TinyVgg } from "./vgg_reference.ts";
import { relativeError } from "./vit_oracle.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const nets = [false, true].map((isNormed) => new TinyVgg(randomKey(21), { isNormed }));
const [plain, normed] = nets;
const size = [13, 18] as const; // 6×9 and 3×4 after the poolings: a row and a column are left over, cells of the average overlap
const values = 3 * size[0] * size[1];
const images = normal(randomKey(22), 2 * values);
const referencesOf = (net: TinyVgg, data: ArrayLike<number> = images) =>
  [0, 1].map((i) =>
    net.forward(Float64Array.from({ length: values }, (_, k) => data[i * values + k]), size)
  );
const pixelsOf = () => Tensor.from(gpu, images, [2, 3, ...size]);
const shapeOf = (name: string, { c, h, w }: { c: number; h: number; w: number }) =>
  name.startsWith("classifier") ? [2, c] : [2, c, h, w];

// 6 layers of f32 sums of at most 63 terms: each about 1e-7 of its size
const TOLERANCE = 2e-6;

Deno.test("loadVgg() computes all taps of torchvision's network, with batch norm and without", async () => {
  for (const net of nets) {
    using model = await loadVgg(gpu, net.stateDict);
    assert.deepEqual(model.tapNames, net.names);
    const references = referencesOf(net);
    using pixels = pixelsOf();
    const { output, captured } = model.forward(pixels, { capture: net.names });
    using logits = output;
    const shapes = model.tapShapes({ height: size[0], width: size[1] });
    for (const { name, shape } of shapes) {
      using tap = captured.get(name)!;
      const { c, h, w } = references[0].get(name)!;
      assert.deepEqual([name, ...shape], [name, c, h, w]);
      assert.deepEqual(tap.shape, shapeOf(name, { c, h, w }));
      const want = references.flatMap((taps) => [...taps.get(name)!.data]);
      const error = relativeError(await tap.data(), want);
      assert(error < TOLERANCE, `${name} ${error}`);
    }
    const last = references.flatMap((taps) => [...taps.get("classifier.6")!.data]);
    assert(relativeError(await logits.data(), last) < TOLERANCE);
  }
});

Deno.test("tapGradient() of a VGG is the derivative of all taps' readouts by the pixels", async () => {
  for (const net of nets) {
    using model = await loadVgg(gpu, net.stateDict);
    using pixels = pixelsOf();
    const [reference] = referencesOf(net);
    const readouts = net.names.map((name, i) => {
      const { data, h, w } = reference.get(name)!;
      const scale = 1 / Math.sqrt(h * w); // each tap has a say
      return normal(foldIn(randomKey(23), i), 2 * data.length).map((v) => v * scale);
    });
    const seeds = new Map(net.names.map((name, i) => {
      return [name, Tensor.from(gpu, readouts[i], shapeOf(name, reference.get(name)!))];
    }));
    using gradient = tapGradient(model, pixels, seeds);
    const got = await gradient.data();
    for (const seed of seeds.values()) seed.dispose();
    const direction = normal(randomKey(24), images.length);
    const step = 1e-7; // piecewise linear: a small step truncates nothing and hardly ever crosses a kink
    const loss = (sign: number) => {
      const moved = Float64Array.from(images, (v, i) => v + sign * step * direction[i]);
      return referencesOf(net, moved).reduce(
        (sum, taps, image) =>
          net.names.reduce((all, name, i) => {
            const { data } = taps.get(name)!;
            return all + data.reduce((s, v, j) => s + v * readouts[i][image * data.length + j], 0);
          }, sum),
        0,
      );
    };
    const numeric = (loss(1) - loss(-1)) / (2 * step);
    const analytic = direction.reduce((sum, d, i) => sum + d * got[i], 0);
    // cancellation: two losses near 50 differ by 1e-5 and carry 1e-14 each, 1e-8 of the slope; f32 has 1e-6
    assert(Math.abs(analytic - numeric) < 1e-5 * Math.abs(numeric), `${analytic} ${numeric}`);
  }
});

Deno.test("a VGG computes nothing after the last tap, and needs neither classifier nor final pooling", async () => {
  const some = new Map([...plain.stateDict].filter(([name]) => name.startsWith("features.")));
  const [reference] = referencesOf(plain);
  using model = await loadVgg(gpu, some, { hasFinalPool: false });
  assert.deepEqual(model.tapNames, plain.names.slice(0, 4));
  using pixels = pixelsOf();
  using output = model.forward(pixels).output;
  const { c, h, w } = reference.get("features.6")!;
  assert.deepEqual(output.shape, [2, c, h, w]);
  assert.equal(model.minSide, 2);
  using whole = await loadVgg(gpu, plain.stateDict);
  const before = gpu.liveBytes;
  const taps = whole.taps(pixels, ["features.2", "features.1"]);
  assert.deepEqual([...taps.keys()], ["features.2", "features.1"]);
  const kept = [...taps.values()].reduce((sum, tap) => sum + 4 * tap.size, 0);
  assert(gpu.liveBytes - before < 2 * kept); // buffers are powers of two
  for (const tap of taps.values()) tap.dispose();
});

Deno.test("redirected gradients pass a dead VGG", async () => {
  const dead = new Map(plain.stateDict);
  dead.set("features.5.bias", hostTensor(new Float32Array(7).fill(-100), [7]));
  using model = await loadVgg(gpu, dead);
  using pixels = pixelsOf();
  using seed = Tensor.from(gpu, new Float32Array(2 * 7 * 6 * 9).fill(-1), [2, 7, 6, 9]);
  const seeds = new Map([["features.6", seed]]);
  using none = tapGradient(model, pixels, seeds);
  using some = tapGradient(model, pixels, seeds, { reluGradient: "redirected" });
  const [zero, live] = await readAll([none, some]);
  assert(zero.every((v) => v === 0));
  assert(Math.hypot(...live) > 1e-3);
});

Deno.test("loadAnyModel() tells a VGG by its keys, in half precision and behind a prefix", async () => {
  const half: StateDict = new Map([...normed.stateDict].map(([name, tensor]) => [
    `net.${name}`,
    hostTensor(encodeFloat16(toFloat32(tensor)), tensor.shape, { dtype: "f16" }),
  ]));
  const config = { image_mean: [0.5, 0.4, 0.3], image_std: [0.2, 0.2, 0.25], image_size: 16 };
  using model = await loadAnyModel(gpu, half, config);
  assert(isTapModel(model) && model.family === "vgg");
  const { mean, std, size: side } = model.preprocessing;
  assert.deepEqual({ image_mean: mean, image_std: std, image_size: side }, config);
  const counts = ["features.1", "features.5", "features.8"].map((n) =>
    `net.${n}.num_batches_tracked`
  );
  assert.deepEqual(model.ignoredKeys, counts);
  const trained = [...normed.stateDict].filter(([name]) => /(weight|bias)$/.test(name));
  const sizeOf = ({ shape }: HostTensor) => shape.reduce((a, b) => a * b, 1);
  assert.equal(model.parameters, trained.reduce((sum, [, tensor]) => sum + sizeOf(tensor), 0));
  using pixels = pixelsOf();
  using output = model.forward(pixels).output;
  const want = referencesOf(normed).flatMap((taps) => [...taps.get("classifier.6")!.data]);
  const error = relativeError(await output.data(), want); // weights rounded to 11 bits, through 6 layers
  assert(error > 1e-5 && error < 1e-2, `${error}`);
});

Deno.test("loadVgg() names what is wrong with a checkpoint", async () => {
  const change = async (edit: (dict: Map<string, HostTensor>) => void, config = {}) => {
    const dict = new Map(plain.stateDict);
    edit(dict);
    using _ = await loadVgg(gpu, dict, config);
  };
  const rejects = (edit: Parameters<typeof change>[0], message: RegExp, config = {}) =>
    assert.rejects(() => change(edit, config), { name: "InputError", message });
  const zeros = (...shape: number[]) =>
    hostTensor(new Float32Array(shape.reduce((a, b) => a * b, 1)), shape);
  const alexnet = (d: Map<string, HostTensor>) => d.set("features.0.weight", zeros(5, 3, 11, 11));
  await rejects(alexnet, /"features.0.weight" must be \[5,3,3,3\], is \[5,3,11,11\]/);
  await rejects((d) => d.delete("features.3.bias"), /"features.3.bias" is missing/);
  await rejects((d) => d.delete("features.0.weight"), /expected the key "features.0.weight"/);
  await rejects((d) => d.set("more", zeros(1)), /unknown "more"/);
  await rejects((d) => d.set("features.5.bias", zeros(6)), /must be \[7\], is \[6\]/);
  await rejects(
    (d) => d.set("features.4.weight", zeros(6, 6, 3, 3)),
    /leaves no place for the ReLU after "features.3/,
  );
  await rejects((d) => d.set("classifier.0.weight", zeros(9, 27)), /square grid of 7 channels/);
  await rejects((d) => {
    d.set("classifier.1.weight", zeros(9, 9));
    d.set("classifier.1.bias", zeros(9));
  }, /"classifier.1.weight" leaves no place for a ReLU/);
  const nan = hostTensor(new Float32Array(4).fill(NaN), [4]);
  await rejects((d) => d.set("classifier.6.bias", nan), /finite numbers, value 0 is NaN/);
  await rejects(() => {}, /"image_std" must be three numbers above 0/, { image_std: [1, 1, 0] });
  await assert.rejects(() => loadVit(gpu, plain.stateDict), /loadVgg/);
  const bad = new Map(normed.stateDict);
  bad.set("features.1.running_var", hostTensor(new Float32Array(5).fill(-1), [5]));
  await assert.rejects(() => loadVgg(gpu, bad), /features.1.running_var" must be above -0.00001/);
});

Deno.test("a VGG refuses images and names that it cannot take", async () => {
  const model = await loadVgg(gpu, plain.stateDict);
  using small = Tensor.zeros(gpu, [1, 3, 3, 8]);
  assertInputError(() => model.forward(small), /both sides must be at least 4/);
  using flat = Tensor.zeros(gpu, [3, 8, 8]);
  assertInputError(() => model.forward(flat), /must be \[n, 3, height, width\]/);
  using pixels = pixelsOf();
  assertInputError(
    () => model.taps(pixels, ["features.0"]),
    /"features.0".*features.1, features.2/,
  );
  model[Symbol.dispose]();
  assert.throws(() => model.forward(pixels), DisposedError);
});

Deno.test("features recognises a VGG and takes its size and colours from the configuration", async () => {
  using folder = new TestFolder();
  await saveSafetensors(folder.at("vgg.safetensors"), plain.stateDict);
  const config = { image_mean: [0.5, 0.4, 0.3], image_std: [0.2, 0.2, 0.25], image_size: 16 };
  folder.write("vgg.config.json", new TextEncoder().encode(JSON.stringify(config)));
  const inspected = await gyrus("inspect", "--no-stats", folder.at("vgg.safetensors"));
  assert.match(inspected.text, /network: VGG/);
  const bytes = Uint8Array.from(uniform(randomKey(25), 2 * 20 * 24 * 3), (v) => 256 * v);
  folder.write("images.npy", writeNpy(hostTensor(bytes, [2, 20, 24, 3])));
  const run = (...more: string[]) =>
    gyrus("features", "--model", folder.at("vgg.safetensors"), ...more, "--json");
  const images = ["--images", folder.at("images.npy"), "--out", folder.at("taps.h5")];
  const { code, text } = await run(...images, "--budget", "100");
  assert.equal(code, 0, text);
  assert.equal(JSON.parse(text).family, "vgg");
  using file = await Hdf5File.open(folder.at("taps.h5"));
  const got = toFloat32(file.read("/features"));
  using model = await loadAnyModel(gpu, plain.stateDict, config);
  assert(isTapModel(model));
  const plan = planTaps(model, { height: 16, width: 16 }, { budget: 100 });
  assert.deepEqual(plan.map(({ grid }) => grid), [4, 4, 4, 3, 3, 2, 1, 1, 1]);
  const family: Preprocessing = {
    ...preprocessings.inception,
    resizeSide: undefined,
    resizeIn: "floats",
    mean: [0.5, 0.4, 0.3],
    std: [0.2, 0.2, 0.25],
  };
  const seen = [0, 1].flatMap((i) => {
    const data = bytes.subarray(i * 1440, (i + 1) * 1440);
    return [
      ...preprocess({ height: 20, width: 24, data }, { family, size: { height: 16, width: 16 } })
        .data,
    ];
  });
  using pixels = Tensor.from(gpu, seen, [2, 3, 16, 16]);
  using features = tapFeatures(model, pixels, { budget: 100 });
  assert.deepEqual([...got], [...await features.data()]);
  const dense = await run(
    "--images",
    folder.at("images.npy"),
    "--out",
    folder.at("no.h5"),
    "--dense",
    "kk",
  );
  assert.equal(dense.code, 2);
  assert.match(dense.text, /Cannot use --dense with VGG/);
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
