import { InputError } from "../errors.ts";
import { AtomicFile } from "./atomic.ts";
import { RandomAccessFile, withFileErrors } from "./files.ts";
import {
  parseSafetensorsHeader,
  planSafetensors,
  type SafetensorsEntry,
  safetensorsHeaderLength,
} from "./safetensors.ts";
import type { HostDType, HostTensor, StateDict } from "./state_dict.ts";
import { isJsonObject, parseJsonObject, quote } from "./strict_json.ts";

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

/** An open safetensors checkpoint of one or more files; only headers are in memory. */
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

function openOne(path: string, files: RandomAccessFile[]): SafetensorsCheckpoint {
  const file = new RandomAccessFile(path);
  files.push(file);
  const source = quote(path);
  const head = file.read(0, Math.min(8, file.size));
  const length = safetensorsHeaderLength(head, file.size, source);
  const { entries, metadata } = parseSafetensorsHeader(file.read(8, length), file.size, source);
  const tensors = new Map<string, FileTensor>();
  for (const [name, entry] of entries) tensors.set(name, new FileTensor(file, entry));
  return new SafetensorsCheckpoint(files, tensors, metadata);
}

/** Largest index file that is read: a million tensors at 100 bytes each. */
const maxIndexBytes = 100_000_000;

/** Shard of each tensor by the `weight_map` of an index, which may name files of its own folder only. */
function readWeightMap(path: string): Map<string, string> {
  using file = new RandomAccessFile(path);
  const cannot = `Cannot read the index ${quote(path)}:`;
  if (file.size > maxIndexBytes) {
    throw new InputError(`${cannot} it must have at most ${maxIndexBytes} bytes, has ${file.size}`);
  }
  const { weight_map: map } = parseJsonObject(file.read(0, file.size), `${cannot} it`);
  if (!isJsonObject(map)) {
    throw new InputError(`${cannot} it must have a "weight_map" object, has ${quote(map)}`);
  }
  const shards = new Map<string, string>();
  for (const [name, shard] of Object.entries(map)) {
    const parts = typeof shard === "string" ? shard.split("/") : [""];
    // An index from elsewhere must not open other files of this machine.
    if (/[\\\0]/.test(String(shard)) || parts.some((part) => /^\.{0,2}$/.test(part))) {
      throw new InputError(
        `${cannot} the file of ${quote(name)} must be inside the folder of the index, is ${
          quote(shard)
        }`,
      );
    }
    shards.set(name, shard as string);
  }
  return shards;
}

function openSharded(path: string, files: RandomAccessFile[]): SafetensorsCheckpoint {
  const shardOf = readWeightMap(path);
  const folder = path.includes("/") ? path.slice(0, path.lastIndexOf("/") + 1) : "";
  const shards = new Map<string, SafetensorsCheckpoint>();
  let metadata: Record<string, string> = {};
  for (const name of [...new Set(shardOf.values())].sort()) {
    const shard = openOne(folder + name, files);
    shards.set(name, shard);
    metadata = { ...metadata, ...shard.metadata };
  }
  const tensors = new Map<string, FileTensor>();
  for (const [name, shard] of shardOf) {
    const tensor = shards.get(shard)!.tensors.get(name);
    if (tensor === undefined) {
      throw new InputError(
        `Cannot read the checkpoint ${quote(path)}: its index puts ${quote(name)} into ${
          quote(shard)
        }, ` +
          `which does not have it`,
      );
    }
    tensors.set(name, tensor);
  }
  return new SafetensorsCheckpoint(files, tensors, metadata);
}

/**
 * The checkpoint that a path names: the path itself, or in a folder its one index, else its one safetensors file. Of several, the
 * one that libraries look for, `model.safetensors`.
 *
 * @throws {InputError} when there is nothing at the path, or a folder has none or does not say which
 */
export function findSafetensors(path: string): string {
  if (!withFileErrors("read", path, () => Deno.statSync(path).isDirectory)) return path;
  const folder = path.replace(/\/+$/, "") || "/";
  const names = withFileErrors("list", folder, () => [...Deno.readDirSync(folder)])
    .map((entry) => entry.name).sort();
  const indices = names.filter((name) => name.endsWith(".safetensors.index.json"));
  const found = indices.length > 0 ? indices : names.filter((n) => n.endsWith(".safetensors"));
  const usual = found.find((name) => /^model\.safetensors(\.index\.json)?$/.test(name));
  const chosen = found.length === 1 ? found[0] : usual;
  if (chosen !== undefined) return `${folder}/${chosen}`;
  const pickles = names.filter((name) => /\.(bin|ckpt|pth?|pth\.tar)$/.test(name));
  const has = [...found, ...pickles].slice(0, 8).join(", ");
  throw new InputError(
    `Cannot choose a checkpoint in the folder ${quote(path)}: it must have one ` +
      `*.safetensors.index.json or one *.safetensors file, or one named model.safetensors, has ${
        found.length > 0
          ? has
          : pickles.length > 0
          ? `${has}, which have to be converted to safetensors`
          : "neither"
      }`,
  );
}

/**
 * Opens a checkpoint without loading it: a `.safetensors` file, a `*.safetensors.index.json` with its shards
 * beside it, or a folder that holds one or the other
 * (see {@link findSafetensors}). Needs the permission to read them.
 *
 * @throws {InputError} when a file is missing, cut off or malformed, or an index leads out of its folder
 */
export function openSafetensors(path: string): SafetensorsCheckpoint {
  const file = findSafetensors(path);
  const files: RandomAccessFile[] = [];
  try {
    return file.endsWith(".json") ? openSharded(file, files) : openOne(file, files);
  } catch (cause) {
    for (const open of files) open.close();
    throw cause;
  }
}

/**
 * Writes a safetensors file, one tensor at a time; it appears under its name when it is whole.
 *
 * @param metadata strings to keep beside the tensors
 * @throws {InputError} when a tensor does not fit its shape or the file system refuses
 */
export function saveSafetensors(
  path: string,
  tensors: StateDict,
  metadata: Readonly<Record<string, string>> = {},
): void {
  const { head, order } = planSafetensors(tensors, metadata);
  using file = new AtomicFile(path);
  file.write(head);
  for (const name of order) file.write(tensors.get(name)!.bytes);
  file.commit();
}
