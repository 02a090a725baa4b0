/**
 * Finds SwiftShader, the software driver that every Chromium carries, and tries any driver that is named. It differs from Mesa's
 * where GPUs differ too: subgroups of four, no f16, ten storage buffers, no denormals.
 *
 * @module
 */
import { lastLine, runDeno } from "./tally.ts";

/** The environment that chooses a driver, or why it cannot be used. */
export type Driver =
  | { readonly env: Readonly<Record<string, string>>; readonly adapter: string }
  | { readonly skipped: string };

const MANIFEST = "vk_swiftshader_icd.json";

/** Folders where browsers are installed: by distributions, and by their makers. */
const FOLDERS = [
  ...["chromium", "chromium-browser"].flatMap((name) => [`/usr/lib/${name}`, `/usr/lib64/${name}`]),
  ...["google/chrome", "chromium.org/chromium", "microsoft/msedge", "brave.com/brave"].map(
    (name) => ["/opt", name].join("/"),
  ),
];

/** Looks for SwiftShader beside the browsers of this machine, and opens it. */
export async function findSwiftShader(): Promise<Driver> {
  for (const folder of FOLDERS) {
    const manifest = `${folder}/${MANIFEST}`;
    if (await isFile(manifest)) return await tryDriver(manifest);
  }
  return { skipped: `no browser here has a ${MANIFEST} (Debian: apt-get install -y chromium)` };
}

/**
 * Opens a Vulkan driver in a process of its own.
 *
 * @param manifest path of the driver's ICD file
 */
export async function tryDriver(manifest: string): Promise<Driver> {
  if (!await isFile(manifest)) return { skipped: `there is no driver file ${manifest}` };
  const env = { VK_DRIVER_FILES: await Deno.realPath(manifest), DENO_WEBGPU_BACKEND: "vulkan" };
  const { code, output } = await runDeno([
    "run",
    "--quiet",
    "--cached-only",
    "--no-check",
    "--allow-env",
    "tests/runner/probe.ts",
  ], { env, timeoutSeconds: 120 });
  const adapter = /^adapter: (.*)$/m.exec(output)?.[1];
  if (code === 0 && adapter !== undefined) return { env, adapter };
  return { skipped: `${manifest} opens no adapter (${lastLine(output)})` };
}

async function isFile(path: string): Promise<boolean> {
  return await Deno.stat(path).then((info) => info.isFile, (error) => {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    return false;
  });
}
