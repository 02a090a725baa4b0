/**
 * Finds out whether Dawn can be tried here, and with which driver. Dawn wants Mesa 24 or newer where
 * it runs in software; Debian 12 has 22.3, so there the newer driver of Debian's own backports is
 * unpacked into the cache folder and used for this leg alone. The system's driver is not touched.
 *
 * @module
 */
import { lastLine, runDeno } from "./tally.ts";

/** An environment in which Dawn opens an adapter, or why there is none. */
export type Dawn =
  | { readonly env: Readonly<Record<string, string>>; readonly adapter: string }
  | { readonly skipped: string };

const LOCK = "engine/dawn.lock";
const PACKAGE = "mesa-vulkan-drivers";

/** Looks for a driver that Dawn accepts: the system's, or else Debian's backport. */
export async function findDawn(): Promise<Dawn> {
  const specifier = /"(npm:webgpu@[^"]+)"/.exec(await Deno.readTextFile(LOCK))?.[1] ?? "";
  console.log("\nDawn: fetching the package webgpu (132 MB) where the cache has it not");
  const cached = await runDeno(["cache", "--quiet", "--frozen", `--lock=${LOCK}`, specifier]);
  if (cached.code !== 0) {
    return { skipped: `cannot fetch ${specifier}: ${lastLine(cached.output)}` };
  }
  const system = await probe({});
  if ("env" in system || Deno.build.os !== "linux") return system;
  const driver = await fetchBackport();
  if ("skipped" in driver) return { skipped: `${system.skipped}; ${driver.skipped}` };
  return await probe({ VK_DRIVER_FILES: driver.manifest });
}

/** Opens Dawn in a process of its own: a driver that it refuses may end the process. */
async function probe(env: Readonly<Record<string, string>>): Promise<Dawn> {
  const { code, output } = await runDeno([
    "run",
    "--quiet",
    "--cached-only",
    "--frozen",
    `--lock=${LOCK}`,
    "--no-check",
    "--allow-read",
    "--allow-env",
    "--allow-ffi",
    "tests/runner/probe.ts",
    "dawn",
  ], { env, timeoutSeconds: 120 });
  const adapter = /^adapter: (.*)$/m.exec(output)?.[1];
  if (code === 0 && adapter !== undefined) return { env, adapter };
  return { skipped: `Dawn opens no adapter (${lastLine(output)})` };
}

type Driver = { readonly manifest: string } | { readonly skipped: string };

/** Unpacks the backported driver, once. */
async function fetchBackport(): Promise<Driver> {
  const cache = Deno.env.get("GYRUS_CACHE");
  if (cache === undefined) return { skipped: "GYRUS_CACHE names no folder for a newer driver" };
  const folder = `${cache}/dawn-driver`;
  const manifest = `${folder}/lvp.json`;
  if (await isFile(manifest)) return { manifest };
  const release = await readIfThere("/etc/os-release");
  if (!/^VERSION_CODENAME=bookworm$/m.test(release)) {
    return { skipped: "a newer Mesa is fetched on Debian 12 only; install Mesa 24 or newer" };
  }
  const archive = findArchive(await readSources(), "bookworm");
  if (archive === undefined) return { skipped: "apt's sources name no Debian archive" };
  const work = await Deno.makeTempDir({ dir: cache, prefix: "fetch." });
  try {
    const reason = await unpackBackport(work, archive, folder);
    if (reason !== undefined) return { skipped: reason };
    await Deno.remove(folder, { recursive: true }).catch(ignoreMissing);
    await Deno.rename(`${work}/driver`, folder);
    return { manifest };
  } finally {
    await Deno.remove(work, { recursive: true });
  }
}

/** Returns why it failed, or undefined. `folder` is where the driver will be. */
async function unpackBackport(
  work: string,
  archive: string,
  folder: string,
): Promise<string | undefined> {
  for (const name of ["state/lists/partial", "cache/archives/partial", "driver"]) {
    await Deno.mkdir(`${work}/${name}`, { recursive: true });
  }
  await Deno.writeTextFile(`${work}/sources.list`, `deb ${archive} bookworm-backports main\n`);
  // Lists and packages go to a folder of our own, so neither root nor a change of the system is needed.
  const options = [
    `Dir::State=${work}/state`,
    `Dir::Cache=${work}/cache`,
    `Dir::Etc::SourceList=${work}/sources.list`,
    "Dir::Etc::SourceParts=/dev/null",
    "APT::Sandbox::User=root",
    "Debug::NoLocking=1",
  ].flatMap((option) => ["-o", option]);
  for (const verb of [["update"], ["download", PACKAGE]]) {
    const failure = await run("apt-get", [...options, ...verb], work);
    if (failure !== undefined) return failure;
  }
  const names = [...Deno.readDirSync(work)].map(({ name }) => name);
  const deb = names.find((name) => name.endsWith(".deb")) ?? "";
  const failure = await run("dpkg-deb", ["-x", deb, "driver"], work);
  if (failure !== undefined) return failure;
  const libraries = [...Deno.readDirSync(`${work}/driver/usr/lib`)].map(({ name }) => name);
  const library = `usr/lib/${libraries[0]}/libvulkan_lvp.so`;
  const missing = await missingLibraries(`${work}/driver/${library}`);
  if (missing !== "") return `the newer driver needs ${missing}`;
  const icd = { api_version: "1.4.0", library_path: `${folder}/${library}` };
  const manifest = JSON.stringify({ file_format_version: "1.0.0", ICD: icd });
  await Deno.writeTextFile(`${work}/driver/lvp.json`, manifest);
  return undefined;
}

async function missingLibraries(library: string): Promise<string> {
  const { stdout } = await new Deno.Command("ldd", { args: [library] }).output();
  const lines = new TextDecoder().decode(stdout).split("\n");
  return lines.filter((line) => line.includes("not found")).map((line) => line.trim().split(" ")[0])
    .join(", ");
}

/** Runs a command; returns what went wrong, or undefined. */
async function run(command: string, args: string[], cwd: string): Promise<string | undefined> {
  try {
    const { success, stderr } = await new Deno.Command(command, { args, cwd }).output();
    return success ? undefined : `${command}: ${lastLine(new TextDecoder().decode(stderr))}`;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return `${command} is not installed`;
    throw error;
  }
}

/** The contents of apt's source files, both styles. */
async function readSources(): Promise<string[]> {
  const paths = ["/etc/apt/sources.list"];
  try {
    for await (const { name } of Deno.readDir("/etc/apt/sources.list.d")) {
      if (/\.(list|sources)$/.test(name)) paths.push(`/etc/apt/sources.list.d/${name}`);
    }
  } catch (error) {
    ignoreMissing(error);
  }
  return await Promise.all(paths.map(readIfThere));
}

/**
 * The archive that this machine takes `codename` from.
 *
 * @param sources contents of `*.list` (one line each) and `*.sources` (stanzas) files
 * @returns `[signed-by=…] URI`, as a line of sources.list writes it
 */
export function findArchive(sources: readonly string[], codename: string): string | undefined {
  for (const text of sources) {
    const line = new RegExp(`^deb (\\[[^\\]]*\\] )?(\\S+) ${codename} `, "m").exec(text);
    if (line !== null) return `${line[1] ?? ""}${line[2]}`;
    for (const stanza of text.split(/\n\s*\n/)) {
      const field = (name: string) => new RegExp(`^${name}: *(.*)$`, "m").exec(stanza)?.[1];
      const uri = field("URIs")?.split(" ")[0];
      if (uri === undefined || !field("Suites")?.split(" ").includes(codename)) continue;
      const key = field("Signed-By");
      return key?.startsWith("/") ? `[signed-by=${key}] ${uri}` : uri;
    }
  }
  return undefined;
}

async function readIfThere(path: string): Promise<string> {
  return await Deno.readTextFile(path).catch((error) => {
    ignoreMissing(error);
    return "";
  });
}

async function isFile(path: string): Promise<boolean> {
  return await Deno.stat(path).then((info) => info.isFile, (error) => {
    ignoreMissing(error);
    return false;
  });
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof Deno.errors.NotFound)) throw error;
}
