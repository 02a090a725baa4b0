import assert from "node:assert/strict";
import {
  AtomicFile,
  AtomicFolder,
  AtomicPath,
  removeTemporaries,
  writeFileAtomic,
} from "../../pipelines/io/atomic.ts";
import { Hdf5Writer } from "../../pipelines/io/hdf5_writer.ts";
import { assertInputError, TestFolder } from "./io_fixtures.ts";
import { needs } from "../expectations.ts";

const read = (path: string) => Deno.readTextFileSync(path);

Deno.test("writeFileAtomic() replaces a file whole", () => {
  using folder = new TestFolder();
  const path = folder.write("a.txt", "old");
  writeFileAtomic(path, "new");
  assert.equal(read(path), "new");
  writeFileAtomic(folder.at("b.bin"), new Uint8Array([1, 2]));
  assert.deepEqual(folder.list(), ["a.txt", "b.bin"]);
});

Deno.test("AtomicFile keeps the old file and leaves nothing when it is not committed", () => {
  using folder = new TestFolder();
  const path = folder.write("a.txt", "old");
  assert.throws(() => {
    using file = new AtomicFile(path);
    file.write(new Uint8Array(10));
    assert.equal(folder.list().length, 2, "the temporary lies beside the target");
    assert.equal(read(path), "old");
    throw new Error("stopped");
  }, /stopped/);
  assert.deepEqual([folder.list(), read(path)], [["a.txt"], "old"]);
});

Deno.test("AtomicFile cannot be written after commit or discard", () => {
  using folder = new TestFolder();
  for (const end of ["commit", "discard"] as const) {
    const file = new AtomicFile(folder.at("a.txt"));
    file[end]();
    file[end]();
    assert.throws(() => file.write(new Uint8Array(1)), /it was closed/);
  }
  assert.deepEqual(folder.list(), ["a.txt"]);
});

Deno.test("AtomicFile writes through a symbolic link", () => {
  using folder = new TestFolder();
  folder.write("real.txt", "old");
  Deno.symlinkSync("real.txt", folder.at("link.txt"));
  writeFileAtomic(folder.at("link.txt"), "new");
  assert.equal(read(folder.at("real.txt")), "new");
  assert.ok(Deno.lstatSync(folder.at("link.txt")).isSymlink);
});

Deno.test("outputs refuse a target that cannot be written, in one sentence", async (t) => {
  using folder = new TestFolder();
  const file = folder.write("file", "x");
  const cases: [name: string, open: () => unknown, message: RegExp][] = [
    ["a folder", () => new AtomicFile(folder.path), /Cannot write ".*": it is a folder/],
    ["a folder, by name", () => new AtomicPath(folder.path), /it is a folder/],
    [
      "no parent",
      () => writeFileAtomic(folder.at("no/a"), ""),
      /no\/a": there is no such file or folder/,
    ],
    [
      "a parent that is a file",
      () => writeFileAtomic(`${file}/a`, ""),
      /a part of the path is not a folder/,
    ],
    ["a folder that is a file", () => new AtomicFolder(file), /it is a file, a folder is needed/],
    [
      "a folder without parent",
      () => new AtomicFolder(folder.at("no/out")),
      /no such file or folder/,
    ],
    ["a long name", () => writeFileAtomic(folder.at("x".repeat(300)), ""), /the name is too long/],
  ];
  for (const [name, open, message] of cases) {
    await t.step(name, () => assertInputError(open, message));
  }
  assert.deepEqual(folder.list(), ["file"]);
});

Deno.test("AtomicFolder appears whole, and merges into a folder that exists", () => {
  using folder = new TestFolder();
  const out = folder.at("out");
  {
    using output = new AtomicFolder(out);
    Deno.mkdirSync(`${output.temporary}/maps`);
    Deno.writeTextFileSync(`${output.temporary}/maps/1`, "one");
    Deno.writeTextFileSync(`${output.temporary}/index`, "first");
    assert.throws(() => Deno.statSync(out), Deno.errors.NotFound);
    output.commit();
  }
  Deno.writeTextFileSync(`${out}/mine`, "the user's own");
  {
    using output = new AtomicFolder(`${out}/`);
    Deno.mkdirSync(`${output.temporary}/maps`);
    Deno.writeTextFileSync(`${output.temporary}/maps/2`, "two");
    Deno.writeTextFileSync(`${output.temporary}/index`, "second");
    output.commit();
  }
  assert.deepEqual(folder.list(), ["out"]);
  assert.deepEqual([...Deno.readDirSync(out)].map((entry) => entry.name).sort(), [
    "index",
    "maps",
    "mine",
  ]);
  assert.deepEqual([...Deno.readDirSync(`${out}/maps`)].map((entry) => entry.name), ["2"]);
  assert.equal(read(`${out}/index`), "second");
  {
    using output = new AtomicFolder(out);
    Deno.writeTextFileSync(`${output.temporary}/index`, "third");
  }
  assert.equal(read(`${out}/index`), "second");
  assert.deepEqual(folder.list(), ["out"]);
});

Deno.test("removeTemporaries() removes every unfinished output and nothing else", async () => {
  using folder = new TestFolder();
  const done = folder.write("done.txt", "kept");
  const file = new AtomicFile(folder.at("a.txt"));
  const output = new AtomicFolder(folder.at("out"));
  Deno.writeTextFileSync(`${output.temporary}/x`, "x");
  const writer = await Hdf5Writer.create(folder.at("a.h5"));
  assert.equal(folder.list().length, 4);
  removeTemporaries();
  assert.deepEqual([folder.list(), read(done)], [["done.txt"], "kept"]);
  for (const open of [file, output, writer]) open.discard();
  assert.deepEqual(folder.list(), ["done.txt"]);
});

/** Runs io_full_disk.ts; its lines by name, or the reason why it could not run. */
function fullDisk(...args: string[]): Map<string, { outcome: string; left: string[] }> | string {
  const script = new URL("io_full_disk.ts", import.meta.url).pathname;
  try {
    const command = new Deno.Command(Deno.execPath(), { args: ["run", "-A", script, ...args] });
    const { code, stdout, stderr } = command.outputSync();
    if (code === 77) return "a small file system cannot be mounted here";
    assert.equal(code, 0, new TextDecoder().decode(stderr));
    const lines = new TextDecoder().decode(stdout).trim().split("\n").map((line) =>
      JSON.parse(line)
    );
    return new Map(lines.map((line) => [line.name, line]));
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) return "Deno may not be run from here";
    throw error;
  }
}

Deno.test("a full device gives one sentence", async (t) => {
  let exists = Deno.build.os === "linux";
  try {
    Deno.lstatSync("/dev/full");
  } catch (error) {
    // Without the permission to look, the child with all permissions finds out.
    exists &&= error instanceof Deno.errors.NotCapable;
  }
  const lines = exists ? fullDisk("device") : "there is no /dev/full here";
  const name = typeof lines === "string" ? `skipped: ${lines}` : "write to /dev/full";
  await t.step({
    name,
    ...needs("fullDisk", typeof lines !== "string"),
    fn() {
      assert.equal(
        typeof lines === "string" ? "" : lines.get("device")!.outcome,
        'Cannot write "/dev/full": no space left on device',
      );
    },
  });
});

Deno.test("a full disk gives one sentence and no file, in every format", async (t) => {
  using folder = new TestFolder();
  const lines = fullDisk("outer", folder.path);
  if (typeof lines === "string") {
    await t.step({ name: `skipped: ${lines}`, ...needs("fullDisk", false), fn() {} });
    return;
  }
  for (const name of ["file", "png", "safetensors", "npy", "hdf5", "folder"]) {
    await t.step(name, () => {
      const { outcome, left } = lines.get(name)!;
      assert.match(outcome, /^Cannot write ".*": no space left on device$/);
      assert.deepEqual(left, []);
    });
  }
  await t.step("a checkpoint keeps what was whole", () => {
    const { outcome, left } = lines.get("records")!;
    assert.match(outcome, /^Cannot write ".*scores\.log": no space left on device$/);
    assert.deepEqual(left, ["scores.log"]);
    assert.equal(lines.get("records again")!.outcome, "no error");
  });
  await t.step("what fits afterwards", () => {
    assert.deepEqual(lines.get("control"), {
      name: "control",
      outcome: "no error",
      left: ["small.h5"],
    });
  });
});

Deno.test("an interrupt half-way leaves no output", async (t) => {
  using folder = new TestFolder();
  const script = new URL("io_interrupted.ts", import.meta.url).pathname;
  const permissions = ["--allow-read", "--allow-write"];
  const args = ["run", ...permissions, script, folder.path];
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command(Deno.execPath(), { args, stdout: "piped" }).spawn();
  } catch (error) {
    if (!(error instanceof Deno.errors.NotCapable)) throw error;
    await t.step({ name: "interrupt", ...needs("subprocess", false), fn() {} });
    return;
  }
  const reader = child.stdout.getReader();
  assert.match(new TextDecoder().decode((await reader.read()).value), /ready/);
  assert.equal(folder.list().length, 3);
  child.kill("SIGINT");
  assert.equal((await child.status).code, 130);
  await reader.cancel();
  assert.deepEqual(folder.list(), []);
});
