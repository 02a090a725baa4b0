import { InputError } from "../errors.ts";
import { fileError } from "../io/files.ts";
import { readNifti } from "../io/nifti.ts";
import type { HostTensor } from "../io/state_dict.ts";
import { quote } from "../io/strict_json.ts";

/** The bytes of a small file. */
export async function readBytes(path: string): Promise<Uint8Array<ArrayBuffer>> {
  try {
    return await Deno.readFile(path);
  } catch (cause) {
    throw fileError("read", path, cause);
  }
}

/** The text of a small file. */
export async function readText(path: string): Promise<string> {
  return new TextDecoder().decode(await readBytes(path));
}

/** Whether there is such a file or folder. */
export function isThere(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return false;
    throw fileError("read", path, cause);
  }
}

/**
 * One volume, [Z, Y, X]; axes of length 1 after the third in NIfTI's order are dropped.
 *
 * @throws {InputError} when it cannot be read or has another shape than `shape`
 */
export async function readVolume(path: string, shape?: readonly number[]): Promise<HostTensor> {
  const volume = await readNifti(await readBytes(path), { source: path });
  const own = [...volume.shape];
  while (own.length > 3 && own[0] === 1) own.shift();
  if (own.length !== 3 || (shape && own.join() !== shape.join())) {
    throw new InputError(
      `Cannot use ${quote(path)}: its volume must be [${shape ?? "Z,Y,X"}], got [${volume.shape}]`,
    );
  }
  return { ...volume, shape: own };
}
