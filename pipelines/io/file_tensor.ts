/**
 * Tensors of an open file, read when asked.
 *
 * @module
 */
import type { RandomAccessFile } from "./files.ts";
import type { SafetensorsEntry } from "./safetensors.ts";
import type { HostDType, HostTensor } from "./state_dict.ts";

/** A tensor that stays on disk: `bytes` reads it when asked. */
export class FileTensor implements HostTensor {
  readonly #file: RandomAccessFile;
  readonly #entry: SafetensorsEntry;
  /** Not to read again what is still in use, without being what keeps it in memory. */
  #recent: WeakRef<Uint8Array<ArrayBuffer>> | undefined;

  /** A tensor at a place in an open file, which stays the owner of the handle. */
  constructor(file: RandomAccessFile, entry: SafetensorsEntry) {
    this.#file = file;
    this.#entry = entry;
  }

  /** Element type. */
  get dtype(): HostDType {
    return this.#entry.dtype;
  }

  /** Lengths of the axes, slowest first. */
  get shape(): readonly number[] {
    return this.#entry.shape;
  }

  /**
   * All bytes, read now.
   *
   * @throws {InputError} when the file has become shorter or the tensor does not fit in memory
   */
  get bytes(): Uint8Array<ArrayBuffer> {
    const recent = this.#recent?.deref();
    if (recent !== undefined) return recent;
    const { start, end } = this.#entry;
    const bytes = this.#file.read(start, end - start);
    this.#recent = new WeakRef(bytes);
    return bytes;
  }

  /**
   * The bytes from `start` to before `end`, counted within the tensor.
   *
   * @throws {InputError} when the file has become shorter
   */
  readBytes(start: number, end: number): Uint8Array<ArrayBuffer> {
    return this.#file.read(this.#entry.start + start, end - start);
  }
}

/** An open checkpoint of one or more files; only headers are in memory. */
export class SafetensorsCheckpoint {
  readonly #files: readonly RandomAccessFile[];

  /** See `openSafetensors`. */
  constructor(
    files: readonly RandomAccessFile[],
    /** The tensors; each reads its bytes from disk when asked. */
    readonly tensors: ReadonlyMap<string, FileTensor>,
    /** `__metadata__` of the files, later ones winning. */
    readonly metadata: Readonly<Record<string, string>>,
  ) {
    this.#files = files;
  }

  /** Closes the files; tensors not yet read cannot be read afterwards. */
  close(): void {
    for (const file of this.#files) file.close();
  }

  /** Closes the files at the end of a `using` scope. */
  [Symbol.dispose](): void {
    this.close();
  }
}
