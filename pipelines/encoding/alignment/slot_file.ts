import { createHash } from "node:crypto";
import { InputError } from "../../errors.ts";
import { fileError, withFileErrors } from "../../io/files.ts";
import { quote } from "../../io/strict_json.ts";

const MAGIC = "gyrus state 1";
const HEAD_BYTES = 4096;
const MARK_BYTES = 8 + 8 + 32; // number of the state, length, digest

/**
 * The latest state of long work in one file that keeps its size: two places are written in turn, each with a number and a digest, so
 * that a kill at any moment leaves the state before. Logs that grow would hold every epoch's weights.
 */
export class SlotFile implements Disposable {
  readonly #path: string;
  readonly #file: Deno.FsFile;
  readonly #capacity: number;
  #number = 0;
  #latest: Uint8Array<ArrayBuffer> | undefined;

  /**
   * Opens a file or begins it.
   *
   * @param facts what the states follow from, by names that a user knows
   * @param capacity most bytes of a state
   * @throws {InputError} when the file is something else, or belongs to work with other facts: it says which differ
   */
  constructor(path: string, facts: Readonly<Record<string, unknown>>, capacity: number) {
    this.#path = path;
    this.#capacity = capacity;
    const digests = Object.entries(facts).map(([name, fact]) => [
      name,
      createHash("sha256").update(JSON.stringify(fact) ?? "").digest("hex").slice(0, 16),
    ]);
    const head = JSON.stringify({ format: MAGIC, capacity, facts: Object.fromEntries(digests) });
    this.#file = withFileErrors(
      "write",
      path,
      () => Deno.openSync(path, { read: true, write: true, create: true }),
    );
    try {
      const size = this.#file.statSync().size;
      if (size > 0 && this.#requireHead(head, size)) this.#readSlots();
      else this.#writeAt(0, new TextEncoder().encode(head.padEnd(HEAD_BYTES)));
    } catch (cause) {
      this.#file.close();
      throw fileError("read", path, cause);
    }
  }

  /** The latest whole state; undefined where there is none. */
  get latest(): Uint8Array<ArrayBuffer> | undefined {
    return this.#latest;
  }

  /**
   * Keeps a state.
   *
   * @throws {InputError} when the file system refuses, for want of space for example
   */
  write(state: Uint8Array<ArrayBuffer>): void {
    if (state.length > this.#capacity) {
      throw new RangeError(`Cannot keep a state of ${state.length} bytes in ${this.#capacity}`);
    }
    const next = this.#number + 1;
    const mark = new Uint8Array(MARK_BYTES);
    const view = new DataView(mark.buffer);
    view.setFloat64(0, next);
    view.setFloat64(8, state.length);
    mark.set(digestOf(mark.subarray(0, 16), state), 16);
    withFileErrors("write", this.#path, () => {
      this.#writeAt(this.#placeOf(next), mark);
      this.#writeAt(this.#placeOf(next) + MARK_BYTES, state);
      this.#file.syncDataSync();
    });
    this.#number = next;
    this.#latest = state;
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    this.#file.close();
  }

  #placeOf(number: number): number {
    return HEAD_BYTES + number % 2 * (MARK_BYTES + this.#capacity);
  }

  /** True where the head is ours; false where only the beginning of it was written before a kill. */
  #requireHead(head: string, size: number): boolean {
    const theirs = new TextDecoder().decode(this.#readAt(0, Math.min(size, HEAD_BYTES)));
    if (size < HEAD_BYTES && head.padEnd(HEAD_BYTES).startsWith(theirs)) return false;
    if (theirs.trimEnd() === head) return true;
    const refuse = (why: string) => {
      throw new InputError(`Cannot go on from ${quote(this.#path)}: ${why}`);
    };
    if (!theirs.startsWith(`{"format":"${MAGIC}"`)) return refuse("it is not a state of training");
    const [known, ours]: Record<string, string>[] = [theirs, head].map((text) =>
      JSON.parse(text).facts
    );
    const names = Object.keys(ours).filter((name) => known[name] !== ours[name]);
    return refuse(
      `it belongs to a run with another ${
        names.join(" and ") || "size"
      }; remove it or name another file`,
    );
  }

  #readSlots(): void {
    for (const number of [0, 1]) {
      const at = this.#placeOf(number);
      const mark = this.#readAt(at, MARK_BYTES);
      if (mark.length < MARK_BYTES) continue;
      const view = new DataView(mark.buffer, mark.byteOffset);
      const [count, length] = [view.getFloat64(0), view.getFloat64(8)];
      if (!(count > this.#number && length <= this.#capacity)) continue;
      const state = this.#readAt(at + MARK_BYTES, length);
      const digest = digestOf(mark.subarray(0, 16), state);
      if (state.length !== length || digest.some((byte, i) => byte !== mark[16 + i])) continue;
      this.#number = count;
      this.#latest = state;
    }
  }

  /** Bytes at a place, fewer where the file ends. */
  #readAt(at: number, length: number): Uint8Array<ArrayBuffer> {
    const bytes = new Uint8Array(length);
    let done = 0;
    this.#file.seekSync(at, Deno.SeekMode.Start);
    while (done < length) {
      const count = this.#file.readSync(bytes.subarray(done));
      if (count === null) break;
      done += count;
    }
    return bytes.subarray(0, done);
  }

  #writeAt(at: number, bytes: Uint8Array): void {
    this.#file.seekSync(at, Deno.SeekMode.Start);
    for (let done = 0; done < bytes.length;) done += this.#file.writeSync(bytes.subarray(done));
  }
}

function digestOf(...parts: readonly Uint8Array[]): Uint8Array {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
}
