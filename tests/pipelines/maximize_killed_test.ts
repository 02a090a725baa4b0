/**
 * `gyrus maximize --checkpoint` in a process that is killed while it works, or finds the disk full, and started again.
 */
import assert from "node:assert/strict";
import { uniform } from "../../engine/random.ts";
import { randomKey } from "../../mod.ts";
import { needs } from "../expectations.ts";
import { finish, killAt, sizeOf, start } from "./killed_process.ts";
import { MaximizeFiles } from "./maximize_files.ts";

const files = await MaximizeFiles.create();
const { folder } = files;
const args = (name: string) => [
  ...files.args(name, "--voxels", "all", "--seeds", "2", "--batch", "1", "--steps", "3"),
  ...["--checkpoint", folder.at(`${name}.log`)],
];

/** Fails unless a folder holds the same bytes as that of the run that was left alone. */
function assertSame(name: string): void {
  for (const file of ["maximize.h5", "images/00000.png", "images/00007.png", "losses.html"]) {
    const [a, b] = [name, "whole"].map((of) => Deno.readFileSync(folder.at(`${of}/${file}`)));
    assert.deepEqual(a, b, file);
  }
}

Deno.test("maximize, killed at a random moment and started again, writes the same files", async () => {
  await finish(start(args("whole")));
  const log = folder.at("parts.log"), size = sizeOf(folder.at("whole.log"));
  const [moment] = uniform(randomKey(Date.now() % 1e6), 1);
  const isKilled = await killAt(start(args("parts")), log, 400 + moment * 0.8 * (size - 400));
  assert(isKilled && sizeOf(log) < size, `${sizeOf(log)} of ${size} bytes were kept`);
  assert(!folder.list().includes("parts"), "a killed process's folder");
  await finish(start(args("parts")));
  assertSame("parts");
});

Deno.test(
  "maximize on a disk that is full says so, leaves no folder, and goes on when there is room",
  needs("posixSignals", Deno.build.os !== "windows"),
  async () => {
    // A file may have 300 blocks of 512 bytes: three images in the log, and not the eight of the result.
    const limited = start(args("full"), 'trap "" XFSZ; ulimit -f 300; exec "$0" "$@"');
    const { code, stderr } = await limited.output();
    const text = new TextDecoder().decode(stderr);
    assert.equal(code, 2, text);
    assert.match(text, /gyrus: Cannot write "[^"]*full[^"]*": File too large/);
    assert(!folder.list().some((name) => name === "full" || name === "full.partial"));
    await finish(start(args("full")));
    assertSame("full");
  },
);

Deno.test("remove the files", () => files[Symbol.dispose]());
