import {
  abs,
  add,
  addScalar,
  gelu,
  log,
  mul,
  neg,
  relu,
  scale,
  sigmoid,
  square,
  sub,
  tanh,
} from "../../../engine/ops/elementwise.ts";
import { linear, matmul } from "../../../engine/ops/matmul.ts";
import { softmax } from "../../../engine/ops/norm.ts";
import { sum } from "../../../engine/ops/reduce.ts";
import { concat, slice, transpose } from "../../../engine/ops/shape.ts";
import type { Gpu } from "../../../engine/gpu.ts";
import type { Key } from "../../../engine/random.ts";
import { Tensor, tidy } from "../../../engine/tensor.ts";
import { InputError } from "../../errors.ts";
import { keyOf, linearStart, type ParameterStart, type VoxelChunk } from "./parameters.ts";
import { headStarts, type ParameterOf, type Readout, type ReadoutSizes } from "./readout.ts";

// Of FactorTopy's code (`BrainDecodesDeepNets`).
const STEPS_OF_LONGEST_AXIS = 100;
const FREQUENCIES = 32;
const PERIODS = 1000;
const HIDDEN = 128;
const PENALTY = 0.1;
const PENALTY_STEPS = 2000;

/**
 * Sines and cosines of voxel coordinates at 32 frequencies from 1 down to 1000^(−31/32), with coordinates scaled so that the longest
 * axis spans 100.
 *
 * @param coordinates `[nVoxels, nAxes]`
 * @returns `[nVoxels, nAxes · 64]`
 * @throws {InputError} when the voxels are all in one place
 */
export function encodePlaces(
  coordinates: { readonly data: Float32Array; readonly shape: readonly [number, number] },
): { readonly data: Float32Array<ArrayBuffer>; readonly shape: readonly [number, number] } {
  const { data, shape: [n, axes] } = coordinates;
  const low = new Float64Array(axes).fill(Infinity), high = new Float64Array(axes).fill(-Infinity);
  data.forEach((x, at) => {
    low[at % axes] = Math.min(low[at % axes], x);
    high[at % axes] = Math.max(high[at % axes], x);
  });
  const longest = Math.max(...high.map((x, a) => x - low[a]));
  if (!(longest > 0 && Number.isFinite(longest))) {
    throw new InputError(
      `Cannot encode the places of ${n} voxels: they must be finite and not all in one place`,
    );
  }
  const width = axes * 2 * FREQUENCIES;
  const out = new Float32Array(n * width);
  data.forEach((x, at) => {
    const place = (x - low[at % axes]) / longest * STEPS_OF_LONGEST_AXIS;
    const to = Math.floor(at / axes) * width + (at % axes) * 2 * FREQUENCIES;
    for (let j = 0; j < FREQUENCIES; j++) {
      const angle = place * PERIODS ** (-j / FREQUENCIES);
      out[to + j] = Math.sin(angle);
      out[to + FREQUENCIES + j] = Math.cos(angle);
    }
  });
  return { data: out, shape: [n, width] };
}

/** What the selectors choose for the voxels of a stretch. */
export interface Selection {
  /** Where in the image, x and y in −1 to 1, `[voxels, 2]`. */
  readonly places: Tensor;
  /** Weights of the layers, `[voxels, layers]`. */
  readonly layers: Tensor;
  /** Share of the class token, `[voxels, 1]`. */
  readonly shares: Tensor;
}

const SELECTORS = { places: 2, layers: 0, shares: 1 } as const;

/**
 * The readout of FactorTopy: each network predicts a voxel from the layers, the place and the share of the class token that three small
 * networks choose for its coordinates. ŷ = mean over channels of w·((1 − s)·Σ_l a_l·bilinear(patches_l, place) + s·Σ_l a_l·class_l) + b.
 */
export class FactorTopyReadout implements Readout, Disposable {
  readonly chunks: readonly VoxelChunk[];
  readonly nOutputs: number;
  readonly betaScale: number;
  readonly #sizes: ReadoutSizes;
  readonly #nLayers: number;
  readonly #encoded: readonly Tensor[];
  readonly #centres: Tensor;
  readonly #nIn: number;

  /**
   * A readout of these sizes; slices are in order of networks, each with the same number of layers.
   *
   * @throws {InputError} when there is not one place for each voxel, or networks differ in their number of layers
   */
  constructor(
    gpu: Gpu,
    sizes: ReadoutSizes,
    { nModels, coordinates }: {
      readonly nModels: number;
      readonly coordinates?: {
        readonly data: Float32Array;
        readonly shape: readonly [number, number];
      };
    },
  ) {
    if (!coordinates || coordinates.shape[0] !== sizes.nVoxels) {
      throw new InputError(
        `Cannot choose layers by coordinates: there must be a place for each of ${sizes.nVoxels} voxels, got [${
          coordinates?.shape ?? "none"
        }]`,
      );
    }
    if (sizes.nSlices % nModels !== 0) {
      throw new InputError(
        `Cannot choose layers by coordinates: every network must have the same number of layers, got ${sizes.nSlices} of ${nModels} networks`,
      );
    }
    this.chunks = sizes.chunks;
    this.nOutputs = nModels;
    this.betaScale = 1 / sizes.width; // the mean over channels
    this.#sizes = sizes;
    this.#nLayers = sizes.nSlices / nModels;
    const { data, shape: [, nIn] } = encodePlaces(coordinates);
    this.#nIn = nIn;
    this.#encoded = sizes.chunks.map(({ start, end }) =>
      Tensor.from(gpu, data.subarray(start * nIn, end * nIn), [end - start, nIn])
    );
    const { grid } = sizes;
    this.#centres = Tensor.from(gpu, Float32Array.from({ length: grid }, (_, i) => i), [1, grid]);
  }

  starts(key: Key): Map<string, ParameterStart> {
    const starts = headStarts(key, this.#sizes);
    for (const [name, size] of Object.entries(SELECTORS)) {
      const layer = (part: string, [n, k]: readonly [number, number]) => {
        const at = `${name}/${part}`;
        starts.set(`${at}.weight`, linearStart(keyOf(key, `${at}.weight`), [n, k], k));
        starts.set(`${at}.bias`, linearStart(keyOf(key, `${at}.bias`), [n], k));
      };
      layer("0", [HIDDEN, this.#nIn]);
      layer("1", [HIDDEN, HIDDEN]);
      const n = size || this.#nLayers;
      starts.set(`${name}/2.weight`, { shape: [n, HIDDEN], values: new Float32Array(n * HIDDEN) });
    }
    return starts;
  }

  namesOf(chunk: number): string[] {
    const parts = ["0.weight", "0.bias", "1.weight", "1.bias", "2.weight"];
    const shared = Object.keys(SELECTORS).flatMap((name) => parts.map((part) => `${name}/${part}`));
    return [`beta/${chunk}`, `bias/${chunk}`, ...shared];
  }

  pool(aligned: Tensor): Tensor {
    const [slices, images, tokens, width] = aligned.shape;
    return aligned.reshape([slices * images * tokens, width]);
  }

  /** What the selectors choose. */
  select(chunk: number, of: ParameterOf): Selection {
    const through = (name: string) => {
      const part = (i: number) => ({ bias: of(`${name}/${i}.bias`) });
      const first = gelu(linear(this.#encoded[chunk], of(`${name}/0.weight`), part(0)));
      const second = gelu(linear(first, of(`${name}/1.weight`), part(1)));
      return linear(second, of(`${name}/2.weight`));
    };
    return {
      places: tanh(through("places")),
      layers: softmax(through("layers")),
      shares: sigmoid(through("shares")),
    };
  }

  /** Weights of the class token and of the patches, `[voxels, 1 + patches]`: bilinear as `grid_sample` with zeros outside. */
  tokenWeights({ places, shares }: Selection): Tensor {
    const { grid } = this.#sizes;
    const hat = (axis: number) => {
      const place = slice(places, { axis: 1, start: axis, end: axis + 1 }); // [voxels, 1]
      const at = scale(addScalar(scale(addScalar(place, 1), grid), -1), 0.5); // in patches, centres whole
      return relu(addScalar(neg(abs(sub(at, this.#centres))), 1)); // [voxels, grid]
    };
    const voxels = places.shape[0];
    const [columns, rows] = [hat(0), hat(1)];
    const both = mul(rows.reshape([voxels, grid, 1]), columns.reshape([voxels, 1, grid]));
    const patches = mul(both.reshape([voxels, grid * grid]), addScalar(neg(shares), 1));
    return concat([shares, patches], 1);
  }

  predict(pooled: Tensor, chunk: number, of: ParameterOf): Tensor {
    return tidy(pooled.gpu, () => {
      const selection = this.select(chunk, of);
      const weights = transpose(this.tokenWeights(selection)); // [tokens, voxels]
      const [tokens, voxels] = weights.shape;
      const beta = scale(of(`beta/${chunk}`), this.betaScale);
      const each = matmul(pooled, beta).reshape([-1, tokens, voxels]);
      const read = sum(mul(each, weights.reshape([1, tokens, voxels])), { axes: [1] });
      const images = read.shape[0] / this.nOutputs / this.#nLayers;
      const layers = transpose(selection.layers).reshape([1, this.#nLayers, 1, voxels]);
      const byLayer = read.reshape([this.nOutputs, this.#nLayers, images, voxels]);
      return add(
        sum(mul(byLayer, layers), { axes: [1] }),
        of(`bias/${chunk}`).reshape([1, 1, voxels]),
      );
    });
  }

  choices(chunk: number, of: ParameterOf): Readonly<Record<string, Tensor>> {
    return tidy(
      this.#centres.gpu,
      (): Readonly<Record<string, Tensor>> => ({ ...this.select(chunk, of) }),
    );
  }

  penalty(chunk: number, of: ParameterOf, step: number): Tensor | undefined {
    const weight = PENALTY * Math.max(0, 1 - step / PENALTY_STEPS) / this.#sizes.nVoxels;
    if (weight === 0) return undefined;
    return tidy(this.#centres.gpu, () => {
      const { layers, shares } = this.select(chunk, of);
      const middle = sum(square(addScalar(shares, -0.5)));
      if (this.#nLayers === 1) return scale(middle, weight);
      const entropy = sum(mul(layers, log(addScalar(layers, 1e-12))));
      return scale(add(scale(entropy, 1 / Math.log(this.#nLayers)), middle), weight);
    });
  }

  /** Gives the encoded places up. */
  [Symbol.dispose](): void {
    for (const tensor of [...this.#encoded, this.#centres]) tensor.dispose();
  }
}
