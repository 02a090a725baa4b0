import assert from "node:assert/strict";
import { randomKey, uniform } from "../../engine/random.ts";
import { Tape } from "../../engine/tape.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { preprocess, preprocessings } from "../../pipelines/images/preprocess.ts";
import { Hdf5File } from "../../pipelines/io/hdf5.ts";
import { writeNpy } from "../../pipelines/io/npy.ts";
import { saveSafetensors } from "../../pipelines/io/safetensors_file.ts";
import { hostTensor, toFloat32 } from "../../pipelines/io/state_dict.ts";
import { InceptionModel, loadInception } from "../../pipelines/models/inception.ts";
import { inceptionTaps } from "../../pipelines/models/inception_layout.ts";
import { planTaps, pooledTaps, tapFeatures } from "../../pipelines/models/tap_features.ts";
import { openTestGpu } from "../_gpu.ts";
import { gyrus } from "../console.ts";
import { assertInputError, TestFolder } from "./io_fixtures.ts";
import { TinyInception } from "./inception_reference.ts";
import { relativeError } from "./vit_oracle.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const net = new TinyInception(randomKey(7));

/** Torchvision's widths (its inception.py), after every tap. */
const WIDTHS = [32, 32, 64, 64, 80, 192, 192, 256, 288, 288, 768, 768, 768, 768, 768, 1280, 2048];

/** A network of torchvision's widths without weights: shapes are all that a plan reads. */
function fullWidth(): InceptionModel {
  const channels = [...WIDTHS, 2048, 2048, 1000];
  return new InceptionModel(
    {
      layers: new Map(),
      channels: new Map(inceptionTaps.map((name, i) => [name, channels[i]])),
      parameters: 0,
      ignoredKeys: [],
    },
    new Map(),
  );
}

Deno.test("planTaps() has the features of the paper's budgets", () => {
  using model = fullWidth();
  const size = { height: 299, width: 299 };
  const plan = planTaps(model, size);
  const grids = [8, 8, 6, 6, 5, 3, 3, 3, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1];
  assert.deepEqual(plan.map(({ grid }) => grid), grids);
  const total = (budget: number) =>
    planTaps(model, size, { budget }).reduce((all, { length }) => all + length, 0);
  assert.equal(total(2500), 31032);
  assert.equal(total(5000), 68024);
  // VWAM has 154,296 there, as it pools the one cell of avgpool to 2x2: three more times 2,048 columns
  assert.equal(total(10000), 154296 - 3 * 2048);
  // and nothing of the widest taps here: one feature per channel is kept
  assert.equal(planTaps(model, size, { budget: 1000 })[17].length, 2048);
  const some = planTaps(model, size, { taps: ["fc", "Mixed_6e"] });
  assert.deepEqual(some.map(({ name, start }) => [name, start]), [["Mixed_6e", 0], ["fc", 768]]);
  assertInputError(() => planTaps(model, size, { taps: ["conv"] }), /each must be one of/);
  assertInputError(() => planTaps(model, size, { taps: ["fc", "fc"] }), /once/);
  assertInputError(() => planTaps(model, size, { budget: 0 }), /number from 1, is 0/);
});

/** Windows of PyTorch's adaptive pooling, from the formula. */
function adaptive(
  { c, h, w, data }: { c: number; h: number; w: number; data: Float64Array },
  k: number,
  f: (cell: number[]) => number,
): number[] {
  const bin = (i: number, n: number) => [Math.floor(i * n / k), Math.ceil((i + 1) * n / k)];
  return Array.from({ length: c * k * k }, (_, at) => {
    const [y0, y1] = bin(Math.floor(at / k) % k, h), [x0, x1] = bin(at % k, w);
    const cell = [];
    for (let y = y0; y < y1; y++) {
      for (let x = x0; x < x1; x++) cell.push(data[(Math.floor(at / (k * k)) * h + y) * w + x]);
    }
    return f(cell);
  });
}

Deno.test("tapFeatures() pools every tap to overlapping cells, channel by channel", async () => {
  using model = await loadInception(gpu, net.stateDict);
  const image = Float32Array.from(uniform(randomKey(3), 3 * 75 * 91), (v) => 4 * v - 2);
  const taps = net.forward(Float64Array.from(image), [75, 91]);
  using pixels = Tensor.from(gpu, image, [1, 3, 75, 91]);
  const largest = (cell: number[]) => Math.max(...cell);
  const average = (cell: number[]) => cell.reduce((a, b) => a + b) / cell.length;
  for (const [pool, f] of [["max", largest], ["avg", average]] as const) {
    const options = { budget: 50, pool };
    const plan = planTaps(model, { height: 75, width: 91 }, options);
    assert(plan.some(({ grid }) => grid === 5) && plan.some(({ grid }) => grid === 2));
    const wanted = plan.map(({ name, grid }) => adaptive(taps.get(name)!, grid, f));
    const pooled = pooledTaps(model, pixels, options);
    for (const [i, { name, length }] of plan.entries()) {
      using tap = pooled.get(name)!;
      assert.deepEqual(tap.shape, [1, length]);
      assert(relativeError(await tap.data(), wanted[i]) < 5e-6, `${pool} ${name}`);
    }
    using all = tapFeatures(model, pixels, options);
    assert(relativeError(await all.data(), wanted.flat()) < 5e-6);
  }
  using tape = new Tape();
  using watched = tape.watch(pixels);
  using loss = tidy(gpu, () => sum(tapFeatures(model, watched)));
  const [gradient] = tape.gradient(loss, [watched]);
  using held = gradient;
  assert(Math.hypot(...await held.data()) > 0);
});

/** Images of different sizes and a checkpoint. */
class Files implements Disposable {
  readonly folder = new TestFolder();
  readonly bytes: Uint8Array<ArrayBuffer>;

  constructor(readonly n: number) {
    saveSafetensors(this.folder.at("inception.safetensors"), net.stateDict);
    this.bytes = Uint8Array.from(uniform(randomKey(5), n * 90 * 120 * 3), (v) => 256 * v);
    this.folder.write("images.npy", writeNpy(hostTensor(this.bytes, [n, 90, 120, 3])));
  }

  features(out: string, ...more: string[]) {
    const model = ["--model", this.folder.at("inception.safetensors")];
    const images = ["--images", this.folder.at("images.npy"), "--size", "80", "--batch", "2"];
    return gyrus("features", ...model, ...images, "--out", this.folder.at(out), ...more, "--json");
  }

  [Symbol.dispose](): void {
    this.folder[Symbol.dispose]();
  }
}

Deno.test("features recognises Inception V3 and writes pooled taps, batch by batch", async () => {
  using files = new Files(3);
  const { code, text } = await files.features("taps.h5", "--taps", "Mixed_6e,maxpool1,fc");
  assert.equal(code, 0, text);
  const { family, shapes } = JSON.parse(text);
  assert.equal(family, "inception");
  const lengths = { "/taps/maxpool1": 4 * 18 * 18, "/taps/Mixed_6e": 48 * 9, "/taps/fc": 10 };
  const total = Object.values(lengths).reduce((a, b) => a + b);
  assert.deepEqual(
    shapes,
    Object.fromEntries([
      ...Object.entries(lengths).map(([path, length]) => [path, [3, length]]),
      ["/features", [3, total]],
    ]),
  );
  using file = await Hdf5File.open(files.folder.at("taps.h5"));
  const all = toFloat32(file.read("/features"));
  // the shorter side becomes 80, then the middle 80 columns are kept
  const recipe = {
    ...preprocessings.inception,
    resizeSide: undefined,
    resizeIn: "floats",
  } as const;
  const last = files.bytes.subarray(2 * 90 * 120 * 3);
  const { data } = preprocess({ height: 90, width: 120, data: last }, {
    ...{ family: recipe, size: { height: 80, width: 80 } },
  });
  const taps = net.forward(Float64Array.from(data), [80, 80]);
  const largest = (cell: number[]) => Math.max(...cell);
  const wanted = ([["maxpool1", 18], ["Mixed_6e", 3], ["fc", 1]] as const)
    .flatMap(([name, k]) => adaptive(taps.get(name)!, k, largest));
  assert(relativeError(all.subarray(2 * total), wanted) < 5e-6);
});

Deno.test("features --bgr takes colours the other way round, --pool avg means", async () => {
  using files = new Files(1);
  const run = async (out: string, ...more: string[]) => {
    const { code, text } = await files.features(
      out,
      "--taps",
      "Mixed_5b,fc",
      "--budget",
      "100",
      ...more,
    );
    assert.equal(code, 0, text);
    using file = await Hdf5File.open(files.folder.at(out));
    return toFloat32(file.read("/features"));
  };
  const straight = await run("a.h5");
  const swapped = files.bytes.map((_, i) => files.bytes[i + [2, 0, -2][i % 3]]);
  files.folder.write("images.npy", writeNpy(hostTensor(swapped, [1, 90, 120, 3])));
  assert.deepEqual(await run("b.h5", "--bgr"), straight);
  const means = await run("c.h5", "--bgr", "--pool", "avg");
  assert(relativeError(means, straight) > 0.01);
});

Deno.test("features with Inception V3 goes on from a checkpoint, and refuses one of other options", async () => {
  using files = new Files(3);
  const log = ["--checkpoint", files.folder.at("log"), "--taps", "maxpool2,fc"];
  assert.equal((await files.features("whole.h5", ...log)).code, 0);
  const again = await files.features("again.h5", ...log);
  assert.equal(again.code, 0, again.text);
  const [a, b] = ["whole.h5", "again.h5"].map((name) => Deno.readFileSync(files.folder.at(name)));
  assert.deepEqual(a, b);
  const other = await files.features("other.h5", ...log, "--budget", "100");
  assert.equal(other.code, 2);
  assert.match(other.text, /options/);
});

Deno.test("features refuses options of the other kind of network", async () => {
  using files = new Files(1);
  const dense = await files.features("x.h5", "--dense", "naclip");
  assert.equal(dense.code, 2);
  assert.match(dense.text, /Cannot use --dense with Inception V3/);
  const unknown = await files.features("x.h5", "--taps", "mixed4c");
  assert.equal(unknown.code, 2);
  assert.match(unknown.text, /mixed4c/);
  const small = await files.features("x.h5", "--size", "64");
  assert.match(small.text, /at least 75/);
  assert.deepEqual(files.folder.list().filter((name) => name.startsWith("x.h5")), []);
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
