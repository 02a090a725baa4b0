/** `gyrus scorer fit` and `gyrus steer` from files to a folder beside the library, and what they say to bad input. */
import assert from "node:assert/strict";
import { foldIn, normal, randomKey } from "../../engine/random.ts";
import { Tensor } from "../../engine/tensor.ts";
import { respacedProcess } from "../../pipelines/diffusion/process.ts";
import { noiseSchedule } from "../../pipelines/diffusion/schedule.ts";
import { hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import { Hdf5File } from "../../pipelines/io/hdf5.ts";
import { writeNpy } from "../../pipelines/io/npy.ts";
import { loadPng } from "../../pipelines/io/png.ts";
import { openSafetensors, saveSafetensors } from "../../pipelines/io/safetensors_file.ts";
import { hostTensor, toFloat32 } from "../../pipelines/io/state_dict.ts";
import { vitFeatures } from "../../pipelines/mig_vis/image_features.ts";
import { traversalJobs } from "../../pipelines/mig_vis/latent_groups.ts";
import { mutualInformation } from "../../pipelines/mig_vis/mutual_information.ts";
import { readScorers } from "../../pipelines/mig_vis/scorer_file.ts";
import { noiseSources, steer } from "../../pipelines/mig_vis/steer.ts";
import { loadAdm } from "../../pipelines/models/adm.ts";
import { loadVit } from "../../pipelines/models/model.ts";
import { fitNeuralVae } from "../../pipelines/vae/fit.ts";
import { writeNeuralVae } from "../../pipelines/vae/vae_file.ts";
import { openCommandGpu } from "../_gpu.ts";
import { gyrus } from "../console.ts";
import { TinyAdm } from "./adm_reference.ts";
import { TestFolder } from "./io_fixtures.ts";
import { toStateDict } from "./vit_fixtures.ts";
import { dino } from "./vit_models.ts";

const folder = new TestFolder(), key = randomKey(12), N = 14, SIZE = 3 * 8 * 8;
const images = normal(foldIn(key, 0), N * SIZE).map((v) => Math.max(-1, Math.min(1, 0.4 * v)));
folder.write("images.npy", writeNpy(hostTensor(images, [N, 3, 8, 8])));
const unet = new TinyAdm(randomKey(3), { hasClasses: false });
saveSafetensors(folder.at("unet.safetensors"), unet.stateDict);
const flags = { num_heads: 2, image_size: 8, noise_schedule: "cosine", learn_sigma: true };
folder.write("unet.config.json", JSON.stringify(flags));
const { keys, config } = dino.layouts[0];
saveSafetensors(folder.at("dino.safetensors"), toStateDict(keys));
folder.write("dino.config.json", JSON.stringify(config));
const other = {
  ...keys,
  "encoder.layer.0.output.dense.bias": { shape: [24], data: new Float32Array(24) },
};
saveSafetensors(folder.at("other.safetensors"), toStateDict(other));
folder.write("other.config.json", JSON.stringify(config));
const responses = hostMatrix(normal(foldIn(key, 1), N * 5), [N, 5]);

async function writeVae(name: string, groups: readonly number[]) {
  const settings = { groups, hidden: 4, epochs: 2, batchSize: 4 };
  const fitted = await fitNeuralVae({ responses }, settings);
  const latents = fitted.vae.encode(responses);
  await writeNeuralVae(folder.at(name), { ...fitted, latents, settings });
  return latents.mu;
}
const latents = await writeVae("vae.h5", [2, 1]);
await writeVae("wide.h5", [1, 2]);

async function run(...args: string[]): Promise<Record<string, unknown>> {
  const { code, text } = await gyrus(...args, "--json");
  assert.equal(code, 0, text);
  return JSON.parse(text.split("\n").at(-1)!);
}

const common = ["--vae", folder.at("vae.h5"), "--images", folder.at("images.npy")];
const fitArgs = (out: string) => [
  ...["scorer", "fit", ...common, "--model", folder.at("dino.safetensors"), "--steps", "4"],
  ...["--projection", "4", "--hidden", "6", "--batch", "5", "--out", folder.at(out)],
];
const steerArgs = (out: string) => [
  ...["steer", ...common, "--model", folder.at("unet.safetensors"), "--steps", "5"],
  ...["--scorer", folder.at("scorers.safetensors"), "--group", "all", "--start", "200"],
  ...["--out", folder.at(out)], // the features' network is where the scorers' file says
];
const few = ["--sources", "3,7", "--gamma", "5,-10"];

Deno.test("scorer fit writes scorers and readouts of groups, the same again, on noisy views too", async () => {
  const said = await run(...fitArgs("scorers.safetensors"));
  const groups = said.groups as { group: number; bound: number; heldOutBatch: number }[];
  assert.deepEqual(groups.map(({ group, heldOutBatch }) => [group, heldOutBatch]), [[0, 3], [
    1,
    3,
  ]]);
  assert.ok(groups.every(({ bound }) => bound <= Math.log(3)));
  await run(...fitArgs("again.safetensors"), "--groups", "1");
  using one = openSafetensors(folder.at("scorers.safetensors"));
  using two = openSafetensors(folder.at("again.safetensors"));
  for (const [name, tensor] of two.tensors) {
    assert.deepEqual(tensor.bytes, one.tensors.get(name)!.bytes, name);
  }
  assert.ok(
    one.tensors.has("groups.0.scorer.fc1.weight") && !two.tensors.has("groups.0.scorer.fc1.weight"),
  );
  assert.deepEqual(two.tensors.get("groups.1.readout.coef")!.shape, [24, 1]);
  const more = ["--views", "3", "--noise", "0.2", "--token", "patches", "--kind", "bilinear"];
  const text = (await gyrus(...fitArgs("views.safetensors"), ...more, "--groups", "0")).text;
  assert.match(text, /^group 0 {2}bound -?\d\.\d+ of at most 1\.10 nats {2}step \d+ {2}R2 -?\d/m);
  const record = JSON.parse(Deno.readTextFileSync(folder.at("views.safetensors.run.json")));
  assert.deepEqual([record.command, record.options.views], ["scorer fit", 3]);
});

async function arrays(
  name: string,
): Promise<Record<string, { shape: number[]; data: Float32Array }>> {
  using file = await Hdf5File.open(folder.at(`${name}/steer.h5`));
  return Object.fromEntries(
    file.datasets().map((path) => [
      path.slice(1),
      { shape: [...file.info(path).shape], data: toFloat32(file.read(path)) },
    ]),
  );
}

Deno.test("steer makes what the library makes, pictures and strips", async () => {
  const said = await run(...steerArgs("steered"), ...few);
  assert.deepEqual([said.sources, said.groups, said.targets], [2, 2, 2]);
  const found = await arrays("steered");
  assert.deepEqual(
    Object.fromEntries(Object.entries(found).map(([name, { shape }]) => [name, shape])),
    {
      ...{ images: [2, 2, 2, 3, 8, 8], unsteered: [2, 3, 8, 8], psnr: [2], gamma: [2] },
      ...{ scores: [2, 2, 2, 2, 2], strengths: [2, 2, 2, 2], sources: [2], groups: [2] },
      timesteps: [2],
    },
  );
  assert.deepEqual([...found.gamma.data, ...found.sources.data, ...found.timesteps.data], [
    ...[5, -10, 3, 7, 200, 0],
  ]);
  const gpu = await openCommandGpu();
  {
    using model = await loadAdm(gpu, unet.stateDict, flags);
    using vit = await loadVit(gpu, toStateDict(keys), config);
    using kept = readScorers(gpu, folder.at("scorers.safetensors"));
    const process = respacedProcess(noiseSchedule({ kind: "cosine" }), "ddim5");
    const criterion = mutualInformation(gpu, vitFeatures(vit), {
      ...{ scorers: kept.scorers, pool: latents, sizes: [2, 1], key: randomKey(0) },
    });
    const gammas = [5, -10], sources = [3, 7], path = { process, start: 200 };
    const jobs = traversalJobs(latents, { sizes: [2, 1], gammas, sources });
    const own = sources.flatMap((s) => [...images.subarray(s * SIZE, (s + 1) * SIZE)]);
    using x = Tensor.from(gpu, own, [2, 3, 8, 8]);
    using noisy = await noiseSources(model, x, path);
    const made = await steer(model, { images: x, noisy }, { ...path, criterion, jobs });
    const all = (rows: readonly ArrayLike<number>[]) => rows.flatMap((row) => Array.from(row));
    assert.deepEqual([...found.images.data], all(made.map(({ image }) => image)));
    const scores = all(made.map(({ before, after }) => [...before, ...after]));
    assert.deepEqual([...found.scores.data], scores.map(Math.fround));
  }
  assert.equal(gpu.liveBytes, 0);
  gpu[Symbol.dispose]();
  const pictures = [...Deno.readDirSync(folder.at("steered/images"))].map(({ name }) => name)
    .sort();
  assert.deepEqual(pictures.slice(0, 4), [
    ...["00003_g0_+5.png", "00003_g0_-10.png", "00003_g1_+5.png", "00003_g1_-10.png"],
  ]);
  // Source, -10, unsteered, +5 of 96 pixels each, in two rows, 2 pixels apart.
  const { width, height } = loadPng(folder.at("steered/strips/00007.png"));
  assert.deepEqual([width, height], [4 * 98 + 2, 2 * 98 + 2]);
  const record = JSON.parse(Deno.readTextFileSync(folder.at("steered/run.json")));
  assert.deepEqual([record.command, record.options.start], ["steer", 200]);
});

Deno.test("steer goes on from a checkpoint that broke off, to the same bytes, with another batch too", async () => {
  const log = ["--checkpoint", folder.at("log")];
  await run(...steerArgs("whole"), ...few, "--seed", "4", ...log);
  const bytes = Deno.readFileSync(folder.at("log")),
    whole = Deno.readFileSync(folder.at("whole/steer.h5"));
  for (const share of [0.3, 0.8]) {
    folder.write("log", bytes.slice(0, Math.round(share * bytes.length)));
    await run(...steerArgs("rest"), ...few, "--seed", "4", ...log, "--batch", "3");
    assert.deepEqual(Deno.readFileSync(folder.at("rest/steer.h5")), whole, `${share}`);
  }
  const { code, text } = await gyrus(...steerArgs("rest"), ...few, "--weight", "5", ...log);
  assert.equal(code, 2);
  assert.match(text, /it belongs to a run with another options/);
});

Deno.test("steer aims at other stimuli, by likelihood, with noise, through the UNet", async () => {
  const one = ["--sources", "0", "--group", "1"];
  const guided = steerArgs("likely").filter((part, i, all) =>
    part !== "--group" && all[i - 1] !== "--group"
  );
  const more = ["--target-index", "2,5", "--guidance", "likelihood", "--weight", "0.1"];
  await run(...guided, ...one, ...more, "--gradient", "full", "--sampler", "sdedit");
  const found = await arrays("likely");
  assert.deepEqual(found.images.shape, [1, 1, 2, 3, 8, 8]);
  assert.deepEqual([...found.target_index.data], [2, 5]);
  assert.deepEqual(found.scores.shape, [1, 1, 2, 2, 1]);
  assert.ok(found.images.data.every(Number.isFinite) && !("gamma" in found));
});

Deno.test("scorer fit and steer name what is wrong", async () => {
  const vae = (name: string, args: string[]) =>
    args.map((part, i) => args[i - 1] === "--vae" ? folder.at(name) : part);
  const changed = (option: string, value: string, args = [...steerArgs("no"), ...few]) =>
    args.map((part, i) => args[i - 1] === option ? value : part);
  folder.write("short.npy", writeNpy(hostTensor(images.slice(0, 2 * SIZE), [2, 3, 8, 8])));
  const cases: [string[], RegExp][] = [
    [vae("wide.h5", [...steerArgs("no"), ...few]), /its groups have 2,1 latents, the VAE's 1,2/],
    [
      [...steerArgs("x"), "--features-model", folder.at("other.safetensors")],
      /another network's \(dino\)/,
    ],
    [
      changed("--group", "0,2"),
      /take group "2": numbers and ranges .* there are 2, counted from 0/,
    ],
    [changed("--sources", "14"), /take images "14"/],
    [[...steerArgs("no"), ...few, "--target-index", "1"], /give one of them/],
    [changed("--images", folder.at("short.npy")), /for each of 14 rows of latents, there are 2/],
    [changed("--start", "350"), /begin at step 350/],
    [changed("--model", folder.at("dino.safetensors")), /--model takes a UNet/],
    [changed("--scorer", folder.at("dino.safetensors")), /format must be "gyrus scorers 1"/],
    [[...steerArgs("no"), ...few, "--n-negatives", "15"], /15 negatives: .* the 14 of the pool/],
    [[...steerArgs("no"), ...few, "--latents", folder.at("images.npy")], /images\.npy/],
    [[...fitArgs("no"), "--groups", "x"], /take group "x"/],
    [[...fitArgs("no"), "--views", "0"], /on 0 views/],
    [[...fitArgs("no"), "--feature-size", "9"], /multiples of 4/],
    [
      changed("--model", folder.at("unet.safetensors"), fitArgs("no")),
      /Cannot recognise the checkpoint/,
    ],
  ];
  for (const [args, message] of cases) {
    const { code, text } = await gyrus(...args);
    assert.equal(code, 2, `${args.join(" ")}: ${text}`);
    assert.match(text, message);
  }
  assert.ok(!folder.list().some((name) => name.startsWith("no")), `${folder.list()}`);
});

Deno.test("remove the files", () => folder[Symbol.dispose]());
