import {
  add,
  addScalar,
  clamp,
  div,
  full,
  mul,
  pow,
  scale,
  sqrt,
  square,
  sub,
} from "../../engine/ops/elementwise.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { adaptiveMaxPool2d } from "../../engine/ops/pool.ts";
import { mean, normalize, sum } from "../../engine/ops/reduce.ts";
import { adaptiveAvgPool2d } from "../../engine/ops/resize.ts";
import { permute, slice } from "../../engine/ops/shape.ts";
import { type Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import { meanOfEach, sumOfEach } from "./image_sums.ts";
import {
  addObjectives,
  besideChannels,
  channelAxis,
  meanOfViews,
  type Objective,
  type ObjectiveContext,
} from "./objective.ts";

function oneChannel(x: Tensor, layer: string, channel: number): Tensor {
  const axis = channelAxis(layer, x);
  if (!Number.isInteger(channel) || channel < 0 || channel >= x.shape[axis]) {
    throw new InputError(
      `Cannot take channel ${channel} of ${layer}: there are ${x.shape[axis]}, counted from 0`,
    );
  }
  return slice(x, { axis, start: channel, end: channel + 1 });
}

/** An objective from a function of one layer's activation that gives `[n·crops]`. */
function ofLayer(
  name: string,
  layer: string,
  score: (x: Tensor, context: ObjectiveContext) => Tensor,
): Objective {
  return {
    name,
    layers: [layer],
    score: (context) =>
      tidy(context.image.gpu, () => {
        const each = score(context.activation(layer), context);
        return meanOfViews(each, context.crops);
      }),
  };
}

/** The mean of a channel over all places (lucid's `channel`). */
export function channelObjective(layer: string, channel: number): Objective {
  return ofLayer(
    `channel ${channel} of ${layer}`,
    layer,
    (x) => meanOfEach(oneChannel(x, layer, channel)),
  );
}

/** Options of {@link neuronObjective}. */
export interface NeuronOptions {
  /** Row; the middle, `⌊h/2⌋`, when absent. */
  readonly row?: number;
  /** Column; the middle when absent. */
  readonly column?: number;
}

/**
 * A channel at one place of a map `[n, channels, h, w]` (lucid's `neuron`).
 *
 * @throws {InputError} when scored on another shape or at a place that is not there
 */
export function neuronObjective(
  layer: string,
  channel: number,
  { row, column }: NeuronOptions = {},
): Objective {
  return ofLayer(`neuron ${channel} of ${layer}`, layer, (x) => {
    const [, , h, w] = x.shape;
    const i = row ?? Math.floor(h / 2), j = column ?? Math.floor(w / 2);
    if (x.shape.length !== 4 || !(i >= 0 && i < h && j >= 0 && j < w)) {
      throw new InputError(
        `Cannot take place ${i},${j} of ${layer} [${x.shape}]: it must be inside a map [n, channels, h, w]`,
      );
    }
    const at = slice(slice(x, { axis: 2, start: i, end: i + 1 }), {
      axis: 3,
      start: j,
      end: j + 1,
    });
    return oneChannel(at, layer, channel).reshape([-1]);
  });
}

/** Options of {@link directionObjective}. */
export interface DirectionOptions {
  /**
   * Power of the cosine that the dot product is multiplied by, at least 0.1 of it (lucid's `_dot_cossim`): higher ones care for the direction
   * more than for the size.
   */
  readonly cosinePower?: number;
}

const LUCID_EPS = 1e-4; // added to both lengths of the cosine (lucid, objectives_util.py)
const LUCID_LEAST_COSINE = 0.1;

/**
 * The dot product of a direction with the channels at every place, times its cosine to a power, averaged over places.
 *
 * @param direction `[channels]` for all images or `[n, channels]` for each its own; stays the caller's
 */
export function directionObjective(
  layer: string,
  direction: Tensor,
  { cosinePower = 0 }: DirectionOptions = {},
): Objective {
  return ofLayer(`direction in ${layer}`, layer, (x, { crops }) => {
    const along = besideChannels(layer, x, direction, crops);
    const kept = x.shape.length - 1;
    const overChannels = (t: Tensor) => sumOfEach(kept === 3 ? permute(t, [0, 2, 3, 1]) : t, kept);
    const dots = overChannels(mul(x, along));
    if (cosinePower === 0) return meanOfEach(dots);
    // The least summand keeps the root's slope finite at 0.
    const length = (t: Tensor) => sqrt(addScalar(overChannels(square(t)), 1e-30));
    const lengths = mul(addScalar(length(x), LUCID_EPS), addScalar(length(along), LUCID_EPS));
    const cosine = clamp(div(dots, lengths), LUCID_LEAST_COSINE, 2);
    return meanOfEach(mul(dots, pow(cosine, full(x.gpu, [1], cosinePower))));
  });
}

/** One layer of a linear readout. */
export interface ReadoutPart {
  /** The layer. */
  readonly layer: string;
  /** `[p]` for all images, or `[n, p]` for each its own; stays the caller's. */
  readonly weights: Tensor;
  /** Side of the grid that a map is pooled to before it is flattened channel by channel; as it is when absent. */
  readonly grid?: number;
  /** How it is pooled (default max, the VWAM package's). */
  readonly pool?: "max" | "avg";
}

/** A layer's features in the order of their weights, `[n, p]`. @internal */
export function flatFeatures(
  x: Tensor,
  { grid, pool = "max" }: Pick<ReadoutPart, "grid" | "pool">,
): Tensor {
  const isMap = x.shape.length === 4; // a vector has no grid
  const pooled = grid === undefined || !isMap
    ? x
    : pool === "max"
    ? adaptiveMaxPool2d(x, grid)
    : adaptiveAvgPool2d(x, grid);
  return pooled.reshape([x.shape[0], -1]);
}

/** Options of {@link readoutObjective}. */
export interface ReadoutOptions {
  /** What it is, for records. */
  readonly name?: string;
  /** `"l2"` divides the features of all parts by their common Euclidean length before they are weighted. */
  readonly normalization?: "l2" | "none";
}

/** Features of one part for every view, `[n, crops, p]`, and its weights beside them. */
function weighedPart(
  part: ReadoutPart,
  { crops, activation }: ObjectiveContext,
): { features: Tensor; rows: Tensor } {
  const features = flatFeatures(activation(part.layer), part);
  const [views, p] = features.shape, { shape } = part.weights;
  const n = views / crops;
  if (shape.at(-1) !== p || !(shape.length === 1 || shape.length === 2 && shape[0] === n)) {
    throw new InputError(
      `Cannot read ${part.layer} out: weights must be [${p}] or [${n},${p}], got [${shape}]`,
    );
  }
  const rows = part.weights.reshape(shape.length === 1 ? [1, 1, p] : [n, 1, p]);
  return { features: features.reshape([n, crops, p]), rows };
}

/** Added to the squared length of features: one of zeros has a readout of 0, and a slope. @internal */
export const LEAST_SQUARE = 1e-24;

/**
 * What a linear encoder predicts, without its intercept: `Σ_layers w · pooled features`. With a row of weights per image every image has
 * a voxel, region or contrast of its own.
 *
 * @throws {InputError} when there is no part, or the weights do not fit the layers where it is scored
 */
export function readoutObjective(
  parts: readonly ReadoutPart[],
  { name = "readout", normalization = "none" }: ReadoutOptions = {},
): Objective {
  const dotOf = ({ features, rows }: ReturnType<typeof weighedPart>) =>
    sumOfEach(mul(features, rows), 2);
  if (normalization === "none") {
    const one = (part: ReadoutPart): Objective => ({
      name,
      layers: [part.layer],
      score: (context) =>
        tidy(context.image.gpu, () => meanOfEach(dotOf(weighedPart(part, context)))),
    });
    return { ...addObjectives(...parts.map(one)), name };
  }
  if (parts.length === 0) {
    throw new InputError("Cannot read out: there must be at least one layer");
  }
  return {
    name,
    layers: [...new Set(parts.map(({ layer }) => layer))],
    score: (context) =>
      tidy(context.image.gpu, () => {
        const weighed = parts.map((part) => weighedPart(part, context));
        const dots = weighed.map(dotOf).reduce((a, b) => add(a, b));
        const squares = weighed.map(({ features }) => sumOfEach(square(features), 2));
        const length = sqrt(addScalar(squares.reduce((a, b) => add(a, b)), LEAST_SQUARE));
        return meanOfEach(div(dots, length));
      }),
  };
}

/**
 * How like each other the images of a batch are in a layer's correlations of channels, over the number of images (lucid's `diversity`: Gram
 * matrices of length 1, every image's inner products with the others). A penalty: scale it by a negative number.
 */
export function diversityObjective(layer: string): Objective {
  return {
    name: `likeness in ${layer}`,
    layers: [layer],
    score: ({ image, crops, activation }) =>
      tidy(image.gpu, () => {
        const x = activation(layer);
        const axis = channelAxis(layer, x);
        const channels = x.shape[axis], n = x.shape[0] / crops;
        const rows = axis === 1 ? x.reshape([x.shape[0], channels, -1]) : permute(x, [0, 2, 1]);
        const grams = matmul(rows, rows, { transposeB: true }); // [n·crops, channels, channels]
        const ofImage = mean(grams.reshape([n, crops, channels * channels]), { axes: [1] });
        const unit = normalize(ofImage, { eps: 1e-5 }); // lucid: 1e-10 under the root
        const all = sum(matmul(unit, unit, { transposeB: true }), { axes: [1] });
        const own = sum(square(unit), { axes: [1] });
        return scale(sub(all, own), 1 / n);
      }),
  };
}
