/** UNets of diffusers against float64 on the host, and every output of the reference case where its folder is named. */
import assert from "node:assert/strict";
import { mul } from "../../engine/ops/elementwise.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { normal, randomKey } from "../../engine/random.ts";
import { Tape } from "../../engine/tape.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../../pipelines/errors.ts";
import { readSafetensors } from "../../pipelines/io/safetensors.ts";
import type { HostTensor, StateDict } from "../../pipelines/io/state_dict.ts";
import {
  type DiffusersUnet,
  isDiffusersUnet,
  loadDiffusersUnet,
} from "../../pipelines/models/diffusers_unet.ts";
import { loadModel } from "../../pipelines/models/load_model.ts";
import { openTestGpu } from "../_gpu.ts";
import { needs } from "../expectations.ts";
import { GoldenFile } from "../golden_file.ts";
import {
  CLASSES,
  CONTEXT_WIDTH,
  TinyDiffusers,
  type TinyDiffusersOptions,
} from "./diffusers_reference.ts";
import { ddpmNames, ldmNames, renamed } from "./unet_names.ts";
import { goldenFolder } from "./golden_vit.ts";
import { assertCheckpointed, assertEqualsHost } from "./unet_reference.ts";
import { relativeError } from "./vit_oracle.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const SIZE = 4 * 8 * 8, TOKENS = 3;
const timesteps = [7, 512.25];
const stable = { attention_head_dim: 2, flip_sin_to_cos: true, freq_shift: 0, norm_eps: 1e-5 };

/** Outputs of two images and the gradient beside those of the host. */
async function compare(
  options: TinyDiffusersOptions,
  config: Record<string, unknown>,
): Promise<void> {
  const tiny = new TinyDiffusers(randomKey(11), options);
  const told = normal(randomKey(8), 2 * TOKENS * CONTEXT_WIDTH);
  using model = await loadDiffusersUnet(gpu, tiny.stateDict, config);
  using tokens = Tensor.from(gpu, told, [2, TOKENS, CONTEXT_WIDTH]);
  const context = options.isPlain ? undefined : tokens;
  const classLabels = options.classes && [3, 1];
  await assertEqualsHost(gpu, {
    what: JSON.stringify(options),
    shape: [2, 4, 8, 8],
    forward: (x) => model.forward(x, { timesteps, context, classLabels }).output,
    onHost(image, s) {
      const rows = Array.from({ length: TOKENS }, (_, t) => {
        const at = (s * TOKENS + t) * CONTEXT_WIDTH;
        return Float64Array.from(told.subarray(at, at + CONTEXT_WIDTH));
      });
      return tiny.forward(image, timesteps[s], { context: rows, label: classLabels?.[s] });
    },
  });
}

Deno.test("a UNet that attends to a context equals its float64 reference, with either kind of projection", async () => {
  await compare({}, stable);
  await compare({ isLinear: true }, { ...stable, attention_head_dim: [2, 2] });
});

Deno.test("UNets of the DDPM family equal their reference, with old names and with residual blocks that resample", async () => {
  const ddpm = {
    ...{ attention_head_dim: null, flip_sin_to_cos: false, freq_shift: 1, norm_eps: 1e-6 },
    downsample_padding: 0,
  };
  await compare({ isPlain: true }, ddpm);
  await compare({ isAdm: true }, stable);
});

Deno.test("UNets of ADM's kind in diffusers equal their reference: classes, and a middle without a norm, with one of its own, or without attention", async () => {
  const flags = {
    ...{ attention_head_dim: null, flip_sin_to_cos: false, freq_shift: 1, norm_eps: 1e-6 },
    ...{ _class_name: "UNet2DModel", resnet_time_scale_shift: "scale_shift" },
    ...{
      down_block_types: ["AttnDownBlock2D", "ResnetDownsampleBlock2D"],
      downsample_type: "resnet",
    },
    ...{ up_block_types: ["ResnetUpsampleBlock2D", "AttnUpBlock2D"], upsample_type: "resnet" },
  };
  const kind = { isPlain: true, isAdm: true } as const;
  await compare({ ...kind, classes: "table" }, { ...flags, num_class_embeds: CLASSES });
  await compare({ ...kind, classes: "timestep", middleGroups: 16, middleScale: Math.SQRT2 }, {
    ...{ ...flags, class_embed_type: "timestep", attn_norm_num_groups: 16 },
    mid_block_scale_factor: Math.SQRT2,
  });
  await compare({ ...kind, middleScale: 0, isCentred: true }, {
    ...{ ...flags, add_attention: false, center_input_sample: true },
  });
});

Deno.test("a network has the same bits under LDM's names, and one of the DDPM family under those of its port", async () => {
  using x = Tensor.from(gpu, normal(randomKey(2), SIZE), [1, 4, 8, 8]);
  const run = async (dict: StateDict, config: Record<string, unknown>, context?: Tensor) => {
    using model = await loadModel<DiffusersUnet>(gpu, dict, config);
    using out = model.forward(x, { timesteps: [3], context }).output;
    return [await out.data(), model.parameters];
  };
  using context = Tensor.from(gpu, normal(randomKey(3), 2 * CONTEXT_WIDTH), [1, 2, CONTEXT_WIDTH]);
  const { stateDict } = new TinyDiffusers(randomKey(1));
  const inFile = renamed(stateDict, ldmNames, "model.diffusion_model.");
  inFile.set("first_stage_model.quant_conv.bias", stateDict.get("conv_in.bias")!);
  const heads = { attention_head_dim: 2 };
  assert.deepEqual(await run(inFile, heads, context), await run(stateDict, heads, context));
  const plain = new TinyDiffusers(randomKey(1), { isPlain: true }).stateDict;
  const ddpm = {
    ...{ attention_head_dim: null, flip_sin_to_cos: false, freq_shift: 1, norm_eps: 1e-6 },
    downsample_padding: 0,
  };
  const port = renamed(plain, ddpmNames, "");
  assert.deepEqual(await run(port, {}), await run(plain, ddpm));
  port.delete("down.0.downsample.conv.weight");
  await assert.rejects(loadDiffusersUnet(gpu, port), /must halve its sides by convolutions/);
  inFile.delete("model.diffusion_model.out.2.bias");
  await assert.rejects(
    loadDiffusersUnet(gpu, inFile),
    /renamed from LDM's: "conv_out\.bias" is missing/,
  );
});

Deno.test("forward() with checkpoint gives the same gradient from less memory, by a context too", async () => {
  using model = await loadDiffusersUnet(gpu, new TinyDiffusers(randomKey(1)).stateDict, stable);
  using context = Tensor.from(gpu, normal(randomKey(3), 2 * CONTEXT_WIDTH), [1, 2, CONTEXT_WIDTH]);
  using x = Tensor.from(gpu, normal(randomKey(4), SIZE), [1, 4, 8, 8]);
  await assertCheckpointed(
    gpu,
    [1, 4, 8, 8],
    (x, checkpoint) => model.forward(x, { timesteps: [3], context, checkpoint }).output,
  );
  await assertCheckpointed(
    gpu,
    [1, 2, CONTEXT_WIDTH],
    (context, checkpoint) => model.forward(x, { timesteps: [3], context, checkpoint }).output,
  );
});

Deno.test("loadDiffusersUnet() reads blocks off the keys, and compares the configuration with them", async () => {
  const { stateDict } = new TinyDiffusers(randomKey(1));
  const config = {
    ...{ ...stable, _class_name: "UNet2DConditionModel", in_channels: 4, out_channels: 4 },
    ...{ block_out_channels: [32, 64], layers_per_block: 1, cross_attention_dim: CONTEXT_WIDTH },
    down_block_types: ["CrossAttnDownBlock2D", "DownBlock2D"],
    up_block_types: ["UpBlock2D", "CrossAttnUpBlock2D"],
  };
  assert.ok(isDiffusersUnet(stateDict) && !isDiffusersUnet(new Map()));
  using model = await loadModel<DiffusersUnet>(gpu, stateDict, config);
  assert.equal(model.family, "diffusers");
  const total = [...stateDict.values()].reduce(
    (all, { shape }) => all + shape.reduce((a, b) => a * b, 1),
    0,
  );
  assert.equal(model.parameters, total);
  const wrong: [Record<string, unknown>, RegExp][] = [
    [
      { block_out_channels: [32, 32] },
      /block_out_channels is 32,32, the checkpoint's shapes say 32,64/,
    ],
    [{ cross_attention_dim: 768 }, /cross_attention_dim is 768/],
    [{ _class_name: "UNet2DModel" }, /_class_name is UNet2DModel, .* UNet2DConditionModel/],
    [{ layers_per_block: 2 }, /layers_per_block is 2/],
    [
      { down_block_types: ["DownBlock2D", "DownBlock2D"] },
      /down_block_types\[0\] is DownBlock2D, .* CrossAttnDownBlock2D/,
    ],
    [{ attention_head_dim: 3 }, /cannot have 3 heads; give attention_head_dim/],
    [{ norm_num_groups: 24 }, /which 24 groups do not divide/],
    [
      { resnet_time_scale_shift: "scale_shift" },
      /resnet_time_scale_shift is scale_shift, .* default/,
    ],
    [{ class_embed_type: "projection" }, /class_embed_type must be/],
    [{ resnet_skip_time_act: true }, /resnet_skip_time_act must be false/],
    [
      { down_block_types: ["SkipDownBlock2D", "DownBlock2D"] },
      /down_block_types has SkipDownBlock2D, which is not known here/,
    ],
    [{ act_fn: "gelu" }, /act_fn must be silu or swish, it is "gelu"/],
    [{ time_embedding_type: "fourier" }, /time_embedding_type must be positional/],
  ];
  for (const [change, message] of wrong) {
    await assert.rejects(loadDiffusersUnet(gpu, stateDict, { ...config, ...change }), (cause) => {
      assert.ok(cause instanceof InputError, `${cause}`);
      assert.match(cause.message, message);
      return true;
    });
  }
});

Deno.test("loadDiffusersUnet() refuses checkpoints that are not whole; forward() what does not fit", async () => {
  const { stateDict } = new TinyDiffusers(randomKey(1));
  const changed = (work: (all: Map<string, HostTensor>) => void): StateDict => {
    const all = new Map(stateDict);
    work(all);
    return all;
  };
  const cases: [StateDict, RegExp][] = [
    [changed((all) => all.delete("mid_block.resnets.1.norm2.bias")), /norm2\.bias" is missing/],
    [
      changed((all) => all.set("add_embedding.linear_1.bias", stateDict.get("conv_in.bias")!)),
      /not of the network: "add_embedding/,
    ],
    [changed((all) => all.delete("up_blocks.1.resnets.0.norm1.weight")), /is missing/],
    [new Map(), /expected the key "conv_in\.weight"/],
  ];
  for (const [broken, message] of cases) {
    await assert.rejects(loadDiffusersUnet(gpu, broken, stable), message);
  }
  using model = await loadDiffusersUnet(gpu, stateDict, stable);
  using x = Tensor.from(gpu, normal(randomKey(2), SIZE), [1, 4, 8, 8]);
  using context = Tensor.from(gpu, normal(randomKey(3), 2 * CONTEXT_WIDTH), [1, 2, CONTEXT_WIDTH]);
  assert.throws(
    () => model.forward(x, { timesteps: [3] }),
    /takes a context \[1, tokens, 12\], got none/,
  );
  assert.throws(
    () => model.forward(x, { timesteps: [3], context, classLabels: [1] }),
    /takes no classLabels/,
  );
  assert.throws(
    () => tidy(gpu, () => void model.forward(x.alias([1, 4, 64, 1]), { timesteps: [3], context })),
    /sides that 2 divides/,
  );
  const capture = ["conv_in", "down_blocks.1", "mid_block", "up_blocks.0"];
  const { output, captured } = model.forward(x, { timesteps: [3], context, capture });
  assert.deepEqual(capture.map((name) => captured.get(name)!.shape), [
    ...[[1, 32, 8, 8], [1, 64, 4, 4], [1, 64, 4, 4], [1, 64, 8, 8]],
  ]);
  [output, ...captured.values()].forEach((t) => t.dispose());
});

const here = needs("golden", goldenFolder !== undefined);
Deno.test(
  "golden: the UNet of the DDPM family, block by block, and its gradient",
  here,
  async () => {
    const path = `${goldenFolder}/diffusers_ddpm`,
      file = new GoldenFile("diffusers_ddpm", goldenFolder);
    const config = JSON.parse(await Deno.readTextFile(`${path}.diffusers.config.json`));
    const weights = readSafetensors(await Deno.readFile(`${path}.diffusers.weights.safetensors`));
    using model = await loadDiffusersUnet(gpu, weights, config);
    using tape = new Tape();
    const { data, shape } = file.f32("in.x");
    using x = Tensor.from(gpu, data, shape);
    using watched = tape.watch(x);
    const capture = ["conv_in", "mid_block", "up_blocks.0", "up_blocks.1", "up_blocks.2"];
    const { output, captured } = model.forward(watched, {
      timesteps: file.i32("in.t").data,
      capture,
    });
    using out = output;
    assert.ok(relativeError(await out.data(), file.f32("out.output").data) < 5e-5);
    for (const name of capture) {
      using tap = captured.get(name)!;
      assert.ok(relativeError(await tap.data(), file.f32(`out.${name}`).data) < 5e-5, name);
    }
    using readout = Tensor.from(gpu, file.f32("in.readout").data, out.shape);
    using loss = tidy(gpu, () => sum(mul(out, readout)));
    const [gradient] = tape.gradient(loss, [watched]);
    using found = gradient;
    assert.ok(relativeError(await found.data(), file.f32("grad.x").data) < 1e-4);
  },
);

Deno.test("close the device", () => gpu[Symbol.dispose]());
