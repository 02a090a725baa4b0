/**
 * The weights of an Inception V3 checkpoint, checked and with batch norm and input transform folded into the convolutions.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import { imagenetMean, imagenetStd } from "../images/preprocess.ts";
import type { StateDict } from "../io/state_dict.ts";
import {
  anchorPrefixes,
  CheckpointReader,
  findPrefix,
  type FoldedLayer,
} from "./checkpoint_reader.ts";
import { readConvOptions } from "./config_entries.ts";
import {
  convName,
  convsOf,
  type InceptionConv,
  type InceptionStage,
  inceptionStages,
} from "./inception_layout.ts";
import { listNames } from "./layouts.ts";

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

/** A checkpoint, folded. */
export interface FoldedInception {
  /** By the names of the checkpoint, and `fc`, whose shape is `[classes, features]`. */
  readonly layers: ReadonlyMap<string, FoldedLayer>;
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
  const found = anchorPrefixes(stateDict, ANCHOR);
  return prefix === undefined ? found.length > 0 : found.includes(prefix);
}

/**
 * Reads options by our names or torchvision's.
 *
 * @throws {InputError} when an entry that is used has the wrong type
 */
export function readInceptionOptions(config: unknown): InceptionOptions {
  const [top, shared] = readConvOptions(config);
  return {
    ...shared,
    input: top.oneOf("input", ["imagenet", "unit"]),
    transformInput: top.flag("transformInput", "transform_input"),
  };
}

/** Reads `BasicConv2d`. */
function foldBatchNorm(
  reader: CheckpointReader,
  name: string,
  { cin, kernel, eps }: { cin: number; kernel: readonly [number, number]; eps: number },
): FoldedLayer {
  const [cout = 0] = reader.shape(`${name}.conv.weight`);
  const shape = [cout, cin, ...kernel];
  const weight = reader.values(`${name}.conv.weight`, shape);
  return reader.foldNorm({ shape, weight, bias: new Float32Array(cout) }, `${name}.bn`, eps);
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
function foldInput(conv: FoldedLayer, options: InceptionOptions): FoldedLayer {
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
  const anchor = { cannot: CANNOT, key: ANCHOR };
  const prefix = findPrefix(stateDict, anchor, options.prefix);
  const reader = new CheckpointReader(stateDict, prefix, CANNOT);
  const layers = new Map<string, FoldedLayer>();
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
  const [ignored, unknown] = reader.rest(/^AuxLogits\.|\.bn\.num_batches_tracked$/);
  if (strict && unknown.length > 0) throw new InputError(`${CANNOT} unknown ${listNames(unknown)}`);
  return {
    ...{ layers, channels, ignoredKeys: [...ignored, ...unknown] },
    parameters: countParameters(stateDict, reader.prefix),
  };
}
