/**
 * `gyrus encode` from files to files, and what it says to bad input.
 */
import assert from "node:assert/strict";
import { normal, randomKey } from "../../mod.ts";
import { main } from "../../pipelines/cli/main.ts";
import { loadEncoder } from "../../pipelines/encoding/encoder_file.ts";
import { normalizeRows } from "../../pipelines/encoding/normalize.ts";
import { Hdf5File } from "../../pipelines/io/hdf5.ts";
import { Hdf5Writer } from "../../pipelines/io/hdf5_writer.ts";
import { toFloat32, toFloat64 } from "../../pipelines/io/state_dict.ts";
import { VERSION } from "../../pipelines/run_record.ts";
import { openCommandGpu } from "../_gpu.ts";

const dir = Deno.makeTempDirSync();
const backend = Deno.env.get("GYRUS_TEST_BACKEND") === "dawn" ? "dawn" : "deno";
const [N, P, T] = [90, 8, 5];

/** Runs a command line and collects what it prints. */
async function gyrus(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const { log, error } = console;
  const said = { out: "", err: "" };
  console.log = (line: unknown) => said.out += `${line}\n`;
  console.error = (line: unknown) => said.err += `${line}\n`;
  try {
    const code = await main([...args, "--backend", backend]);
    return { code, ...said };
  } finally {
    Object.assign(console, { log, error });
  }
}

async function writeArrays(
  name: string,
  arrays: Record<string, { data: Float32Array<ArrayBuffer>; shape: number[] }>,
): Promise<void> {
  using file = await Hdf5Writer.create(`${dir}/${name}`);
  for (const [key, { data, shape }] of Object.entries(arrays)) {
    file.createDataset(key, { shape, dtype: "f32" });
    file.writeRows(key, 0, data);
  }
  file.commit();
}

/** Responses are a linear function of unit-norm features, an offset, and noise of a tenth of the signal. */
const x = normal(randomKey(1), N * P).map((value) => 5 * value);
const unit = normalizeRows(x, P);
const truth = normal(randomKey(2), P * T);
const noise = normal(randomKey(3), N * T);
const y = Float32Array.from({ length: N * T }, (_, at) => {
  const [r, t] = [Math.floor(at / T), at % T];
  let value = 2 + 0.1 * noise[at] / Math.sqrt(P);
  for (let i = 0; i < P; i++) value += unit[r * P + i] * truth[i * T + t];
  return value;
});
const rows = (data: Float32Array<ArrayBuffer>, from: number, to: number, width: number) => ({
  data: data.slice(from * width, to * width),
  shape: [to - from, width],
});
await writeArrays("data.h5", {
  "/train/x": rows(x, 0, 60, P),
  "/train/y": rows(y, 0, 60, T),
  "/test/x": rows(x, 60, N, P),
  "/test/y": rows(y, 60, N, T),
  "/ceiling": { data: Float32Array.of(0.9, 1, 0.5, 0, 0.99), shape: [T] },
});
const data = `${dir}/data.h5`;
const fitArgs = ["encode", "fit", "--features", `${data}:/train/x`, "--responses"];

Deno.test("encode fit, predict and score go from files to files", async () => {
  const model = `${dir}/model.h5`;
  const fitted = await gyrus(...fitArgs, `${data}:/train/y`, "--out", model, "--json");
  assert.equal(fitted.code, 0, fitted.err);
  const said = JSON.parse(fitted.out);
  assert.deepEqual([said.nSamples, said.nFeatures, said.nTargets], [60, P, T]);

  const predicted = await gyrus(
    ...["encode", "predict", "--encoder", model, "--features", `${data}:/test/x`],
    ...["--out", `${dir}/predicted.h5`],
  );
  assert.equal(predicted.code, 0, predicted.err);
  assert.match(predicted.out, /nSamples +30\n/);
  const scored = await gyrus(
    ...["encode", "score", "--encoder", model, "--features", `${data}:/test/x`],
    ...["--responses", `${data}:/test/y`, "--noise-ceiling", `${data}:/ceiling`],
    ...["--permutations", "99", "--out", `${dir}/scores.h5`, "--json"],
  );
  assert.equal(scored.code, 0, scored.err);
  assert(JSON.parse(scored.out).medianR2 > 0.9, scored.out);

  using predictions = await Hdf5File.open(`${dir}/predicted.h5`);
  const got = toFloat32(predictions.read("/predictions"));
  using scores = await Hdf5File.open(`${dir}/scores.h5`);
  const r2 = toFloat64(scores.read("/r2")), share = toFloat64(scores.read("/r2OfCeiling"));
  for (let t = 0; t < T; t++) {
    let [mean, error, variance] = [0, 0, 0];
    for (let r = 0; r < 30; r++) mean += y[(60 + r) * T + t] / 30;
    for (let r = 0; r < 30; r++) {
      error += (y[(60 + r) * T + t] - got[r * T + t]) ** 2;
      variance += (y[(60 + r) * T + t] - mean) ** 2;
    }
    assert(Math.abs(r2[t] - (1 - error / variance)) < 1e-9, `r2 of target ${t}`);
    if (t === 3) assert(Number.isNaN(share[t]));
    else assert(Math.abs(share[t] * Math.fround([0.9, 1, 0.5, 0, 0.99][t]) - r2[t]) < 1e-9);
  }

  // No random order comes near the true one: every p-value is the smallest that 99 of them can give.
  assert.deepEqual([...toFloat64(scores.read("/pValues"))], Array(T).fill(0.01));
  assert.deepEqual([...toFloat64(scores.read("/qValues"))], Array(T).fill(0.01));
  assert.equal(JSON.parse(scored.out).significantTargets, T);

  const record = JSON.parse(Deno.readTextFileSync(`${model}.run.json`));
  assert.equal(record.command, "encode fit");
  assert.equal(record.inputs.features.reference, `${data}:/train/x`);
  assert(record.kernels.some((kernel: string) => kernel.startsWith("matmul")), record.kernels);
  assert(record.adapter.length > 0 && record.options.seed === 0);
  assert.equal(
    VERSION,
    JSON.parse(Deno.readTextFileSync(new URL("../../deno.json", import.meta.url))).version,
  );
});

Deno.test("encode fit --solver probe is the same for the same seed, and z-scoring is kept", async () => {
  const fit = async (out: string, seed: string) => {
    const run = await gyrus(
      ...[...fitArgs, `${data}:/train/y`, "--solver", "probe", "--epochs", "3"],
      ...["--normalize", "zscore", "--seed", seed, "--out", `${dir}/${out}`],
    );
    assert.equal(run.code, 0, run.err);
    using file = await Hdf5File.open(`${dir}/${out}`);
    assert.equal(file.attributes().solver, "probe");
    assert.equal(toFloat64(file.read("/losses")).length, 3);
    return toFloat32(file.read("/coef"));
  };
  const [one, two, three] = [
    await fit("p1.h5", "7"),
    await fit("p2.h5", "7"),
    await fit("p3.h5", "8"),
  ];
  assert.deepEqual(two, one);
  assert.notDeepEqual(three, one);
  using gpu = await openCommandGpu();
  const encoder = await loadEncoder(gpu, `${dir}/p1.h5`);
  assert.equal(encoder.normalizer.kind, "zscore");
  const features = { data: x.slice(0, 3 * P), shape: [3, P] as const };
  const { data: predictions } = await encoder.predict(features);
  const { mean, std } = encoder.normalizer;
  let want = encoder.model.intercept[1];
  for (let i = 0; i < P; i++) want += (x[i] - mean![i]) / std![i] * one[i * T + 1];
  assert(Math.abs(predictions[1] - want) < 1e-5);
});

Deno.test("encode says in one sentence what is wrong, exits with 2 and leaves nothing", async () => {
  const bad = y.slice(0, 60 * T);
  bad[7] = NaN;
  const flat = y.slice(0, 60 * T).map((value, at) => at % T === 2 ? 1 : value);
  await writeArrays("bad.h5", {
    "/nan": { data: bad, shape: [60, T] },
    "/flat": { data: flat, shape: [60, T] },
    "/short": rows(y, 0, 59, T),
    "/cube": { data: y.slice(0, 60 * 4), shape: [60, 2, 2] },
    "/percent": { data: Float32Array.of(90, 1, 1, 1, 1), shape: [T] },
    "/wide": { data: new Float32Array(30 * 9), shape: [30, 9] },
  });
  await gyrus(...fitArgs, `${data}:/train/y`, "--alphas", "1", "--out", `${dir}/ok.h5`);
  const out = `${dir}/none.h5`;
  const apply = (
    verb: string,
    features: string,
    ...more: string[]
  ) => ["encode", verb, "--encoder", `${dir}/ok.h5`, "--features", features, ...more, "--out", out];
  const score = (responses: string, ...more: string[]) =>
    apply("score", `${data}:/test/x`, "--responses", responses, ...more);
  const cases: [string[], RegExp][] = [
    [[...fitArgs, `${dir}/bad.h5:/nan`, "--out", out], /finite, row 1, column 2 .* is NaN/],
    [[...fitArgs, `${dir}/bad.h5:/flat`, "--out", out], /1 of 5 columns never change.* column 2/],
    [[...fitArgs, `${dir}/bad.h5:/short`, "--out", out], /same number of rows, have 60 and 59/],
    [[...fitArgs, `${dir}/bad.h5:/cube`, "--out", out], /axes \[samples, targets\].*\[60,2,2\]/],
    [[...fitArgs, `${dir}/bad.h5:/other`, "--out", out], /no such dataset/],
    [[...fitArgs, `${dir}/absent.h5`, "--out", out], /no such file/],
    [[...fitArgs, `${data}:/train/y`, "--alphas", "1,-1", "--out", out], /above 0/],
    [[...fitArgs, `${data}:/train/y`, "--cv", "61", "--out", out], /61 folds/],
    [[...fitArgs, `${data}:/train/y`], /--out is missing/],
    [["encode", "fit", "--out", out], /required option '--features/],
    [apply("predict", `${dir}/bad.h5:/wide`), /fitted on 8 features, it has 9/],
    [score(`${data}:/train/y`), /same number of rows, have 30 and 60/],
    [score(`${data}:/test/x`), /predicts 5 targets.*\[30,8\]/],
    [score(`${data}:/test/y`, "--noise-ceiling", `${dir}/bad.h5:/percent`), /divided by 100.* 90/],
    [["encode", "predict", "--encoder", data, "--features", data, "--out", out], /"format"/],
  ];
  for (const [args, expected] of cases) {
    const { code, err } = await gyrus(...args);
    assert.equal(code, 2, `${args.join(" ")}: ${err}`);
    assert.match(err, /^gyrus: [^\n]+\n$/);
    assert.match(err, expected);
  }
  const left = [...Deno.readDirSync(dir)].map(({ name }) => name);
  assert.deepEqual(left.filter((name) => /none|partial|tmp/.test(name)), []);
});

Deno.test("remove the files", () => Deno.removeSync(dir, { recursive: true }));
