/** Encoders of regions over several subjects: their weights, and images made with them in subjects who had no part in them. */
import assert from "node:assert/strict";
import {
  Encoder,
  foldIn,
  type HostMatrix,
  hostMatrix,
  LinearModel,
  loadEncoder,
  normal,
  pooledEncoder,
  pooledReadout,
  randomKey,
  roiReadout,
} from "../../mod.ts";
import { Hdf5File } from "../../pipelines/io/hdf5.ts";
import { writeNpy } from "../../pipelines/io/npy.ts";
import { hostTensor, toFloat32, toFloat64 } from "../../pipelines/io/state_dict.ts";
import { openTestGpu } from "../_gpu.ts";
import { gyrus } from "../console.ts";
import { MaximizeFiles } from "./maximize_files.ts";
import { N_IMAGES, planted } from "./vwam_fixture.ts";

const gpu = await openTestGpu();
const P = 6, key = randomKey(31);

/** An encoder of some voxels with random weights; features are z-scored where a spread is given. */
function encoderOf(seed: number, nVoxels: number, std?: readonly number[]): Encoder {
  const coef = hostMatrix(normal(foldIn(key, seed), P * nVoxels), [P, nVoxels]);
  const normalizer = std
    ? { kind: "zscore" as const, mean: new Float64Array(P).fill(1), std: Float64Array.from(std) }
    : { kind: "none" as const };
  return new Encoder({
    model: new LinearModel(gpu, coef, new Float32Array(nVoxels)),
    ...{ normalizer, solver: "ridge", details: {}, options: {} },
  });
}

Deno.test("pooledEncoder() is the mean of subjects' readouts of length 1, per feature of the network", async () => {
  const std = [1, 2, 4, 1, 2, 4];
  const [a, b] = [encoderOf(1, 3), encoderOf(2, 2, std)];
  const subjects = [
    {
      name: "a",
      encoder: a,
      regions: [{ name: "FFA", voxels: [2, 0] }, { name: "PPA", voxels: [1] }],
    },
    {
      name: "b",
      encoder: b,
      regions: [{ name: "PPA", voxels: [0] }, { name: "FFA", voxels: [0, 1] }],
    },
  ];
  const pooled = await pooledEncoder(gpu, subjects, ["PPA", "FFA"]);
  assert.deepEqual([pooled.nFeatures, pooled.nTargets], [P, 2]);
  const coefs = [1, 2].map((seed, s) => {
    const n = 3 - s, data = normal(foldIn(key, seed), P * n);
    return hostMatrix(data.map((w, at) => s === 1 ? w / std[Math.floor(at / n)] : w), [P, n]);
  });
  const wanted = [[[1], [0]], [[2, 0], [0, 1]]].map(([own, other]) =>
    pooledReadout([roiReadout(coefs[0], own), roiReadout(coefs[1], other)])
  );
  const got = await pooled.predict(
    hostMatrix(Float32Array.from({ length: P * P }, (_, at) => at % (P + 1) ? 0 : 1), [P, P]),
  );
  got.data.forEach((w, at) => {
    // unit features read the weights out; sums of a few f32 products
    assert.ok(Math.abs(w - wanted[at % 2][Math.floor(at / 2)]) < 1e-6, `${at}`);
  });
  const shuffled = await pooledEncoder(gpu, subjects, ["PPA"], { shuffle: key });
  const sorted = (encoder: Encoder) => [...encoder.model.coef?.data ?? []];
  const [plain, other] = [pooled, shuffled].map(sorted);
  assert.deepEqual(other.toSorted(), plain.filter((_, at) => at % 2 === 0).toSorted());
  assert.notDeepEqual(other, plain.filter((_, at) => at % 2 === 0));
  const refuse = (more: object[], names: string[], message: RegExp) =>
    assert.rejects(pooledEncoder(gpu, more as typeof subjects, names), {
      name: "InputError",
      message,
    });
  await refuse(subjects, ["V1"], /region "V1": a has FFA, PPA/);
  await refuse([], ["V1"], /there is none/);
  await refuse(
    [subjects[0], { ...subjects[1], encoder: new Encoder({ ...b, normalizer: { kind: "l2" } }) }],
    ["FFA"],
    /Cannot pool a and b/,
  );
  assert.equal(gpu.liveBytes, 0);
});

Deno.test("close the device", () => gpu[Symbol.dispose]());

/** Fits three encoders, `s1.h5` to `s3.h5`, with the regions FFA and PPA in `rois1.json` to `rois3.json`. */
async function fitSubjects(files: MaximizeFiles, truth: HostMatrix): Promise<void> {
  const { folder } = files, at = (name: string) => folder.at(name);
  // every subject has three voxels of each region: mixtures of the region's two, with noise and scales of their own
  for (const s of [1, 2, 3]) {
    const noise = normal(foldIn(key, 10 * s), N_IMAGES * 6),
      mix = normal(foldIn(key, 10 * s + 1), 6);
    const data = noise.map((v, k) => {
      const i = Math.floor(k / 6),
        region = Math.floor(k % 6 / 3),
        share = 0.5 + 0.2 * Math.tanh(mix[k % 6]);
      const [x, y] = [truth.data[4 * i + 2 * region], truth.data[4 * i + 2 * region + 1]];
      return s * (share * x + (1 - share) * y + 0.3 * v);
    });
    folder.write(`y${s}.npy`, writeNpy(hostTensor(data, [N_IMAGES, 6])));
    folder.write(`rois${s}.json`, '{ "FFA": [0, 1, 2], "PPA": [3, 4, 5] }');
    await files.run(
      ...[
        "encode",
        "fit",
        "--features",
        `${at("features.h5")}:/features`,
        "--alphas",
        "1",
        "--cv",
        "3",
      ],
      ...["--responses", at(`y${s}.npy`), "--out", at(`s${s}.h5`)],
    );
  }
}

/** Makes images with both pools, `made_pool` and `made_shuffled`. */
async function makeImages(files: MaximizeFiles): Promise<void> {
  const { folder } = files, at = (name: string) => folder.at(name);
  for (const name of ["pool", "shuffled"]) {
    await files.run(
      ...["maximize", "--model", at("net.safetensors"), "--preset", "lucid", "--size", "60"],
      ...["--steps", "24", "--lr", "0.3", "--encoder", at(`${name}/encoder.h5`)],
      ...[
        "--rois",
        at(`${name}/rois.json`),
        "--roi",
        "FFA",
        "PPA",
        "--seeds",
        "3",
        "--out",
        at(`made_${name}`),
      ],
    );
  }
}

Deno.test("images of a pool drive the regions of a subject outside of it, those of shuffled weights do not", async () => {
  using files = await MaximizeFiles.create();
  const { folder } = files, at = (name: string) => folder.at(name);
  using file = await Hdf5File.open(at("features.h5"));
  const { shape: [n, p] } = file.info("/features");
  const truth = planted(hostMatrix(toFloat32(file.read("/features")), [n, p]));
  await fitSubjects(files, truth);
  const pool = [
    "encode",
    "pool",
    "--encoder",
    at("s1.h5"),
    at("s2.h5"),
    "--rois",
    at("rois1.json"),
    at("rois2.json"),
  ];
  const told = await files.run(...pool, "--out", at("pool"));
  assert.deepEqual(told.regions, ["FFA", "PPA"]);
  await files.run(...pool, "--shuffled", "--out", at("shuffled"));
  const { options } = await loadEncoder(gpu, at("pool/encoder.h5"));
  assert.deepEqual(options.pooledFrom, [at("s1.h5"), at("s2.h5")]);
  await makeImages(files);
  const experiment = (out: string, ...more: string[]) =>
    gyrus(
      ...["experiment", "--images", at("made_pool"), "--control", at("made_shuffled")],
      ...["--model", at("net.safetensors"), "--natural", `${at("features.h5")}:/features`],
      ...["--draws", "300", "--no-scrambled", "--held-out", "--out", at(out), "--json", ...more],
    );
  const outside = await experiment("found", "--encoder", at("s3.h5"), "--rois", at("rois3.json"));
  assert.equal(outside.code, 0, outside.text);
  assert.match(
    Deno.readTextFileSync(at("found/index.html")),
    /s3, whose encoder had no part/,
  );
  using found = await Hdf5File.open(at("found/experiment.h5"));
  const [made, shuffled] = [0, 1].map((c) => found.attributes(`/0/conditions/${c}`));
  assert.deepEqual([made.count, made.of, shuffled.name], [2, 2, "made_shuffled"]);
  assert.ok(
    Number(made.difference) > 2 * Math.abs(Number(shuffled.difference)),
    `${made.difference} and ${shuffled.difference}`,
  );
  // of 6!/(3!)² = 20 ways to deal the images out the true one alone is as large
  const exact = 1 / 20;
  assert.ok(Math.abs(Number(made.pDifference) - exact) < 5 * Math.sqrt(exact / 300));
  const z = [...toFloat64(found.read("/0/predicted/z"))];
  assert.ok(z[0] > 2 && z[3] > 2, `${z}`); // beyond what natural images do
  const inside = await experiment("bad", "--encoder", at("s2.h5"), "--rois", at("rois2.json"));
  assert.deepEqual([inside.code, inside.errors.length], [2, 1]);
  assert.match(inside.errors[0], /every image for a region was made with its own encoder/);
});
