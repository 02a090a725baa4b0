/** A small CLIP: an image and a text tower that learn which caption belongs to which scene. */

import { clamp, exp } from "../../engine/ops/elementwise.ts";
import { gather } from "../../engine/ops/gather.ts";
import { matmul } from "../../engine/ops/matmul.ts";
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
import { CATEGORIES } from "./scene.ts";
import { tokenizerFiles } from "./tokenizer.ts";
import {
  batches,
  N_LABELS,
  normalizedPixels,
  patchShares,
  presentTargets,
  type TrainingScenes,
} from "./train_data.ts";
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
  /** Weight of the prompt term: every image belongs to the prompts of all that is in it. */
  readonly promptWeight: number;
  /** Weight of the region term: every patch belongs to the prompt of what it shows. */
  readonly regionWeight: number;
}

/** What the shipped network was trained with. */
export const clipTraining: ClipTraining = {
  steps: 2000,
  batch: 8,
  peak: 1.5e-3,
  promptWeight: 1,
  regionWeight: 1,
};

// Captions are long, and the text tower takes half a step: they are read in every third.
const CAPTION_EVERY = 3;
// Dense features are mostly learned on MaskCLIP's path, which costs next to nothing, and now and then on NACLIP's.
const NACLIP_EVERY = 4;

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
  readonly mirrored: boolean;
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

  #images(weights: Weights, { indices, mirrored }: Batch, step: number) {
    const { size, patch } = clipSizes;
    const { gpu, data } = this;
    const tower: ImageTower = {
      weights,
      readout: { config: this.#config.image, summaryTokens: [] },
    };
    const pixels = Tensor.from(gpu, normalizedPixels(data, indices, { mirrored }), [
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

  #present(
    images: Tensor,
    prompts: Tensor,
    factor: Tensor,
    shares: Float32Array<ArrayBuffer>,
  ): Tensor {
    const n = images.shape[0];
    const logits = cosineLogits(matmul(images, prompts, { transposeB: true }), factor);
    return crossEntropy(logits, Tensor.from(this.gpu, presentTargets(shares, n), [n, N_LABELS]), 1);
  }

  #regions(
    dense: Tensor,
    prompts: Tensor,
    factor: Tensor,
    shares: Float32Array<ArrayBuffer>,
  ): Tensor {
    const rows = unitRows(dense.reshape([-1, clipSizes.embedding]));
    const logits = cosineLogits(matmul(rows, prompts, { transposeB: true }), factor);
    return crossEntropy(
      logits,
      Tensor.from(this.gpu, shares, [shares.length / N_LABELS, N_LABELS]),
      1,
    );
  }

  value(step: number, weights: Weights, batch: Batch): Tensor {
    const { indices, captions, prompts, mirrored } = batch;
    const n = captions.length;
    return tidy(this.gpu, () => {
      const texts = this.#texts(weights, [...captions, ...prompts]);
      const { images, dense } = this.#images(weights, batch, step);
      const factor = exp(clamp(weights.get("logit_scale")!, 0, Math.log(50)));
      const shares = patchShares(this.data, indices, { patch: clipSizes.patch, mirrored });
      const labels = slice(texts, { axis: 0, start: n });
      const terms = [
        this.#present(images, labels, factor, shares),
        this.#regions(dense, labels, factor, shares),
      ];
      const weighting = [this.training.promptWeight, this.training.regionWeight];
      if (n === 0) return weightedSum(terms, weighting);
      const ours = slice(texts, { axis: 0, end: n });
      const logits = cosineLogits(matmul(images, ours, { transposeB: true }), factor);
      const targets = Tensor.from(this.gpu, captionTargets(captions), [n, n]);
      terms.push(crossEntropy(logits, targets, 1), crossEntropy(logits, targets, 0));
      return weightedSum(terms, [...weighting, 0.5, 0.5]);
    });
  }
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
    const detail = draws.uniform() < 0.75 ? "short" : "full"; // of one kind in a step: padding costs time
    const isCaptioned = step % CAPTION_EVERY === 0;
    const captions = !isCaptioned ? [] : indices.map((i) => {
      return captionScene(data.scenes[i], { detail, variant: draws.integer(16) });
    });
    return {
      indices,
      captions,
      prompts: labelPrompts(draws),
      mirrored: !isCaptioned && draws.uniform() < 0.5,
    };
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
