/**
 * `./gyrus` on machines that are not this one: a PATH of stand-ins for deno, npm and apt-get, an
 * empty cache, no network. What the stand-ins were asked is the result.
 *
 * @module
 */
import assert from "node:assert/strict";
import { canRun, exists, fakeDeno, fakeNpm, Machine, root, type Start } from "./machine.ts";
import { needs } from "./expectations.ts";

const decoder = new TextDecoder();

Deno.test("gyrus uses the Deno on PATH when it is new enough", () => {
  for (const version of ["2.9.0", "2.10.1", "3.0.0"]) {
    using machine = new Machine().deno(version);
    const { code, out } = machine.start(["info"]);
    assert.equal(code, 0);
    assert.match(out, /^ran \S*\/bin\/deno with run .*\/project\/pipelines\/cli\.ts info$/m);
  }
});

Deno.test("gyrus fetches Deno with npm once when PATH has none or an old one", () => {
  for (const old of [undefined, "2.8.9", "1.46.0"]) {
    using machine = new Machine().script("npm", fakeNpm(fakeDeno("2.9.6")));
    if (old !== undefined) machine.deno(old);
    const first = machine.start(["info"]);
    assert.equal(first.code, 0, first.err);
    assert.match(first.err, /^gyrus: fetching Deno 2\.9\.6 with npm/m);
    assert.match(first.out, /^ran \S*\/cache\/deno-2\.9\.6\/deno with run/m);
    const second = machine.start(["info"]);
    assert.equal(second.err, "");
    assert.equal(Deno.readTextFileSync(`${machine.cache}/npm-asked`), "deno@2.9.6\n");
    const left = [...Deno.readDirSync(machine.cache)].filter(({ name }) =>
      name.startsWith("fetch.")
    );
    assert.deepEqual(left, []);
  }
});

Deno.test("gyrus says in one sentence what is missing when there is neither Deno nor npm", () => {
  using machine = new Machine();
  const { code, out, err } = machine.start(["info"]);
  assert.equal(code, 2);
  assert.equal(out, "");
  assert.match(err, /^gyrus: Deno 2\.9 or newer is needed[^\n]*\n$/);
});

Deno.test("gyrus says so when npm fails, and when the fetched Deno does not run", () => {
  using offline = new Machine().script("npm", `echo "no route to host" >&2; exit 1`);
  const first = offline.start(["info"]);
  assert.equal(first.code, 2);
  assert.match(first.err, /no route to host\ngyrus: npm could not fetch Deno/);
  using musl = new Machine().script("npm", fakeNpm("exit 127"));
  const second = musl.start(["info"]);
  assert.equal(second.code, 2);
  assert.match(second.err, /gyrus: Deno 2\.9\.6 does not run on/);
  assert.ok(!exists(`${musl.cache}/deno-2.9.6/deno`), "nothing broken is kept");
});

Deno.test("gyrus survives a kill in the middle of the fetch and two starts at once", async () => {
  using machine = new Machine();
  machine.script("npm", `sleep 0.3\n${fakeNpm(fakeDeno("2.9.6"))}`);
  const env = { PATH: `${machine.folder}/bin`, GYRUS_CACHE: machine.cache, VK_DRIVER_FILES: "x" };
  const spawn = () =>
    new Deno.Command(`${machine.home}/gyrus`, {
      args: ["info"],
      clearEnv: true,
      env,
      stdout: "null",
      stderr: "null",
    }).spawn();
  const killed = spawn();
  await new Promise((resolve) => setTimeout(resolve, 100));
  killed.kill("SIGKILL");
  await killed.status;
  const codes = await Promise.all(
    [spawn(), spawn()].map(async (child) => (await child.status).code),
  );
  assert.deepEqual(codes, [0, 0]);
  assert.equal(machine.start(["info"]).err, "");
});

Deno.test("gyrus fetches the packages once, frozen, and then runs from the cache alone", () => {
  using machine = new Machine().deno();
  assert.match(machine.start(["info"]).err, /fetching the packages/);
  const { out, err } = machine.start(["info"]);
  assert.equal(err, "");
  assert.match(out, /--cached-only --frozen/);
  assert.equal(Deno.readTextFileSync(`${machine.cache}/asked`), "install --frozen\n");
});

Deno.test("gyrus grants no network, no FFI and no write without being asked", () => {
  using machine = new Machine().deno();
  const { out } = machine.start(["info"]);
  assert.match(out, /--no-prompt .*--allow-read --allow-env=GYRUS_\*,DENO_DIR,NO_COLOR/);
  assert.doesNotMatch(out, /--allow-(net|ffi|write|run|sys|all)|-A\b/);
  for (const args of [["features", "--backend", "dawn"], ["features", "--backend=dawn"]]) {
    const dawn = machine.start(args).out;
    assert.match(dawn, /--lock=\S*\/engine\/dawn\.lock .*--allow-ffi/);
    assert.doesNotMatch(dawn, /--allow-(net|write|run)/);
  }
  assert.match(
    Deno.readTextFileSync(`${machine.cache}/asked`),
    /^cache --frozen --lock=\S+ npm:webgpu@\d+\.\d+\.\d+$/m,
  );
});

Deno.test("gyrus allows writing to --out, its partial and its run record only", () => {
  using machine = new Machine().deno();
  const allowed = (...args: string[]) =>
    /--allow-write=(.*?) (?:--allow|\S*\/cli\.ts)/.exec(machine.start(args).out)?.[1];
  assert.equal(
    allowed("features", "--out", "a b/../F.h5"),
    // `a b` does not exist, and is the first folder to be made
    "a b",
  );
  assert.equal(
    allowed("x", "--out", "F.h5"),
    "F.h5,F.h5.partial,F.h5.run.json,F.h5.run.json.partial",
  );
  assert.equal(allowed("x", "--out=R/"), "R,R.partial,R.run.json,R.run.json.partial");
  assert.match(allowed("x", "--out", "a,b")!, /^a,,b,a,,b\.partial,/);
  assert.equal(allowed("x", "--out", "new/deep/F.h5"), "new");
  assert.match(allowed("x", "--out", "/F.h5")!, /^\/F\.h5,/);
  assert.equal(allowed("x"), undefined);
  assert.equal(allowed("x", "--profile", "P/"), "P,P.partial");
  assert.match(allowed("x", "--out", "F.h5", "--profile=p,q")!, /partial,p,,q,p,,q\.partial$/);
  assert.match(machine.start(["demo"]).out, /--allow-write=out .* demo --out out\/demo$/m);
  assert.match(machine.start(["demo", "--out", "D"]).out, /demo --out D$/m);
});

Deno.test("gyrus without arguments prints the usage, and works through symbolic links", () => {
  using machine = new Machine().deno();
  assert.match(machine.start([]).out, /cli\.ts --help$/m);
  Deno.symlinkSync("../project/gyrus", `${machine.folder}/here/link`);
  Deno.symlinkSync("link", `${machine.folder}/here/link2`);
  const { out } = machine.start(["info"], {}, `${machine.folder}/here/link2`);
  assert.match(out, /\/project\/pipelines\/cli\.ts info$/m);
});

Deno.test("gyrus sets what the drivers need and leaves what the user has set", () => {
  using machine = new Machine().deno();
  const { out } = machine.start(["info"]);
  assert.match(out, /^DENO_WEBGPU_BACKEND=vulkan,metal,dx12$/m);
  assert.match(out, /^MESA_SHADER_CACHE_DIR=\S*\/cache\/shaders$/m);
  assert.match(out, /^XDG_RUNTIME_DIR=\S*\/cache\/run$/m);
  const mine = { DENO_WEBGPU_BACKEND: "gl", MESA_SHADER_CACHE_DIR: "/m", XDG_RUNTIME_DIR: "/r" };
  const set = machine.start(["info"], mine).out;
  for (const [name, value] of Object.entries(mine)) {
    assert.ok(set.includes(`\n${name}=${value}\n`), `${name} is the user's`);
  }
});

Deno.test("gyrus says which folder it cannot write", () => {
  using machine = new Machine().deno();
  const { code, err } = machine.start(["info"], { GYRUS_CACHE: "/dev/null/cache" });
  assert.equal(code, 2);
  assert.match(
    err,
    /^gyrus: Cannot write the cache folder \/dev\/null\/cache: set GYRUS_CACHE[^\n]*\n$/,
  );
});

/** Hides the drivers of this machine in a mount namespace, where that is allowed. */
const HIDE =
  "for d in /usr/share/vulkan /etc/vulkan; do [ ! -d $d ] || mount -t tmpfs none $d; done";
const canHide = Deno.build.os === "linux" && canRun("unshare", ["-m", "sh", "-c", HIDE]);

function startWithoutDriver(machine: Machine, ...args: string[]): Start {
  const start = `${HIDE}\nPATH=${machine.folder}/bin exec ${machine.home}/gyrus "$@"`;
  const { code, stdout, stderr } = new Deno.Command("unshare", {
    args: ["-m", "sh", "-c", start, "sh", ...args],
    cwd: `${machine.folder}/here`,
    clearEnv: true,
    env: { PATH: "/usr/bin:/bin:/usr/sbin:/sbin", GYRUS_CACHE: machine.cache },
  }).outputSync();
  return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
}

Deno.test(
  "gyrus installs Mesa's driver as root on Debian and says so",
  needs("debian", canHide && exists("/etc/debian_version")),
  () => {
    using machine = new Machine().deno();
    machine.script("apt-get", `echo "$*" >>"$GYRUS_CACHE/apt-asked"`);
    const { code, out, err } = startWithoutDriver(machine, "features");
    assert.equal(code, 0, err);
    assert.match(err, /no Vulkan driver found: installing Mesa's software driver/);
    assert.match(out, /cli\.ts features/);
    assert.equal(
      Deno.readTextFileSync(`${machine.cache}/apt-asked`),
      "update\ninstall -y --no-install-recommends mesa-vulkan-drivers libvulkan1\n",
    );
    assert.doesNotMatch(startWithoutDriver(machine, "inspect", "F.h5").err, /Vulkan/);
    assert.doesNotMatch(startWithoutDriver(machine, "features", "--help").err, /Vulkan/);
  },
);

Deno.test(
  "gyrus prints the line to run where it may not install, and goes on",
  needs("mountNamespace", canHide),
  () => {
    const line = /gyrus: No Vulkan driver was found\..*sudo apt-get install -y mesa-vulkan-drivers/;
    using user = new Machine().deno().script("apt-get", "exit 1").script("uname", "echo Linux");
    Deno.removeSync(`${user.folder}/bin/id`);
    user.script("id", "echo 1000");
    const asUser = startWithoutDriver(user, "features");
    assert.equal(asUser.code, 0);
    assert.match(asUser.err, line);
    assert.doesNotMatch(asUser.err, /installing/);
    using offline = new Machine().deno().script("apt-get", "echo 'E: no route' >&2; exit 100");
    const failed = startWithoutDriver(offline, "features");
    assert.equal(failed.code, 0);
    assert.match(failed.err, /E: no route/);
    assert.match(failed.err, line);
  },
);

Deno.test(
  "the shell scripts pass shellcheck",
  needs("shellcheck", canRun("shellcheck", ["--version"])),
  () => {
    const { code, stdout } = new Deno.Command("shellcheck", {
      args: ["gyrus", ".ci/run"],
      cwd: root,
    }).outputSync();
    assert.equal(code, 0, decoder.decode(stdout));
  },
);
