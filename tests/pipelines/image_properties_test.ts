import assert from "node:assert/strict";
import { randomBits, randomKey, uniform } from "../../engine/random.ts";
import {
  areaAverage,
  edgeEnergy,
  lowLevelFields,
  lowLevelNames,
  luminance,
  saturation,
} from "../../pipelines/images/image_properties.ts";

const near = (got: number, want: number) =>
  assert(Math.abs(got - want) < 1e-12, `${got}, not ${want}`);

Deno.test("luminance() and saturation() know the colours of the textbook", () => {
  const colors = [[0, 0, 0], [255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255], [
    200,
    100,
    150,
  ]];
  const image = { height: 2, width: 3, data: Uint8Array.from(colors.flat()) };
  const light = [0, 1, 0.2126, 0.7152, 0.0722, (0.2126 * 200 + 71.52 + 10.83) / 255];
  luminance(image).data.forEach((value, i) => near(value, light[i]));
  assert.deepEqual([...saturation(image).data], [0, 0, 1, 1, 1, 0.5]);
  assert.deepEqual(luminance(image).size, [2, 3]);
  assert.throws(() => luminance({ ...image, width: 4 }), { name: "InputError" });
});

Deno.test("areaAverage() weighs every pixel by the area that lies in a patch", () => {
  const [h, w] = [7, 5], data = Float64Array.from(uniform(randomKey(1), h * w));
  for (const [gh, gw] of [[1, 1], [3, 2], [7, 5], [4, 5], [9, 11]]) {
    const got = areaAverage({ data, size: [h, w] }, [gh, gw]);
    for (let r = 0; r < gh; r++) {
      for (let c = 0; c < gw; c++) {
        // Overlap of pixel [y, y + 1] with patch [r·h/gh, (r + 1)·h/gh], likewise across.
        const overlap = (at: number, cell: number, n: number, g: number) =>
          Math.max(0, Math.min(at + 1, (cell + 1) * n / g) - Math.max(at, cell * n / g));
        let [sum, area] = [0, 0];
        for (let y = 0; y < h; y++) {
          for (let x = 0; x < w; x++) {
            const share = overlap(y, r, h, gh) * overlap(x, c, w, gw);
            sum += share * data[y * w + x];
            area += share;
          }
        }
        near(got[r * gw + c], sum / area);
      }
    }
  }
  assert.deepEqual([...areaAverage({ data, size: [h, w] }, [h, w])], [...data]);
  assert.throws(() => areaAverage({ data, size: [h, 4] }, [1, 1]), /35 values as 7x4/);
  assert.throws(() => areaAverage({ data, size: [h, w] }, [0, 1]), { name: "InputError" });
});

Deno.test("edgeEnergy() is the squared slope of a ramp, everywhere", () => {
  const [h, w] = [4, 6];
  const data = Float64Array.from({ length: h * w }, (_, i) => 3 * (i % w) - 2 * Math.floor(i / w));
  assert.deepEqual([...edgeEnergy({ data, size: [h, w] }).data], new Array(h * w).fill(9 + 4));
  assert.deepEqual([...edgeEnergy({ data: new Float64Array(1), size: [1, 1] }).data], [0]);
});

Deno.test("lowLevelFields() are the properties of single patches", () => {
  const [h, w, p] = [12, 8, 4];
  const data = Uint8Array.from(randomBits(randomKey(2), h * w * 3), (v) => v & 255);
  const image = { height: h, width: w, data };
  const fields = lowLevelFields(image, [h / p, w / p]);
  const n = h * w / p / p;
  assert.equal(fields.length, lowLevelNames.length * n);
  const light = luminance(image).data, energy = edgeEnergy(luminance(image)).data;
  for (let patch = 0; patch < n; patch++) {
    const pixels = Array.from({ length: p * p }, (_, i) => {
      const y = Math.floor(patch / (w / p)) * p + Math.floor(i / p);
      return y * w + patch % (w / p) * p + i % p;
    });
    const mean = (of: (i: number) => number) =>
      pixels.reduce((sum, i) => sum + of(i), 0) / pixels.length;
    const average = mean((i) => light[i]);
    near(fields[patch], average);
    near(fields[n + patch], mean((i) => saturation(image).data[i]));
    near(fields[2 * n + patch], Math.sqrt(mean((i) => (light[i] - average) ** 2)));
    near(fields[3 * n + patch], mean((i) => energy[i]));
  }
  const grey = { height: 4, width: 4, data: new Uint8Array(48).fill(127) };
  const flat = lowLevelFields(grey, [2, 2]);
  assert.deepEqual([...flat.subarray(8)], new Array(8).fill(0));
});
