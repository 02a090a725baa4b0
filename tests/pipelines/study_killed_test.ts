/**
 * `gyrus localize` of a whole study in a process that is killed while it works, and started again.
 */
import assert from "node:assert/strict";
import { randomKey, uniform } from "../../mod.ts";
import { phantomNetFiles } from "../../pipelines/phantom/nets.ts";
import { writePhantom } from "../../pipelines/phantom/write_phantom.ts";
import { TestFolder } from "./io_fixtures.ts";
import { finish, killAt, sizeOf, start } from "./killed_process.ts";

/** Every file of a folder by its path in it, but the record, which has the time. */
function filesOf(path: string, prefix = ""): Map<string, Uint8Array> {
  const files = new Map<string, Uint8Array>();
  for (const { name, isDirectory } of Deno.readDirSync(path)) {
    if (isDirectory) {
      for (const entry of filesOf(`${path}/${name}`, `${prefix}${name}/`)) files.set(...entry);
    } else if (name !== "run.json") files.set(prefix + name, Deno.readFileSync(`${path}/${name}`));
  }
  return files;
}

Deno.test("a study that is killed at random moments and started again leaves the same files", async () => {
  using folder = new TestFolder();
  await writePhantom(folder.at("data"), {
    ...{ nTrain: 60, nTest: 16, size: 32, nSubjects: 1, nVoxels: 160, nSessions: 2 },
  });
  const model = decodeURIComponent(phantomNetFiles("clip").weights.pathname);
  const args = ["localize", "--config", folder.at("data/brain_sail.json"), "--model", model];
  args.push("--size", "64", "--distill", "5", "--n-permutations", "19", "--n-shuffles", "2");
  args.push("--n-resamples", "50", "--umap-neighbors", "4", "--n-shown", "3", "--json");
  const run = (name: string) =>
    start([...args, "--checkpoint", folder.at(`${name}.kept`), "--out", folder.at(name)]);
  await finish(run("whole"));
  const log = folder.at("parts.kept/clip.dense");
  const bytes = sizeOf(folder.at("whole.kept/clip.dense"));
  let killed = 0;
  for (const moment of uniform(randomKey(Date.now() % 1e6), 2).sort()) {
    killed += Number(await killAt(run("parts"), log, 200 + moment * 0.9 * (bytes - 200)));
    assert.ok(killed === 0 || !folder.list().includes("parts"), "a study of a killed process");
  }
  assert.ok(killed > 0, "no process was caught at work");
  await finish(run("parts"));
  assert.deepEqual(filesOf(folder.at("parts.kept")), filesOf(folder.at("whole.kept")));
  const [whole, parts] = [filesOf(folder.at("whole")), filesOf(folder.at("parts"))];
  assert.deepEqual([...parts.keys()].sort(), [...whole.keys()].sort());
  for (const [name, data] of whole) assert.deepEqual(parts.get(name), data, name);
  for (const name of ["results.json", "clip/subj01/maps.h5", "clip/subj01/voxels.h5"]) {
    assert.ok(whole.has(name), name);
  }
});
