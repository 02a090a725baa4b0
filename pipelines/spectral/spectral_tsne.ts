import type { Gpu } from "../../engine/gpu.ts";
import { foldIn } from "../../engine/random.ts";
import type { HostMatrix } from "../encoding/host_matrix.ts";
import type { LongCall } from "../encoding/linear_model.ts";
import { InputError } from "../errors.ts";
import { extendValues } from "./extend.ts";
import { farthestSamples } from "./sample_nodes.ts";
import { tsne, type TsneEmbedding, type TsneOptions } from "./tsne_device.ts";

/** Samples and perplexity by name, as ncut_pytorch's quality of colours. */
export const SPECTRAL_TSNE_PRESETS: Readonly<
  Record<
    "fast" | "default" | "balanced" | "extreme",
    { readonly nSamples: number; readonly perplexity: number }
  >
> = {
  fast: { nSamples: 300, perplexity: 150 },
  default: { nSamples: 1000, perplexity: 150 },
  balanced: { nSamples: 1000, perplexity: 250 },
  extreme: { nSamples: 10_000, perplexity: 500 },
};

/** Options of {@link spectralTsne}. */
export interface SpectralTsneOptions extends Omit<TsneOptions, "init" | "panelBytes"> {
  /** Number of samples and perplexity by name. */
  readonly preset?: keyof typeof SPECTRAL_TSNE_PRESETS;
  /** Nodes that t-SNE places, at most. */
  readonly nSamples?: number;
  /** Samples that a node's place is averaged over. */
  readonly nNeighbors?: number;
}

/** Nodes placed by t-SNE of their eigenvectors; places further nodes among them. It holds no memory on the GPU. */
export class SpectralTsne {
  readonly #gpu: Gpu;
  readonly #nNeighbors: number;
  readonly #samples: HostMatrix;

  /** @internal Use {@link spectralTsne}. */
  constructor(
    gpu: Gpu,
    /** Places of all nodes, `[n, nComponents]`. */
    readonly coordinates: HostMatrix,
    /** Nodes that t-SNE placed, `[nSamples]`. */
    readonly sampleIndices: Uint32Array<ArrayBuffer>,
    /** t-SNE of the samples. */
    readonly fit: TsneEmbedding,
    settings: { readonly samples: HostMatrix; readonly nNeighbors: number },
  ) {
    this.#gpu = gpu;
    this.#samples = settings.samples;
    this.#nNeighbors = settings.nNeighbors;
    Object.freeze(this);
  }

  /**
   * Places of nodes whose eigenvectors were propagated from the same cut: equal rows have equal places.
   *
   * @param eigvec `[m, nEig]`
   * @returns `[m, nComponents]`
   * @throws {InputError} when there are not as many eigenvectors as were fitted
   */
  transform(eigvec: HostMatrix, { signal }: LongCall = {}): Promise<HostMatrix> {
    const [nNeighbors, values] = [this.#nNeighbors, this.fit.embedding];
    return extendValues(eigvec, this.#samples, { values, nNeighbors, gpu: this.#gpu, signal });
  }
}

/**
 * Spectral t-SNE (AlignedCut, section C.5): t-SNE of nodes that lie far from each other in the space of the eigenvectors, and for all
 * others the mean place of the nearest of them. One call for all images, layers and models gives places that can be compared.
 *
 * @param eigvec eigenvectors of a cut, one row per node, `[n, nEig]`
 * @throws {InputError} when there are fewer than two nodes, an option is out of range, a value is not finite, or a node compared by
 * cosine has no direction
 */
export async function spectralTsne(
  gpu: Gpu,
  eigvec: HostMatrix,
  options: SpectralTsneOptions,
): Promise<SpectralTsne> {
  const { key, preset = "default", metric = "cosine", nNeighbors = 10, signal } = options;
  const named = SPECTRAL_TSNE_PRESETS[preset];
  const { nSamples = named.nSamples, perplexity = named.perplexity, nComponents = 3 } = options;
  if (!(Number.isInteger(nSamples) && nSamples >= 2 && nNeighbors >= 1)) {
    throw new InputError(
      `Cannot place nodes by ${nSamples} samples and ${nNeighbors} neighbours: there must be whole numbers of them, from 2 and from 1`,
    );
  }
  const count = Math.min(nSamples, eigvec.shape[0]);
  const { indices, samples } = await farthestSamples(gpu, eigvec, {
    ...{ count, key: foldIn(key, 0) },
  });
  const fit = await tsne(gpu, samples, {
    ...options,
    ...{ key: foldIn(key, 1), metric, nComponents },
    perplexity: Math.max(1, Math.min(perplexity, count / 2)), // ncut_pytorch's clamp
  });
  const values = fit.embedding;
  const coordinates = await extendValues(eigvec, samples, { values, nNeighbors, gpu, signal });
  return new SpectralTsne(gpu, coordinates, indices, fit, { samples, nNeighbors });
}
