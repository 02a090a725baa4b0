/**
 * NIfTI files larger than memory, `.nii` and `.nii.gz`, read once from front to back.
 *
 * A reader of our own: the npm package (nifti-reader-js) unpacks a whole file in memory before it reads, which fails from 2 GiB on, and
 * a session of NSD's betas is half of that.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import { RandomAccessFile } from "./files.ts";
import { CHUNK_BYTES, isGzipFile, unpacked, unpackedBytes } from "./gzip.ts";
import { NIFTI_HEADER_BYTES, type NiftiHeader, parseNiftiHeader, swapBytes } from "./nifti.ts";
import { dtypeBytes, type HostArray, hostArray, shapeSize } from "./state_dict.ts";
import { quote } from "./strict_json.ts";

/** Neighbouring elements of a file in its own order, which is C order of the reversed axes. */
export interface NiftiSlab {
  /** Position of the first element. */
  readonly start: number;
  /** The stored elements, unscaled; valid until the next slab is asked for. */
  readonly values: HostArray;
}

/** A NIfTI file of which one slab is in memory at a time. */
export class NiftiFile {
  private constructor(
    /** Where the file is. */
    readonly path: string,
    /** What its header says. */
    readonly header: NiftiHeader,
  ) {}

  /**
   * Reads the header. Needs the permission to read the file.
   *
   * @throws {InputError} when there is no such file, it is no NIfTI file, or an unpacked one is shorter than its header says
   */
  static async open(path: string): Promise<NiftiFile> {
    const cannot = `Cannot read NIfTI ${quote(path)}:`;
    const head = await unpackedBytes(path, cannot, { length: NIFTI_HEADER_BYTES });
    const header = parseNiftiHeader(head, cannot);
    const length = shapeSize(header.shape)! * dtypeBytes[header.dtype];
    using file = new RandomAccessFile(path);
    if (!isGzipFile(file) && header.offset + length > file.size) {
      throw new InputError(
        `${cannot} [${header.shape}] of ${header.dtype} need ${length} bytes from byte ${header.offset}, the file has ${file.size}`,
      );
    }
    return new NiftiFile(path, header);
  }

  /**
   * All elements, slab by slab.
   *
   * @throws {InputError} when the file is cut off or damaged
   */
  async *slabs(): AsyncGenerator<NiftiSlab> {
    const { dtype, shape, offset, isLittleEndian } = this.header;
    const width = dtypeBytes[dtype];
    const total = shapeSize(shape)! * width;
    const slab = new Uint8Array(Math.min(CHUNK_BYTES, total));
    let [done, filled] = [0, 0];
    const take = (): NiftiSlab => {
      const bytes = slab.subarray(0, filled);
      if (!isLittleEndian) swapBytes(bytes, width);
      const values = hostArray({ dtype, shape: [filled / width], bytes });
      const start = done / width;
      done += filled;
      filled = 0;
      return { start, values };
    };
    const cannot = `Cannot read NIfTI ${quote(this.path)}:`;
    for await (const chunk of unpacked(this.path, cannot, offset)) {
      let at = 0;
      while (at < chunk.length && done + filled < total) {
        const room = Math.min(slab.length - filled, total - done - filled);
        const part = chunk.subarray(at, at + room);
        slab.set(part, filled);
        filled += part.length;
        at += part.length;
        if (filled === slab.length) yield take();
      }
      if (done + filled === total) break;
    }
    if (done + filled < total) {
      throw new InputError(
        `${cannot} [${shape}] of ${dtype} need ${total} bytes, it is cut off after ${
          done + filled
        }`,
      );
    }
    if (filled > 0) yield take();
  }
}
