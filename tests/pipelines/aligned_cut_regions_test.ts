import assert from "node:assert/strict";
import { patchCosines, unitPatches } from "../../pipelines/encoding/alignment/patch_cosines.ts";
import { foldIn, normal, randomKey } from "../../mod.ts";
import {
  compareSlices,
  linearCka,
  matchConcepts,
  modelAgreement,
  projectorDistance,
  samePatchCosine,
} from "../../pipelines/aligned_cut/consistency.ts";
import { joinGraph } from "../../pipelines/aligned_cut/joint_graph.ts";
import { conceptAreas, measuredMaps } from "../../pipelines/aligned_cut/measured_maps.ts";
import { regionScores, regionTest } from "../../pipelines/aligned_cut/roi_correspondence.ts";
import { type HostMatrix, hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import { adjustedMutualInfo } from "../../pipelines/stats/partitions.ts";
import { PointTree } from "../../pipelines/stats/point_tree.ts";
import {
  permutedOrders,
  randomRotation,
  shiftOrders,
  spinOrders,
} from "../../pipelines/stats/spatial_nulls.ts";

const key = randomKey(111);
const refusal = (message: RegExp) => ({ name: "InputError", message });

/** Points on a sphere about evenly: a Fibonacci lattice. */
function sphere(n: number): Float32Array<ArrayBuffer> {
  const out = new Float32Array(3 * n);
  for (let i = 0; i < n; i++) {
    const z = 1 - (2 * i + 1) / n, r = Math.sqrt(1 - z * z), a = i * Math.PI * (3 - Math.sqrt(5));
    out.set([100 * r * Math.cos(a), 100 * r * Math.sin(a), 100 * z], 3 * i);
  }
  return out;
}

Deno.test("PointTree finds the nearest of all points", () => {
  const points = normal(randomKey(112), 3 * 300), places = normal(randomKey(113), 3 * 200);
  const tree = new PointTree(points);
  for (let i = 0; i < 200; i++) {
    const place = places.subarray(3 * i, 3 * i + 3);
    const apart = Array.from(
      { length: 300 },
      (_, j) => Math.hypot(...place.map((v, c) => v - points[3 * j + c])),
    );
    assert.equal(tree.nearest(place), apart.indexOf(Math.min(...apart)));
  }
  const same = new PointTree(new Float32Array(30));
  assert(same.nearest([1, 0, 0]) >= 0, "duplicates");
  assert.throws(() => new PointTree([1, 2]), refusal(/three each/));
  assert.throws(() => new PointTree([1, NaN, 2]), refusal(/coordinate 1 is NaN/));
});

Deno.test("randomRotation() is a rotation, and directions are even", () => {
  const mean = [0, 0, 0];
  for (let i = 0; i < 400; i++) {
    const r = randomRotation(foldIn(key, i));
    for (let a = 0; a < 3; a++) {
      for (let b = 0; b < 3; b++) {
        const dot = r[3 * a] * r[3 * b] + r[3 * a + 1] * r[3 * b + 1] + r[3 * a + 2] * r[3 * b + 2];
        assert(Math.abs(dot - Number(a === b)) < 1e-12);
      }
      mean[a] += r[3 * a + 2] / 400;
    }
    const det = r[0] * (r[4] * r[8] - r[5] * r[7]) - r[1] * (r[3] * r[8] - r[5] * r[6]) +
      r[2] * (r[3] * r[7] - r[4] * r[6]);
    assert(Math.abs(det - 1) < 1e-12);
  }
  assert(Math.hypot(...mean) < 4 / Math.sqrt(400), `${mean}`); // four standard errors of each, 1/√3 of it
});

Deno.test("spinOrders() keep neighbours and hemispheres, and mirror the rotation", () => {
  const half = sphere(400), both = [half, half.map((v, at) => at % 3 === 0 ? -v : v)];
  const order = spinOrders(key, both)(3);
  assert(
    order.subarray(0, 400).every((v) => v < 400) && order.subarray(400).every((v) => v >= 400),
  );
  // The right hemisphere is the left one's mirror image here, and so is its rotation.
  const same = order.subarray(0, 400).filter((v, i) => order[400 + i] === v + 400).length;
  assert(same > 395, `${same}`);
  assert.notDeepEqual(order, spinOrders(key, both)(4));
  assert.deepEqual(order, spinOrders(key, both)(3));
  const apart = (a: number, b: number) =>
    Math.hypot(...[0, 1, 2].map((c) => half[3 * a + c] - half[3 * b + c]));
  for (let v = 1; v < 400; v += 7) {
    // The distance of two vertices is kept up to the spacing of vertices, 18 here, at both ends.
    assert(Math.abs(apart(v, v - 1) - apart(order[v], order[v - 1])) < 36);
  }
  assert.throws(() => spinOrders(key, [[0, 0, 0]]), refusal(/vertex 0: it lies in the centre/));
});

Deno.test("shiftOrders() move a full sheet round its edges", () => {
  const side = 12;
  const places = Array.from({ length: side * side }, (_, v) => [v % side, Math.floor(v / side)])
    .flat();
  const order = shiftOrders(key, places)(0);
  const step = (
    v: number,
  ) => [order[v] % side - v % side, Math.floor(order[v] / side) - Math.floor(v / side)];
  const seen = new Set(
    Array.from({ length: side * side }, (_, v) => step(v).map((d) => (d + side) % side).join()),
  );
  assert(seen.size <= 9, `${[...seen]}`); // one step, but for rounding at the edges
  assert.notDeepEqual(order, shiftOrders(key, places)(1));
});

const [nVoxels, nRegions] = [60, 3];
const regionOf = Int32Array.from({ length: nVoxels }, (_, v) => v < 45 ? Math.floor(v / 15) : -1);
const noise = normal(randomKey(114), 2 * nVoxels);
const maps = noise.map((z, at) =>
  z + 3 * Number(regionOf[at % nVoxels] === (at < nVoxels ? 2 : 0))
);

Deno.test("regionScores() are d′, purity and mutual information by hand", () => {
  const got = regionScores({ maps, regionOf, nRegions });
  for (let c = 0; c < 2; c++) {
    for (let r = 0; r < nRegions; r++) {
      const own = [...maps.subarray(c * nVoxels, (c + 1) * nVoxels)];
      const [inside, outside] = [
        own.filter((_, v) => regionOf[v] === r),
        own.filter((_, v) => regionOf[v] !== r),
      ];
      const mean = (x: number[]) => x.reduce((a, b) => a + b, 0) / x.length;
      const variance = (x: number[]) => mean(x.map((v) => (v - mean(x)) ** 2));
      const want = (mean(inside) - mean(outside)) /
        Math.sqrt((variance(inside) + variance(outside)) / 2);
      assert(Math.abs(got.dPrime[c * nRegions + r] - want) < 1e-12);
    }
    const order = Array.from({ length: nVoxels }, (_, v) => v).sort((a, b) =>
      maps[c * nVoxels + b] - maps[c * nVoxels + a]
    );
    assert(order.slice(0, 6).filter((v) => regionOf[v] === [2, 0][c]).length >= 5);
  }
  assert.deepEqual([...got.bestRegion], [2, 0]);
  assert.equal(got.selectivity, (got.dPrime[2] + got.dPrime[3]) / 2);
  assert(got.purity > 0.8 && got.purity <= 1);
  const winner = Array.from({ length: 45 }, (_, v) => Number(maps[nVoxels + v] > maps[v]));
  assert.equal(got.ami, adjustedMutualInfo(winner, regionOf.slice(0, 45)));
  assert.throws(
    () => regionScores({ maps, regionOf, nRegions: 2 }),
    refusal(/voxel 30 is in region 2/),
  );
  assert.throws(
    () => regionScores({ maps: maps.map(() => NaN), regionOf, nRegions }),
    refusal(/concept 0, voxel 0 is NaN/),
  );
});

Deno.test("regionTest() finds planted regions; under the null its p-values are even", async () => {
  const orders = permutedOrders(key, nVoxels);
  const found = await regionTest({ maps, regionOf, nRegions }, { orders, nPermutations: 199 });
  const least = 1 / 200;
  assert.deepEqual([
    found.pSelectivity,
    found.pPurity,
    found.pAmi,
    found.pDPrime[2],
    found.pDPrime[3],
  ], [least, least, least, least, least]);
  assert(found.pDPrime[0] > 0.5, "a region that a concept avoids");
  const p: number[] = [];
  for (let i = 0; i < 60; i++) {
    const chance = normal(foldIn(randomKey(115), i), 2 * nVoxels);
    const drawn = permutedOrders(foldIn(randomKey(116), i), nVoxels);
    p.push(
      (await regionTest({ maps: chance, regionOf, nRegions }, { orders: drawn, nPermutations: 39 }))
        .pSelectivity,
    );
  }
  const mean = p.reduce((a, b) => a + b, 0) / 60;
  // Even on 1/40 … 1: mean 0.5125, standard deviation 0.289; four standard errors. And few are small.
  assert(Math.abs(mean - 0.5125) < 4 * 0.289 / Math.sqrt(60), `${mean}`);
  assert(p.filter((value) => value <= 0.1).length <= 6 + 4 * Math.sqrt(60 * 0.1 * 0.9));
});

Deno.test("a spin keeps smooth maps from looking selective, where exchanged voxels do not", async () => {
  const points = sphere(500),
    caps = Int32Array.from({ length: 500 }, (_, v) => points[3 * v + 2] > 60 ? 0 : 1);
  // Smooth maps that know nothing of the regions: random gradients.
  let [spun, permuted] = [0, 0];
  for (let i = 0; i < 12; i++) {
    const direction = normal(foldIn(randomKey(117), i), 3);
    const smooth = Float64Array.from(
      { length: 500 },
      (_, v) => direction.reduce((s, d, c) => s + d * points[3 * v + c], 0),
    );
    const data = { maps: smooth, regionOf: caps, nRegions: 2 };
    spun += Number(
      (await regionTest(data, { orders: spinOrders(key, [points]), nPermutations: 39 }))
        .pSelectivity <= 0.05,
    );
    permuted += Number(
      (await regionTest(data, { orders: permutedOrders(key, 500), nPermutations: 39 }))
        .pSelectivity <= 0.05,
    );
  }
  assert(permuted >= 10, `${permuted}`);
  assert(spun <= 3, `${spun}`);
});

Deno.test("conceptAreas() and measuredMaps() relate concepts to measured responses", () => {
  const labels = [9, 0, 0, 1, 1, 1, 2, 2, 2, 2, 0, 0, 1];
  const areas = conceptAreas(labels, { start: 1, nImages: 3, grid: [2, 2] }, 3);
  assert.deepEqual(
    [...areas.data],
    [0.5, 0.5, 0, 0, 0.25, 0.75, 0.5, 0.25, 0.25].map((v, at) => at === 3 ? 0 : v),
  );
  const responses = hostMatrix([1, 5, 2, 5, 1.5, 5], [3, 2]);
  const got = measuredMaps(areas, responses);
  const r = (a: number[], b: number[]) => {
    const m = (x: number[]) => x.reduce((s, v) => s + v, 0) / x.length;
    const [da, db] = [a.map((v) => v - m(a)), b.map((v) => v - m(b))];
    return da.reduce((s, v, i) => s + v * db[i], 0) / Math.hypot(...da) / Math.hypot(...db);
  };
  for (let c = 0; c < 3; c++) {
    const column = [0, 1, 2].map((i) => areas.data[3 * i + c]);
    assert(Math.abs(got[2 * c] - r(column, [1, 2, 1.5])) < 1e-7);
    assert.equal(got[2 * c + 1], 0, "a voxel that does not vary");
  }
  assert.throws(
    () => conceptAreas(labels, { start: 0, nImages: 1, grid: [2, 2] }, 3),
    refusal(/node 0 has the label 9/),
  );
  assert.throws(
    () => measuredMaps(areas, hostMatrix([1, 2], [2, 1])),
    refusal(/3 images .* responses to 2/),
  );
});

Deno.test("patchCosines() are means over all pairs of patches, of the channels that both have", () => {
  const [nImages, patches, widths] = [4, 3, [5, 4]] as const, n = nImages * patches;
  const [a, b] = widths.map((width, i) =>
    hostMatrix(normal(randomKey(40 + i), n * width), [n, width])
  );
  const cosine = (i: number, j: number) => {
    const row = (
      { data, shape: [, width] }: HostMatrix,
      at: number,
    ) => [...data.subarray(at * width, (at + 1) * width)];
    const [x, y] = [row(a, i), row(b, j)];
    return y.reduce((sum, v, c) => sum + v * x[c], 0) / Math.hypot(...x) / Math.hypot(...y);
  };
  const { same, other } = patchCosines(unitPatches(a, nImages), unitPatches(b, nImages));
  const imageOf = (row: number) => Math.floor(row / patches);
  const rows = Array.from({ length: n }, (_, row) => row);
  for (let image = 0; image < nImages; image++) {
    const own = rows.filter((row) => imageOf(row) === image);
    const others = rows.filter((row) => imageOf(row) !== image);
    const cross = own.flatMap((i) => others.flatMap((j) => [cosine(i, j), cosine(j, i)]));
    const meanOf = (values: number[]) => values.reduce((sum, v) => sum + v, 0) / values.length;
    assert(Math.abs(same[image] - meanOf(own.map((i) => cosine(i, i)))) < 1e-14);
    assert(Math.abs(other[image] - meanOf(cross)) < 1e-14);
  }
});

Deno.test("samePatchCosine() is that of all pairs, and compareSlices() adds the labels' agreement", () => {
  const [n, width] = [12, 6];
  const a = hostMatrix(normal(randomKey(118), n * width), [n, width]);
  const b = hostMatrix(normal(randomKey(119), n * width).map((z, at) => a.data[at] + 0.5 * z), [
    n,
    width,
  ]);
  const got = samePatchCosine(a, b);
  let [same, other] = [0, 0];
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      const [x, y] = [
        a.data.subarray(i * width, (i + 1) * width),
        b.data.subarray(j * width, (j + 1) * width),
      ];
      const cosine = x.reduce((s, v, c) => s + v * y[c], 0) / Math.hypot(...x) / Math.hypot(...y);
      if (i === j) same += cosine / n;
      else other += cosine / n / (n - 1);
    }
  }
  assert(Math.abs(got.same - same) < 1e-6 && Math.abs(got.other - other) < 1e-6);
  assert.equal(got.margin, got.same - got.other);
  const graph = joinGraph([
    { model: "a", layer: 0, grid: [3, 4], features: a },
    { model: "b", layer: 0, grid: [3, 4], features: b },
    { model: "b", layer: 1, grid: [4, 3], features: b },
  ]);
  const labels = Array.from({ length: 36 }, (_, i) => i % 12 < 6 ? 0 : 1);
  const pair = compareSlices(graph, labels, [graph.slices[0], graph.slices[1]]);
  assert.deepEqual(pair, { ...got, ari: 1 });
  assert.deepEqual(modelAgreement(graph, labels), [{ ...pair, models: ["a", "b"], layer: 0 }]);
  assert.throws(
    () => compareSlices(graph, labels, [graph.slices[0], graph.slices[2]]),
    refusal(/same patches/),
  );
  assert.throws(
    () => samePatchCosine(a, hostMatrix(new Float32Array(72), [12, 6])),
    refusal(/row 0 has no direction/),
  );
});

Deno.test("matchConcepts() undoes a permutation, by correlation whatever scale and offset", () => {
  const a = hostMatrix(normal(randomKey(120), 4 * 20), [4, 20]);
  const order = [2, 0, 3, 1];
  const b = hostMatrix(
    order.flatMap((k) => Array.from(a.data.subarray(20 * k, 20 * k + 20), (v) => 3 * v + 7)),
    [4, 20],
  );
  const got = matchConcepts(a, b);
  assert.deepEqual([...got.partner], [1, 3, 0, 2]);
  assert(Math.abs(got.mean - 1) < 1e-6);
  const cosine = matchConcepts(a, hostMatrix(b.data.slice(0, 40), [2, 20]), { by: "cosine" });
  assert.equal(cosine.partner.filter((j) => j < 0).length, 2);
  assert.equal(cosine.similarity.filter(Number.isNaN).length, 2);
});

Deno.test("projectorDistance() is the norm of the projectors' difference, and linearCka() of the Grams'", () => {
  const [n, k] = [30, 3];
  const a = hostMatrix(normal(randomKey(121), n * k), [n, k]);
  const turned = hostMatrix(
    a.data.map((_, at) => {
      const i = at - at % k, [x, y, z] = a.data.subarray(i, i + k);
      return [2 * x + y, y - 3 * z, z][at % k];
    }),
    [n, k],
  );
  assert(projectorDistance(a, turned) < 1e-6);
  const basis = (from: number) =>
    hostMatrix(
      Float32Array.from({ length: 12 }, (_, at) => Number(Math.floor(at / 2) === from + at % 2)),
      [6, 2],
    );
  assert.equal(projectorDistance(basis(0), basis(2)), 1);
  assert(
    Math.abs(projectorDistance(basis(0), basis(1)) - Math.SQRT1_2) < 1e-12,
    "half of the span is shared",
  );
  assert.throws(() => projectorDistance(a, basis(0)), refusal(/one shape/));
  const flat = hostMatrix(new Float32Array(n * k).fill(1), [n, k]);
  assert.throws(() => projectorDistance(a, flat), refusal(/column 1 depends/));
  const b = hostMatrix(normal(randomKey(122), n * 4), [n, 4]);
  const gram = ({ data, shape: [, w] }: typeof a) => {
    const mean = Array.from(
      { length: w },
      (_, c) => Array.from({ length: n }, (_, i) => data[i * w + c]).reduce((s, v) => s + v, 0) / n,
    );
    return Array.from(
      { length: n * n },
      (_, at) =>
        mean.reduce(
          (s, m, c) => s + (data[Math.floor(at / n) * w + c] - m) * (data[at % n * w + c] - m),
          0,
        ),
    );
  };
  const [x, y] = [gram(a), gram(b)],
    dot = (p: number[], q: number[]) => p.reduce((s, v, i) => s + v * q[i], 0);
  assert(Math.abs(linearCka(a, b) - dot(x, y) / Math.sqrt(dot(x, x) * dot(y, y))) < 1e-10);
  assert(Math.abs(linearCka(a, hostMatrix(a.data.map((v) => -2 * v), [n, k])) - 1) < 1e-10);
});
