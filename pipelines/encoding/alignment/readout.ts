import { add, addScalar, mul, neg, sigmoid } from "../../../engine/ops/elementwise.ts";
import { matmul } from "../../../engine/ops/matmul.ts";
import { softmax } from "../../../engine/ops/norm.ts";
import { mean, sum } from "../../../engine/ops/reduce.ts";
import { concat, slice, transpose } from "../../../engine/ops/shape.ts";
import type { Key } from "../../../engine/random.ts";
import { type Tensor, tidy } from "../../../engine/tensor.ts";
import { keyOf, linearStart, type ParameterStart, type VoxelChunk } from "./parameters.ts";
import type { PatchPooling } from "./settings.ts";

/** Gives a parameter by name, on a tape where it is trained. */
export type ParameterOf = (name: string) => Tensor;

/** How responses are read out of aligned tokens, voxels in stretches. */
export interface Readout {
  /** Stretches of voxels. */
  readonly chunks: readonly VoxelChunk[];
  /** Predictions for each image: one for each slice, or one for each network. */
  readonly nOutputs: number;
  /** First values of all parameters; `beta/<chunk>` is `[width, voxels]` and `bias/<chunk>` `[1, voxels]` in every kind. */
  starts(key: Key): Map<string, ParameterStart>;
  /** Names of the parameters that a stretch needs, those it shares with others included. */
  namesOf(chunk: number): string[];
  /** What all stretches need of aligned tokens `[slices, images, tokens, width]`. */
  pool(aligned: Tensor): Tensor;
  /** Predictions `[nOutputs, images, voxels]` of a stretch. */
  predict(pooled: Tensor, chunk: number, of: ParameterOf): Tensor;
  /** What voxels of a stretch choose, `[voxels, …]` each: `shares` of the class token, and what else the kind has. */
  choices(chunk: number, of: ParameterOf): Readonly<Record<string, Tensor>>;
  /** What the weights are multiplied by where they are used. */
  readonly betaScale: number;
  /** A penalty on the parameters of a stretch, added to the loss in a step; undefined where there is none. */
  penalty(chunk: number, of: ParameterOf, step: number): Tensor | undefined;
}

/** Sizes of a readout. */
export interface ReadoutSizes {
  /** Slices. */
  readonly nSlices: number;
  /** Patches along a side. */
  readonly grid: number;
  /** Channels of the shared space. */
  readonly width: number;
  /** Voxels. */
  readonly nVoxels: number;
  /** Stretches of voxels. */
  readonly chunks: readonly VoxelChunk[];
}

/** First weights and intercepts of every stretch. */
export function headStarts(
  key: Key,
  { width, chunks }: ReadoutSizes,
): Map<string, ParameterStart> {
  const starts = new Map<string, ParameterStart>();
  chunks.forEach(({ start, end }, c) => {
    const n = end - start;
    starts.set(`beta/${c}`, linearStart(keyOf(key, `beta/${c}`), [width, n], width));
    starts.set(`bias/${c}`, { shape: [1, n], values: new Float32Array(n) });
  });
  return starts;
}

/**
 * The readout by layers: ŷ = s·(class token·β) + (1 − s)·Σ_p a_p·(patch_p·β) + b with the same β, b, s and a for every slice, each with a value
 * for every voxel. Predictions are made for each slice.
 */
export class PerLayerReadout implements Readout {
  readonly chunks: readonly VoxelChunk[];
  readonly nOutputs: number;
  readonly betaScale = 1;
  readonly #sizes: ReadoutSizes;
  readonly #pooling: PatchPooling;

  /** A readout of these sizes. */
  constructor(sizes: ReadoutSizes, pooling: PatchPooling) {
    this.chunks = sizes.chunks;
    this.nOutputs = sizes.nSlices;
    this.#sizes = sizes;
    this.#pooling = pooling;
  }

  starts(key: Key): Map<string, ParameterStart> {
    const starts = headStarts(key, this.#sizes);
    const zeros = (shape: readonly [number, number]): ParameterStart => ({
      shape,
      values: new Float32Array(shape[0] * shape[1]),
    });
    this.chunks.forEach(({ start, end }, c) => {
      starts.set(`scale/${c}`, zeros([1, end - start])); // sigmoid(0): half class token, half patches
      if (this.#pooling === "voxel") {
        starts.set(`space/${c}`, zeros([end - start, this.#sizes.grid ** 2])); // softmax of 0: the mean
      }
    });
    return starts;
  }

  namesOf(chunk: number): string[] {
    const names = [`beta/${chunk}`, `bias/${chunk}`, `scale/${chunk}`];
    return this.#pooling === "voxel" ? [...names, `space/${chunk}`] : names;
  }

  pool(aligned: Tensor): Tensor {
    const [slices, images, tokens, width] = aligned.shape;
    if (this.#pooling === "voxel") return aligned.reshape([slices * images * tokens, width]);
    return tidy(aligned.gpu, () => {
      const rows = aligned.reshape([slices * images, tokens, width]);
      const patches = mean(slice(rows, { axis: 1, start: 1 }), { axes: [1], keepDims: true });
      return concat([slice(rows, { axis: 1, end: 1 }), patches], 1)
        .reshape([slices * images * 2, width]);
    });
  }

  predict(pooled: Tensor, chunk: number, of: ParameterOf): Tensor {
    return tidy(pooled.gpu, () => {
      const weights = this.#tokenWeights(chunk, of); // [tokens or 2, voxels]
      const [tokens, voxels] = weights.shape;
      const each = matmul(pooled, of(`beta/${chunk}`)); // [slices · images · tokens, voxels]
      const rows = each.shape[0] / tokens;
      const weighed = mul(
        each.reshape([rows, tokens, voxels]),
        weights.reshape([1, tokens, voxels]),
      );
      const read = add(sum(weighed, { axes: [1] }), of(`bias/${chunk}`));
      return read.reshape([this.nOutputs, rows / this.nOutputs, voxels]);
    });
  }

  /** How much a voxel takes of the class token and of the patches, or of their mean: `[1 + patches, voxels]` or `[2, voxels]`. */
  #tokenWeights(chunk: number, of: ParameterOf): Tensor {
    const share = sigmoid(of(`scale/${chunk}`)); // [1, voxels]
    const rest = addScalar(neg(share), 1);
    if (this.#pooling === "mean") return concat([share, rest], 0);
    return concat([share, mul(transpose(softmax(of(`space/${chunk}`))), rest)], 0);
  }

  choices(chunk: number, of: ParameterOf): Readonly<Record<string, Tensor>> {
    return tidy(of(`scale/${chunk}`).gpu, (): Readonly<Record<string, Tensor>> => {
      const shares = transpose(sigmoid(of(`scale/${chunk}`)));
      return this.#pooling === "mean"
        ? { shares }
        : { shares, space: softmax(of(`space/${chunk}`)) };
    });
  }

  penalty(): undefined {
    return undefined;
  }
}
