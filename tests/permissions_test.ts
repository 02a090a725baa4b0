/**
 * Commands through the real launcher and the real Deno, with the permissions that the launcher grants and no more.
 *
 * @module
 */
import assert from "node:assert/strict";
import { normal, randomKey } from "../engine/random.ts";
import { Hdf5Writer } from "../pipelines/io/hdf5_writer.ts";
import { writeNpy } from "../pipelines/io/npy.ts";
import { saveSafetensors } from "../pipelines/io/safetensors_file.ts";
import { hostTensor } from "../pipelines/io/state_dict.ts";
import { openCommandGpu } from "./_gpu.ts";
import { TestFolder } from "./pipelines/io_fixtures.ts";
import { toStateDict } from "./pipelines/vit_fixtures.ts";
import { clip } from "./pipelines/vit_models.ts";

const root = decodeURIComponent(new URL("..", import.meta.url).pathname);

/** Starts `./gyrus` with this Deno first on PATH. */
function gyrus(folder: TestFolder, args: string[]): Deno.Command {
  const here = Deno.execPath().replace(/\/[^/]*$/, "");
  return new Deno.Command(`${root}gyrus`, {
    args,
    cwd: folder.path,
    env: { PATH: `${here}:${Deno.env.get("PATH")}`, NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

function run(folder: TestFolder, args: string[]): { code: number; out: string; err: string } {
  const { code, stdout, stderr } = gyrus(folder, args).outputSync();
  const decoder = new TextDecoder();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

function matrix(seed: number, rows: number, columns: number): Uint8Array<ArrayBuffer> {
  return writeNpy(hostTensor(normal(randomKey(seed), rows * columns), [rows, columns]));
}

// The launcher opens a device of its own: here only to know that there is one, and to be part of every leg.
(await openCommandGpu())[Symbol.dispose]();

Deno.test("encode fit writes its output and its record, and is denied everything else", () => {
  using folder = new TestFolder();
  folder.write("x.npy", matrix(1, 40, 6));
  folder.write("y.npy", matrix(2, 40, 3));
  const backend = Deno.env.get("GYRUS_TEST_BACKEND") ?? "deno";
  const fit = [
    "encode",
    "fit",
    "--features",
    "x.npy",
    "--responses",
    "y.npy",
    "--backend",
    backend,
  ];
  const made = run(folder, [...fit, "--out", "new/folder/model.h5"]);
  assert.equal(made.code, 0, made.err);
  assert.deepEqual(folder.list(), ["new", "x.npy", "y.npy"]);
  const beside = [...Deno.readDirSync(folder.at("new/folder"))].map(({ name }) => name).sort();
  assert.deepEqual(beside, ["model.h5", "model.h5.run.json"]);
  const again = run(folder, [...fit, "--out", "new/folder/model.h5"]);
  assert.equal(again.code, 0, again.err);
});

Deno.test("encode fit may write its checkpoint too, wherever it is, and goes on from it", () => {
  using folder = new TestFolder();
  folder.write("x.npy", matrix(1, 40, 6));
  folder.write("y.npy", matrix(2, 40, 3));
  Deno.mkdirSync(folder.at("old scores"));
  const backend = Deno.env.get("GYRUS_TEST_BACKEND") ?? "deno";
  const fit = ["encode", "fit", "--features", "x.npy", "--responses", "y.npy"];
  const log = "old scores/fit.log";
  for (const checkpoint of [["--checkpoint", log], [`--checkpoint=${log}`]]) {
    const made = run(folder, [...fit, ...checkpoint, "--backend", backend, "--out", "model.h5"]);
    assert.equal(made.code, 0, made.err);
    assert.deepEqual(folder.list(), [
      "model.h5",
      "model.h5.run.json",
      "old scores",
      "x.npy",
      "y.npy",
    ]);
    assert.deepEqual([...Deno.readDirSync(folder.at("old scores"))].map(({ name }) => name), [
      "fit.log",
    ]);
    Deno.truncateSync(folder.at(log), Math.floor(Deno.statSync(folder.at(log)).size / 2));
  }
});

Deno.test("align fit may write its cache of tokens and its state too, wherever they are", async () => {
  using folder = new TestFolder();
  Deno.mkdirSync(folder.at("kept here"));
  const [n, tokens, width] = [12, 5, 8];
  for (const [i, name] of ["a.h5", "b.h5"].entries()) {
    using file = await Hdf5Writer.create(folder.at(name));
    file.createDataset("/blocks/0", { shape: [n, tokens, width], dtype: "f32" });
    file.writeRows("/blocks/0", 0, normal(randomKey(i), n * tokens * width));
    file.commit();
  }
  folder.write("y.npy", matrix(2, n, 3));
  const backend = Deno.env.get("GYRUS_TEST_BACKEND") ?? "deno";
  const fit = ["align", "fit", "--model", "a=a.h5", "--model", "b=b.h5", "--responses", "y.npy"];
  const small = ["--grid", "2", "--epochs", "1", "--eigen-ks", "2", "--eigen-nodes", "8"];
  const kept = ["--cache=kept here/tokens", "--checkpoint", "kept here/state"];
  const made = run(folder, [...fit, ...small, ...kept, "--backend", backend, "--out", "align.h5"]);
  assert.equal(made.code, 0, made.err);
  assert.deepEqual(folder.list(), [
    "a.h5",
    "align.h5",
    "align.h5.run.json",
    "b.h5",
    "kept here",
    "y.npy",
  ]);
  const names = [...Deno.readDirSync(folder.at("kept here"))].map(({ name }) => name).sort();
  assert.deepEqual(names, ["state", "tokens"]);
});

Deno.test("cut writes its file, its pictures and its checkpoint, and nothing else", () => {
  using folder = new TestFolder();
  const backend = Deno.env.get("GYRUS_TEST_BACKEND") ?? "deno";
  const values = normal(randomKey(1), 2 * 16 * 4);
  folder.write("x.npy", writeNpy(hostTensor(values, [2, 16, 4])));
  folder.write("images.npy", writeNpy(hostTensor(new Uint8Array(2 * 8 * 8 * 3), [2, 8, 8, 3])));
  const cut = ["cut", "--features", "x.npy", "--channels-last", "--n-eig", "3", "--colors", "none"];
  const rest = ["--k", "2", "--images", "images.npy", "--checkpoint", "log", "--backend", backend];
  for (const overlays of [["--overlays", "new/pictures"], ["--overlays=new/pictures"]]) {
    const made = run(folder, [...cut, ...rest, ...overlays, "--out", "cut.h5"]);
    assert.equal(made.code, 0, made.err);
  }
  assert.deepEqual(folder.list(), [
    ...["cut.h5", "cut.h5.run.json", "images.npy", "log", "new", "x.npy"],
  ]);
  const pictures = [...Deno.readDirSync(folder.at("new/pictures"))].map(({ name }) => name);
  assert.equal(pictures.length, 3, `${pictures}`);
});

Deno.test("features --distill in half precision writes its output and its checkpoint, and nothing else", () => {
  using folder = new TestFolder();
  const { keys, config } = clip.layouts[0];
  saveSafetensors(folder.at("clip.safetensors"), toStateDict(keys));
  folder.write("clip.config.json", JSON.stringify(config));
  const bytes = new Uint8Array(2 * 16 * 16 * 3).map((_, i) => i);
  folder.write("images.npy", writeNpy(hostTensor(bytes, [2, 16, 16, 3])));
  const backend = Deno.env.get("GYRUS_TEST_BACKEND") ?? "deno";
  const { code, err } = run(folder, [
    ...["features", "--model", "clip.safetensors", "--images", "images.npy", "--paper"],
    ...["--size", "16", "--distill", "3", "--dense-dtype", "f16", "--checkpoint", "dense.log"],
    ...["--backend", backend, "--out", "dense.h5"],
  ]);
  assert.equal(code, 0, err);
  const before = ["clip.config.json", "clip.safetensors", "images.npy"];
  assert.deepEqual(folder.list(), [...before, "dense.h5", "dense.h5.run.json", "dense.log"].sort());
});

Deno.test("bad input is one sentence, exit code 2 and no output", () => {
  using folder = new TestFolder();
  folder.write("x.npy", matrix(1, 40, 6));
  folder.write("y.npy", matrix(2, 39, 3));
  const { code, out, err } = run(folder, [
    ...["encode", "fit", "--features", "x.npy", "--responses", "y.npy", "--out", "model.h5"],
  ]);
  assert.equal(code, 2, err);
  assert.equal(out, "");
  assert.match(err, /^gyrus: [^\n]+\n$/);
  assert.deepEqual(folder.list(), ["x.npy", "y.npy"]);
});

Deno.test("inspect needs no permission but to read", () => {
  using folder = new TestFolder();
  folder.write("x.npy", matrix(1, 40, 6));
  const { code, out, err } = run(folder, ["inspect", "x.npy", "--json"]);
  assert.equal(code, 0, err);
  assert.deepEqual(JSON.parse(out).arrays[0].shape, [40, 6]);
});
