/**
 * Layers of UNets in float64 on the host, one image at a time, and how a network is held against them.
 *
 * @module
 */
import assert from "node:assert/strict";
import { mul } from "../../engine/ops/elementwise.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { foldIn, type Key, normal, randomKey } from "../../engine/random.ts";
import { Tape } from "../../engine/tape.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { type HostTensor, hostTensor, type StateDict } from "../../pipelines/io/state_dict.ts";
import { convolve, type FeatureMap, floatsOf } from "./inception_reference.ts";
import { relativeError } from "./vit_oracle.ts";

/** Random tensors by name. */
export class Drawn {
  /** What was drawn. */
  readonly tensors = new Map<string, HostTensor>();

  constructor(readonly key: Key) {}

  /** A tensor of normal values, by default such that a layer keeps the size of what it gets. */
  draw(name: string, shape: readonly number[], mean = 0, sd?: number): void {
    const size = shape.reduce((a, b) => a * b, 1);
    const spread = sd ?? Math.sqrt(1 / (size / shape[0]));
    const values = normal(foldIn(this.key, this.tensors.size), size).map((v) => mean + spread * v);
    this.tensors.set(name, hostTensor(values, shape));
  }

  /** Weight and bias of a layer. */
  layer(name: string, shape: readonly number[], hasBias = true): void {
    this.draw(`${name}.weight`, shape);
    if (hasBias) this.draw(`${name}.bias`, [shape[0]], 0, 0.2);
  }

  /** Weight and bias of a norm. */
  norm(name: string, c: number): void {
    this.draw(`${name}.weight`, [c], 1, 0.3);
    this.draw(`${name}.bias`, [c], 0, 0.3);
  }
}

/** Layers that read their weights by name. */
export class HostLayers {
  constructor(readonly stateDict: StateDict, readonly groups: number) {}

  /** Values of a tensor of f32 or f64. */
  of(name: string): Float32Array | Float64Array {
    return floatsOf(this.stateDict.get(name)!);
  }

  /** A linear layer, without a bias where the file has none. */
  linear(x: ArrayLike<number>, name: string): Float64Array {
    const weight = this.of(`${name}.weight`), has = this.stateDict.has(`${name}.bias`);
    const bias = has ? this.of(`${name}.bias`) : new Float32Array(weight.length / x.length);
    return Float64Array.from(bias, (b, o) => {
      let sum = b;
      for (let i = 0; i < x.length; i++) sum += weight[o * x.length + i] * x[i];
      return sum;
    });
  }

  /** A convolution that keeps the sides, or strides. */
  conv(x: FeatureMap, name: string, stride = 1): FeatureMap {
    const weight = this.stateDict.get(`${name}.weight`)!, bias = this.of(`${name}.bias`);
    const pad = weight.shape[2] === 3 ? 1 : 0;
    const y = convolve(x, weight, { pad: [pad, pad], stride });
    return { ...y, data: y.data.map((v, i) => v + bias[Math.floor(i / (y.h * y.w))]) };
  }

  /** A group norm, with SiLU or without. */
  norm(
    { c, h, w, data }: FeatureMap,
    name: string,
    { active = true, eps = 1e-5, groups = this.groups }: {
      active?: boolean;
      eps?: number;
      groups?: number;
    } = {},
  ): FeatureMap {
    const weight = this.of(`${name}.weight`), bias = this.of(`${name}.bias`);
    const each = c / groups * h * w, out = new Float64Array(data.length);
    for (let g = 0; g < groups; g++) {
      const part = data.subarray(g * each, (g + 1) * each);
      const mean = part.reduce((a, b) => a + b, 0) / each;
      const variance = part.reduce((a, b) => a + (b - mean) ** 2, 0) / each;
      part.forEach((v, i) => {
        const channel = Math.floor((g * each + i) / (h * w));
        const y = (v - mean) / Math.sqrt(variance + eps) * weight[channel] + bias[channel];
        out[g * each + i] = active ? silu(y) : y;
      });
    }
    return { c, h, w, data: out };
  }
}

/** Attention of queries to keys and values, `[tokens][width]` each, by heads. */
export function attend(
  [queries, keys, values]: readonly (readonly Float64Array[])[],
  nHeads: number,
): Float64Array[] {
  const c = queries[0].length, dim = c / nHeads;
  return queries.map((query) => {
    const out = new Float64Array(c);
    for (let start = 0; start < c; start += dim) {
      const scores = keys.map((key) => {
        let dot = 0;
        for (let d = start; d < start + dim; d++) dot += query[d] * key[d];
        return Math.exp(dot / Math.sqrt(dim));
      });
      const total = scores.reduce((a, b) => a + b);
      for (let d = start; d < start + dim; d++) {
        out[d] = values.reduce((sum, value, j) => sum + scores[j] / total * value[d], 0);
      }
    }
    return out;
  });
}

/** Adds values of tokens to a map. */
export function withTokens(x: FeatureMap, tokens: readonly Float64Array[]): FeatureMap {
  const area = x.h * x.w;
  return { ...x, data: x.data.map((v, i) => v + tokens[i % area][Math.floor(i / area)]) };
}

/** x·σ(x) */
export const silu = (x: number): number => x / (1 + Math.exp(-x));

/** Values of each place. */
export function tokensOf({ c, h, w, data }: FeatureMap): Float64Array[] {
  return Array.from(
    { length: h * w },
    (_, t) => Float64Array.from({ length: c }, (_, i) => data[i * h * w + t]),
  );
}

/** Channels of one after the other's. */
export function joined(a: FeatureMap, b: FeatureMap): FeatureMap {
  return { ...a, c: a.c + b.c, data: Float64Array.from([...a.data, ...b.data]) };
}

/** Both sides doubled by repetition, or halved by means. */
export function resampled(x: FeatureMap, way?: "up" | "down"): FeatureMap {
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

/**
 * Holds a gradient against central differences of the host along one direction, in float64: truncated at h², 1e-8 of it.
 *
 * @param forward the network on the host
 * @param slope gradient of `Σ readout · forward(input)` by the input
 */
export function assertSlope(
  forward: (input: Float64Array) => Float64Array,
  { input, slope, readout, what }: {
    readonly input: ArrayLike<number>;
    readonly slope: ArrayLike<number>;
    readonly readout: ArrayLike<number>;
    readonly what: string;
  },
): void {
  const direction = normal(randomKey(7), input.length), h = 1e-4;
  const [up, down] = [h, -h].map((by) =>
    forward(Float64Array.from(input, (v, i) => v + by * direction[i]))
  );
  const wanted = up.reduce((all, v, i) => all + (v - down[i]) * readout[i], 0) / (2 * h);
  const along = direction.reduce((all, d, i) => all + d * slope[i], 0);
  const length = Math.hypot(...Array.from(slope)) * Math.hypot(...direction);
  assert.ok(Math.abs(along - wanted) < 1e-5 * length, `${what}: ${along}, not ${wanted}`);
}

/** A network on a device and the same on the host. */
export interface Compared {
  /** Names it in messages. */
  readonly what: string;
  /** Shape of the images, `[n, c, h, w]`. */
  readonly shape: readonly number[];
  /** The network, on a tape. */
  readonly forward: (x: Tensor) => Tensor;
  /** Its output for one image, by the number of the image. */
  readonly onHost: (image: Float64Array, s: number) => Float64Array;
}

/** Holds outputs of random images against those of the host, and the gradient of their product with a readout by the first image. */
export async function assertEqualsHost(
  gpu: Tensor["gpu"],
  { what, shape, forward, onHost }: Compared,
): Promise<void> {
  const [n, ...sizes] = shape, size = sizes.reduce((a, b) => a * b, 1);
  const images = normal(randomKey(5), n * size);
  using tape = new Tape();
  using x = Tensor.from(gpu, images, shape);
  using watched = tape.watch(x);
  using out = forward(watched);
  const values = await out.data(), each = values.length / n;
  const image = (s: number) => Float64Array.from(images.subarray(s * size, (s + 1) * size));
  for (let s = 0; s < n; s++) {
    // Some forty layers in f32, each rounding by about 2⁻²⁴ of its values: 20 times their root sum.
    const error = relativeError(values.subarray(s * each, (s + 1) * each), onHost(image(s), s));
    assert.ok(error < 1e-5, `${what}, image ${s}: ${error}`);
  }
  const readout = normal(randomKey(6), values.length);
  using weights = Tensor.from(gpu, readout, out.shape);
  using loss = tidy(gpu, () => sum(mul(out, weights)));
  const [gradient] = tape.gradient(loss, [watched]);
  using found = gradient;
  const slope = (await found.data()).subarray(0, size);
  assertSlope((input) => onHost(input, 0), { input: image(0), slope, readout, what });
}

/** Holds gradients of a network whose blocks are computed again in the backward pass against those with all kept: the same bits, less memory. */
export async function assertCheckpointed(
  gpu: Tensor["gpu"],
  shape: readonly number[],
  forward: (x: Tensor, checkpoint: boolean) => Tensor,
): Promise<void> {
  using x = Tensor.from(gpu, normal(randomKey(5), shape.reduce((a, b) => a * b, 1)), shape);
  const run = async (checkpoint: boolean) => {
    const before = gpu.liveBytes;
    using tape = new Tape();
    using watched = tape.watch(x);
    using out = forward(watched, checkpoint);
    const kept = gpu.liveBytes - before;
    using seed = out.detach();
    const [gradient] = tape.gradient(out, [watched], { seed });
    using found = gradient;
    return { kept, output: await out.data(), gradient: await found.data() };
  };
  const plain = await run(false), again = await run(true);
  assert.deepEqual([again.output, again.gradient], [plain.output, plain.gradient]);
  assert.ok(again.kept < plain.kept / 3, `${again.kept} of ${plain.kept} bytes are kept`);
}
