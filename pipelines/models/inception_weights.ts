/**
 * The weights of an Inception V3 checkpoint, checked and with batch norm and input transform folded into the convolutions.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import { imagenetMean, imagenetStd } from "../images/preprocess.ts";
import { type HostTensor, type StateDict, toFloat32 } from "../io/state_dict.ts";
import { quote } from "../io/strict_json.ts";
import { Entries, isJson } from "./config_entries.ts";
import {
  convName,
  convsOf,
  type InceptionConv,
  type InceptionStage,
  inceptionStages,
} from "./inception_layout.ts";
import { listNames } from "./layouts.ts";
import { firstNotFinite } from "./vit_weights.ts";

/** What the weights of Inception V3 do not tell. */
export interface InceptionOptions {
  /** Storage of weights and activations; sums are always f32 (default f32). */
  readonly dtype?: "f32" | "f16";
  /**
   * What the pixels are: `imagenet` (default), minus ImageNet's mean over its std, as torchvision's model takes them; `unit`, colours
   * from 0 to 1, whose normalisation is then folded into the first convolution too.
   */
  readonly input?: "imagenet" | "unit";
  /** Whether the network was trained on colours from −1 to 1 (default true, as torchvision's trained weights were). */
  readonly transformInput?: boolean;
  /** Added to the variances (default 0.001, `BasicConv2d`). */
  readonly eps?: number;
  /** Beginning of the keys, where a file holds several networks. */
  readonly prefix?: string;
  /** `false` accepts keys that are not Inception V3's. */
  readonly strict?: boolean;
}

/** A convolution ready to run. */
export interface FoldedConv {
  /** `[cout, cin, kh, kw]` */
  readonly shape: readonly number[];
  /** Weights, row-major. */
  readonly weight: Float32Array<ArrayBuffer>;
  /** `[cout]` */
  readonly bias: Float32Array<ArrayBuffer>;
}

/** A checkpoint, folded. */
export interface FoldedInception {
  /** By the names of the checkpoint, and `fc`, whose shape is `[classes, features]`. */
  readonly layers: ReadonlyMap<string, FoldedConv>;
  /** Channels after each stage; `avgpool` and `fc` too. */
  readonly channels: ReadonlyMap<string, number>;
  /** Trained values in the file, those of the auxiliary classifier included: 27,161,264 in torchvision's. */
  readonly parameters: number;
  /** Keys that carry nothing for the forward pass. */
  readonly ignoredKeys: readonly string[];
}

/** The key that marks an Inception V3. */
const ANCHOR = "Conv2d_1a_3x3.conv.weight";
/** Batch norm's eps (`BasicConv2d` in torchvision/models/inception.py). */
const EPS = 0.001;
const CANNOT = "Cannot load the checkpoint as Inception V3:";

/**
 * Whether a state dict is of torchvision's Inception V3.
 *
 * @param prefix beginning of its keys; any when left out
 */
export function isInception(stateDict: StateDict, prefix?: string): boolean {
  if (prefix !== undefined) return stateDict.has(prefix + ANCHOR);
  return [...stateDict.keys()].some((key) => key === ANCHOR || key.endsWith(`.${ANCHOR}`));
}

/**
 * Reads options by our names or torchvision's.
 *
 * @throws {InputError} when an entry that is used has the wrong type
 */
export function readInceptionOptions(config: unknown): InceptionOptions {
  if (config === undefined || config === null) return {};
  if (!isJson(config)) {
    throw new InputError(
      `Cannot use the model configuration: it must be an object, got ${JSON.stringify(config)}`,
    );
  }
  const top = new Entries(config, "");
  return {
    dtype: /^b?float\d+$/.test(String(config.dtype))
      ? undefined
      : top.oneOf("dtype", ["f32", "f16"]),
    input: top.oneOf("input", ["imagenet", "unit"]),
    transformInput: top.flag("transformInput", "transform_input"),
    eps: top.positive("eps", "bn_eps"),
    prefix: top.text("prefix"),
    strict: top.flag("strict"),
  };
}

function findPrefix(stateDict: StateDict, wanted?: string): string {
  const found = [...stateDict.keys()].filter((k) => k === ANCHOR || k.endsWith(`.${ANCHOR}`))
    .map((key) => key.slice(0, key.length - ANCHOR.length))
    .filter((prefix) => wanted === undefined || prefix === wanted);
  if (found.length === 1) return found[0];
  throw new InputError(
    found.length === 0
      ? `${CANNOT} expected the key ${quote((wanted ?? "") + ANCHOR)}, found ${
        listNames([...stateDict.keys()])
      }`
      : `${CANNOT} it stands under the prefixes ${
        listNames(found)
      }; name one with the option "prefix"`,
  );
}

/** Reads the tensors of one network in a file and remembers which. */
class Reader {
  readonly #read = new Set<string>();

  constructor(readonly stateDict: StateDict, readonly prefix: string) {}

  shape(name: string): readonly number[] {
    const tensor = this.#find(name);
    return tensor.shape;
  }

  values(name: string, shape: readonly number[]): Float32Array<ArrayBuffer> {
    const tensor = this.#find(name);
    if (`${tensor.shape}` !== `${shape}`) {
      throw new InputError(
        `${CANNOT} ${quote(this.prefix + name)} must be [${shape}], is [${tensor.shape}]`,
      );
    }
    const values = toFloat32(tensor);
    const bad = firstNotFinite(values);
    if (bad < 0) return values;
    throw new InputError(
      `${CANNOT} ${quote(this.prefix + name)} must hold finite numbers, value ${bad} is ${
        values[bad]
      }`,
    );
  }

  #find(name: string): HostTensor {
    const tensor = this.stateDict.get(this.prefix + name);
    if (tensor === undefined) {
      throw new InputError(`${CANNOT} ${quote(this.prefix + name)} is missing`);
    }
    this.#read.add(this.prefix + name);
    return tensor;
  }

  /** Keys that were not read: `[those that carry nothing here, those that are not Inception V3's]`. */
  rest(): [ignored: string[], unknown: string[]] {
    const left = [...this.stateDict.keys()].filter((key) => !this.#read.has(key));
    const isIgnored = (key: string) =>
      key.startsWith(this.prefix) &&
      /^AuxLogits\.|\.bn\.num_batches_tracked$/.test(key.slice(this.prefix.length));
    return [left.filter(isIgnored), left.filter((key) => !isIgnored(key))];
  }
}

/** Reads `BasicConv2d`; in float64, rounded once. */
function foldBatchNorm(
  reader: Reader,
  name: string,
  { cin, kernel, eps }: { cin: number; kernel: readonly [number, number]; eps: number },
): FoldedConv {
  const [cout = 0] = reader.shape(`${name}.conv.weight`);
  const shape = [cout, cin, ...kernel];
  const raw = reader.values(`${name}.conv.weight`, shape);
  const [gamma, beta, mean, variance] = ["weight", "bias", "running_mean", "running_var"].map((
    part,
  ) => reader.values(`${name}.bn.${part}`, [cout]));
  const weight = new Float32Array(raw.length), bias = new Float32Array(cout);
  const each = raw.length / cout;
  for (let o = 0; o < cout; o++) {
    const scale = gamma[o] / Math.sqrt(variance[o] + eps);
    if (!Number.isFinite(scale)) {
      throw new InputError(
        `${CANNOT} ${quote(`${reader.prefix}${name}.bn.running_var`)} must be above ${-eps}, ` +
          `value ${o} is ${variance[o]}`,
      );
    }
    for (let i = o * each; i < (o + 1) * each; i++) weight[i] = raw[i] * scale;
    bias[o] = beta[o] - mean[o] * scale;
  }
  return { shape, weight, bias };
}

/**
 * What the network computes of a pixel before its first convolution, as `scale · x + shift` for each colour: torchvision's
 * `_transform_input` takes normalised colours to −1…1, which is 2·rgb − 1.
 */
function inputMap({ input = "imagenet", transformInput = true }: InceptionOptions) {
  return imagenetMean.map((mean, c) => {
    const std = imagenetStd[c];
    if (input === "unit") return transformInput ? [2, -1] : [1 / std, -mean / std];
    return transformInput ? [std / 0.5, (mean - 0.5) / 0.5] : [1, 0];
  });
}

/** Folds the map of the pixels into the first convolution: exact everywhere, because that has no padding. */
function foldInput(conv: FoldedConv, options: InceptionOptions): FoldedConv {
  const [cout, cin, kh, kw] = conv.shape;
  const weight = conv.weight.slice(), bias = conv.bias.slice();
  const map = inputMap(options);
  for (let o = 0; o < cout; o++) {
    let moved = bias[o];
    for (let i = 0; i < cin * kh * kw; i++) {
      const [scale, shift] = map[Math.floor(i / (kh * kw))];
      const w = conv.weight[o * cin * kh * kw + i];
      weight[o * cin * kh * kw + i] = w * scale;
      moved += w * shift;
    }
    bias[o] = moved;
  }
  return { shape: conv.shape, weight, bias };
}

/** Reads the convolutions of a stage; returns the channels after it. */
function foldStage(
  stage: InceptionStage,
  cin: number,
  fold: (conv: InceptionConv, cin: number) => number,
): number {
  let cout = 0;
  for (const branch of stage.branches) {
    let channels = cin;
    for (const step of branch) {
      const convs = convsOf(step);
      if (convs.length > 0) channels = convs.reduce((sum, conv) => sum + fold(conv, channels), 0);
    }
    cout += channels;
  }
  return cout;
}

const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

/** Values that training changes: running statistics and counters are not among them. */
function countParameters(stateDict: StateDict, prefix: string): number {
  const trained = /\.(conv|bn|fc)\.(weight|bias)$|^fc\.(weight|bias)$/;
  return [...stateDict].filter(([key]) =>
    key.startsWith(prefix) && trained.test(key.slice(prefix.length))
  ).reduce((sum, [, { shape }]) => sum + sizeOf(shape), 0);
}

/**
 * Checks a checkpoint against the architecture, whatever its widths, and folds it.
 *
 * @throws {InputError} naming the tensor that is missing, unknown, of another shape or not finite
 */
export function foldInception(stateDict: StateDict, options: InceptionOptions): FoldedInception {
  const { eps = EPS, strict = true } = options;
  const reader = new Reader(stateDict, findPrefix(stateDict, options.prefix));
  const layers = new Map<string, FoldedConv>();
  const channels = new Map<string, number>();
  let cin = 3;
  for (const stage of inceptionStages) {
    cin = foldStage(stage, cin, (conv, from) => {
      const name = convName(stage, conv);
      const folded = foldBatchNorm(reader, name, { cin: from, kernel: conv.kernel, eps });
      layers.set(name, stage === inceptionStages[0] ? foldInput(folded, options) : folded);
      return folded.shape[0];
    });
    channels.set(stage.name, cin);
  }
  const [classes = 0] = reader.shape("fc.weight");
  const shape = [classes, cin];
  const [weight, bias] = [reader.values("fc.weight", shape), reader.values("fc.bias", [classes])];
  layers.set("fc", { shape, weight: weight.slice(), bias: bias.slice() }); // not views of the file
  channels.set("avgpool", cin).set("fc", classes);
  const [ignored, unknown] = reader.rest();
  if (strict && unknown.length > 0) throw new InputError(`${CANNOT} unknown ${listNames(unknown)}`);
  return {
    ...{ layers, channels, ignoredKeys: [...ignored, ...unknown] },
    parameters: countParameters(stateDict, reader.prefix),
  };
}
