/**
 * A machine for the launcher's tests: a PATH of stand-ins, an empty cache, no network.
 *
 * @module
 */

/** The repository root. */
export const root = new URL("..", import.meta.url);
const decoder = new TextDecoder();

/** The utilities that the launcher may use; nothing else is on its PATH. */
const TOOLS =
  "basename cat chmod cksum dirname env find grep head id mkdir mktemp mv readlink rm sed " +
  "sh sleep sort tail tar touch tr uname xz";

/** What a start did. */
export interface Start {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** A machine made of one temporary folder. */
export class Machine implements Disposable {
  readonly folder = Deno.makeTempDirSync();
  readonly cache = `${this.folder}/cache`;
  readonly home = `${this.folder}/project`;

  constructor() {
    for (const name of ["bin", "project/engine", "project/pipelines", "here"]) {
      Deno.mkdirSync(`${this.folder}/${name}`, { recursive: true });
    }
    for (const name of ["gyrus", "deno.lock", "engine/dawn.lock"]) {
      Deno.copyFileSync(new URL(name, root), `${this.home}/${name}`);
    }
    for (const tool of TOOLS.split(" ")) {
      const path = ["/bin", "/usr/bin"].map((folder) => `${folder}/${tool}`).find(exists);
      if (path !== undefined) Deno.symlinkSync(path, `${this.folder}/bin/${tool}`);
    }
  }

  /** Puts a script on the machine's PATH, or anywhere below its folder. */
  script(name: string, body: string): this {
    const path = name.includes("/") ? `${this.folder}/${name}` : `${this.folder}/bin/${name}`;
    Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true });
    Deno.writeTextFileSync(path, `#!/bin/sh\n${body}\n`, { mode: 0o755 });
    return this;
  }

  /** Takes a utility away. */
  without(name: string): this {
    Deno.removeSync(`${this.folder}/bin/${name}`);
    return this;
  }

  /** A Deno that says its version, and else what it was asked. */
  deno(version = "2.9.6", name = "deno"): this {
    return this.script(name, fakeDeno(version));
  }

  /** Starts the launcher, or another copy of it. */
  start(args: string[], env: Record<string, string> = {}, command = `${this.home}/gyrus`): Start {
    const { code, stdout, stderr } = new Deno.Command(command, {
      args,
      cwd: `${this.folder}/here`,
      clearEnv: true,
      env: {
        PATH: `${this.folder}/bin`,
        GYRUS_CACHE: this.cache,
        VK_DRIVER_FILES: "/somewhere.json",
        ...env,
      },
    }).outputSync();
    return { code, out: decoder.decode(stdout), err: decoder.decode(stderr) };
  }

  [Symbol.dispose](): void {
    Deno.removeSync(this.folder, { recursive: true });
  }
}

/** A shell script that says its version, notes what it was asked to fetch, and prints what it was asked to run. */
export function fakeDeno(version: string): string {
  return `case $1 in
  --version) echo "deno ${version} (stable, release, x86_64-unknown-linux-gnu)" ;;
  install | cache) echo "$*" >>"$GYRUS_CACHE/asked" ;;
  *) echo "ran $0 with $*"; env | sort ;;
esac`;
}

/** An npm that lays out what `npm install deno` would, with \`script\` as the executable. */
export function fakeNpm(script: string): string {
  return `while [ $# -gt 0 ]; do [ "$1" = --prefix ] && prefix=$2; last=$1; shift; done
echo "$last" >>"$GYRUS_CACHE/npm-asked"
mkdir -p "$prefix/node_modules/@deno/some-platform"
cat >"$prefix/node_modules/@deno/some-platform/deno" <<'END'
#!/bin/sh
${script}
END`;
}

/** True where a path leads somewhere. */
export function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** True where a program is there and succeeds. */
export function canRun(command: string, args: string[]): boolean {
  try {
    return new Deno.Command(command, { args, stdout: "null", stderr: "null" }).outputSync().success;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
