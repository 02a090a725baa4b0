/** Readouts of channel alignment against float64 loops over voxels, patches and layers. */
import assert from "node:assert/strict";
import { normal, randomKey } from "../../engine/random.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { encodePlaces, FactorTopyReadout } from "../../pipelines/encoding/alignment/factor_topy.ts";
import {
  chunkVoxels,
  Parameters,
  type ParameterStart,
} from "../../pipelines/encoding/alignment/parameters.ts";
import { PerLayerReadout, type Readout } from "../../pipelines/encoding/alignment/readout.ts";
import { InputError } from "../../pipelines/errors.ts";
import { openTestGpu } from "../_gpu.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const [SLICES, IMAGES, GRID, WIDTH, VOXELS] = [4, 3, 2, 5, 7];
const TOKENS = 1 + GRID * GRID;
const aligned = normal(randomKey(1), SLICES * IMAGES * TOKENS * WIDTH);
const sizes = {
  nSlices: SLICES,
  grid: GRID,
  width: WIDTH,
  nVoxels: VOXELS,
  chunks: chunkVoxels(VOXELS, 4),
};
const token = (s: number, i: number, t: number) => {
  const at = ((s * IMAGES + i) * TOKENS + t) * WIDTH;
  return aligned.subarray(at, at + WIDTH);
};

/** Parameters with random values everywhere, also where training begins at 0; small ones in networks, whose ends saturate. */
function randomStarts(readout: Readout): Map<string, ParameterStart> {
  return new Map([...readout.starts(randomKey(2))].map(([name, { shape, values }], i) => {
    const size = name.includes(".") ? 0.05 : 0.5;
    const noise = normal(randomKey(100 + i), values.length);
    return [name, { shape, values: values.map((value, at) => value + size * noise[at]) }];
  }));
}

/** Predictions of all stretches, `[outputs][images][voxels]`, and what voxels choose. */
async function predictAll(readout: Readout, starts: Map<string, ParameterStart>) {
  using parameters = new Parameters(gpu, starts);
  using x = Tensor.from(gpu, aligned, [SLICES, IMAGES, TOKENS, WIDTH]);
  const of = (name: string) => parameters.get(name);
  const out: number[][][] = Array.from(
    { length: readout.nOutputs },
    () => Array.from({ length: IMAGES }, () => []),
  );
  const choices: Record<string, number[]> = {};
  for (const c of readout.chunks.keys()) {
    using y = tidy(gpu, () => readout.predict(readout.pool(x), c, of));
    const n = y.shape[2];
    (await y.data()).forEach((v, at) =>
      out[Math.floor(at / n / IMAGES)][Math.floor(at / n) % IMAGES].push(v)
    );
    for (const [name, tensor] of Object.entries(readout.choices(c, of))) {
      choices[name] = [...choices[name] ?? [], ...await tensor.data()];
      tensor.dispose();
    }
  }
  return { out, choices };
}

/** A parameter's values over all stretches for one voxel: column of `[rows, voxels]`. */
function column(starts: Map<string, ParameterStart>, name: string, voxel: number): number[] {
  const c = Math.floor(voxel / 4);
  const { shape: [rows, n], values } = starts.get(`${name}/${c}`)!;
  return Array.from({ length: rows }, (_, r) => values[r * n + voxel % 4]);
}

const dot = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((sum, x, i) => sum + x * b[i], 0);

for (const pooling of ["mean", "voxel"] as const) {
  Deno.test(`PerLayerReadout with ${pooling} patches reads each slice with the same weights`, async () => {
    const readout = new PerLayerReadout(sizes, pooling);
    const starts = randomStarts(readout);
    const { out, choices } = await predictAll(readout, starts);
    for (let v = 0; v < VOXELS; v++) {
      const beta = column(starts, "beta", v), [bias] = column(starts, "bias", v);
      const share = 1 / (1 + Math.exp(-column(starts, "scale", v)[0]));
      assert(Math.abs(choices.shares[v] - share) < 1e-6);
      let space = new Array(TOKENS - 1).fill(1 / (TOKENS - 1));
      if (pooling === "voxel") {
        const { values } = starts.get(`space/${Math.floor(v / 4)}`)!;
        const all = [...values.subarray((v % 4) * 4, (v % 4) * 4 + 4)].map(Math.exp);
        space = all.map((e) => e / all.reduce((a, b) => a + b));
      }
      for (let s = 0; s < SLICES; s++) {
        for (let i = 0; i < IMAGES; i++) {
          const patches = space.reduce((sum, a, p) => sum + a * dot(token(s, i, 1 + p), beta), 0);
          const wanted = share * dot(token(s, i, 0), beta) + (1 - share) * patches + bias;
          assert(Math.abs(out[s][i][v] - wanted) < 1e-5, `${out[s][i][v]} for ${wanted}`);
        }
      }
    }
  });
}

const coordinates = { data: normal(randomKey(8), 3 * VOXELS), shape: [VOXELS, 3] as const };

Deno.test("FactorTopyReadout samples the places and layers that voxels choose, as grid_sample does", async () => {
  using readout = new FactorTopyReadout(gpu, sizes, { nModels: 2, coordinates });
  const starts = randomStarts(readout);
  const { out, choices } = await predictAll(readout, starts);
  for (let v = 0; v < VOXELS; v++) {
    const layers = choices.layers.slice(2 * v, 2 * v + 2);
    assert(Math.abs(layers[0] + layers[1] - 1) < 1e-6 && layers[0] > 0.001 && layers[1] > 0.001);
    const [x, y] = choices.places.slice(2 * v, 2 * v + 2);
    const beta = column(starts, "beta", v), [bias] = column(starts, "bias", v);
    for (let m = 0; m < 2; m++) {
      for (let i = 0; i < IMAGES; i++) {
        let wanted = bias;
        layers.forEach((weight, l) => {
          const s = 2 * m + l;
          const [px, py] = [x, y].map((c) => ((c + 1) * GRID - 1) / 2);
          for (let row = 0; row < GRID; row++) {
            for (let col = 0; col < GRID; col++) {
              const hat = Math.max(0, 1 - Math.abs(px - col)) * Math.max(0, 1 - Math.abs(py - row));
              wanted += weight * (1 - choices.shares[v]) * hat *
                dot(token(s, i, 1 + row * GRID + col), beta) / WIDTH;
            }
          }
          wanted += weight * choices.shares[v] * dot(token(s, i, 0), beta) / WIDTH;
        });
        assert(Math.abs(out[m][i][v] - wanted) < 1e-5, `${out[m][i][v]} for ${wanted}`);
      }
    }
  }
});

Deno.test("FactorTopyReadout penalises certain layers and extreme shares, less with every step", async () => {
  using readout = new FactorTopyReadout(gpu, sizes, { nModels: 2, coordinates });
  const starts = randomStarts(readout);
  const { choices } = await predictAll(readout, starts);
  using parameters = new Parameters(gpu, starts);
  const of = (name: string) => parameters.get(name);
  let wanted = 0;
  for (let v = 0; v < VOXELS; v++) {
    wanted += (choices.shares[v] - 0.5) ** 2 / VOXELS;
    for (const a of choices.layers.slice(2 * v, 2 * v + 2)) {
      wanted += a * Math.log(a) / Math.log(2) / VOXELS;
    }
  }
  for (const [step, share] of [[0, 1], [500, 0.75]] as const) {
    let total = 0;
    for (const c of readout.chunks.keys()) {
      using penalty = readout.penalty(c, of, step)!;
      total += await penalty.item();
    }
    assert(Math.abs(total - 0.1 * share * wanted) < 1e-6, `${total}`);
  }
  assert.equal(readout.penalty(0, of, 2000), undefined);
});

Deno.test("FactorTopyReadout begins in the middle of the image with all layers alike", async () => {
  using readout = new FactorTopyReadout(gpu, sizes, { nModels: 2, coordinates });
  const { choices } = await predictAll(readout, readout.starts(randomKey(3)));
  assert(choices.places.every((x) => x === 0) && choices.shares.every((s) => s === 0.5));
  assert(choices.layers.every((a) => a === 0.5));
});

Deno.test("encodePlaces() scales the longest axis to 100 and refuses voxels in one place", () => {
  const { data, shape } = encodePlaces({
    data: Float32Array.from([0, 5, 0, 20, 6, 0]),
    shape: [2, 3],
  });
  assert.deepEqual(shape, [2, 192]);
  assert(Math.abs(data[192] - Math.sin(100)) < 1e-6); // x of the second voxel, the first frequency
  assert(Math.abs(data[192 + 32 + 31] - Math.cos(100 * 1000 ** (-31 / 32))) < 1e-6);
  assert(Math.abs(data[192 + 64] - Math.sin(5)) < 1e-6); // y, on the scale of x
  assert.throws(() => encodePlaces({ data: new Float32Array(6), shape: [2, 3] }), InputError);
});

Deno.test("FactorTopyReadout refuses networks with different numbers of layers, and voxels without places", () => {
  assert.throws(
    () => new FactorTopyReadout(gpu, sizes, { nModels: 3, coordinates }),
    /same number of layers/,
  );
  assert.throws(
    () => new FactorTopyReadout(gpu, sizes, { nModels: 2 }),
    /a place for each of 7 voxels/,
  );
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
