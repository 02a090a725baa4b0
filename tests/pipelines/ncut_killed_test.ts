/** A cut that is killed while it carries eigenvectors to the nodes, and started again. */
import assert from "node:assert/strict";
import { normal, randomKey } from "../../engine/random.ts";
import { Ncut } from "../../pipelines/spectral/ncut.ts";
import { InputError } from "../../pipelines/errors.ts";
import { openTestGpu } from "../_gpu.ts";
import { TestFolder } from "./io_fixtures.ts";
import { finish, killAt, sizeOf } from "./killed_process.ts";

const program = decodeURIComponent(new URL("./ncut_child.ts", import.meta.url).pathname);

function child(method: string, checkpoint: string, out: string): Deno.ChildProcess {
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", "--quiet", "--no-check", program, method, checkpoint, out],
    ...{ stdin: "null", stdout: "piped", stderr: "piped" },
  }).spawn();
}

for (const method of ["features", "neighbors"]) {
  Deno.test(`Ncut by ${method}, killed and started again, has the same bits`, async () => {
    using folder = new TestFolder();
    const at = (name: string) => folder.at(name);
    await finish(child(method, at("whole.log"), at("whole")));
    const size = sizeOf(at("whole.log"));
    const killed = await killAt(
      child(method, at("parts.log"), at("parts")),
      at("parts.log"),
      size / 2,
    );
    assert.ok(killed, "no process was caught at work");
    const kept = sizeOf(at("parts.log"));
    assert.ok(kept > 0 && kept < size, `${kept} of ${size} bytes were kept`);
    await finish(child(method, at("parts.log"), at("parts")));
    assert.deepEqual(Deno.readFileSync(at("parts")), Deno.readFileSync(at("whole")));
    assert.deepEqual(Deno.readFileSync(at("parts.log")), Deno.readFileSync(at("whole.log")));
  });
}

Deno.test("Ncut takes a finished checkpoint as it is, and refuses one of other nodes or options", async () => {
  using folder = new TestFolder();
  using gpu = await openTestGpu();
  const n = 300, d = 6, checkpoint = folder.at("cut.log");
  const nodes = { data: normal(randomKey(1), n * d), shape: [n, d] as const };
  for (const method of ["exact", "nystrom"] as const) {
    const options = { nEig: 3, nLandmarks: 30, chunkSize: 64, method };
    const path = `${checkpoint}.${method}`;
    using first = await new Ncut(gpu, options).fit(nodes, { checkpoint: path });
    const size = sizeOf(path);
    using again = await new Ncut(gpu, options).fit(nodes, { checkpoint: path });
    assert.deepEqual(again.eigvec, first.eigvec);
    assert.deepEqual(again.eigval, first.eigval);
    assert.deepEqual(again.landmarks, first.landmarks);
    assert.deepEqual(again.affinity, first.affinity);
    assert.equal(sizeOf(path), size);
    const refused = (data: Float32Array<ArrayBuffer>, other: object, message: RegExp) =>
      assert.rejects(
        new Ncut(gpu, { ...options, ...other }).fit({ data, shape: [n, d] }, { checkpoint: path }),
        (error: Error) => error instanceof InputError && message.test(error.message),
      );
    await refused(nodes.data, { nEig: 2 }, /options/);
    await refused(nodes.data.with(0, 9), {}, /nodes/);
  }
  const affinity = { kind: "custom" as const, compute: () => assert.fail() };
  await assert.rejects(
    new Ncut(gpu, { affinity }).fit(nodes, { checkpoint }),
    (error: Error) => error instanceof InputError && /custom affinity/.test(error.message),
  );
  assert.equal(gpu.liveBytes, 0);
});
