/** `gyrus align controls`: effects of the brain as a table and a file, resumable, and what it refuses. */
import assert from "node:assert/strict";
import { normal, randomKey } from "../../engine/random.ts";
import { parseControlResults } from "../../pipelines/aligned_cut/control_results.ts";
import { Hdf5Writer } from "../../pipelines/io/hdf5_writer.ts";
import { writeNpy } from "../../pipelines/io/npy.ts";
import { savePng } from "../../pipelines/io/png.ts";
import { hostTensor } from "../../pipelines/io/state_dict.ts";
import { gyrus } from "../console.ts";
import { openCommandGpu } from "../_gpu.ts";
import { Files, N, nets } from "./align_files.ts";

// The command opens a device of its own: here only to know that there is one.
(await openCommandGpu())[Symbol.dispose]();

/** Arguments of two short runs. */
function controls(files: Files, out: string, ...more: string[]): string[] {
  const [, , ...rest] = files.fit(out);
  const small = [
    "--epochs",
    "1",
    "--seeds",
    "1",
    "--resamples",
    "300",
    "--n-eig",
    "6",
    "--n-clusters",
    "5",
  ];
  return ["align", "controls", ...rest, ...small, ...more];
}

Deno.test("align controls prints effects with intervals, writes every run, and goes on from its checkpoint", async () => {
  using files = await Files.make();
  files.folder.write("labels.npy", writeNpy(hostTensor(nets.scenes.masks, [N, 32, 32])));
  files.folder.write("roi.npy", writeNpy(hostTensor(Int32Array.from(nets.roi), [96])));
  files.folder.write("places.npy", writeNpy(hostTensor(nets.coordinates.data, [96, 3])));
  Deno.mkdirSync(files.at("images"));
  for (let i = 0; i < N; i++) {
    const noise = normal(randomKey(i), 300);
    const data = Uint8Array.from(noise, (z) => Math.max(0, Math.min(255, 128 + 40 * z)));
    savePng(files.at(`images/${i}.png`), { height: 10, width: 10, data });
  }
  const args = (out: string, ...more: string[]) =>
    controls(
      files,
      out,
      ...["--labels", files.at("labels.npy"), "--images", files.at("images")],
      ...["--conditions", "brain,low-level,unaligned", "--checkpoint", files.at("log"), ...more],
      ...["--roi", files.at("roi.npy"), "--sphere", files.at("places.npy"), "--permutations", "49"],
    );
  const first = await gyrus(...args("a.json"));
  assert.equal(first.code, 0, first.text);
  const lines = first.out.filter((line) => /^(low-level|unaligned) +[a-z]/.test(line));
  assert.equal(lines.length, 2 * 5, first.text);
  assert.equal(first.out.filter((line) => /p 0\.\d{4}|p 1\.0000/.test(line)).length, 3, first.text);
  const written = JSON.parse(Deno.readTextFileSync(files.at("a.json")));
  assert.deepEqual(written.runs.map((run: { condition: string }) => run.condition), [
    ...["brain", "low-level", "unaligned"],
  ]);
  assert.deepEqual([written.heldOut.length, written.runs[0].values.length], [16, 16]);
  assert.deepEqual(written.runs[0].names, Object.keys(written.measures));
  assert.equal(written.runs[2].meanR2, null);
  assert.ok(
    written.runs[0].regions.pSelectivity >= 1 / 50 && written.runs[0].regions.selectivity > 0,
  );
  // As align report reads it.
  const read = parseControlResults(Deno.readFileSync(files.at("a.json")), "Cannot read:");
  assert.deepEqual([read.effects, read.runs[2].meanR2], [written.effects, NaN]);
  const effect = (control: string, measure: string) =>
    written.effects.find((e: Record<string, unknown>) =>
      e.control === control && e.measure === measure
    );
  assert.ok(effect("unaligned", "cosine").low > 0.3, first.text);
  const { mean, low, high } = effect("low-level", "margin");
  assert.ok(low <= mean && mean <= high && mean > 0.1, first.text);
  const again = await gyrus(...args("b.json"), "--json");
  assert.equal(again.code, 0, again.text);
  assert.deepEqual(JSON.parse(Deno.readTextFileSync(files.at("b.json"))), written);
  const other = await gyrus(...args("c.json", "--gamma", "0.5"));
  assert.equal(other.code, 2);
  assert.match(other.text, /another options/);
});

Deno.test("align controls reads masks of classes, and networks with random weights", async () => {
  using files = await Files.make();
  const { masks } = nets.scenes, classes = 4, size = 32 * 32;
  const planes = new Uint8Array(N * classes * size);
  masks.forEach((label, at) => {
    if (label > 0) planes[(Math.floor(at / size) * classes + label - 1) * size + at % size] = 1;
  });
  files.folder.write("masks.npy", writeNpy(hostTensor(planes, [N, classes, 32, 32])));
  for (const [m, name] of ["clip", "dino"].entries()) {
    const { width } = nets.models[m];
    using file = await Hdf5Writer.create(files.at(`${name}_random.h5`));
    for (const layer of [0, 1]) {
      file.createDataset(`/blocks/${layer}`, { shape: [N, 65, width], dtype: "f32" });
      file.writeRows(`/blocks/${layer}`, 0, normal(randomKey(10 * m + layer), N * 65 * width));
    }
    file.setAttribute("/", "prefix_tokens", 1);
    file.setAttribute("/", "grid", [8, 8]);
    file.commit();
  }
  const random = ["clip", "dino"].flatMap((name) => [
    "--random-model",
    `${name}=${files.at(`${name}_random.h5`)}`,
  ]);
  const { code, text } = await gyrus(
    ...controls(files, "a.json", ...random, "--labels", files.at("masks.npy")),
    ...["--conditions", "brain,random-backbone", "--json"],
  );
  assert.equal(code, 0, text);
  const { effects } = JSON.parse(text);
  const truth = effects.find((e: Record<string, unknown>) => e.measure === "truth");
  assert.ok(truth.low > 0.1, text);
});

Deno.test("align controls refuses what it cannot compare", async (t) => {
  using files = await Files.make();
  files.folder.write("labels.npy", writeNpy(hostTensor(new Uint8Array(5 * 64), [5, 8, 8])));
  files.folder.write("few.npy", writeNpy(hostTensor(new Float32Array(8), [4, 2])));
  const cases: [string, string[], RegExp][] = [
    ["a control that is none", ["--conditions", "brain,magic"], /Some of brain,shuffled/],
    ["no brain", ["--conditions", "shuffled"], /brain among them/],
    ["images for low-level", ["--conditions", "brain,low-level"], /it needs the images/],
    ["classes of other images", ["--labels", files.at("labels.npy")], /of 64 images are needed/],
    ["features of other images", ["--readout-features", files.at("few.npy")], /64 rows are needed/],
    ["a ceiling above 1", [
      "--readout-features",
      "X",
      "--noise-ceiling",
      "2",
      "--conditions",
      "brain,readout",
    ], /from 0 to 1/],
    ["places without regions", ["--flat", "X"], /--roi says which there are/],
    ["regions of other voxels", ["--roi", "X"], /96 values are needed/],
    ["no runs", ["--seeds", "0"], /whole number from 1/],
  ];
  files.folder.write("x.npy", writeNpy(hostTensor(normal(randomKey(0), N * 3), [N, 3])));
  for (const [name, args, message] of cases) {
    await t.step(name, async () => {
      const given = args.map((arg) => (arg === "X" ? files.at("x.npy") : arg));
      const { code, errors, text } = await gyrus(...controls(files, "out.json", ...given));
      assert.equal(code, 2, text);
      assert.match(errors.at(-1)!, message);
      assert.ok(!files.folder.list().some((entry) => entry.startsWith("out.json")));
    });
  }
});
