import { readAll, type Tensor, tidy } from "../../engine/tensor.ts";
import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import { flatFeatures } from "../optvis/objectives.ts";
import { modelInput } from "../optvis/transform_images.ts";
import type { ImageEncoder } from "./image_encoder.ts";

/**
 * The features of images as an encoder takes them, by the recipe that it was fitted with.
 *
 * @param images `[n, 3, height, width]`, colours in 0…1
 * @returns `[n, nFeatures]`
 * @throws {InputError} when the network does not give one of the recipe's layers
 */
export async function imageFeatures(
  { model, layers, input }: Pick<ImageEncoder, "model" | "layers" | "input">,
  images: Tensor,
): Promise<HostMatrix> {
  const n = images.shape[0];
  const parts = tidy(images.gpu, () => {
    const names = [...new Set(layers.map(({ layer }) => layer))];
    const taps = model.taps(modelInput(images, input), names, { reluGradient: "standard" });
    return layers.map((part) => {
      const tap = taps.get(part.layer);
      if (!tap) throw new InputError(`Cannot compute features: the model gave no ${part.layer}`);
      return flatFeatures(tap, part);
    });
  });
  try {
    const values = await readAll(parts);
    const widths = parts.map(({ shape }) => shape[1]);
    const p = widths.reduce((sum, width) => sum + width, 0);
    const data = new Float32Array(n * p);
    let first = 0;
    values.forEach((own, l) => {
      for (let i = 0; i < n; i++) {
        for (let j = 0; j < widths[l]; j++) data[i * p + first + j] = own[i * widths[l] + j];
      }
      first += widths[l];
    });
    return hostMatrix(data, [n, p]);
  } finally {
    for (const part of parts) part.dispose();
  }
}
