/** Trainable weights by the names of `models/vit_weights.ts`: how they begin, and how they are written down in Hugging Face's layouts. */

import type { Gpu } from "../../engine/gpu.ts";
import { foldIn, type Key, normal } from "../../engine/random.ts";
import { readAll, Tensor } from "../../engine/tensor.ts";
import { sizeOf } from "../../shaders/kernel.ts";
import { encodeFloat16, type HostTensor, hostTensor, type StateDict } from "../io/state_dict.ts";

/** How one tensor begins: normal with a standard deviation, or one value everywhere. */
export interface Start {
  /** Shape. */
  readonly shape: readonly number[];
  /** Standard deviation of the normal; 0 when absent. */
  readonly std?: number;
  /** Added to it. */
  readonly value?: number;
  /** The values themselves, instead. */
  readonly values?: Float32Array<ArrayBuffer>;
  /** For packed queries, keys and values: keys begin as the queries do. */
  readonly keysAsQueries?: boolean;
}

function startValues(
  { shape, std = 0, value = 0, values, keysAsQueries = false }: Start,
  key: Key,
): Float32Array<ArrayBuffer> {
  const n = sizeOf(shape);
  if (values) return values;
  if (std === 0) return new Float32Array(n).fill(value);
  const drawn = normal(key, n).map((z) => value + std * z);
  if (keysAsQueries) drawn.copyWithin(n / 3, 0, n / 3);
  return drawn;
}

/** Sizes of a transformer. */
export interface BlockSizes {
  /** Length of a token. */
  readonly width: number;
  /** Number of blocks. */
  readonly depth: number;
}

/** MLPs are four times as wide as tokens, as in every ViT. */
export const MLP_RATIO = 4;

/**
 * Beginning of the blocks of a tower, as openai/CLIP's `initialize_parameters` has it. In an image tower, blocks before the last begin
 * with keys equal to queries, so that patches look at patches like them from the first step on (after Trockman and Kolter, "Mimetic
 * initialization", 2023), and the branch of the last block begins at full size, so that the class token is about the image.
 */
export function blockStarts(
  root: string,
  { width, depth, layerScale }: BlockSizes & { readonly layerScale?: number },
): Map<string, Start> {
  const starts = new Map<string, Start>();
  const hidden = MLP_RATIO * width;
  const out = width ** -0.5 * (2 * depth) ** -0.5;
  const layer = (name: string, [n, k]: [number, number], std: number) => {
    starts.set(`${name}.weight`, { shape: [n, k], std });
    starts.set(`${name}.bias`, { shape: [n] });
  };
  for (let i = 0; i < depth; i++) {
    const block = `${root}blocks.${i}`;
    normStarts(starts, `${block}.norm1`, width);
    const isText = root !== "", isLast = i === depth - 1;
    layer(`${block}.qkv`, [3 * width, width], width ** -0.5);
    if (!isText && !isLast) {
      const start = starts.get(`${block}.qkv.weight`)!;
      starts.set(`${block}.qkv.weight`, { ...start, keysAsQueries: true });
    }
    layer(`${block}.out`, [width, width], isText || !isLast ? out : width ** -0.5);
    normStarts(starts, `${block}.norm2`, width);
    layer(`${block}.fc1`, [hidden, width], (2 * width) ** -0.5);
    layer(`${block}.fc2`, [width, hidden], out);
    if (layerScale !== undefined) {
      starts.set(`${block}.scale1`, { shape: [width], value: layerScale });
      starts.set(`${block}.scale2`, { shape: [width], value: layerScale });
    }
  }
  return starts;
}

/** Adds a layer norm. */
export function normStarts(starts: Map<string, Start>, name: string, width: number): void {
  starts.set(`${name}.weight`, { shape: [width], value: 1 });
  starts.set(`${name}.bias`, { shape: [width] });
}

/** Weights on the device, owned by whoever trains them. */
export class TrainableWeights implements Disposable {
  /** Tensors by name. */
  readonly tensors: ReadonlyMap<string, Tensor>;

  /** Draws the weights: tensor number `i` from the key folded with `i`. */
  constructor(readonly gpu: Gpu, starts: ReadonlyMap<string, Start>, key: Key) {
    const tensors = new Map<string, Tensor>();
    let index = 0;
    for (const [name, start] of starts) {
      tensors.set(name, Tensor.from(gpu, startValues(start, foldIn(key, index)), start.shape));
      index++;
    }
    this.tensors = tensors;
  }

  /** The values on the host, by name. */
  async read(): Promise<Map<string, Float32Array<ArrayBuffer>>> {
    const values = await readAll([...this.tensors.values()]);
    return new Map([...this.tensors.keys()].map((name, i) => [name, Float32Array.from(values[i])]));
  }

  /** Frees the weights. */
  [Symbol.dispose](): void {
    for (const tensor of this.tensors.values()) tensor.dispose();
  }
}

/** Collects tensors for a file: f16, which halves it and changes no embedding by more than a thousandth. */
export class Writer {
  /** What was written. */
  readonly tensors = new Map<string, HostTensor>();

  /** Takes trained values by our names. */
  constructor(
    readonly values: ReadonlyMap<string, Float32Array<ArrayBuffer>>,
    readonly shapes: ReadonlyMap<string, Start>,
  ) {}

  /** A trained tensor under another name, in another shape of the same size if one is given. */
  put(to: string, from: string, shape = this.shapes.get(from)!.shape): void {
    this.putValues(to, this.values.get(from)!, shape);
  }

  /** Values under a name. */
  putValues(to: string, values: Float32Array<ArrayBuffer>, shape: readonly number[]): void {
    this.tensors.set(to, hostTensor(encodeFloat16(values), shape, { dtype: "f16" }));
  }

  /** Weight and bias of a layer. */
  layer(to: string, from: string): void {
    this.put(`${to}.weight`, `${from}.weight`);
    this.put(`${to}.bias`, `${from}.bias`);
  }

  /** Queries, keys and values of a packed layer, under three names. */
  split(to: readonly [string, string, string], from: string): void {
    for (const part of ["weight", "bias"]) {
      const values = this.values.get(`${from}.${part}`)!;
      const [rows, ...rest] = this.shapes.get(`${from}.${part}`)!.shape;
      const third = values.length / 3;
      to.forEach((name, i) =>
        this.putValues(`${name}.${part}`, values.slice(i * third, (i + 1) * third), [
          rows / 3,
          ...rest,
        ])
      );
    }
  }
}

/** How long a network is trained. */
export interface NetTraining {
  /** Steps of AdamW. */
  readonly steps: number;
  /** Scenes in a step. */
  readonly batch: number;
  /** Number of scenes. */
  readonly nScenes: number;
  /** Largest step size. */
  readonly peak: number;
}

/** A trained network as files hold it. */
export interface TrainedNet {
  /** Weights in Hugging Face's layout, f16. */
  readonly tensors: StateDict;
  /** What goes into `config.json`. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Loss of every step. */
  readonly losses: readonly number[];
}

/** Called after every step with its loss and a way to take the network as it is. */
export type OnStep = (
  step: number,
  loss: number,
  net: () => Promise<TrainedNet>,
) => Promise<void> | void;

/** What one training run starts from. */
export interface TrainRun {
  /** Everything random follows from it. */
  readonly key: Key;
  /** A network to go on from. */
  readonly from?: StateDict;
  /** Called after every step. */
  readonly onStep?: OnStep;
}
