/**
 * `gyrus encode` on features of taps: bands by tap, and the report.
 */
import assert from "node:assert/strict";
import { layerGroups } from "../../pipelines/encoding/feature_layers.ts";
import { type HostMatrix, hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import { logspace } from "../../pipelines/encoding/alphas.ts";
import { kFold } from "../../pipelines/encoding/cross_validation.ts";
import { parseCsv } from "../../pipelines/io/csv.ts";
import { Hdf5File } from "../../pipelines/io/hdf5.ts";
import { Hdf5Writer } from "../../pipelines/io/hdf5_writer.ts";
import { toFloat32, toFloat64 } from "../../pipelines/io/state_dict.ts";
import { gyrus } from "../console.ts";
import { TestFolder } from "./io_fixtures.ts";
import { assertNear, linearData, oracleFits, oracleMeans, oracleScores } from "./ridge_oracle.ts";

const folder = new TestFolder();
const TAPS = { maxpool2: 4, Mixed_6e: 6, Mixed_7c: 5, fc: 15 };
const [N, P, T] = [40, 30, 4];
const { x, y } = linearData([N, P, T]);

async function write(name: string, matrix: HostMatrix, taps?: Record<string, number>) {
  using file = await Hdf5Writer.create(folder.at(name));
  file.createDataset("/features", { shape: [...matrix.shape], dtype: "f32" });
  file.writeRows("/features", 0, matrix.data);
  if (taps) {
    file.setAttribute("/features", "taps", Object.keys(taps).join(","));
    file.setAttribute("/features", "tap_lengths", Object.values(taps));
  }
  file.commit();
  return `${folder.at(name)}:/features`;
}

const rows = ({ data, shape: [, width] }: HostMatrix, first: number, last: number) =>
  hostMatrix(data.slice(first * width, last * width), [last - first, width]);
const features = await write("x.h5", rows(x, 0, 30), TAPS);
const responses = await write("y.h5", rows(y, 0, 30));
const testFeatures = await write("x_test.h5", rows(x, 30, N), TAPS);
const testResponses = await write("y_test.h5", rows(y, 30, N));

async function fit(out: string, ...more: string[]): Promise<Hdf5File> {
  const inputs = ["--features", features, "--responses", responses];
  const { code, text } = await gyrus("encode", "fit", ...inputs, ...more, "--out", folder.at(out));
  assert.equal(code, 0, text);
  return await Hdf5File.open(folder.at(out));
}

const layers = Object.entries(TAPS).map(([name, length]) => ({ name, length }));

Deno.test("encode fit --bands taps and early-mid-late take bands from the features", async () => {
  const search = ["--alphas", "1,10", "--n-iter", "3"];
  const groups = layerGroups(layers, P);
  {
    using file = await fit("taps.h5", "--bands", "taps", "--racing", "2", ...search);
    assert.deepEqual([...toFloat64(file.read("/band_of"))], [...groups]);
    assert.deepEqual(JSON.parse(String(file.attributes().options)).bandNames, Object.keys(TAPS));
  }
  using file = await fit("stages.h5", "--bands", "early-mid-late", "--delays", "0,1", ...search);
  assert.deepEqual([...toFloat64(file.read("/band_of"))], [...groups].map((t) => [0, 1, 2, 2][t]));
  const { code, text } = await gyrus(
    ...["encode", "score", "--encoder", folder.at("stages.h5"), "--features", testFeatures],
    ...["--responses", testResponses, "--out", folder.at("scores.h5")],
  );
  assert.equal(code, 0, text);
  using scores = await Hdf5File.open(folder.at("scores.h5"));
  assert.deepEqual(scores.readStrings("/bandNames"), ["early", "mid", "late"]);
  assert.deepEqual(scores.info("/r2Split").shape, [3, T]);
  const none = ["--features", testResponses, "--responses", testResponses, "--bands", "taps"];
  const refused = await gyrus("encode", "fit", ...none, "--out", folder.at("none.h5"));
  assert.equal(refused.code, 2);
  assert.match(refused.text, /layers of .* apart: it must be \/features of gyrus features/);
});

Deno.test("encode report writes weights and parts of scores by tap, a table and a page", async () => {
  (await fit("model.h5", "--alphas", "1,10", "--space", "dual")).close();
  const roiTable = folder.write("rois.csv", "voxel,roi\n0,V1\n1,FFA\n2,FFA\n3,\n");
  const report = [
    ...["encode", "report", "--encoder", folder.at("model.h5"), "--features", testFeatures],
    ...["--roi-table", roiTable, "--out", folder.at("report")],
  ];
  const { code, text } = await gyrus(...report, "--responses", testResponses, "--json");
  assert.equal(code, 0, text);
  assert.equal(JSON.parse(text).nTaps, 4);
  using file = await Hdf5File.open(folder.at("report/taps.h5"));
  assert.deepEqual(file.readStrings("/names"), Object.keys(TAPS));
  assert.deepEqual(file.readStrings("/stages"), ["early", "mid", "late", "late"]);
  for (const name of ["/weights/sum", "/weights/share", "/split/r2", "/split/correlation"]) {
    assert.deepEqual(file.info(name).shape, [4, T]);
  }
  const stages = toFloat64(file.read("/split/stage_r2"));
  assert.equal(stages.length, 3 * T);
  const columns = parseCsv(Deno.readTextFileSync(folder.at("report/voxels.csv")), "");
  assert.deepEqual(columns.get("roi"), ["V1", "FFA", "FFA", ""]);
  const total = Float64Array.from(
    { length: T },
    (_, t) => stages[t] + stages[T + t] + stages[2 * T + t],
  );
  // The same parts in another order: a few roundings of float64.
  assertNear(columns.get("r2")!.map(Number), total, 1e-14, "sums of parts");
  const argmax = toFloat32(file.read("/weights/argmax_norm"));
  assert.deepEqual(columns.get("longest_tap"), [...argmax].map((tap) => Object.keys(TAPS)[tap]));
  const page = Deno.readTextFileSync(folder.at("report/index.html"));
  for (const part of ["Parts of held-out R² by tap", "Early, middle and late", "Weights by tap"]) {
    assert(page.includes(part), part);
  }
  assert.equal(
    JSON.parse(Deno.readTextFileSync(folder.at("report/run.json"))).command,
    "encode report",
  );
  const weights = await gyrus(...report);
  assert.equal(weights.code, 0, weights.text);
  assert(!Deno.readTextFileSync(folder.at("report/index.html")).includes("held-out R² by tap"));
  const wrong = await gyrus(...report.map((arg) => arg === testFeatures ? testResponses : arg));
  assert.equal(wrong.code, 2);
  assert.match(wrong.text, /fitted on 30 features, it has 4/);
  const two = await write("two.h5", rows(x, 30, N), { "features.2": 10, "features.5": 20 });
  const ofTwo = report.map((arg) => arg === testFeatures ? two : arg);
  const unstaged = await gyrus(...ofTwo, "--responses", testResponses);
  assert.equal(unstaged.code, 0, unstaged.text);
  assert(!Deno.readTextFileSync(folder.at("report/index.html")).includes("Early"));
  assert(!Deno.readTextFileSync(folder.at("report/voxels.csv")).includes("r2_early"));
  folder.write("rois.csv", "voxel,roi\n9,V1\n");
  const beyond = await gyrus(...report);
  assert.equal(beyond.code, 2);
  assert.match(beyond.text, /V1 has voxel 9, the encoder 4 voxels/);
});

Deno.test("encode fit with the options of VWAM's demo is its ridge regression in float64", async () => {
  using file = await fit(
    "demo.h5",
    ...["--zscore-runs", "--no-intercept", "--alphas", "0:10:15", "--cv", "5"],
    ...["--scoring", "correlation", "--coef"],
  );
  const own = rows(x, 0, 30), measured = rows(y, 0, 30);
  // scipy's zscore: population standard deviation.
  const zscored = hostMatrix(measured.data.slice(), [30, T]);
  for (let t = 0; t < T; t++) {
    const column = Array.from({ length: 30 }, (_, r) => measured.data[r * T + t]);
    const mean = column.reduce((a, b) => a + b) / 30;
    const std = Math.sqrt(column.reduce((sum, v) => sum + (v - mean) ** 2, 0) / 30);
    column.forEach((value, r) => zscored.data[r * T + t] = (value - mean) / std);
  }
  const alphas = logspace(0, 10, 15);
  const problem = {
    splits: kFold(30, 5),
    alphas,
    scoring: "correlation",
    fitIntercept: false,
  } as const;
  const means = oracleMeans(oracleScores(own, zscored, problem), 5, T);
  // Correlations of six held-out samples whose predictions in f32 are within 1e-5 of theirs.
  assertNear(toFloat64(file.read("/cv_scores")), means, 1e-4, "mean scores of all alphas");
  // Large alphas only scale predictions, which correlations do not see: scores are equal there but for rounding.
  const best = [...toFloat64(file.read("/best_alphas"))].map((alpha) => alphas.indexOf(alpha));
  best.forEach((a, t) => {
    const most = Math.max(...alphas.map((_, b) => means[b * T + t]));
    assert(a >= 0 && means[a * T + t] > most - 1e-4, `alpha of target ${t}`);
  });
  assert(new Set(best).size > 1);
  assert.deepEqual([...toFloat32(file.read("/intercept"))], Array(T).fill(0));
  const fits = oracleFits(own, zscored, { alphas, fitIntercept: false });
  const coef = Float64Array.from({ length: P * T }, (_, at) => fits[best[at % T]].coef[at]);
  assertNear(toFloat32(file.read("/coef")), coef, 1e-5, "weights");
});

Deno.test("remove the files", () => folder[Symbol.dispose]());
