/**
 * Objectives and penalties against their formulas in float64, with gradients by central differences; readout weights by hand.
 */
import assert from "node:assert/strict";
import {
  addObjectives,
  blurPenalty,
  boundaryPenalty,
  channelObjective,
  contrastReadout,
  directionObjective,
  diversityObjective,
  hostMatrix,
  l1Penalty,
  l2Penalty,
  neuronObjective,
  normal,
  type Objective,
  randomKey,
  readoutObjective,
  roiReadout,
  scaleObjective,
  seedPenalty,
  slice,
  spectralPenalty,
  spectrumDistance,
  splitReadouts,
  suppressedReadout,
  Tensor,
  tidy,
  totalVariation,
  unitWeights,
} from "../../mod.ts";
import { gradcheck, type GradientCase } from "../gradcheck.ts";
import { openTestGpu } from "../_gpu.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const [N, C, H, W] = [4, 3, 6, 7], CROPS = 2, PLANE = H * W, EACH = C * PLANE;
const scored = (objective: Objective, crops = CROPS) => (x: Tensor) =>
  objective.score({ image: x, crops, activation: () => x });

/** Mean over the views of an image of what a view gives. */
const ofViews = (view: (x: Float64Array, n: number) => number) => (x: Float64Array) =>
  Array.from({ length: N / CROPS }, (_, n) => {
    const values = [0, 1].map((k) =>
      view(x.subarray((CROPS * n + k) * EACH, (CROPS * n + k + 1) * EACH), n)
    );
    return (values[0] + values[1]) / 2;
  });
const ofImages = (one: (x: Float64Array) => number) => (x: Float64Array) =>
  Array.from({ length: N }, (_, n) => one(x.subarray(n * EACH, (n + 1) * EACH)));

async function check(
  name: string,
  f: GradientCase["f"],
  reference: (x: Float64Array) => ArrayLike<number>,
) {
  await gradcheck(gpu, { name, shapes: [[N, C, H, W]], f, reference });
}

const direction = normal(randomKey(21), C);
const at = (x: Float64Array, c: number, p: number) => x[c * PLANE + p];

/** lucid's dot product times cosine^power at one place. */
function dotCosine(x: Float64Array, v: ArrayLike<number>, p: number, power: number): number {
  let dot = 0, a = 0, b = 0;
  for (let c = 0; c < C; c++) {
    dot += at(x, c, p) * v[c];
    a += at(x, c, p) ** 2;
    b += v[c] ** 2;
  }
  const cosine = dot / ((Math.sqrt(a) + 1e-4) * (Math.sqrt(b) + 1e-4));
  return dot * Math.max(0.1, cosine) ** power;
}
const meanOver = (n: number, f: (i: number) => number) => {
  let sum = 0;
  for (let i = 0; i < n; i++) sum += f(i);
  return sum / n;
};

Deno.test("channels, neurons and directions are their means over places and views", async () => {
  await check(
    "channel",
    scored(channelObjective("a", 1)),
    ofViews((x) => meanOver(PLANE, (p) => at(x, 1, p))),
  );
  await check("neuron", scored(neuronObjective("a", 2)), ofViews((x) => at(x, 2, 3 * W + 3)));
  await check(
    "neuron elsewhere",
    scored(neuronObjective("a", 0, { row: 5, column: 0 })),
    ofViews((x) => at(x, 0, 5 * W)),
  );
  using v = Tensor.from(gpu, direction);
  for (const cosinePower of [0, 1, 1.5]) {
    await check(
      `direction with cosine^${cosinePower}`,
      scored(directionObjective("a", v, { cosinePower })),
      ofViews((x) => meanOver(PLANE, (p) => dotCosine(x, direction, p, cosinePower))),
    );
  }
  const rows = normal(randomKey(22), 2 * C);
  using each = Tensor.from(gpu, rows, [2, C]);
  await check(
    "a direction for each image",
    scored(directionObjective("a", each)),
    ofViews((x, n) => meanOver(PLANE, (p) => dotCosine(x, rows.subarray(n * C), p, 0))),
  );
});

Deno.test("a readout is a dot product with pooled features, each image with its own weights", async () => {
  const plain = normal(randomKey(23), EACH), rows = normal(randomKey(24), 2 * C * 6);
  using a = Tensor.from(gpu, plain), b = Tensor.from(gpu, rows.subarray(0, 2 * C * 4), [2, C * 4]);
  const bins = [[0, 3], [3, 6]], columns = [[0, 4], [3, 7]]; // of a grid of 2: overlapping where 2 does not divide 7
  const pooled = (x: Float64Array, kind: "max" | "avg") =>
    Array.from({ length: C * 4 }, (_, k) => {
      const [top, bottom] = bins[(k % 4) >> 1], [left, right] = columns[k % 2];
      const values: number[] = [];
      for (let i = top; i < bottom; i++) {
        for (let j = left; j < right; j++) values.push(at(x, Math.floor(k / 4), i * W + j));
      }
      return kind === "max" ? Math.max(...values) : values.reduce((s, v) => s + v) / values.length;
    });
  for (const pool of ["max", "avg"] as const) {
    const objective = readoutObjective([
      { layer: "a", weights: a },
      { layer: "b", weights: b, grid: 2, pool },
    ]);
    assert.deepEqual(objective.layers, ["a", "b"]);
    await check(
      `readout ${pool}`,
      scored(objective),
      ofViews((x, n) =>
        x.reduce((s, v, i) => s + v * plain[i], 0) +
        pooled(x, pool).reduce((s, v, k) => s + v * rows[n * C * 4 + k], 0)
      ),
    );
  }
  using x = Tensor.zeros(gpu, [4, 5]);
  assert.throws(() => scored(readoutObjective([{ layer: "a", weights: a }]))(x), {
    name: "InputError",
    message: /weights must be \[5\] or \[2,5\], got \[126\]/,
  });
});

Deno.test("likeness is the sum of an image's Gram cosines with the others", async () => {
  const gram = (x: Float64Array) => {
    const g = Array.from(
      { length: C * C },
      (_, k) => PLANE * meanOver(PLANE, (p) => at(x, Math.floor(k / C), p) * at(x, k % C, p)),
    );
    const length = Math.hypot(...g);
    return g.map((v) => v / length);
  };
  await check("diversity", scored(diversityObjective("a"), 1), (x) => {
    const grams = Array.from({ length: N }, (_, n) => gram(x.subarray(n * EACH, (n + 1) * EACH)));
    return grams.map((g, i) =>
      grams.reduce((s, o, j) => i === j ? s : s + o.reduce((d, v, k) => d + v * g[k], 0), 0) / N
    );
  });
});

/** lucid's blur with zeros around the image, over the same of ones. */
function blurReference(x: Float64Array, c: number, p: number, reach: 1 | 2): number {
  const i = Math.floor(p / W), j = p % W;
  let sum = 0, weight = 0;
  for (let di = -reach; di <= reach; di++) {
    for (let dj = -reach; dj <= reach; dj++) {
      if (i + di < 0 || j + dj < 0 || i + di >= H || j + dj >= W) continue;
      const w = Math.max(Math.abs(di), Math.abs(dj)) < reach ? 1 : 0.5;
      sum += w * at(x, c, (i + di) * W + j + dj);
      weight += w;
    }
  }
  return sum / weight;
}
const total = (f: (c: number, p: number) => number) =>
  EACH * meanOver(EACH, (k) => f(Math.floor(k / PLANE), k % PLANE));

Deno.test("penalties on images are their formulas", async () => {
  await check(
    "L1",
    scored(l1Penalty()),
    ofImages((x) => x.reduce((s, v) => s + Math.abs(v - 0.5), 0)),
  );
  await check(
    "L2",
    scored(l2Penalty({ constant: 0.2 })),
    ofImages((x) => Math.sqrt(1e-6 + x.reduce((s, v) => s + (v - 0.2) ** 2, 0))),
  );
  await check(
    "total variation",
    scored(totalVariation()),
    ofImages((x) =>
      total((c, p) =>
        (p % W < W - 1 ? Math.abs(at(x, c, p + 1) - at(x, c, p)) : 0) +
        (p < PLANE - W ? Math.abs(at(x, c, p + W) - at(x, c, p)) : 0)
      )
    ),
  );
  await check(
    "boundary",
    scored(boundaryPenalty({ width: 2 })),
    ofImages((x) =>
      total((c, p) => {
        const i = Math.floor(p / W), j = p % W;
        if (i >= 2 && i < H - 2 && j >= 2 && j < W - 2) return 0;
        return (blurReference(x, c, p, 2) - at(x, c, p)) ** 2 + 0.8 * (at(x, c, p) - 0.5) ** 2;
      })
    ),
  );
  const seed = normal(randomKey(25), EACH);
  using picture = Tensor.from(gpu, seed, [1, C, H, W]);
  await check(
    "seed",
    scored(seedPenalty(picture)),
    ofImages((x) => meanOver(EACH, (k) => (x[k] - seed[k]) ** 2)),
  );
});

/** |F(u, v)|² of one channel, of the transform that keeps energy, over the whole plane of frequencies. */
function power(x: Float64Array, c: number, u: number, v: number): number {
  let re = 0, im = 0;
  for (let p = 0; p < PLANE; p++) {
    const angle = 2 * Math.PI * (u * Math.floor(p / W) / H + v * (p % W) / W);
    re += at(x, c, p) * Math.cos(angle);
    im -= at(x, c, p) * Math.sin(angle);
  }
  return (re * re + im * im) / PLANE;
}
const radius = (u: number, v: number) =>
  Math.hypot((2 * u < H ? u : u - H) / H, (2 * v < W ? v : v - W) / W);

Deno.test("penalties on spectra count every frequency of the plane", async () => {
  await check(
    "spectral",
    scored(spectralPenalty()),
    ofImages((x) =>
      total((c, p) => {
        const u = Math.floor(p / W), v = p % W;
        return radius(u, v) ** 2 * power(x, c, u, v);
      })
    ),
  );
  await check(
    "spectrum distance",
    scored(spectrumDistance()),
    ofImages((x) => {
      const own: number[] = [], natural: number[] = [];
      for (let k = C; k < EACH; k++) {
        const c = k % C, p = Math.floor(k / C), u = Math.floor(p / W), v = p % W;
        own.push(Math.sqrt(power(x, c, u, v)));
        natural.push(1 / radius(u, v));
      }
      const [a, b] = [Math.hypot(...own), Math.hypot(...natural)];
      return Math.hypot(...own.map((value, k) => value / a - natural[k] / b));
    }),
  );
});

Deno.test("the blur penalty pulls towards a blur that it takes as fixed", async () => {
  const values = normal(randomKey(26), 2 * EACH);
  const image = Float64Array.from(values);
  using x = Tensor.from(gpu, values, [2, C, H, W]);
  using score = scored(blurPenalty())(x);
  const got = await score.data();
  [0, 1].forEach((n) => {
    const one = image.subarray(n * EACH, (n + 1) * EACH);
    const want = total((c, p) => 0.5 * (at(one, c, p) - blurReference(one, c, p, 1)) ** 2);
    assert(Math.abs(got[n] - want) < 1e-5 * want);
  });
});

Deno.test("scores are the same bits in any batch", async () => {
  const shape = [16, 3, 61, 67], size = 3 * 61 * 67; // long odd rows, which begin anywhere in the batch
  using all = Tensor.randn(gpu, randomKey(27), shape);
  using v = Tensor.from(gpu, direction), w = Tensor.from(gpu, normal(randomKey(28), size));
  const objectives = [
    l1Penalty(),
    totalVariation(),
    spectralPenalty(),
    channelObjective("a", 2),
    directionObjective("a", v, { cosinePower: 1 }),
    readoutObjective([{ layer: "a", weights: w }]),
  ];
  for (const objective of objectives) {
    using together = scored(objective)(all);
    const values = await together.data();
    for (let n = 0; n < 8; n++) {
      using one = tidy(gpu, () => slice(all, { axis: 0, start: 2 * n, end: 2 * n + 2 }));
      using alone = scored(objective)(one);
      // penalties are of images, the others of two views each
      const own = await alone.data(), at = own.length * n;
      assert.deepEqual(own, values.slice(at, at + own.length), `${objective.name} of image ${n}`);
    }
  }
});

Deno.test("objectives add and scale", async () => {
  const objective = addObjectives(
    channelObjective("a", 0),
    scaleObjective(l1Penalty(), -0.05),
  );
  assert.deepEqual(objective.layers, ["a"]);
  assert.equal(objective.name, "channel 0 of a + -0.05 · (L1)");
  await check("sum", scored(objective, 1), (x) =>
    Array.from({ length: N }, (_, n) => {
      const one = x.subarray(n * EACH, (n + 1) * EACH);
      return meanOver(PLANE, (p) => at(one, 0, p)) -
        0.05 * one.reduce((s, v) => s + Math.abs(v - 0.5), 0);
    }));
  assert.throws(() => addObjectives(), { name: "InputError" });
  assert.throws(() => scaleObjective(l1Penalty(), NaN), { name: "InputError" });
});

const COEF = hostMatrix([3, 0, 1, 4, 2, -1, 0, 1, 5], [3, 3]); // columns (3, 4, 0), (0, 2, 1), (1, −1, 5)
const near = (a: ArrayLike<number>, b: readonly number[], tolerance = 1e-12) =>
  assert(
    a.length === b.length && b.every((v, i) => Math.abs(a[i] - v) < tolerance),
    `${a} is not ${b}`,
  );

Deno.test("roiReadout() pools voxels as asked", () => {
  near(roiReadout(COEF, [0]), [0.6, 0.8, 0]);
  near(roiReadout(COEF, [0, 1], { isUnit: false }), [1.5, 3, 0.5]);
  near(roiReadout(COEF, [0, 1, 2], { pooling: "median", isUnit: false }), [1, 2, 1]);
  const accuracy = [0.16, -0.3, 0.04];
  // shares √0.16 : 0 : √0.04 = 2/3 : 0 : 1/3
  near(roiReadout(COEF, [0, 1, 2], { pooling: "accuracy", accuracy, isUnit: false }), [
    7 / 3,
    7 / 3,
    5 / 3,
  ]);
  near(roiReadout(COEF, [0, 1, 2], { pooling: "top", nTop: 2, accuracy, isUnit: false }), [
    2,
    1.5,
    2.5,
  ]);
  const sd = Math.sqrt(2 / 3); // of (0, 2, 1), whose mean is 1
  near(roiReadout(COEF, [1], { pooling: "zscore", isUnit: false }), [-1 / sd, 1 / sd, 0]);
  // (3, 4, 0)/5 and (0, 2, 1)/√5 have a positive cosine, so that what they share most is their sum
  const shared = [0.6, 0.8 + 2 / Math.sqrt(5), 1 / Math.sqrt(5)], length = Math.hypot(...shared);
  near(roiReadout(COEF, [0, 1], { pooling: "component" }), shared.map((w) => w / length));
  // Two voxels of one direction and one at a right angle, four times as long: the direction of the two
  const crossed = hostMatrix([1, 2, 0, 0, 0, 4], [2, 3]);
  near(roiReadout(crossed, [0, 1, 2], { pooling: "component" }), [1, 0], 1e-10);
  assert.throws(() => roiReadout(COEF, [3]), { name: "InputError", message: /voxel 3/ });
  assert.throws(() => roiReadout(COEF, []), { name: "InputError", message: /no voxel/ });
  assert.throws(() => roiReadout(COEF, [0], { pooling: "top" }), { message: /accuracy/ });
});

Deno.test("contrasts and competitors are taken from readouts of length 1", () => {
  near(contrastReadout([3, 4], [0, 2]), [0.6, -0.2]);
  near(suppressedReadout([3, 4], [[0, 2], [5, 0]], { strength: 0.5 }), [0.35, 0.55]);
  assert.throws(() => contrastReadout([1, 2], [1]), { name: "InputError", message: /2 weights/ });
  assert.throws(() => unitWeights([0, 0]), { name: "InputError", message: /not all 0/ });
  const layers = [{ layer: "a", size: 1 }, { layer: "b", size: 2 }];
  const parts = splitReadouts([[1, 2, 3], [4, 5, 6]], layers);
  assert.deepEqual([...parts.get("a")!], [1, 4]);
  assert.deepEqual([...parts.get("b")!], [2, 3, 5, 6]);
  assert.throws(() => splitReadouts([[1, 2]], layers), { message: /3 weights, got 2/ });
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
