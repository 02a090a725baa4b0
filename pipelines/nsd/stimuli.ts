/** The images of the Natural Scenes Dataset, read by id. */

import { InputError } from "../errors.ts";
import type { RgbImage } from "../images/rgb_image.ts";
import { openArray, type RowSource } from "../io/array_ref.ts";
import { quote } from "../io/strict_json.ts";
import { nsdPaths } from "./names.ts";

/** Bytes of images in memory at once. */
const SLAB_BYTES = 64 * 2 ** 20;

/** The array `imgBrick` of `nsd_stimuli.hdf5`, u8 [n, height, width, 3], open for reading. */
export class NsdStimuli {
  readonly #rows: RowSource;
  readonly #perRead: number;

  private constructor(rows: RowSource) {
    this.#rows = rows;
    const [, height, width] = rows.shape;
    this.#perRead = Math.max(1, Math.floor(SLAB_BYTES / Math.max(1, height * width * 3)));
  }

  /**
   * Opens the file; no image is read. MATLAB made the array as 3 × width × height × n, so ids count from 0 along the first axis here.
   *
   * @param path the file `nsd_stimuli.hdf5`, or the folder that holds `nsddata_stimuli`
   * @throws {InputError} when there is no such file, or `imgBrick` is not u8 [n, height, width, 3]
   */
  static async open(path: string): Promise<NsdStimuli> {
    const file = /\.(hdf5|h5)$/i.test(path) ? path : `${path}/${nsdPaths.stimuli}`;
    const rows = await openArray(`${file}:imgBrick`);
    const { dtype, shape } = rows;
    if (dtype !== "u8" || shape.length !== 4 || shape[3] !== 3 || shape.includes(0)) {
      rows.close();
      throw new InputError(
        `Cannot use the images of ${
          quote(file)
        }: imgBrick must be u8 [n, height, width, 3], it is ${dtype} [${shape}]`,
      );
    }
    return new NsdStimuli(rows);
  }

  /** Number of images. */
  get n(): number {
    return this.#rows.shape[0];
  }

  /** Rows of an image. */
  get height(): number {
    return this.#rows.shape[1];
  }

  /** Columns of an image. */
  get width(): number {
    return this.#rows.shape[2];
  }

  /**
   * The images of these ids, in their order. Neighbours in the list whose ids lie in one chunk of the file, or follow each other, are
   * read together; ascending ids therefore read each chunk once.
   *
   * @param nsdIds rows of `imgBrick`, from 0
   * @throws {InputError} for an id that is not there, before any image is read
   */
  *read(nsdIds: ArrayLike<number>): Generator<RgbImage & { readonly nsdId: number }> {
    for (let i = 0; i < nsdIds.length; i++) {
      if (Number.isInteger(nsdIds[i]) && nsdIds[i] >= 0 && nsdIds[i] < this.n) continue;
      throw new InputError(
        `Cannot read the image with the NSD id ${nsdIds[i]} from ${
          quote(this.#rows.source)
        }: ids go from 0 to ${this.n - 1}`,
      );
    }
    const { height, width } = this;
    const size = height * width * 3;
    for (let i = 0; i < nsdIds.length;) {
      const { count, first, end } = this.#together(nsdIds, i);
      const { bytes } = this.#rows.readTensor(first, end);
      for (const last = i + count; i < last; i++) {
        const at = (nsdIds[i] - first) * size;
        yield { nsdId: nsdIds[i], height, width, data: bytes.slice(at, at + size) };
      }
    }
  }

  /** How many ids from position `i` on are read with one range of rows. */
  #together(
    nsdIds: ArrayLike<number>,
    i: number,
  ): { count: number; first: number; end: number } {
    const chunk = (id: number): number => Math.floor(id / this.#rows.rowsPerChunk);
    let [first, end, count] = [nsdIds[i], nsdIds[i] + 1, 1];
    for (; i + count < nsdIds.length; count++) {
      const id = nsdIds[i + count];
      const isNear = id === end || chunk(id) === chunk(end - 1);
      const [low, high] = [Math.min(first, id), Math.max(end, id + 1)];
      if (!isNear || high - low > this.#perRead) break;
      [first, end] = [low, high];
    }
    return { count, first, end };
  }

  /** Closes the file. */
  close(): void {
    this.#rows.close();
  }

  /** Closes the file at the end of a `using` scope. */
  [Symbol.dispose](): void {
    this.close();
  }
}
