/**
 * `gyrus bundle` with a stand-in for Deno: what is in the folder, and that its launcher starts from it alone. That the real one
 * runs in a clean root without a network is tried by hand before a release (README).
 *
 * @module
 */
import assert from "node:assert/strict";
import { writeBundle } from "../pipelines/cli/bundle.ts";
import { canRun, exists, fakeDeno, Machine, root } from "./machine.ts";
import { needs } from "./expectations.ts";

const hasTools = canRun("xz", ["--version"]) && canRun("tar", ["--version"]);

/** A package cache with a file for every package of `deno.lock`, and one that nobody asked for. */
function layPackages(denoDir: string): void {
  const lock = JSON.parse(Deno.readTextFileSync(new URL("deno.lock", root)));
  for (const specifier of [...Object.keys(lock.npm), "webgpu@0.6.2"]) {
    const at = specifier.lastIndexOf("@");
    const folder = `${denoDir}/npm/a.registry/${specifier.slice(0, at)}`;
    Deno.mkdirSync(`${folder}/${specifier.slice(at + 1)}`, { recursive: true });
    Deno.writeTextFileSync(`${folder}/${specifier.slice(at + 1)}/index.js`, specifier);
    Deno.writeTextFileSync(`${folder}/registry.json`, "{}");
  }
}

/** Writes a bundle onto the machine, whose PATH has no Deno. */
async function bundleOnto(machine: Machine): Promise<string> {
  const folder = `${machine.folder}/bundled`;
  Deno.mkdirSync(folder);
  layPackages(`${machine.folder}/deno_dir`);
  machine.script("elsewhere/deno", fakeDeno("2.9.6"));
  machine.script("elsewhere/libvulkan.so.1", "");
  machine.script("elsewhere/xz", 'echo used >>"$GYRUS_CACHE/bundled-xz"; exec /usr/bin/xz "$@"');
  const path = (name: string) => `${machine.folder}/elsewhere/${name}`;
  const made = await writeBundle(folder, {
    root: decodeURIComponent(root.pathname).replace(/\/$/, ""),
    deno: path("deno"),
    denoDir: `${machine.folder}/deno_dir`,
    loader: path("libvulkan.so.1"),
    xz: { program: path("xz"), library: path("libvulkan.so.1") },
  });
  assert.equal(made.bytes.total, made.bytes.offline + made.bytes.sources);
  return folder;
}

Deno.test(
  "a bundle holds what runs, and its launcher starts from it alone",
  needs("archiver", hasTools),
  async () => {
    using machine = new Machine();
    const folder = await bundleOnto(machine);
    for (
      const name of ["gyrus", "deno.lock", "engine/gpu.ts", "shaders/mod.ts", "pipelines/cli.ts"]
    ) {
      assert.ok(exists(`${folder}/${name}`), name);
    }
    assert.ok(!exists(`${folder}/stage`));
    const first = machine.start(["info"], {}, `${folder}/gyrus`);
    assert.equal(first.code, 0, first.err);
    assert.match(first.err, /^gyrus: unpacking the bundle into \S+ \(once\)\n$/);
    const id = Deno.readTextFileSync(`${folder}/bundle/id`).trim();
    const unpacked = `${machine.cache}/bundle-${id}`;
    assert.ok(first.out.includes(`ran ${unpacked}/deno with run`));
    assert.ok(first.out.includes(`\nDENO_DIR=${unpacked}/deno_dir\n`));
    assert.ok(exists(`${unpacked}/deno_dir/npm/a.registry/@webgpu/types/registry.json`));
    assert.ok(!exists(`${unpacked}/deno_dir/npm/a.registry/webgpu`), "Dawn stays behind");
    assert.ok(exists(`${unpacked}/lib/libvulkan.so.1`));
    assert.equal(machine.start(["info"], {}, `${folder}/gyrus`).err, "");
    assert.ok(!exists(`${machine.cache}/asked`), "nothing was fetched");
  },
);

Deno.test(
  "a bundle brings its own xz, and says what is wrong with a copy that is not whole",
  needs("archiver", hasTools && exists("/usr/bin/xz")),
  async () => {
    using machine = new Machine();
    const folder = await bundleOnto(machine.without("xz"));
    Deno.removeSync(`${folder}/bundle/liblzma.so.5`); // a stand-in that the loader would choke on
    const archive = Deno.readFileSync(`${folder}/bundle/offline.tar.xz`);
    Deno.writeFileSync(`${folder}/bundle/offline.tar.xz`, archive.subarray(0, archive.length / 2));
    const broken = machine.start(["info"], {}, `${folder}/gyrus`);
    assert.equal(broken.code, 2);
    assert.match(broken.err, /gyrus: Cannot unpack \S+: the copy is not whole, [^\n]*\n$/);
    Deno.writeFileSync(`${folder}/bundle/offline.tar.xz`, archive);
    const whole = machine.start(["info"], {}, `${folder}/gyrus`);
    assert.equal(whole.code, 0, whole.err);
    assert.ok(exists(`${machine.cache}/bundled-xz`));
    const left = [...Deno.readDirSync(machine.cache)].filter(({ name }) =>
      name.startsWith("fetch.")
    );
    assert.deepEqual(left, []);
  },
);

Deno.test("writeBundle() says which package the cache lacks", async () => {
  using machine = new Machine();
  const denoDir = `${machine.folder}/deno_dir`;
  layPackages(denoDir);
  Deno.removeSync(`${denoDir}/npm/a.registry/pngjs`, { recursive: true });
  Deno.mkdirSync(`${machine.folder}/bundled`);
  machine.deno();
  await assert.rejects(
    writeBundle(`${machine.folder}/bundled`, {
      root: decodeURIComponent(root.pathname),
      deno: `${machine.folder}/bin/deno`,
      denoDir,
    }),
    /Cannot bundle: pngjs@\S+ is not in the package cache/,
  );
});
