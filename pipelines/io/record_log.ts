import { createHash } from "node:crypto";
import { InputError } from "../errors.ts";
import { fileError, RandomAccessFile, withFileErrors } from "./files.ts";
import { quote } from "./strict_json.ts";

const FORMAT = "gyrus records 1";
const DIGEST_BYTES = 8;
const HEAD_BYTES = 4 + DIGEST_BYTES; // length, digest

/** What records belong to. */
export type Fingerprint = string | Readonly<Record<string, string>>;

/** Where the bytes of a record are. */
export interface RecordPlace {
  /** First byte in the file. */
  readonly offset: number;
  /** Number of bytes. */
  readonly length: number;
}

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
  #end: number;

  private constructor(path: string, file: Deno.FsFile, end: number) {
    this.#path = path;
    this.#file = file;
    this.#end = end;
  }

  /**
   * Opens a log, or begins one where there is none.
   *
   * @param fingerprint what the records belong to: one text, or one for each thing that has a name
   * @param onRecord hears every whole record, in order, and where in the file its bytes are
   * @throws {InputError} when the file is something else, or belongs to something else
   */
  static open(
    path: string,
    fingerprint: Fingerprint,
    onRecord: (bytes: Uint8Array<ArrayBuffer>, place: RecordPlace) => void,
  ): RecordLog {
    const head = new TextEncoder().encode(JSON.stringify({ format: FORMAT, fingerprint }));
    const end = exists(path) ? readRecords(path, { head, onRecord }) : 0;
    const file = withFileErrors("write", path, () => {
      const opened = Deno.openSync(path, { read: true, write: true, create: true });
      opened.truncateSync(end);
      return opened;
    });
    const log = new RecordLog(path, file, end);
    if (end === 0) log.append(head);
    return log;
  }

  /**
   * Adds a record.
   *
   * @returns where in the file its bytes are
   * @throws {InputError} when the file system refuses, for instance when the disk is full
   */
  append(bytes: Uint8Array): RecordPlace {
    const record = recordOf(bytes);
    withFileErrors("write", this.#path, () => {
      this.#file.seekSync(this.#end, Deno.SeekMode.Start);
      for (let at = 0; at < record.length;) at += this.#file.writeSync(record.subarray(at));
    });
    const offset = this.#end + HEAD_BYTES;
    this.#end += record.length;
    return { offset, length: bytes.length };
  }

  /**
   * The bytes of a record at its place.
   *
   * @throws {InputError} when the file has become shorter, or cannot be read
   */
  read({ offset, length }: RecordPlace): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(length);
    withFileErrors("read", this.#path, () => {
      this.#file.seekSync(offset, Deno.SeekMode.Start);
      for (let at = 0; at < length;) {
        const count = this.#file.readSync(bytes.subarray(at));
        if (count === null) {
          throw new InputError(`Cannot read ${quote(this.#path)}: it became shorter`);
        }
        at += count;
      }
    });
    return bytes;
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
    onRecord: (bytes: Uint8Array<ArrayBuffer>, place: RecordPlace) => void;
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
    else onRecord(bytes, { offset: at + HEAD_BYTES, length });
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
  const text = new TextDecoder().decode(bytes);
  throw new InputError(
    `Cannot go on from ${quote(path)}: ${
      text.includes(FORMAT)
        ? `it belongs to ${difference(text, new TextDecoder().decode(head))}; ` +
          "remove it or name another file"
        : "it is not a checkpoint"
    }`,
  );
}

/** What another log belongs to, in words. */
function difference(theirs: string, ours: string): string {
  const [theirFacts, ourFacts] = [theirs, ours].map((head): unknown =>
    JSON.parse(head).fingerprint
  );
  if (!isFacts(theirFacts) || !isFacts(ourFacts)) return "other data, options or another adapter";
  const names = Object.keys(ourFacts).filter((name) => theirFacts[name] !== ourFacts[name]);
  return names.length === 0 ? "something else" : `a run with another ${names.join(" and ")}`;
}

function isFacts(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
