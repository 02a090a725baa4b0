/**
 * The plan of the house as tests: who may import whom, what a layer may touch, how large things
 * may grow, and the traps of the platform. `./gyrus check` prints the table of sizes.
 *
 * @module
 */
import assert from "node:assert/strict";
import { countCode, countLines, readSources, type SourceFile } from "./architecture/files.ts";
import { judgeArrow, layerOf, readArrows } from "./architecture/layers.ts";
import { lintText, packageNames, readDependencyTable } from "./architecture/text.ts";
import { type Finding, lintTypeScript, measure, onlyReExports } from "./architecture/typescript.ts";
import { lintWgsl } from "./architecture/wgsl.ts";

/** Lines of code, without comments and blank lines, that the machine may have: it is read in an afternoon. */
const MAX_ENGINE_CORE = 1800;
const MAX_ENGINE_OPS = 5300;

const root = new URL("..", import.meta.url);
const files = readSources(root);
const typescript = files.filter(({ path }) => path.endsWith(".ts"));
const shaders = files.filter(({ path }) => path.endsWith(".wgsl"));

function textOf(path: string): string {
  const file = files.find((candidate) => candidate.path === path);
  assert.ok(file, `${path} is missing`);
  return file.text;
}

/** Fails with one line per finding, in the form that editors make clickable. */
function assertNone(findings: readonly (Finding | string)[]): void {
  const lines = findings.map((finding) =>
    typeof finding === "string" ? finding : `${finding.path}:${finding.line} ${finding.message}`
  );
  assert.equal(lines.length, 0, `\n${lines.join("\n")}`);
}

Deno.test("imports go from the command line down to the shaders, never up", async () => {
  const arrows = await readArrows(root, typescript.map(({ path }) => path));
  assert.ok(arrows.length > 20, "Deno resolved the imports");
  assertNone(arrows.map(judgeArrow).filter((sentence) => sentence !== undefined));
});

Deno.test("mod.ts only re-exports", () => {
  assert.ok(onlyReExports("mod.ts", textOf("mod.ts")));
});

Deno.test("TypeScript keeps to its layer, its size and the type checker", () => {
  assertNone(typescript.flatMap(({ path, text }) => lintTypeScript(path, text)));
});

Deno.test("WGSL keeps to the dialect", () => {
  assertNone(shaders.flatMap(({ path, text }) => lintWgsl(path, text)));
});

Deno.test("no file speaks of one machine or of work not done", () => {
  assertNone(files.flatMap(lintText));
});

Deno.test("source files have snake_case names", () => {
  const named = [...typescript, ...shaders].map(({ path }) => path);
  assertNone(named.filter((path) => !/^([a-z0-9_]+\/)*_?[a-z0-9_]+\.(ts|wgsl)$/.test(path)));
});

Deno.test("the engine is readable in an afternoon", () => {
  const { core, ops } = engineLines(typescript);
  assert.ok(
    core <= MAX_ENGINE_CORE,
    `engine/*.ts has ${core} lines of code, at most ${MAX_ENGINE_CORE}`,
  );
  assert.ok(
    ops <= MAX_ENGINE_OPS,
    `engine/ops has ${ops} lines of code, at most ${MAX_ENGINE_OPS}`,
  );
  console.log(sizeTable(typescript, shaders));
});

/** Packages that a lock has beyond deno.lock, which it holds too. */
function addedTo(path: string): string[] {
  const base = JSON.parse(textOf("deno.lock")), wide = JSON.parse(textOf(path));
  for (const part of ["specifiers", "npm"]) {
    for (const [name, value] of Object.entries(base[part])) {
      assert.deepEqual(wide[part][name], value, `${name} differs: make ${path} again`);
    }
  }
  return Object.keys(wide.specifiers).filter((name) => !(name in base.specifiers));
}

Deno.test("engine/dawn.lock is deno.lock and what Dawn adds", () => {
  const added = addedTo("engine/dawn.lock");
  assert.deepEqual(packageNames(added), ["webgpu"]);
  const version = /DAWN_VERSION = "([\d.]+)"/.exec(textOf("engine/dawn.ts"))?.[1];
  assert.deepEqual(added, [`npm:webgpu@${version}`], "the engine asks for the locked version");
});

Deno.test("bench/peers/peers.lock is deno.lock and the libraries of the benchmark", () => {
  const [tfjs, jax, onnx] = ["tfjs", "jax_js", "onnx_web"].map((file) =>
    /VERSION = "([\d.]+)"/.exec(textOf(`bench/peers/${file}.ts`))?.[1]
  );
  assert.deepEqual(addedTo("bench/peers/peers.lock").sort(), [
    `npm:@jax-js/jax@${jax}`,
    `npm:@tensorflow/tfjs-backend-webgpu@${tfjs}`,
    `npm:@tensorflow/tfjs-core@${tfjs}`,
    `npm:onnxruntime-web@${onnx}`,
  ]);
});

Deno.test("the README's dependency table names the packages of deno.json", () => {
  const imports = Object.values(JSON.parse(textOf("deno.json")).imports as Record<string, string>);
  const { used, unused } = readDependencyTable(textOf("README.md"));
  const fetched = [...addedTo("engine/dawn.lock"), ...addedTo("bench/peers/peers.lock")];
  assert.deepEqual(used.sort(), packageNames([...imports, ...fetched]));
  for (const name of unused) assert.ok(!used.includes(name), `${name} is both used and not used`);
});

/** Lines of code in engine/*.ts and in engine/ops: doc comments, which every export must have, are not counted against it. */
function engineLines(sources: readonly SourceFile[]): { core: number; ops: number } {
  let [core, ops] = [0, 0];
  for (const { path, text } of sources) {
    if (layerOf(path) !== "engine") continue;
    if (path.startsWith("engine/ops/")) ops += countCode(text);
    else core += countCode(text);
  }
  return { core, ops };
}

/** One row per folder: files, lines, the longest file, the longest function. */
function sizeTable(ts: readonly SourceFile[], wgsl: readonly SourceFile[]): string {
  const rows = new Map<string, Record<"files" | "lines" | "code" | "file" | "func", number>>();
  for (const { path, text } of [...ts, ...wgsl]) {
    const folder = path.includes("/") ? path.slice(0, path.lastIndexOf("/")) : ".";
    const key = path.endsWith(".wgsl") ? `${folder} (wgsl)` : folder;
    const row = rows.get(key) ?? { files: 0, lines: 0, code: 0, file: 0, func: 0 };
    const size = path.endsWith(".ts")
      ? measure(path, text)
      : { lines: countLines(text), longestFunction: 0 };
    rows.set(key, {
      files: row.files + 1,
      lines: row.lines + size.lines,
      code: row.code + countCode(text),
      file: Math.max(row.file, size.lines),
      func: Math.max(row.func, size.longestFunction),
    });
  }
  const line = (name: string, ...cells: (string | number)[]) =>
    name.padEnd(36) + cells.map((cell) => String(cell).padStart(9)).join("");
  const head = line("folder", "files", "lines", "code", "longest", "function");
  const body = [...rows].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, row]) =>
    line(key, row.files, row.lines, row.code, row.file, row.func || "")
  );
  return [head, ...body].join("\n");
}
