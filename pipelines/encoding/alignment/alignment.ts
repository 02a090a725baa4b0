import { add } from "../../../engine/ops/elementwise.ts";
import { matmul } from "../../../engine/ops/matmul.ts";
import type { Gpu } from "../../../engine/gpu.ts";
import { Tensor, tidy } from "../../../engine/tensor.ts";
import { InputError } from "../../errors.ts";
import type { HostMatrix } from "../host_matrix.ts";
import type { AlignmentSlice } from "./tokens.ts";

/** A layer of a network, by name. */
export interface SliceName {
  /** Network. */
  readonly model: string;
  /** Layer. */
  readonly layer: string;
}

/** The head that all layers of all networks share. */
export interface AlignmentHead {
  /** Weights of the shared channels, `[width, nVoxels]`. */
  readonly beta: HostMatrix;
  /** Intercepts, `[nVoxels]`. */
  readonly bias: Float32Array<ArrayBuffer>;
  /**
   * What voxels choose: `shares` `[nVoxels, 1]` of the class token against the patches; `space` `[nVoxels, patches]`, weights of patches, where
   * voxels have their own; of FactorTopy `layers` `[nVoxels, layers]` and `places` `[nVoxels, 2]`, x and y from −1 to 1.
   */
  readonly choices: Readonly<Record<string, HostMatrix>>;
}

/** How training went. */
export interface AlignmentTraining {
  /** Mean of each loss over the steps of each epoch, before their weights but for that of the responses, `[nEpochs]`. */
  readonly losses: Readonly<
    Record<"brain" | "eigen" | "zero" | "covariance", Float64Array<ArrayBuffer>>
  >;
  /** Mean over voxels of the held-out R² after each epoch, `[nEpochs]`: of each voxel the mean over layers and networks. */
  readonly meanR2: Float64Array<ArrayBuffer>;
  /** Median over voxels of the same, `[nEpochs]`. */
  readonly medianR2: Float64Array<ArrayBuffer>;
  /** Epoch, from 0, that the weights are of: the one with the best mean. */
  readonly bestEpoch: number;
  /** Held-out R² after it, `[slices, nVoxels]`, or `[networks, nVoxels]` where networks choose layers. */
  readonly r2: HostMatrix;
  /** Rows of the images that were held out. */
  readonly heldOut: Uint32Array<ArrayBuffer>;
}

/** What an alignment is made of. */
export interface AlignmentParts {
  /** Layers of networks. */
  readonly slices: readonly AlignmentSlice[];
  /** Patches along a side that it was trained on. */
  readonly grid: number;
  /** A map for each slice, `[width of its tokens, shared width]`. */
  readonly weights: readonly HostMatrix[];
  /** The head. */
  readonly head: AlignmentHead;
  /** Mean of each voxel's responses to the training images, `[nVoxels]`. */
  readonly responseMean: Float64Array<ArrayBuffer>;
  /** Their standard deviation: predictions are in units of it, around the mean. */
  readonly responseStd: Float64Array<ArrayBuffer>;
  /** Settings in force, as JSON can hold them. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** How training went. */
  readonly training: AlignmentTraining;
}

const BYTES_AT_ONCE = 64 * 2 ** 20;

/** A channel alignment: a linear map of each layer of each network into one space, and the head that reads brain responses from it. */
export class Alignment implements AlignmentParts, Disposable {
  readonly slices: readonly AlignmentSlice[];
  readonly grid: number;
  readonly weights: readonly HostMatrix[];
  readonly head: AlignmentHead;
  readonly responseMean: Float64Array<ArrayBuffer>;
  readonly responseStd: Float64Array<ArrayBuffer>;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly training: AlignmentTraining;
  readonly #gpu: Gpu;
  readonly #onDevice = new Map<string, Tensor>();

  /** An alignment of these parts, to be used on a device. */
  constructor(gpu: Gpu, parts: AlignmentParts) {
    this.#gpu = gpu;
    this.slices = parts.slices;
    this.grid = parts.grid;
    this.weights = parts.weights;
    this.head = parts.head;
    this.responseMean = parts.responseMean;
    this.responseStd = parts.responseStd;
    this.settings = parts.settings;
    this.training = parts.training;
  }

  /** Channels of the shared space. */
  get width(): number {
    return this.head.beta.shape[0];
  }

  /** Voxels that are predicted. */
  get nVoxels(): number {
    return this.head.bias.length;
  }

  /**
   * Which slice has these names.
   *
   * @throws {InputError} when none has
   */
  indexOf({ model, layer }: SliceName): number {
    const index = this.slices.findIndex((slice) => slice.model === model && slice.layer === layer);
    if (index >= 0) return index;
    const known = Map.groupBy(this.slices, (slice) => slice.model);
    throw new InputError(
      `Cannot align layer ${layer} of ${model}: the alignment has ${
        [...known].map(([name, of]) => `${name} (${of.map((slice) => slice.layer).join(", ")})`)
          .join(", ")
      }`,
    );
  }

  /**
   * Aligned features of tokens of a layer.
   *
   * @param features `[n, width of the layer]`
   * @returns `[n, width]`
   * @throws {InputError} when there is no such layer, or the features have other channels
   */
  async apply(features: HostMatrix, name: SliceName): Promise<HostMatrix> {
    const map = this.#mapOf(features, name);
    return await this.#inParts(features, this.width, (x) => matmul(x, map));
  }

  /**
   * The responses that each token speaks for: its aligned features through the head, whatever place and share voxels choose. In units of
   * the standard deviation of each voxel. Patches of an image give a map of the image for every voxel.
   *
   * @param features `[n, width of the layer]`
   * @returns `[n, nVoxels]`
   * @throws {InputError} when there is no such layer, or the features have other channels
   */
  async predict(features: HostMatrix, name: SliceName): Promise<HostMatrix> {
    const map = this.#mapOf(features, name);
    const beta = this.#keep("beta", this.head.beta.data, this.head.beta.shape);
    const bias = this.#keep("bias", this.head.bias, [1, this.nVoxels]);
    return await this.#inParts(
      features,
      this.nVoxels,
      (x) => add(matmul(matmul(x, map), beta), bias),
    );
  }

  #mapOf({ shape }: HostMatrix, name: SliceName): Tensor {
    const index = this.indexOf(name);
    const { data, shape: size } = this.weights[index];
    if (shape[1] !== size[0]) {
      throw new InputError(
        `Cannot align layer ${name.layer} of ${name.model}: its tokens have ${
          size[0]
        } channels, the features are [${shape}]`,
      );
    }
    return this.#keep(`map ${index}`, data, size);
  }

  #keep(name: string, values: Float32Array<ArrayBuffer>, shape: readonly number[]): Tensor {
    const known = this.#onDevice.get(name);
    if (known) return known;
    const tensor = Tensor.from(this.#gpu, values, shape);
    this.#gpu.scopes.at(-1)?.delete(tensor); // the alignment owns it
    this.#onDevice.set(name, tensor);
    return tensor;
  }

  async #inParts(
    { data, shape: [n, width] }: HostMatrix,
    columns: number,
    of: (x: Tensor) => Tensor,
  ): Promise<HostMatrix> {
    const out = new Float32Array(n * columns);
    const step = Math.max(1, Math.floor(BYTES_AT_ONCE / 4 / Math.max(columns, width)));
    for (let start = 0; start < n; start += step) {
      const end = Math.min(n, start + step);
      const part = data.subarray(start * width, end * width);
      using y = tidy(this.#gpu, () => of(Tensor.from(this.#gpu, part, [end - start, width])));
      out.set(await y.data(), start * columns);
    }
    return { data: out, shape: [n, columns] };
  }

  /** Gives up what was put on the device; it is put there again when it is needed. */
  [Symbol.dispose](): void {
    for (const tensor of this.#onDevice.values()) tensor.dispose();
    this.#onDevice.clear();
  }
}
