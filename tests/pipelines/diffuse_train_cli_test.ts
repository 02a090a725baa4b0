/** `gyrus diffuse train` from files to files: what it writes, that a kill costs nothing, and what it says to bad input. */
import assert from "node:assert/strict";
import { randomKey, uniform } from "../../engine/random.ts";
import { noiseSchedule } from "../../pipelines/diffusion/schedule.ts";
import { trainDiffusion } from "../../pipelines/diffusion/train.ts";
import { writeNpy } from "../../pipelines/io/npy.ts";
import { savePng } from "../../pipelines/io/png.ts";
import { openSafetensors } from "../../pipelines/io/safetensors_file.ts";
import { hostTensor, toFloat32 } from "../../pipelines/io/state_dict.ts";
import { openCommandGpu } from "../_gpu.ts";
import { gyrus } from "../console.ts";
import { TestFolder } from "./io_fixtures.ts";
import { killAt, start } from "./killed_process.ts";

const folder = new TestFolder(), N = 6;
const values = uniform(randomKey(1), N * 64).map((u) => 2 * u - 1);
folder.write("images.npy", writeNpy(hostTensor(values, [N, 8, 8])));
folder.write(
  "tiny.json",
  JSON.stringify({
    ...{ dim: 8, dim_mults: [1, 2], attn_heads: 2, attn_dim_head: 4, timesteps: 20 },
    ...{ train_num_steps: 6, train_batch_size: 2, gradient_accumulate_every: 1, train_lr: 1e-3 },
    ...{ objective: "pred_v", augment_horizontal_flip: false },
  }),
);

const given = (out: string, ...more: string[]) => [
  ...["diffuse", "train", "--images", folder.at("images.npy"), "--config", folder.at("tiny.json")],
  ...["--seed", "3", "--json", "--out", folder.at(out), ...more],
];

async function run(...args: string[]): Promise<Record<string, unknown>> {
  const { code, text } = await gyrus(...args);
  assert.equal(code, 0, text);
  return JSON.parse(text.split("\n").at(-1)!);
}

function tensorsOf(path: string): Map<string, Float32Array> {
  using file = openSafetensors(folder.at(path));
  return new Map([...file.tensors].map(([name, t]) => [name, toFloat32(t).slice()]));
}

Deno.test("diffuse train writes what the library trains, and sample draws with it", async () => {
  assert.equal((await run(...given("unet"))).steps, 6);
  using gpu = await openCommandGpu();
  const { tensors, losses } = await trainDiffusion(gpu, { values, shape: [N, 1, 8, 8] }, {
    sizes: { dim: 8, dimMults: [1, 2], channels: 1, heads: 2, dimHead: 4 },
    schedule: noiseSchedule({ kind: "sigmoid", steps: 20 }),
    key: randomKey(3),
    ...{ prediction: "v", steps: 6, batch: 2, accumulate: 1, lr: 1e-3, flip: 0 },
  });
  const found = tensorsOf("unet/model.safetensors");
  for (const [name, tensor] of tensors) assert.deepEqual(found.get(name), toFloat32(tensor), name);
  assert.deepEqual(found.get("losses"), losses);
  assert.equal(found.get("betas")!.length, 20);
  const config = JSON.parse(await Deno.readTextFile(folder.at("unet/config.json")));
  assert.deepEqual([config.objective, config.timesteps, config.dim], ["pred_v", 20, 8]);
  const drawn = await run(
    ...["diffuse", "sample", "--model", folder.at("unet"), "--ema", "--steps", "2", "--json"],
    ...["--out", folder.at("drawn.h5")],
  );
  assert.equal(drawn.n, 1);
});

Deno.test("diffuse train goes on after a kill with the same bits", async () => {
  const whole = tensorsOf("unet/model.safetensors"), state = folder.at("state");
  const kept = ["--checkpoint", state, "--checkpoint-every", "2"];
  const args = given("killed.safetensors", ...kept);
  assert.ok(await killAt(start(args), `${state}/training.safetensors`, 1));
  await run(...args);
  const found = tensorsOf("killed.safetensors");
  assert.deepEqual([...found.keys()].sort(), [...whole.keys()].sort());
  for (const [name, bits] of whole) assert.deepEqual(found.get(name), bits, name);
  const other = await gyrus(...args.map((arg) => arg === "3" ? "4" : arg));
  assert.equal(other.code, 2);
  assert.match(other.text, /belongs to a training with other options, first weights/);
});

Deno.test("diffuse train takes pictures in grey, and says what does not fit", async () => {
  await Deno.mkdir(folder.at("pictures"));
  for (let i = 0; i < 2; i++) {
    const data = Uint8Array.from({ length: 12 * 12 * 3 }, (_, k) => (37 * k * (i + 1)) % 256);
    savePng(folder.at(`pictures/${i}.png`), { width: 12, height: 12, data });
  }
  const pictures = ["--images", folder.at("pictures")], short = ["--steps", "1"];
  await run(...given("grey.safetensors", ...pictures, ...short, "--size", "8"));
  const refused = async (why: RegExp, ...more: string[]) => {
    const { code, text } = await gyrus(...given("refused", ...more));
    assert.equal(code, 2, text);
    assert.match(text, why);
    assert.throws(() => Deno.statSync(folder.at("refused")), Deno.errors.NotFound);
  };
  await refused(/sides that 4 divides/, ...pictures, ...short, "--size", "6", "--mults", "1,2,2");
  await refused(/heads must be whole numbers from 1, got 0/, "--heads", "0");
  await refused(/lr must be above 0, got -1/, "--lr", "-1");
  await refused(/decaySteps must be a whole number from 0 to steps, got 9/, "--decay-steps", "9");
  folder.write("odd.json", JSON.stringify({ dims: 8 }));
  await refused(/it says "dims", it may say dim, /, "--config", folder.at("odd.json"));
  await refused(/Cannot keep the state in/, "--checkpoint", folder.at("refused"));
});

Deno.test("remove the files", () => folder[Symbol.dispose]());
