import assert from "node:assert/strict";
import { InputError } from "../../pipelines/errors.ts";

/** A folder for one test, removed with everything in it at the end of a `using` scope. */
export class TestFolder {
  /** Absolute path. */
  readonly path = Deno.makeTempDirSync({ prefix: "gyrus-test-" });

  /** Path of a name in the folder. */
  at(name: string): string {
    return `${this.path}/${name}`;
  }

  /** Writes a file and gives its path. */
  write(name: string, data: Uint8Array | string): string {
    const path = this.at(name);
    Deno.writeFileSync(path, typeof data === "string" ? new TextEncoder().encode(data) : data);
    return path;
  }

  /** Names in the folder, sorted. */
  list(): string[] {
    return [...Deno.readDirSync(this.path)].map((entry) => entry.name).sort();
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.path, { recursive: true });
  }
}

/** Asserts that `body` throws an `InputError` of one line that matches `message`. */
export function assertInputError(body: () => unknown, message: RegExp): void {
  assert.throws(body, (error: unknown) => {
    assert.ok(error instanceof InputError, `expected an InputError, got ${error}`);
    assert.match(error.message, message);
    assert.ok(!error.message.includes("\n") && error.message.length < 700, error.message);
    return true;
  });
}
