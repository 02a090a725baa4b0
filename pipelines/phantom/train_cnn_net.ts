/** Sizes of the phantom's convolutional network, its first weights, and torchvision's layout of a VGG. */

import { batchNormTraining } from "../../engine/ops/channel_norm.ts";
import { conv2d } from "../../engine/ops/conv.ts";
import { linear } from "../../engine/ops/matmul.ts";
import { maxPool2d } from "../../engine/ops/pool.ts";
import type { Tensor } from "../../engine/tensor.ts";
import { imagenetMean, imagenetStd } from "../images/preprocess.ts";
import type { StateDict } from "../io/state_dict.ts";
import type { Weights } from "../models/vit_weights.ts";
import { CNN_TARGETS } from "./train_cnn_views.ts";
import { type Start, Writer } from "./train_weights.ts";

/** Sizes: images of 64 pixels; `"M"` halves a map, as in torchvision's lists. */
export const cnnSizes = {
  size: 64,
  layers: [16, "M", 32, "M", 48, 48, "M", 64, 64, "M"],
  grid: 4,
  hidden: 64,
} as const;

const LAST_GAIN = 0.1; // what is said begins near the mean of what is asked

/** Numbers of torchvision's modules: a convolution, its batch norm and its ReLU count as three, a pooling as one. */
function numberedLayers(): { at: number; cin: number; cout: number | "M" }[] {
  let at = 0, cin = 3;
  return cnnSizes.layers.map((cout) => {
    const layer = { at, cin, cout };
    at += cout === "M" ? 1 : 3;
    if (cout !== "M") cin = cout;
    return layer;
  });
}

const convolutions = () => numberedLayers().filter(({ cout }) => cout !== "M");

/** Every trained tensor, by torchvision's names: the classifier too, as its tap is one of the network's. */
export function cnnStarts(): Map<string, Start> {
  const { grid, hidden } = cnnSizes;
  const starts = new Map<string, Start>();
  const weight = (name: string, shape: readonly number[], gain = 1) => {
    const fan = shape.slice(1).reduce((a, b) => a * b, 1);
    starts.set(`${name}.weight`, { shape, std: gain * Math.sqrt(2 / fan) }); // He and others 2015
  };
  let channels = 3;
  for (const { at, cin, cout } of convolutions()) {
    channels = Number(cout);
    weight(`features.${at}`, [channels, cin, 3, 3]);
    starts.set(`features.${at + 1}.weight`, { shape: [channels], value: 1 });
    starts.set(`features.${at + 1}.bias`, { shape: [channels] });
  }
  weight("classifier.0", [hidden, channels * grid * grid]);
  starts.set("classifier.0.bias", { shape: [hidden] });
  weight("classifier.3", [CNN_TARGETS, hidden], LAST_GAIN);
  starts.set("classifier.3.bias", { shape: [CNN_TARGETS] });
  return starts;
}

/** Takes the statistics of a batch norm, by its name; `[channels]` each. */
export type OnMoments = (norm: string, mean: Tensor, variance: Tensor) => void;

/** Outputs `[n, CNN_TARGETS]` for pixels `[n, 3, size, size]`, with the statistics of the batch itself. */
export function runCnn(weights: Weights, pixels: Tensor, onMoments?: OnMoments): Tensor {
  const of = (name: string) => weights.get(name)!;
  let x = pixels;
  for (const { at, cout } of numberedLayers()) {
    if (cout === "M") {
      x = maxPool2d(x, 2);
      continue;
    }
    const norm = `features.${at + 1}`;
    const affine = { weight: of(`${norm}.weight`), bias: of(`${norm}.bias`) };
    const raw = conv2d(x, of(`features.${at}.weight`), { padding: 1 });
    const { y, mean, variance } = batchNormTraining(raw, { ...affine, activation: "relu" });
    onMoments?.(norm, mean, variance);
    x = y;
  }
  const rows = x.reshape([x.shape[0], x.size / x.shape[0]]);
  const bias = of("classifier.0.bias");
  const hidden = linear(rows, of("classifier.0.weight"), { bias, activation: "relu" });
  return linear(hidden, of("classifier.3.weight"), { bias: of("classifier.3.bias") });
}

/** What the weights do not tell, under a Hugging Face configuration's names. */
export const cnnConfigJson: Readonly<Record<string, unknown>> = {
  model_type: "vgg",
  image_size: cnnSizes.size,
  image_mean: imagenetMean,
  image_std: imagenetStd,
};

/** Mean and variance of each batch norm's input, by its name. */
export type CnnMoments = ReadonlyMap<
  string,
  { readonly mean: Float32Array<ArrayBuffer>; readonly variance: Float32Array<ArrayBuffer> }
>;

/** Trained values in torchvision's layout. */
export function writeCnn(
  values: ReadonlyMap<string, Float32Array<ArrayBuffer>>,
  starts: ReadonlyMap<string, Start>,
  moments: CnnMoments,
): StateDict {
  const writer = new Writer(values, starts);
  for (const name of starts.keys()) writer.put(name, name);
  for (const { at } of convolutions()) {
    const { mean, variance } = moments.get(`features.${at + 1}`)!;
    const shape = [mean.length];
    writer.putValues(`features.${at}.bias`, new Float32Array(mean.length), shape); // the norm has one
    writer.putValues(`features.${at + 1}.running_mean`, mean, shape);
    writer.putValues(`features.${at + 1}.running_var`, variance, shape);
  }
  return writer.tensors;
}
