import { InputError } from "../errors.ts";
import { quote } from "./strict_json.ts";

/** What stands after the colon for the usual failures of the file system. */
const reasons: Readonly<Record<string, string>> = {
  NotFound: "there is no such file or folder",
  PermissionDenied: "permission denied",
  NotADirectory: "a part of the path is not a folder",
  IsADirectory: "it is a folder",
  FilesystemLoop: "its symbolic links go in a circle",
  ENOSPC: "no space left on device",
  EDQUOT: "the disk quota is used up",
  EFBIG: "the file would be larger than the file system allows",
  EROFS: "the file system is read-only",
  ENAMETOOLONG: "the name is too long",
};

/**
 * A failure of the file system as bad input: one sentence with the path. Anything else is returned as it is.
 *
 * @param action what was tried: "read", "write", "list"
 */
export function fileError(action: string, path: string, cause: unknown): unknown {
  if (!(cause instanceof Error) || cause instanceof InputError) return cause;
  const code = "code" in cause && typeof cause.code === "string" ? cause.code : undefined;
  const permission = cause.name === "NotCapable" ? cause.message : undefined;
  // Some errors of the system come without a code: "File too large (os error 27)".
  const isSystem = code !== undefined || /\(os error \d+\)/.test(cause.message);
  const reason = permission ?? reasons[code ?? ""] ?? reasons[cause.name] ??
    (isSystem ? cause.message : undefined);
  if (reason === undefined) return cause;
  return new InputError(`Cannot ${action} ${quote(path)}: ${reason}`, { cause });
}

/** Runs `body`; a file-system failure inside becomes an `InputError` that names `path`. */
export function withFileErrors<T>(action: string, path: string, body: () => T): T {
  try {
    return body();
  } catch (cause) {
    throw fileError(action, path, cause);
  }
}

/** A file open for reading at any offset; only what is asked for is ever in memory. */
export class RandomAccessFile {
  readonly #file: Deno.FsFile;
  #closed = false;

  /** Bytes in the file when it was opened. */
  readonly size: number;

  /**
   * Opens a file. Needs the permission to read it.
   *
   * @throws {InputError} when there is no such file, or it is a folder, a pipe or a device
   */
  constructor(
    /** Where the file is. */
    readonly path: string,
  ) {
    const info = withFileErrors("read", path, () => Deno.statSync(path));
    // Checked before opening: opening a pipe waits for its writer.
    if (!info.isFile) {
      const kind = info.isDirectory ? "a folder" : "not a regular file";
      throw new InputError(`Cannot read ${quote(path)}: it is ${kind}`);
    }
    this.#file = withFileErrors("read", path, () => Deno.openSync(path));
    this.size = info.size;
  }

  /**
   * Fills `into` with the bytes from `offset` on.
   *
   * @throws {InputError} when the file is shorter
   */
  readInto(offset: number, into: Uint8Array): void {
    this.#require(offset, into.byteLength);
    let done = 0;
    withFileErrors("read", this.path, () => {
      this.#file.seekSync(offset, Deno.SeekMode.Start);
      while (done < into.byteLength) {
        const count = this.#file.readSync(into.subarray(done));
        if (count === null) break;
        done += count;
      }
    });
    if (done < into.byteLength) {
      throw new InputError(
        `Cannot read ${quote(this.path)}: it became shorter while it was read, ` +
          `ends at byte ${offset + done}, had ${this.size}`,
      );
    }
  }

  /**
   * The `length` bytes from `offset` on. The range is checked before anything is allocated.
   *
   * @throws {InputError} when the file is shorter or the bytes do not fit in memory
   */
  read(offset: number, length: number): Uint8Array<ArrayBuffer> {
    this.#require(offset, length);
    let bytes: Uint8Array<ArrayBuffer>;
    try {
      bytes = new Uint8Array(length);
    } catch (cause) {
      throw new InputError(
        `Cannot read ${quote(this.path)}: ${length} bytes at once do not fit in memory`,
        { cause },
      );
    }
    this.readInto(offset, bytes);
    return bytes;
  }

  #require(offset: number, length: number): void {
    if (this.#closed) throw new Error(`Cannot read ${quote(this.path)}: it was closed`);
    const end = offset + length;
    if (!(offset >= 0 && length >= 0 && end <= this.size)) {
      throw new InputError(
        `Cannot read ${
          quote(this.path)
        }: bytes ${offset} to ${end} are needed, it has ${this.size}`,
      );
    }
  }

  /** Closes the file; closing twice is allowed. */
  close(): void {
    if (!this.#closed) this.#file.close();
    this.#closed = true;
  }

  /** Closes the file at the end of a `using` scope. */
  [Symbol.dispose](): void {
    this.close();
  }
}
