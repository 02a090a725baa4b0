/** Networks of guided-diffusion against float64 on the host: outputs, gradients by the images, and what a checkpoint may get wrong. */
import assert from "node:assert/strict";
import { full } from "../../engine/ops/elementwise.ts";
import { normal, randomKey } from "../../engine/random.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { respacedProcess } from "../../pipelines/diffusion/process.ts";
import { ddim } from "../../pipelines/diffusion/sampler.ts";
import { noiseSchedule } from "../../pipelines/diffusion/schedule.ts";
import { InputError } from "../../pipelines/errors.ts";
import { hostTensor, type StateDict, toFloat32 } from "../../pipelines/io/state_dict.ts";
import { type AdmModel, isAdm, loadAdm } from "../../pipelines/models/adm.ts";
import { loadModel } from "../../pipelines/models/load_model.ts";
import { openTestGpu } from "../_gpu.ts";
import { assertCheckpointed, assertEqualsHost } from "./unet_reference.ts";
import { CLASSES, TinyAdm, type TinyAdmOptions } from "./adm_reference.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const SIZE = 3 * 8 * 8;
const heads = { num_heads: 2 } as const;
const timesteps = [7, 512.25], labels = [3, 0];

/** Outputs of two images and the gradient beside those of the host. */
async function compare(options: TinyAdmOptions, config: Record<string, unknown>): Promise<void> {
  const tiny = new TinyAdm(randomKey(11), options);
  const classLabels = options.hasClasses === false ? undefined : labels;
  using model = await loadAdm(gpu, tiny.stateDict, config);
  await assertEqualsHost(gpu, {
    what: JSON.stringify(options),
    shape: [2, 3, 8, 8],
    forward: (x) => model.forward(x, { timesteps, classLabels }).output,
    onHost: (image, s) => tiny.forward(image, timesteps[s], labels[s]),
  });
}

Deno.test("a UNet with classes, legacy attention and residual blocks that resample equals its float64 reference", async () => {
  await compare({}, heads);
});

Deno.test("a UNet of improved-diffusion's kind equals its reference: embedding added, convolutions that resample, new order", async () => {
  await compare(
    { isAdded: true, resamplesBy: "conv", isNewOrder: true, hasClasses: false },
    { ...heads, use_new_attention_order: true },
  );
  await compare({ resamplesBy: "nothing", hasClasses: false }, { num_head_channels: 32 });
  // classes, the old order, and other heads on the way up; a first level narrower than the model
  await compare(
    { isAdded: true, resamplesBy: "conv", upHeads: 4, isNarrow: true },
    {
      num_heads: 2,
      num_heads_upsample: 4,
      channel_mult: "0.5,1",
      num_channels: 64,
      class_cond: true,
    },
  );
});

Deno.test("classifiers with either head equal their reference", async () => {
  await compare({ head: "attention", hasClasses: false }, heads);
  await compare({ head: "mean", hasClasses: false, resamplesBy: "conv" }, heads);
});

Deno.test("forward() with checkpoint gives the same gradient from less memory, of a UNet and a classifier", async () => {
  for (const options of [{}, { head: "attention", hasClasses: false }] as const) {
    using model = await loadAdm(gpu, new TinyAdm(randomKey(1), options).stateDict, heads);
    const classLabels = "head" in options ? undefined : labels;
    await assertCheckpointed(
      gpu,
      [2, 3, 8, 8],
      (x, checkpoint) => model.forward(x, { timesteps, classLabels, checkpoint }).output,
    );
  }
});

Deno.test("loadAdm() reads levels, blocks and attention off the keys, and compares flags with them", async () => {
  const { stateDict } = new TinyAdm(randomKey(1));
  const flags = {
    ...{ image_size: 64, num_channels: 32, num_res_blocks: 1, channel_mult: "1,2", in_channels: 3 },
    ...{ attention_resolutions: "32,8", class_cond: true, learn_sigma: true, num_heads: 2 },
    ...{
      num_head_channels: -1,
      use_scale_shift_norm: true,
      resblock_updown: true,
      use_fp16: false,
    },
  };
  using model = await loadAdm(gpu, stateDict, flags);
  const { kind, modelChannels, channelMult, numResBlocks, attentionFactors, numClasses } =
    model.layout;
  assert.deepEqual(
    { kind, modelChannels, channelMult, numResBlocks, attentionFactors, numClasses },
    {
      ...{ kind: "unet", modelChannels: 32, channelMult: [1, 2], numResBlocks: 1 },
      ...{ attentionFactors: [2], numClasses: CLASSES },
    },
  );
  const total = [...stateDict.values()].reduce(
    (all, { shape }) => all + shape.reduce((a, b) => a * b, 1),
    0,
  );
  assert.equal(model.parameters, total);
  const wrong: [Record<string, unknown>, RegExp][] = [
    [{ num_channels: 64 }, /num_channels is 64, the checkpoint's shapes say 32/],
    [{ learn_sigma: false }, /learn_sigma is false/],
    [{ class_cond: false }, /class_cond is false/],
    [{ channel_mult: [1, 2, 4] }, /channel_mult is 1,2,4, the checkpoint's shapes say 1,2/],
    [
      { attention_resolutions: "16" },
      /attention_resolutions is factors , the checkpoint's shapes say factors 2/,
    ],
    [{ num_res_blocks: 2 }, /num_res_blocks is 2/],
    [{ dims: 3 }, /dims is 3, the checkpoint's shapes say 2/],
    [{ num_heads: 3 }, /64 channels, which 3 heads do not divide/],
    [{ num_heads: 0 }, /num_heads must be a whole number from 1, it is 0/],
    [{ use_new_attention_order: "yes" }, /must be true or false/],
  ];
  for (const [change, message] of wrong) {
    await assert.rejects(loadAdm(gpu, stateDict, { ...flags, ...change }), (cause) => {
      assert.ok(cause instanceof InputError, `${cause}`);
      assert.match(cause.message, message);
      return true;
    });
  }
  await assert.rejects(
    loadAdm(gpu, stateDict),
    /no shape tells the attention heads of a unet 32 1,2/,
  );
});

Deno.test("loadAdm() takes the order of queries, keys and values from trained weights, and refuses a flag that says another", async () => {
  const { stateDict } = new TinyAdm(randomKey(1), { isNewOrder: true });
  const trained = new Map(stateDict);
  for (const [key, tensor] of stateDict) {
    if (!key.endsWith(".qkv.weight")) continue;
    const values = toFloat32(tensor), third = values.length / 3;
    trained.set(key, hostTensor(values.map((v, i) => i < 2 * third ? v : 3 * v), tensor.shape));
  }
  using x = Tensor.from(gpu, normal(randomKey(2), SIZE), [1, 3, 8, 8]);
  const run = async (flags: Record<string, unknown>) => {
    using model = await loadAdm(gpu, trained, { ...heads, ...flags });
    using out = model.forward(x, { timesteps: [3], classLabels: [1] }).output;
    return await out.data();
  };
  const inferred = await run({});
  assert.deepEqual(inferred, await run({ use_new_attention_order: true }));
  const wrong = { use_new_attention_order: false };
  await assert.rejects(run(wrong), /is false, the sizes of the weights say true: .* lie apart/);
  assert.notDeepEqual(inferred, await run({ ...wrong, strict: false }));
});

Deno.test("samples stop with the step and the layer where numbers cease to be finite", async () => {
  const stateDict = new Map(new TinyAdm(randomKey(1)).stateDict);
  const name = "input_blocks.3.0.out_layers.3.weight", tensor = stateDict.get(name)!;
  stateDict.set(name, hostTensor(toFloat32(tensor).map((v) => v * 1e39), tensor.shape));
  using model = await loadAdm(gpu, stateDict, heads);
  using x = Tensor.from(gpu, normal(randomKey(2), SIZE), [1, 3, 8, 8]);
  const process = respacedProcess(noiseSchedule({ kind: "linear" }), "ddim4");
  await assert.rejects(
    ddim.sample(model, x, { process, classLabels: [1] }),
    /at step 750 the network's output must be finite, the largest value is \w+; the first layer that is not is input_blocks\.3, what it gets reaches \d/,
  );
  using broken = Tensor.from(gpu, normal(randomKey(2), SIZE).fill(NaN, 0, 1), [1, 3, 8, 8]);
  await assert.rejects(
    ddim.sample(model, broken, { process, classLabels: [1] }),
    /; the images that came in are not/,
  );
  using sound = await loadAdm(gpu, new TinyAdm(randomKey(1)).stateDict, heads);
  const guidance = { gradient: () => full(gpu, x.shape, Infinity) };
  await assert.rejects(
    ddim.sample(sound, x, { process, classLabels: [1], guidance }),
    /at step 750 the gradient of guidance must be finite/,
  );
});

Deno.test("loadAdm() refuses checkpoints that are not whole, and takes a prefix", async () => {
  const { stateDict } = new TinyAdm(randomKey(1));
  const changed = (work: (all: Map<string, ReturnType<typeof hostTensor>>) => void): StateDict => {
    const all = new Map(stateDict);
    work(all);
    return all;
  };
  const cases: [StateDict, RegExp][] = [
    [
      changed((all) => all.delete("middle_block.1.qkv.bias")),
      /middle_block\.1\.qkv\.bias" is missing/,
    ],
    [
      changed((all) => all.set("spare", hostTensor(new Float32Array(1), [1]))),
      /keys that are not of the network: "spare"/,
    ],
    [
      changed((all) => all.set("out.2.bias", hostTensor(new Float32Array(5), [5]))),
      /must be \[6\], is \[5\]/,
    ],
    [
      changed((all) =>
        all.set("time_embed.0.bias", hostTensor(new Float32Array(128).fill(NaN), [128]))
      ),
      /value 0 is NaN/,
    ],
    [
      changed((all) => all.delete("output_blocks.3.0.in_layers.0.weight")),
      /is no layer of guided-diffusion/,
    ],
    [new Map(), /expected the key "input_blocks\.0\.0\.weight", found none/],
    [
      new Map([["vit.cls_token", hostTensor(new Float32Array(1), [1])]]),
      /it looks like a transformer, found "vit\.cls_token"/,
    ],
    [
      changed((all) =>
        all.set("out.0.bias", {
          ...{ dtype: "f16", shape: [32] },
          bytes: new Uint8Array(64).map((_, i) => i === 3 ? 0x7c : 0),
        })
      ),
      /value 1 is Infinity, which half precision makes of values beyond 65504/,
    ],
  ];
  for (const [broken, message] of cases) await assert.rejects(loadAdm(gpu, broken, heads), message);
  const inside: StateDict = new Map([...stateDict].map(([name, t]) => [`model.${name}`, t]));
  assert.ok(isAdm(inside) && !isAdm(inside, "") && !isAdm(new Map()));
  using model = await loadModel<AdmModel>(gpu, inside, heads);
  assert.deepEqual([model.family, model.layout.outChannels], ["adm", 6]);
});

Deno.test("AdmModel.forward() refuses what does not fit, and captures by name", async () => {
  const tiny = new TinyAdm(randomKey(1));
  using model = await loadAdm(gpu, tiny.stateDict, heads);
  using x = Tensor.from(gpu, normal(randomKey(2), 2 * SIZE), [2, 3, 8, 8]);
  const given = { timesteps, classLabels: labels };
  const cases: [() => unknown, RegExp][] = [
    [() => model.forward(x, { timesteps }), /a class from 0 to 4 for each of 2 images, got none/],
    [() => model.forward(x, { timesteps, classLabels: [1, 5] }), /got 1,5/],
    [
      () => model.forward(x, { ...given, timesteps: [1] }),
      /a time step from 0 for each of 2 images, got 1/,
    ],
    [() => model.forward(x, { ...given, timesteps: [1, NaN] }), /got 1,NaN/],
    [
      () => model.forward(x, { ...given, capture: ["input_blocks.4"] }),
      /Cannot capture "input_blocks\.4"/,
    ],
    [
      () => tidy(gpu, () => void model.forward(x.alias([2, 3, 64, 1]), given)),
      /sides that 2 divides/,
    ],
    [
      () => tidy(gpu, () => void model.forward(x.alias([6, 1, 8, 8]), given)),
      /images must be \[n, 3,/,
    ],
  ];
  for (const [work, message] of cases) assert.throws(work, message);
  const capture = ["time_embed", "input_blocks.2", "middle_block", "output_blocks.1"];
  const { output, captured } = model.forward(x, { ...given, capture });
  assert.deepEqual(capture.map((name) => captured.get(name)!.shape), [
    ...[[2, 128], [2, 32, 4, 4], [2, 64, 4, 4], [2, 64, 8, 8]],
  ]);
  [output, ...captured.values()].forEach((t) => t.dispose());
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
