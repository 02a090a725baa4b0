import { InputError } from "../errors.ts";
import { RandomAccessFile } from "./files.ts";
import { isGzipFile, MAX_INFLATION, unpackedBytes } from "./gzip.ts";
import { swapBytes } from "./nifti.ts";
import { dtypeBytes, type HostDType, shapeSize, toFloat32 } from "./state_dict.ts";
import { quote } from "./strict_json.ts";

// https://surfer.nmr.mgh.harvard.edu/fswiki/FsTutorial/MghFormat: 284 bytes of header, then the frames, big-endian.
const HEADER_BYTES = 284;
const VERSION = 1;
const DTYPES: Readonly<Record<number, HostDType>> = { 0: "u8", 1: "i32", 3: "f32", 4: "i16" };

/**
 * An `.mgh` file, or `.mgz`, which is the same packed: frames of values for vertices or voxels, read one by one, so that a file
 * may be larger than memory. An `.mgz` is unpacked up to the frame each time.
 */
export class MghFile {
  private constructor(
    /** Where the file is. */
    readonly path: string,
    /** Lengths of the axes, slowest first: `[frames, depth, height, width]`; vertices lie along `width`. */
    readonly shape: readonly number[],
    /** Element type as stored. */
    readonly dtype: HostDType,
    private readonly isPacked: boolean,
  ) {}

  /**
   * Reads the header. Needs the permission to read the file.
   *
   * @throws {InputError} when there is no such file, it is no MGH file of version 1, or it is shorter than its header says
   */
  static async open(path: string): Promise<MghFile> {
    const cannot = `Cannot read ${quote(path)}:`;
    using file = new RandomAccessFile(path);
    const isPacked = isGzipFile(file);
    const head = await unpackedBytes(path, cannot, { length: HEADER_BYTES });
    const view = new DataView(head.buffer, 0, head.length);
    if (head.length < HEADER_BYTES || view.getInt32(0) !== VERSION) {
      throw new InputError(
        `${cannot} it does not begin with the ${HEADER_BYTES}-byte header of MGH version ${VERSION}`,
      );
    }
    const shape = [16, 12, 8, 4].map((at) => view.getInt32(at));
    const code = view.getInt32(20);
    const dtype = DTYPES[code];
    const size = shapeSize(shape);
    if (dtype === undefined || !size) {
      throw new InputError(`${cannot} its data type is ${code} and its axes are [${shape}]`);
    }
    const needed = HEADER_BYTES + size * dtypeBytes[dtype];
    if (needed > file.size * (isPacked ? MAX_INFLATION : 1)) {
      throw new InputError(
        `${cannot} [${shape}] of ${dtype} need ${needed} bytes, the file has ${file.size}${
          isPacked ? " packed" : ""
        }`,
      );
    }
    return new MghFile(path, shape, dtype, isPacked);
  }

  /** Number of frames: trials of a session, coordinates of a transform. */
  get nFrames(): number {
    return this.shape[0];
  }

  /** Values of a frame: vertices of a surface, or voxels. */
  get nVertices(): number {
    return this.shape[1] * this.shape[2] * this.shape[3];
  }

  /**
   * The values of one frame, `[nVertices]`.
   *
   * @param frame counted from 0
   * @throws {InputError} when there is no such frame, or a packed file is damaged or cut off
   */
  async frame(frame: number): Promise<Float32Array<ArrayBuffer>> {
    const cannot = `Cannot read ${quote(this.path)}:`;
    if (!Number.isInteger(frame) || frame < 0 || frame >= this.nFrames) {
      throw new InputError(`${cannot} it has ${this.nFrames} frames, there is no frame ${frame}`);
    }
    const width = dtypeBytes[this.dtype];
    const length = this.nVertices * width;
    const start = HEADER_BYTES + frame * length;
    const bytes = await this.#bytes(start, length, cannot);
    swapBytes(bytes, width);
    return toFloat32({ dtype: this.dtype, shape: [this.nVertices], bytes });
  }

  async #bytes(start: number, length: number, cannot: string): Promise<Uint8Array<ArrayBuffer>> {
    if (!this.isPacked) {
      using file = new RandomAccessFile(this.path);
      return file.read(start, length);
    }
    const bytes = await unpackedBytes(this.path, cannot, { start, length });
    if (bytes.length < length) {
      throw new InputError(`${cannot} it ends ${length - bytes.length} bytes too early`);
    }
    return bytes;
  }
}
