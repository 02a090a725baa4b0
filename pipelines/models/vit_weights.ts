/**
 * The weights of a checkpoint on the device, in the form that the forward pass takes.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { Tensor } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import { type HostTensor, toFloat32 } from "../io/state_dict.ts";
import { clipMean, clipStd } from "../images/preprocess.ts";
import type { MappedCheckpoint, NamedTensor } from "./layouts.ts";
import type { TextConfig, VitConfig } from "./vit_config.ts";

/** Tensors by our names: matrices `[out, in]`, vectors `[size]`. */
export type Weights = ReadonlyMap<string, Tensor>;

/** What stays on the host. */
export interface HostWeights {
  /** `[posPrefix + grid, width]` */
  readonly pos: Float32Array;
  /** Token embedding, read row by row: of 49,408 rows a caption uses a dozen. */
  readonly token?: HostTensor;
  /** Natural logarithm of the factor on cosines. */
  readonly logitScale?: number;
  /** Added to the scaled cosines. */
  readonly logitBias?: number;
}

/** Takes a tensor out of the `tidy` scope that it was made in: an object with a `dispose` of its own holds it. */
export function own(tensor: Tensor): Tensor {
  tensor.gpu.scopes.at(-1)?.delete(tensor);
  return tensor;
}

function transpose(
  values: Float32Array,
  [rows, cols]: readonly number[],
): Float32Array<ArrayBuffer> {
  const out = new Float32Array(values.length);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < cols; c++) out[c * rows + r] = values[r * cols + c];
  }
  return out;
}

/** Index of the first value that is not finite, −1 where all are. A loop: this reads every weight of the model. */
export function firstNotFinite(values: Float32Array): number {
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) return i;
  }
  return -1;
}

function hostValues({ tensor, transposed }: NamedTensor): Float32Array<ArrayBuffer> {
  const values = toFloat32(tensor);
  return transposed ? transpose(values, tensor.shape) : values;
}

function concatenate(parts: readonly Float32Array[]): Float32Array<ArrayBuffer> {
  const out = new Float32Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Uploads tensors by name and remembers them for one `dispose`. */
class Uploader {
  readonly weights = new Map<string, Tensor>();

  constructor(
    readonly gpu: Gpu,
    readonly checkpoint: MappedCheckpoint,
    readonly dtype: "f32" | "f16",
  ) {}

  values(name: string): Float32Array<ArrayBuffer> | undefined {
    const found = this.checkpoint.tensors.get(name);
    return found && hostValues(found);
  }

  put(name: string, values: Float32Array<ArrayBuffer>, shape: readonly number[]): void {
    const unfit = firstNotFinite(values);
    if (unfit >= 0) {
      throw new InputError(
        `Cannot load the checkpoint: "${
          this.checkpoint.sourceName(name)
        }" must hold finite numbers, value ${unfit} is ${values[unfit]}`,
      );
    }
    this.weights.set(name, own(Tensor.from(this.gpu, values, shape, { dtype: this.dtype })));
  }

  /** A matrix `[out, in]` and its bias, from one tensor or from several stacked in order. */
  linear(name: string, [out, inner]: readonly [number, number], parts: readonly string[] = [name]) {
    const weights = parts.map((p) => this.values(`${p}.weight`)!);
    this.put(`${name}.weight`, concatenate(weights), [out, inner]);
    const biases = parts.map((p) => this.values(`${p}.bias`));
    if (biases.every((b) => b === undefined)) return;
    // Some models (BEiT's line) give the key no bias: zeros are what its absence means.
    const whole = biases.map((b) => b ?? new Float32Array(out / parts.length));
    this.put(`${name}.bias`, concatenate(whole), [out]);
  }

  vector(name: string): void {
    const values = this.values(name);
    if (values) this.put(name, values, [values.length]);
  }

  norm(name: string): void {
    this.vector(`${name}.weight`);
    this.vector(`${name}.bias`);
  }

  blocks(tower: string, { depth, width, hidden, gated }: VitConfig | TextConfig): void {
    for (let i = 0; i < depth; i++) {
      const block = `${tower}blocks.${i}`;
      const parts = (whole: string, ...apart: readonly string[]) =>
        (this.checkpoint.tensors.has(`${block}.${whole}.weight`) ? [whole] : apart)
          .map((part) => `${block}.${part}`);
      this.norm(`${block}.norm1`);
      this.linear(`${block}.qkv`, [3 * width, width], parts("qkv", "q", "k", "v"));
      this.linear(`${block}.out`, [width, width]);
      this.vector(`${block}.scale1`);
      this.norm(`${block}.norm2`);
      const rows = gated ? 2 * hidden : hidden;
      this.linear(`${block}.fc1`, [rows, width], parts("fc1", "gate", "up"));
      this.linear(`${block}.fc2`, [width, hidden]);
      this.vector(`${block}.scale2`);
    }
  }
}

/** Class token with its position, then registers, which have none; RADIO's prefix has none at all. */
function prefixRows(up: Uploader, config: VitConfig, pos: Float32Array): Float32Array<ArrayBuffer> {
  const { width, posPrefix } = config;
  const cls = up.values("cls")?.slice() ?? new Float32Array(0);
  for (let i = 0; i < posPrefix * width; i++) cls[i] += pos[i];
  return concatenate([
    up.values("prefix") ?? cls,
    up.values("registers") ?? new Float32Array(0),
  ]);
}

function putPool(up: Uploader, width: number): void {
  const [packed, bias] = [up.values("pool.qkv.weight"), up.values("pool.qkv.bias")];
  up.put("pool.probe", up.values("pool.probe")!, [1, width]);
  if (packed && bias) {
    up.put("pool.q.weight", packed.slice(0, width * width), [width, width]);
    up.put("pool.q.bias", bias.slice(0, width), [width]);
    up.put("pool.kv.weight", packed.slice(width * width), [2 * width, width]);
    up.put("pool.kv.bias", bias.slice(width), [2 * width]);
  } else {
    up.linear("pool.q", [width, width]);
    up.linear("pool.kv", [2 * width, width]);
  }
  const hidden = up.values("pool.fc1.bias")!.length;
  up.linear("pool.out", [width, width]);
  up.norm("pool.norm");
  up.linear("pool.fc1", [hidden, width]);
  up.linear("pool.fc2", [width, hidden]);
}

function putVision(up: Uploader, config: VitConfig, pos: Float32Array): void {
  const { width, channels, patchSize } = config;
  up.linear("patch", [width, channels * patchSize * patchSize]);
  if (config.prefixTokens > 0) {
    up.put("prefix", prefixRows(up, config, pos), [config.prefixTokens, width]);
  }
  up.norm("pre_norm");
  up.blocks("", config);
  up.norm("post_norm");
  const projection = up.values("projection.weight");
  if (projection) up.linear("projection", [projection.length / width, width]);
  if (up.checkpoint.tensors.has("pool.probe")) putPool(up, width);
}

/** RADIO normalises its input itself; checkpoints without the numbers use CLIP's (`radio/input_conditioner.py`). */
function putConditioner(up: Uploader): void {
  const mean = up.values("input_mean") ?? Float32Array.from(clipMean);
  const std = up.values("input_std") ?? Float32Array.from(clipStd);
  up.put("input_mean", mean, [1, mean.length, 1, 1]);
  up.put("input_std", std, [1, std.length, 1, 1]);
}

/** C-RADIO's patch features `(x − mean)·txᵀ` as a linear layer (`radio/feature_normalizer.py`). */
function putFeatureNormalizer(up: Uploader, width: number): void {
  const [weight, mean] = [up.values("features.weight"), up.values("features.mean")];
  if (!weight || !mean) return;
  const bias = new Float32Array(width);
  for (let row = 0; row < width; row++) {
    let moved = 0; // in float64, rounded once
    for (let k = 0; k < width; k++) moved -= weight[row * width + k] * mean[k];
    bias[row] = moved;
  }
  up.put("features.weight", weight, [width, width]);
  up.put("features.bias", bias, [width]);
}

function putAdaptor(up: Uploader, adaptor: string): void {
  const prefix = `adaptors.${adaptor}.`;
  for (const [name, { tensor }] of up.checkpoint.tensors) {
    if (name.startsWith(prefix)) {
      up.put(`adaptor.${name.slice(prefix.length)}`, up.values(name)!, tensor.shape);
    }
  }
}

/** The same tensor apart from its file, which may be closed or dropped after loading. */
function copied(tensor: HostTensor | undefined): HostTensor | undefined {
  return tensor && { dtype: tensor.dtype, shape: tensor.shape, bytes: tensor.bytes.slice() };
}

/**
 * Uploads a checked checkpoint.
 *
 * @throws {InputError} when a weight is not finite
 */
export function uploadWeights(
  gpu: Gpu,
  checkpoint: MappedCheckpoint,
  { vision, text, dtype, adaptor, conditioned }: {
    vision: VitConfig;
    text?: TextConfig;
    dtype: "f32" | "f16";
    adaptor?: string;
    conditioned: boolean;
  },
): { weights: Weights; host: HostWeights } {
  const up = new Uploader(gpu, checkpoint, dtype);
  const pos = up.values("pos")!;
  try {
    putVision(up, vision, pos);
    if (vision.family === "radio") putFeatureNormalizer(up, vision.width);
    if (vision.family === "radio" && conditioned) putConditioner(up);
    if (adaptor !== undefined) putAdaptor(up, adaptor);
    if (text) {
      up.put("text.pos", up.values("text.pos")!, [text.context, text.width]);
      up.blocks("text.", text);
      up.norm("text.post_norm");
      const projection = up.values("text.projection.weight")!;
      up.linear("text.projection", [projection.length / text.width, text.width]);
    }
  } catch (error) {
    for (const tensor of up.weights.values()) tensor.dispose();
    throw error;
  }
  return {
    weights: up.weights,
    host: {
      pos: pos.slice(), // not a view: it would keep the whole file in memory
      token: copied(checkpoint.tensors.get("text.token")?.tensor),
      logitScale: up.values("logit_scale")?.[0],
      logitBias: up.values("logit_bias")?.[0],
    },
  };
}
