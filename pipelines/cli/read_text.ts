import { fileError } from "../io/files.ts";

/**
 * A text file whole.
 *
 * @throws {InputError} when it cannot be read
 */
export function readText(path: string): string {
  try {
    return Deno.readTextFileSync(path);
  } catch (cause) {
    throw fileError("read", path, cause);
  }
}
