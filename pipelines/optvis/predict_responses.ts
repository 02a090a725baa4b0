import { add } from "../../engine/ops/elementwise.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { slice } from "../../engine/ops/shape.ts";
import { type Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import type { ImageModel } from "./maximize.ts";
import { flatFeatures, type ReadoutPart } from "./objectives.ts";
import { type ModelInput, modelInput } from "./transform_images.ts";

/** Options of {@link predictResponses}. */
export interface PredictResponsesOptions {
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
  { input = {}, intercept, batch = 8 }: PredictResponsesOptions = {},
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
      return parts.map((part) => {
        const tap = taps.get(part.layer);
        if (!tap) throw new InputError(`Cannot predict: the model gave no ${part.layer}`);
        const features = flatFeatures(tap, part);
        if (features.shape[1] !== part.weights.shape[1]) {
          throw new InputError(
            `Cannot read ${part.layer} out: it has ${features.shape[1]} features, the weights ${
              part.weights.shape[1]
            }`,
          );
        }
        return matmul(features, part.weights, { transposeB: true });
      }).reduce((a, b) => add(a, b));
    });
    const values = await scores.data();
    values.forEach((value: number, i: number) => {
      data[start * nReadouts + i] = value + (intercept?.[i % nReadouts] ?? 0);
    });
  }
  return { data, shape: [n, nReadouts] };
}
