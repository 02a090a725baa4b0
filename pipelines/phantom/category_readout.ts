/**
 * What other networks than the one that images were made with see in them: the phantom's CLIP names categories by its prompts, and a
 * ridge regression from the phantom's RADIO tells how salient they are.
 */

import type { Gpu } from "../../engine/gpu.ts";
import { slice } from "../../engine/ops/shape.ts";
import { type Tensor, tidy } from "../../engine/tensor.ts";
import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import { RidgeCV } from "../encoding/ridge.ts";
import { preprocessings } from "../images/preprocess.ts";
import type { VisionModel } from "../models/model.ts";
import { modelInput } from "../optvis/transform_images.ts";
import { categoryPrompts } from "./captions.ts";
import { loadPhantomNet } from "./nets.ts";
import { CATEGORIES } from "./scene.ts";
import { phantomTokenizer } from "./train_clip.ts";

const AT_ONCE = 32;

/** Embeddings of images, `[n, width]`. */
async function embeddings(
  model: VisionModel,
  images: Tensor,
  family: "clip" | "radio",
): Promise<HostMatrix> {
  const n = images.shape[0], { mean, std } = preprocessings[family];
  const out = new Float32Array(n * model.outputWidth);
  for (let start = 0; start < n; start += AT_ONCE) {
    const end = Math.min(n, start + AT_ONCE);
    using some = tidy(images.gpu, () => {
      const seen = modelInput(slice(images, { axis: 0, start, end }), { mean, std });
      return model.forward(seen).output;
    });
    out.set(await some.data() as Float32Array, start * model.outputWidth);
  }
  return hostMatrix(out, [n, model.outputWidth]);
}

function unit(values: Float32Array): Float32Array {
  const length = Math.sqrt(values.reduce((sum, v) => sum + v * v, 0));
  return values.map((v) => v / length);
}

/** Mean embedding of each category's prompts, of length 1. */
async function promptEmbeddings(model: VisionModel): Promise<Float32Array[]> {
  const tokenizer = phantomTokenizer();
  const { startOfText, endOfText } = tokenizer;
  const means: Float32Array[] = [];
  for (const category of CATEGORIES) {
    const prompts = categoryPrompts[category];
    using texts = model.encodeText(
      prompts.map((text) => [startOfText, ...tokenizer.tokenize(text), endOfText]),
    );
    const values = await texts.data() as Float32Array, width = values.length / prompts.length;
    const sum = new Float32Array(width);
    prompts.forEach((_, i) => {
      unit(values.slice(i * width, (i + 1) * width)).forEach((v, j) => sum[j] += v);
    });
    means.push(unit(sum));
  }
  return means;
}

/**
 * Cosine of each image's embedding with each category's prompts in the phantom's CLIP, `[n, nCategories]`.
 *
 * @param images `[n, 3, 64, 64]`, colours in 0…1
 */
export async function clipCategoryCosines(gpu: Gpu, images: Tensor): Promise<HostMatrix> {
  using model = await loadPhantomNet(gpu, "clip");
  const prompts = await promptEmbeddings(model);
  const { data, shape: [n, width] } = await embeddings(model, images, "clip");
  const out = Array.from({ length: n }, (_, i) => {
    const seen = unit(data.subarray(i * width, (i + 1) * width));
    return prompts.map((prompt) => prompt.reduce((sum, v, j) => sum + v * seen[j], 0));
  });
  return hostMatrix(out.flat(), [n, CATEGORIES.length]);
}

/** Tells the salience of categories in images that no scene lies behind. */
export type SalienceReadout = (images: Tensor) => Promise<HostMatrix>;

/**
 * A ridge regression from the image embedding of the phantom's RADIO to the salience of every category.
 *
 * @param images scenes, `[n, 3, 64, 64]`, colours in 0…1
 * @param salience `[n, nCategories]`, as the scenes have it
 */
export async function fitSalience(
  gpu: Gpu,
  images: Tensor,
  salience: HostMatrix,
): Promise<SalienceReadout> {
  const embed = async (some: Tensor) => {
    using model = await loadPhantomNet(gpu, "radio");
    return await embeddings(model, some, "radio");
  };
  const alphas = Array.from({ length: 9 }, (_, i) => 10 ** (i - 4));
  const fitted = await new RidgeCV(gpu, { alphas }).fit(await embed(images), salience);
  return async (some) => await fitted.predict(await embed(some));
}
