/**
 * VGG as torchvision builds it (`torchvision/models/vgg.py`): its layers from the numbers of a checkpoint's keys, checked, with batch
 * norm folded into the convolutions.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import { imagenetMean, imagenetStd, type Rgb } from "../images/preprocess.ts";
import type { StateDict } from "../io/state_dict.ts";
import {
  anchorPrefixes,
  CheckpointReader,
  findPrefix,
  type FoldedLayer,
} from "./checkpoint_reader.ts";
import { type Entries, readConvOptions } from "./config_entries.ts";
import { listNames } from "./layouts.ts";

/** What the weights of a VGG do not tell. */
export interface VggOptions {
  /** Storage of weights and activations; sums are always f32 (default f32). */
  readonly dtype?: "f32" | "f16";
  /** Subtracted from colours in 0…1 (default ImageNet's). */
  readonly mean?: Rgb;
  /** Divides what is left (default ImageNet's). */
  readonly std?: Rgb;
  /** Side of the images that the network was trained on (default 224). */
  readonly size?: number;
  /** Whether a max pooling follows the last convolution, of which no key tells (default true, as in all of torchvision's). */
  readonly hasFinalPool?: boolean;
  /** Added to the variances (default 1e-5, `BatchNorm2d`). */
  readonly eps?: number;
  /** Beginning of the keys, where a file holds several networks. */
  readonly prefix?: string;
  /** `false` accepts keys that are not a VGG's. */
  readonly strict?: boolean;
}

/** A step before the classifier: a convolution with its ReLU, or a maximum over 2×2. */
export interface VggStep {
  /** Name of what comes out, by torchvision's numbers: `features.N` of the ReLU or the pooling. */
  readonly tap: string;
  /** Weights of a convolution of 3×3; a pooling has none. */
  readonly conv?: FoldedLayer;
}

/** A linear layer of the classifier. */
export interface VggLinear {
  /** Name of what comes out: `classifier.N` of the ReLU, or of the layer itself where none follows. */
  readonly tap: string;
  /** Weights, `[out, in]`. */
  readonly linear: FoldedLayer;
  /** Whether a ReLU follows. */
  readonly isActive: boolean;
}

/** A checkpoint, folded. */
export interface FoldedVgg {
  /** Convolutions and poolings in order. */
  readonly steps: readonly VggStep[];
  /** The classifier, where there is one. */
  readonly classifier: readonly VggLinear[];
  /** Rows and columns that maps are averaged to before the classifier; 0 without one. */
  readonly grid: number;
  /** Trained values in the file: 138,357,544 in torchvision's VGG-16. */
  readonly parameters: number;
  /** Keys that carry nothing for the forward pass. */
  readonly ignoredKeys: readonly string[];
}

const ANCHOR = "features.0.weight";
const CANNOT = "Cannot load the checkpoint as VGG:";
/** Batch norm's eps (PyTorch's `BatchNorm2d`). */
const EPS = 1e-5;
const COLORS = 3;
const KERNEL = 3;

/**
 * Whether a state dict is of one of torchvision's VGGs: its first layer is a convolution of 3×3 over three colours.
 *
 * @param prefix beginning of its keys; any when left out
 */
export function isVgg(stateDict: StateDict, prefix?: string): boolean {
  return anchorPrefixes(stateDict, ANCHOR).some((found) => {
    const [, ...rest] = stateDict.get(found + ANCHOR)!.shape;
    return (prefix === undefined || found === prefix) &&
      `${rest}` === `${[COLORS, KERNEL, KERNEL]}`;
  });
}

function colors(entries: Entries, ...names: string[]): Rgb | undefined {
  const name = names.find((n) => entries.json[n] !== undefined && entries.json[n] !== null);
  if (name === undefined) return undefined;
  const value = entries.json[name];
  const isPositive = (v: unknown) => typeof v === "number" && v > 0 && v < Infinity;
  const isColor = (v: unknown) => typeof v === "number" && v >= 0 && v < Infinity;
  const fits = /std$/.test(name) ? isPositive : isColor;
  if (Array.isArray(value) && value.length === COLORS && value.every(fits)) {
    return [value[0], value[1], value[2]];
  }
  throw new InputError(
    `Cannot use the model configuration: "${name}" must be three numbers ${
      /std$/.test(name) ? "above" : "from"
    } 0, got ${JSON.stringify(value)}`,
  );
}

/**
 * Reads options by our names or by those of a Hugging Face configuration (`image_mean`, `image_std`, `image_size`).
 *
 * @throws {InputError} when an entry that is used has the wrong type
 */
export function readVggOptions(config: unknown): VggOptions {
  const [top, shared] = readConvOptions(config);
  return {
    ...shared,
    mean: colors(top, "mean", "image_mean"),
    std: colors(top, "std", "image_std"),
    size: top.count("size", "image_size"),
    hasFinalPool: top.flag("hasFinalPool", "final_pool"),
  };
}

/** How colours become the network's input. */
export const vggColors = ({ mean = imagenetMean, std = imagenetStd }: VggOptions) => ({
  mean,
  std,
});

/** Numbers of a section's layers of weights with this many axes, in order. */
function numbersOf({ stateDict, prefix }: CheckpointReader, section: string, axes: number) {
  const pattern = new RegExp(`^${section}\\.(\\d+)\\.weight$`);
  return [...stateDict].flatMap(([key, { shape }]) => {
    const found = key.startsWith(prefix) && pattern.exec(key.slice(prefix.length));
    return found && shape.length === axes ? [Number(found[1])] : [];
  }).sort((a, b) => a - b);
}

function foldConv(
  reader: CheckpointReader,
  at: number,
  { cin, eps = EPS }: { cin: number; eps?: number },
): { conv: FoldedLayer; relu: number } {
  const name = `features.${at}`, norm = `features.${at + 1}`;
  const [cout = 0] = reader.shape(`${name}.weight`);
  const shape = [cout, cin, KERNEL, KERNEL];
  const weight = reader.values(`${name}.weight`, shape);
  const bias = reader.values(`${name}.bias`, [cout]);
  if (!reader.has(`${norm}.running_mean`)) {
    return { conv: { shape, weight: weight.slice(), bias: bias.slice() }, relu: at + 1 }; // not views of the file
  }
  return { conv: reader.foldNorm({ shape, weight, bias }, norm, eps), relu: at + 2 };
}

/** Convolutions, and the poolings that the gaps between their numbers leave. */
function foldSteps(reader: CheckpointReader, options: VggOptions): VggStep[] {
  const { hasFinalPool = true, eps } = options;
  const numbers = numbersOf(reader, "features", 4);
  const steps: VggStep[] = [];
  let cin = COLORS;
  numbers.forEach((at, i) => {
    const { conv, relu } = foldConv(reader, at, { cin, eps });
    const next = numbers[i + 1] ?? relu + (hasFinalPool ? 2 : 1);
    if (next <= relu) {
      throw new InputError(
        `${CANNOT} ${reader.named(`features.${next}.weight`)} leaves no place for the ReLU after ${
          reader.named(`features.${at}.weight`)
        }`,
      );
    }
    steps.push({ tap: `features.${relu}`, conv });
    for (let pool = relu + 1; pool < next; pool++) steps.push({ tap: `features.${pool}` });
    cin = conv.shape[0];
  });
  return steps;
}

function gridOf(reader: CheckpointReader, channels: number): number {
  const [, inputs = 0] = reader.shape("classifier.0.weight");
  const grid = Math.round(Math.sqrt(inputs / channels));
  if (grid >= 1 && grid * grid * channels === inputs) return grid;
  throw new InputError(
    `${CANNOT} ${reader.named("classifier.0.weight")} must read a square grid of ${channels} ` +
      `channels, reads ${inputs} values`,
  );
}

function foldClassifier(
  reader: CheckpointReader,
  channels: number,
): Pick<FoldedVgg, "classifier" | "grid"> {
  const numbers = numbersOf(reader, "classifier", 2);
  if (numbers.length === 0) return { classifier: [], grid: 0 };
  const grid = gridOf(reader, channels);
  let inputs = channels * grid * grid;
  const classifier = numbers.map((at, i): VggLinear => {
    const name = `classifier.${at}`, isActive = i < numbers.length - 1;
    const [out = 0] = reader.shape(`${name}.weight`);
    const shape = [out, inputs];
    const weight = reader.values(`${name}.weight`, shape).slice();
    const bias = reader.values(`${name}.bias`, [out]).slice();
    if (isActive && numbers[i + 1] === at + 1) {
      throw new InputError(
        `${CANNOT} ${reader.named(`classifier.${at + 1}.weight`)} leaves no place for a ReLU`,
      );
    }
    inputs = out;
    return {
      ...{ tap: isActive ? `classifier.${at + 1}` : name, isActive },
      linear: { shape, weight, bias },
    };
  });
  return { classifier, grid };
}

const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

/** Values that training changes: running statistics and counters are not among them. */
function countParameters({ stateDict, prefix }: CheckpointReader): number {
  const trained = /^(features|classifier)\.\d+\.(weight|bias)$/;
  return [...stateDict].filter(([key]) =>
    key.startsWith(prefix) && trained.test(key.slice(prefix.length))
  ).reduce((sum, [, { shape }]) => sum + sizeOf(shape), 0);
}

/**
 * Checks a checkpoint against the architecture, whatever its widths and depth, and folds it.
 *
 * @throws {InputError} naming the tensor that is missing, unknown, of another shape or not finite
 */
export function foldVgg(stateDict: StateDict, options: VggOptions): FoldedVgg {
  const { strict = true } = options;
  const prefix = findPrefix(stateDict, { cannot: CANNOT, key: ANCHOR }, options.prefix);
  const reader = new CheckpointReader(stateDict, prefix, CANNOT);
  const [width = 0] = reader.shape(ANCHOR);
  reader.values(ANCHOR, [width, COLORS, KERNEL, KERNEL]); // any other network of this key ends here
  const steps = foldSteps(reader, options);
  const { conv } = steps.findLast(({ conv }) => conv)!;
  const { classifier, grid } = foldClassifier(reader, conv!.shape[0]);
  const [ignored, unknown] = reader.rest(/^features\.\d+\.num_batches_tracked$/);
  if (strict && unknown.length > 0) throw new InputError(`${CANNOT} unknown ${listNames(unknown)}`);
  return {
    ...{ steps, classifier, grid, parameters: countParameters(reader) },
    ignoredKeys: [...ignored, ...unknown],
  };
}
