/**
 * `gyrus encode fit --checkpoint` in a process that is killed while it works, and started again.
 */
import assert from "node:assert/strict";
import { randomKey, uniform } from "../../mod.ts";
import { Hdf5File } from "../../pipelines/io/hdf5.ts";
import { writeNpy } from "../../pipelines/io/npy.ts";
import { hostTensor } from "../../pipelines/io/state_dict.ts";
import { TestFolder } from "./io_fixtures.ts";
import { finish, killAt, sizeOf, start } from "./killed_process.ts";
import { linearData } from "./ridge_oracle.ts";

const { x, y } = linearData([80, 60, 300]);

function fit(folder: TestFolder, args: string[]): Deno.ChildProcess {
  const own = ["--features", folder.at("x.npy"), "--responses", folder.at("y.npy")];
  return start(["encode", "fit", ...own, ...args]);
}

/** Every dataset of a model, as bytes, with the attributes. */
async function contents(path: string): Promise<Record<string, unknown>> {
  using file = await Hdf5File.open(path);
  const parts = file.datasets().map((name) => [
    name,
    {
      values: name === "/precision" ? file.readStrings(name) : file.read(name),
      attributes: file.attributes(name),
    },
  ]);
  return { ...Object.fromEntries(parts), attributes: file.attributes() };
}

const MODES: readonly (readonly [string, string[], number])[] = [
  ["a ridge regression", ["--alphas", "logspace(-1,4,9)", "--targets-batch", "20"], 3],
  ["a banded one", ["--alphas", "1,100", "--n-iter", "7", "--targets-batch", "50"], 1],
];

for (const [m, [name, options, kills]] of MODES.entries()) {
  Deno.test(`encode fit of ${name}, killed at random moments and started again, writes the same model`, async () => {
    using folder = new TestFolder();
    folder.write("x.npy", writeNpy(hostTensor(x.data, [...x.shape])));
    folder.write("y.npy", writeNpy(hostTensor(y.data, [...y.shape])));
    folder.write("bands.json", JSON.stringify({ low: [0, 20], high: [20, 60] }));
    const args = m === 0 ? options : [...options, "--bands", folder.at("bands.json")];
    const whole = [...args, "--checkpoint", folder.at("whole.log"), "--out", folder.at("a.h5")];
    await finish(fit(folder, whole));
    const bytes = sizeOf(folder.at("whole.log"));

    const path = folder.at("parts.log");
    const resumed = [...args, "--checkpoint", path, "--out", folder.at("b.h5")];
    const moments = uniform(randomKey(Date.now() % 1e6), kills).sort();
    let killed = 0;
    for (const moment of moments) {
      const child = fit(folder, resumed);
      killed += Number(await killAt(child, path, 200 + moment * 0.95 * (bytes - 200)));
      assert(
        !folder.list().includes("b.h5") || killed === 0,
        "a model of a process that was killed",
      );
    }
    assert(killed > 0, "no process was caught at work");
    const before = sizeOf(path);
    assert(before > 0 && before < bytes, `${before} of ${bytes} bytes were kept`);
    await finish(fit(folder, resumed));
    assert.equal(sizeOf(path), bytes);
    assert.deepEqual(await contents(folder.at("b.h5")), await contents(folder.at("a.h5")));
  });
}
