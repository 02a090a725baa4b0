import { createHash } from "node:crypto";
import { InputError } from "../errors.ts";
import { RecordLog, type RecordPlace } from "./record_log.ts";
import { dtypeBytes, type HostDType, type HostTensor, shapeSize } from "./state_dict.ts";
import { quote } from "./strict_json.ts";

/** Arrays that one step of a long run gives, by name. */
export type StepArrays = ReadonlyMap<string, HostTensor>;

/** What a run's results follow from, by names that a user knows (`model`, `images`, `options`); values as JSON can hold them. */
export type RunFacts = Readonly<Record<string, unknown>>;

/**
 * Results of a run's steps in an append-only file. After a kill at any moment the same run goes on behind the last whole step.
 * Steps are read back one at a time: memory does not grow with their number.
 */
export class StepLog implements Disposable {
  readonly #log: RecordLog;
  readonly #path: string;
  readonly #places: RecordPlace[] = [];

  /**
   * Opens the file or begins it.
   *
   * @throws {InputError} when the file is no checkpoint, or one of a run with other facts: it says which differ
   */
  constructor(path: string, facts: RunFacts) {
    const digests = Object.entries(facts).map(([name, fact]) => [
      name,
      createHash("sha256").update(JSON.stringify(fact) ?? "").digest("hex"),
    ]);
    this.#path = path;
    this.#log = RecordLog.open(path, Object.fromEntries(digests), (_, place) => {
      this.#places.push(place);
    });
  }

  /** Number of whole steps that are kept. */
  get size(): number {
    return this.#places.length;
  }

  /**
   * The arrays of a step, counted from 0.
   *
   * @throws {InputError} when the file cannot be read or was changed meanwhile
   */
  read(step: number): StepArrays {
    const arrays = unpack(this.#log.read(this.#places[step]));
    if (arrays !== undefined) return arrays;
    throw new InputError(`Cannot go on from ${quote(this.#path)}: its step ${step} is damaged`);
  }

  /**
   * Keeps the arrays of the next step.
   *
   * @throws {InputError} when the file system refuses, for want of space for example
   */
  append(arrays: StepArrays): void {
    this.#places.push(this.#log.append(pack(arrays)));
  }

  /** Closes the file. */
  [Symbol.dispose](): void {
    this.#log[Symbol.dispose]();
  }
}

/**
 * The results of all steps in order: first those that a log has, then the others, each kept in the log before it is given on.
 *
 * @param log undefined where nothing is kept
 * @param rest computes the steps from the one of this number on
 */
export async function* resumeSteps(
  log: StepLog | undefined,
  rest: (first: number) => AsyncIterable<StepArrays>,
): AsyncGenerator<StepArrays> {
  const kept = log?.size ?? 0;
  for (let step = 0; step < kept; step++) yield log!.read(step);
  for await (const arrays of rest(kept)) {
    log?.append(arrays);
    yield arrays;
  }
}

/** Length of the description, description as JSON, bytes of one array after the other. */
function pack(arrays: StepArrays): Uint8Array<ArrayBuffer> {
  const list = [...arrays].map(([name, { dtype, shape }]) => ({ name, dtype, shape }));
  const text = new TextEncoder().encode(JSON.stringify(list));
  const parts = [...arrays.values()].map(({ bytes }) => bytes);
  const size = parts.reduce((sum, { length }) => sum + length, 4 + text.length);
  const packed = new Uint8Array(size);
  new DataView(packed.buffer).setUint32(0, text.length, true);
  packed.set(text, 4);
  let at = 4 + text.length;
  for (const part of parts) {
    packed.set(part, at);
    at += part.length;
  }
  return packed;
}

/** The arrays of a record of {@link pack}; undefined where it is none. */
function unpack(packed: Uint8Array<ArrayBuffer>): StepArrays | undefined {
  if (packed.length < 4) return undefined;
  const length = new DataView(packed.buffer, packed.byteOffset).getUint32(0, true);
  const list: { name: string; dtype: HostDType; shape: number[] }[] = JSON.parse(
    new TextDecoder().decode(packed.subarray(4, 4 + length)),
  );
  const arrays = new Map<string, HostTensor>();
  let at = 4 + length;
  for (const { name, dtype, shape } of list) {
    const end = at + shapeSize(shape)! * dtypeBytes[dtype];
    if (end > packed.length) return undefined;
    arrays.set(name, { dtype, shape, bytes: packed.subarray(at, end) });
    at = end;
  }
  return arrays;
}
