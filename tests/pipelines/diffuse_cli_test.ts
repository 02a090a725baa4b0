/** `gyrus diffuse` from files to files beside the library, and what it says to bad input. */
import assert from "node:assert/strict";
import { normal, randomKey } from "../../engine/random.ts";
import { Tensor } from "../../engine/tensor.ts";
import { respacedProcess } from "../../pipelines/diffusion/process.ts";
import { ddim } from "../../pipelines/diffusion/sampler.ts";
import { noiseSchedule } from "../../pipelines/diffusion/schedule.ts";
import { Hdf5File } from "../../pipelines/io/hdf5.ts";
import { writeNpy } from "../../pipelines/io/npy.ts";
import { loadPng } from "../../pipelines/io/png.ts";
import { saveSafetensors } from "../../pipelines/io/safetensors_file.ts";
import { hostTensor, toFloat32 } from "../../pipelines/io/state_dict.ts";
import { loadAdm } from "../../pipelines/models/adm.ts";
import { openCommandGpu } from "../_gpu.ts";
import { gyrus } from "../console.ts";
import { TinyAdm } from "./adm_reference.ts";
import { CONTEXT_WIDTH, TinyDiffusers } from "./diffusers_reference.ts";
import { TestFolder } from "./io_fixtures.ts";

const folder = new TestFolder(), SIZE = 3 * 8 * 8;
const flags = { num_heads: 2, image_size: 8, noise_schedule: "cosine", learn_sigma: true };
const adm = new TinyAdm(randomKey(3));
saveSafetensors(folder.at("adm.safetensors"), adm.stateDict);
folder.write("adm.config.json", JSON.stringify(flags));
const classifier = new TinyAdm(randomKey(4), { head: "attention", hasClasses: false });
saveSafetensors(folder.at("classifier.safetensors"), classifier.stateDict);
folder.write("classifier.config.json", JSON.stringify({ num_heads: 2 }));
const stable = new TinyDiffusers(randomKey(5));
saveSafetensors(folder.at("sd.safetensors"), stable.stateDict);
folder.write("sd.config.json", JSON.stringify({ attention_head_dim: 2, sample_size: 8 }));
const noise = normal(randomKey(6), 2 * SIZE);
folder.write("noise.npy", writeNpy(hostTensor(noise, [2, 3, 8, 8])));
const text = normal(randomKey(7), 6 * CONTEXT_WIDTH);
folder.write("text.npy", writeNpy(hostTensor(text, [2, 3, CONTEXT_WIDTH])));
folder.write(
  "none.npy",
  writeNpy(hostTensor(text.slice(0, 3 * CONTEXT_WIDTH), [3, CONTEXT_WIDTH])),
);

async function run(...args: string[]): Promise<Record<string, unknown>> {
  const { code, text } = await gyrus("diffuse", ...args, "--json");
  assert.equal(code, 0, text);
  return JSON.parse(text.split("\n").at(-1)!);
}

async function arrays(
  path: string,
): Promise<Record<string, { shape: readonly number[]; data: Float32Array }>> {
  using file = await Hdf5File.open(folder.at(path));
  return Object.fromEntries(
    file.datasets().map((name) => [
      name.slice(1),
      { shape: file.info(name).shape, data: toFloat32(file.read(name)) },
    ]),
  );
}

const model = (name: string) => ["--model", folder.at(`${name}.safetensors`)];
const sample = (out: string, ...more: string[]) =>
  run("sample", ...model("adm"), "--steps", "4", "--class", "1", "--out", folder.at(out), ...more);

Deno.test("diffuse sample makes what the library makes of the same noise, whatever the batch, and goes on from a checkpoint", async () => {
  const given = ["--noise", folder.at("noise.npy")];
  assert.deepEqual((await sample("a.h5", ...given, "--batch", "2")).n, 2);
  const found = await arrays("a.h5");
  assert.deepEqual(found.trajectory.shape, [4, 2, 3, 8, 8]);
  assert.deepEqual(found.images.shape, [2, 3, 8, 8]);
  assert.deepEqual(found.trajectory.data.slice(3 * 2 * SIZE), found.images.data);
  assert.deepEqual([...found.timesteps.data], [750, 500, 250, 0]);
  {
    using gpu = await openCommandGpu();
    using unet = await loadAdm(gpu, adm.stateDict, flags);
    using x = Tensor.from(gpu, noise, [2, 3, 8, 8]);
    using images = await ddim.sample(unet, x, {
      process: respacedProcess(noiseSchedule({ kind: "cosine" }), "ddim4"),
      classLabels: [1, 1],
    });
    assert.deepEqual(found.images.data, await images.data());
  }
  const kept = ["--checkpoint", folder.at("kept.log")];
  await sample("b.h5", ...given, ...kept, "--batch", "1");
  await sample("c.h5", ...given, ...kept);
  for (const out of ["b.h5", "c.h5"]) assert.deepEqual(await arrays(out), found);
  const other = await gyrus(
    ...["diffuse", "sample", ...model("adm"), "--steps", "5", "--class", "1", ...given, ...kept],
    ...["--out", folder.at("d.h5")],
  );
  assert.equal(other.code, 2);
  assert.match(other.text, /options/);
});

Deno.test("diffuse sample draws noise by the seed, adds DDPM's, follows a classifier, and makes pictures", async () => {
  const ddpm = ["--sampler", "ddpm", "--n", "2"];
  await sample("p", ...ddpm, "--seed", "1", "--batch", "2");
  const first = await arrays("p/diffuse.h5"), last = first.images.data.subarray(SIZE);
  assert.deepEqual([...first.timesteps.data], [999, 666, 333, 0]); // guided-diffusion's "4"
  const { width, data } = loadPng(folder.at("p/images/00001.png"));
  assert.equal(width, 8);
  data.forEach((byte, at) => {
    const value = last[(at % 3) * 64 + Math.floor(at / 3)];
    assert.equal(byte, Math.round(255 * Math.min(1, Math.max(0, (value + 1) / 2))));
  });
  const one = ["--batch", "1", "--no-trajectory"];
  await sample("q", ...ddpm, "--seed", "1", ...one);
  const second = await arrays("q/diffuse.h5");
  assert.deepEqual([second.images, second.noise], [first.images, first.noise]);
  assert.ok(!("trajectory" in second));
  const led = ["--classifier", folder.at("classifier.safetensors"), "--classifier-scale", "20"];
  await sample("s", ...ddpm, "--seed", "1", ...one, ...led);
  const third = await arrays("s/diffuse.h5");
  assert.deepEqual(third.noise, first.noise);
  assert.notDeepEqual(third.images, first.images);
});

Deno.test("diffuse sample tells a network of diffusers its context, with guidance by another one", async () => {
  const args = [
    "sample",
    ...model("sd"),
    "--n",
    "2",
    "--steps",
    "3",
    "--context",
    folder.at("text.npy"),
  ];
  await run(...args, "--out", folder.at("t.h5"));
  const plain = await arrays("t.h5");
  assert.deepEqual([...plain.timesteps.data], [667, 334, 1]); // Stable Diffusion's offset of 1
  const none = ["--uncond-context", folder.at("none.npy"), "--guidance-scale"];
  await run(...args, ...none, "3", "--out", folder.at("v.h5"));
  const guided = await arrays("v.h5"), at = 4 * 64;
  // image 0 has the context of no text, so that guidance changes nothing but rounding
  const far = (s: number) =>
    Math.max(
      ...guided.images.data.slice(s * at, (s + 1) * at).map((v, i) =>
        Math.abs(v - plain.images.data[s * at + i])
      ),
    );
  assert.ok(far(0) < 1e-3 * Math.max(...plain.images.data.map(Math.abs)) && far(1) > 1e-2);
});

Deno.test("diffuse invert finds noise that sampling makes the images of again", async () => {
  const colors = noise.map((v) => Math.tanh(v));
  folder.write("images.npy", writeNpy(hostTensor(colors, [2, 3, 8, 8])));
  const args = ["--images", folder.at("images.npy"), "--class", "1", "--clip", "none"];
  const { psnr } = await run(
    "invert",
    ...model("adm"),
    ...args,
    "--out",
    folder.at("i.h5"),
    "--steps",
    "5",
  );
  const found = await arrays("i.h5");
  assert.deepEqual(found.trajectory.shape, [4, 2, 3, 8, 8]);
  assert.deepEqual(found.trajectory.data.slice(3 * 2 * SIZE), found.latents.data);
  for (const [s, db] of (psnr as number[]).entries()) {
    const error = found.reconstructions.data.slice(s * SIZE, (s + 1) * SIZE)
      .reduce((sum, v, i) => sum + (v - colors[s * SIZE + i]) ** 2, 0) / SIZE;
    assert.ok(Math.abs(db - 10 * Math.log10(4 / error)) < 1e-6);
  }
  await run(
    ...["sample", ...model("adm"), "--noise", `${folder.at("i.h5")}:/latents`, "--class", "1"],
    ...["--clip", "none", "--steps", "5", "--out", folder.at("k.h5")],
  );
  assert.deepEqual((await arrays("k.h5")).images, found.reconstructions);
});

Deno.test("diffuse names what is wrong in one sentence and exits with 2", async () => {
  const given = ["sample", ...model("adm"), "--class", "1", "--out", folder.at("x.h5")];
  const cases: [string[], RegExp][] = [
    [[...given, "--steps", "0"], /--steps 0/],
    [[...given, "--steps", "7", "--spacing", "ddim7000"], /7000 of 1000 steps/],
    [[...given, "--class", "1,2", "--n", "3"], /2 classes for 3 images/],
    [[...given, "--noise", folder.at("text.npy")], /must be \[n, channels, height, width\]/],
    [[...given, "--context", folder.at("text.npy")], /--context: the network was trained without/],
    [[...given, "--guidance-scale", "3"], /takes --uncond-context or --null-class/],
    [[...given, "--ema"], /has none, no keys begin with "ema"; its networks are under ""/],
    [
      [...given, "--classifier", folder.at("adm.safetensors")],
      /takes a classifier of guided-diffusion/,
    ],
    [[...given, "--schedule", "exp"], /Allowed choices/],
    [
      ["sample", ...model("classifier"), "--out", folder.at("x.h5")],
      /a classifier, which tells classes/,
    ],
    [
      ["sample", ...model("sd"), "--out", folder.at("x.h5"), "--class", "0"],
      /--class: the network/,
    ],
    [
      ["invert", ...model("adm"), "--out", folder.at("x.h5"), "--images", folder.at("text.npy")],
      /must be \[n, 3,/,
    ],
  ];
  for (const [args, message] of cases) {
    const { code, text } = await gyrus("diffuse", ...args);
    assert.equal(code, 2, `${args.join(" ")}: ${text}`);
    assert.match(text, message);
    assert.equal(text.trim().split("\n").length, 1);
  }
  assert.ok(![...Deno.readDirSync(folder.at("."))].some(({ name }) => name.startsWith("x.h5")));
});

Deno.test("close the folder", () => folder[Symbol.dispose]());
