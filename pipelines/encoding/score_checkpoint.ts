import { createHash } from "node:crypto";
import { RecordLog } from "../io/record_log.ts";
import type { HostMatrix } from "./host_matrix.ts";
import type { ScoreStore, ScoreUnit } from "./ridge_scores.ts";

const HEAD = 4; // pass, alpha, fold, tile

/**
 * A digest of the data and of everything else that scores follow from.
 *
 * @param facts options, adapter and the like, as JSON can hold them
 */
export function fingerprintOf(matrices: readonly HostMatrix[], facts: unknown): string {
  const hash = createHash("sha256").update(JSON.stringify(facts));
  const slab = 64 * 2 ** 20;
  for (const { data, shape } of matrices) {
    hash.update(JSON.stringify(shape));
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    for (let at = 0; at < bytes.length; at += slab) hash.update(bytes.subarray(at, at + slab));
  }
  return hash.digest("hex");
}

/** Scores of finished units in a file: after a kill at any moment the same fit goes on from there, with the same result. */
export class ScoreCheckpoint implements ScoreStore, Disposable {
  readonly #log: RecordLog;
  readonly #known = new Map<string, Float64Array>();

  /**
   * Opens the file or begins it.
   *
   * @param fingerprint of {@link fingerprintOf}
   * @throws {InputError} when the file is no checkpoint, or one of something else
   */
  constructor(path: string, fingerprint: string) {
    this.#log = RecordLog.open(path, fingerprint, (bytes) => {
      const [pass, alpha, fold, tile] = new Uint32Array(bytes.slice(0, 4 * HEAD).buffer);
      const scores = new Float64Array(bytes.slice(4 * HEAD).buffer);
      this.#known.set(keyOf({ pass, alpha, fold, tile }), scores);
    });
  }

  /** Number of units that are known. */
  get size(): number {
    return this.#known.size;
  }

  /** Scores of a unit that was finished. */
  read(unit: ScoreUnit): Float64Array | undefined {
    return this.#known.get(keyOf(unit));
  }

  /**
   * Keeps the scores of a unit.
   *
   * @throws {InputError} when the file system refuses
   */
  write(unit: ScoreUnit, scores: Float64Array): void {
    const { pass, alpha, fold, tile } = unit;
    const bytes = new Uint8Array(4 * HEAD + scores.byteLength);
    bytes.set(new Uint8Array(Uint32Array.of(pass, alpha, fold, tile).buffer));
    bytes.set(new Uint8Array(Float64Array.from(scores).buffer), 4 * HEAD);
    this.#log.append(bytes);
    this.#known.set(keyOf(unit), scores);
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    this.#log[Symbol.dispose]();
  }
}

function keyOf({ pass, alpha, fold, tile }: ScoreUnit): string {
  return `${pass} ${alpha} ${fold} ${tile}`;
}
