/**
 * Weights of a UNet of denoising-diffusion-pytorch in the form that its forward pass takes, out of tensors by the library's names.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { scale } from "../../engine/ops/elementwise.ts";
import type { PreparedWeights } from "../../engine/ops/prepared_weights.ts";
import { permute, slice } from "../../engine/ops/shape.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import type { CheckpointReader } from "./checkpoint_reader.ts";
import { quote } from "../io/strict_json.ts";
import { LayerUploader } from "./layer_uploader.ts";
import type { BiasedLayer, Layer } from "./unet_layers.ts";
import { own } from "./vit_weights.ts";

/** Weights of a residual block. */
export interface DdpRes {
  /** Of the time embedding: scales, then shifts. */
  readonly embedding: Layer;
  readonly conv1: Layer;
  /** `[1, C, 1, 1]`: the norm's gain times √C, as all gains here. */
  readonly gain1: Tensor;
  readonly conv2: Layer;
  readonly gain2: Tensor;
  readonly shortcut?: Layer;
}

/** Weights of attention over places, which sees some learned tokens too. */
export interface DdpAttention {
  readonly kind: "full" | "linear";
  readonly gain: Tensor;
  /** `[3·hidden, C, 1, 1]` */
  readonly qkv: Tensor;
  /** Learned keys and values: `[1, tokens, hidden]` of full, `[1, heads, headDim, tokens]` of linear attention. */
  readonly memory: readonly [keys: Tensor, values: Tensor];
  readonly nHeads: number;
  readonly out: Layer;
  /** Of linear attention, after `out`. */
  readonly gainOut?: Tensor;
}

/** One level: two residual blocks, attention behind the second, and what leads to the next level. */
export interface DdpLevel {
  readonly blocks: readonly [DdpRes, DdpRes];
  readonly attention: DdpAttention;
  readonly resample: Layer;
}

/** All of a network. */
export interface DdpWeights {
  readonly initConv: Layer;
  readonly time: readonly [Layer, Layer];
  readonly downs: readonly DdpLevel[];
  readonly middle: Omit<DdpLevel, "resample">;
  readonly ups: readonly DdpLevel[];
  readonly finalRes: DdpRes;
  readonly finalConv: Layer;
}

/** Tensors by the library's names: a file's, or those that are trained, on a tape. */
export interface DdpSource {
  /** Whether there is a tensor of this name. */
  has(name: string): boolean;
  /** @throws {InputError} when it is missing */
  shape(name: string): readonly number[];
  /** @throws {InputError} when it is missing or has another shape */
  tensor(name: string, shape: readonly number[]): Tensor;
  /**
   * What is made of a tensor.
   *
   * @throws {InputError} when it is missing or has another shape
   */
  formed(
    name: string,
    shape: readonly number[],
    form: (raw: Tensor) => readonly Tensor[],
  ): readonly Tensor[];
  /** Where forms of weights are kept, for weights that do not change. */
  readonly prepared?: PreparedWeights;
  /** Error of a tensor that breaks a rule. */
  refusal(name: string, rule: string): InputError;
}

/** Uploads tensors of a file as they are asked for. */
export class DdpUploader extends LayerUploader implements DdpSource {
  constructor(gpu: Gpu, reader: CheckpointReader) {
    super(gpu, reader);
  }

  has(name: string): boolean {
    return this.reader.has(name);
  }

  shape(name: string): readonly number[] {
    return this.reader.shape(name);
  }

  formed(
    name: string,
    shape: readonly number[],
    form: (raw: Tensor) => readonly Tensor[],
  ): readonly Tensor[] {
    const values = this.reader.values(name, shape);
    const made = tidy(this.gpu, () => form(Tensor.from(this.gpu, values, shape)));
    this.tensors.push(...made.map(own));
    this.parameters += values.length;
    return made;
  }

  refusal(name: string, rule: string): InputError {
    return new InputError(`${this.reader.cannot} ${this.reader.named(name)} ${rule}`);
  }
}

/** Tensors that are there already, such as weights in training, watched by a tape. */
export class DdpTensors implements DdpSource {
  constructor(readonly tensors: ReadonlyMap<string, Tensor>) {}

  has(name: string): boolean {
    return this.tensors.has(name);
  }

  shape(name: string): readonly number[] {
    const tensor = this.tensors.get(name);
    if (tensor) return tensor.shape;
    throw this.refusal(name, "is missing");
  }

  tensor(name: string, shape: readonly number[]): Tensor {
    const tensor = this.tensors.get(name);
    if (`${tensor?.shape}` === `${shape}`) return tensor!;
    throw this.refusal(name, `must be [${shape}], is [${this.shape(name)}]`);
  }

  formed(
    name: string,
    shape: readonly number[],
    form: (raw: Tensor) => readonly Tensor[],
  ): readonly Tensor[] {
    return form(this.tensor(name, shape));
  }

  refusal(name: string, rule: string): InputError {
    return new InputError(`Cannot run the network: the tensor ${quote(name)} ${rule}`);
  }
}

function bindConv(source: DdpSource, name: string): BiasedLayer {
  const shape = source.shape(`${name}.weight`);
  return {
    weight: source.tensor(`${name}.weight`, shape),
    bias: source.tensor(`${name}.bias`, [shape[0]]),
    prepared: source.prepared,
  };
}

function bindGain(source: DdpSource, name: string): Tensor {
  const shape = source.shape(`${name}.g`), root = Math.sqrt(shape[1]);
  return source.formed(`${name}.g`, shape, (raw) => [scale(raw, root)])[0];
}

function bindRes(source: DdpSource, name: string): DdpRes {
  return {
    embedding: bindConv(source, `${name}.mlp.1`),
    conv1: bindConv(source, `${name}.block1.proj`),
    gain1: bindGain(source, `${name}.block1.norm`),
    conv2: bindConv(source, `${name}.block2.proj`),
    gain2: bindGain(source, `${name}.block2.norm`),
    ...(source.has(`${name}.res_conv.weight`)
      ? { shortcut: bindConv(source, `${name}.res_conv`) }
      : {}),
  };
}

/** Learned keys and values; full attention takes its own before all heads, `[tokens, heads · headDim]`. */
function bindMemory(
  source: DdpSource,
  name: string,
  { hidden, isLinear }: { readonly hidden: number; readonly isLinear: boolean },
): Pick<DdpAttention, "memory" | "nHeads"> {
  const shape = source.shape(name), [two, nHeads] = shape;
  const [headDim, tokens] = isLinear ? [shape[2], shape[3]] : [shape[3], shape[2]];
  if (shape.length !== 4 || two !== 2 || nHeads * headDim !== hidden) {
    throw source.refusal(
      name,
      `must be keys and values of heads that make ${hidden} channels, is [${shape}]`,
    );
  }
  const part = (raw: Tensor, at: number) => {
    const own = slice(raw, { axis: 0, start: at, end: at + 1 });
    return isLinear ? own : permute(own, [0, 2, 1, 3]).reshape([1, tokens, hidden]);
  };
  const [keys, values] = source.formed(name, shape, (raw) => [part(raw, 0), part(raw, 1)]);
  return { memory: [keys, values], nHeads };
}

function bindAttention(source: DdpSource, name: string): DdpAttention {
  const isLinear = source.has(`${name}.to_out.0.weight`);
  const [hidden3, channels] = source.shape(`${name}.to_qkv.weight`), hidden = hidden3 / 3;
  return {
    kind: isLinear ? "linear" : "full",
    ...bindMemory(source, `${name}.mem_kv`, { hidden, isLinear }),
    gain: bindGain(source, `${name}.norm`),
    qkv: source.tensor(`${name}.to_qkv.weight`, [3 * hidden, channels, 1, 1]),
    out: bindConv(source, isLinear ? `${name}.to_out.0` : `${name}.to_out`),
    ...(isLinear ? { gainOut: bindGain(source, `${name}.to_out.1`) } : {}),
  };
}

/** What leads down: a convolution over squares of 2×2, which the library has as 1×1 over unshuffled pixels, or one that keeps the sides. */
function bindDown(source: DdpSource, name: string): Layer {
  if (source.has(`${name}.weight`)) return bindConv(source, name);
  const [cout, unshuffled] = source.shape(`${name}.1.weight`);
  const squares = [cout, unshuffled / 4, 2, 2]; // channel c·4 + 2·row + column of the square
  const [weight] = source.formed(
    `${name}.1.weight`,
    [cout, unshuffled, 1, 1],
    (raw) => [raw.reshape(squares)],
  );
  return { weight, bias: source.tensor(`${name}.1.bias`, [cout]) };
}

function bindLevel(source: DdpSource, name: string, resample: Layer): DdpLevel {
  return {
    blocks: [bindRes(source, `${name}.0`), bindRes(source, `${name}.1`)],
    attention: bindAttention(source, `${name}.2`),
    resample,
  };
}

/**
 * The whole network.
 *
 * @param levels on the way down, as many as on the way up
 * @throws {InputError} when a tensor is missing or has another shape
 */
export function bindDdp(source: DdpSource, levels: number): DdpWeights {
  const numbers = Array.from({ length: levels }, (_, i) => i);
  const up = (i: number) => source.has(`ups.${i}.3.weight`) ? `ups.${i}.3` : `ups.${i}.3.1`;
  return {
    initConv: bindConv(source, "init_conv"),
    time: [bindConv(source, "time_mlp.1"), bindConv(source, "time_mlp.3")],
    downs: numbers.map((i) => bindLevel(source, `downs.${i}`, bindDown(source, `downs.${i}.3`))),
    middle: {
      blocks: [bindRes(source, "mid_block1"), bindRes(source, "mid_block2")],
      attention: bindAttention(source, "mid_attn"),
    },
    ups: numbers.map((i) => bindLevel(source, `ups.${i}`, bindConv(source, up(i)))),
    finalRes: bindRes(source, "final_res_block"),
    finalConv: bindConv(source, "final_conv"),
  };
}
