/**
 * Logs of records that survive being cut anywhere.
 */
import assert from "node:assert/strict";
import { RecordLog } from "../../pipelines/io/record_log.ts";

function withFolder(work: (path: string) => void): void {
  const folder = Deno.makeTempDirSync();
  try {
    work(`${folder}/scores.log`);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
}

function recordsOf(path: string, fingerprint = "a"): number[][] {
  const seen: number[][] = [];
  using _ = RecordLog.open(path, fingerprint, (bytes) => seen.push([...bytes]));
  return seen;
}

Deno.test("RecordLog gives back every whole record when the file is cut at any byte, and goes on from there", () => {
  withFolder((path) => {
    const written = [[1, 2, 3], [], [4], [5, 6, 7, 8, 9]];
    const ends: number[] = [];
    {
      using log = RecordLog.open(path, "a", () => assert.fail("there is no record yet"));
      for (const record of written) {
        log.append(Uint8Array.from(record));
        ends.push(Deno.statSync(path).size);
      }
    }
    const whole = Deno.readFileSync(path);
    for (let size = 0; size <= whole.length; size++) {
      Deno.writeFileSync(path, whole.subarray(0, size));
      const kept = ends.filter((end) => end <= size).length;
      {
        const seen: number[][] = [];
        using log = RecordLog.open(path, "a", (bytes) => seen.push([...bytes]));
        assert.deepEqual(seen, written.slice(0, kept), `cut at ${size}`);
        log.append(Uint8Array.of(42));
      }
      assert.deepEqual(recordsOf(path), [...written.slice(0, kept), [42]], `after ${size}`);
    }
  });
});

Deno.test("RecordLog drops a record whose bytes changed, and what follows it", () => {
  withFolder((path) => {
    {
      using log = RecordLog.open(path, "a", () => {});
      for (const value of [1, 2, 3]) log.append(Uint8Array.of(value));
    }
    const bytes = Deno.readFileSync(path);
    bytes[bytes.length - 14] ^= 255; // the value of the second record
    Deno.writeFileSync(path, bytes);
    assert.deepEqual(recordsOf(path), [[1]]);
  });
});

Deno.test("RecordLog refuses a file of something else and leaves it alone", () => {
  withFolder((path) => {
    for (const text of ["notes", "x".repeat(5000)]) {
      Deno.writeTextFileSync(path, text);
      assert.throws(() => recordsOf(path), { name: "InputError", message: /not a checkpoint/ });
      assert.equal(Deno.readTextFileSync(path), text);
    }
    Deno.removeSync(path);
    assert.deepEqual(recordsOf(path, "a"), []);
    assert.throws(() => recordsOf(path, "b"), { name: "InputError", message: /other data/ });
  });
});
