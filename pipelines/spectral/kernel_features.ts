import type { Gpu } from "../../engine/gpu.ts";
import { cos, mul, scale, sin } from "../../engine/ops/elementwise.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { normalize } from "../../engine/ops/reduce.ts";
import { concat } from "../../engine/ops/shape.ts";
import { foldIn, type Key, normal } from "../../engine/random.ts";
import { qr } from "../../engine/ops/qr.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import type { Affinity } from "./affinity.ts";
import type { RowMap } from "./row_map.ts";

/** How frequencies are drawn: each by itself (Rahimi and Recht, 2007), or orthogonal to each other (Yu et al., 2016). */
export type Frequencies = "independent" | "orthogonal";

/**
 * Random Fourier features of the affinities that are Gaussian: `z(x) = [cos xΩ, sin xΩ]/√K` with z(x)·z(y) ≈ exp(−‖x − y‖²/(2·sigma²)), of
 * rows of unit length for the cosine kind. The error of a product is O(1/√K), smaller for orthogonal frequencies.
 */
export class FourierFeatures implements RowMap {
  /** 2·K. */
  readonly width: number;
  readonly #omega: Tensor;
  readonly #unit: boolean;

  /**
   * Draws K frequencies for `d` features.
   *
   * @throws {InputError} for an affinity that is not Gaussian, or no frequency
   */
  constructor(
    gpu: Gpu,
    { d, kernelDim, affinity, frequencies, key }: {
      readonly d: number;
      readonly kernelDim: number;
      readonly affinity: Affinity;
      readonly frequencies: Frequencies;
      readonly key: Key;
    },
  ) {
    if (affinity.kind !== "cosine" && affinity.kind !== "rbf") {
      throw new InputError(
        `Cannot take Fourier features of a ${affinity.kind} affinity: it must be cosine or rbf`,
      );
    }
    if (!(Number.isInteger(kernelDim) && kernelDim >= 1)) {
      throw new InputError(`Cannot draw ${kernelDim} frequencies: at least 1`);
    }
    this.width = 2 * kernelDim;
    this.#unit = affinity.kind === "cosine";
    const sigma = affinity.kind === "cosine" ? Math.sqrt(affinity.gamma) : affinity.sigma;
    this.#omega = tidy(gpu, () => {
      const drawn = frequencies === "orthogonal" && d > 1
        ? orthogonal(gpu, d, kernelDim, key)
        : Tensor.from(gpu, normal(key, d * kernelDim), [d, kernelDim]);
      return scale(drawn, 1 / sigma);
    });
  }

  /** `[n, d]` → `[n, 2·K]` */
  apply(x: Tensor): Tensor {
    return tidy(x.gpu, () => {
      const angles = matmul(this.#unit ? normalize(x, { eps: 0 }) : x, this.#omega);
      const factor = 1 / Math.sqrt(this.width / 2);
      return concat([scale(cos(angles), factor), scale(sin(angles), factor)], 1);
    });
  }

  /** Gives the frequencies' memory back. */
  [Symbol.dispose](): void {
    this.#omega.dispose();
  }
}

/** Blocks of d orthogonal directions, each with the length of a normal vector. */
function orthogonal(gpu: Gpu, d: number, count: number, key: Key): Tensor {
  const blocks: Tensor[] = [];
  for (let start = 0, block = 0; start < count; start += d, block++) {
    const width = Math.min(d, count - start);
    // Columns of a factor are in random directions; more of them than are kept would cost more for the same law.
    const raw = Tensor.from(gpu, normal(foldIn(key, 2 * block), d * width), [d, width]);
    const { q } = qr(raw);
    blocks.push(
      mul(q, Tensor.from(gpu, chiLengths(d, width, foldIn(key, 2 * block + 1)), [1, width])),
    );
  }
  return concat(blocks, 1);
}

/** Lengths of `count` normal vectors of d values. */
function chiLengths(d: number, count: number, key: Key): Float32Array<ArrayBuffer> {
  const values = normal(key, d * count), out = new Float32Array(count);
  for (let c = 0; c < count; c++) {
    let sum = 0;
    for (let i = 0; i < d; i++) sum += values[c * d + i] ** 2;
    out[c] = Math.sqrt(sum);
  }
  return out;
}
