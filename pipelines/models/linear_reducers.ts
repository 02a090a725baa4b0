/**
 * Linear layers of a network on fewer features: projections of their outputs, fixed before any image is seen, as VWAM's `downsample_linear` has
 * them (github MShinkle/VWAM, vwam/utils.py).
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { sub } from "../../engine/ops/elementwise.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { foldIn, normal, randomKey } from "../../engine/random.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { hostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import { fitPca } from "../stats/pca.ts";
import type { TapModel } from "./tap_model.ts";

/**
 * What becomes of the output of a linear layer: `weights_pca` are principal components of the rows of `weightᵀ`, one row per input of the
 * layer; `random_projection` are random directions.
 */
export type LinearReduction = "weights_pca" | "random_projection";

/** The names of {@link LinearReduction}. */
export const linearReductions: readonly LinearReduction[] = ["weights_pca", "random_projection"];

/** A tap to be reduced. */
export interface ReducedTap {
  /** Name of the tap. */
  readonly name: string;
  /** Features that are kept. */
  readonly length: number;
}

/** A projection `(x − mean)·components` on the host. */
interface Projection {
  /** `[channels]` */
  readonly mean: Float64Array;
  /** `[channels, length]` */
  readonly components: Float64Array;
}

/** Options of {@link linearReducers}. */
export interface LinearReducersOptions {
  /** What becomes of linear layers. */
  readonly linear: LinearReduction;
  /** Makes random directions (default 0). */
  readonly seed?: number;
}

/** The largest layer whose components are found in about a minute, on the host in float64. */
const MOST_UNITS = 2048;

/** Projections of some taps on a device. Owns them. */
export class LinearReducers implements Disposable {
  readonly #tensors: ReadonlyMap<string, readonly [mean: Tensor, components: Tensor]>;

  /** @internal Use {@link linearReducers}. */
  constructor(
    gpu: Gpu,
    readonly options: Required<LinearReducersOptions>,
    { projections, dtype }: {
      readonly projections: ReadonlyMap<string, Projection>;
      readonly dtype: "f32" | "f16";
    },
  ) {
    this.#tensors = new Map([...projections].map(([name, { mean, components }]) => {
      const channels = mean.length, length = components.length / channels;
      const upload = (values: Float64Array, shape: readonly number[]) =>
        Tensor.from(gpu, Float32Array.from(values), shape, { dtype });
      return [name, [upload(mean, [1, channels]), upload(components, [channels, length])]];
    }));
  }

  /** Whether a tap is reduced. */
  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  /**
   * Reduced outputs of a layer, `[n, length]`; on a tape they are differentiable by the outputs.
   *
   * @param outputs `[n, channels]`
   * @throws {InputError} when the tap is not one of those that are reduced
   */
  reduce(name: string, outputs: Tensor): Tensor {
    const own = this.#tensors.get(name);
    if (!own) {
      throw new InputError(`Cannot reduce the features of ${name}: it is no layer to be reduced`);
    }
    const [mean, components] = own;
    return tidy(outputs.gpu, () => matmul(sub(outputs, mean), components));
  }

  /** Frees the projections. */
  [Symbol.dispose](): void {
    for (const tensors of this.#tensors.values()) tensors.forEach((tensor) => tensor.dispose());
  }
}

/** A network whose taps are reduced where there is a projection. */
export interface ReducedNetwork {
  /** The taps that are named; those with a projection are `[n, length]`. */
  taps: TapModel["taps"];
}

/**
 * A network with the linear layers among its taps reduced.
 *
 * @param model stays the caller's, as the reducers do
 */
export function reducedNetwork(
  model: Pick<TapModel, "taps">,
  reducers: LinearReducers,
): ReducedNetwork {
  return {
    taps(pixels, names, options) {
      const taps = tidy(pixels.gpu, () =>
        Object.fromEntries(
          [...model.taps(pixels, names, options)].map(([name, tap]) => [
            name,
            reducers.has(name) ? reducers.reduce(name, tap) : tap,
          ]),
        ));
      return new Map(names.map((name) => [name, taps[name]]));
    },
  };
}

/** Components of the rows of the transposed weights, `[inputs, channels]`, as VWAM's `PCA`. */
async function weightsPca(name: string, weight: Tensor, length: number): Promise<Projection> {
  const [channels, inputs] = weight.shape;
  if (Math.min(channels, inputs) > MOST_UNITS) {
    throw new InputError(
      `Cannot find the components of ${name}: at most ${MOST_UNITS} units are decomposed, it has ${channels}; take random_projection`,
    );
  }
  const values = await weight.data();
  const rows = Float32Array.from(
    { length: values.length },
    (_, at) => values[(at % channels) * inputs + Math.floor(at / channels)],
  );
  const { mean, components } = fitPca(hostMatrix(rows, [inputs, channels]), length);
  const columns = Float64Array.from(
    { length: channels * length },
    (_, at) => components[(at % length) * channels + Math.floor(at / length)],
  );
  return { mean, components: columns };
}

/** Directions of standard normal values, by `1/√length` so that vectors keep their length on average; VWAM leaves that factor out. */
function randomDirections(
  [channels, length]: readonly [number, number],
  { seed, tap }: { readonly seed: number; readonly tap: number },
): Projection {
  const draws = normal(foldIn(randomKey(seed), tap), channels * length);
  return {
    mean: new Float64Array(channels),
    components: Float64Array.from(draws, (value) => value / Math.sqrt(length)),
  };
}

/**
 * Makes the projections of the linear layers among some taps. They follow from the network's weights, or from the seed, alone: whoever has
 * the same network makes the same ones again.
 *
 * @param taps from `planTaps`; those that are no linear layers are passed over
 * @throws {InputError} for a layer of more than 2,048 units whose components are asked for
 */
export async function linearReducers(
  gpu: Gpu,
  model: TapModel,
  taps: readonly ReducedTap[],
  { linear, seed = 0 }: LinearReducersOptions,
): Promise<LinearReducers> {
  const projections = new Map<string, Projection>();
  let dtype: "f32" | "f16" = "f32";
  for (const { name, length } of taps) {
    const weight = model.linearWeight(name);
    if (!weight) continue;
    if (weight.dtype === "f16") dtype = "f16"; // of the taps then too
    const draw = { seed, tap: model.tapNames.indexOf(name) };
    projections.set(
      name,
      linear === "weights_pca"
        ? await weightsPca(name, weight, length)
        : randomDirections([weight.shape[0], length], draw),
    );
  }
  return new LinearReducers(gpu, { linear, seed }, { projections, dtype });
}
