/**
 * The UNet of denoising-diffusion-pytorch in float64 on the host, and random weights of it.
 *
 * @module
 */
import { hostTensor, type StateDict } from "../../pipelines/io/state_dict.ts";
import { erf64 } from "../../shaders/elementwise/erf.ts";
import type { FeatureMap } from "./inception_reference.ts";
import { attend, Drawn, HostLayers, joined, resampled, silu, tokensOf } from "./unet_reference.ts";

/** Sizes of a network; MIG-Vis has 64, (1, 2, 4, 8), 4 heads of 32 and 4 learned tokens. */
export interface Sizes {
  readonly dim: number;
  readonly mults: readonly number[];
  readonly nHeads: number;
  readonly headDim: number;
  readonly nMemory: number;
}
export const tinySizes: Sizes = { dim: 8, mults: [1, 2], nHeads: 2, headDim: 4, nMemory: 3 };

/** Weights by the library's names. */
export function drawUnet(drawn: Drawn, { dim, mults, nHeads, headDim, nMemory }: Sizes): StateDict {
  const hidden = nHeads * headDim, last = mults.length - 1;
  const gain = (name: string, c: number) => drawn.draw(`${name}.g`, [1, c, 1, 1], 1, 0.3);
  const res = (name: string, cin: number, cout: number) => {
    drawn.layer(`${name}.mlp.1`, [2 * cout, 4 * dim]);
    drawn.layer(`${name}.block1.proj`, [cout, cin, 3, 3]);
    gain(`${name}.block1.norm`, cout);
    drawn.layer(`${name}.block2.proj`, [cout, cout, 3, 3]);
    gain(`${name}.block2.norm`, cout);
    if (cin !== cout) drawn.layer(`${name}.res_conv`, [cout, cin, 1, 1]);
  };
  const mix = (name: string, c: number, isFull: boolean) => {
    gain(`${name}.norm`, c);
    drawn.layer(`${name}.to_qkv`, [3 * hidden, c, 1, 1], false);
    const memory = isFull ? [nMemory, headDim] : [headDim, nMemory];
    drawn.draw(`${name}.mem_kv`, [2, nHeads, ...memory], 0, 1);
    drawn.layer(isFull ? `${name}.to_out` : `${name}.to_out.0`, [c, hidden, 1, 1]);
    if (!isFull) gain(`${name}.to_out.1`, c);
  };
  const dims = [dim, ...mults.map((m) => m * dim)];
  drawn.layer("init_conv", [dim, 1, 7, 7]);
  drawn.layer("time_mlp.1", [4 * dim, dim]);
  drawn.layer("time_mlp.3", [4 * dim, 4 * dim]);
  for (let i = 0; i <= last; i++) {
    const [cin, cout] = [dims[i], dims[i + 1]], name = `downs.${i}`;
    res(`${name}.0`, cin, cin);
    res(`${name}.1`, cin, cin);
    mix(`${name}.2`, cin, i === last);
    if (i === last) drawn.layer(`${name}.3`, [cout, cin, 3, 3]);
    else drawn.layer(`${name}.3.1`, [cout, 4 * cin, 1, 1]);
  }
  const bottom = dims[dims.length - 1];
  res("mid_block1", bottom, bottom);
  mix("mid_attn", bottom, true);
  res("mid_block2", bottom, bottom);
  for (let i = 0; i <= last; i++) {
    const [cin, cout] = [dims[last - i], dims[last - i + 1]], name = `ups.${i}`;
    res(`${name}.0`, cout + cin, cout);
    res(`${name}.1`, cout + cin, cout);
    mix(`${name}.2`, cout, i === 0);
    drawn.layer(i === last ? `${name}.3` : `${name}.3.1`, [cin, cout, 3, 3]);
  }
  res("final_res_block", 2 * dim, dim);
  drawn.layer("final_conv", [1, dim, 1, 1]);
  return drawn.tensors;
}

/** Tensors of zeros, which are sooner there. */
export class Zeros extends Drawn {
  override draw(name: string, shape: readonly number[]): void {
    const size = shape.reduce((a, b) => a * b, 1);
    this.tensors.set(name, hostTensor(new Float32Array(size), shape));
  }
}

/** The same on the host, one image at a time, of two levels. */
export class TinyDdp extends HostLayers {
  constructor(stateDict: StateDict) {
    super(stateDict, 1);
  }

  #norm(x: FeatureMap, name: string): FeatureMap {
    const gain = this.of(`${name}.g`), area = x.h * x.w;
    const lengths = tokensOf(x).map((token) => Math.hypot(...token));
    const data = x.data.map((v, i) =>
      v / lengths[i % area] * gain[Math.floor(i / area)] * Math.sqrt(x.c)
    );
    return { ...x, data };
  }

  #wide(x: FeatureMap, name: string): FeatureMap {
    return name === "init_conv" ? this.#seven(x) : this.conv(x, name);
  }

  /** 7×7 as what the host's convolution pads too little for. */
  #seven(x: FeatureMap): FeatureMap {
    const weight = this.of("init_conv.weight"), bias = this.of("init_conv.bias");
    const data = Float64Array.from({ length: bias.length * x.h * x.w }, (_, i) => {
      const o = Math.floor(i / (x.h * x.w)), y = Math.floor(i / x.w) % x.h, z = i % x.w;
      let total = bias[o];
      for (let k = 0; k < 49; k++) {
        const r = y + Math.floor(k / 7) - 3, s = z + k % 7 - 3;
        if (r >= 0 && r < x.h && s >= 0 && s < x.w) {
          total += weight[o * 49 + k] * x.data[r * x.w + s];
        }
      }
      return total;
    });
    return { c: bias.length, h: x.h, w: x.w, data };
  }

  #res(x: FeatureMap, active: Float64Array, name: string): FeatureMap {
    const told = this.linear(active, `${name}.mlp.1`);
    const inner = this.#norm(this.conv(x, `${name}.block1.proj`), `${name}.block1.norm`);
    const channel = (i: number) => Math.floor(i / (inner.h * inner.w));
    const fed = inner.data.map((v, i) =>
      silu(v * (1 + told[channel(i)]) + told[inner.c + channel(i)])
    );
    const out = this.#norm(
      this.conv({ ...inner, data: fed }, `${name}.block2.proj`),
      `${name}.block2.norm`,
    );
    const has = this.stateDict.has(`${name}.res_conv.weight`);
    const skip = has ? this.conv(x, `${name}.res_conv`) : x;
    return { ...out, data: out.data.map((v, i) => silu(v) + skip.data[i]) };
  }

  #mix(x: FeatureMap, name: string): FeatureMap {
    const { nHeads, headDim, nMemory } = tinySizes, hidden = nHeads * headDim;
    const tokens = tokensOf(this.#norm(x, `${name}.norm`)).map((token) =>
      this.linear(token, `${name}.to_qkv`)
    );
    const part = (at: number) => tokens.map((token) => token.slice(at * hidden, (at + 1) * hidden));
    const isFull = this.stateDict.has(`${name}.to_out.weight`), memory = this.of(`${name}.mem_kv`);
    const learned = (at: number) =>
      Array.from({ length: nMemory }, (_, t) =>
        Float64Array.from({ length: hidden }, (_, i) => {
          const row = (at * nHeads + Math.floor(i / headDim)) * nMemory * headDim, d = i % headDim;
          return memory[row + (isFull ? t * headDim + d : d * nMemory + t)];
        }));
    const queries = part(0),
      keys = [...learned(0), ...part(1)],
      values = [...learned(1), ...part(2)];
    let out: Float64Array[];
    if (isFull) {
      out = attend([queries, keys, values], nHeads).map((t) => this.linear(t, `${name}.to_out`));
    } else {
      const exps = keys.map((key) => key.map(Math.exp));
      const totals = Float64Array.from(
        { length: hidden },
        (_, i) => exps.reduce((s, key) => s + key[i], 0),
      );
      out = queries.map((query) => {
        const y = new Float64Array(hidden);
        for (let e = 0; e < hidden; e++) {
          const first = Math.floor(e / headDim) * headDim;
          const own = query.slice(first, first + headDim).map(Math.exp),
            total = own.reduce((a, b) => a + b);
          for (let d = 0; d < headDim; d++) {
            const met = exps.reduce(
              (s, key, j) => s + key[first + d] / totals[first + d] * values[j][e],
              0,
            );
            y[e] += own[d] / total / Math.sqrt(headDim) * met;
          }
        }
        return this.linear(y, `${name}.to_out.0`);
      });
    }
    const area = x.h * x.w;
    const data = Float64Array.from(x.data, (_, i) => out[i % area][Math.floor(i / area)]);
    const attended = isFull ? { ...x, data } : this.#norm({ ...x, data }, `${name}.to_out.1`);
    return { ...x, data: x.data.map((v, i) => v + attended.data[i]) };
  }

  #unshuffled({ c, h, w, data }: FeatureMap): FeatureMap {
    const out = Float64Array.from(data, (_, i) => {
      const channel = Math.floor(i / (h * w / 4)),
        y = Math.floor(i / (w / 2)) % (h / 2),
        z = i % (w / 2);
      const [from, p1, p2] = [channel >> 2, (channel >> 1) & 1, channel & 1];
      return data[(from * h + 2 * y + p1) * w + 2 * z + p2];
    });
    return { c: 4 * c, h: h / 2, w: w / 2, data: out };
  }

  /** The output for one image `[1, 8, 8]`. */
  forward(image: Float64Array, timestep: number): Float64Array {
    const { dim } = tinySizes, half = dim / 2;
    const sinusoid = Float64Array.from({ length: dim }, (_, i) => {
      const angle = timestep * Math.exp(-Math.log(1e4) * (i % half) / (half - 1));
      return i < half ? Math.sin(angle) : Math.cos(angle);
    });
    const gelu = (v: number) => v / 2 * (1 + erf64(v / Math.SQRT2));
    const active = this.linear(this.linear(sinusoid, "time_mlp.1").map(gelu), "time_mlp.3").map(
      silu,
    );
    const res = (x: FeatureMap, name: string) => this.#res(x, active, name);
    const r = this.#wide({ c: 1, h: 8, w: 8, data: image }, "init_conv");
    const a = res(r, "downs.0.0"), b = this.#mix(res(a, "downs.0.1"), "downs.0.2");
    const c = res(this.conv(this.#unshuffled(b), "downs.0.3.1"), "downs.1.0");
    const d = this.#mix(res(c, "downs.1.1"), "downs.1.2");
    let h = res(this.conv(d, "downs.1.3"), "mid_block1");
    h = res(this.#mix(h, "mid_attn"), "mid_block2");
    h = this.#mix(res(joined(res(joined(h, d), "ups.0.0"), c), "ups.0.1"), "ups.0.2");
    h = this.conv(resampled(h, "up"), "ups.0.3.1");
    h = this.#mix(res(joined(res(joined(h, b), "ups.1.0"), a), "ups.1.1"), "ups.1.2");
    h = res(joined(this.conv(h, "ups.1.3"), r), "final_res_block");
    return this.conv(h, "final_conv").data;
  }
}
