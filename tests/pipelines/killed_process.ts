/**
 * The command line in processes of their own, to be killed.
 */
import assert from "node:assert/strict";

const cli = decodeURIComponent(new URL("../../pipelines/cli.ts", import.meta.url).pathname);

/**
 * Starts `gyrus` with these arguments.
 *
 * @param wrapper a shell script that ends with executing its arguments, `"$0" "$@"`
 */
export function start(args: readonly string[], wrapper?: string): Deno.ChildProcess {
  const deno = [Deno.execPath(), "run", "-A", "--quiet", "--no-check", cli, ...args];
  const [command, ...rest] = wrapper === undefined ? deno : ["sh", "-c", wrapper, ...deno];
  return new Deno.Command(command, {
    args: rest,
    ...{ stdin: "null", stdout: "piped", stderr: "piped" },
  }).spawn();
}

/** Waits for a child that must succeed. */
export async function finish(child: Deno.ChildProcess): Promise<void> {
  const { code, stderr } = await child.output();
  assert.equal(code, 0, new TextDecoder().decode(stderr));
}

/** Bytes of a file, 0 where there is none. */
export function sizeOf(path: string): number {
  try {
    return Deno.statSync(path).size;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return 0;
    throw error;
  }
}

/**
 * Kills a child as soon as its checkpoint has some bytes.
 *
 * @returns false where it was faster
 */
export async function killAt(
  child: Deno.ChildProcess,
  path: string,
  size: number,
): Promise<boolean> {
  const ended = child.output();
  let isOver = false;
  ended.then(() => isOver = true);
  while (!isOver && sizeOf(path) < size) await new Promise((wait) => setTimeout(wait, 1));
  if (!isOver) child.kill("SIGKILL");
  return (await ended).signal === "SIGKILL";
}
