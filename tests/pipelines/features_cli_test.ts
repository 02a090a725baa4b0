import assert from "node:assert/strict";
import { normal, randomKey } from "../../engine/random.ts";
import { Tensor } from "../../engine/tensor.ts";
import { gyrus as run } from "../console.ts";
import { distillDense } from "../../pipelines/dense/distill.ts";
import { whiteInfill } from "../../pipelines/dense/features.ts";
import { patchShifts } from "../../pipelines/dense/offsets.ts";
import { preprocess, stretched } from "../../pipelines/images/preprocess.ts";
import { Hdf5File } from "../../pipelines/io/hdf5.ts";
import { writeNpy } from "../../pipelines/io/npy.ts";
import { savePng } from "../../pipelines/io/png.ts";
import { saveSafetensors } from "../../pipelines/io/safetensors_file.ts";
import { hostTensor, toFloat32 } from "../../pipelines/io/state_dict.ts";
import { loadVit, type VisionModel } from "../../pipelines/models/model.ts";
import { openCommandGpu } from "../_gpu.ts";
import { toStateDict } from "./vit_fixtures.ts";
import * as models from "./vit_models.ts";
import { needs } from "../expectations.ts";

const gpu = await openCommandGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const N = 5;
const SIDE = 12;
const pixels = Float32Array.from(normal(randomKey(11), N * 3 * SIDE * SIDE));
const folder = Deno.makeTempDirSync();
addEventListener("unload", () => Deno.removeSync(folder, { recursive: true }));

/** Files of a tiny model, with a configuration where its layout needs one. */
function writeModel(tiny: models.TinyModel, layout = 0): string[] {
  const { keys, config } = tiny.layouts[layout];
  const stem = `${folder}/${tiny.name.replace(/\W/g, "_")}_${layout}`;
  saveSafetensors(`${stem}.safetensors`, toStateDict(keys));
  Deno.writeTextFileSync(`${stem}.config.json`, JSON.stringify(config));
  return ["--model", `${stem}.safetensors`];
}

saveSafetensors(
  `${folder}/pixels.safetensors`,
  new Map([["x", hostTensor(pixels, [N, 3, SIDE, SIDE])]]),
);
const PIXELS = ["--pixels", `${folder}/pixels.safetensors:x`];

const gyrus = (...args: string[]) => run(...args, "--json");

async function readAllOf(
  path: string,
): Promise<Record<string, { shape: readonly number[]; data: Float32Array }>> {
  using file = await Hdf5File.open(path);
  return Object.fromEntries(
    file.datasets().filter((name) => name !== "/names").map((name) => {
      const tensor = file.read(name);
      return [name, { shape: tensor.shape, data: toFloat32(tensor) }];
    }),
  );
}

function assertClose(a: ArrayLike<number>, b: ArrayLike<number>, label: string): void {
  assert.equal(a.length, b.length, label);
  let [difference, size] = [0, 0];
  for (let i = 0; i < a.length; i++) {
    difference += (a[i] - b[i]) ** 2;
    size += b[i] ** 2;
  }
  // The same kernels on the same numbers, but in batches of another size: rounding of sums, ~1e-7 a layer.
  assert(Math.sqrt(difference / size) < 2e-6, `${label}: ${Math.sqrt(difference / size)}`);
}

async function withModel(tiny: models.TinyModel, body: (model: VisionModel) => Promise<void>) {
  const { keys, config } = tiny.layouts[0];
  using model = await loadVit(gpu, toStateDict(keys), config);
  await body(model);
}

Deno.test("features --pixels writes what the model computes, batch by batch, for a CLIP", async () => {
  const out = `${folder}/clip.h5`;
  const args = ["--layers", "ln_pre,0,1", "--dense", "naclip", "--batch", "2", "--out", out];
  const { code, text } = await gyrus("features", ...writeModel(models.clip), ...PIXELS, ...args);
  assert.equal(code, 0, text);
  assert.equal(JSON.parse(text).family, "clip");
  const saved = await readAllOf(out);
  assert.deepEqual(Object.fromEntries(Object.entries(saved).map(([k, v]) => [k, v.shape])), {
    "/blocks/0": [N, 10, 24],
    "/blocks/1": [N, 10, 24],
    "/cls": [N, 12],
    "/dense": [N, 3, 3, 12],
    "/final": [N, 10, 24],
    "/ln_pre": [N, 10, 24],
    "/projected": [N, 10, 12],
  });
  await withModel(models.clip, async (model) => {
    using x = Tensor.from(gpu, pixels, [N, 3, SIDE, SIDE]);
    const names = ["blocks.0", "blocks.1", "dense", "final", "ln_pre", "projected"];
    const { output, captured } = model.forward(x, { dense: "naclip", capture: names });
    assertClose(saved["/cls"].data, await output.data(), "cls");
    for (const [name, tensor] of captured) {
      assertClose(saved[`/${name.replace(".", "/")}`].data, await tensor.data(), name);
      tensor.dispose();
    }
    output.dispose();
  });
  const record = JSON.parse(Deno.readTextFileSync(`${out}.run.json`));
  assert.equal(record.command, "features");
  assert.equal(record.options.dense, "naclip");
});

Deno.test("features --nodes writes what attention and MLP add to the stream, LayerScale included", async () => {
  const out = `${folder}/nodes.h5`;
  const file = `${folder}/nodes.safetensors`;
  const values = Float32Array.from(normal(randomKey(5), 2 * 3 * 35 * 30));
  saveSafetensors(file, new Map([["x", hostTensor(values, [2, 3, 35, 30])]]));
  const args = ["--pixels", `${file}:x`, "--save", "cls", "--layers", "embeddings,0,1"];
  const model = writeModel(models.dinov2Registers, 2);
  const nodes = ["--nodes", "block,attn,mlp", "--out", out];
  const { code, text } = await gyrus("features", ...model, ...args, ...nodes);
  assert.equal(code, 0, text);
  const saved = await readAllOf(out);
  const stream = ["/embeddings", "/blocks/0", "/blocks/1"].map((name) => saved[name].data);
  for (const i of [0, 1]) {
    const [attn, mlp] = [`/attn/${i}`, `/mlp/${i}`].map((name) => saved[name].data);
    assertClose(stream[i].map((x, at) => x + attn[at] + mlp[at]), stream[i + 1], `block ${i}`);
    assert(attn.some((x) => Math.abs(x) > 1e-3) && mlp.some((x) => Math.abs(x) > 1e-3));
  }
  using h5 = await Hdf5File.open(out);
  const { prefix_tokens, grid } = h5.attributes();
  assert.deepEqual([prefix_tokens, [...grid as number[]]], [3, [7, 6]]);
  assert.equal(saved["/attn/0"].shape[1], 3 + 7 * 6);
  const refused = await gyrus("features", ...model, ...args, "--nodes", "attention", "--out", out);
  assert.equal(refused.code, 2);
  assert.match(refused.text, /Cannot save nodes "attention": --nodes takes block, attn, mlp/);
});

Deno.test("features writes class token and patches of models without a projection, distilled where asked", async () => {
  const out = `${folder}/dino.h5`;
  const file = `${folder}/fifteen.safetensors`;
  const values = Float32Array.from(normal(randomKey(4), 2 * 3 * 35 * 30));
  saveSafetensors(file, new Map([["x", hostTensor(values, [2, 3, 35, 30])]]));
  const args = ["--pixels", `${file}:x`, "--dense", "maskclip", "--distill", "9", "--out", out];
  const { code, text } = await gyrus("features", ...writeModel(models.dinov2Registers, 2), ...args);
  assert.equal(code, 0, text);
  const saved = await readAllOf(out);
  assert.deepEqual(Object.keys(saved).sort(), ["/cls", "/dense", "/final", "/offsets"]);
  await withModel(models.dinov2Registers, async (model) => {
    using x = Tensor.from(gpu, values, [2, 3, 35, 30]);
    using dense = distillDense(model, x, {
      dense: "maskclip",
      shifts: patchShifts([7, 6], 9),
      infill: whiteInfill("dinov2"),
    });
    assert.deepEqual(saved["/dense"].shape, dense.shape);
    assertClose(saved["/dense"].data, await dense.data(), "dense");
    const { output, captured } = model.forward(x, { capture: ["final"] });
    assertClose(saved["/cls"].data, await output.data(), "cls");
    assertClose(saved["/final"].data, await captured.get("final")!.data(), "final");
    output.dispose();
    captured.get("final")!.dispose();
  });
});

Deno.test("features --images prepares images as the family does: cropped, or stretched for dense maps", async () => {
  const [height, width] = [40, 31];
  const data = Uint8Array.from({ length: height * width * 3 }, (_, i) => (i * 37 + i / 7) % 256);
  const image = { height, width, data };
  Deno.mkdirSync(`${folder}/images`, { recursive: true });
  for (const name of ["b2", "b10"]) savePng(`${folder}/images/${name}.png`, image);
  const size = { height: 8, width: 16 };
  for (const [flags, family] of [[[], "clip"], [["--dense", "kk"], stretched("clip")]] as const) {
    const out = `${folder}/images.h5`;
    const args = ["--images", `${folder}/images`, "--size", "8x16", "--save", "cls", ...flags];
    const { code, text } = await gyrus(
      "features",
      ...writeModel(models.clip),
      ...args,
      "--out",
      out,
    );
    assert.equal(code, 0, text);
    const saved = await readAllOf(out);
    using file = await Hdf5File.open(out);
    assert.deepEqual(file.readStrings("/names"), ["b2", "b10"]);
    await withModel(models.clip, async (model) => {
      const prepared = preprocess(image, { family, size });
      using x = Tensor.from(gpu, prepared.data, [1, 3, 8, 16]);
      using output = model.forward(x).output;
      assertClose(saved["/cls"].data.subarray(0, 12), await output.data(), "cls");
    });
  }
});

Deno.test("features takes a folder as model hubs have it, and either of its files with its own configuration", async () => {
  const hub = `${folder}/hub`;
  Deno.mkdirSync(hub);
  const [hf, , , openClip] = models.clip.layouts;
  assert.equal(openClip.name, "open_clip");
  saveSafetensors(`${hub}/model.safetensors`, toStateDict(hf.keys));
  Deno.writeTextFileSync(`${hub}/config.json`, JSON.stringify(hf.config));
  saveSafetensors(`${hub}/open_clip_model.safetensors`, toStateDict(openClip.keys));
  Deno.writeTextFileSync(`${hub}/open_clip_config.json`, JSON.stringify(openClip.config));
  const results = [];
  for (const model of [hub, `${hub}/`, `${hub}/open_clip_model.safetensors`]) {
    const out = `${folder}/hub.h5`;
    const args = ["features", "--model", model, ...PIXELS, "--save", "cls", "--out", out];
    const { code, text } = await gyrus(...args);
    assert.equal(code, 0, text);
    results.push((await readAllOf(out))["/cls"].data);
  }
  assert.deepEqual(results[1], results[0]);
  assert.deepEqual(results[2], results[0]);
  Deno.removeSync(`${hub}/model.safetensors`);
  Deno.removeSync(`${hub}/config.json`);
  const out = `${folder}/hub.h5`;
  const { code, text } = await gyrus("features", "--model", hub, ...PIXELS, "--out", out);
  assert.equal(code, 0, text);
  assert.deepEqual((await readAllOf(out))["/cls"].data, results[0]);
});

Deno.test("features refuses what does not fit with one sentence and exit code 2, and leaves no file", async () => {
  const model = writeModel(models.clip);
  const save = (
    name: string,
    data: Float32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>,
    shape: number[],
  ) => {
    Deno.writeFileSync(`${folder}/${name}.npy`, writeNpy(hostTensor(data, shape)));
    return `${folder}/${name}.npy`;
  };
  const odd = save("odd", new Float32Array(3 * 13 * 12), [1, 3, 13, 12]);
  const bytes = save("bytes", new Uint8Array(3 * 12 * 12), [1, 3, 12, 12]);
  const nan = save("nan", new Float32Array(3 * 12 * 12).fill(NaN), [1, 3, 12, 12]);
  const flat = save("flat", new Float32Array(36), [3, 12]);
  Deno.mkdirSync(`${folder}/empty`, { recursive: true });
  Deno.writeTextFileSync(`${folder}/captions.txt`, "a photo\n");
  const cases: [RegExp, string[]][] = [
    [/exactly one of --images and --pixels/, []],
    [/exactly one of --images and --pixels/, [...PIXELS, "--images", folder]],
    [/multiples of 4/, ["--pixels", odd]],
    [/must be floating point/, ["--pixels", bytes]],
    [/must be floating point/, ["--pixels", flat]],
    [/image 0 \(from 0\) holds NaN/, ["--pixels", nan]],
    [/no such file/, ["--pixels", `${folder}/none.npy`]],
    [/no \.png files/, ["--images", `${folder}/empty`]],
    [/blocks 0 to 1/, [...PIXELS, "--layers", "2"]],
    [/--save takes/, [...PIXELS, "--save", "cls,all"]],
    [/leave --size out/, [...PIXELS, "--size", "16"]],
    [/multiples of 4/, ["--images", `${folder}/images`, "--size", "10"]],
    [/--tokenizer is missing/, [...PIXELS, "--captions", `${folder}/captions.txt`]],
    [/from 1 to 5000/, [...PIXELS, "--distill", "0"]],
    [/counts from 1/, [...PIXELS, "--batch", "0"]],
  ];
  for (const [message, args] of cases) {
    const out = `${folder}/refused.h5`;
    const { code, text } = await gyrus("features", ...model, ...args, "--out", out);
    assert.equal(code, 2, `${message}: ${text}`);
    assert.match(text, message);
    assert.match(text, /^gyrus: [^\n]+$/);
    assert(![...Deno.readDirSync(folder)].some(({ name }) => name.startsWith("refused")), text);
  }
  const wrong = await gyrus(
    "features",
    "--model",
    `${folder}/pixels.safetensors`,
    ...PIXELS,
    "--out",
    `${folder}/refused.h5`,
  );
  assert.equal(wrong.code, 2, wrong.text);
});

Deno.test(
  "features stops on Ctrl-C with exit code 130 and leaves no file",
  needs("posixSignals", Deno.build.os !== "windows"),
  async () => {
    const values = Float32Array.from(normal(randomKey(6), 600 * 3 * 48 * 48));
    saveSafetensors(
      `${folder}/long.safetensors`,
      new Map([["x", hostTensor(values, [600, 3, 48, 48])]]),
    );
    const cli = new URL("../../pipelines/cli.ts", import.meta.url).pathname;
    const child = new Deno.Command(Deno.execPath(), {
      args: [
        ...["run", "--no-prompt", "--allow-read", "--allow-env", `--allow-write=${folder}`, cli],
        ...["features", ...writeModel(models.clip), "--pixels", `${folder}/long.safetensors:x`],
        ...["--batch", "1", "--out", `${folder}/stopped.h5`],
      ],
      stdout: "null",
      stderr: "piped",
    }).spawn();
    const there = () => [...Deno.readDirSync(folder)].map(({ name }) => name);
    for (let i = 0; i < 600 && !there().includes("stopped.h5.partial"); i++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    assert(there().includes("stopped.h5.partial"));
    child.kill("SIGINT");
    const { code, stderr } = await child.output();
    assert.equal(code, 130, new TextDecoder().decode(stderr));
    assert(!there().some((name) => name.startsWith("stopped")));
  },
);
