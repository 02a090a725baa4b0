/** The phantom's UNet: its training, what the shipped one tells, and whether images come back from the noise that they are inverted to. */
import assert from "node:assert/strict";
import { normal, randomKey } from "../../engine/random.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { processFrom, respacedProcess } from "../../pipelines/diffusion/process.ts";
import { ddim } from "../../pipelines/diffusion/sampler.ts";
import { noiseSchedule } from "../../pipelines/diffusion/schedule.ts";
import { diffusionLoss } from "../../pipelines/diffusion/train_loss.ts";
import { loadDdpUnet } from "../../pipelines/models/ddp_unet.ts";
import { renderItStimuli } from "../../pipelines/phantom/it_stimuli.ts";
import { loadPhantomNet, phantomNetFiles } from "../../pipelines/phantom/nets.ts";
import { type TrainOptions, trainPhantomNet } from "../../pipelines/phantom/train.ts";
import { unetConfigJson, unetSchedule } from "../../pipelines/phantom/train_unet.ts";
import { openMethodGpu } from "../_gpu.ts";

const gpu = await openMethodGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

Deno.test('trainPhantomNet("unet") gives the same bits twice, and goes on from itself', async () => {
  const run = (options: Partial<TrainOptions>) =>
    trainPhantomNet(gpu, { net: "unet", seed: 3, steps: 2, nScenes: 4, batch: 2, ...options });
  const [first, second] = [await run({}), await run({})];
  assert.deepEqual(first.losses, second.losses);
  for (const [name, { bytes }] of first.tensors) {
    assert.deepEqual(bytes, second.tensors.get(name)!.bytes, name);
  }
  {
    using unet = await loadDdpUnet(gpu, first.tensors);
    assert.equal(unet.parameters, 623_649);
  }
  const later = await run({ from: first.tensors, steps: 1, seed: 4 });
  assert.deepEqual([...later.tensors.keys()], [...first.tensors.keys()]);
  await assert.rejects(run({ net: "cnn", checkpoint: { folder: "state" } }), /the unet alone/);
});

Deno.test("the shipped UNet tells the noise in stimuli that it has not seen", async () => {
  const { config } = phantomNetFiles("unet");
  assert.deepEqual(JSON.parse(await Deno.readTextFile(config)), unetConfigJson);
  using unet = await loadPhantomNet(gpu, "unet");
  const n = 15, timesteps = Array.from({ length: n }, (_, i) => 5 + 10 * i);
  using loss = tidy(gpu, () =>
    diffusionLoss(
      {
        start: Tensor.from(gpu, renderItStimuli(n, { seed: 5 }).images, [n, 1, 32, 32]),
        noise: Tensor.from(gpu, normal(randomKey(4), n * 1024), [n, 1, 32, 32]),
        timesteps,
      },
      noiseSchedule(unetSchedule),
      {
        prediction: "epsilon",
        predict: (x, timesteps) => unet.forward(x, { timesteps }).output,
      },
    ));
  assert.ok(await loss.item() < 0.06, `${await loss.item()}`); // stated in weights/README.md
});

Deno.test("a stimulus comes back from step 135 of the shipped UNet within 35 dB", async () => {
  using unet = await loadPhantomNet(gpu, "unet");
  const { images } = renderItStimuli(1, { seed: 5 });
  using x = Tensor.from(gpu, images, [1, 1, 32, 32]);
  const process = processFrom(respacedProcess(noiseSchedule(unetSchedule)), 135);
  using noise = await ddim.invert(unet, x, { process, clip: false });
  using back = await ddim.sample(unet, noise, { process, clip: false });
  const found = await back.data();
  const error = images.reduce((all, v, i) => all + (v - found[i]) ** 2, 0) / images.length;
  const psnr = 10 * Math.log10(4 / error); // values from −1 to 1
  assert.ok(psnr >= 35, `${psnr} dB`);
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
