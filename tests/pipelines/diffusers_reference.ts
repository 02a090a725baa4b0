/**
 * A small `UNet2DConditionModel` and a small `UNet2DModel` of diffusers in float64 on the host, one image at a time: two levels of one
 * residual block, mixing in the first. Keys are written out, so that the model's reading of them is not checked against itself.
 *
 * @module
 */
import { erf64 } from "../../shaders/elementwise/erf.ts";
import type { Key } from "../../engine/random.ts";
import type { StateDict } from "../../pipelines/io/state_dict.ts";
import type { FeatureMap } from "./inception_reference.ts";
import {
  attend,
  Drawn,
  HostLayers,
  joined,
  resampled,
  silu,
  tokensOf,
  withTokens,
} from "./unet_reference.ts";

/** How a network differs from Stable Diffusion's kind. */
export interface TinyDiffusersOptions {
  /** Attention over places alone, as DDPM's, by the names that files of before 2023 have. */
  readonly isPlain?: boolean;
  /** Linear projections in and out of transformers, as Stable Diffusion 2. */
  readonly isLinear?: boolean;
  /** Residual blocks that resample, and time steps that scale and shift. */
  readonly isAdm?: boolean;
  /** A table of classes, or numbers that are told as time steps are. */
  readonly classes?: "table" | "timestep";
  /** Groups of the norm in the middle, which without has none where time steps scale and shift. */
  readonly middleGroups?: number;
  /** Divides the sums of the middle; 0 leaves its attention out. */
  readonly middleScale?: number;
  /** Images from 0 to 1. */
  readonly isCentred?: boolean;
}

/** Classes of a table. */
export const CLASSES = 5;

const WIDTH = 32, EMBEDDING = 4 * WIDTH, CONTEXT = 12;
/** Heads at every level. */
export const HEADS = 2;
/** Width of the context. */
export const CONTEXT_WIDTH = CONTEXT;

function drawBlocks(drawn: Drawn, { isPlain, isLinear, isAdm }: TinyDiffusersOptions) {
  const res = (name: string, cin: number, cout: number) => {
    drawn.norm(`${name}.norm1`, cin);
    drawn.layer(`${name}.conv1`, [cout, cin, 3, 3]);
    drawn.layer(`${name}.time_emb_proj`, [(isAdm ? 2 : 1) * cout, EMBEDDING]);
    drawn.norm(`${name}.norm2`, cout);
    drawn.layer(`${name}.conv2`, [cout, cout, 3, 3]);
    if (cin !== cout) drawn.layer(`${name}.conv_shortcut`, [cout, cin, 1, 1]);
  };
  const transformer = (name: string, c: number) => {
    drawn.norm(`${name}.norm`, c);
    const shape = isLinear ? [c, c] : [c, c, 1, 1];
    drawn.layer(`${name}.proj_in`, shape);
    const block = `${name}.transformer_blocks.0`;
    for (const [n, width] of [[1, c], [2, CONTEXT]]) {
      drawn.norm(`${block}.norm${n}`, c);
      drawn.layer(`${block}.attn${n}.to_q`, [c, c], false);
      drawn.layer(`${block}.attn${n}.to_k`, [c, width], false);
      drawn.layer(`${block}.attn${n}.to_v`, [c, width], false);
      drawn.layer(`${block}.attn${n}.to_out.0`, [c, c]);
    }
    drawn.norm(`${block}.norm3`, c);
    drawn.layer(`${block}.ff.net.0.proj`, [8 * c, c]);
    drawn.layer(`${block}.ff.net.2`, [c, 4 * c]);
    drawn.layer(`${name}.proj_out`, shape);
  };
  const plain = (name: string, c: number, hasNorm = true) => {
    if (hasNorm) drawn.norm(`${name}.group_norm`, c);
    for (const part of ["query", "key", "value", "proj_attn"]) {
      drawn.layer(`${name}.${part}`, [c, c, 1, 1]);
    }
  };
  return { res, mix: isPlain ? plain : transformer };
}

/** Weights under diffusers' names. */
function drawUnet(drawn: Drawn, options: TinyDiffusersOptions): StateDict {
  const { res, mix } = drawBlocks(drawn, options), { isAdm } = options;
  drawn.layer("conv_in", [WIDTH, 4, 3, 3]);
  drawn.layer("time_embedding.linear_1", [EMBEDDING, WIDTH]);
  drawn.layer("time_embedding.linear_2", [EMBEDDING, EMBEDDING]);
  if (options.classes === "table") {
    drawn.draw("class_embedding.weight", [CLASSES, EMBEDDING], 0, 1);
  } else if (options.classes === "timestep") {
    drawn.layer("class_embedding.linear_1", [EMBEDDING, WIDTH]);
    drawn.layer("class_embedding.linear_2", [EMBEDDING, EMBEDDING]);
  }
  res("down_blocks.0.resnets.0", WIDTH, WIDTH);
  mix("down_blocks.0.attentions.0", WIDTH);
  if (isAdm) res("down_blocks.0.downsamplers.0", WIDTH, WIDTH);
  else drawn.layer("down_blocks.0.downsamplers.0.conv", [WIDTH, WIDTH, 3, 3]);
  res("down_blocks.1.resnets.0", WIDTH, 2 * WIDTH);
  res("mid_block.resnets.0", 2 * WIDTH, 2 * WIDTH);
  if (options.middleScale !== 0) {
    mix("mid_block.attentions.0", 2 * WIDTH, !isAdm || options.middleGroups !== undefined);
  }
  res("mid_block.resnets.1", 2 * WIDTH, 2 * WIDTH);
  res("up_blocks.0.resnets.0", 4 * WIDTH, 2 * WIDTH);
  res("up_blocks.0.resnets.1", 3 * WIDTH, 2 * WIDTH);
  if (isAdm) res("up_blocks.0.upsamplers.0", 2 * WIDTH, 2 * WIDTH);
  else drawn.layer("up_blocks.0.upsamplers.0.conv", [2 * WIDTH, 2 * WIDTH, 3, 3]);
  res("up_blocks.1.resnets.0", 3 * WIDTH, WIDTH);
  mix("up_blocks.1.attentions.0", WIDTH);
  res("up_blocks.1.resnets.1", 2 * WIDTH, WIDTH);
  mix("up_blocks.1.attentions.1", WIDTH);
  drawn.norm("conv_norm_out", WIDTH);
  drawn.layer("conv_out", [4, WIDTH, 3, 3]);
  return drawn.tensors;
}

const gelu = (x: number) => x / 2 * (1 + erf64(x / Math.SQRT2));

/** A network with random weights; of a plain one DDPM's settings: [sin | cos], a shift of 1, eps 1e-6, one head, zeros right and below. */
export class TinyDiffusers extends HostLayers {
  constructor(key: Key, readonly options: TinyDiffusersOptions = {}) {
    super(drawUnet(new Drawn(key), options), 32);
  }

  get #eps(): number {
    return this.options.isPlain ? 1e-6 : 1e-5;
  }

  #res(
    x: FeatureMap,
    name: string,
    { active, way, by = 1 }: { active: Float64Array; way?: "up" | "down"; by?: number },
  ): FeatureMap {
    const eps = this.#eps;
    const inner = this.conv(
      resampled(this.norm(x, `${name}.norm1`, { eps }), way),
      `${name}.conv1`,
    );
    const told = this.linear(active, `${name}.time_emb_proj`), area = inner.h * inner.w;
    const channel = (i: number) => Math.floor(i / area);
    let fed: FeatureMap;
    if (this.options.isAdm) {
      const normed = this.norm(inner, `${name}.norm2`, { active: false, eps });
      const data = normed.data.map((v, i) =>
        silu(v * (1 + told[channel(i)]) + told[inner.c + channel(i)])
      );
      fed = { ...normed, data };
    } else {
      const moved = inner.data.map((v, i) => v + told[channel(i)]);
      fed = this.norm({ ...inner, data: moved }, `${name}.norm2`, { eps });
    }
    const out = this.conv(fed, `${name}.conv2`), straight = resampled(x, way);
    const has = this.stateDict.has(`${name}.conv_shortcut.weight`);
    const skip = has ? this.conv(straight, `${name}.conv_shortcut`) : straight;
    return { ...out, data: out.data.map((v, i) => (v + skip.data[i]) / by) };
  }

  #layerNorm(token: Float64Array, name: string): Float64Array {
    const mean = token.reduce((a, b) => a + b, 0) / token.length;
    const variance = token.reduce((a, b) => a + (b - mean) ** 2, 0) / token.length;
    const weight = this.of(`${name}.weight`), bias = this.of(`${name}.bias`);
    return token.map((v, i) => (v - mean) / Math.sqrt(variance + 1e-5) * weight[i] + bias[i]);
  }

  #transformer(x: FeatureMap, name: string, context: Float64Array[]): FeatureMap {
    const block = `${name}.transformer_blocks.0`;
    const plus = (a: Float64Array[], b: Float64Array[]) =>
      a.map((t, i) => t.map((v, j) => v + b[i][j]));
    const all = (tokens: Float64Array[], at: string) =>
      tokens.map((token) => this.linear(token, at));
    let tokens = all(
      tokensOf(this.norm(x, `${name}.norm`, { active: false, eps: 1e-6 })),
      `${name}.proj_in`,
    );
    for (const n of [1, 2]) {
      const normed = tokens.map((token) => this.#layerNorm(token, `${block}.norm${n}`));
      const from = n === 1 ? normed : context, at = `${block}.attn${n}`;
      const parts = [all(normed, `${at}.to_q`), all(from, `${at}.to_k`), all(from, `${at}.to_v`)];
      tokens = plus(tokens, all(attend(parts, HEADS), `${at}.to_out.0`));
    }
    const wide = all(
      tokens.map((token) => this.#layerNorm(token, `${block}.norm3`)),
      `${block}.ff.net.0.proj`,
    );
    const gated = wide.map((token) => {
      const half = token.length / 2;
      return token.slice(0, half).map((v, i) => v * gelu(token[half + i]));
    });
    tokens = plus(tokens, all(gated, `${block}.ff.net.2`));
    return withTokens(x, all(tokens, `${name}.proj_out`));
  }

  #mix(x: FeatureMap, name: string, context: Float64Array[]): FeatureMap {
    if (!this.options.isPlain) return this.#transformer(x, name, context);
    const hasNorm = this.stateDict.has(`${name}.group_norm.weight`);
    const groups = name.startsWith("mid") ? this.options.middleGroups : undefined;
    const settings = { active: false, eps: this.#eps, groups };
    const tokens = tokensOf(hasNorm ? this.norm(x, `${name}.group_norm`, settings) : x);
    const parts = ["query", "key", "value"].map((part) =>
      tokens.map((token) => this.linear(token, `${name}.${part}`))
    );
    const out = attend(parts, 1).map((token) => this.linear(token, `${name}.proj_attn`));
    return withTokens(x, out);
  }

  #embed(number: number, name: string): Float64Array {
    const { isPlain } = this.options, half = WIDTH / 2;
    const sinusoid = Float64Array.from({ length: WIDTH }, (_, i) => {
      const angle = number * Math.exp(-Math.log(1e4) * (i % half) / (half - (isPlain ? 1 : 0)));
      return (i < half) === !isPlain ? Math.cos(angle) : Math.sin(angle);
    });
    return this.linear(this.linear(sinusoid, `${name}.linear_1`).map(silu), `${name}.linear_2`);
  }

  #middle(x: FeatureMap, active: Float64Array, context: Float64Array[]): FeatureMap {
    const { middleScale = 1 } = this.options, by = middleScale || 1;
    const first = this.#res(x, "mid_block.resnets.0", { active, by });
    const mixed = middleScale === 0 ? first : this.#mix(first, "mid_block.attentions.0", context);
    const data = middleScale === 0 ? mixed.data : mixed.data.map((v) => v / by);
    return this.#res({ ...mixed, data }, "mid_block.resnets.1", { active, by });
  }

  /** The output for one image `[4, 8, 8]`. */
  forward(
    image: Float64Array,
    timestep: number,
    { context, label = 0 }: { context: Float64Array[]; label?: number },
  ): Float64Array {
    const { isPlain, isAdm, classes, isCentred } = this.options;
    const table = classes === "table" ? this.of("class_embedding.weight") : undefined;
    const told = classes === "timestep" ? this.#embed(label, "class_embedding") : undefined;
    const active = this.#embed(timestep, "time_embedding").map((v, i) =>
      silu(v + (table?.[label * EMBEDDING + i] ?? told?.[i] ?? 0))
    );
    const data = isCentred ? image.map((v) => 2 * v - 1) : image;
    const a = this.conv({ c: 4, h: 8, w: 8, data }, "conv_in");
    const b = this.#mix(
      this.#res(a, "down_blocks.0.resnets.0", { active }),
      "down_blocks.0.attentions.0",
      context,
    );
    const c = isAdm
      ? this.#res(b, "down_blocks.0.downsamplers.0", { active, way: "down" })
      : isPlain
      ? cornered(this.conv(widened(b), "down_blocks.0.downsamplers.0.conv"))
      : this.conv(b, "down_blocks.0.downsamplers.0.conv", 2);
    const d = this.#res(c, "down_blocks.1.resnets.0", { active });
    let h = this.#middle(d, active, context);
    h = this.#res(joined(h, d), "up_blocks.0.resnets.0", { active });
    h = this.#res(joined(h, c), "up_blocks.0.resnets.1", { active });
    h = isAdm
      ? this.#res(h, "up_blocks.0.upsamplers.0", { active, way: "up" })
      : this.conv(resampled(h, "up"), "up_blocks.0.upsamplers.0.conv");
    h = this.#mix(
      this.#res(joined(h, b), "up_blocks.1.resnets.0", { active }),
      "up_blocks.1.attentions.0",
      context,
    );
    h = this.#mix(
      this.#res(joined(h, a), "up_blocks.1.resnets.1", { active }),
      "up_blocks.1.attentions.1",
      context,
    );
    return this.conv(this.norm(h, "conv_norm_out", { eps: this.#eps }), "conv_out").data;
  }
}

/** A map with a row and a column of zeros below and on the right. */
function widened({ c, h, w, data }: FeatureMap): FeatureMap {
  const out = new Float64Array(c * (h + 1) * (w + 1));
  data.forEach((v, i) => {
    out[(Math.floor(i / (h * w)) * (h + 1) + Math.floor(i / w) % h) * (w + 1) + i % w] = v;
  });
  return { c, h: h + 1, w: w + 1, data: out };
}

/** Of a convolution that keeps the sides, the values whose windows begin at even places inside: stride 2 without padding. */
function cornered({ c, h, w, data }: FeatureMap): FeatureMap {
  const [oh, ow] = [(h - 1) / 2, (w - 1) / 2];
  const out = Float64Array.from({ length: c * oh * ow }, (_, i) => {
    const y = 2 * (Math.floor(i / ow) % oh) + 1, x = 2 * (i % ow) + 1;
    return data[(Math.floor(i / (oh * ow)) * h + y) * w + x];
  });
  return { c, h: oh, w: ow, data: out };
}
