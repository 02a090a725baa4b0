/**
 * Reads the tensors of one convolutional network out of a state dict: each checked, and none left over unseen.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import { type HostTensor, type StateDict, toFloat32 } from "../io/state_dict.ts";
import { quote } from "../io/strict_json.ts";
import { listNames } from "./layouts.ts";
import { resemblance } from "./network_anchors.ts";
import { firstNotFinite } from "./vit_weights.ts";

/** A layer ready to run. */
export interface FoldedLayer {
  /** `[cout, cin, kh, kw]` of a convolution, `[out, in]` of a linear layer. */
  readonly shape: readonly number[];
  /** Weights, row-major. */
  readonly weight: Float32Array<ArrayBuffer>;
  /** `[cout]` */
  readonly bias: Float32Array<ArrayBuffer>;
}

/** A network that is told by one of its keys. */
export interface Anchor {
  /** Beginning of every error, such as "Cannot load the checkpoint as VGG:". */
  readonly cannot: string;
  /** The key, without what a file puts before it. */
  readonly key: string;
}

/** What stands before a network's keys in a state dict, for each place where its anchor is found. */
export function anchorPrefixes(stateDict: StateDict, key: string): string[] {
  return [...stateDict.keys()].filter((name) => name === key || name.endsWith(`.${key}`))
    .map((name) => name.slice(0, name.length - key.length));
}

/**
 * The one prefix of a network's keys.
 *
 * @param wanted the prefix to take; any when left out
 * @throws {InputError} when the network is not there, or there several times
 */
export function findPrefix(stateDict: StateDict, { cannot, key }: Anchor, wanted?: string): string {
  const found = anchorPrefixes(stateDict, key)
    .filter((prefix) => wanted === undefined || prefix === wanted);
  if (found.length === 1) return found[0];
  const like = resemblance(stateDict);
  throw new InputError(
    found.length === 0
      ? `${cannot} expected the key ${quote((wanted ?? "") + key)}, ${
        like === undefined ? "" : `it looks like a ${like}, `
      }found ${listNames([...stateDict.keys()])}`
      : `${cannot} it stands under the prefixes ${
        listNames(found)
      }; name one with the option "prefix"`,
  );
}

/** The keys of one network in a file, and shapes of its tensors. */
export class CheckpointKeys {
  /**
   * @param prefix beginning of the network's keys
   * @param cannot beginning of every error
   */
  constructor(
    readonly stateDict: StateDict,
    readonly prefix: string,
    readonly cannot: string,
  ) {}

  /** Whether a tensor is there. */
  has(name: string): boolean {
    return this.stateDict.has(this.prefix + name);
  }

  /** A tensor's name as the file has it, for errors. */
  named(name: string): string {
    return quote(this.prefix + name);
  }

  /** Shape of a tensor, or undefined. */
  shapeOf(name: string): readonly number[] | undefined {
    return this.stateDict.get(this.prefix + name)?.shape;
  }

  /**
   * Shape of a tensor.
   *
   * @throws {InputError} when it is missing
   */
  needShape(name: string): readonly number[] {
    const shape = this.shapeOf(name);
    if (shape) return shape;
    throw new InputError(`${this.cannot} ${this.named(name)} is missing`);
  }

  /** Largest number behind a name that any key has, plus one. */
  count(name: string): number {
    let most = 0;
    const start = `${this.prefix}${name}.`;
    for (const key of this.stateDict.keys()) {
      if (!key.startsWith(start)) continue;
      const number = Number(key.slice(start.length).split(".", 1)[0]);
      if (Number.isInteger(number)) most = Math.max(most, number + 1);
    }
    return most;
  }
}

/** The tensors of one network in a file, and which of them were read. */
export class CheckpointReader extends CheckpointKeys {
  readonly #read = new Set<string>();

  /** @throws {InputError} when the tensor is missing */
  shape(name: string): readonly number[] {
    return this.#find(name).shape;
  }

  /**
   * Values of a tensor, which may be a view of the file.
   *
   * @throws {InputError} when the tensor is missing, of another shape or not finite
   */
  values(name: string, shape: readonly number[]): Float32Array<ArrayBuffer> {
    const tensor = this.#find(name);
    const { cannot } = this;
    if (`${tensor.shape}` !== `${shape}`) {
      throw new InputError(
        `${cannot} ${this.named(name)} must be [${shape}], is [${tensor.shape}]`,
      );
    }
    const values = toFloat32(tensor);
    const bad = firstNotFinite(values);
    if (bad < 0) return values;
    const isOverflow = tensor.dtype === "f16" && Math.abs(values[bad]) === Infinity;
    throw new InputError(
      `${cannot} ${this.named(name)} must hold finite numbers, value ${bad} is ${values[bad]}${
        isOverflow ? ", which half precision makes of values beyond 65504" : ""
      }`,
    );
  }

  #find(name: string): HostTensor {
    const tensor = this.stateDict.get(this.prefix + name);
    if (tensor === undefined) {
      throw new InputError(`${this.cannot} ${this.named(name)} is missing`);
    }
    this.#read.add(this.prefix + name);
    return tensor;
  }

  /**
   * Folds a batch norm into the layer before it; in float64, rounded once.
   *
   * @param norm name of the batch norm
   * @throws {InputError} when a tensor is missing, of another shape or not finite, or a variance is not above −eps
   */
  foldNorm({ shape, weight, bias }: FoldedLayer, norm: string, eps: number): FoldedLayer {
    const cout = shape[0], each = weight.length / cout;
    const [gamma, beta, mean, variance] = ["weight", "bias", "running_mean", "running_var"].map((
      part,
    ) => this.values(`${norm}.${part}`, [cout]));
    const folded = new Float32Array(weight.length), moved = new Float32Array(cout);
    for (let o = 0; o < cout; o++) {
      const scale = gamma[o] / Math.sqrt(variance[o] + eps);
      if (!Number.isFinite(scale)) {
        throw new InputError(
          `${this.cannot} ${this.named(`${norm}.running_var`)} must be above ${-eps}, ` +
            `value ${o} is ${variance[o]}`,
        );
      }
      for (let i = o * each; i < (o + 1) * each; i++) folded[i] = weight[i] * scale;
      moved[o] = beta[o] + (bias[o] - mean[o]) * scale;
    }
    return { shape, weight: folded, bias: moved };
  }

  /**
   * Keys that were not read.
   *
   * @param ignored tells which of them carry nothing here, by their names without the prefix
   */
  rest(ignored: RegExp): [ignored: string[], unknown: string[]] {
    const left = [...this.stateDict.keys()].filter((key) => !this.#read.has(key));
    const isIgnored = (key: string) =>
      key.startsWith(this.prefix) && ignored.test(key.slice(this.prefix.length));
    return [left.filter(isIgnored), left.filter((key) => !isIgnored(key))];
  }
}
