/** `gyrus align` on toy networks whose tokens are written as `gyrus features --layers` writes them. */
import assert from "node:assert/strict";
import { loadAlignment } from "../../pipelines/encoding/alignment/alignment_file.ts";
import { hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import { Hdf5File } from "../../pipelines/io/hdf5.ts";
import { writeNpy } from "../../pipelines/io/npy.ts";
import { hostTensor, toFloat32 } from "../../pipelines/io/state_dict.ts";
import { gyrus as run } from "../console.ts";
import { openCommandGpu } from "../_gpu.ts";
import { Files, N, nets } from "./align_files.ts";
import { finish, killAt, sizeOf, start } from "./killed_process.ts";

const gpu = await openCommandGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const gyrus = (...args: string[]) => run(...args, "--json");

Deno.test("align fit writes an alignment and its numbers, align apply its features and responses", async () => {
  using files = await Files.make();
  const { code, text } = await gyrus(...files.fit("a.h5", "--cache", files.at("tokens")));
  assert.equal(code, 0, text);
  const told = JSON.parse(text);
  assert.deepEqual([told.nImages, told.heldOut, told.nVoxels, told.layers, told.width], [
    N,
    16,
    96,
    4,
    12,
  ]);
  assert(Math.abs(told.samePatchBefore) < 0.1 && told.samePatchAfter > 0.6, text);
  const record = JSON.parse(Deno.readTextFileSync(files.at("a.h5.run.json")));
  assert.deepEqual([record.command, record.options.epochs], ["align fit", 2]);
  using loaded = await loadAlignment(gpu, files.at("a.h5"));
  const name = { model: "dino", layer: "1" };
  const wanted = await loaded.apply(hostMatrix(nets.tokens(1, 1), [N * 65, 96]), name);
  const apply = (out: string, ...more: string[]) =>
    gyrus(
      "align",
      "apply",
      "--alignment",
      files.at("a.h5"),
      "--features",
      `${files.at("dino.h5")}:/blocks/1`,
      "--model",
      "dino",
      "--layer",
      "1",
      "--out",
      files.at(out),
      ...more,
    );
  const applied = await apply("f.h5", "--checkpoint", files.at("log"));
  assert.equal(applied.code, 0, applied.text);
  assert.deepEqual(JSON.parse(applied.text).shapes, { "/aligned": [N, 65, 12] });
  {
    using file = await Hdf5File.open(files.at("f.h5"));
    assert.deepEqual(toFloat32(file.read("/aligned")), wanted.data);
  }
  const whole = Deno.readFileSync(files.at("f.h5"));
  Deno.truncateSync(files.at("log"), sizeOf(files.at("log")) - 100); // killed while it wrote
  assert.equal((await apply("f.h5", "--checkpoint", files.at("log"))).code, 0);
  assert.deepEqual(Deno.readFileSync(files.at("f.h5")), whole);
  const predicted = await apply("p.h5", "--predict");
  assert.deepEqual(JSON.parse(predicted.text).shapes, { "/responses": [N, 65, 96] });
});

Deno.test("align fit, killed and started again, writes the same bytes", async () => {
  using files = await Files.make();
  const args = (name: string) =>
    files.fit(
      `${name}.h5`,
      "--start",
      "linear",
      "--epochs",
      "3",
      "--eigen-loss",
      "affinity",
      "--cache",
      files.at(`${name}.tokens`),
      "--checkpoint",
      files.at(`${name}.state`),
    );
  await finish(start(args("whole")));
  const tokens = sizeOf(files.at("whole.tokens"));
  const killed = [
    await killAt(start(args("parts")), files.at("parts.tokens"), tokens / 2),
    await killAt(start(args("parts")), files.at("parts.state"), 5000),
  ];
  assert(killed.some(Boolean), "no process was caught at work");
  assert(!files.folder.list().includes("parts.h5"));
  await finish(start(args("parts")));
  const [a, b] = ["whole", "parts"].map((name) => Deno.readFileSync(files.at(`${name}.h5`)));
  assert.deepEqual(a, b);
});

Deno.test("align says in a sentence what it cannot do", async () => {
  using files = await Files.make();
  const refused = async (args: string[], message: RegExp) => {
    const { code, text } = await gyrus(...args);
    assert.equal(code, 2, text);
    assert.match(text, message);
    assert(!files.folder.list().some((name) => name.startsWith("bad")));
  };
  const base = files.fit("bad.h5");
  await refused(
    [...base, "--model", "clip"],
    /Cannot read the network "clip": NAME=FILE is needed/,
  );
  await refused([...base, "--model", `clip=${files.at("dino.h5")}`], /two networks named "clip"/);
  await refused(
    [...base, "--layers", "0,5"],
    /layer 5 of clip.* has the layers 0, 1 under \/blocks\//,
  );
  await refused(
    [...base, "--nodes", "attn"],
    /has no layers under \/attn\/; gyrus features .*--nodes attn/,
  );
  await refused(
    [...base, "--prefix", "clip=2"],
    /2 tokens before a square of patches is needed, its shape is \[64,65,64\]/,
  );
  await refused([...base, "--readout", "factor-topy"], /a place for each of 96 voxels/);
  await refused([...base, "--cache", files.at("bad.h5")], /something else goes there/);
  files.folder.write("y.npy", writeNpy(hostTensor(nets.responses.data.slice(0, 96 * 9), [9, 96])));
  await refused(base, /tokens of 64 images and responses \[9,96\]/);
  const apply = [
    "align",
    "apply",
    "--alignment",
    files.at("y.npy"),
    "--features",
    `${files.at("dino.h5")}:/blocks/1`,
  ];
  await refused(
    [...apply, "--model", "dino", "--layer", "1", "--out", files.at("bad.h5")],
    /y\.npy/,
  );
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
