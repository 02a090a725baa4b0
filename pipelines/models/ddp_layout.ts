/**
 * Tensors of a new UNet of denoising-diffusion-pytorch: their names, shapes and first values.
 *
 * @module
 */
import { foldIn, type Key, normal, uniform } from "../../engine/random.ts";
import { sizeOf } from "../../shaders/kernel.ts";
import { InputError } from "../errors.ts";
import { hostTensor, type StateDict } from "../io/state_dict.ts";

/** Sizes of a UNet of denoising-diffusion-pytorch; what is left out is as in the library. */
export interface DdpSizes {
  /** Channels of the first level. */
  readonly dim: number;
  /** Channels of each level, times `dim` (default 1, 2, 4, 8). */
  readonly dimMults?: readonly number[];
  /** Channels of the images (default 3). */
  readonly channels?: number;
  /** Channels of the output (default those of the images). */
  readonly outChannels?: number;
  /** Of each level, whether its attention is full rather than linear (default the last one's alone). */
  readonly fullAttention?: readonly boolean[];
  /** Heads of attention (default 4). */
  readonly heads?: number;
  /** Channels of a head (default 32). */
  readonly dimHead?: number;
  /** Learned tokens that attention sees (default 4). */
  readonly memoryTokens?: number;
}

/** How the values of a new tensor are drawn: uniform within ± a bound, standard normal, or all 1. */
type FirstValues = { readonly bound: number } | "normal" | "ones";

/** A tensor that is not there yet. */
export interface DdpTensor {
  /** Shape, as PyTorch stores it. */
  readonly shape: readonly number[];
  /** Its first values. */
  readonly first: FirstValues;
}

/** Sizes in full. */
type AllSizes = Required<DdpSizes>;

function wholeSizes(sizes: DdpSizes): AllSizes {
  const { dimMults = [1, 2, 4, 8], channels = 3, heads = 4, dimHead = 32, memoryTokens = 4 } =
    sizes;
  const last = dimMults.length - 1;
  const { outChannels = channels, fullAttention = dimMults.map((_, i) => i === last) } = sizes;
  const all = {
    ...{ dim: sizes.dim, dimMults, channels, outChannels, fullAttention },
    ...{ heads, dimHead, memoryTokens },
  };
  const counts = { dim: sizes.dim, channels, outChannels, heads, dimHead, memoryTokens };
  for (
    const [name, value] of [...Object.entries(counts), ...dimMults.map((m) => ["dimMults", m])]
  ) {
    if (Number.isInteger(value) && Number(value) >= 1) continue;
    throw new InputError(`Cannot make a UNet: ${name} must be whole numbers from 1, got ${value}`);
  }
  // Sinusoids divide by half of dim less one.
  if (sizes.dim % 2 !== 0 || sizes.dim < 4) {
    throw new InputError(`Cannot make a UNet: dim must be even and at least 4, got ${sizes.dim}`);
  }
  if (last >= 0 && fullAttention.length === dimMults.length) return all;
  throw new InputError(
    `Cannot make a UNet: it must have a level, and fullAttention a value for each of ${dimMults.length} levels, got ${fullAttention.length}`,
  );
}

/** Lists tensors in the order in which the library's modules hold them. */
class DdpLister {
  readonly tensors = new Map<string, DdpTensor>();

  constructor(readonly sizes: AllSizes) {}

  /** Weight and bias with PyTorch's own first values: uniform within ± 1/√(inputs of one output). */
  layer(name: string, shape: readonly number[], hasBias = true): void {
    const first = { bound: 1 / Math.sqrt(sizeOf(shape.slice(1))) };
    this.tensors.set(`${name}.weight`, { shape, first });
    if (hasBias) this.tensors.set(`${name}.bias`, { shape: [shape[0]], first });
  }

  gain(name: string, channels: number): void {
    this.tensors.set(`${name}.g`, { shape: [1, channels, 1, 1], first: "ones" });
  }

  res(name: string, cin: number, cout: number): void {
    this.layer(`${name}.mlp.1`, [2 * cout, 4 * this.sizes.dim]);
    this.layer(`${name}.block1.proj`, [cout, cin, 3, 3]);
    this.gain(`${name}.block1.norm`, cout);
    this.layer(`${name}.block2.proj`, [cout, cout, 3, 3]);
    this.gain(`${name}.block2.norm`, cout);
    if (cin !== cout) this.layer(`${name}.res_conv`, [cout, cin, 1, 1]);
  }

  attention(name: string, channels: number, isFull: boolean): void {
    const { heads, dimHead, memoryTokens } = this.sizes, hidden = heads * dimHead;
    const memory = isFull ? [memoryTokens, dimHead] : [dimHead, memoryTokens];
    this.tensors.set(`${name}.mem_kv`, { shape: [2, heads, ...memory], first: "normal" });
    this.gain(`${name}.norm`, channels);
    this.layer(`${name}.to_qkv`, [3 * hidden, channels, 1, 1], false);
    this.layer(isFull ? `${name}.to_out` : `${name}.to_out.0`, [channels, hidden, 1, 1]);
    if (!isFull) this.gain(`${name}.to_out.1`, channels);
  }

  level(
    name: string,
    { cin, cout, isFull }: {
      readonly cin: number;
      readonly cout: number;
      readonly isFull: boolean;
    },
  ): void {
    this.res(`${name}.0`, cin, cout);
    this.res(`${name}.1`, cin, cout);
    this.attention(`${name}.2`, cout, isFull);
  }
}

/**
 * Every tensor of a new UNet, by the library's names.
 *
 * @throws {InputError} for sizes that are not whole numbers from 1, or an odd `dim`
 */
export function ddpTensors(sizes: DdpSizes): ReadonlyMap<string, DdpTensor> {
  const all = wholeSizes(sizes), { dim, dimMults, channels, fullAttention } = all;
  const widths = [dim, ...dimMults.map((m) => m * dim)], last = dimMults.length - 1;
  const lister = new DdpLister(all);
  lister.layer("init_conv", [dim, channels, 7, 7]);
  lister.layer("time_mlp.1", [4 * dim, dim]);
  lister.layer("time_mlp.3", [4 * dim, 4 * dim]);
  dimMults.forEach((_, i) => {
    const [cin, cout] = [widths[i], widths[i + 1]], name = `downs.${i}`;
    lister.level(name, { cin, cout: cin, isFull: fullAttention[i] });
    if (i === last) lister.layer(`${name}.3`, [cout, cin, 3, 3]);
    else lister.layer(`${name}.3.1`, [cout, 4 * cin, 1, 1]);
  });
  const bottom = widths[last + 1];
  lister.res("mid_block1", bottom, bottom);
  lister.attention("mid_attn", bottom, true);
  lister.res("mid_block2", bottom, bottom);
  dimMults.forEach((_, i) => {
    const at = last - i, [cin, cout] = [widths[at], widths[at + 1]], name = `ups.${i}`;
    lister.level(name, { cin: cout + cin, cout, isFull: fullAttention[at] });
    lister.layer(at === 0 ? `${name}.3` : `${name}.3.1`, [cin, cout, 3, 3]);
  });
  lister.res("final_res_block", 2 * dim, dim);
  lister.layer("final_conv", [all.outChannels, dim, 1, 1]);
  return lister.tensors;
}

function firstValues({ shape, first }: DdpTensor, key: Key): Float32Array<ArrayBuffer> {
  const n = sizeOf(shape);
  if (first === "ones") return new Float32Array(n).fill(1);
  if (first === "normal") return normal(key, n);
  return uniform(key, n).map((u) => (2 * u - 1) * first.bound);
}

/**
 * Weights of a new UNet with PyTorch's own first values, by the library's names: tensor number `i` is drawn by the key folded with `i`.
 *
 * @throws {InputError} for sizes that are not whole numbers from 1, or an odd `dim`
 */
export function drawDdpWeights(sizes: DdpSizes, key: Key): StateDict {
  return new Map(
    [...ddpTensors(sizes)].map((
      [name, tensor],
      i,
    ) => [name, hostTensor(firstValues(tensor, foldIn(key, i)), tensor.shape)]),
  );
}
