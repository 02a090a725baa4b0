/**
 * `gyrus cut` as a user meets it: planted clusters found by every method, pictures, new nodes in an older cut, and refusals.
 */
import assert from "node:assert/strict";
import { normal, randomKey } from "../../engine/random.ts";
import { openArray } from "../../pipelines/io/array_ref.ts";
import { Hdf5File } from "../../pipelines/io/hdf5.ts";
import { writeNpy } from "../../pipelines/io/npy.ts";
import { loadPng, savePng } from "../../pipelines/io/png.ts";
import { hostTensor, toFloat64 } from "../../pipelines/io/state_dict.ts";
import { adjustedRandIndex } from "../../pipelines/stats/partitions.ts";
import { gyrus } from "../console.ts";
import { openCommandGpu } from "../_gpu.ts";
import { TestFolder } from "./io_fixtures.ts";

// The command opens a device of its own: here only to know that there is one.
(await openCommandGpu())[Symbol.dispose]();

const WIDTH = 12, GRID = 4, CONCEPTS = 3;

/** Concept of a patch: top, bottom left, bottom right of the image; a shift for every image. */
function concept(image: number, patch: number): number {
  const row = Math.floor(patch / GRID), column = patch % GRID;
  const place = row < GRID / 2 ? 0 : column < GRID / 2 ? 1 : 2;
  return (place + image) % CONCEPTS;
}

/** Tokens `[nImages, 1 + 16, 12]`: a class token of zeros, then patches around one of three directions. */
function tokens(
  seed: number,
  nImages: number,
): { data: Float32Array<ArrayBuffer>; truth: number[] } {
  const centers = normal(randomKey(1), CONCEPTS * WIDTH),
    noise = normal(randomKey(seed), nImages * 17 * WIDTH);
  const data = new Float32Array(nImages * 17 * WIDTH), truth: number[] = [];
  for (let i = 0; i < nImages; i++) {
    for (let p = 0; p < 16; p++) {
      const c = concept(i, p);
      truth.push(c);
      for (let j = 0; j < WIDTH; j++) {
        const at = (i * 17 + 1 + p) * WIDTH + j;
        data[at] = 2 * centers[c * WIDTH + j] + 0.3 * noise[at];
      }
    }
  }
  return { data, truth };
}

function writeTokens(folder: TestFolder, name: string, seed: number, nImages: number): number[] {
  const { data, truth } = tokens(seed, nImages);
  folder.write(name, writeNpy(hostTensor(data, [nImages, 17, WIDTH])));
  return truth;
}

async function values(ref: string): Promise<Float32Array> {
  using rows = await openArray(ref);
  return rows.readRows(0, rows.shape[0]);
}

function ari(labels: ArrayLike<number>, truth: ArrayLike<number>): number {
  return adjustedRandIndex(Array.from(labels), Array.from(truth));
}

const METHODS: Readonly<Record<string, readonly string[]>> = {
  exact: ["--gamma", "0.3", "--method", "exact", "--images", "IMAGES", "--overlays", "PICTURES"],
  nystrom: ["--gamma", "0.3", "--method", "nystrom", "--landmarks", "32", "--colors", "none"],
  neighbors: [
    ...[
      "--method",
      "nystrom",
      "--landmarks",
      "LANDMARKS",
      "--neighbors",
      "5",
      "--weights",
      "degree",
    ],
    ...["--affinity", "rbf", "--sigma", "3", "--orthogonal", "--colors", "none"],
  ],
  kernel: [
    ...["--gamma", "0.3", "--method", "kernel", "--landmarks", "512", "--kway", "kmeans"],
    ...["--colors", "umap"],
  ],
};
const LANDMARKS: Readonly<Record<string, number>> = {
  exact: 128,
  nystrom: 32,
  neighbors: 40,
  kernel: 0,
};

/** One cut by the command line, and all that its file must hold. */
async function checkMethod(
  folder: TestFolder,
  name: string,
  truth: readonly number[],
): Promise<void> {
  const out = folder.at(`${name}.h5`);
  const paths = { IMAGES: "images", PICTURES: "pictures", LANDMARKS: "landmarks.npy" };
  const args = METHODS[name].map((arg) => arg in paths ? folder.at(paths[arg as "IMAGES"]) : arg);
  const given = ["cut", "--features", folder.at("x.npy"), "--n-eig", "4", "--k", "3", ...args];
  const { code, text } = await gyrus(...given, "--json", "--out", out);
  assert.equal(code, 0, text);
  assert.equal(ari(await values(`${out}:/labels/3`), truth), 1);
  const eigval = await values(`${out}:/eigval`);
  // Random features are a sum of few of them; the others have the rounding of f32.
  assert.ok(Math.abs(eigval[0] - 1) < (name === "kernel" ? 1e-3 : 1e-5), `${eigval}`);
  assert.equal((await values(`${out}:/eigvec`)).length, 128 * 4);
  using file = await Hdf5File.open(out);
  const names = file.datasets();
  assert.equal(names.includes("/rgb"), ["exact", "kernel"].includes(name));
  const isRbf = name === "neighbors";
  assert.deepEqual(file.attributes("/sigma"), {
    parameter: isRbf ? "sigma" : "gamma",
    affinity: isRbf ? "rbf" : "cosine",
  });
  assert.equal(toFloat64(file.read("/sigma"))[0], isRbf ? 3 : 0.3);
  assert.deepEqual(file.info("/landmarks").shape, [LANDMARKS[name]]);
  assert.deepEqual(Array.from(toFloat64(file.read("/parts"))), [0, 8, 4, 4, 1]);
  assert.deepEqual(file.readStrings("/sources"), [folder.at("x.npy")]);
}

Deno.test("gyrus cut finds planted clusters by every method, and draws them", async (t) => {
  using folder = new TestFolder();
  const truth = writeTokens(folder, "x.npy", 7, 8);
  const image = { height: 8, width: 8, data: new Uint8Array(192).fill(200) };
  Deno.mkdirSync(folder.at("images"));
  for (let i = 0; i < 8; i++) savePng(folder.at(`images/${i}.png`), image);
  const rows = Int32Array.from({ length: 40 }, (_, i) => 3 * i);
  folder.write("landmarks.npy", writeNpy(hostTensor(rows, [40])));
  for (const name of Object.keys(METHODS)) {
    await t.step(name, () => checkMethod(folder, name, truth));
  }
  await t.step("pictures: image, colours, clusters", () => {
    const names = [...Deno.readDirSync(folder.at("pictures"))].map((entry) => entry.name).sort();
    assert.deepEqual(names, [...Array.from({ length: 8 }, (_, i) => `${i}.png`), "run.json"]);
    const { height, width } = loadPng(folder.at("pictures/0.png"));
    assert.deepEqual([height, width], [8 + 4, 3 * 8 + 8]);
  });
});

/** Cuts x.npy, then places y.npy and x.npy itself in that cut. */
async function checkOnto(
  folder: TestFolder,
  { name, args, truth, more }: {
    readonly name: string;
    readonly args: readonly string[];
    readonly truth: readonly number[];
    readonly more: readonly number[];
  },
): Promise<void> {
  const at = (kind: string) => folder.at(`${name}${kind}.h5`);
  const run = async (features: string, out: string, more: readonly string[]) => {
    const given = ["cut", "--features", folder.at(features), ...more, "--json", "--out", out];
    const { code, text } = await gyrus(...given);
    assert.equal(code, 0, text);
  };
  const common = ["--gamma", "0.3", "--n-eig", "4", "--k", "2,3", "--color-samples", "60"];
  await run("x.npy", at(""), [...common, ...args]);
  await run("y.npy", at("_new"), ["--onto", at("")]);
  await run("x.npy", at("_again"), ["--onto", at("")]);
  const [labels, newLabels] = [
    await values(`${at("")}:/labels/3`),
    await values(`${at("_new")}:/labels/3`),
  ];
  assert.equal(ari([...labels, ...newLabels], [...truth, ...more]), 1); // one numbering for both
  const [before, after] = [
    await values(`${at("")}:/eigvec`),
    await values(`${at("_again")}:/eigvec`),
  ];
  const worst = before.reduce((top, value, i) =>
    // Without the last column, which cuts no cluster: what is between equals has no place among neighbours.
    i % 4 === 3 ? top : Math.max(top, Math.abs(value - after[i])), 0);
  const size = Math.max(...before.map(Math.abs));
  // By landmarks and features the map is that of the fit; an exact cut places its own nodes among their neighbours.
  assert.ok(worst <= (name === "exact" ? 0.3 : 1e-5) * size, `${name}: ${worst} of ${size}`);
  const [rgb, rgbAgain] = [await values(`${at("")}:/rgb`), await values(`${at("_again")}:/rgb`)];
  const off = rgb.reduce((sum, value, i) => sum + Math.abs(value - rgbAgain[i]), 0) / rgb.length;
  assert.ok(off < 20, `colours differ by ${off} of 255`);
}

Deno.test("gyrus cut --onto places new nodes where the older cut has nodes like them", async (t) => {
  using folder = new TestFolder();
  const truth = writeTokens(folder, "x.npy", 7, 8), more = writeTokens(folder, "y.npy", 8, 5);
  const methods = {
    exact: [],
    nystrom: ["--method", "nystrom"],
    kernel: ["--method", "kernel", "--landmarks", "128"],
  };
  for (const [name, args] of Object.entries(methods)) {
    await t.step(name, () => checkOnto(folder, { name, args, truth, more }));
  }
  await t.step("another width", async () => {
    folder.write("z.npy", writeNpy(hostTensor(new Float32Array(30).fill(1), [10, 3])));
    const args = ["cut", "--features", folder.at("z.npy"), "--onto", folder.at("exact.h5")];
    const { code, text } = await gyrus(...args, "--out", folder.at("z.h5"));
    assert.equal(code, 2);
    assert.match(text, /it was cut by 12 features/);
  });
});

Deno.test("gyrus cut goes on from its checkpoint, and refuses that of other features", async () => {
  using folder = new TestFolder();
  writeTokens(folder, "x.npy", 7, 4);
  writeTokens(folder, "y.npy", 8, 4);
  const args = ["--method", "nystrom", "--n-eig", "3", "--colors", "none", "--json"];
  const run = (features: string, out: string) =>
    gyrus(
      "cut",
      "--features",
      folder.at(features),
      ...args,
      "--checkpoint",
      folder.at("log"),
      "--out",
      folder.at(out),
    );
  const first = await run("x.npy", "a.h5");
  assert.equal(first.code, 0, first.text);
  const second = await run("x.npy", "b.h5");
  assert.equal(second.code, 0, second.text);
  assert.deepEqual(Deno.readFileSync(folder.at("b.h5")), Deno.readFileSync(folder.at("a.h5")));
  const other = await run("y.npy", "c.h5");
  assert.equal(other.code, 2, other.text);
  assert.match(other.text, /features/);
});

Deno.test("gyrus cut joins arrays in one graph", async () => {
  using folder = new TestFolder();
  const truth = [...writeTokens(folder, "x.npy", 7, 4), ...writeTokens(folder, "y.npy", 8, 4)];
  const out = folder.at("cut.h5");
  const args = ["cut", "--features", folder.at("x.npy"), folder.at("y.npy"), "--gamma", "0.3"];
  const { code, text } = await gyrus(
    ...args,
    "--n-eig",
    "3",
    "--k",
    "3",
    "--colors",
    "none",
    "--json",
    "--out",
    out,
  );
  assert.equal(code, 0, text);
  assert.equal(ari(await values(`${out}:/labels/3`), truth), 1);
});

const REFUSED: readonly [name: string, args: string[], message: RegExp][] = [
  ["NaN", ["nan.npy"], /every value must be finite, row 1, column 60/],
  ["zero rows", ["zero.npy", "--n-eig", "3"], /row 0 .* is zero and has no direction/],
  ["channels first", ["first.npy"], /channels must be the last axis/],
  ["too many eigenvectors", ["x.npy", "--n-eig", "40"], /from 1 to 32/],
  ["more clusters than eigenvectors", ["x.npy", "--n-eig", "3", "--k", "5"], /clusters/],
  [
    "two scales",
    ["x.npy", "--affinity", "rbf", "--sigma", "1", "--gamma", "1"],
    /--gamma and --sigma/,
  ],
  ["a sigma of cosine", ["x.npy", "--sigma", "1"], /--sigma belongs to rbf/],
  ["no gamma above 0", ["x.npy", "--gamma", "0"], /above 0/],
  ["a landmark that is not there", [
    ...["x.npy", "--n-eig", "2", "--method", "nystrom"],
    ...["--landmarks", "landmarks.npy"],
  ], /99/],
  [
    "landmarks of an exact cut",
    ["x.npy", "--landmarks", "8"],
    /an exact cut of 32 nodes has none/,
  ],
  ["overlays without images", ["x.npy", "--overlays", "p"], /both --images and --overlays/],
  ["a grid that is none", ["x.npy", "--grid", "4by4"], /--grid "4by4"/],
  ["a cut that is none", ["x.npy", "--onto", "landmarks.npy"], /landmarks.npy/],
  ["clusters of one", ["x.npy", "--k", "1"], /from 2/],
];

Deno.test("gyrus cut refuses in one sentence, and leaves nothing behind", async (t) => {
  using folder = new TestFolder();
  writeTokens(folder, "x.npy", 7, 2);
  const bad = tokens(7, 2).data;
  bad[17 * WIDTH + 5 * WIDTH] = NaN;
  folder.write("nan.npy", writeNpy(hostTensor(bad, [2, 17, WIDTH])));
  folder.write("zero.npy", writeNpy(hostTensor(new Float32Array(40), [10, 4])));
  folder.write(
    "first.npy",
    writeNpy(hostTensor(new Float32Array(2 * 64 * 16).fill(1), [2, 64, 4, 4])),
  );
  folder.write("landmarks.npy", writeNpy(hostTensor(Float32Array.of(0, 99), [2])));
  const before = folder.list();
  for (const [name, args, message] of REFUSED) {
    await t.step(name, async () => {
      const given = args.map((arg) => (/\.npy$|^p$/.test(arg) ? folder.at(arg) : arg));
      const { code, errors, text } = await gyrus(
        "cut",
        "--features",
        ...given,
        "--out",
        folder.at("out.h5"),
      );
      assert.equal(code, 2, text);
      assert.match(errors.at(-1)!, message);
      assert.deepEqual(folder.list(), before);
    });
  }
});
