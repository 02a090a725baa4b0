import { createHash } from "node:crypto";
import { InputError } from "../errors.ts";
import { fileError, RandomAccessFile, withFileErrors } from "./files.ts";
import { quote } from "./strict_json.ts";

const FORMAT = "gyrus records 1";
const DIGEST_BYTES = 8;
const HEAD_BYTES = 4 + DIGEST_BYTES; // length, digest

function digestOf(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(createHash("sha256").update(bytes).digest().subarray(0, DIGEST_BYTES));
}

/**
 * An append-only file of records for work that goes on after it was stopped. Every record carries its length and a digest: what a
 * process was writing when it died is recognised and written anew. The first record names what the file belongs to.
 */
export class RecordLog implements Disposable {
  readonly #file: Deno.FsFile;
  readonly #path: string;

  private constructor(path: string, file: Deno.FsFile) {
    this.#path = path;
    this.#file = file;
  }

  /**
   * Opens a log, or begins one where there is none.
   *
   * @param fingerprint what the records belong to
   * @param onRecord hears every whole record, in order
   * @throws {InputError} when the file is something else, or belongs to something else
   */
  static open(
    path: string,
    fingerprint: string,
    onRecord: (bytes: Uint8Array<ArrayBuffer>) => void,
  ): RecordLog {
    const head = new TextEncoder().encode(JSON.stringify({ format: FORMAT, fingerprint }));
    const end = exists(path) ? readRecords(path, { head, onRecord }) : 0;
    const file = withFileErrors("write", path, () => {
      const opened = Deno.openSync(path, { write: true, create: true });
      opened.truncateSync(end);
      opened.seekSync(end, Deno.SeekMode.Start);
      return opened;
    });
    const log = new RecordLog(path, file);
    if (end === 0) log.append(head);
    return log;
  }

  /**
   * Adds a record.
   *
   * @throws {InputError} when the file system refuses, for instance when the disk is full
   */
  append(bytes: Uint8Array): void {
    const record = recordOf(bytes);
    withFileErrors("write", this.#path, () => {
      for (let at = 0; at < record.length;) at += this.#file.writeSync(record.subarray(at));
    });
  }

  [Symbol.dispose](): void {
    this.#file.close();
  }
}

function recordOf(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const record = new Uint8Array(HEAD_BYTES + bytes.length);
  new DataView(record.buffer).setUint32(0, bytes.length, true);
  record.set(digestOf(bytes), 4);
  record.set(bytes, HEAD_BYTES);
  return record;
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).size > 0;
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return false;
    throw fileError("read", path, cause);
  }
}

/** Reads whole records and returns where they end. */
function readRecords(
  path: string,
  { head, onRecord }: {
    head: Uint8Array;
    onRecord: (bytes: Uint8Array<ArrayBuffer>) => void;
  },
): number {
  using file = new RandomAccessFile(path);
  let at = 0;
  for (let i = 0; at + HEAD_BYTES <= file.size; i++) {
    const start = file.read(at, HEAD_BYTES);
    const length = new DataView(start.buffer, start.byteOffset).getUint32(0, true);
    const next = at + HEAD_BYTES + length;
    if (next > file.size) break;
    const bytes = file.read(at + HEAD_BYTES, length);
    if (!sameBytes(digestOf(bytes), start.subarray(4))) break;
    if (i === 0) requireHead(path, bytes, head);
    else onRecord(bytes);
    at = next;
  }
  // Nothing whole: only what is the beginning of our first record may be written over.
  const first = recordOf(head).subarray(0, file.size);
  if (at === 0 && !sameBytes(file.read(0, first.length), first)) {
    requireHead(path, new Uint8Array(), head);
  }
  return at;
}

function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, i) => byte === b[i]);
}

function requireHead(path: string, bytes: Uint8Array, head: Uint8Array): void {
  if (sameBytes(bytes, head)) return;
  const isLog = new TextDecoder().decode(bytes).includes(FORMAT);
  throw new InputError(
    `Cannot go on from ${quote(path)}: ${
      isLog
        ? "it belongs to other data, options or another adapter; remove it or name another file"
        : "it is not a checkpoint"
    }`,
  );
}
