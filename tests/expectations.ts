/**
 * Why a test does not run everywhere: every reason once, with the adapter or the machine that it is about. No test may be ignored
 * in another way.
 *
 * @module
 */

/** What a test may need that is not everywhere. */
export const reasons = {
  f16: "the adapter has no shader-f16: SwiftShader, and GPUs without it",
  f64: "the adapter has no shader-f64: Dawn, SwiftShader, and GPUs without it",
  golden:
    "GYRUS_GOLDEN names no folder with the whole reference outputs, 90 MB that are not kept here",
  mountNamespace: "drivers are hidden in a mount namespace of Linux, which this user may not make",
  debian: "this is no Debian-like system, or its drivers cannot be hidden",
  shellcheck: "shellcheck is not installed",
  archiver: "tar or xz is not installed, or xz is not where the stand-in looks for it",
  posixSignals: "Windows has no SIGINT and SIGTERM to send",
  fullDisk: "a disk cannot be filled here: that takes Linux, and for a small file system root",
  subprocess: "Deno may not be run from here",
  chromium: "chromium is not installed",
} as const;

/** Options of a test that needs something: it is ignored, and the reason printed, where that is missing. */
export function needs(what: keyof typeof reasons, isThere: boolean): { readonly ignore: boolean } {
  if (!isThere) console.log(`ignored: ${reasons[what]}`);
  return { ignore: !isThere };
}
