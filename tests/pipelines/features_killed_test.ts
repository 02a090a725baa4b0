/**
 * `gyrus features --distill --checkpoint` in a process that is killed while it works, and started again.
 */
import assert from "node:assert/strict";
import { normal, randomKey, uniform } from "../../engine/random.ts";
import { writeNpy } from "../../pipelines/io/npy.ts";
import { saveSafetensors } from "../../pipelines/io/safetensors_file.ts";
import { hostTensor } from "../../pipelines/io/state_dict.ts";
import { needs } from "../expectations.ts";
import { TestFolder } from "./io_fixtures.ts";
import { finish, killAt, sizeOf, start } from "./killed_process.ts";
import { toStateDict } from "./vit_fixtures.ts";
import * as models from "./vit_models.ts";

const N = 30;
const SIDE = 32;

/** A run on a tiny model and images in a folder. */
class Run implements Disposable {
  readonly folder = new TestFolder();

  constructor() {
    const { keys, config } = models.clip.layouts[0];
    saveSafetensors(this.folder.at("clip.safetensors"), toStateDict(keys));
    this.folder.write("clip.config.json", JSON.stringify(config));
    const bytes = Uint8Array.from(normal(randomKey(1), N * SIDE * SIDE * 3), (v) => 128 + 60 * v);
    this.folder.write("images.npy", writeNpy(hostTensor(bytes, [N, SIDE, SIDE, 3])));
  }

  /** Starts the command, with a checkpoint and an output of this name. */
  start(name: string, wrapper?: string): Deno.ChildProcess {
    const args = ["features", "--model", this.folder.at("clip.safetensors")];
    args.push("--images", this.folder.at("images.npy"), "--dense", "naclip", "--distill", "9");
    args.push("--size", `${SIDE}`, "--batch", "2", "--save", "cls,dense", "--dense-dtype", "f16");
    const files = ["--checkpoint", this.at(name, "log"), "--out", this.at(name, "h5")];
    return start([...args, ...files], wrapper);
  }

  at(name: string, ending: string): string {
    return this.folder.at(`${name}.${ending}`);
  }

  /** Fails unless two runs left the same bytes. */
  assertSame(name: string, other: string): void {
    for (const ending of ["h5", "log"]) {
      const [a, b] = [name, other].map((of) => Deno.readFileSync(this.at(of, ending)));
      assert.deepEqual(a, b, ending);
    }
  }

  [Symbol.dispose](): void {
    this.folder[Symbol.dispose]();
  }
}

Deno.test("features --distill, killed at random moments and started again, writes the same bytes", async () => {
  using run = new Run();
  await finish(run.start("whole"));
  const size = sizeOf(run.at("whole", "log"));
  const log = run.at("parts", "log");
  const moments = uniform(randomKey(Date.now() % 1e6), 3).sort();
  let killed = 0;
  for (const moment of moments) {
    const at = Math.max(sizeOf(log) + 1, 400 + moment * 0.95 * (size - 400));
    killed += Number(await killAt(run.start("parts"), log, at));
    assert.ok(killed === 0 || !run.folder.list().includes("parts.h5"), "a killed process's file");
  }
  assert.ok(killed > 0, "no process was caught at work");
  const before = sizeOf(log);
  assert.ok(before > 0 && before < size, `${before} of ${size} bytes were kept`);
  await finish(run.start("parts"));
  run.assertSame("parts", "whole");
});

Deno.test(
  "features --checkpoint on a disk that is full says so, leaves no output, and goes on when there is room",
  needs("posixSignals", Deno.build.os !== "windows"),
  async () => {
    using run = new Run();
    await finish(run.start("whole"));
    // A file may have 40 blocks of 512 bytes: log and output need more than twice as many.
    const limited = run.start("parts", 'trap "" XFSZ; ulimit -f 40; exec "$0" "$@"');
    const { code, stderr } = await limited.output();
    const text = new TextDecoder().decode(stderr);
    assert.equal(code, 2, text);
    assert.match(text, /gyrus: Cannot write "[^"]*parts\.(log|h5\.partial)": File too large/);
    assert.ok(!run.folder.list().some((name) => name.startsWith("parts.h5")));
    assert.ok(sizeOf(run.at("parts", "log")) <= 40 * 512);
    await finish(run.start("parts"));
    run.assertSame("parts", "whole");
  },
);
