import { add, addScalar, div, sqrt, square } from "../../engine/ops/elementwise.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { slice } from "../../engine/ops/shape.ts";
import { type Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import type { ImageModel } from "./maximize.ts";
import { sumOfEach } from "./image_sums.ts";
import { flatFeatures, LEAST_SQUARE, type ReadoutOptions, type ReadoutPart } from "./objectives.ts";
import { type ModelInput, modelInput } from "./transform_images.ts";

/** Options of {@link predictResponses}. */
export interface PredictResponsesOptions extends Pick<ReadoutOptions, "normalization"> {
  /** What the network takes. */
  readonly input?: ModelInput;
  /** Added to the predictions, `[nReadouts]`. */
  readonly intercept?: ArrayLike<number>;
  /** Images at a time (default 8). */
  readonly batch?: number;
}

/** Predicted responses. */
export interface PredictedResponses {
  /** Row after row. */
  readonly data: Float64Array<ArrayBuffer>;
  /** Images and readouts. */
  readonly shape: readonly [nImages: number, nReadouts: number];
}

/** Features of one layer, `[n, p]`, and every readout of them, `[n, nReadouts]`. */
function readPart(part: ReadoutPart, tap: Tensor | undefined): Record<"features" | "dots", Tensor> {
  if (!tap) throw new InputError(`Cannot predict: the model gave no ${part.layer}`);
  const features = flatFeatures(tap, part);
  if (features.shape[1] !== part.weights.shape[1]) {
    throw new InputError(
      `Cannot read ${part.layer} out: it has ${features.shape[1]} features, the weights ${
        part.weights.shape[1]
      }`,
    );
  }
  return { features, dots: matmul(features, part.weights, { transposeB: true }) };
}

/**
 * What readouts predict for images: every readout for every image.
 *
 * @param images `[n, 3, height, width]`, colours in 0…1
 * @param parts the layers that are read, with weights `[nReadouts, p]`
 * @throws {InputError} when the weights do not fit the layers or each other
 */
export async function predictResponses(
  images: Tensor,
  model: ImageModel,
  parts: readonly ReadoutPart[],
  { input = {}, intercept, batch = 8, normalization = "none" }: PredictResponsesOptions = {},
): Promise<PredictedResponses> {
  const { gpu, shape: [n] } = images;
  const nReadouts = parts[0]?.weights.shape[0] ?? 0;
  const isTable = parts.every(({ weights: { shape } }) =>
    shape.length === 2 && shape[0] === nReadouts
  );
  if (parts.length === 0 || !isTable || intercept && intercept.length !== nReadouts) {
    throw new InputError(
      `Cannot predict responses: every layer needs weights [nReadouts, p], got [${
        parts.map(({ weights }) => `[${weights.shape}]`)
      }]${intercept ? ` and ${intercept.length} intercepts` : ""}`,
    );
  }
  const data = new Float64Array(n * nReadouts);
  const layers = parts.map(({ layer }) => layer);
  for (let start = 0; start < n; start += batch) {
    const end = Math.min(n, start + batch);
    using scores = tidy(gpu, () => {
      const some = slice(images, { axis: 0, start, end });
      const taps = model.taps(modelInput(some, input), layers, { reluGradient: "standard" });
      const read = parts.map((part) => readPart(part, taps.get(part.layer)));
      const dots = read.map(({ dots }) => dots).reduce((a, b) => add(a, b));
      if (normalization === "none") return dots;
      const squares = read.map(({ features }) => sumOfEach(square(features)));
      const length = sqrt(addScalar(squares.reduce((a, b) => add(a, b)), LEAST_SQUARE));
      return div(dots, length.reshape([end - start, 1]));
    });
    const values = await scores.data();
    values.forEach((value: number, i: number) => {
      data[start * nReadouts + i] = value + (intercept?.[i % nReadouts] ?? 0);
    });
  }
  return { data, shape: [n, nReadouts] };
}
