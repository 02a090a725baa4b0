import { add, square, sub } from "../../../engine/ops/elementwise.ts";
import { sum } from "../../../engine/ops/reduce.ts";
import type { Gpu } from "../../../engine/gpu.ts";
import { readAll, type Tensor, tidy } from "../../../engine/tensor.ts";
import { foldIn, type Key } from "../../../engine/random.ts";
import { InputError } from "../../errors.ts";
import { permutation } from "../cross_validation.ts";
import { type HostMatrix, range } from "../host_matrix.ts";

/** Rows to train on and rows that are held out, ascending. */
export interface HeldOutSplit {
  /** Rows to train on. */
  readonly train: Uint32Array<ArrayBuffer>;
  /** Rows held out. */
  readonly test: Uint32Array<ArrayBuffer>;
}

/**
 * Splits images: by rows, or by how many of the last ones are held out; by default a tenth, drawn with the key.
 *
 * @throws {InputError} when fewer than two images are left on either side, or a row is no image
 */
export function splitHeldOut(
  nImages: number,
  heldOut: number | ArrayLike<number> | undefined,
  key: Key,
): HeldOutSplit {
  const rows = heldOut === undefined
    ? permutation(foldIn(key, 0), nImages).subarray(0, Math.max(2, Math.round(nImages / 10)))
    : typeof heldOut === "number"
    ? range(nImages).subarray(Math.max(0, nImages - heldOut))
    : heldOut;
  const inside = new Uint8Array(nImages);
  for (let i = 0; i < rows.length; i++) {
    if (!(Number.isInteger(rows[i]) && rows[i] >= 0 && rows[i] < nImages)) {
      throw new InputError(
        `Cannot hold out image ${rows[i]}: there are the images 0 to ${nImages - 1}`,
      );
    }
    inside[rows[i]] = 1;
  }
  const test = range(nImages).filter((row) => inside[row] === 1);
  const train = range(nImages).filter((row) => inside[row] === 0);
  if (test.length < 2 || train.length < 2) {
    throw new InputError(
      `Cannot hold out ${test.length} of ${nImages} images: R² takes two of them, and training two others`,
    );
  }
  return { train, test };
}

/** Sums of squared errors of predictions, added up on the device over batches of images. */
export class SquaredErrors implements Disposable {
  readonly #gpu: Gpu;
  readonly #sums: (Tensor | undefined)[];

  /** No errors yet, for this many stretches of voxels. */
  constructor(gpu: Gpu, nChunks: number) {
    this.#gpu = gpu;
    this.#sums = new Array(nChunks).fill(undefined);
  }

  /** Adds predictions `[outputs, images, voxels]` of responses `[images, voxels]`. */
  add(chunk: number, predicted: Tensor, responses: Tensor): void {
    const before = this.#sums[chunk];
    this.#sums[chunk] = tidy(this.#gpu, () => {
      const error = sub(predicted, responses.reshape([1, ...responses.shape]));
      const part = sum(square(error), { axes: [1] });
      return before ? add(before, part) : part.alias();
    });
    before?.dispose();
  }

  /**
   * R² of each output and voxel: 1 − Σ(y − ŷ)²/Σ(y − ȳ)², 0 where the responses are constant.
   *
   * @param responses all of them, `[images, voxels]`
   * @returns `[outputs, voxels]`
   */
  async r2(responses: HostMatrix): Promise<HostMatrix> {
    const sums = this.#sums.map((tensor) => tensor!);
    const values = await readAll(sums);
    const [rows, nVoxels] = responses.shape;
    const nOutputs = sums[0].shape[0];
    const spread = new Float64Array(nVoxels);
    for (let v = 0; v < nVoxels; v++) {
      let mean = 0;
      for (let i = 0; i < rows; i++) mean += responses.data[i * nVoxels + v] / rows;
      for (let i = 0; i < rows; i++) spread[v] += (responses.data[i * nVoxels + v] - mean) ** 2;
    }
    const out = new Float32Array(nOutputs * nVoxels);
    let start = 0;
    for (const errors of values) {
      const width = errors.length / nOutputs;
      errors.forEach((error, at) => {
        const v = start + at % width;
        out[Math.floor(at / width) * nVoxels + v] = spread[v] > 0 ? 1 - error / spread[v] : 0;
      });
      start += width;
    }
    return { data: out, shape: [nOutputs, nVoxels] };
  }

  /** Gives the sums up. */
  [Symbol.dispose](): void {
    for (const tensor of this.#sums) tensor?.dispose();
  }
}
