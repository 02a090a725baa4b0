import assert from "node:assert/strict";
import { DisposedError } from "../../engine/errors.ts";
import { foldIn, normal, randomKey } from "../../engine/random.ts";
import { readAll, Tensor } from "../../engine/tensor.ts";
import { encodeFloat16, hostTensor, toFloat32 } from "../../pipelines/io/state_dict.ts";
import { imagenetMean, imagenetStd } from "../../pipelines/images/preprocess.ts";
import { inceptionTaps } from "../../pipelines/models/inception_layout.ts";
import { loadInception } from "../../pipelines/models/inception.ts";
import { loadVit } from "../../pipelines/models/model.ts";
import { tapGradient } from "../../pipelines/models/tap_model.ts";
import { openTestGpu } from "../_gpu.ts";
import { assertInputError } from "./io_fixtures.ts";
import { TinyInception } from "./inception_reference.ts";
import { relativeError } from "./vit_oracle.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const net = new TinyInception(randomKey(7));
const size = [75, 91] as const; // not square, and the smallest side there is
const values = 3 * size[0] * size[1];
const images = normal(randomKey(8), 2 * values);
const references = [0, 1].map((i) =>
  net.forward(Float64Array.from(images.subarray(i * values, (i + 1) * values)), size)
);
const pixelsOf = (data = images) => Tensor.from(gpu, data, [2, 3, ...size]);

const expected = (name: string) => references.flatMap((taps) => [...taps.get(name)!.data]);

Deno.test("loadInception() computes all taps of torchvision's network", async () => {
  using model = await loadInception(gpu, net.stateDict);
  using pixels = pixelsOf();
  const { output, captured } = model.forward(pixels, { capture: inceptionTaps });
  using logits = output;
  const shapes = model.tapShapes({ height: size[0], width: size[1] });
  assert.deepEqual(shapes.map(({ name }) => name), inceptionTaps);
  for (const { name, shape } of shapes) {
    using tap = captured.get(name)!;
    assert.deepEqual(tap.shape, name === "fc" ? [2, shape[0]] : [2, ...shape], name);
    const { c, h, w } = references[0].get(name)!;
    assert.deepEqual(shape, [c, h, w], name);
    // 48 layers of f32 sums, each about 1e-7, add up like a walk, and batch norm's slopes are near 1
    const error = relativeError(await tap.data(), expected(name));
    assert(error < 5e-6, `${name} ${error}`);
  }
  assert(relativeError(await logits.data(), expected("fc")) < 5e-6);
});

Deno.test("taps() computes nothing after the last tap that is named", async () => {
  using model = await loadInception(gpu, net.stateDict);
  using pixels = pixelsOf();
  model.weights.get("Mixed_6b.branch1x1.weight")!.dispose(); // whatever reads it fails
  const taps = model.taps(pixels, ["Mixed_6a", "maxpool1"]);
  assert.deepEqual([...taps.keys()], ["Mixed_6a", "maxpool1"]);
  for (const [name, tap] of taps) {
    assert(relativeError(await tap.data(), expected(name)) < 5e-6);
    tap.dispose();
  }
});

Deno.test("tapGradient() is the derivative of all taps' readouts by the pixels", async () => {
  using model = await loadInception(gpu, net.stateDict);
  using pixels = pixelsOf();
  const key = randomKey(9);
  const readouts = inceptionTaps.map((name, i) => {
    const { c, h, w } = references[0].get(name)!;
    const scale = 1 / Math.sqrt(h * w); // each tap has a say
    return normal(foldIn(key, i), 2 * c * h * w).map((v) => v * scale);
  });
  const seeds = new Map(inceptionTaps.map((name, i) => {
    const { c, h, w } = references[0].get(name)!;
    return [name, Tensor.from(gpu, readouts[i], name === "fc" ? [2, c] : [2, c, h, w])];
  }));
  using gradient = tapGradient(model, pixels, seeds);
  assert.deepEqual(gradient.shape, pixels.shape);
  const got = await gradient.data();
  for (const seed of seeds.values()) seed.dispose();
  const direction = normal(foldIn(key, 100), images.length);
  // piecewise linear: a small step truncates nothing, and crosses a kink of ReLU or maximum with a chance of about 1e-2
  const step = 1e-7;
  const loss = (sign: number) => {
    const moved = Float64Array.from(images, (v, i) => v + sign * step * direction[i]);
    return [0, 1].reduce((sum, image) => {
      const taps = net.forward(moved.subarray(image * values, (image + 1) * values), size);
      return inceptionTaps.reduce((all, name, i) => {
        const { data } = taps.get(name)!;
        return all +
          data.reduce((part, v, j) => part + v * readouts[i][image * data.length + j], 0);
      }, sum);
    }, 0);
  };
  const numeric = (loss(1) - loss(-1)) / (2 * step);
  const analytic = direction.reduce((sum, d, i) => sum + d * got[i], 0);
  // f32 takes a handful of the 10^5 decisions of ReLU and maximum otherwise than float64, each 1e-5 of the gradient
  const error = Math.abs(numeric - analytic) / Math.hypot(...got);
  assert(error < 1e-4, `${analytic} against ${numeric}`);
});

Deno.test("an image has the same bits in every batch, forward and back", async () => {
  using model = await loadInception(gpu, net.stateDict);
  const bitsOf = async (pixels: Tensor, first: number) => {
    const [n] = pixels.shape;
    const taps = model.taps(pixels, inceptionTaps);
    const seeds = new Map([...taps].map(([name, tap]) => {
      const one = normal(foldIn(randomKey(12), inceptionTaps.indexOf(name)), tap.size / n);
      return [name, Tensor.from(gpu, Array.from({ length: n }, () => [...one]).flat(), tap.shape)];
    }));
    using gradient = tapGradient(model, pixels, seeds);
    const all = [...taps.entries(), ["gradient", gradient] as const];
    const read = await readAll(all.map(([, tensor]) => tensor));
    [...taps.values(), ...seeds.values()].forEach((tensor) => tensor.dispose());
    return all.map(([name], i) => {
      const size = read[i].length / n;
      return [name, [...read[i].subarray(first * size, (first + 1) * size)]];
    });
  };
  const image = images.subarray(values);
  const many = Float32Array.from([...images, ...image, ...images, ...image]);
  using alone = Tensor.from(gpu, image, [1, 3, ...size]);
  using among = Tensor.from(gpu, many, [6, 3, ...size]);
  const want = await bitsOf(alone, 0);
  for (const place of [1, 5]) {
    for (const [i, [name, bits]] of (await bitsOf(among, place)).entries()) {
      assert.deepEqual(bits, want[i][1], `${name} at ${place}`);
    }
  }
});

Deno.test("loadInception() folds the normalisation of colours from 0 to 1 when asked", async () => {
  using model = await loadInception(gpu, net.stateDict);
  using unit = await loadInception(gpu, net.stateDict, { input: "unit" });
  const colours = images.map((v, i) => {
    const c = Math.floor(i / (size[0] * size[1])) % 3;
    return v * imagenetStd[c] + imagenetMean[c];
  });
  using pixels = pixelsOf();
  using plain = pixelsOf(colours);
  using want = model.forward(pixels).output;
  using got = unit.forward(plain).output;
  assert(relativeError(await got.data(), await want.data()) < 5e-6);
  using raw = await loadInception(gpu, net.stateDict, { transform_input: false });
  const untransformed = images.map((v, i) => {
    const c = Math.floor(i / (size[0] * size[1])) % 3;
    return 2 * (v * imagenetStd[c] + imagenetMean[c]) - 1;
  });
  using moved = pixelsOf(untransformed);
  using same = raw.forward(moved).output;
  assert(relativeError(await same.data(), await want.data()) < 5e-6);
});

Deno.test("loadInception() reads half precision and passes over the auxiliary classifier", async () => {
  const half = new Map([...net.stateDict].map(([name, tensor]) => [
    name,
    hostTensor(encodeFloat16(toFloat32(tensor)), tensor.shape, { dtype: "f16" }),
  ]));
  const prefixed = new Map([...half].map(([name, tensor]) => [`model.${name}`, tensor]));
  using model = await loadInception(gpu, prefixed);
  assert(model.ignoredKeys.includes("model.AuxLogits.conv0.conv.weight"));
  using pixels = pixelsOf();
  using output = model.forward(pixels).output;
  // weights rounded to 11 bits, through 48 layers
  const error = relativeError(await output.data(), expected("fc"));
  assert(error > 1e-5 && error < 1e-2, `${error}`);
  const trained = [...net.stateDict].filter(([name]) => /weight$|bias$/.test(name));
  const count = trained.reduce((sum, [, { shape }]) => sum + shape.reduce((a, b) => a * b, 1), 0);
  assert.equal(model.parameters, count);
});

Deno.test("redirected gradients reach the pixels where nothing is active", async () => {
  const dead = new Map(net.stateDict);
  const bias = toFloat32(dead.get("Mixed_7c.branch1x1.bn.bias")!);
  dead.set("Mixed_7c.branch1x1.bn.bias", hostTensor(bias.map(() => -100), [bias.length]));
  using model = await loadInception(gpu, dead);
  using pixels = pixelsOf();
  const [, , h, w] = [2, 0, references[0].get("Mixed_7c")!.h, references[0].get("Mixed_7c")!.w];
  const channels = model.channels.get("Mixed_7c")!;
  // the loss falls where channel 0 of branch1x1 rises
  const readout = Float32Array.from(
    { length: 2 * channels * h * w },
    (_, i) => Math.floor(i / (h * w)) % channels === 0 ? -1 : 0,
  );
  using seed = Tensor.from(gpu, readout, [2, channels, h, w]);
  const seeds = new Map([["Mixed_7c", seed]]);
  using none = tapGradient(model, pixels, seeds);
  using some = tapGradient(model, pixels, seeds, { reluGradient: "redirected" });
  const [zero, live] = await readAll([none, some]);
  assert(zero.every((v) => v === 0));
  assert(Math.hypot(...live) > 1e-3);
});

Deno.test("loadInception() names what is wrong with a checkpoint", async () => {
  const change = async (edit: (dict: Map<string, ReturnType<typeof hostTensor>>) => void) => {
    const dict = new Map(net.stateDict);
    edit(dict);
    using _ = await loadInception(gpu, dict);
  };
  const rejects = (edit: Parameters<typeof change>[0], message: RegExp) =>
    assert.rejects(() => change(edit), { name: "InputError", message });
  await rejects((d) => d.delete("Mixed_6c.branch7x7_2.conv.weight"), /branch7x7_2.* is missing/);
  await rejects((d) => d.set("more", hostTensor(new Float32Array(1), [1])), /unknown "more"/);
  await rejects(
    (d) => d.set("Mixed_5b.branch1x1.bn.bias", hostTensor(new Float32Array(3), [3])),
    /must be \[4\], is \[3\]/,
  );
  await rejects(
    (d) => d.set("fc.bias", hostTensor(new Float32Array(10).fill(NaN), [10])),
    /finite numbers, value 0 is NaN/,
  );
  await rejects(
    (d) => d.set("Conv2d_2a_3x3.bn.running_var", hostTensor(new Float32Array(2).fill(-1), [2])),
    /running_var" must be above -0.001/,
  );
  await assert.rejects(() => loadVit(gpu, net.stateDict), /loadInception/);
});

Deno.test("Inception refuses images and names that it cannot take", async () => {
  const model = await loadInception(gpu, net.stateDict);
  using small = Tensor.zeros(gpu, [1, 3, 74, 80]);
  assertInputError(() => model.forward(small), /both sides must be at least 75/);
  using flat = Tensor.zeros(gpu, [3, 80, 80]);
  assertInputError(() => model.forward(flat), /must be \[n, 3, height, width\]/);
  using pixels = pixelsOf();
  assertInputError(() => model.taps(pixels, ["mixed4c"]), /Cannot capture "mixed4c".*Mixed_6e/);
  model[Symbol.dispose]();
  assert.throws(() => model.forward(pixels), DisposedError);
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
