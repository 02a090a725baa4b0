/** Stable Diffusion's kind of autoencoder against float64 on the host. */
import assert from "node:assert/strict";
import { mul } from "../../engine/ops/elementwise.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { normal, randomKey } from "../../engine/random.ts";
import { Tape } from "../../engine/tape.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { isAutoencoder, loadAutoencoder } from "../../pipelines/models/autoencoder_kl.ts";
import { openTestGpu } from "../_gpu.ts";
import type { FeatureMap } from "./inception_reference.ts";
import {
  assertSlope,
  attend,
  Drawn,
  HostLayers,
  resampled,
  tokensOf,
  withTokens,
} from "./unet_reference.ts";
import { ldmAutoencoderNames, renamed } from "./unet_names.ts";
import { relativeError } from "./vit_oracle.ts";

const gpu = await openTestGpu();
Deno.test.afterEach(() => assert.equal(gpu.liveBytes, 0));

const WIDTH = 32, LATENT = 4, eps = 1e-6;

/** Two levels of one residual block down, two up, under diffusers' names. */
function drawAutoencoder(): Drawn {
  const drawn = new Drawn(randomKey(2));
  const res = (name: string, cin: number, cout: number) => {
    drawn.norm(`${name}.norm1`, cin);
    drawn.layer(`${name}.conv1`, [cout, cin, 3, 3]);
    drawn.norm(`${name}.norm2`, cout);
    drawn.layer(`${name}.conv2`, [cout, cout, 3, 3]);
    if (cin !== cout) drawn.layer(`${name}.conv_shortcut`, [cout, cin, 1, 1]);
  };
  const middle = (name: string) => {
    res(`${name}.resnets.0`, 2 * WIDTH, 2 * WIDTH);
    drawn.norm(`${name}.attentions.0.group_norm`, 2 * WIDTH);
    for (const part of ["to_q", "to_k", "to_v", "to_out.0"]) {
      drawn.layer(`${name}.attentions.0.${part}`, [2 * WIDTH, 2 * WIDTH]);
    }
    res(`${name}.resnets.1`, 2 * WIDTH, 2 * WIDTH);
  };
  drawn.layer("encoder.conv_in", [WIDTH, 3, 3, 3]);
  res("encoder.down_blocks.0.resnets.0", WIDTH, WIDTH);
  drawn.layer("encoder.down_blocks.0.downsamplers.0.conv", [WIDTH, WIDTH, 3, 3]);
  res("encoder.down_blocks.1.resnets.0", WIDTH, 2 * WIDTH);
  middle("encoder.mid_block");
  drawn.norm("encoder.conv_norm_out", 2 * WIDTH);
  drawn.layer("encoder.conv_out", [2 * LATENT, 2 * WIDTH, 3, 3]);
  drawn.layer("quant_conv", [2 * LATENT, 2 * LATENT, 1, 1]);
  drawn.layer("post_quant_conv", [LATENT, LATENT, 1, 1]);
  drawn.layer("decoder.conv_in", [2 * WIDTH, LATENT, 3, 3]);
  middle("decoder.mid_block");
  res("decoder.up_blocks.0.resnets.0", 2 * WIDTH, 2 * WIDTH);
  drawn.layer("decoder.up_blocks.0.upsamplers.0.conv", [2 * WIDTH, 2 * WIDTH, 3, 3]);
  res("decoder.up_blocks.1.resnets.0", 2 * WIDTH, WIDTH);
  drawn.norm("decoder.conv_norm_out", WIDTH);
  drawn.layer("decoder.conv_out", [3, WIDTH, 3, 3]);
  return drawn;
}

class TinyAutoencoder extends HostLayers {
  #res(x: FeatureMap, name: string): FeatureMap {
    const inner = this.conv(this.norm(x, `${name}.norm1`, { eps }), `${name}.conv1`);
    const out = this.conv(this.norm(inner, `${name}.norm2`, { eps }), `${name}.conv2`);
    const has = this.stateDict.has(`${name}.conv_shortcut.weight`);
    const skip = has ? this.conv(x, `${name}.conv_shortcut`) : x;
    return { ...out, data: out.data.map((v, i) => v + skip.data[i]) };
  }

  #middle(x: FeatureMap, name: string): FeatureMap {
    const h = this.#res(x, `${name}.resnets.0`), at = `${name}.attentions.0`;
    const tokens = tokensOf(this.norm(h, `${at}.group_norm`, { active: false, eps }));
    const parts = ["to_q", "to_k", "to_v"].map((part) =>
      tokens.map((t) => this.linear(t, `${at}.${part}`))
    );
    const out = attend(parts, 1).map((t) => this.linear(t, `${at}.to_out.0`));
    return this.#res(withTokens(h, out), `${name}.resnets.1`);
  }

  /** Moments of an image `[3, 8, 8]`: `[8, 4, 4]`. */
  encode(image: Float64Array): Float64Array {
    let h = this.#res(
      this.conv({ c: 3, h: 8, w: 8, data: image }, "encoder.conv_in"),
      "encoder.down_blocks.0.resnets.0",
    );
    h = this.#res(
      halved(h, (x) => this.conv(x, "encoder.down_blocks.0.downsamplers.0.conv")),
      "encoder.down_blocks.1.resnets.0",
    );
    h = this.#middle(h, "encoder.mid_block");
    return this.conv(
      this.conv(this.norm(h, "encoder.conv_norm_out", { eps }), "encoder.conv_out"),
      "quant_conv",
    ).data;
  }

  /** The image of latents `[4, 4, 4]`: `[3, 8, 8]`. */
  decode(latents: Float64Array): Float64Array {
    const z = this.conv({ c: LATENT, h: 4, w: 4, data: latents }, "post_quant_conv");
    let h = this.#middle(this.conv(z, "decoder.conv_in"), "decoder.mid_block");
    h = this.#res(h, "decoder.up_blocks.0.resnets.0");
    h = this.conv(resampled(h, "up"), "decoder.up_blocks.0.upsamplers.0.conv");
    h = this.#res(h, "decoder.up_blocks.1.resnets.0");
    return this.conv(this.norm(h, "decoder.conv_norm_out", { eps }), "decoder.conv_out").data;
  }
}

/** Stride 2 over a map with zeros on the right and below: every second value of a convolution that keeps the sides, from the second on. */
function halved(
  { c, h, w, data }: FeatureMap,
  convolve: (x: FeatureMap) => FeatureMap,
): FeatureMap {
  const wide = new Float64Array(c * (h + 1) * (w + 1));
  data.forEach((v, i) => {
    wide[(Math.floor(i / (h * w)) * (h + 1) + Math.floor(i / w) % h) * (w + 1) + i % w] = v;
  });
  const y = convolve({ c, h: h + 1, w: w + 1, data: wide }), [oh, ow] = [h / 2, w / 2];
  const out = Float64Array.from({ length: y.c * oh * ow }, (_, i) => {
    const row = 2 * (Math.floor(i / ow) % oh) + 1, column = 2 * (i % ow) + 1;
    return y.data[(Math.floor(i / (oh * ow)) * y.h + row) * y.w + column];
  });
  return { c: y.c, h: oh, w: ow, data: out };
}

Deno.test("AutoencoderKl equals its float64 reference both ways, and so does the gradient by latents", async () => {
  const { tensors } = drawAutoencoder(), tiny = new TinyAutoencoder(tensors, 32);
  assert.ok(isAutoencoder(tensors) && !isAutoencoder(new Map()));
  using model = await loadAutoencoder(gpu, tensors, { scaling_factor: 0.5, norm_num_groups: 32 });
  assert.deepEqual([model.latentChannels, model.factor, model.scalingFactor], [LATENT, 2, 0.5]);
  const image = normal(randomKey(1), 192), latents = normal(randomKey(3), 64);
  using x = Tensor.from(gpu, image, [1, 3, 8, 8]);
  const { mean, logVariance } = model.encode(x);
  using first = mean;
  using second = logVariance;
  const moments = tiny.encode(Float64Array.from(image));
  // Some fifteen layers in f32, each rounding by about 2⁻²⁴ of its values: 20 times their root sum.
  assert.ok(relativeError(await first.data(), moments.subarray(0, 64)) < 5e-6);
  assert.ok(relativeError(await second.data(), moments.subarray(64)) < 5e-6);
  using tape = new Tape();
  using z = Tensor.from(gpu, latents, [1, LATENT, 4, 4]);
  using watched = tape.watch(z);
  using decoded = model.decode(watched);
  assert.ok(relativeError(await decoded.data(), tiny.decode(Float64Array.from(latents))) < 5e-6);
  const readout = normal(randomKey(6), 192);
  using weights = Tensor.from(gpu, readout, [1, 3, 8, 8]);
  using loss = tidy(gpu, () => sum(mul(decoded, weights)));
  const [gradient] = tape.gradient(loss, [watched]);
  using found = gradient;
  const slope = await found.data(), what = "decoder";
  assertSlope((input) => tiny.decode(input), { input: latents, slope, readout, what });
});

Deno.test("loadAutoencoder() takes a prefix, and refuses what is not whole or does not fit", async () => {
  const { tensors } = drawAutoencoder();
  const inside = new Map([...tensors].map(([name, t]) => [`first_stage_model.${name}`, t]));
  inside.set("model.other", tensors.get("quant_conv.bias")!);
  {
    using model = await loadAutoencoder(gpu, inside);
    using x = Tensor.from(gpu, normal(randomKey(1), 3 * 63), [1, 3, 7, 9]);
    assert.throws(() => model.encode(x), /sides that 2 divides/);
    assert.throws(() => model.decode(x), /images must be \[n, 4,/);
  }
  {
    // the same under LDM's names gives the same bits
    const ldm = renamed(tensors, ldmAutoencoderNames, "first_stage_model.");
    ldm.set("first_stage_model.loss.logvar", tensors.get("quant_conv.bias")!);
    ldm.set("model.other", tensors.get("quant_conv.bias")!);
    using z = Tensor.from(gpu, normal(randomKey(3), 64), [1, LATENT, 4, 4]);
    const outputs = [];
    for (const dict of [tensors, ldm]) {
      using model = await loadAutoencoder(gpu, dict);
      using decoded = model.decode(z);
      outputs.push(await decoded.data());
    }
    assert.deepEqual(outputs[1], outputs[0]);
  }
  const broken = new Map(tensors);
  broken.delete("decoder.mid_block.attentions.0.to_out.0.bias");
  await assert.rejects(loadAutoencoder(gpu, broken), /to_out\.0\.bias" is missing/);
  const extra = new Map([...tensors, ["spare", tensors.get("quant_conv.bias")!]]);
  await assert.rejects(loadAutoencoder(gpu, extra), /not of the network: "spare"/);
  await assert.rejects(
    loadAutoencoder(gpu, tensors, { norm_num_groups: 24 }),
    /24 groups do not divide/,
  );
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
