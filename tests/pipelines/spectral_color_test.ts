import assert from "node:assert/strict";
import { normal, randomKey } from "../../mod.ts";
import { type HostMatrix, hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import { overlayPatches } from "../../pipelines/images/patch_overlay.ts";
import {
  labCubeColors,
  labelColors,
  labPlaneColors,
  labToRgb,
  quantileRange,
  rotateRgbCube,
  scaleToRange,
} from "../../pipelines/spectral/color_space.ts";
import { rgbFromTsne, rgbFromUmap } from "../../pipelines/spectral/color.ts";
import { cutOverlay } from "../../pipelines/spectral/cut_overlay.ts";
import { extendValues } from "../../pipelines/spectral/extend.ts";
import { farthestSamples } from "../../pipelines/spectral/sample_nodes.ts";
import { spectralTsne } from "../../pipelines/spectral/spectral_tsne.ts";
import { openTestGpu } from "../_gpu.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const key = randomKey(81);
const refusal = (message: RegExp) => ({ name: "InputError", message });
const [n, nEig, nClusters] = [400, 6, 4];

/** Rows about a direction per cluster, as eigenvectors of a cut lie. */
const eigvec = hostMatrix(
  normal(randomKey(82), n * nEig).map((noise, at) => {
    const cluster = Math.floor(at / nEig) % nClusters;
    return 0.05 * (Number(at % nEig === cluster) + 0.08 * noise);
  }),
  [n, nEig],
);

function meanColors(rgb: Uint8Array): number[][] {
  return Array.from({ length: nClusters }, (_, k) => {
    const mean = [0, 0, 0];
    for (let i = k; i < rgb.length / 3; i += nClusters) {
      mean.forEach((_, c) => mean[c] += rgb[3 * i + c] * nClusters / (rgb.length / 3));
    }
    return mean;
  });
}

Deno.test("farthestSamples() are the corners before the middle, and all rows where there are few", async () => {
  const line = hostMatrix([0, 10, 1, 6, 4, 10], [6, 1]);
  const { indices, samples } = await farthestSamples(gpu, line, { count: 2, key });
  assert(Math.abs(samples.data[0] - samples.data[1]) >= 4, `${samples.data}`);
  assert.deepEqual([...samples.data], [...indices].map((row) => line.data[row]));
  assert.deepEqual([...(await farthestSamples(gpu, line, { count: 9, key })).indices], [
    0,
    1,
    2,
    3,
    4,
    5,
  ]);
});

Deno.test("extendValues() keeps samples, weighs by the inverse square, and copes with duplicates", async () => {
  const samples = hostMatrix([0, 3, 3], [3, 1]), values = hostMatrix([1, 2, 4], [3, 1]);
  const rows = hostMatrix([0, 1, 3, 1e-30], [4, 1]);
  const { data } = await extendValues(rows, samples, { values, nNeighbors: 3 });
  const middle = (1 + 2 / 4 + 4 / 4) / (1 + 1 / 4 + 1 / 4);
  assert.deepEqual([...data], [1, Math.fround(middle), 3, 1]);
  const one = await extendValues(rows, samples, { values, nNeighbors: 1 });
  assert.deepEqual([...one.data], [1, 1, 2, 1]);
  const fewer = hostMatrix([1, 2], [2, 1]);
  await assert.rejects(extendValues(rows, samples, { values: fewer }), refusal(/extend 2 values/));
});

Deno.test("quantileRange() and scaleToRange() put quantiles at the ends", () => {
  const column = hostMatrix(Float32Array.from({ length: 101 }, (_, i) => i), [101, 1]);
  const range = quantileRange(column, { q: 0.95 });
  assert.ok(Math.abs(range.low[0] - 5) < 1e-12 && range.high[0] === 95);
  const { data } = scaleToRange(column, range);
  assert.deepEqual([data[0], data[5], data[50], data[95], data[100]], [0, 0, 0.5, 1, 1]);
  assert.deepEqual([...scaleToRange(column, { low: [3], high: [3] }).data.slice(0, 2)], [0.5, 0.5]);
  const many = hostMatrix(normal(key, 30_000), [30_000, 1]);
  const drawn = quantileRange(many, { key: randomKey(83) }), all = quantileRange(many);
  assert(Math.abs(drawn.high[0] - 1.645) < 0.06 && Math.abs(all.low[0] + 1.645) < 0.06);
  assert.throws(() => quantileRange(column, { q: 0.5 }), refusal(/above 0.5/));
});

Deno.test("rotateRgbCube() turns and inverts, and labToRgb() is scikit-image's", () => {
  const rgb = hostMatrix([0.125, 0.25, 0.5], [1, 3]);
  const at = (position: number) => [...rotateRgbCube(rgb, position).data];
  assert.deepEqual([at(0), at(1), at(2), at(3)], [
    [0.125, 0.25, 0.5],
    [0.5, 0.125, 0.25],
    [0.25, 0.5, 0.125],
    [0.125, 0.25, 0.5],
  ]);
  assert.deepEqual(at(4), [0.5, 0.875, 0.75]);
  assert.throws(() => rotateRgbCube(rgb, 7), refusal(/from 0 to 6/));
  // Primaries of sRGB in L*a*b*, D65: black, white, red, green, blue.
  const known: [number[], number[]][] = [
    [[0, 0, 0], [0, 0, 0]],
    [[100, 0, 0], [1, 1, 1]],
    [[53.24, 80.09, 67.2], [1, 0, 0]],
    [[87.73, -86.18, 83.18], [0, 1, 0]],
    [[32.3, 79.19, -107.86], [0, 0, 1]],
  ];
  for (const [lab, want] of known) {
    // Five digits of L*a*b* leave 1e-4 of linear light, which the gamma magnifies by 13 near black.
    labToRgb(lab).forEach((value, c) =>
      assert(Math.abs(value - want[c]) < 2e-3, `${lab} ${value}`)
    );
  }
  const grey = labCubeColors(hostMatrix([0.5, 0.5, 0.5], [1, 3]), { fullRange: false });
  grey.data.forEach((value) => assert(Math.abs(value - 0.4663) < 1e-3, `${value}`)); // L* 50
  assert.throws(() => labPlaneColors(rgb), refusal(/two axes/));
});

Deno.test("labPlaneColors() and labelColors() are as far apart as they say", () => {
  const corners = labPlaneColors(hostMatrix([0, 0, 1, 0, 0, 1, 1, 1, 0.5, 0.5], [5, 2])).data;
  const color = (i: number) => corners.subarray(3 * i, 3 * i + 3);
  for (let i = 0; i < 4; i++) {
    for (let j = 0; j < i; j++) {
      assert(Math.hypot(...color(i).map((v, c) => v - color(j)[c])) > 0.3, `corners ${i} ${j}`);
    }
  }
  assert(Math.max(...color(4)) - Math.min(...color(4)) < 1e-3, "the centre is grey");
  const labels = labelColors(12);
  assert.deepEqual(labels.subarray(0, 9), labelColors(3));
  for (let i = 0; i < 12; i++) {
    for (let j = 0; j < i; j++) {
      const apart = [0, 1, 2].map((c) => labels[3 * i + c] - labels[3 * j + c]);
      assert(Math.hypot(...apart) > 30, `labels ${i} ${j}`);
    }
  }
});

Deno.test("spectralTsne() keeps its samples' places, and propagated eigenvectors fall on theirs", async () => {
  const options = { key, nSamples: 100, iterations: 200 };
  const placed = await spectralTsne(gpu, eigvec, options);
  assert.deepEqual([placed.coordinates.shape, placed.fit.embedding.shape], [[n, 3], [100, 3]]);
  placed.sampleIndices.forEach((node, s) => {
    const own = placed.coordinates.data.subarray(3 * node, 3 * node + 3);
    assert.deepEqual(own, placed.fit.embedding.data.subarray(3 * s, 3 * s + 3));
  });
  assert.deepEqual((await placed.transform(eigvec)).data, placed.coordinates.data);
  const flat = await spectralTsne(gpu, eigvec, { ...options, nComponents: 2, preset: "fast" });
  assert.deepEqual(flat.coordinates.shape, [n, 2]);
  const two = hostMatrix(eigvec.data.slice(0, 2 * nEig), [2, nEig]);
  assert((await spectralTsne(gpu, two, options)).coordinates.data.every(Number.isFinite));
  await assert.rejects(
    spectralTsne(gpu, eigvec, { key, nSamples: 1 }),
    refusal(/from 2 and from 1/),
  );
});

for (const space of ["rgb", "lab", "lab-narrow"] as const) {
  Deno.test(`rgbFromTsne() colours clusters apart and alike within (${space})`, async () => {
    const colors = await rgbFromTsne(gpu, eigvec, {
      ...{ key, nSamples: 120, perplexity: 20, iterations: 350, space },
    });
    const rgb = colors.rgb, means = meanColors(rgb);
    let within = 0;
    rgb.forEach((v, at) => within += (v - means[Math.floor(at / 3) % nClusters][at % 3]) ** 2 / n);
    for (let i = 0; i < nClusters; i++) {
      for (let j = 0; j < i; j++) {
        const apart = Math.hypot(...means[i].map((v, c) => v - means[j][c]));
        assert(apart > Math.sqrt(within), `${i} ${j}: ${apart} ${Math.sqrt(within)}`);
      }
    }
    assert.deepEqual(await colors.transform(eigvec), rgb);
  });
}

Deno.test("rgbFromUmap() colours clusters apart too, in a plane as well", async () => {
  for (const nComponents of [2, 3] as const) {
    const colors = await rgbFromUmap(gpu, eigvec, {
      key,
      nSamples: 120,
      nNeighbors: 15,
      nComponents,
    });
    const means = meanColors(colors.rgb);
    assert.equal(colors.coordinates.shape[1], nComponents);
    for (let i = 0; i < nClusters; i++) {
      for (let j = 0; j < i; j++) {
        const apart = Math.hypot(...means[i].map((v, c) => v - means[j][c]));
        assert(apart > 30, `${i} ${j}: ${apart}`);
      }
    }
  }
  const pair: HostMatrix = hostMatrix([1, 2], [2, 1]);
  await assert.rejects(rgbFromUmap(gpu, pair, { key }), refusal(/3 or more/));
});

Deno.test("cutOverlay() shows image, colours and labels side by side", () => {
  const image = { height: 4, width: 6, data: new Uint8Array(72).fill(100) };
  const rgb = Uint8Array.from([255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255]);
  const grid = [2, 2] as const;
  const plain = overlayPatches(image, rgb, { grid, alpha: 1 });
  assert.deepEqual([...plain.data.subarray(0, 12)], [255, 0, 0, 255, 0, 0, 255, 0, 0, 0, 255, 0]);
  assert.deepEqual(overlayPatches(image, rgb, { grid, alpha: 0 }), image);
  const sheet = cutOverlay(image, { grid, rgb, labels: [[0, 1, 1, 0], [3, 2, 1, 0]], gap: 1 });
  assert.deepEqual([sheet.height, sheet.width], [6, 4 * 7 + 1]);
  const pixel = (
    y: number,
    x: number,
  ) => [...sheet.data.subarray((y * 29 + x) * 3, (y * 29 + x) * 3 + 3)];
  assert.deepEqual(pixel(1, 1), [100, 100, 100]);
  const zero = [...labelColors(1)].map((v) => Math.round(0.3 * 100 + 0.7 * v));
  assert.deepEqual([pixel(1, 15), pixel(4, 20), pixel(4, 27)], [zero, zero, zero]);
  assert.throws(() => overlayPatches(image, rgb, { grid: [2, 3] }), refusal(/4 colours .* 2x3/));
  assert.throws(() => cutOverlay(image, { grid, labels: [[0, -1, 0, 0]] }), refusal(/one is -1/));
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
