import { InputError } from "../errors.ts";
import { fileError, withFileErrors } from "./files.ts";
import { quote } from "./strict_json.ts";

// An output appears under its name only when it is whole: it is written to `NAME.partial` in the same folder
// (a rename within one folder is atomic; across file systems it is not possible), then renamed. The name is a fixed one, so
// that a program can be allowed to write its output and nothing else in that folder.

/** Temporary files and folders that exist now. Process-wide, as a signal handler has nothing else to ask. */
const temporaries = new Set<string>();

/**
 * Removes every unfinished output of this process, synchronously, and ignores what is already gone. For a signal
 * handler: after it, the process should exit without writing again.
 */
export function removeTemporaries(): void {
  for (const path of temporaries) removeQuietly(path);
  temporaries.clear();
}

function removeQuietly(path: string): void {
  try {
    Deno.removeSync(path, { recursive: true });
  } catch (cause) {
    // A temporary that cannot be removed must not hide the error that made it one.
    if (!(cause instanceof Error)) throw cause;
  }
}

/** The file that a link leads to, or the path itself where there is nothing yet. */
function targetOf(path: string): { path: string; info: Deno.FileInfo | undefined } {
  try {
    return { path: Deno.realPathSync(path), info: Deno.statSync(path) };
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return { path, info: undefined };
    throw fileError("write", path, cause);
  }
}

function temporaryBeside(path: string): string {
  const temporary = `${path.replace(/\/+$/, "")}.partial`;
  removeQuietly(temporary); // of a run that was killed
  temporaries.add(temporary);
  return temporary;
}

/**
 * An output file that a library writes by name: it writes to `temporary`, and `commit` gives it its real name.
 * Disposing it uncommitted removes it.
 */
export class AtomicPath {
  /** Where to write. */
  readonly temporary: string;
  readonly #target: string;
  #open = true;

  /**
   * Reserves a temporary name. Needs the permission to write in the folder of `path`, or only at `path` where `inPlace` says that the
   * caller gives the result its final name.
   *
   * @throws {InputError} when `path` is a folder, a pipe or a device
   */
  constructor(
    /** The output's name as the user gave it. */
    readonly path: string,
    { inPlace = false }: { inPlace?: boolean } = {},
  ) {
    const target = targetOf(path);
    if (target.info?.isFile === false) {
      const kind = target.info.isDirectory ? "a folder" : "not a regular file";
      throw new InputError(`Cannot write ${quote(path)}: it is ${kind}`);
    }
    this.#target = target.path;
    this.temporary = inPlace ? target.path : temporaryBeside(target.path);
  }

  /**
   * Renames the temporary file to its real name, replacing what was there.
   *
   * @throws {InputError} when the file system refuses
   */
  commit(): void {
    if (!this.#open) return;
    try {
      if (this.temporary !== this.#target) {
        withFileErrors("write", this.path, () => Deno.renameSync(this.temporary, this.#target));
      }
      temporaries.delete(this.temporary);
      this.#open = false;
    } finally {
      this.discard();
    }
  }

  /** Removes the temporary file, if it was not committed. */
  discard(): void {
    if (!this.#open) return;
    this.#open = false;
    removeQuietly(this.temporary);
    temporaries.delete(this.temporary);
  }

  /** Removes the temporary file at the end of a `using` scope, if it was not committed. */
  [Symbol.dispose](): void {
    this.discard();
  }
}

/**
 * An output file written as a stream of bytes. A device or pipe (`/dev/stdout`) is written in place; anything
 * else appears under its name only at `commit`.
 */
export class AtomicFile {
  readonly #atomic: AtomicPath | undefined;
  readonly #file: Deno.FsFile;
  #open = true;

  /**
   * Opens the output. Needs the permission to write in the folder of `path`.
   *
   * @throws {InputError} when the file cannot be created
   */
  constructor(
    /** The output's name as the user gave it. */
    readonly path: string,
  ) {
    const { info } = targetOf(path);
    const inPlace = info !== undefined && !info.isFile && !info.isDirectory;
    this.#atomic = inPlace ? undefined : new AtomicPath(path);
    try {
      this.#file = withFileErrors(
        "write",
        path,
        () =>
          this.#atomic === undefined
            ? Deno.openSync(path, { write: true })
            : Deno.openSync(this.#atomic.temporary, { write: true, createNew: true }),
      );
    } catch (cause) {
      this.#atomic?.discard();
      throw cause;
    }
  }

  /**
   * Appends bytes.
   *
   * @throws {InputError} when the file system refuses, for want of space for example; the output is then gone
   */
  write(bytes: Uint8Array): void {
    if (!this.#open) throw new Error(`Cannot write ${quote(this.path)}: it was closed`);
    try {
      for (let done = 0; done < bytes.byteLength;) {
        done += this.#file.writeSync(bytes.subarray(done));
      }
    } catch (cause) {
      this.discard();
      throw fileError("write", this.path, cause);
    }
  }

  /**
   * Closes the file and gives it its real name.
   *
   * @throws {InputError} when the file system refuses; the output is then gone
   */
  commit(): void {
    if (!this.#open) return;
    try {
      // Without it, some file systems report a full disk or quota to nobody, after the rename.
      if (this.#atomic !== undefined) this.#file.syncDataSync();
      this.#open = false;
      this.#file.close();
    } catch (cause) {
      this.discard();
      throw fileError("write", this.path, cause);
    }
    this.#atomic?.commit();
  }

  /** Closes and removes the output, if it was not committed. */
  discard(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#file.close();
    this.#atomic?.discard();
  }

  /** Removes the output at the end of a `using` scope, if it was not committed. */
  [Symbol.dispose](): void {
    this.discard();
  }
}

/**
 * Writes a whole output file, or none.
 *
 * @throws {InputError} when the file system refuses, for want of space for example
 */
export function writeFileAtomic(path: string, data: Uint8Array | string): void {
  using file = new AtomicFile(path);
  file.write(typeof data === "string" ? new TextEncoder().encode(data) : data);
  file.commit();
}

/**
 * An output folder: files are written into `temporary`, and `commit` puts them in place. Disposing it uncommitted
 * removes it.
 */
export class AtomicFolder {
  /** The folder to write into; it exists. */
  readonly temporary: string;
  readonly #target: string;
  readonly #exists: boolean;
  #open = true;

  /**
   * Creates the temporary folder beside `path`. Needs the permission to write there.
   *
   * @throws {InputError} when `path` is a file or its parent folder does not exist
   */
  constructor(
    /** The output folder's name as the user gave it. */
    readonly path: string,
  ) {
    const target = targetOf(path);
    if (target.info?.isDirectory === false) {
      throw new InputError(`Cannot write ${quote(path)}: it is a file, a folder is needed`);
    }
    this.#target = target.path;
    this.#exists = target.info !== undefined;
    this.temporary = temporaryBeside(target.path);
    try {
      withFileErrors("write", path, () => Deno.mkdirSync(this.temporary));
    } catch (cause) {
      temporaries.delete(this.temporary);
      throw cause;
    }
  }

  /**
   * Puts the folder in place. Into a folder that exists, the entries move one by one: each replaces the entry of
   * its name, and what else is there stays.
   *
   * @throws {InputError} when the file system refuses
   */
  commit(): void {
    if (!this.#open) return;
    try {
      withFileErrors("write", this.path, () => {
        if (!this.#exists) return Deno.renameSync(this.temporary, this.#target);
        for (const { name } of [...Deno.readDirSync(this.temporary)]) {
          const into = `${this.#target}/${name}`;
          // A rename replaces a file but not a folder with contents.
          if (targetOf(into).info?.isDirectory) Deno.removeSync(into, { recursive: true });
          Deno.renameSync(`${this.temporary}/${name}`, into);
        }
      });
    } finally {
      this.discard();
    }
  }

  /** Removes the temporary folder, if it was not committed. */
  discard(): void {
    if (!this.#open) return;
    this.#open = false;
    removeQuietly(this.temporary);
    temporaries.delete(this.temporary);
  }

  /** Removes the temporary folder at the end of a `using` scope, if it was not committed. */
  [Symbol.dispose](): void {
    this.discard();
  }
}
