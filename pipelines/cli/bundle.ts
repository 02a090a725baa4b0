/**
 * `gyrus bundle`: one folder with everything that a machine without internet needs, to be copied there and started with its own
 * `./gyrus`: the sources, Deno, the npm packages and the Vulkan loader.
 *
 * @module
 */
import type { Command } from "commander";
import { InputError } from "../errors.ts";
import type { GlobalOptions } from "./options.ts";
import { beginOutput } from "./output.ts";
import { formatSeconds, Progress } from "./progress.ts";

/** What goes into a bundle. */
export interface BundleOptions {
  /** Folder of the sources: the repository root. */
  readonly root: string;
  /** A Deno executable for the target machine. */
  readonly deno: string;
  /** Deno's cache folder, with every package that `deno.lock` names. */
  readonly denoDir: string;
  /** The Vulkan loader, `libvulkan.so.1`, where one is to go along. */
  readonly loader?: string;
  /** The `xz` executable and the library that it needs, for machines without them. */
  readonly xz?: { readonly program: string; readonly library: string };
}

/** What was made. */
export interface Bundle {
  /** Sizes of the parts and of the whole, in bytes. */
  readonly bytes: { readonly offline: number; readonly sources: number; readonly total: number };
  /** Names the content: the first digits of its SHA-256. */
  readonly id: string;
}

/** Everything that runs, and the tests, which are worth running on a new GPU. */
const SOURCES = [
  "gyrus",
  "deno.json",
  "deno.lock",
  "mod.ts",
  "LICENSE",
  "README.md",
  "engine",
  "shaders",
  "pipelines",
  "bench",
  "tests",
  ".ci",
];

const README =
  `This folder was written by \`gyrus bundle\`. Copy all of it to a machine without internet and start ./gyrus there.

offline.tar.xz  Deno (MIT), the npm packages of deno.lock (their licences beside them) and the Vulkan loader (Apache-2.0);
                unpacked once into ~/.cache/gyrus, or where GYRUS_CACHE says
xz, liblzma.*   for machines that have no xz (public domain)
id              names the content
`;

/** Adds the command. */
export function register(program: Command): void {
  program.command("bundle")
    .description(
      "write one folder for a GPU machine without internet: sources, Deno, packages, Vulkan loader",
    )
    .option("--deno <path>", "a Deno executable for the other machine; this one's when absent")
    .addHelpText(
      "after",
      "\nExample:\n  gyrus bundle --out gyrus-bundle && scp -r gyrus-bundle node:\n",
    )
    .action(async (_, command: Command) => await bundle(command.optsWithGlobals()));
}

async function bundle(options: GlobalOptions & { readonly deno?: string }): Promise<void> {
  const denoDir = Deno.env.get("DENO_DIR");
  if (denoDir === undefined) {
    throw new InputError("Cannot bundle: DENO_DIR is not set; use ./gyrus.");
  }
  const root = decodeURIComponent(new URL("../../", import.meta.url).pathname);
  const output = beginOutput(options.out, { kind: "folder" });
  const progress = new Progress({ silent: options.json });
  progress.log("packing Deno with xz: one to two minutes");
  const start = performance.now();
  const made = await writeBundle(output.partial, {
    root,
    deno: options.deno ?? Deno.execPath(),
    denoDir,
    loader: findLoader(),
    xz: await findXz(),
  });
  output.commit();
  if (options.json) return console.log(JSON.stringify({ out: options.out, ...made }));
  const time = formatSeconds((performance.now() - start) / 1000);
  console.log(`${options.out}: ${megabytes(made.bytes.total)} in ${time}`);
  console.log("Copy the whole folder; on the other machine: ./gyrus info");
}

/**
 * Writes a bundle.
 *
 * @param folder an existing empty folder
 * @throws InputError where a part is missing or a program fails
 */
export async function writeBundle(folder: string, options: BundleOptions): Promise<Bundle> {
  const stage = `${folder}/stage`;
  const target = `${folder}/bundle`;
  Deno.mkdirSync(stage);
  Deno.mkdirSync(target);
  Deno.copyFileSync(options.deno, `${stage}/deno`);
  Deno.chmodSync(`${stage}/deno`, 0o755);
  copyPackages(options, `${stage}/deno_dir`);
  if (options.loader !== undefined) {
    Deno.mkdirSync(`${stage}/lib`);
    Deno.copyFileSync(options.loader, `${stage}/lib/libvulkan.so.1`);
  }
  const archive = `${target}/offline.tar`;
  await run("tar", ["-cf", archive, "-C", stage, "."]);
  await run("xz", ["-6", "-T0", archive]);
  Deno.removeSync(stage, { recursive: true });
  if (options.xz !== undefined) {
    Deno.copyFileSync(options.xz.program, `${target}/xz`);
    Deno.copyFileSync(options.xz.library, `${target}/liblzma.so.5`);
  }
  const packed = Deno.readFileSync(`${archive}.xz`);
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", packed));
  const id = [...digest.subarray(0, 8)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  Deno.writeTextFileSync(`${target}/id`, `${id}\n`);
  Deno.writeTextFileSync(`${target}/README`, README);
  const offline = sizeOf(target);
  for (const name of SOURCES) copy(`${options.root}/${name}`, `${folder}/${name}`);
  // Also the sign that a later bundle may replace this folder.
  Deno.writeTextFileSync(`${folder}/run.json`, `{ "command": "bundle", "id": "${id}" }\n`);
  const total = sizeOf(folder);
  return { id, bytes: { offline, sources: total - offline, total } };
}

/** Copies the packages that `deno.lock` names, and nothing else of the cache. */
function copyPackages({ root, denoDir }: BundleOptions, target: string): void {
  const lock = JSON.parse(Deno.readTextFileSync(`${root}/deno.lock`));
  const registries = [...Deno.readDirSync(`${denoDir}/npm`)].filter((entry) => entry.isDirectory);
  for (const specifier of Object.keys(lock.npm ?? {})) {
    const [, name, version] = /^(@?[^@]+)@([^_]+)/.exec(specifier) ?? [];
    const found = registries.find((entry) =>
      isThere(`${denoDir}/npm/${entry.name}/${name}/${version}`)
    );
    if (found === undefined) {
      throw new InputError(`Cannot bundle: ${specifier} is not in the package cache ${denoDir}.`);
    }
    for (const part of [version, "registry.json"]) {
      copy(
        `${denoDir}/npm/${found.name}/${name}/${part}`,
        `${target}/npm/${found.name}/${name}/${part}`,
      );
    }
  }
}

/** The Vulkan loader of this machine: on Debian-like systems it needs only the C library. */
function findLoader(): string | undefined {
  const arch = Deno.build.arch;
  const folders = [`/usr/lib/${arch}-linux-gnu`, "/usr/lib64", "/usr/lib", "/lib64"];
  return folders.map((folder) => `${folder}/libvulkan.so.1`).find(isThere);
}

/** This machine's xz and its library. */
async function findXz(): Promise<BundleOptions["xz"]> {
  if (Deno.build.os !== "linux") return undefined;
  const program = ["/usr/bin/xz", "/bin/xz"].find(isThere);
  if (program === undefined) return undefined;
  const linked = await run("ldd", [program]);
  const library = /liblzma\.so\.5 => (\S+)/.exec(linked)?.[1];
  return library === undefined ? undefined : { program, library };
}

/** Runs a program and returns what it printed. */
async function run(program: string, args: string[]): Promise<string> {
  try {
    const { success, stdout, stderr } = await new Deno.Command(program, { args }).output();
    if (success) return new TextDecoder().decode(stdout);
    throw new InputError(`Cannot bundle: ${program} failed: ${new TextDecoder().decode(stderr)}`);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    throw new InputError(`Cannot bundle: the program ${program} is needed and PATH has none.`);
  }
}

/** Copies a file or a folder, keeping what is executable; what is not there is left out. */
function copy(from: string, to: string): void {
  if (!isThere(from)) return;
  Deno.mkdirSync(to.slice(0, to.lastIndexOf("/")), { recursive: true });
  if (!Deno.statSync(from).isDirectory) return Deno.copyFileSync(from, to);
  for (const { name } of Deno.readDirSync(from)) copy(`${from}/${name}`, `${to}/${name}`);
}

function sizeOf(path: string): number {
  const info = Deno.statSync(path);
  if (!info.isDirectory) return info.size;
  return [...Deno.readDirSync(path)].reduce((sum, { name }) => sum + sizeOf(`${path}/${name}`), 0);
}

function isThere(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
