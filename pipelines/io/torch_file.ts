/**
 * Checkpoints that PyTorch wrote with `torch.save`, read without PyTorch and without executing what is in them.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import { FileTensor } from "./file_tensor.ts";
import type { RandomAccessFile } from "./files.ts";
import { type PickleStorage, PickleTensor, type PickleValue, readPickle } from "./pickle.ts";
import { dtypeBytes, type HostDType, shapeSize } from "./state_dict.ts";
import { quote } from "./strict_json.ts";
import { readZipDirectory, type ZipEntry } from "./zip.ts";

/** Element types by the classes of storages. */
const dtypes: Readonly<Record<string, HostDType>> = {
  "torch.FloatStorage": "f32",
  "torch.HalfStorage": "f16",
  "torch.BFloat16Storage": "bf16",
  "torch.DoubleStorage": "f64",
  "torch.CharStorage": "i8",
  "torch.ByteStorage": "u8",
  "torch.ShortStorage": "i16",
  "torch.IntStorage": "i32",
  "torch.LongStorage": "i64",
  "torch.BoolStorage": "bool",
};

/** Largest pickle that is read: a million tensors at 100 bytes each. */
const MAX_PICKLE_BYTES = 100_000_000;
/** `MAGIC_NUMBER` and `PROTOCOL_VERSION` of `torch/serialization.py`. */
const LEGACY_MAGIC = 0x1950a86a20f9469cfc6cn;
const LEGACY_PROTOCOL = 1001;

/** How a file from before PyTorch 1.6 begins: the magic number as a pickle of protocol 2. */
const LEGACY_HEAD = [0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46];

/** True where the first eight bytes of a file are those of `torch.save`: of a ZIP archive, or of its form before PyTorch 1.6. */
export function isTorchFile(head: Uint8Array): boolean {
  return [[0x50, 0x4b, 3, 4], LEGACY_HEAD].some((begin) => begin.every((b, i) => head[i] === b));
}

/** Where the values of a storage lie. */
type Locate = (key: string) => ZipEntry | undefined;

/**
 * The tensors of a file of `torch.save`: of a state dict, or of the one state dict in a dictionary of more (`state_dict` or `model`
 * where there are several).
 *
 * @param part takes the state dict whose name has this in it instead, where there is one; its keys then begin with that name
 * @throws {InputError} when the file is damaged, or holds anything but tensors in plain containers
 */
export function readTorchFile(
  file: RandomAccessFile,
  part?: string,
): ReadonlyMap<string, FileTensor> {
  const isZip = file.size > 0 && file.read(0, 1)[0] === 0x50;
  const [value, locate] = isZip ? openArchive(file) : openLegacy(file);
  const dict = stateDictOf(value, file.path, part);
  return new Map([...dict].map(([name, tensor]) => [name, place(file, name, tensor, locate)]));
}

function openArchive(file: RandomAccessFile): [PickleValue, Locate] {
  const source = quote(file.path);
  const entries = readZipDirectory(file);
  const pickles = [...entries.keys()].filter((name) => /^[^/]+\/data\.pkl$/.test(name));
  if (pickles.length !== 1) {
    throw new InputError(
      `Cannot read ${source}: a checkpoint of torch.save has one data.pkl, this archive has ${pickles.length}`,
    );
  }
  const root = pickles[0].slice(0, -"data.pkl".length);
  const { start, end } = entries.get(pickles[0])!;
  if (end - start > MAX_PICKLE_BYTES) {
    throw new InputError(
      `Cannot read ${source}: its data.pkl must have at most ${MAX_PICKLE_BYTES} bytes, has ${
        end - start
      }`,
    );
  }
  const order = entries.get(`${root}byteorder`);
  const bytes = order && file.read(order.start, Math.min(16, order.end - order.start));
  if (bytes && new TextDecoder().decode(bytes) !== "little") {
    throw new InputError(`Cannot read ${source}: its values are not little-endian`);
  }
  const { value } = readPickle(file.read(start, end - start), { source });
  return [value, (key) => entries.get(`${root}data/${key}`)];
}

/** Before PyTorch 1.6: pickles of magic number, protocol, system, value and keys, then each storage behind its length. */
function openLegacy(file: RandomAccessFile): [PickleValue, Locate] {
  const source = quote(file.path);
  const bytes = file.read(0, Math.min(file.size, MAX_PICKLE_BYTES));
  let at = 0;
  const next = () => {
    const read = readPickle(bytes, { at, source });
    at = read.end;
    return read;
  };
  if (next().value !== LEGACY_MAGIC || next().value !== LEGACY_PROTOCOL) {
    throw new InputError(`Cannot read ${source}: it is a pickle that torch.save did not write`);
  }
  const { value: system } = next();
  if (!(system instanceof Map) || system.get("little_endian") !== true) {
    throw new InputError(`Cannot read ${source}: its values are not little-endian`);
  }
  const { value, storages } = next();
  const { value: keys } = next();
  const places = legacyPlaces(file, { at, keys, storages });
  return [value, (key) => places.get(key)];
}

function legacyPlaces(
  file: RandomAccessFile,
  { at: first, keys, storages }: {
    at: number;
    keys: PickleValue;
    storages: ReadonlyMap<string, PickleStorage>;
  },
): Map<string, ZipEntry> {
  const places = new Map<string, ZipEntry>();
  let at = first;
  for (const key of Array.isArray(keys) ? keys : []) {
    const head = file.read(at, 8);
    const size = Number(new DataView(head.buffer).getBigInt64(0, true));
    const storage = typeof key === "string" ? storages.get(key) : undefined;
    const dtype = storage && dtypes[storage.type];
    if (storage === undefined || dtype === undefined || !(size >= 0)) {
      throw new InputError(`Cannot read ${quote(file.path)}: it has values of no known type`);
    }
    const end = at + 8 + size * dtypeBytes[dtype];
    places.set(storage.key, { start: at + 8, end });
    at = end;
  }
  return places;
}

/** The tensors of a dictionary by name; other entries (epochs, rates) are passed over. */
function tensorsOf(value: PickleValue): Map<string, PickleTensor> {
  const named = value instanceof Map ? [...value] : [];
  return new Map(
    named.filter((entry): entry is [string, PickleTensor] =>
      typeof entry[0] === "string" && entry[1] instanceof PickleTensor
    ),
  );
}

function stateDictOf(
  value: PickleValue,
  path: string,
  wanted?: string,
): Map<string, PickleTensor> {
  const direct = tensorsOf(value);
  if (direct.size > 0) return direct;
  const inner = new Map<string, Map<string, PickleTensor>>();
  for (const [name, part] of value instanceof Map ? value : []) {
    const tensors = tensorsOf(part);
    if (typeof name === "string" && tensors.size > 0) inner.set(name, tensors);
  }
  const asked = wanted && [...inner].find(([name]) => name.includes(wanted));
  if (asked) {
    const [name, tensors] = asked;
    return new Map([...tensors].map(([key, tensor]) => [`${name}.${key}`, tensor]));
  }
  const [only] = inner.size === 1 ? inner.values() : [];
  const found = inner.get("state_dict") ?? inner.get("model") ?? only;
  if (found) return found;
  throw new InputError(
    `Cannot read ${
      quote(path)
    }: it must hold a dictionary of tensors, or one in a dictionary, it has ${
      inner.size === 0 ? "none" : `several: ${[...inner.keys()].slice(0, 8).map(quote).join(", ")}`
    }`,
  );
}

function place(
  file: RandomAccessFile,
  name: string,
  { storage, offset, shape, strides }: PickleTensor,
  locate: Locate,
): FileTensor {
  const cannot = `Cannot read ${quote(file.path)}: the tensor ${quote(name)}`;
  const dtype = dtypes[storage.type];
  if (dtype === undefined) throw new InputError(`${cannot} has values of ${storage.type}`);
  const at = locate(storage.key);
  const width = dtypeBytes[dtype];
  if (at === undefined || storage.size * width > at.end - at.start || at.end > file.size) {
    throw new InputError(
      `${cannot} needs ${storage.size} values of ${width} bytes, the file has ${
        at === undefined ? "none" : `${Math.min(at.end, file.size) - at.start} bytes`
      } of them`,
    );
  }
  const size = shapeSize(shape)!;
  const start = at.start + offset * width;
  const whole = { dtype, shape, start, end: start + size * width };
  if (isContiguous(shape, strides)) return new FileTensor(file, whole);
  const last = shape.reduce((sum, n, i) => sum + (n - 1) * strides[i], 0);
  return new StridedTensor(file, { ...whole, end: start + (last + 1) * width }, strides);
}

/** Whether values lie one after the other; strides of axes of one value mean nothing. */
function isContiguous(shape: readonly number[], strides: readonly number[]): boolean {
  if (shape.includes(0)) return true;
  let step = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    if (shape[i] !== 1 && strides[i] !== step) return false;
    step *= shape[i];
  }
  return true;
}

/** A tensor whose values do not lie in order, as a transposed one: brought into order when it is read. */
class StridedTensor extends FileTensor {
  readonly #strides: readonly number[];

  constructor(
    file: RandomAccessFile,
    entry: { dtype: HostDType; shape: readonly number[]; start: number; end: number },
    strides: readonly number[],
  ) {
    super(file, entry);
    this.#strides = strides;
  }

  override get bytes(): Uint8Array<ArrayBuffer> {
    return this.readBytes(0, shapeSize(this.shape)! * dtypeBytes[this.dtype]);
  }

  override readBytes(start: number, end: number): Uint8Array<ArrayBuffer> {
    const stored = super.bytes;
    const width = dtypeBytes[this.dtype];
    const ordered = new Uint8Array(shapeSize(this.shape)! * width);
    for (let i = 0; i < ordered.length / width; i++) {
      let [rest, at] = [i, 0];
      for (let axis = this.shape.length - 1; axis >= 0; axis--) {
        at += rest % this.shape[axis] * this.#strides[axis];
        rest = Math.floor(rest / this.shape[axis]);
      }
      for (let b = 0; b < width; b++) ordered[i * width + b] = stored[at * width + b];
    }
    return ordered.subarray(start, end);
  }
}
