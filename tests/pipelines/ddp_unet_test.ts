/** The UNet of denoising-diffusion-pytorch against float64 on the host; MIG-Vis's by its number of weights. */
import assert from "node:assert/strict";
import { mul } from "../../engine/ops/elementwise.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { normal, randomKey } from "../../engine/random.ts";
import { Tape } from "../../engine/tape.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { hostTensor } from "../../pipelines/io/state_dict.ts";
import { type DdpUnet, isDdpUnet, loadDdpUnet } from "../../pipelines/models/ddp_unet.ts";
import { loadModel } from "../../pipelines/models/load_model.ts";
import { openTestGpu } from "../_gpu.ts";
import { drawUnet, TinyDdp, tinySizes, Zeros } from "./ddp_reference.ts";
import { assertCheckpointed, assertSlope, Drawn } from "./unet_reference.ts";
import { relativeError } from "./vit_oracle.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

Deno.test("DdpUnet equals its float64 reference, and so does its gradient by the images", async () => {
  const stateDict = drawUnet(new Drawn(randomKey(4)), tinySizes), tiny = new TinyDdp(stateDict);
  const images = normal(randomKey(5), 128), timesteps = [3, 120];
  using model = await loadModel<DdpUnet>(gpu, stateDict);
  assert.deepEqual([model.family, model.inChannels, model.outChannels], ["ddp", 1, 1]);
  using tape = new Tape();
  using x = Tensor.from(gpu, images, [2, 1, 8, 8]);
  using watched = tape.watch(x);
  using out = model.forward(watched, { timesteps }).output;
  const values = await out.data();
  const image = (s: number) => Float64Array.from(images.subarray(64 * s, 64 * s + 64));
  for (let s = 0; s < 2; s++) {
    // Some forty layers in f32, each rounding by about 2⁻²⁴ of its values: 20 times their root sum.
    const error = relativeError(
      values.subarray(64 * s, 64 * s + 64),
      tiny.forward(image(s), timesteps[s]),
    );
    assert.ok(error < 1e-5, `image ${s}: ${error}`);
  }
  const readout = normal(randomKey(6), 128);
  using weights = Tensor.from(gpu, readout, out.shape);
  using loss = tidy(gpu, () => sum(mul(out, weights)));
  const [gradient] = tape.gradient(loss, [watched]);
  using found = gradient;
  const slope = (await found.data()).subarray(0, 64), what = "DdpUnet";
  assertSlope((input) => tiny.forward(input, timesteps[0]), {
    input: image(0),
    slope,
    readout,
    what,
  });
});

Deno.test("MIG-Vis's UNet has 35,705,089 weights in 245 tensors", async () => {
  const shapes = drawUnet(new Zeros(randomKey(0)), {
    dim: 64,
    mults: [1, 2, 4, 8],
    nHeads: 4,
    headDim: 32,
    nMemory: 4,
  });
  assert.equal(shapes.size, 245);
  using model = await loadDdpUnet(gpu, shapes);
  assert.equal(model.parameters, 35_705_089);
});

Deno.test("forward() with checkpoint gives the same gradient from less memory", async () => {
  using model = await loadDdpUnet(gpu, drawUnet(new Drawn(randomKey(4)), tinySizes));
  await assertCheckpointed(
    gpu,
    [2, model.inChannels, 8, 8],
    (x, checkpoint) => model.forward(x, { timesteps: [3, 40], checkpoint }).output,
  );
});

Deno.test("loadDdpUnet() passes over what is beside the network, and refuses what is not whole", async () => {
  const stateDict = drawUnet(new Drawn(randomKey(4)), tinySizes);
  const saved = new Map([...stateDict].map(([name, t]) => [`model.${name}`, t]));
  saved.set("betas", hostTensor(new Float32Array(150), [150]));
  assert.ok(isDdpUnet(saved) && !isDdpUnet(saved, "") && !isDdpUnet(new Map()));
  {
    using model = await loadDdpUnet(gpu, saved);
    using x = Tensor.from(gpu, normal(randomKey(1), 64), [1, 1, 8, 8]);
    const capture = ["init_conv", "downs.0", "mid_block", "ups.1"];
    const { output, captured } = model.forward(x, { timesteps: [3], capture });
    assert.deepEqual(capture.map((name) => captured.get(name)!.shape), [
      ...[[1, 8, 8, 8], [1, 8, 4, 4], [1, 16, 4, 4], [1, 8, 8, 8]],
    ]);
    [output, ...captured.values()].forEach((t) => t.dispose());
    assert.throws(() => model.forward(x, { timesteps: [-1] }), /a time step from 0/);
    assert.throws(
      () => model.forward(x, { timesteps: [1], capture: ["downs.2"] }),
      /Cannot capture/,
    );
  }
  const both = new Map([
    ...saved,
    ...[...saved].map(([name, t]) => [`ema_model.${name}`, t] as const),
  ]);
  await assert.rejects(loadDdpUnet(gpu, both), /name one with the option "prefix"/);
  const broken = new Map(stateDict);
  broken.delete("mid_attn.mem_kv");
  await assert.rejects(loadDdpUnet(gpu, broken), /mem_kv" is missing/);
  const extra = new Map([...stateDict, ["spare", stateDict.get("init_conv.bias")!]]);
  await assert.rejects(loadDdpUnet(gpu, extra), /not of the network: "spare"/);
  const wrong = new Map([...stateDict, [
    "mid_attn.mem_kv",
    hostTensor(new Float32Array(12), [2, 1, 3, 2]),
  ]]);
  await assert.rejects(loadDdpUnet(gpu, wrong), /heads that make 8 channels, is \[2,1,3,2\]/);
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
