/**
 * Fits that are stopped and go on from their checkpoint.
 */
import assert from "node:assert/strict";
import { randomKey } from "../../mod.ts";
import { GroupRidgeCV } from "../../pipelines/encoding/group_ridge.ts";
import { type HostMatrix, hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import { RidgeCV, type RidgeCVOptions, type RidgeFitCall } from "../../pipelines/encoding/ridge.ts";
import { fingerprintOf, ScoreCheckpoint } from "../../pipelines/encoding/score_checkpoint.ts";
import { openTestGpu } from "../_gpu.ts";
import { TestFolder } from "./io_fixtures.ts";
import { linearData } from "./ridge_oracle.ts";

const gpu = await openTestGpu();
const plain = await openTestGpu({ without: ["shader-f64"] });
Deno.test.afterEach(() => assert.equal(gpu.liveBytes + plain.liveBytes, 0));

const { x, y } = linearData([60, 24, 7]);
const alphas = [0.1, 1, 10, 100, 1000];

interface Fit {
  readonly name: string;
  readonly options: unknown;
  readonly run: (call: RidgeFitCall) => Promise<unknown>;
}

function ridge(name: string, more: RidgeCVOptions, device = gpu): Fit {
  const options = { alphas, nTargetsBatch: 3, nAlphasBatch: 2, ...more };
  return { name, options, run: (call) => new RidgeCV(device, options).fit(x, y, call) };
}

function banded(name: string, racing?: number): Fit {
  const groups = Array.from({ length: 24 }, (_, j) => j % 3);
  const options = { alphas, nTargetsBatch: 3, nIter: 4, key: randomKey(2), groups, racing };
  return { name, options, run: (call) => new GroupRidgeCV(gpu, options).fit(x, y, call) };
}

const FITS: Fit[] = [
  ridge("primal in f32", { solver: "primal", precision: "f32" }),
  ridge("dual in f32", { solver: "dual", precision: "f32" }),
  ridge("primal in f64", { solver: "primal", precision: "f64" }),
  ridge("dual on the host", { solver: "dual", precision: "f64" }, plain),
  ridge("primal on the host", { solver: "primal", precision: "f64" }, plain),
  ridge("screened", { exact: false, screening: "gcv", extendAlphas: true }),
  ridge("coarse to fine", { exact: false, screening: "coarse" }),
  banded("banded"),
  banded("banded, racing", 1),
];

/** What a fit found, without the device it was found on. */
const facts = (model: unknown) => structuredClone({ ...(model as Record<string, unknown>) });

for (const { name, options, run } of FITS) {
  Deno.test(`RidgeCV ${name}: stopped at any unit and started again it gives the same bits`, async () => {
    using folder = new TestFolder();
    const fingerprint = fingerprintOf([x, y], options);
    const want = facts(await run({}));
    let units = 0;
    {
      using store = new ScoreCheckpoint(folder.at("whole"), fingerprint);
      assert.deepEqual(facts(await run({ store })), want, "with a checkpoint");
      units = store.size;
    }
    assert(units > 8, `${units} units`);
    // Stopped after one unit, then after a few more each time.
    for (const more of [1, 4, Math.ceil(units / 2)]) {
      using store = new ScoreCheckpoint(folder.at("parts"), fingerprint);
      const controller = new AbortController();
      const before = store.size;
      const counting = {
        read: (unit: Parameters<typeof store.read>[0]) => store.read(unit),
        write: (...record: Parameters<typeof store.write>) => {
          store.write(...record);
          if (store.size === before + more) controller.abort();
        },
      };
      const fit = run({ store: counting, signal: controller.signal });
      await assert.rejects(fit, { name: "AbortError" });
      assert.equal(store.size, before + more);
    }
    using store = new ScoreCheckpoint(folder.at("parts"), fingerprint);
    assert.equal(store.size, 5 + Math.ceil(units / 2));
    assert.deepEqual(facts(await run({ store })), want, "after three stops");
    assert.equal(store.size, units, "units are scored once");
  });
}

Deno.test("a checkpoint of other data, options or shapes is refused and left alone", () => {
  using folder = new TestFolder();
  const path = folder.at("scores");
  const options = { alphas, cv: 5 };
  new ScoreCheckpoint(path, fingerprintOf([x, y], options))[Symbol.dispose]();
  const before = Deno.readFileSync(path);
  const moved = hostMatrix(y.data.map((value, at) => at === 9 ? value + 1e-6 : value), y.shape);
  const flat = hostMatrix(x.data, [120, 12]);
  const others: [HostMatrix[], unknown][] = [
    [[x, moved], options],
    [[flat, y], options],
    [[y, x], options],
    [[x, y], { alphas: [1], cv: 5 }],
    [[x, y], { alphas, cv: 4 }],
  ];
  for (const [matrices, facts] of others) {
    const open = () => new ScoreCheckpoint(path, fingerprintOf(matrices, facts));
    assert.throws(open, { name: "InputError", message: /other data, options or another adapter/ });
  }
  assert.deepEqual(Deno.readFileSync(path), before);
  new ScoreCheckpoint(path, fingerprintOf([x, y], options))[Symbol.dispose]();
});

Deno.test("a torn checkpoint gives back what is whole, and the fit is the same", async () => {
  using folder = new TestFolder();
  const path = folder.at("scores");
  const { run, options } = FITS[0];
  const fingerprint = fingerprintOf([x, y], options);
  let units = 0;
  {
    using store = new ScoreCheckpoint(path, fingerprint);
    await run({ store });
    units = store.size;
  }
  const whole = Deno.readFileSync(path);
  const want = facts(await run({}));
  for (const size of [0, 7, whole.length - 1, Math.floor(whole.length / 2)]) {
    const noise = Uint8Array.from({ length: 50 }, (_, i) => 37 * i + size);
    for (const tail of [new Uint8Array(), noise]) {
      if (size < 100 && tail.length > 0) continue; // nothing of a checkpoint is left: another file
      Deno.writeFileSync(path, whole.subarray(0, size));
      Deno.writeFileSync(path, tail, { append: true });
      using store = new ScoreCheckpoint(path, fingerprint);
      assert(store.size < units);
      assert.deepEqual(facts(await run({ store })), want, `cut at ${size}`);
      assert.equal(store.size, units);
    }
  }
});

Deno.test("an error in the middle of a fit leaves no memory on the device", async () => {
  for (const { run } of FITS) {
    let written = 0;
    const store = {
      read: () => undefined,
      write: () => {
        if (++written === 5) throw new Error("the disk is full");
      },
    };
    await assert.rejects(run({ store }), { message: "the disk is full" });
    const onProgress = ({ stage }: { stage: string }) => {
      if (stage === "refit") throw new Error("nobody listens");
    };
    await assert.rejects(run({ onProgress }), { message: "nobody listens" });
    assert.equal(gpu.liveBytes + plain.liveBytes, 0);
  }
});

Deno.test("close the devices", () => {
  gpu[Symbol.dispose]();
  plain[Symbol.dispose]();
});
