/**
 * `gyrus phantom` and `gyrus phantom train`.
 *
 * @module
 */
import assert from "node:assert/strict";
import { main } from "../../pipelines/cli/main.ts";
import { openArray } from "../../pipelines/io/array_ref.ts";
import { openSafetensors } from "../../pipelines/io/safetensors_file.ts";

/** Runs a command line with what it prints collected. */
async function gyrus(...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const [out, err]: [string[], string[]] = [[], []];
  const { log, error } = console;
  console.log = (text: unknown) => out.push(String(text));
  console.error = (text: unknown) => err.push(String(text));
  try {
    const code = await main([...args, "--json"]);
    return { code, out: out.join("\n"), err: err.join("\n") };
  } finally {
    Object.assign(console, { log, error });
  }
}

const small = ["--n-train", "6", "--n-test", "3", "--size", "32", "--subjects", "1"];

Deno.test("gyrus phantom writes a data set that openArray() reads, with its run record", async () => {
  const folder = Deno.makeTempDirSync();
  try {
    const path = `${folder}/phantom`;
    const { code, out } = await gyrus("phantom", "--out", path, "--seed", "7", ...small);
    assert.equal(code, 0);
    assert.equal(JSON.parse(out).images, 9);
    const record = JSON.parse(Deno.readTextFileSync(`${path}/run.json`));
    assert.equal(record.options.seed, 7);
    assert.equal(record.adapter, "none");
    using responses = await openArray(`${path}/responses_subj01.h5:train`);
    assert.equal(responses.shape[0], 6);
    assert.equal([...Deno.readDirSync(`${path}/images/test`)].length, 3);
    assert.deepEqual([...Deno.readDirSync(folder)].map(({ name }) => name), ["phantom"]);
    // A folder of results is replaced, another is not.
    assert.equal((await gyrus("phantom", "--out", path, ...small)).code, 0);
    assert.equal(JSON.parse(Deno.readTextFileSync(`${path}/run.json`)).options.seed, 0);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("gyrus phantom refuses what it cannot make with one sentence and leaves nothing", async () => {
  const folder = Deno.makeTempDirSync();
  try {
    const path = `${folder}/phantom`;
    const wrong = [
      ["--n-train", "0"],
      ["--subjects", "9"],
      ["--size", "4"],
      ["--n-test", "many"],
    ];
    for (const options of wrong) {
      const { code, err } = await gyrus("phantom", "--out", path, ...options);
      assert.equal(code, 2, options.join(" "));
      assert.match(err, /^gyrus: [^\n]+$/);
    }
    assert.equal((await gyrus("phantom", ...small)).code, 2); // no --out
    assert.equal((await gyrus("phantom", "train", "--net", "bert", "--out", path)).code, 2);
    assert.deepEqual([...Deno.readDirSync(folder)], []);
    Deno.writeTextFileSync(`${folder}/mine.txt`, "mine");
    assert.equal((await gyrus("phantom", "--out", folder, ...small)).code, 2);
    assert.equal(Deno.readTextFileSync(`${folder}/mine.txt`), "mine");
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("gyrus phantom train writes a folder with weights, configuration and tokenizer", async () => {
  const folder = Deno.makeTempDirSync();
  try {
    const path = `${folder}/clip`;
    const options = ["--net", "clip", "--steps", "1", "--scenes", "4", "--out", path];
    const { code, out } = await gyrus("phantom", "train", ...options);
    assert.equal(code, 0);
    assert.ok(JSON.parse(out).lastLoss > 0);
    const names = [...Deno.readDirSync(path)].map(({ name }) => name).sort();
    assert.deepEqual(names, [
      "config.json",
      "merges.txt",
      "model.safetensors",
      "run.json",
      "vocab.json",
    ]);
    using checkpoint = openSafetensors(path);
    assert.ok(checkpoint.tensors.has("visual_projection.weight"));
    const record = JSON.parse(Deno.readTextFileSync(`${path}/run.json`));
    assert.equal(record.command, "phantom train");
    assert.ok(record.kernels.length > 0);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});
