/**
 * Image parameterisations against their formulas in float64: values, gradients by central differences, adjoints of their linear parts.
 */
import assert from "node:assert/strict";
import {
  add,
  colorMatrix,
  complexParam,
  correlateColors,
  decorrelateColors,
  fourierParam,
  growFourier,
  ifft2,
  type ImageParam,
  inverseColorMatrix,
  irfft2,
  macoParam,
  magnitudeTemplate,
  naturalMagnitudes,
  normal,
  pixelParam,
  randomKey,
  readAll,
  type RgbImage,
  seedParam,
  Tape,
  Tensor,
  tidy,
} from "../../mod.ts";
import { adjointGap } from "../adjoint.ts";
import { gradcheck } from "../gradcheck.ts";
import { maxDifference } from "../golden_file.ts";
import { openTestGpu } from "../_gpu.ts";
import {
  complexModulus,
  decay,
  inverseReal,
  mixChannels,
  mixNeighbors,
  sigmoid,
  standardize,
} from "./optvis_reference.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const EVEN = { height: 6, width: 8 }, ODD = { height: 5, width: 7 };
const half = ({ height, width }: typeof EVEN) => [1, 3, height, Math.floor(width / 2) + 1];

for (const size of [EVEN, ODD]) {
  Deno.test(`fourierParam() of ${size.height}x${size.width} and its gradient equal the formula`, async () => {
    using param = fourierParam(gpu, size);
    const s = decay(size, 1);
    await gradcheck(gpu, {
      name: "fourierParam",
      shapes: [half(size), half(size)],
      f: (re, im) => param.image([re, im]),
      reference: (re, im) => {
        const scaled = (z: Float64Array) => z.map((v, i) => v * s[i % s.length] / 4);
        return mixChannels(inverseReal(scaled(re), scaled(im), size)).map(sigmoid);
      },
    });
  });
}

Deno.test("complexParam() and its gradient equal the formula, with either mixing of colours", async () => {
  const { height, width } = EVEN, shape = [1, 3, height, width];
  for (const colors of ["vwam-legacy", "channels"] as const) {
    using param = complexParam(gpu, EVEN, { colors });
    const mix = colors === "channels" ? mixChannels : mixNeighbors;
    await gradcheck(gpu, {
      name: `complexParam ${colors}`,
      shapes: [shape, shape],
      f: (re, im) => param.image([re, im]),
      reference: (re, im) => mix(complexModulus(re, im, EVEN)),
    });
  }
});

Deno.test("macoParam() and its gradient equal the formula", async () => {
  const template = naturalMagnitudes(EVEN);
  using param = macoParam(gpu, template);
  await gradcheck(gpu, {
    name: "macoParam",
    shapes: [half(EVEN)],
    f: (phase) => param.image([phase]),
    reference: (phase) => {
      const angle = standardize(phase, 1e-4);
      const re = angle.map((a, i) => template.values[i] * Math.cos(a));
      const im = angle.map((a, i) => template.values[i] * Math.sin(a));
      return mixChannels(standardize(inverseReal(re, im, EVEN), 1e-4)).map(sigmoid);
    },
  });
});

Deno.test("pixelParam() is the sigmoid of mixed channels, or gray and noise where nothing follows", async () => {
  using param = pixelParam(gpu, ODD);
  await gradcheck(gpu, {
    name: "pixelParam",
    shapes: [[1, 3, 5, 7]],
    f: (x) => param.image([x]),
    reference: (x) => mixChannels(x).map(sigmoid),
  });
  using plain = pixelParam(gpu, ODD, { colors: "none", squash: "none", center: 0.5 });
  const [theta] = plain.init(randomKey(1), { count: 1 });
  using held = theta, image = plain.image([theta]);
  const values = await image.data();
  assert.deepEqual(values, await held.data());
  const mean = Array.from(values).reduce((s, v) => s + v, 0) / values.length;
  assert(Math.abs(mean - 0.5) < 4 * 0.01 / Math.sqrt(values.length)); // four standard errors
});

const picture = (size: typeof EVEN, seed: number): RgbImage => {
  const noise = normal(randomKey(seed), size.height * size.width * 3);
  return { ...size, data: Uint8Array.from(noise, (v) => 255 * sigmoid(v)) };
};

Deno.test("seedParam() starts from the picture, and scales gradients without changing values", async () => {
  const seed = picture(EVEN, 3);
  using plain = seedParam(gpu, seed, EVEN, { decayPower: 0 });
  using scaled = seedParam(gpu, seed, EVEN);
  const pixels = await scaled.seed.data(), plane = EVEN.height * EVEN.width;
  seed.data.forEach((byte, at) => {
    const got = pixels[(at % 3) * plane + Math.floor(at / 3)];
    const want = (byte / 255 + 1e-3) / (1 + 2e-3); // what the sigmoid makes of the logit kept finite
    assert(Math.abs(got - want) < 1e-5, `pixel ${at} is ${got}, not ${want}`);
  });
  const gradients = async (param: ImageParam) => {
    const theta = param.init(randomKey(0), { count: 2 });
    using tape = new Tape();
    const on = theta.map((t) => tape.watch(t));
    using image = param.image(on);
    using weights = Tensor.from(gpu, normal(randomKey(9), image.size), image.shape);
    const parts = tape.gradient(image, on, { seed: weights });
    const values = await readAll(parts);
    [...theta, ...on, ...parts].forEach((t) => t.dispose());
    return values;
  };
  const [a, b] = [await gradients(plain), await gradients(scaled)];
  const s = decay(EVEN, 1.5);
  a.forEach((values, part) =>
    values.forEach((v, i) => {
      const want = v * s[i % s.length];
      assert(Math.abs(b[part][i] - want) <= 1e-6 * (Math.abs(want) + 1e-3));
    })
  );
  await gradcheck(gpu, {
    name: "seedParam",
    shapes: [half(EVEN), half(EVEN)],
    f: (re, im) => plain.image([re, im]),
    reference: (re, im) => {
      const root = 1 / Math.sqrt(plane); // of the norm "backward" against "ortho"
      const scaledBy = (z: Float64Array) => z.map((v) => v * root);
      return mixChannels(inverseReal(scaledBy(re), scaledBy(im), EVEN)).map(sigmoid);
    },
  });
});

Deno.test("magnitudeTemplate() is the mean magnitude of decorrelated pictures", async () => {
  const pictures = [picture(EVEN, 1), picture(EVEN, 2)];
  const { values } = await magnitudeTemplate(gpu, pictures, EVEN);
  const plane = EVEN.height * EVEN.width, columns = 5;
  for (const at of [0, 7, columns * 6 + 3, 2 * columns * 6 + 29]) {
    const c = Math.floor(at / (columns * 6)), r = Math.floor(at % (columns * 6) / columns);
    const k = at % columns;
    const magnitudes = pictures.map(({ data }) => {
      let re = 0, im = 0;
      for (let p = 0; p < plane; p++) {
        const t = inverseColorMatrix[c].reduce((s, m, j) => s + m * data[3 * p + j] / 255, 0);
        const angle = 2 * Math.PI * (r * Math.floor(p / 8) / 6 + k * (p % 8) / 8);
        re += t * Math.cos(angle);
        im -= t * Math.sin(angle);
      }
      return Math.hypot(re, im) / Math.sqrt(plane);
    });
    const want = (magnitudes[0] + magnitudes[1]) / 2;
    assert(Math.abs(values[at] - want) < 1e-4 * (1 + want), `${values[at]} is not ${want}`);
  }
  await assert.rejects(magnitudeTemplate(gpu, [], EVEN), { name: "InputError" });
});

Deno.test("the colour matrices are inverse to each other, and the greatest column has length 1", async () => {
  for (let i = 0; i < 3; i++) {
    for (let j = 0; j < 3; j++) {
      const product = colorMatrix[i].reduce((s, m, k) => s + m * inverseColorMatrix[k][j], 0);
      assert(Math.abs(product - Number(i === j)) < 1e-12);
    }
  }
  const columns = [0, 1, 2].map((k) => Math.hypot(...colorMatrix.map((row) => row[k])));
  assert(Math.abs(Math.max(...columns) - 1) < 1e-15);
  using x = Tensor.randn(gpu, randomKey(4), [2, 3, 5, 7]);
  using back = tidy(gpu, () => decorrelateColors(correlateColors(x, "channels")));
  // The inverse has rows of norm up to 7.5, so a rounding of 6e-8 comes back as 5e-7, from values up to 3.
  assert(maxDifference(await back.data(), await x.data()) < 4e-6);
});

Deno.test("linear parts and their gradients are adjoint", async () => {
  const gaps = {
    channels: await adjointGap(gpu, [2, 3, 5, 7], (x) => correlateColors(x, "channels")),
    legacy: await adjointGap(gpu, [2, 3, 5, 7], (x) => correlateColors(x, "vwam-legacy")),
    inverse: await adjointGap(gpu, [2, 3, 5, 7], (x) => decorrelateColors(x)),
    irfft2: await adjointGap(gpu, [2, 3, 6, 5], (x) => irfft2({ re: x, im: x }, 8)),
    ifft2: await adjointGap(gpu, [2, 6, 8], (x) => {
      const { re, im } = ifft2({ re: x, im: x });
      return add(re, im);
    }),
  };
  // Two sums of a few hundred products, each product rounded to 6e-8.
  for (const [name, gap] of Object.entries(gaps)) assert(gap < 1e-6, `${name}: ${gap}`);
});

Deno.test("an image is the same in a batch of any size", async () => {
  const params = {
    pixel: pixelParam(gpu, ODD),
    fourier: fourierParam(gpu, EVEN),
    complex: complexParam(gpu, EVEN),
    maco: macoParam(gpu, naturalMagnitudes(EVEN)),
  };
  for (const [name, param] of Object.entries(params)) {
    const imagesOf = async (first: number, count: number) => {
      const theta = param.init(randomKey(7), { first, count });
      using image = param.image(theta);
      const values = await image.data();
      theta.forEach((t) => t.dispose());
      return values;
    };
    const together = await imagesOf(0, 4), alone = await imagesOf(2, 1);
    assert.deepEqual(alone, together.slice(2 * alone.length, 3 * alone.length), name);
    assert.notDeepEqual(alone, together.slice(0, alone.length), name);
    param[Symbol.dispose]();
  }
});

Deno.test("the gradient of large phases is the same in a batch of any size", async () => {
  const size = { height: 128, width: 128 };
  using param = macoParam(gpu, naturalMagnitudes(size));
  const gradientOf = async (first: number, count: number) => {
    const [theta] = param.init(randomKey(7), { first, count });
    using tape = new Tape();
    const [held, on] = [theta, tape.watch(theta)];
    using image = param.image([on]);
    using seed = image.detach();
    const [gradient] = tape.gradient(image, [on], { seed });
    const values = await gradient.data();
    [held, on, gradient].forEach((t) => t.dispose());
    return values;
  };
  const together = await gradientOf(0, 16), alone = await gradientOf(5, 1);
  assert.deepEqual(alone, together.slice(5 * alone.length, 6 * alone.length));
});

for (const size of [EVEN, ODD]) {
  Deno.test(`growFourier() keeps the image of ${size.height}x${size.width} at its pixels`, async () => {
    const twice = { height: 2 * size.height, width: 2 * size.width };
    for (const decayPower of [1, 0.5]) {
      const options = { decayPower, colors: "none", squash: "none" } as const;
      using small = fourierParam(gpu, size, { ...options, sd: 1 });
      using large = fourierParam(gpu, twice, options);
      const theta = small.init(randomKey(8), { count: 2 });
      const grown = await growFourier(theta, size, twice, { decayPower });
      using a = small.image(theta), b = large.image(grown);
      const [before, after] = await readAll([a, b]);
      before.forEach((want, at) => {
        const plane = Math.floor(at / (size.height * size.width));
        const i = Math.floor(at / size.width) % size.height, j = at % size.width;
        const got = after[(plane * twice.height + 2 * i) * twice.width + 2 * j];
        assert(Math.abs(got - want) < 2e-5, `${got} is not ${want}`); // values up to 10, a hundred terms
      });
      [...theta, ...grown].forEach((t) => t.dispose());
    }
  });
}

Deno.test("parameterisations refuse sizes and templates that cannot be", () => {
  assert.throws(() => fourierParam(gpu, { height: 1, width: 8 }), { name: "InputError" });
  const short = { size: EVEN, values: new Float32Array(3) };
  assert.throws(() => macoParam(gpu, short), { name: "InputError", message: /got 3 values/ });
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
