/**
 * Small networks of guided-diffusion in float64 on the host, one image at a time, after `guided_diffusion/unet.py`: two levels of one
 * residual block, attention in the second. Keys are written out, so that the model's reading of them is not checked against itself.
 *
 * @module
 */
import { foldIn, type Key, normal } from "../../engine/random.ts";
import {
  type HostTensor,
  hostTensor,
  type StateDict,
  toFloat32,
} from "../../pipelines/io/state_dict.ts";
import { convolve, type FeatureMap } from "./inception_reference.ts";

/** How a network differs from the default: legacy attention, scale and shift, residual blocks that resample, told classes, a UNet. */
export interface TinyAdmOptions {
  readonly isNewOrder?: boolean;
  readonly isAdded?: boolean;
  readonly resamplesBy?: "res" | "conv" | "nothing";
  readonly hasClasses?: boolean;
  readonly head?: "image" | "attention" | "mean";
}

const WIDTH = 32, HEADS = 2, EMBEDDING = 4 * WIDTH, GROUPS = 32, EPS = 1e-5;
/** Classes that the network is told, and that a classifier tells. */
export const CLASSES = 5;

/** Draw the tensors of layers. */
interface Drawers {
  readonly draw: (name: string, shape: readonly number[], mean?: number, sd?: number) => void;
  readonly layer: (name: string, shape: readonly number[]) => void;
  readonly norm: (name: string, c: number) => void;
  readonly res: (name: string, cin: number, cout: number) => void;
  readonly attention: (name: string) => void;
}

/** A network with random weights. */
export class TinyAdm {
  /** Weights under the repository's names. */
  readonly stateDict: StateDict;
  readonly #options: Required<TinyAdmOptions>;

  constructor(key: Key, options: TinyAdmOptions = {}) {
    this.#options = {
      ...{ isNewOrder: false, isAdded: false, resamplesBy: "res", hasClasses: true, head: "image" },
      ...options,
    };
    const { resamplesBy, hasClasses, isAdded } = this.#options;
    const tensors = new Map<string, HostTensor>();
    const draw = (name: string, shape: readonly number[], mean = 0, sd?: number) => {
      const size = shape.reduce((a, b) => a * b, 1);
      const spread = sd ?? Math.sqrt(1 / (size / shape[0]));
      const values = normal(foldIn(key, tensors.size), size).map((v) => mean + spread * v);
      tensors.set(name, hostTensor(values, shape));
    };
    const layer = (name: string, shape: readonly number[]) => {
      draw(`${name}.weight`, shape);
      draw(`${name}.bias`, [shape[0]], 0, 0.2);
    };
    const norm = (name: string, c: number) => {
      draw(`${name}.weight`, [c], 1, 0.3);
      draw(`${name}.bias`, [c], 0, 0.3);
    };
    const res = (name: string, cin: number, cout: number) => {
      norm(`${name}.in_layers.0`, cin);
      layer(`${name}.in_layers.2`, [cout, cin, 3, 3]);
      layer(`${name}.emb_layers.1`, [(isAdded ? 1 : 2) * cout, EMBEDDING]);
      norm(`${name}.out_layers.0`, cout);
      layer(`${name}.out_layers.3`, [cout, cout, 3, 3]);
      if (cin !== cout) layer(`${name}.skip_connection`, [cout, cin, 1, 1]);
    };
    const attention = (name: string) => {
      norm(`${name}.norm`, 2 * WIDTH);
      layer(`${name}.qkv`, [6 * WIDTH, 2 * WIDTH, 1]);
      layer(`${name}.proj_out`, [2 * WIDTH, 2 * WIDTH, 1]);
    };
    layer("time_embed.0", [EMBEDDING, WIDTH]);
    layer("time_embed.2", [EMBEDDING, EMBEDDING]);
    if (hasClasses) draw("label_emb.weight", [CLASSES, EMBEDDING], 0, 1);
    layer("input_blocks.0.0", [WIDTH, 3, 3, 3]);
    res("input_blocks.1.0", WIDTH, WIDTH);
    if (resamplesBy === "res") res("input_blocks.2.0", WIDTH, WIDTH);
    if (resamplesBy === "conv") layer("input_blocks.2.0.op", [WIDTH, WIDTH, 3, 3]);
    res("input_blocks.3.0", WIDTH, 2 * WIDTH);
    attention("input_blocks.3.1");
    res("middle_block.0", 2 * WIDTH, 2 * WIDTH);
    attention("middle_block.1");
    res("middle_block.2", 2 * WIDTH, 2 * WIDTH);
    this.#drawRest({ draw, layer, norm, res, attention });
    this.stateDict = tensors;
  }

  /** The way up and the head. */
  #drawRest({ draw, layer, norm, res, attention }: Drawers): void {
    const { head, resamplesBy } = this.#options;
    if (head === "image") {
      res("output_blocks.0.0", 4 * WIDTH, 2 * WIDTH);
      attention("output_blocks.0.1");
      res("output_blocks.1.0", 3 * WIDTH, 2 * WIDTH);
      attention("output_blocks.1.1");
      if (resamplesBy === "res") res("output_blocks.1.2", 2 * WIDTH, 2 * WIDTH);
      if (resamplesBy === "conv") layer("output_blocks.1.2.conv", [2 * WIDTH, 2 * WIDTH, 3, 3]);
      res("output_blocks.2.0", 3 * WIDTH, WIDTH);
      res("output_blocks.3.0", 2 * WIDTH, WIDTH);
      norm("out.0", WIDTH);
      layer("out.2", [6, WIDTH, 3, 3]);
    } else {
      norm("out.0", 2 * WIDTH);
      if (head === "mean") layer("out.3", [CLASSES, 2 * WIDTH, 1, 1]);
      else {
        draw("out.2.positional_embedding", [2 * WIDTH, 17], 0, 0.3);
        layer("out.2.qkv_proj", [6 * WIDTH, 2 * WIDTH, 1]);
        layer("out.2.c_proj", [CLASSES, 2 * WIDTH, 1]);
      }
    }
  }

  #of(name: string): Float32Array {
    return toFloat32(this.stateDict.get(name)!);
  }

  #linear(x: ArrayLike<number>, name: string): Float64Array {
    const weight = this.#of(`${name}.weight`), bias = this.#of(`${name}.bias`);
    return Float64Array.from(bias, (b, o) => {
      let sum = b;
      for (let i = 0; i < x.length; i++) sum += weight[o * x.length + i] * x[i];
      return sum;
    });
  }

  #conv(x: FeatureMap, name: string, stride = 1): FeatureMap {
    const weight = this.stateDict.get(`${name}.weight`)!, bias = this.#of(`${name}.bias`);
    const pad = weight.shape[2] === 3 ? 1 : 0;
    const y = convolve(x, weight, { pad: [pad, pad], stride });
    return { ...y, data: y.data.map((v, i) => v + bias[Math.floor(i / (y.h * y.w))]) };
  }

  #norm({ c, h, w, data }: FeatureMap, name: string, active = true): FeatureMap {
    const weight = this.#of(`${name}.weight`), bias = this.#of(`${name}.bias`);
    const each = c / GROUPS * h * w, out = new Float64Array(data.length);
    for (let g = 0; g < GROUPS; g++) {
      const part = data.subarray(g * each, (g + 1) * each);
      const mean = part.reduce((a, b) => a + b, 0) / each;
      const variance = part.reduce((a, b) => a + (b - mean) ** 2, 0) / each;
      part.forEach((v, i) => {
        const channel = Math.floor((g * each + i) / (h * w));
        const y = (v - mean) / Math.sqrt(variance + EPS) * weight[channel] + bias[channel];
        out[g * each + i] = active ? silu(y) : y;
      });
    }
    return { c, h, w, data: out };
  }

  #res(
    x: FeatureMap,
    name: string,
    { active, way }: { active: Float64Array; way?: "up" | "down" },
  ): FeatureMap {
    const inner = this.#conv(
      resampled(this.#norm(x, `${name}.in_layers.0`), way),
      `${name}.in_layers.2`,
    );
    const told = this.#linear(active, `${name}.emb_layers.1`), area = inner.h * inner.w;
    const channelOf = (i: number) => Math.floor(i / area);
    let fed: FeatureMap;
    if (this.#options.isAdded) {
      const moved = inner.data.map((v, i) => v + told[channelOf(i)]);
      fed = this.#norm({ ...inner, data: moved }, `${name}.out_layers.0`);
    } else {
      const normed = this.#norm(inner, `${name}.out_layers.0`, false);
      const data = normed.data.map((v, i) =>
        silu(v * (1 + told[channelOf(i)]) + told[inner.c + channelOf(i)])
      );
      fed = { ...normed, data };
    }
    const out = this.#conv(fed, `${name}.out_layers.3`), straight = resampled(x, way);
    const has = this.stateDict.has(`${name}.skip_connection.weight`);
    const skip = has ? this.#conv(straight, `${name}.skip_connection`) : straight;
    return { ...out, data: out.data.map((v, i) => v + skip.data[i]) };
  }

  /** Attention of tokens `[n][c]` by their packed queries, keys and values. */
  #attend(tokens: Float64Array[], name: string, isNewOrder: boolean): Float64Array[] {
    const packed = tokens.map((token) => this.#linear(token, name));
    const c = tokens[0].length, dim = c / HEADS;
    const at = (head: number, part: number, d: number) =>
      isNewOrder ? part * c + head * dim + d : (head * 3 + part) * dim + d;
    return packed.map((own) => {
      const out = new Float64Array(c);
      for (let head = 0; head < HEADS; head++) {
        const scores = packed.map((other) => {
          let dot = 0;
          for (let d = 0; d < dim; d++) dot += own[at(head, 0, d)] * other[at(head, 1, d)];
          return Math.exp(dot / Math.sqrt(dim));
        });
        const total = scores.reduce((a, b) => a + b);
        for (let d = 0; d < dim; d++) {
          out[head * dim + d] = packed
            .reduce((sum, other, j) => sum + scores[j] / total * other[at(head, 2, d)], 0);
        }
      }
      return out;
    });
  }

  #attention(x: FeatureMap, name: string): FeatureMap {
    const tokens = tokensOf(this.#norm(x, `${name}.norm`, false));
    const attended = this.#attend(tokens, `${name}.qkv`, this.#options.isNewOrder);
    const out = attended.map((token) => this.#linear(token, `${name}.proj_out`));
    const area = x.h * x.w;
    return { ...x, data: x.data.map((v, i) => v + out[i % area][Math.floor(i / area)]) };
  }

  /** The output for one image `[3, 8, 8]`: `[6, 8, 8]`, or logits. */
  forward(image: Float64Array, timestep: number, label: number): Float64Array {
    const { hasClasses, head, resamplesBy } = this.#options;
    const sinusoid = Float64Array.from({ length: WIDTH }, (_, i) => {
      const angle = timestep * Math.exp(-Math.log(1e4) * (i % (WIDTH / 2)) / (WIDTH / 2));
      return i < WIDTH / 2 ? Math.cos(angle) : Math.sin(angle);
    });
    const told = this.#linear(this.#linear(sinusoid, "time_embed.0").map(silu), "time_embed.2");
    const table = hasClasses ? this.#of("label_emb.weight") : undefined;
    const active = told.map((v, i) => silu(v + (table ? table[label * EMBEDDING + i] : 0)));
    const resample = (x: FeatureMap, name: string, way: "up" | "down"): FeatureMap => {
      if (resamplesBy === "res") return this.#res(x, name, { active, way });
      if (resamplesBy === "nothing") return resampled(x, way);
      return way === "down"
        ? this.#conv(x, `${name}.op`, 2)
        : this.#conv(resampled(x, way), `${name}.conv`);
    };
    const a = this.#conv({ c: 3, h: 8, w: 8, data: image }, "input_blocks.0.0");
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
    return this.#conv(this.#norm(h, "out.0"), "out.2").data;
  }

  #classify(x: FeatureMap): Float64Array {
    const tokens = tokensOf(this.#norm(x, "out.0"));
    const mean = tokens[0].map((_, i) =>
      tokens.reduce((sum, token) => sum + token[i], 0) / tokens.length
    );
    if (this.#options.head === "mean") return this.#linear(mean, "out.3");
    const places = this.#of("out.2.positional_embedding");
    const all = [mean, ...tokens].map((token, t) => token.map((v, i) => v + places[i * 17 + t]));
    return this.#linear(this.#attend(all, "out.2.qkv_proj", true)[0], "out.2.c_proj");
  }
}

const silu = (x: number): number => x / (1 + Math.exp(-x));

function tokensOf({ c, h, w, data }: FeatureMap): Float64Array[] {
  return Array.from(
    { length: h * w },
    (_, t) => Float64Array.from({ length: c }, (_, i) => data[i * h * w + t]),
  );
}

function joined(a: FeatureMap, b: FeatureMap): FeatureMap {
  return { ...a, c: a.c + b.c, data: Float64Array.from([...a.data, ...b.data]) };
}

function resampled(x: FeatureMap, way?: "up" | "down"): FeatureMap {
  if (way === undefined) return x;
  const [h, w] = way === "up" ? [2 * x.h, 2 * x.w] : [x.h / 2, x.w / 2];
  const data = Float64Array.from({ length: x.c * h * w }, (_, i) => {
    const c = Math.floor(i / (h * w)), r = Math.floor(i / w) % h, s = i % w;
    const at = (y: number, z: number) => x.data[(c * x.h + y) * x.w + z];
    if (way === "up") return at(r >> 1, s >> 1);
    return (at(2 * r, 2 * s) + at(2 * r, 2 * s + 1) + at(2 * r + 1, 2 * s) +
      at(2 * r + 1, 2 * s + 1)) / 4;
  });
  return { c: x.c, h, w, data };
}
