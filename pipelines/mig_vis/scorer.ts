import type { Gpu } from "../../engine/gpu.ts";
import { add, mul, scale, silu } from "../../engine/ops/elementwise.ts";
import { layerNorm } from "../../engine/ops/norm.ts";
import { linear } from "../../engine/ops/matmul.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { slice } from "../../engine/ops/shape.ts";
import type { Key } from "../../engine/random.ts";
import { type Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import type { Weights } from "../models/vit_weights.ts";
import { type Start, TrainableWeights } from "../phantom/train_weights.ts";

/**
 * What a scorer computes of latents z of one group and features f of an image: `"mlp"` a network of three layers on both, projected to the
 * same width; `"bilinear"` the product of the projections over √width. Features go through a layer norm first.
 */
export type ScorerKind = "mlp" | "bilinear";

/** Sizes of a scorer. */
export interface ScorerSizes {
  /** What it computes. */
  readonly kind: ScorerKind;
  /** Length of z: the size of the group. */
  readonly latentWidth: number;
  /** Length of f. */
  readonly featureWidth: number;
  /** Length of either projection. */
  readonly projection: number;
  /** Width of the network's layers; a bilinear scorer has none. */
  readonly hidden: number;
}

/** Names of a scorer's tensors with their shapes. */
export function scorerShapes(
  { kind, latentWidth, featureWidth, projection, hidden }: ScorerSizes,
): Map<string, readonly number[]> {
  const shapes = new Map<string, readonly number[]>([
    ["norm.weight", [featureWidth]],
    ["norm.bias", [featureWidth]],
  ]);
  const layer = (name: string, out: number, inner: number) => {
    shapes.set(`${name}.weight`, [out, inner]).set(`${name}.bias`, [out]);
  };
  layer("latent", projection, latentWidth);
  layer("feature", projection, featureWidth);
  if (kind === "bilinear") return shapes;
  layer("fc1", hidden, 2 * projection);
  layer("fc2", hidden, hidden);
  layer("out", 1, hidden);
  return shapes;
}

/** How the tensors begin: layers with the variance of PyTorch's default, 1/(3·inputs). */
function startsOf(sizes: ScorerSizes): Map<string, Start> {
  return new Map(
    [...scorerShapes(sizes)].map(([name, shape]) => [
      name,
      name === "norm.weight"
        ? { shape, value: 1 }
        : { shape, std: shape.length === 2 ? Math.sqrt(1 / (3 * shape[1])) : 0 },
    ]),
  );
}

/**
 * Scores of latents with images, differentiable by all three.
 *
 * @param weights tensors of {@link scorerShapes}
 * @param latents `[n, m, latentWidth]`, or `[1, m, latentWidth]` for the same ones with every image
 * @param features `[n, featureWidth]`
 * @returns `[n, m]`
 */
export function scoreLatents(
  kind: ScorerKind,
  weights: Weights,
  { latents, features }: { readonly latents: Tensor; readonly features: Tensor },
): Tensor {
  const layer = (name: string, x: Tensor) =>
    linear(x, weights.get(`${name}.weight`)!, { bias: weights.get(`${name}.bias`) });
  const [n] = features.shape, [, m] = latents.shape;
  return tidy(features.gpu, () => {
    const normed = layerNorm(features, weights.get("norm.weight"), weights.get("norm.bias"));
    const z = layer("latent", latents), f = layer("feature", normed); // [1 or n, m, p], [n, p]
    const p = f.shape[1];
    if (kind === "bilinear") {
      return scale(sum(mul(z, f.reshape([n, 1, p])), { axes: [2] }), 1 / Math.sqrt(p));
    }
    // The first layer on [z; f] is a sum of one on each, so that pairs cost nothing yet.
    const first = weights.get("fc1.weight")!, width = first.shape[0];
    const ofLatents = linear(z, slice(first, { axis: 1, end: p }));
    const ofFeatures = linear(f, slice(first, { axis: 1, start: p }), {
      bias: weights.get("fc1.bias"),
    });
    const inner = silu(add(ofLatents, ofFeatures.reshape([n, 1, width]))); // [n, m, hidden]
    return layer("out", silu(layer("fc2", inner))).reshape([n, m]);
  });
}

/** A scorer on a device. Owns its weights. */
export class LatentScorer implements Disposable {
  readonly #weights: TrainableWeights;

  /** @internal Use {@link fitScorer} or {@link readScorers}. */
  constructor(readonly gpu: Gpu, readonly sizes: ScorerSizes, { key, values }: {
    readonly key: Key;
    readonly values?: ReadonlyMap<string, Float32Array<ArrayBuffer>>;
  }) {
    const starts = startsOf(sizes);
    for (const [name, own] of values ?? []) {
      starts.set(name, { shape: starts.get(name)!.shape, values: own });
    }
    this.#weights = new TrainableWeights(gpu, starts, key);
  }

  /** Weights by name. */
  get weights(): Weights {
    return this.#weights.tensors;
  }

  /** Values of the weights on the host. */
  async read(): Promise<Map<string, Float32Array<ArrayBuffer>>> {
    return await this.#weights.read();
  }

  /**
   * Scores of latents with images, differentiable by both.
   *
   * @param latents `[n, m, latentWidth]`, or `[1, m, latentWidth]` for the same ones with every image
   * @param features `[n, featureWidth]`
   * @returns `[n, m]`
   * @throws {InputError} when the shapes do not fit
   */
  scores(latents: Tensor, features: Tensor): Tensor {
    const { kind, latentWidth, featureWidth } = this.sizes, [n, m, k] = latents.shape;
    const fits = latents.shape.length === 3 && features.shape.length === 2 && m > 0 &&
      k === latentWidth && features.shape[1] === featureWidth &&
      (n === 1 || n === features.shape[0]);
    if (!fits) {
      throw new InputError(
        `Cannot score latents [${latents.shape}] with features [${features.shape}]: they must be [n or 1, m, ${latentWidth}] and [n, ${featureWidth}]`,
      );
    }
    return scoreLatents(kind, this.weights, { latents, features });
  }

  /** Frees the weights. */
  [Symbol.dispose](): void {
    this.#weights[Symbol.dispose]();
  }
}
