import { InputError } from "../errors.ts";
import { AtomicFile } from "./atomic.ts";
import { FileTensor, SafetensorsCheckpoint } from "./file_tensor.ts";
import { RandomAccessFile, withFileErrors } from "./files.ts";
import { parseSafetensorsHeader, planSafetensors, safetensorsHeaderLength } from "./safetensors.ts";
import type { StateDict } from "./state_dict.ts";
import { isJsonObject, parseJsonObject, quote } from "./strict_json.ts";
import { isTorchFile, readTorchFile } from "./torch_file.ts";

export { FileTensor, SafetensorsCheckpoint } from "./file_tensor.ts";

/** Options of {@link openSafetensors}. */
export interface OpenCheckpointOptions {
  /**
   * Of a file of `torch.save` that holds several state dicts, the one to take: the first whose name has this in it, such as `ema`. Its keys
   * then begin with that name. Where there is none, as if it were left out.
   */
  readonly part?: string;
}

function openOne(
  path: string,
  files: RandomAccessFile[],
  { part }: OpenCheckpointOptions = {},
): SafetensorsCheckpoint {
  const file = new RandomAccessFile(path);
  files.push(file);
  const source = quote(path);
  const head = file.read(0, Math.min(8, file.size));
  if (isTorchFile(head)) return new SafetensorsCheckpoint(files, readTorchFile(file, part), {});
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

/** Files of a folder that may be its checkpoint, best first: the kinds, and in each the name that libraries look for. */
const kinds: readonly (readonly [kind: RegExp, usual: RegExp])[] = [
  [/\.safetensors\.index\.json$/, /^model\.safetensors\.index\.json$/],
  [/\.safetensors$/, /^model\.safetensors$/],
  [/\.bin\.index\.json$/, /^pytorch_model\.bin\.index\.json$/],
  [/\.(bin|ckpt|pth?|pth\.tar)$/, /^pytorch_model\.bin$/],
];

/**
 * The checkpoint that a path names: the path itself, or in a folder its one index, else its one safetensors file, else its one file of
 * PyTorch's. Of several, the one that libraries look for, `model.safetensors` or `pytorch_model.bin`.
 *
 * @throws {InputError} when there is nothing at the path, or a folder has none or does not say which
 */
export function findSafetensors(path: string): string {
  if (!withFileErrors("read", path, () => Deno.statSync(path).isDirectory)) return path;
  const folder = path.replace(/\/+$/, "") || "/";
  const names = withFileErrors("list", folder, () => [...Deno.readDirSync(folder)])
    .map((entry) => entry.name).sort();
  const fitting = kinds.map(([kind, usual]) => {
    const found = names.filter((name) => kind.test(name));
    return { found, chosen: found.length === 1 ? found[0] : found.find((n) => usual.test(n)) };
  }).find(({ found }) => found.length > 0);
  if (fitting?.chosen !== undefined) return `${folder}/${fitting.chosen}`;
  throw new InputError(
    `Cannot choose a checkpoint in the folder ${quote(path)}: it must have one ` +
      `*.safetensors.index.json or one *.safetensors file, or one named model.safetensors, has ${
        fitting?.found.slice(0, 8).join(", ") ?? "neither"
      }`,
  );
}

/**
 * Opens a checkpoint without loading it: a `.safetensors` file, a file of PyTorch's `torch.save` (read without executing what is in
 * it), a `*.index.json` with its shards beside it, or a folder that holds one of them
 * (see {@link findSafetensors}). Needs the permission to read them.
 *
 * @throws {InputError} when a file is missing, cut off or malformed, holds more than tensors, or an index leads out of its folder
 */
export function openSafetensors(
  path: string,
  options: OpenCheckpointOptions = {},
): SafetensorsCheckpoint {
  const file = findSafetensors(path);
  const files: RandomAccessFile[] = [];
  try {
    return file.endsWith(".json") ? openSharded(file, files) : openOne(file, files, options);
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
