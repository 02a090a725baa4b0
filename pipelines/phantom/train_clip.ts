/** A small CLIP: an image and a text tower that learn which caption belongs to which scene. */

import {
  add,
  addScalar,
  clamp,
  exp,
  mul,
  scale,
  softplus,
  sub,
} from "../../engine/ops/elementwise.ts";
import { gather } from "../../engine/ops/gather.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { logsumexp, mean } from "../../engine/ops/reduce.ts";
import { slice } from "../../engine/ops/shape.ts";
import type { Gpu } from "../../engine/gpu.ts";
import { foldIn, type Key } from "../../engine/random.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { parseVocabAndMerges } from "../models/bpe_files.ts";
import { Captures } from "../models/captures.ts";
import { ClipTokenizer } from "../models/clip_bpe.ts";
import { runText } from "../models/clip_text.ts";
import { embedPatches, type ImageTower, runTokens } from "../models/vit.ts";
import type { Weights } from "../models/vit_weights.ts";
import { captionScene, categoryPrompts } from "./captions.ts";
import { Draws } from "./draws.ts";
import type { PhantomCall } from "./phantom.ts";
import { CATEGORIES, type Scene, sceneCategories } from "./scene.ts";
import { tokenizerFiles } from "./tokenizer.ts";
import { cameraPixels, type CameraView, drawCamera, sceneInView } from "./train_camera.ts";
import { batches, type TrainingScenes } from "./train_data.ts";
import { startsFrom } from "./train_resume.ts";
import { cosineLogits, crossEntropy, optimize, unitRows, weightedSum } from "./train_step.ts";
import { clipConfigJson, clipConfigs, clipSizes, clipStarts, writeClip } from "./train_clip_net.ts";
import {
  type NetTraining,
  TrainableWeights,
  type TrainedNet,
  type TrainRun,
} from "./train_weights.ts";

/** How it is trained. */
export interface ClipTraining extends NetTraining {
  /** Weight of the prompt term: an image is like the prompts of what is in it and unlike the others. */
  readonly promptWeight: number;
  /** Weight of the same term for the patches that are most like a prompt. */
  readonly patchWeight: number;
}

/** What the shipped network was trained with. */
export const clipTraining: ClipTraining = {
  steps: 4500,
  batch: 16,
  nScenes: 4000,
  peak: 1e-3,
  promptWeight: 3,
  patchWeight: 3,
};

// Captions are long, and the text tower takes half a step: they are read in every third.
const CAPTION_EVERY = 3;
// Dense features are mostly learned on MaskCLIP's path, which costs next to nothing, and now and then on NACLIP's.
const NACLIP_EVERY = 4;

// How much the best patch counts above the others when an image's patches are pooled (LSE pooling, Pinheiro and Collobert 2015).
const SHARPNESS = 10;
// A plain background, and every category.
const N_LABELS = CATEGORIES.length + 1;

/** The phantom's tokenizer. */
export function phantomTokenizer(): ClipTokenizer {
  const { merges, vocab } = tokenizerFiles();
  const bytes = (text: string) => new TextEncoder().encode(text);
  return new ClipTokenizer(
    parseVocabAndMerges(bytes(vocab), bytes(merges), { vocab: "vocab.json", merges: "merges.txt" }),
  );
}

/** Prompts for every label: what lies behind without being a place, then one of each category's. */
function labelPrompts(draws: Draws): string[] {
  const start = draws.pick(["a photo of", "a picture of"]);
  return [
    `${start} a plain background`,
    // The first two name the category itself, the others its kinds, which captions teach.
    ...CATEGORIES.map((category) => draws.pick(categoryPrompts[category].slice(0, 2))),
  ];
}

/** Matrix `[n, n]` that shares each row's target among the columns with the same caption. */
function captionTargets(captions: readonly string[]): Float32Array<ArrayBuffer> {
  const n = captions.length;
  const out = new Float32Array(n * n);
  captions.forEach((caption, i) => {
    const same = captions.flatMap((other, j) => (other === caption ? [j] : []));
    for (const j of same) out[i * n + j] = 1 / same.length;
  });
  return out;
}

/** A batch on the host. */
interface Batch {
  readonly indices: readonly number[];
  readonly captions: readonly string[];
  readonly prompts: readonly string[];
  readonly views: readonly CameraView[];
  /** Which labels are in view, 1 or 0, `[n, N_LABELS]`. */
  readonly present: Float32Array<ArrayBuffer>;
}

/** The towers and the loss between them. */
class ClipLoss {
  readonly #tokenizer = phantomTokenizer();
  readonly #config = clipConfigs(this.#tokenizer.vocabSize);
  readonly starts;

  constructor(
    readonly gpu: Gpu,
    readonly data: TrainingScenes,
    readonly training: ClipTraining,
  ) {
    this.starts = clipStarts(this.#tokenizer.vocabSize, data);
  }

  #texts(weights: Weights, captions: readonly string[]): Tensor {
    const { startOfText, endOfText } = this.#tokenizer;
    const rows = captions.map((
      text,
    ) => [startOfText, ...this.#tokenizer.tokenize(text), endOfText]);
    const length = Math.max(...rows.map((row) => row.length));
    // A batch has some fifty different words: picking those first keeps the gradient of the picking small.
    const used = [...new Set(rows.flat())];
    const place = new Map(used.map((id, i) => [id, i]));
    const oneHot = new Float32Array(rows.length * length * used.length);
    rows.forEach((row, i) =>
      row.forEach((id, t) => oneHot[(i * length + t) * used.length + place.get(id)!] = 1)
    );
    return tidy(this.gpu, () => {
      const table = weights.get("text.token")!;
      const words = gather(table, used, { axis: 0 });
      const tokens = matmul(
        Tensor.from(this.gpu, oneHot, [rows.length * length, used.length]),
        words,
      )
        .reshape([rows.length, length, table.shape[1]]);
      return unitRows(runText(tokens, {
        weights,
        config: this.#config.text,
        captures: new Captures([]),
        positions: rows.map((row) => row.length - 1),
      }));
    });
  }

  #images(weights: Weights, { indices, views }: Batch, step: number) {
    const { size, patch } = clipSizes;
    const { gpu, data } = this;
    const tower: ImageTower = {
      weights,
      readout: { config: this.#config.image, summaryTokens: [] },
    };
    const pixels = Tensor.from(gpu, cameraPixels(data, indices, views), [
      indices.length,
      3,
      size,
      size,
    ]);
    const captures = new Captures(["dense"]);
    const output = runTokens(tower, embedPatches(tower, pixels), {
      pos: weights.get("pos")!,
      grid: [size / patch, size / patch],
      captures,
      arch: "reduced",
      dense: step % NACLIP_EVERY === 0 ? "naclip" : "maskclip",
    })!;
    return { images: unitRows(output), dense: captures.taken.dense };
  }

  /** Mean over images and labels of how badly `factor · cosine + bias` says whether a label is present (SigLIP's loss). */
  #present(cosines: Tensor, present: Tensor, { factor, bias }: { factor: Tensor; bias: Tensor }) {
    return tidy(this.gpu, () => {
      const logits = add(mul(cosines, factor), bias);
      return mean(sub(softplus(logits), mul(logits, present)));
    });
  }

  /** Cosines of an image's patches to prompts, pooled over patches: near the largest, with a part for every patch. */
  #pooled(dense: Tensor, prompts: Tensor): Tensor {
    return tidy(this.gpu, () => {
      const [n, height, width, m] = dense.shape;
      const rows = unitRows(dense.reshape([n * height * width, m]));
      const cosines = matmul(rows, prompts, { transposeB: true });
      const sharp = scale(cosines.reshape([n, height * width, prompts.shape[0]]), SHARPNESS);
      const total = logsumexp(sharp, { axes: [1] });
      return scale(addScalar(total, -Math.log(height * width)), 1 / SHARPNESS);
    });
  }

  value(step: number, weights: Weights, batch: Batch): Tensor {
    const { indices, captions, prompts } = batch;
    const n = captions.length;
    return tidy(this.gpu, () => {
      const texts = this.#texts(weights, [...captions, ...prompts]);
      const { images, dense } = this.#images(weights, batch, step);
      const factor = exp(clamp(weights.get("logit_scale")!, 0, Math.log(50)));
      const present = Tensor.from(this.gpu, batch.present, [indices.length, N_LABELS]);
      const labels = slice(texts, { axis: 0, start: n });
      const whole = matmul(images, labels, { transposeB: true });
      const terms = [
        this.#present(whole, present, { factor, bias: weights.get("present.bias")! }),
        this.#present(this.#pooled(dense, labels), present, {
          factor,
          bias: weights.get("present.patch_bias")!,
        }),
      ];
      const weighting = [this.training.promptWeight, this.training.patchWeight];
      if (n === 0) return weightedSum(terms, weighting);
      const ours = slice(texts, { axis: 0, end: n });
      const logits = cosineLogits(matmul(images, ours, { transposeB: true }), factor);
      const targets = Tensor.from(this.gpu, captionTargets(captions), [n, n]);
      terms.push(crossEntropy(logits, targets, 1), crossEntropy(logits, targets, 0));
      return weightedSum(terms, [...weighting, 0.5, 0.5]);
    });
  }
}

/** Which labels a scene shows, 1 or 0: a background that is no place, then every category. */
function presentLabels(scene: Scene): number[] {
  const categories = sceneCategories(scene);
  return [categories.includes("place") ? 0 : 1].concat(
    CATEGORIES.map((category) => categories.includes(category) ? 1 : 0),
  );
}

/** Draws what is said about the scenes of a batch. */
function batchSource(data: TrainingScenes, key: Key, batch: number): (step: number) => Batch {
  const stream = batches((order) => new Draws(key.hi, key.lo, 1, epoch++).shuffle(order), {
    count: data.scenes.length,
    batch,
  });
  let epoch = 0;
  return (step) => {
    const draws = new Draws(key.hi, key.lo, 2, step);
    const indices = stream.next().value;
    const views = indices.map(() => drawCamera(draws, clipSizes.size / clipSizes.patch));
    const scenes = indices.map((index, i) => sceneInView(data.scenes[index], views[i]));
    const detail = draws.uniform() < 0.75 ? "short" : "full"; // of one kind in a step: padding costs time
    const isCaptioned = step % CAPTION_EVERY === 0;
    const captions = !isCaptioned ? [] : scenes.map((scene) => {
      const said = scene.objects.length === 0 ? "full" : detail; // an empty scene has its background alone
      return captionScene(scene, { detail: said, variant: draws.integer(16) });
    });
    const present = Float32Array.from(scenes.flatMap(presentLabels));
    return { indices, captions, prompts: labelPrompts(draws), views, present };
  };
}

/** Trains the phantom's CLIP from a key. */
export async function trainClip(
  gpu: Gpu,
  data: TrainingScenes,
  { key, onStep, from, ...training }: ClipTraining & TrainRun,
  call: PhantomCall = {},
): Promise<TrainedNet> {
  const loss = new ClipLoss(gpu, data, training);
  const starts = from ? startsFrom(loss.starts, from) : loss.starts;
  using weights = new TrainableWeights(gpu, starts, foldIn(key, 0));
  const next = batchSource(data, foldIn(key, 1), training.batch);
  const net = async (losses: readonly number[]): Promise<TrainedNet> => ({
    tensors: writeClip(await weights.read(), loss.starts),
    config: clipConfigJson(weights.tensors.get("text.token")!.shape[0]),
    losses,
  });
  const losses = await optimize(weights, (step, watched) => loss.value(step, watched, next(step)), {
    steps: training.steps,
    peak: training.peak,
    weightDecay: 0.05,
    onStep: onStep && ((step, value) => onStep(step, value, () => net([]))),
  }, call);
  return await net(losses);
}
