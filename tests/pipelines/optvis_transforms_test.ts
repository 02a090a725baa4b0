/**
 * Random views: their maps by hand, the sampling against exact shifts and turns, adjoints, and draws that know no batch.
 */
import assert from "node:assert/strict";
import {
  affineWarp,
  composeAffine,
  flip,
  foldIn,
  modelInput,
  pad,
  randomKey,
  resize,
  slice,
  Tensor,
  tidy,
  transformImages,
  transformMap,
  type Transforms,
  type TransformStep,
  transpose,
} from "../../mod.ts";
import { adjointGap } from "../adjoint.ts";
import { maxDifference } from "../golden_file.ts";
import { openTestGpu } from "../_gpu.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const SIZE = { height: 9, width: 11 };
const image = (seed: number, n = 1) => Tensor.randn(gpu, randomKey(seed), [n, 3, 9, 11]);

Deno.test("pad and jitter are an exact cut of the padded image", async () => {
  const steps: TransformStep[] = [{ kind: "pad", by: 2 }, { kind: "jitter", by: 4 }];
  const seen = new Set<number>();
  for (let s = 0; s < 40; s++) {
    const map = transformMap(steps, { size: SIZE, key: randomKey(s) });
    assert.deepEqual([map[0], map[1], map[3], map[4]], [1, 0, 0, 1]);
    seen.add(map[2]).add(map[5]);
  }
  assert.deepEqual([...seen].sort((a, b) => a - b), [-2, -1, 0, 1, 2]);
  using x = image(1);
  const draws = { key: randomKey(3), step: 5 };
  using y = transformImages(x, { steps, fill: 0.5 }, draws);
  const key = foldIn(foldIn(foldIn(foldIn(draws.key, 0), 5), 0), 0);
  const [, , dx, , , dy] = transformMap(steps, { size: SIZE, key });
  using want = tidy(gpu, () => {
    const padded = pad(x, { pads: [[2, 2], [2, 2]], value: 0.5 });
    return slice(padded, {
      start: [0, 0, 2 + dy, 2 + dx],
      end: [1, 3, 2 + dy + SIZE.height, 2 + dx + SIZE.width],
    });
  });
  assert.deepEqual(await y.data(), await want.data());
});

Deno.test("a turn by 90 degrees moves the top row to the left", async () => {
  using x = Tensor.randn(gpu, randomKey(2), [1, 3, 7, 7]);
  const steps: TransformStep[] = [{ kind: "rotate", degrees: { choices: [90] } }];
  using y = transformImages(x, { steps }, { key: randomKey(0), step: 0 });
  using want = tidy(gpu, () => flip(transpose(x), [2])); // against the clock: column j becomes row −j
  // cos 90° is 6e-17 in float64 and sin exact: coordinates are off by a few 1e-7, values differ by up to 6.
  assert(maxDifference(await y.data(), await want.data()) < 1e-5);
});

Deno.test("scaling is bilinear resizing about the middle", async () => {
  using x = image(4);
  const steps: TransformStep[] = [{ kind: "scale", factor: { choices: [1.5] } }];
  const draws = { key: randomKey(0), step: 0 };
  using y = transformImages(x, { steps, output: { height: 10, width: 13 } }, draws);
  using want = tidy(gpu, () => {
    const whole = resize(x, [14, 17]); // 13.5 and 16.5 rounded
    return slice(whole, { start: [0, 0, 2, 2], end: [1, 3, 12, 15] });
  });
  assert(maxDifference(await y.data(), await want.data()) < 1e-5);
});

Deno.test("a resized crop has torchvision's sides, a box the side asked for", () => {
  const size = { height: 500, width: 500 }, area = { low: 0.95, high: 1.05 };
  const sides = Array.from({ length: 200 }, (_, s) => {
    const [a, b, c, d, e, f] = transformMap([{ kind: "resizedCrop", area }], {
      size,
      key: randomKey(s),
    });
    assert(b === 0 && d === 0 && a === e);
    // the first and the last output lie half an output inside the crop
    for (const low of [c, f]) {
      const corner = low + 0.5 - a / 2;
      assert(Math.abs(corner - Math.round(corner)) < 1e-9 && corner > -1e-9);
      assert(corner + 500 * a < 500 + 1e-9);
    }
    return 500 * a;
  });
  assert(sides.every((s) => Math.abs(s - Math.round(s)) < 1e-9 && s >= 487 && s <= 500));
  assert(Math.min(...sides) < 490 && Math.max(...sides) === 500);
  const output = { height: 10, width: 10 };
  const step: TransformStep = {
    kind: "box",
    side: { low: 0.25, high: 0.3 },
    centerSd: 0.15,
    output,
  };
  const middles = Array.from({ length: 400 }, (_, s) => {
    const [a, , c] = transformMap([step], { size, output, key: randomKey(s) });
    assert(10 * a >= 125 && 10 * a <= 150);
    return (c + 4.5 * a + 0.5) / 500;
  });
  const mean = middles.reduce((s, v) => s + v) / 400;
  const sd = Math.sqrt(middles.reduce((s, v) => s + (v - mean) ** 2, 0) / 400);
  assert(Math.abs(mean - 0.5) < 4 * 0.15 / 20 && Math.abs(sd - 0.15) < 4 * 0.15 / Math.sqrt(800));
});

Deno.test("composeAffine() puts one map behind the other", () => {
  const [a, b, c, d, e, f] = composeAffine([1, 2, 3, 4, 5, 6], [0.5, -1, 2, 3, 0.25, -2]);
  // (x, y) = (2, −3) → (0.5·2 + 3 + 2, 3·2 − 0.75 − 2) = (6, 3.25) → (6 + 6.5 + 3, 24 + 16.25 + 6)
  assert.deepEqual([a * 2 + b * -3 + c, d * 2 + e * -3 + f], [15.5, 46.25]);
});

const LUCID: Transforms = {
  steps: [
    { kind: "pad", by: 2 },
    { kind: "jitter", by: 2 },
    { kind: "scale", factor: { choices: [0.9, 1, 1.1] } },
    { kind: "rotate", degrees: { low: -10, high: 10 } },
    { kind: "jitter", by: 1 },
  ],
  crops: 2,
};

Deno.test("the whole chain and its gradient are adjoint, and so is the network's input", async () => {
  const draws = { key: randomKey(6), step: 3 };
  const gaps = [
    await adjointGap(gpu, [2, 3, 9, 11], (x) => transformImages(x, LUCID, draws)),
    await adjointGap(
      gpu,
      [2, 3, 9, 11],
      (x) => affineWarp(x, [...ZOOM, ...ZOOM], { size: [6, 5] }),
    ),
    await adjointGap(
      gpu,
      [2, 3, 9, 11],
      (x) => modelInput(x, { size: { height: 6, width: 6 }, std: [0.2, 0.3, 0.4] }),
    ),
  ];
  // A thousand products rounded to 6e-8, and bilinear weights that the two directions may round apart by as much.
  gaps.forEach((gap, i) => assert(gap < 1e-6, `${i}: ${gap}`));
});
// A third of a pixel per output, far from the identity: 9 outputs on each axis read a pixel.
const ZOOM = [0.3, 0.1, 2, -0.1, 0.3, 3];

Deno.test("the views of an image are the same in any batch, and differ from image to image", async () => {
  const noisy = { ...LUCID, normalNoise: 0.1, uniformNoise: 0.1 };
  using batch = image(8, 4);
  using third = tidy(gpu, () => slice(batch, { axis: 0, start: 2, end: 3 }));
  using all = transformImages(batch, noisy, { key: randomKey(1), step: 7 });
  using alone = transformImages(third, noisy, { key: randomKey(1), first: 2, step: 7 });
  const [together, single] = [await all.data(), await alone.data()];
  assert.deepEqual(single, together.slice(2 * single.length, 3 * single.length));
  using other = transformImages(third, noisy, { key: randomKey(1), first: 3, step: 7 });
  assert.notDeepEqual(await other.data(), single);
  using shared = transformImages(third, { ...LUCID, isShared: true }, {
    key: randomKey(1),
    first: 3,
    step: 7,
  });
  using first = transformImages(third, LUCID, { key: randomKey(1), first: 0, step: 7 });
  assert.deepEqual(await shared.data(), await first.data());
});

Deno.test("noise has the spread asked for", async () => {
  using x = Tensor.zeros(gpu, [1, 3, 40, 40]);
  const draws = { key: randomKey(1), step: 0 };
  using normal = transformImages(x, { steps: [], normalNoise: 0.05 }, draws);
  using even = transformImages(x, { steps: [], uniformNoise: 0.025 }, draws);
  const [a, b] = [[...await normal.data()], [...await even.data()]];
  const sd = Math.sqrt(a.reduce((s, v) => s + v * v, 0) / a.length);
  assert(Math.abs(sd - 0.05) < 4 * 0.05 / Math.sqrt(2 * a.length));
  assert(Math.max(...b) <= 0.025 && Math.min(...b) >= -0.025 && Math.max(...b) > 0.024);
});

Deno.test("transforms refuse steps that cannot be", () => {
  using x = image(1);
  const draws = { key: randomKey(0), step: 0 };
  const refuse = (steps: TransformStep[], message: RegExp) =>
    assert.throws(() => transformImages(x, { steps }, draws), { name: "InputError", message });
  refuse([{ kind: "pad", by: -1 }], /whole from 0/);
  refuse([{ kind: "scale", factor: { choices: [] } }], /ranges in order/);
  refuse([{ kind: "scale", factor: { low: 1.1, high: 0.9 } }], /ranges in order/);
  refuse([{ kind: "jitter", by: 9 }], /step 0 \(jitter\) leaves no pixel/);
  assert.throws(() => affineWarp(x, [1, 0, 0, 2, 0, 0]), { name: "ShapeError" });
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
