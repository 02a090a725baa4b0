/**
 * Inception V3 in float64 on the host, one image at a time, after torchvision's `forward`: the names and windows are written out here
 * once more, so that a wrong table of the model is not checked against itself. Weights are drawn when a layer is first met.
 *
 * @module
 */
import { foldIn, type Key, normal } from "../../engine/random.ts";
import {
  hostArray,
  type HostTensor,
  hostTensor,
  type StateDict,
} from "../../pipelines/io/state_dict.ts";

/** A map of one image. */
export interface FeatureMap {
  readonly c: number;
  readonly h: number;
  readonly w: number;
  readonly data: Float64Array;
}

interface Window {
  readonly stride?: number;
  readonly pad?: readonly [number, number];
}

const EPS = 1e-3;
/** Of ImageNet, as torchvision's transforms have them. */
const MEAN = [0.485, 0.456, 0.406], STD = [0.229, 0.224, 0.225];

/** Values of a tensor of f32 or f64, which gradients by differences take. */
export function floatsOf(tensor: HostTensor): Float32Array | Float64Array {
  const values = hostArray(tensor);
  if (values instanceof Float32Array || values instanceof Float64Array) return values;
  throw new RangeError(`f32 or f64, not ${tensor.dtype}`);
}

/** Cross-correlation of a map with `[cout, cin, kh, kw]`, zeros around it. */
export function convolve(
  x: FeatureMap,
  weight: HostTensor,
  { stride = 1, pad = [0, 0] }: Window,
): FeatureMap {
  const [cout, cin, kh, kw] = weight.shape;
  if (cin !== x.c) throw new RangeError(`${cin} channels, map has ${x.c}`);
  const values = floatsOf(weight);
  const h = Math.floor((x.h + 2 * pad[0] - kh) / stride) + 1;
  const w = Math.floor((x.w + 2 * pad[1] - kw) / stride) + 1;
  const data = new Float64Array(cout * h * w);
  for (let o = 0; o < cout; o++) {
    for (let i = 0; i < h * w; i++) {
      const top = Math.floor(i / w) * stride - pad[0], left = (i % w) * stride - pad[1];
      let sum = 0;
      for (let k = 0; k < cin * kh * kw; k++) {
        const y = top + Math.floor(k / kw) % kh, z = left + k % kw;
        if (y < 0 || y >= x.h || z < 0 || z >= x.w) continue;
        sum += values[o * cin * kh * kw + k] *
          x.data[(Math.floor(k / (kh * kw)) * x.h + y) * x.w + z];
      }
      data[o * h * w + i] = sum;
    }
  }
  return { c: cout, h, w, data };
}

/** Every window of 3×3, as its values inside the image. */
function pooled(
  x: FeatureMap,
  { stride, pad }: { stride: number; pad: number },
  f: (values: number[]) => number,
): FeatureMap {
  const h = Math.floor((x.h + 2 * pad - 3) / stride) + 1;
  const w = Math.floor((x.w + 2 * pad - 3) / stride) + 1;
  const data = Float64Array.from({ length: x.c * h * w }, (_, i) => {
    const top = Math.floor(i / w) % h * stride - pad, left = (i % w) * stride - pad;
    const plane = Math.floor(i / (h * w)) * x.h * x.w;
    const values: number[] = [];
    for (let y = Math.max(0, top); y < Math.min(x.h, top + 3); y++) {
      for (let z = Math.max(0, left); z < Math.min(x.w, left + 3); z++) {
        values.push(x.data[plane + y * x.w + z]);
      }
    }
    return f(values);
  });
  return { c: x.c, h, w, data };
}

const maxPool = (x: FeatureMap) => pooled(x, { stride: 2, pad: 0 }, (v) => Math.max(...v));
const avgPool = (x: FeatureMap) =>
  pooled(x, { stride: 1, pad: 1 }, (v) => v.reduce((a, b) => a + b) / 9);

function cat(maps: readonly FeatureMap[]): FeatureMap {
  const [{ h, w }] = maps;
  return {
    ...{ c: maps.reduce((sum, map) => sum + map.c, 0), h, w },
    data: Float64Array.from(maps.flatMap(({ data }) => [...data])),
  };
}

/** A network of torchvision's widths over 16. */
export class TinyInception {
  readonly #tensors = new Map<string, HostTensor>();
  readonly #key: Key;

  constructor(key: Key) {
    this.#key = key;
    this.forward(new Float64Array(3 * 75 * 75), [75, 75]); // draws the weights
    for (const name of ["AuxLogits.conv0.conv.weight", "AuxLogits.fc.bias"]) this.#draw(name, [2]);
  }

  /** The weights under torchvision's names. */
  get stateDict(): StateDict {
    return this.#tensors;
  }

  #draw(name: string, shape: readonly number[], [mean, spread] = [0, 1]): HostTensor {
    const known = this.#tensors.get(name);
    if (known) return known;
    const size = shape.reduce((a, b) => a * b, 1);
    const draws = normal(foldIn(this.#key, this.#tensors.size), size);
    const made = hostTensor(Float32Array.from(draws, (v) => mean + spread * v), shape);
    this.#tensors.set(name, made);
    return made;
  }

  /** `BasicConv2d`; `cout` is torchvision's. */
  #conv(
    x: FeatureMap,
    name: string,
    { cout, k: [kh, kw], ...window }: Window & { cout: number; k: readonly [number, number] },
  ): FeatureMap {
    const c = cout / 16;
    const fan = Math.sqrt(2 / (x.c * kh * kw));
    const y = convolve(x, this.#draw(`${name}.conv.weight`, [c, x.c, kh, kw], [0, fan]), window);
    const [gamma, beta, mean, variance] = ([
      ["weight", [1, 0.2]],
      ["bias", [0.1, 0.2]],
      ["running_mean", [0, 0.2]],
      ["running_var", [1, 0.1]],
    ] as const).map(([part, [at, spread]]) => {
      return new Float32Array(this.#draw(`${name}.bn.${part}`, [c], [at, spread]).bytes.buffer);
    });
    this.#draw(`${name}.bn.num_batches_tracked`, []);
    const plane = y.h * y.w;
    const data = y.data.map((v, i) => {
      const o = Math.floor(i / plane);
      return Math.max(0, (v - mean[o]) / Math.sqrt(variance[o] + EPS) * gamma[o] + beta[o]);
    });
    return { ...y, data };
  }

  #one = (x: FeatureMap, name: string, cout: number) => this.#conv(x, name, { cout, k: [1, 1] });
  #three = (x: FeatureMap, name: string, cout: number) =>
    this.#conv(x, name, { cout, k: [3, 3], pad: [1, 1] });
  #down = (x: FeatureMap, name: string, cout: number) =>
    this.#conv(x, name, { cout, k: [3, 3], stride: 2 });
  #row = (x: FeatureMap, name: string, cout: number, k: number) =>
    this.#conv(x, name, { cout, k: [1, k], pad: [0, (k - 1) / 2] });
  #column = (x: FeatureMap, name: string, cout: number, k: number) =>
    this.#conv(x, name, { cout, k: [k, 1], pad: [(k - 1) / 2, 0] });

  #blockA(x: FeatureMap, m: string, pool: number): FeatureMap {
    const five = this.#one(x, `${m}.branch5x5_1`, 48);
    let dbl = this.#one(x, `${m}.branch3x3dbl_1`, 64);
    dbl = this.#three(dbl, `${m}.branch3x3dbl_2`, 96);
    return cat([
      this.#one(x, `${m}.branch1x1`, 64),
      this.#conv(five, `${m}.branch5x5_2`, { cout: 64, k: [5, 5], pad: [2, 2] }),
      this.#three(dbl, `${m}.branch3x3dbl_3`, 96),
      this.#one(avgPool(x), `${m}.branch_pool`, pool),
    ]);
  }

  #blockB(x: FeatureMap, m: string): FeatureMap {
    let dbl = this.#one(x, `${m}.branch3x3dbl_1`, 64);
    dbl = this.#three(dbl, `${m}.branch3x3dbl_2`, 96);
    return cat([
      this.#down(x, `${m}.branch3x3`, 384),
      this.#down(dbl, `${m}.branch3x3dbl_3`, 96),
      maxPool(x),
    ]);
  }

  #blockC(x: FeatureMap, m: string, c7: number): FeatureMap {
    let seven = this.#one(x, `${m}.branch7x7_1`, c7);
    seven = this.#row(seven, `${m}.branch7x7_2`, c7, 7);
    let dbl = this.#one(x, `${m}.branch7x7dbl_1`, c7);
    dbl = this.#column(dbl, `${m}.branch7x7dbl_2`, c7, 7);
    dbl = this.#row(dbl, `${m}.branch7x7dbl_3`, c7, 7);
    dbl = this.#column(dbl, `${m}.branch7x7dbl_4`, c7, 7);
    return cat([
      this.#one(x, `${m}.branch1x1`, 192),
      this.#column(seven, `${m}.branch7x7_3`, 192, 7),
      this.#row(dbl, `${m}.branch7x7dbl_5`, 192, 7),
      this.#one(avgPool(x), `${m}.branch_pool`, 192),
    ]);
  }

  #blockD(x: FeatureMap, m: string): FeatureMap {
    let seven = this.#one(x, `${m}.branch7x7x3_1`, 192);
    seven = this.#row(seven, `${m}.branch7x7x3_2`, 192, 7);
    seven = this.#column(seven, `${m}.branch7x7x3_3`, 192, 7);
    return cat([
      this.#down(this.#one(x, `${m}.branch3x3_1`, 192), `${m}.branch3x3_2`, 320),
      this.#down(seven, `${m}.branch7x7x3_4`, 192),
      maxPool(x),
    ]);
  }

  #blockE(x: FeatureMap, m: string): FeatureMap {
    const three = this.#one(x, `${m}.branch3x3_1`, 384);
    const dbl = this.#three(this.#one(x, `${m}.branch3x3dbl_1`, 448), `${m}.branch3x3dbl_2`, 384);
    return cat([
      this.#one(x, `${m}.branch1x1`, 320),
      this.#row(three, `${m}.branch3x3_2a`, 384, 3),
      this.#column(three, `${m}.branch3x3_2b`, 384, 3),
      this.#row(dbl, `${m}.branch3x3dbl_3a`, 384, 3),
      this.#column(dbl, `${m}.branch3x3dbl_3b`, 384, 3),
      this.#one(avgPool(x), `${m}.branch_pool`, 192),
    ]);
  }

  /** Taps of a normalised image `[3, h, w]`, by torchvision's names. */
  forward(image: Float64Array, [h, w]: readonly [number, number]): Map<string, FeatureMap> {
    const taps = new Map<string, FeatureMap>();
    const plane = h * w;
    const data = image.map((v, i) => {
      const c = Math.floor(i / plane);
      return v * (STD[c] / 0.5) + (MEAN[c] - 0.5) / 0.5; // _transform_input
    });
    let x: FeatureMap = { c: 3, h, w, data };
    const tap = (name: string, y: FeatureMap) => taps.set(name, x = y);
    tap("Conv2d_1a_3x3", this.#down(x, "Conv2d_1a_3x3", 32));
    tap("Conv2d_2a_3x3", this.#conv(x, "Conv2d_2a_3x3", { cout: 32, k: [3, 3] }));
    tap("Conv2d_2b_3x3", this.#three(x, "Conv2d_2b_3x3", 64));
    tap("maxpool1", maxPool(x));
    tap("Conv2d_3b_1x1", this.#one(x, "Conv2d_3b_1x1", 80));
    tap("Conv2d_4a_3x3", this.#conv(x, "Conv2d_4a_3x3", { cout: 192, k: [3, 3] }));
    tap("maxpool2", maxPool(x));
    tap("Mixed_5b", this.#blockA(x, "Mixed_5b", 32));
    tap("Mixed_5c", this.#blockA(x, "Mixed_5c", 64));
    tap("Mixed_5d", this.#blockA(x, "Mixed_5d", 64));
    tap("Mixed_6a", this.#blockB(x, "Mixed_6a"));
    tap("Mixed_6b", this.#blockC(x, "Mixed_6b", 128));
    tap("Mixed_6c", this.#blockC(x, "Mixed_6c", 160));
    tap("Mixed_6d", this.#blockC(x, "Mixed_6d", 160));
    tap("Mixed_6e", this.#blockC(x, "Mixed_6e", 192));
    tap("Mixed_7a", this.#blockD(x, "Mixed_7a"));
    tap("Mixed_7b", this.#blockE(x, "Mixed_7b"));
    tap("Mixed_7c", this.#blockE(x, "Mixed_7c"));
    const size = x.h * x.w;
    const means = Float64Array.from(
      { length: x.c },
      (_, c) => x.data.subarray(c * size, (c + 1) * size).reduce((a, b) => a + b) / size,
    );
    tap("avgpool", { c: x.c, h: 1, w: 1, data: means });
    return this.#logits(taps, means);
  }

  #logits(taps: Map<string, FeatureMap>, features: Float64Array): Map<string, FeatureMap> {
    const spread = 1 / Math.sqrt(features.length);
    const weight = new Float32Array(
      this.#draw("fc.weight", [10, features.length], [0, spread]).bytes.buffer,
    );
    const bias = new Float32Array(this.#draw("fc.bias", [10]).bytes.buffer);
    const data = Float64Array.from(
      { length: 10 },
      (_, o) => features.reduce((sum, v, i) => sum + v * weight[o * features.length + i], bias[o]),
    );
    return taps.set("fc", { c: 10, h: 1, w: 1, data });
  }
}
