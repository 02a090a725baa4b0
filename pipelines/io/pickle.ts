/**
 * Reads Python pickles of state dicts and executes nothing: a small stack machine that knows the instructions and names which PyTorch
 * writes for tensors in plain containers, and refuses any other in one sentence.
 *
 * Instructions: CPython's `Lib/pickletools.py`. Names: PyTorch's `torch/_utils.py` and `torch/serialization.py`.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import { shapeSize } from "./state_dict.ts";
import { quote } from "./strict_json.ts";

/** A Python name that a pickle refers to, as `module.name`. */
export class PickleName {
  constructor(readonly name: string) {}
}

/** Values of a tensor, somewhere in the file. */
export class PickleStorage {
  constructor(
    /** Storage class, as `torch.FloatStorage`. */
    readonly type: string,
    /** Key of the values in the file. */
    readonly key: string,
    /** Number of values. */
    readonly size: number,
  ) {}
}

/** A tensor over a storage. */
export class PickleTensor {
  constructor(
    readonly storage: PickleStorage,
    /** First value. */
    readonly offset: number,
    readonly shape: readonly number[],
    /** Values between neighbours on each axis. */
    readonly strides: readonly number[],
  ) {}
}

/** What a pickle may hold. Lists and tuples are arrays, dictionaries maps. */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | PickleName
  | PickleStorage
  | PickleTensor
  | PickleValue[]
  | Map<PickleValue, PickleValue>;

const MARK = Symbol("mark");
type Slot = PickleValue | typeof MARK;

/** Functions that are not called but understood, by name. */
const builders: Readonly<Record<string, (args: PickleValue[]) => PickleValue | undefined>> = {
  "collections.OrderedDict": ([pairs = []]) =>
    Array.isArray(pairs) && pairs.every((pair) => Array.isArray(pair) && pair.length === 2)
      ? new Map(pairs as [PickleValue, PickleValue][])
      : undefined,
  "torch._utils._rebuild_tensor": rebuildTensor,
  "torch._utils._rebuild_tensor_v2": rebuildTensor,
  "torch._utils._rebuild_parameter": ([tensor]) =>
    tensor instanceof PickleTensor ? tensor : undefined,
  "torch.Size": ([sizes]) => sizes,
};

/** No tensor of PyTorch has more axes. */
const MAX_AXES = 64;
const isCounts = (value: PickleValue): value is number[] =>
  Array.isArray(value) && value.length <= MAX_AXES && shapeSize(value) !== undefined;

/** A tensor whose every value lies in its storage and that is not larger than it, or undefined. */
function rebuildTensor([storage, offset, shape, strides]: PickleValue[]): PickleTensor | undefined {
  if (!(storage instanceof PickleStorage) || !isCounts(shape) || !isCounts(strides)) {
    return undefined;
  }
  if (typeof offset !== "number" || !Number.isSafeInteger(offset) || offset < 0) return undefined;
  if (shape.length !== strides.length) return undefined;
  const size = shapeSize(shape)!;
  const last = shape.reduce((at, n, i) => at + (n - 1) * strides[i], offset);
  // Repeated values (stride 0) are not saved by anyone, and would let a small file claim any memory.
  if (size > 0 && !(last < storage.size && size <= storage.size)) return undefined;
  return new PickleTensor(storage, offset, shape, strides);
}

/** Names that may be referred to without being called: storage classes. */
const STORAGE = /^torch\.\w*Storage$/;

/** Options of {@link readPickle}. */
export interface ReadPickleOptions {
  /** First byte of the pickle (default 0). */
  readonly at?: number;
  /** Name of the file, for error messages. */
  readonly source: string;
}

/** A pickle's value, and the byte behind it. */
export interface ReadPickle {
  /** What it holds. */
  readonly value: PickleValue;
  /** Where it ended. */
  readonly end: number;
  /** Every storage that it refers to, by key. */
  readonly storages: ReadonlyMap<string, PickleStorage>;
}

/**
 * Reads one pickle of protocol 2 to 5.
 *
 * @throws {InputError} when it has an instruction or a name that no state dict needs, or is damaged
 */
export function readPickle(
  bytes: Uint8Array,
  { at = 0, source }: ReadPickleOptions,
): ReadPickle {
  const machine = new Machine(bytes, at, source);
  return { value: machine.run(), end: machine.at, storages: machine.storages };
}

class Machine {
  readonly storages = new Map<string, PickleStorage>();
  readonly #stack: Slot[] = [];
  readonly #memo = new Map<number, Slot>();
  readonly #view: DataView;
  readonly #text = new TextDecoder("utf-8", { fatal: true });

  constructor(readonly bytes: Uint8Array, public at: number, readonly source: string) {
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  run(): PickleValue {
    while (true) {
      const code = this.#take(1)[0];
      if (code === 0x2e) return this.#pop(); // STOP
      const step = steps[code];
      if (!step) {
        this.fail(
          `its pickle has the instruction 0x${code.toString(16)}, which no state dict needs`,
        );
      }
      step(this);
    }
  }

  fail(why: string): never {
    throw new InputError(
      `Cannot read ${this.source}: ${why}; it can be converted to safetensors where it was made`,
    );
  }

  #take(length: number): Uint8Array {
    if (this.at + length > this.bytes.length) this.fail("its pickle is cut off");
    const start = this.at;
    this.at += length;
    return this.bytes.subarray(start, this.at);
  }

  byte(): number {
    return this.#take(1)[0];
  }

  /** Little-endian whole number of this many bytes. */
  count(length: 2 | 4 | 8): number {
    this.#take(length);
    const from = this.at - length;
    if (length === 2) return this.#view.getUint16(from, true);
    return length === 4
      ? this.#view.getUint32(from, true)
      : Number(this.#view.getBigUint64(from, true));
  }

  signed(): number {
    this.#take(4);
    return this.#view.getInt32(this.at - 4, true);
  }

  double(): number {
    this.#take(8);
    return this.#view.getFloat64(this.at - 8); // big-endian, alone among pickle's numbers
  }

  /** Two's complement of this many bytes. */
  long(length: number): number | bigint {
    let value = 0n;
    for (const [i, byte] of this.#take(length).entries()) value |= BigInt(byte) << BigInt(8 * i);
    value = BigInt.asIntN(8 * length, value);
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  }

  text(length: number): string {
    const bytes = this.#take(length);
    try {
      return this.#text.decode(bytes);
    } catch {
      return this.fail("its pickle has text that is not UTF-8");
    }
  }

  line(): string {
    const end = this.bytes.indexOf(10, this.at);
    if (end < 0) this.fail("its pickle is cut off");
    const text = this.text(end - this.at);
    this.at++;
    return text;
  }

  push(value: Slot): void {
    this.#stack.push(value);
  }

  #pop(): PickleValue {
    const value = this.#stack.pop();
    if (value === undefined || value === MARK) this.fail("its pickle is damaged");
    return value;
  }

  /** The topmost `n` values, taken off. */
  pop(n: number): PickleValue[] {
    return Array.from({ length: n }, () => this.#pop()).reverse();
  }

  /** Everything above the last mark, which goes too. */
  popMarked(): PickleValue[] {
    const mark = this.#stack.lastIndexOf(MARK);
    if (mark < 0) this.fail("its pickle is damaged");
    return (this.#stack.splice(mark) as PickleValue[]).slice(1);
  }

  memoize(index: number = this.#memo.size): void {
    const top = this.#stack.at(-1);
    if (top === undefined) this.fail("its pickle is damaged");
    this.#memo.set(index, top);
  }

  recall(index: number): void {
    const value = this.#memo.get(index);
    if (value === undefined) this.fail("its pickle is damaged");
    this.push(value);
  }

  refer(name: string): void {
    if (!Object.hasOwn(builders, name) && !STORAGE.test(name)) {
      this.fail(
        `its pickle asks for ${quote(name)}, and nothing but tensors in plain containers is read`,
      );
    }
    this.push(new PickleName(name));
  }

  reduce(): void {
    const [name, args] = this.pop(2);
    const build = name instanceof PickleName && Object.hasOwn(builders, name.name)
      ? builders[name.name]
      : undefined;
    const made = build && Array.isArray(args) ? build(args) : undefined;
    if (made === undefined) this.fail("its pickle has a tensor that does not fit its values");
    this.push(made);
  }

  /** `("storage", class, key, location, size, …)`. */
  persist(): void {
    const [id] = this.pop(1);
    const [kind, type, key, , size, view = null] = Array.isArray(id) ? id : [];
    const isStorage = kind === "storage" && type instanceof PickleName && STORAGE.test(type.name) &&
      typeof key === "string" && typeof size === "number" && Number.isSafeInteger(size) &&
      size >= 0 && view === null;
    if (!isStorage) this.fail("its pickle has a reference that is not to the values of a tensor");
    const storage = new PickleStorage(type.name, key, size);
    this.storages.set(key, storage);
    this.push(storage);
  }

  /** Fills the container below with what was taken off. */
  append(values: readonly PickleValue[]): void {
    const list = this.#stack.at(-1);
    if (!Array.isArray(list)) this.fail("its pickle is damaged");
    for (const value of values) list.push(value);
  }

  set(pairs: readonly PickleValue[]): void {
    const map = this.#stack.at(-1);
    if (!(map instanceof Map) || pairs.length % 2 !== 0) this.fail("its pickle is damaged");
    for (let i = 0; i < pairs.length; i += 2) map.set(pairs[i], pairs[i + 1]);
  }

  /** Attributes of a dictionary (`_metadata` of a state dict) are passed over. */
  build(): void {
    this.#pop();
    if (!(this.#stack.at(-1) instanceof Map)) {
      this.fail("its pickle sets the state of an object, and nothing but tensors is read");
    }
  }
}

/** What each instruction does, by its code. */
const steps: Readonly<Record<number, (m: Machine) => void>> = {
  0x80: (m) => void m.byte(), // PROTO
  0x95: (m) => void m.count(8), // FRAME
  0x28: (m) => m.push(MARK),
  0x4e: (m) => m.push(null), // NONE
  0x88: (m) => m.push(true),
  0x89: (m) => m.push(false),
  0x4a: (m) => m.push(m.signed()), // BININT
  0x4b: (m) => m.push(m.byte()), // BININT1
  0x4d: (m) => m.push(m.count(2)), // BININT2
  0x8a: (m) => m.push(m.long(m.byte())), // LONG1
  0x47: (m) => m.push(m.double()), // BINFLOAT
  0x58: (m) => m.push(m.text(m.count(4))), // BINUNICODE
  0x8c: (m) => m.push(m.text(m.byte())), // SHORT_BINUNICODE
  0x8d: (m) => m.push(m.text(m.count(8))), // BINUNICODE8
  0x54: (m) => m.push(m.text(m.count(4))), // BINSTRING
  0x55: (m) => m.push(m.text(m.byte())), // SHORT_BINSTRING
  0x5d: (m) => m.push([]), // EMPTY_LIST
  0x29: (m) => m.push([]), // EMPTY_TUPLE
  0x7d: (m) => m.push(new Map()), // EMPTY_DICT
  0x85: (m) => m.push(m.pop(1)), // TUPLE1
  0x86: (m) => m.push(m.pop(2)),
  0x87: (m) => m.push(m.pop(3)),
  0x74: (m) => m.push(m.popMarked()), // TUPLE
  0x61: (m) => m.append(m.pop(1)), // APPEND
  0x65: (m) => m.append(m.popMarked()), // APPENDS
  0x73: (m) => m.set(m.pop(2)), // SETITEM
  0x75: (m) => m.set(m.popMarked()), // SETITEMS
  0x71: (m) => m.memoize(m.byte()), // BINPUT
  0x72: (m) => m.memoize(m.count(4)), // LONG_BINPUT
  0x94: (m) => m.memoize(), // MEMOIZE
  0x68: (m) => m.recall(m.byte()), // BINGET
  0x6a: (m) => m.recall(m.count(4)), // LONG_BINGET
  0x63: (m) => m.refer(`${m.line()}.${m.line()}`), // GLOBAL
  0x93: (m) => m.refer(m.pop(2).map((part) => typeof part === "string" ? part : "?").join(".")), // STACK_GLOBAL
  0x52: (m) => m.reduce(), // REDUCE
  0x51: (m) => m.persist(), // BINPERSID
  0x62: (m) => m.build(), // BUILD
};
