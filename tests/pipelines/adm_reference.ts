/**
 * Small networks of guided-diffusion in float64 on the host, one image at a time, after `guided_diffusion/unet.py`: two levels of one
 * residual block, attention in the second. Keys are written out, so that the model's reading of them is not checked against itself.
 *
 * @module
 */
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

/** How a network differs from the default: legacy attention, scale and shift, residual blocks that resample, told classes, a UNet. */
export interface TinyAdmOptions {
  readonly isNewOrder?: boolean;
  readonly isAdded?: boolean;
  readonly resamplesBy?: "res" | "conv" | "nothing";
  readonly hasClasses?: boolean;
  readonly head?: "image" | "attention" | "mean";
  /** Heads on the way up, where they are others. */
  readonly upHeads?: number;
  /** Whether the first level has half of the model's channels, as the released network of 512 pixels. */
  readonly isNarrow?: boolean;
}

const WIDTH = 32, HEADS = 2;
/** Classes that the network is told, and that a classifier tells. */
export const CLASSES = 5;

/** A network with random weights. */
export class TinyAdm extends HostLayers {
  readonly #options: Required<TinyAdmOptions>;

  constructor(key: Key, options: TinyAdmOptions = {}) {
    const filled: Required<TinyAdmOptions> = {
      ...{ isNewOrder: false, isAdded: false, resamplesBy: "res", hasClasses: true, head: "image" },
      ...{ upHeads: HEADS, isNarrow: false },
      ...options,
    };
    super(drawAdm(new Drawn(key), filled), 32);
    this.#options = filled;
  }

  #res(
    x: FeatureMap,
    name: string,
    { active, way }: { active: Float64Array; way?: "up" | "down" },
  ): FeatureMap {
    const inner = this.conv(
      resampled(this.norm(x, `${name}.in_layers.0`), way),
      `${name}.in_layers.2`,
    );
    const told = this.linear(active, `${name}.emb_layers.1`), area = inner.h * inner.w;
    const channelOf = (i: number) => Math.floor(i / area);
    let fed: FeatureMap;
    if (this.#options.isAdded) {
      const moved = inner.data.map((v, i) => v + told[channelOf(i)]);
      fed = this.norm({ ...inner, data: moved }, `${name}.out_layers.0`);
    } else {
      const normed = this.norm(inner, `${name}.out_layers.0`, { active: false });
      const data = normed.data.map((v, i) =>
        silu(v * (1 + told[channelOf(i)]) + told[inner.c + channelOf(i)])
      );
      fed = { ...normed, data };
    }
    const out = this.conv(fed, `${name}.out_layers.3`), straight = resampled(x, way);
    const has = this.stateDict.has(`${name}.skip_connection.weight`);
    const skip = has ? this.conv(straight, `${name}.skip_connection`) : straight;
    return { ...out, data: out.data.map((v, i) => v + skip.data[i]) };
  }

  /** Attention of tokens `[n][c]` by their packed queries, keys and values. */
  #attend(tokens: Float64Array[], name: string, isNewOrder: boolean): Float64Array[] {
    const packed = tokens.map((token) => this.linear(token, name));
    const nHeads = name.startsWith("output") ? this.#options.upHeads : HEADS;
    const c = tokens[0].length, dim = c / nHeads;
    const part = (at: number) =>
      packed.map((token) =>
        Float64Array.from({ length: c }, (_, i) => {
          const head = Math.floor(i / dim);
          return token[isNewOrder ? at * c + i : (head * 3 + at) * dim + i % dim];
        })
      );
    return attend([part(0), part(1), part(2)], nHeads);
  }

  #attention(x: FeatureMap, name: string): FeatureMap {
    const tokens = tokensOf(this.norm(x, `${name}.norm`, { active: false }));
    const attended = this.#attend(tokens, `${name}.qkv`, this.#options.isNewOrder);
    const out = attended.map((token) => this.linear(token, `${name}.proj_out`));
    return withTokens(x, out);
  }

  /** The output for one image `[3, 8, 8]`: `[6, 8, 8]`, or logits. */
  forward(image: Float64Array, timestep: number, label: number): Float64Array {
    const { hasClasses, head, resamplesBy } = this.#options,
      channels = modelChannels(this.#options);
    const half = channels / 2;
    const sinusoid = Float64Array.from({ length: channels }, (_, i) => {
      const angle = timestep * Math.exp(-Math.log(1e4) * (i % half) / half);
      return i < half ? Math.cos(angle) : Math.sin(angle);
    });
    const told = this.linear(this.linear(sinusoid, "time_embed.0").map(silu), "time_embed.2");
    const table = hasClasses ? this.of("label_emb.weight") : undefined;
    const active = told.map((v, i) => silu(v + (table ? table[label * 4 * channels + i] : 0)));
    const resample = (x: FeatureMap, name: string, way: "up" | "down"): FeatureMap => {
      if (resamplesBy === "res") return this.#res(x, name, { active, way });
      if (resamplesBy === "nothing") return resampled(x, way);
      return way === "down"
        ? this.conv(x, `${name}.op`, 2)
        : this.conv(resampled(x, way), `${name}.conv`);
    };
    const a = this.conv({ c: 3, h: 8, w: 8, data: image }, "input_blocks.0.0");
    const b = this.#res(a, "input_blocks.1.0", { active });
    const c = resample(b, "input_blocks.2.0", "down");
    const d = this.#attention(this.#res(c, "input_blocks.3.0", { active }), "input_blocks.3.1");
    const first = this.#res(d, "middle_block.0", { active });
    let h: FeatureMap = this.#res(this.#attention(first, "middle_block.1"), "middle_block.2", {
      active,
    });
    if (head !== "image") return this.#classify(h);
    h = this.#attention(
      this.#res(joined(h, d), "output_blocks.0.0", { active }),
      "output_blocks.0.1",
    );
    h = this.#attention(
      this.#res(joined(h, c), "output_blocks.1.0", { active }),
      "output_blocks.1.1",
    );
    h = resample(h, "output_blocks.1.2", "up");
    h = this.#res(joined(h, b), "output_blocks.2.0", { active });
    h = this.#res(joined(h, a), "output_blocks.3.0", { active });
    return this.conv(this.norm(h, "out.0"), "out.2").data;
  }

  #classify(x: FeatureMap): Float64Array {
    const tokens = tokensOf(this.norm(x, "out.0"));
    const mean = tokens[0].map((_, i) =>
      tokens.reduce((sum, token) => sum + token[i], 0) / tokens.length
    );
    if (this.#options.head === "mean") return this.linear(mean, "out.3");
    const places = this.of("out.2.positional_embedding");
    const all = [mean, ...tokens].map((token, t) => token.map((v, i) => v + places[i * 17 + t]));
    return this.linear(this.#attend(all, "out.2.qkv_proj", true)[0], "out.2.c_proj");
  }
}

const modelChannels = ({ isNarrow }: TinyAdmOptions) => isNarrow ? 2 * WIDTH : WIDTH;

/** Draw the tensors of blocks. */
interface Drawers {
  readonly res: (name: string, cin: number, cout: number) => void;
  readonly attention: (name: string) => void;
}

/** Weights under the repository's names. */
function drawAdm(drawn: Drawn, options: Required<TinyAdmOptions>): StateDict {
  const { resamplesBy, hasClasses, isAdded } = options;
  const channels = modelChannels(options), embedding = 4 * channels;
  const res = (name: string, cin: number, cout: number) => {
    drawn.norm(`${name}.in_layers.0`, cin);
    drawn.layer(`${name}.in_layers.2`, [cout, cin, 3, 3]);
    drawn.layer(`${name}.emb_layers.1`, [(isAdded ? 1 : 2) * cout, embedding]);
    drawn.norm(`${name}.out_layers.0`, cout);
    drawn.layer(`${name}.out_layers.3`, [cout, cout, 3, 3]);
    if (cin !== cout) drawn.layer(`${name}.skip_connection`, [cout, cin, 1, 1]);
  };
  const attention = (name: string) => {
    drawn.norm(`${name}.norm`, 2 * WIDTH);
    drawn.layer(`${name}.qkv`, [6 * WIDTH, 2 * WIDTH, 1]);
    drawn.layer(`${name}.proj_out`, [2 * WIDTH, 2 * WIDTH, 1]);
  };
  drawn.layer("time_embed.0", [embedding, channels]);
  drawn.layer("time_embed.2", [embedding, embedding]);
  if (hasClasses) drawn.draw("label_emb.weight", [CLASSES, embedding], 0, 1);
  drawn.layer("input_blocks.0.0", [WIDTH, 3, 3, 3]);
  res("input_blocks.1.0", WIDTH, WIDTH);
  if (resamplesBy === "res") res("input_blocks.2.0", WIDTH, WIDTH);
  if (resamplesBy === "conv") drawn.layer("input_blocks.2.0.op", [WIDTH, WIDTH, 3, 3]);
  res("input_blocks.3.0", WIDTH, 2 * WIDTH);
  attention("input_blocks.3.1");
  res("middle_block.0", 2 * WIDTH, 2 * WIDTH);
  attention("middle_block.1");
  res("middle_block.2", 2 * WIDTH, 2 * WIDTH);
  drawRest(drawn, options, { res, attention });
  return drawn.tensors;
}

/** The way up and the head. */
function drawRest(
  drawn: Drawn,
  { head, resamplesBy }: Required<TinyAdmOptions>,
  { res, attention }: Drawers,
): void {
  if (head === "image") {
    res("output_blocks.0.0", 4 * WIDTH, 2 * WIDTH);
    attention("output_blocks.0.1");
    res("output_blocks.1.0", 3 * WIDTH, 2 * WIDTH);
    attention("output_blocks.1.1");
    if (resamplesBy === "res") res("output_blocks.1.2", 2 * WIDTH, 2 * WIDTH);
    if (resamplesBy === "conv") drawn.layer("output_blocks.1.2.conv", [2 * WIDTH, 2 * WIDTH, 3, 3]);
    res("output_blocks.2.0", 3 * WIDTH, WIDTH);
    res("output_blocks.3.0", 2 * WIDTH, WIDTH);
    drawn.norm("out.0", WIDTH);
    drawn.layer("out.2", [6, WIDTH, 3, 3]);
  } else {
    drawn.norm("out.0", 2 * WIDTH);
    if (head === "mean") drawn.layer("out.3", [CLASSES, 2 * WIDTH, 1, 1]);
    else {
      drawn.draw("out.2.positional_embedding", [2 * WIDTH, 17], 0, 0.3);
      drawn.layer("out.2.qkv_proj", [6 * WIDTH, 2 * WIDTH, 1]);
      drawn.layer("out.2.c_proj", [CLASSES, 2 * WIDTH, 1]);
    }
  }
}
