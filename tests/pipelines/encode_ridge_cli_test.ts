/**
 * Every option of `gyrus encode` for ridge regression, from files to files, against the library and himalaya.
 */
import assert from "node:assert/strict";
import { GroupRidgeCV, randomKey, RidgeCV } from "../../mod.ts";
import { main } from "../../pipelines/cli/main.ts";
import { logspace } from "../../pipelines/encoding/alphas.ts";
import { type HostMatrix, hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import type { RidgeCVOptions } from "../../pipelines/encoding/ridge.ts";
import { correlationScore, r2Score } from "../../pipelines/encoding/scoring.ts";
import { Hdf5File } from "../../pipelines/io/hdf5.ts";
import { writeNpy } from "../../pipelines/io/npy.ts";
import { hostTensor, toFloat32, toFloat64 } from "../../pipelines/io/state_dict.ts";
import { openCommandGpu } from "../_gpu.ts";
import { GoldenFile } from "../golden_file.ts";
import { TestFolder } from "./io_fixtures.ts";
import { assertNear, gaussian, linearData } from "./ridge_oracle.ts";

const gpu = await openCommandGpu({ kernels: "auto" }); // as the command line opens it
const folder = new TestFolder();
const backend = Deno.env.get("GYRUS_TEST_BACKEND") === "dawn" ? "dawn" : "deno";

/** Runs a command line and collects what it prints. */
async function gyrus(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const { log, error } = console;
  const said = { out: "", err: "" };
  console.log = (line: unknown) => said.out += `${line}\n`;
  console.error = (line: unknown) => said.err += `${line}\n`;
  try {
    return { code: await main([...args, "--backend", backend]), ...said };
  } finally {
    Object.assign(console, { log, error });
  }
}

function save(name: string, { data, shape }: HostMatrix): string {
  return folder.write(name, writeNpy(hostTensor(data, [...shape])));
}

const [N, T] = [60, 5];
const narrow = linearData([N, 12, T]), wide = linearData([N, 90, T]);
const runs = Array.from({ length: N }, (_, r) => Math.floor(r / 15));
const files = {
  ...{ x: save("x.npy", narrow.x), y: save("y.npy", narrow.y) },
  ...{ wide: save("wide.npy", wide.x), yWide: save("y_wide.npy", wide.y) },
  runs: folder.write("runs.npy", writeNpy(hostTensor(Float32Array.from(runs), [N]))),
  test: save("test.npy", gaussian(3, 10, 12)),
  yTest: save("y_test.npy", gaussian(4, 10, T)),
  testRuns: folder.write("test_runs.npy", writeNpy(hostTensor(new Float32Array(10), [10]))),
};
const out = folder.at("model.h5");
const isWide = (args: readonly string[]) => args.includes("dual");

/** Fits and opens the model. */
async function fit(...args: string[]): Promise<Hdf5File> {
  const own = isWide(args)
    ? ["--features", files.wide, "--responses", files.yWide]
    : ["--features", files.x, "--responses", files.y];
  const { code, err } = await gyrus("encode", "fit", ...own, ...args, "--out", out);
  assert.equal(code, 0, `${args}: ${err}`);
  return await Hdf5File.open(out);
}

const values = (file: Hdf5File, name: string) => toFloat64(file.read(name));

for (const name of ["tall", "wide"] as const) {
  Deno.test(`golden: encode fit on the ${name} case`, async () => {
    const golden = new GoldenFile(`ridge_${name}`);
    const inputs = name === "tall" ? new GoldenFile("ridge_tall_x") : golden;
    const matrix = (from: GoldenFile, key: string) => {
      const { data, shape } = from.f32(key);
      return hostMatrix(data, [shape[0], shape[1]]);
    };
    const x = matrix(inputs, "x"), y = matrix(golden, "y");
    const { code, err } = await gyrus(
      ...["encode", "fit", "--features", save("gx.npy", x), "--responses", save("gy.npy", y)],
      ...["--alphas", "logspace(-2,5,15)", "--cv", "5", "--out", out],
    );
    assert.equal(code, 0, err);
    using file = await Hdf5File.open(out);
    const nTargets = y.shape[1];
    assertNear(values(file, "/alphas"), logspace(-2, 5, 15), 0, "alphas");
    assert.deepEqual(file.info("/cv_scores").shape, [15, nTargets]);
    assertNear(values(file, "/cv_scores"), golden.f32("cv_surface").data, 1e-4, "cv_scores");
    const best = golden.f32("best_alphas").data;
    values(file, "/best_alphas").forEach((alpha, t) => {
      assert(Math.abs(alpha / best[t] - 1) < 1e-6, `target ${t}: ${alpha}, not ${best[t]}`);
    });
    assertNear(toFloat32(file.read("/intercept")), golden.f32("intercept").data, 1e-4, "intercept");
    assert.equal(file.datasets().includes("/coef"), name === "tall");
    assert.equal(file.datasets().includes("/dual_coef"), name === "wide");
  });
}

Deno.test("a model file has himalaya's names, and its parts their shapes", async () => {
  for (const space of ["primal", "dual"]) {
    for (const coef of [[], ["--coef"]]) {
      using file = await fit("--alphas", "0.1,1,10,100", "--space", space, ...coef);
      const isDual = space === "dual", p = isDual ? 90 : 12;
      const hasCoef = !isDual || coef.length > 0;
      const want: Record<string, number[]> = {
        ...{ "/alphas": [4], "/best_alphas": [T], "/cv_scores": [4, T], "/intercept": [T] },
        ...{ "/r2": [T], "/precision": [4] },
        ...(hasCoef ? { "/coef": [p, T] } : { "/x_fit": [N, p] }),
        ...(isDual ? { "/dual_coef": [N, T] } : {}),
      };
      assert.deepEqual(file.datasets().sort(), Object.keys(want).sort());
      for (const [name, shape] of Object.entries(want)) {
        if (name === "/precision") assert.equal(file.readStrings(name).length, 4);
        else assert.deepEqual(file.info(name).shape, shape, name);
      }
      const himalaya = (name: string) => file.attributes(name).himalaya;
      assert.equal(himalaya("/alphas"), "alphas");
      assert.equal(himalaya("/best_alphas"), "best_alphas_");
      assert.equal(himalaya("/cv_scores"), "cv_scores_");
      assert.equal(himalaya("/intercept"), "intercept_");
      if (hasCoef) assert.equal(himalaya("/coef"), "coef_");
      if (isDual) assert.equal(himalaya("/dual_coef"), "dual_coef_");
    }
  }
});

const GRID = ["--alphas", "0.1,1,10,100,1000"];
const alphas = [0.1, 1, 10, 100, 1000];
const splits = [{ test: [0, 1, 2, 3, 4, 5] }, { test: [30, 31, 40], train: [1, 2, 3, 50, 51, 7] }];
const all = Array.from({ length: N }, (_, r) => r);
const cvFile = folder.write("cv.json", JSON.stringify(splits));
const read = splits.map(({ test, train }) => ({
  test: Uint32Array.from(test),
  train: Uint32Array.from(train ?? all.filter((r) => !test.includes(r))),
}));
const OPTIONS: readonly (readonly [string[], RidgeCVOptions])[] = [
  [[], {}],
  [["--cv", "7", "--scoring", "r2"], { cv: 7, scoring: "r2" }],
  [
    ["--cv", "7", "--shuffle", "--seed", "3", "--scoring", "l2-neg-loss"],
    { cv: { nSplits: 7, key: randomKey(3) }, scoring: "l2NegLoss" },
  ],
  [
    ["--cv", "4", "--gap", "2", "--scoring", "correlation"],
    { cv: { nSplits: 4, gap: 2 }, scoring: "correlation" },
  ],
  [["--cv", "runs", "--runs", files.runs, "--gap", "1"], { cv: { runs, gap: 1 } }],
  [["--cv", cvFile, "--no-intercept"], { cv: read, fitIntercept: false }],
  [["--conservative"], { conservative: true }],
  [["--global-alpha"], { localAlpha: false }],
  [["--screen"], { exact: false, screening: "gcv" }],
  [["--screen", "coarse"], { exact: false, screening: "coarse" }],
  [["--extend-alphas"], { extendAlphas: true }],
  [["--space", "dual", "--precision", "f32"], { solver: "dual", precision: "f32" }],
  [["--targets-batch", "2", "--alphas-batch", "2"], { nTargetsBatch: 2, nAlphasBatch: 2 }],
  [
    ["--delays", "1,2", "--runs", files.runs, "--cv", "runs"],
    { delays: [1, 2], delayOptions: { runs }, cv: { runs } },
  ],
  [
    ["--delays", "1,2", "--runs", files.runs, "--across-runs"],
    { delays: [1, 2], delayOptions: { runs, acrossRuns: true } },
  ],
];

Deno.test("every option of encode fit is that of the library", async () => {
  for (const [args, options] of OPTIONS) {
    using file = await fit(...GRID, ...args);
    const { x, y } = isWide(args) ? wide : narrow;
    const model = await new RidgeCV(gpu, { alphas, ...options }).fit(x, y);
    const what = args.join(" ");
    assert.deepEqual(values(file, "/alphas"), model.alphas, what);
    assert.deepEqual(values(file, "/best_alphas"), model.bestAlphas, what);
    assert.deepEqual(values(file, "/cv_scores"), model.cvSurface, what);
    assert.deepEqual(values(file, "/r2"), model.cvR2, what);
    assert.deepEqual(toFloat32(file.read("/intercept")), model.intercept, what);
    const { name, matrix } = model.coef
      ? { name: "/coef", matrix: model.coef }
      : { name: "/dual_coef", matrix: model.dualCoef! };
    assert.deepEqual(toFloat32(file.read(name)), matrix.data, what);
    assert.equal(file.attributes().fit_intercept, Number(model.fitIntercept));
  }
  assert.equal(gpu.liveBytes, 0);
});

Deno.test("encode fit --bands is a banded ridge regression, from ranges, labels or an array", async () => {
  const groups = Array.from({ length: 12 }, (_, j) => j < 4 ? 0 : 1);
  const forms = [
    folder.write("ranges.json", JSON.stringify({ early: [0, 4], late: [4, 12] })),
    folder.write("labels.json", JSON.stringify(groups.map((g) => g === 0 ? "early" : "late"))),
    folder.write("bands.npy", writeNpy(hostTensor(Float32Array.from(groups), [12]))),
  ];
  const options = { groups, nIter: 3, alphas, key: randomKey(5), coef: false };
  const model = await new GroupRidgeCV(gpu, options).fit(narrow.x, narrow.y);
  for (const bands of forms) {
    using file = await fit(...GRID, "--bands", bands, "--n-iter", "3", "--seed", "5");
    assert.deepEqual(file.info("/cv_scores").shape, [3, T]);
    assert.deepEqual(file.info("/deltas").shape, [2, T]);
    assert.deepEqual(file.info("/gammas").shape, [3, 2]);
    assert.deepEqual(values(file, "/best_alphas"), model.bestAlphas);
    assert.deepEqual(values(file, "/deltas"), model.deltas);
    assert.deepEqual([...values(file, "/best_gammas")], [...model.bestGammas]);
    assert.deepEqual([...values(file, "/band_of")], groups);
    assert.deepEqual(toFloat32(file.read("/coef")), model.coef!.data);
    assert.equal(file.attributes("/deltas").himalaya, "deltas_");
  }
});

Deno.test("encode predict and score use what was fitted, primal, dual, delayed and banded", async () => {
  const bands = folder.write("b.json", JSON.stringify({ a: [0, 5], b: [5, 12] }));
  const cases: [string[], RidgeCVOptions, string[]][] = [
    [[], {}, []],
    [
      ["--delays", "1,2", "--runs", files.runs],
      { delays: [1, 2], delayOptions: { runs } },
      ["--runs", files.testRuns],
    ],
    [["--bands", bands, "--n-iter", "2"], {}, []],
  ];
  const xTest = gaussian(3, 10, 12), yTest = gaussian(4, 10, T);
  for (const [args, options, more] of cases) {
    (await fit(...GRID, ...args)).close();
    const given = ["--encoder", out, "--features", files.test, ...more];
    const predicted = folder.at("predicted.h5"), scored = folder.at("scored.h5");
    const one = await gyrus("encode", "predict", ...given, "--out", predicted);
    assert.equal(one.code, 0, one.err);
    const two = await gyrus(
      ...["encode", "score", ...given, "--responses", files.yTest, "--out", scored],
    );
    assert.equal(two.code, 0, two.err);
    using predictions = await Hdf5File.open(predicted);
    const got = hostMatrix(toFloat32(predictions.read("/predictions")), [10, T]);
    using scores = await Hdf5File.open(scored);
    assert.deepEqual(values(scores, "/r2"), r2Score(yTest, got));
    assert.deepEqual(values(scores, "/correlation"), correlationScore(yTest, got));
    if (args.includes("--bands")) continue;
    const model = await new RidgeCV(gpu, { alphas, ...options }).fit(narrow.x, narrow.y);
    assert.deepEqual(await model.predict(xTest, { runs: new Float32Array(10) }), got);
  }
});

Deno.test("encode fit --checkpoint goes on where it stood, and refuses another fit's file", async () => {
  const path = folder.at("scores.log");
  const args = [...GRID, "--targets-batch", "2", "--checkpoint", path];
  const contents = async (...more: string[]) => {
    using file = await fit(...args, ...more);
    const names = file.datasets().filter((name) => name !== "/precision");
    return names.map((name) => file.read(name));
  };
  const first = await contents();
  const { size } = Deno.statSync(path);
  Deno.truncateSync(path, Math.floor(size / 2));
  assert.deepEqual(await contents(), first);
  assert.equal(Deno.statSync(path).size, size);
  const own = ["encode", "fit", "--features", files.x, "--responses", files.y, "--out", out];
  const before = Deno.readFileSync(path);
  for (const other of [["--cv", "4"], ["--no-intercept"], ["--scoring", "r2"]]) {
    const { code, err } = await gyrus(...own, ...args, ...other);
    assert.equal(code, 2, err);
    assert.match(
      err,
      /^gyrus: Cannot go on from .*other data, options or another adapter[^\n]*\n$/,
    );
  }
  assert.deepEqual(Deno.readFileSync(path), before);
});

/** One value of a copy set to another. */
function holed({ data, shape }: HostMatrix, at: number, value: number): HostMatrix {
  const copy = data.slice();
  copy[at] = value;
  return hostMatrix(copy, shape);
}

const json = (name: string, value: unknown) => folder.write(name, JSON.stringify(value));
const vector = (name: string, list: number[]) =>
  folder.write(name, writeNpy(hostTensor(Float32Array.from(list), [list.length])));
const flat = hostMatrix(narrow.y.data.map((v, at) => at % T === 3 ? 2 : v), [N, T]);
const data = (x: string, y: string) => ["--features", x, "--responses", y];
const own = data(files.x, files.y);
const BAD: readonly (readonly [string[], RegExp])[] = [
  [data(save("nan.npy", holed(narrow.x, 25, NaN)), files.y), /finite, row 2, column 1.*NaN/],
  [data(files.x, save("inf.npy", holed(narrow.y, 6, Infinity))), /row 1, column 1.*Infinity/],
  [data(files.x, files.test), /same number of rows, have 60 and 10/],
  [data(save("p0.npy", hostMatrix([], [N, 0])), files.y), /\[60,0\]/],
  [data(files.x, save("flat.npy", flat)), /1 of 5 columns never change.*column 3/],
  [[...own, "--alphas", "1,0"], /number 2 is not/],
  [[...own, "--alphas", "1,nan"], /number 2 is not/],
  [[...own, "--alphas", "1,1"], /all different/],
  [[...own, "--alphas", ""], /above 0/],
  [[...own, "--alphas", "logspace(0,10)"], /list 0.1,1,10 or a range/],
  [[...own, "--cv", "1"], /60 samples into 1 folds/],
  [[...own, "--cv", "61"], /61 folds/],
  [[...own, "--cv", "60", "--scoring", "r2"], /Cannot score by r2.*fold 0 has 1/],
  [[...own, "--cv", "60", "--scoring", "correlation"], /Cannot score by correlation/],
  [[...own, "--cv", "runs"], /needs --runs/],
  [[...own, "--cv", "runs", "--runs", vector("short.npy", [1, 2])], /60 values are needed/],
  [[...own, "--cv", "runs", "--runs", vector("one.npy", Array(N).fill(1))], /two runs or more/],
  [[...own, "--cv", "runs", "--runs", vector("n.npy", Array(N).fill(NaN))], /finite/],
  [[...own, "--cv", folder.at("absent.json")], /absent.json/],
  [[...own, "--cv", folder.write("bad.json", "{")], /it is not JSON/],
  [[...own, "--cv", json("r.json", [{ test: [60] }])], /row is not from 0 to 59: 60/],
  [[...own, "--cv", json("t.json", [{ test: [1], train: [1] }])], /row 1 is on both sides/],
  [[...own, "--cv", json("e.json", [])], /no split/],
  [[...own, "--gap", "60"], /gap of 60/],
  [[...own, "--delays", "1,x"], /Whole numbers/],
  [[...own, "--delays", "1,1"], /all different/],
  [
    [...own, "--delays", "1", "--runs", vector("m.npy", Array.from(all, (r) => r % 2))],
    /run 0 begins again/,
  ],
  [[...own, "--bands", json("b1.json", [1, 2])], /2 labels for 12 features/],
  [[...own, "--bands", json("b2.json", { a: [0, 5] })], /feature 5 is in no band/],
  [[...own, "--bands", json("b3.json", { a: [0, 12], b: [3, 4] })], /feature 3 is in two/],
  [[...own, "--bands", json("b4.json", { a: [0, 12], b: [3, 99] })], /of 12 features/],
  [[...own, "--bands", json("b5.json", 7)], /one label per feature/],
  [[...own, "--bands", json("b6.json", { a: [0, 12] }), "--screen"], /weights of bands that way/],
  [
    [...own, "--bands", json("b7.json", { a: [0, 12] }), "--extend-alphas"],
    /weights of bands that way/,
  ],
  [[...own, "--screen", "--cv", "runs", "--runs", files.runs], /Cannot screen.*runs/],
  [[...own, "--screen", "--cv", cvFile], /Cannot screen/],
  [[...own, "--screen", "--conservative"], /leave alphas out and choose conservatively/],
  [[...own, "--screen", "--alphas", "3,1"], /must ascend/],
  [[...own, "--conservative", "--global-alpha"], /choose one of both/],
  [[...own, "--scoring", "mse"], /one of l2-neg-loss, r2, correlation/],
  [[...own, "--targets-batch", "0"], /batch/i],
  [[...own, "--checkpoint", folder.at("no/folder/here")], /no\/folder\/here/],
  [[...own, "--checkpoint", files.x], /it is not a checkpoint/],
  [[...own, "--checkpoint", folder.at("p.log"), "--solver", "probe"], /checkpoint of a probe/],
  [[...own, "--checkpoint", "/dev/full"], /\/dev\/full/],
];

Deno.test("encode fit says in one sentence what is wrong with ridge options, exits with 2 and leaves nothing", async () => {
  const none = folder.at("none.h5");
  const before = folder.list();
  for (const [args, expected] of BAD) {
    const { code, out: printed, err } = await gyrus("encode", "fit", ...args, "--out", none);
    assert.equal(code, 2, `${args.join(" ")}: ${err}`);
    assert.match(err, /^gyrus: [^\n]+\n$/);
    assert.match(err, expected);
    assert.equal(printed, "");
  }
  assert.deepEqual(folder.list(), before);
});

Deno.test("remove the files and close the device", () => {
  folder[Symbol.dispose]();
  gpu[Symbol.dispose]();
});
