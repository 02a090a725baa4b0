/**
 * Stimuli of known factors, simulated sites, and `gyrus phantom it`.
 *
 * @module
 */
import assert from "node:assert/strict";
import { main } from "../../pipelines/cli/main.ts";
import { parseCsv } from "../../pipelines/io/csv.ts";
import { hostArray } from "../../pipelines/io/state_dict.ts";
import { readNpy } from "../../pipelines/io/npy.ts";
import { IT_TUNINGS, simulateIt } from "../../pipelines/phantom/it_population.ts";
import {
  drawItScene,
  IT_CATEGORIES,
  IT_FACTORS,
  IT_POSE,
  IT_RANGES,
  type ItFactor,
  type ItScene,
  renderItScene,
  renderItStimuli,
} from "../../pipelines/phantom/it_stimuli.ts";

function correlation(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const n = a.length, mean = (v: ArrayLike<number>) => Array.from(v).reduce((s, x) => s + x, 0) / n;
  const [ma, mb] = [mean(a), mean(b)];
  let [ab, aa, bb] = [0, 0, 0];
  for (let i = 0; i < n; i++) {
    ab += (a[i] - ma) * (b[i] - mb);
    aa += (a[i] - ma) ** 2;
    bb += (b[i] - mb) ** 2;
  }
  return ab / Math.sqrt(aa * bb);
}

const middle = (category: number, changed: Partial<Record<ItFactor, number>> = {}): ItScene => ({
  category,
  values: {
    ...Object.fromEntries(IT_FACTORS.map((f) => [f, (IT_RANGES[f][0] + IT_RANGES[f][1]) / 2])),
    ...changed,
  } as Record<ItFactor, number>,
});

Deno.test("renderItStimuli() draws image i alike whatever n is, factors inside their ranges", () => {
  const few = renderItStimuli(3, { seed: 5, start: 2 }), more = renderItStimuli(6, { seed: 5 });
  assert.deepEqual(few.images, more.images.subarray(2 * 1024, 5 * 1024));
  assert.deepEqual(few.pose, more.pose.subarray(12, 30));
  assert.notDeepEqual(few.images, renderItStimuli(3, { seed: 6, start: 2 }).images);
  for (const { category, values } of more.scenes) {
    assert.ok(category >= 0 && category < IT_CATEGORIES.length);
    for (const factor of IT_FACTORS) {
      const [low, high] = IT_RANGES[factor];
      assert.ok(values[factor] >= low && values[factor] < high, `${factor} ${values[factor]}`);
    }
  }
  assert.ok(more.images.every((v) => v >= -1 && v <= 1));
});

Deno.test("drawItScene() draws factors that do not depend on each other", () => {
  const scenes = Array.from({ length: 4000 }, (_, i) => drawItScene(1, i));
  const columns = [
    ...IT_FACTORS.map((factor) => scenes.map(({ values }) => values[factor])),
    ...IT_CATEGORIES.map((_, c) => scenes.map(({ category }) => Number(category === c))),
  ];
  // 108 pairs (those among categories left out); at 5 standard errors one in 15,000 runs would fail.
  columns.forEach((a, i) =>
    columns.slice(0, Math.min(i, IT_FACTORS.length)).forEach((b, j) => {
      const r = correlation(a, b);
      assert.ok(Math.abs(r) < 5 / Math.sqrt(4000), `columns ${i} and ${j}: r = ${r}`);
    })
  );
});

Deno.test("renderItScene() puts the object where its pose says", () => {
  const centre = (image: Float32Array) => {
    let [mass, x, y] = [0, 0, 0];
    image.forEach((value, at) => {
      const weight = value - image[0];
      mass += weight;
      x += weight * (at % 32);
      y += weight * Math.floor(at / 32);
    });
    return { mass, x: x / mass, y: y / mass };
  };
  for (const c of IT_CATEGORIES.keys()) {
    const at = (changed: Partial<Record<ItFactor, number>>) =>
      centre(renderItScene(middle(c, { stripes: 0, ...changed })));
    const still = at({}), right = at({ ty: 0.125 }), up = at({ tz: 0.125 });
    // Two of 16 pixels: the image is the same one, moved by whole pixels.
    assert.ok(Math.abs(right.x - still.x - 2) < 1e-4 && Math.abs(right.y - still.y) < 1e-4);
    assert.ok(Math.abs(still.y - up.y - 2) < 1e-4 && Math.abs(up.x - still.x) < 1e-4);
    // Mass goes with the area; edges fade over two pixels alike at both sizes.
    const ratio = at({ s: 0.66 }).mass / at({ s: 0.55 }).mass;
    assert.ok(Math.abs(ratio / 1.44 - 1) < 0.05, `category ${c}: ${ratio}`);
    // A plate turned by 35 degrees keeps cos 35° = 0.82 of its area; what perspective adds one way it takes away the other.
    const area = (changed: Partial<Record<ItFactor, number>>) =>
      renderItScene(middle(c, { stripes: 0, ...changed }), { side: 128 }).filter((v) => v > -0.3)
        .length;
    for (const axis of ["rxz", "ryz"] as const) {
      const turned = (area({ [axis]: 35 }) + area({ [axis]: -35 })) / 2;
      assert.ok(turned < 0.92 * area({}), `category ${c}: ${turned} of ${area({})}`);
    }
  }
});

Deno.test("renderItScene() tells every factor apart: no change of one looks like a change of the others", () => {
  // Least squares: the share of each factor's derivative image that the other factors' span.
  for (const c of IT_CATEGORIES.keys()) {
    const step = (f: ItFactor) => 0.02 * (IT_RANGES[f][1] - IT_RANGES[f][0]);
    const derivative = (f: ItFactor) => {
      const base = middle(c).values[f];
      const up = renderItScene(middle(c, { [f]: base + step(f) }));
      const down = renderItScene(middle(c, { [f]: base - step(f) }));
      return Float64Array.from(up, (value, p) => value - down[p]);
    };
    const images = IT_FACTORS.map(derivative);
    images.forEach((image, k) => {
      const basis: Float64Array[] = [];
      const take = (v: Float64Array) =>
        basis.reduce((left, b) => {
          const along = left.reduce((s, x, p) => s + x * b[p], 0);
          return left.map((x, p) => x - along * b[p]);
        }, v);
      images.filter((_, j) => j !== k).forEach((other) => {
        const left = take(other), norm = Math.hypot(...left);
        if (norm > 1e-9) basis.push(left.map((x) => x / norm));
      });
      const own = Math.hypot(...take(image)) / Math.hypot(...image);
      assert.ok(own > 0.2, `${IT_CATEGORIES[c]}, ${IT_FACTORS[k]}: ${own}`);
    });
  }
});

Deno.test("simulateIt() gives sites their planted tuning and reliability", () => {
  const n = 1500;
  const scenes = Array.from({ length: n }, (_, i) => drawItScene(2, i));
  const { responses, signal, sites } = simulateIt({ scenes }, { seed: 3 });
  assert.deepEqual([0, 1].map((m) => sites.filter(({ monkey }) => monkey === m).length), [58, 110]);
  const column = (data: Float32Array, s: number) =>
    scenes.map((_, i) => data[i * sites.length + s]);
  sites.forEach((site, s) => {
    const total = IT_TUNINGS.reduce((sum, kind) => sum + site.shares[kind], 0);
    assert.ok(Math.abs(total - 1) < 1e-12);
    // r² of an average with its signal is the reliability; its standard error is at most 2√r²(1 − r²)/√n = 0.02.
    const r2 = correlation(column(responses, s), column(signal, s)) ** 2;
    assert.ok(Math.abs(r2 - site.reliability) < 0.1, `site ${s}: ${r2}, ${site.reliability}`);
    // What a site is mainly for explains it best.
    const z = (f: ItFactor) => scenes.map(({ values }) => values[f]);
    const drive = scenes.map(({ values }) =>
      IT_POSE.reduce((sum, f, k) => {
        const [low, high] = IT_RANGES[f];
        return sum + site.pose[k] * (values[f] - low) / (high - low);
      }, 0)
    );
    const pose = correlation(column(signal, s), drive) ** 2;
    const category = correlation(column(signal, s), scenes.map((q) => site.category[q.category])) **
      2;
    if (site.shares.pose > 0.5) assert.ok(pose > 0.5 && category < 0.35, `site ${s}`);
    if (site.shares.category > 0.5) assert.ok(category > 0.5 && pose < 0.35, `site ${s}`);
    assert.ok(correlation(column(signal, s), z("background")) ** 2 < 25 / n, `site ${s}`);
  });
  const few = simulateIt({ scenes: scenes.slice(7, 9) }, { seed: 3, start: 7 });
  assert.deepEqual(few.responses, responses.subarray(7 * sites.length, 9 * sites.length));
});

Deno.test("simulateIt() and renderItScene() refuse what cannot be made", () => {
  const { scenes } = renderItStimuli(1);
  assert.throws(() => simulateIt({ scenes: [] }), /to no images/);
  assert.throws(() => simulateIt({ scenes }, { monkeys: [] }), /whole numbers of both/);
  assert.throws(() => simulateIt({ scenes }, { reliability: [0, 1] }), /from 0 to 1/);
  assert.throws(() => renderItScene(middle(8)), /category 8: there are 8/);
  assert.throws(() => renderItScene(middle(0), { side: 4 }), /4 pixels/);
  assert.throws(() => renderItStimuli(0), /0 images/);
});

Deno.test("gyrus phantom it writes files that agree with each other", async () => {
  const folder = Deno.makeTempDirSync(), { log } = console;
  try {
    console.log = () => {};
    const out = `${folder}/it`;
    assert.equal(await main(["phantom", "it", "--out", out, "--n", "5", "--png", "--json"]), 0);
    const array = (name: string) => readNpy(Deno.readFileSync(`${out}/${name}.npy`));
    assert.deepEqual(array("stimuli").shape, [5, 32, 32]);
    assert.deepEqual(array("responses").shape, [5, 168]);
    const { pose, categories } = renderItStimuli(5);
    assert.deepEqual(hostArray(array("pose")), pose);
    assert.deepEqual(hostArray(array("categories")), categories);
    const table = parseCsv(Deno.readTextFileSync(`${out}/stimuli.csv`), "read the table");
    const named = [...categories].map((c) => IT_CATEGORIES[c]);
    assert.deepEqual(table.get("category_name"), named);
    assert.deepEqual(
      table.get("rxz")?.map((text) => Math.fround(Number(text))),
      [0, 1, 2, 3, 4].map((i) => pose[6 * i + 4]),
    );
    for (const name of table.get("filename") ?? []) Deno.statSync(`${out}/${name}`);
    assert.equal(JSON.parse(Deno.readTextFileSync(`${out}/sites.json`)).sites.length, 168);
  } finally {
    console.log = log;
    Deno.removeSync(folder, { recursive: true });
  }
});
