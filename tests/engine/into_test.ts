/**
 * Ops that write side by side into channels of one tensor.
 */
import assert from "node:assert/strict";
import { concat, conv2d, maxPool2d, readAll, sigmoid, Tape, Tensor, tidy } from "../../mod.ts";
import { normal, randomKey } from "../../engine/random.ts";
import { imagesToFill, type Into, placed } from "../../engine/ops/into.ts";
import { openTestGpu } from "../_gpu.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));
const randn = (seed: number, shape: readonly number[]) =>
  Tensor.from(gpu, normal(randomKey(seed), shape.reduce((a, b) => a * b, 1)), shape);

const CIN = 40, SIDES = [29, 31] as const;
type Part = (x: Tensor, into?: Into) => Tensor;

/** What stands side by side: every way in which an op comes to its values, each with its channels. */
function partsOf(weights: readonly Tensor[]): readonly (readonly [channels: number, part: Part])[] {
  const [one, three, ninths, few, bias] = weights;
  return [
    [33, (x, into) => conv2d(x, one, { bias, activation: "relu", into })],
    // 3×3 with as many channels goes by products at points where those are fast
    [52, (x, into) => conv2d(x, three, { padding: 1, activation: "relu", into })],
    [CIN, (x, into) => conv2d(x, ninths, { padding: 1, groups: CIN, activation: "relu", into })],
    [CIN, (x, into) => maxPool2d(x, 3, { stride: 1, padding: 1, into })],
    [5, (x, into) => conv2d(x, few, { padding: [0, 1], into })],
    [5, (x, into) => conv2d(x, few, { padding: [0, 1], activation: "silu", into })],
    [CIN, (x, into) => into ? placed(sigmoid(x), into) : sigmoid(x)],
  ];
}

/** All parts together, of `together`, and the gradients of it by the images and, where these are wanted, the weights. */
async function bothWays(
  together: (x: Tensor, parts: ReturnType<typeof partsOf>) => Tensor,
  withWeights: boolean,
) {
  const tensors = tidy(gpu, () => {
    const shapes = [[33, CIN, 1, 1], [52, CIN, 3, 3], [CIN, 1, 3, 3], [5, CIN, 1, 3], [33]];
    using tape = new Tape();
    const weights = shapes.map((shape, i) => randn(10 + i, shape));
    const used = withWeights ? weights.map((w) => tape.watch(w)) : weights;
    const x = tape.watch(randn(1, [2, CIN, ...SIDES]));
    const y = together(x, partsOf(used));
    const seed = randn(2, y.shape);
    return [y.detach(), ...tape.gradient(y, withWeights ? [x, ...used] : [x], { seed })];
  });
  const values = await readAll(tensors);
  tensors.forEach((t) => t.dispose());
  return values;
}

const apart = (x: Tensor, parts: ReturnType<typeof partsOf>) =>
  concat(parts.map(([, part]) => part(x)), 1);

function sideBySide(x: Tensor, parts: ReturnType<typeof partsOf>): Tensor {
  const channels = parts.reduce((sum, [n]) => sum + n, 0);
  const images = imagesToFill(x, [2, channels, ...SIDES]);
  let first = 0;
  for (const [n, part] of parts) {
    assert.equal(part(x, { images, first }), images);
    first += n;
  }
  return images;
}

for (const withWeights of [false, true]) {
  Deno.test(
    `ops that write side by side give the bits of their concatenation${
      withWeights ? ", by the weights too" : ", forward and back"
    }`,
    async () => {
      assert.deepEqual(await bothWays(sideBySide, withWeights), await bothWays(apart, withWeights));
    },
  );
}

Deno.test("an op off the tape writes beside one that is on it", async () => {
  const [y, dx] = tidy(gpu, () => {
    using tape = new Tape();
    const x = tape.watch(randn(1, [1, 1, 2, 2])), constant = randn(2, [1, 1, 2, 2]);
    const weight = Tensor.from(gpu, [3], [1, 1, 1, 1]);
    const images = imagesToFill(x, [1, 2, 2, 2]);
    conv2d(x, weight, { into: { images, first: 1 } });
    conv2d(constant, weight, { into: { images, first: 0 } });
    const seed = Tensor.from(gpu, [1, 2, 3, 4, 5, 6, 7, 8], images.shape);
    return [images.detach(), ...tape.gradient(images, [x], { seed })];
  });
  const three = (values: ArrayLike<number>) => Array.from(values, (v) => Math.fround(3 * v));
  assert.deepEqual([...await y.data()], [
    ...three(normal(randomKey(2), 4)),
    ...three(normal(randomKey(1), 4)),
  ]);
  assert.deepEqual([...await dx.data()], [15, 18, 21, 24]);
  [y, dx].forEach((t) => t.dispose());
});

Deno.test("into refuses channels, sides and types that do not fit", () => {
  using x = randn(1, [1, 2, 4, 4]);
  using images = Tensor.zeros(gpu, [1, 5, 4, 4]);
  using small = Tensor.zeros(gpu, [1, 5, 3, 4]);
  using whole = Tensor.zeros(gpu, [1, 5, 4, 4], { dtype: "u32" });
  assert.throws(() => placed(x, { images, first: 4 }), {
    name: "ShapeError",
    message: /\[1,2,4,4\] into channels 4 and on of \[1,5,4,4\]: they must be within it/,
  });
  assert.throws(() => placed(x, { images, first: -1 }), { name: "ShapeError" });
  assert.throws(() => placed(x, { images: small, first: 0 }), { name: "ShapeError" });
  assert.throws(() => maxPool2d(x, 1, { into: { images: whole, first: 0 } }), {
    name: "DTypeError",
    message: /f32 into u32/,
  });
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
