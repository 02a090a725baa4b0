/**
 * The rules of the architecture test, each on a snippet that breaks it and on one that does not.
 *
 * @module
 */
import assert from "node:assert/strict";
import { countCode, countLines, lineAt } from "./architecture/files.ts";
import { judgeArrow, layerOf } from "./architecture/layers.ts";
import { lintText, packageNames, readDependencyTable } from "./architecture/text.ts";
import { lintTypeScript, measure, onlyReExports } from "./architecture/typescript.ts";
import { lintWgsl } from "./architecture/wgsl.ts";

/** Messages for a TypeScript file. */
function ts(path: string, text: string): string[] {
  return lintTypeScript(path, text).map(({ message }) => message);
}

/** Messages for statements in the `main` of an otherwise sound kernel. */
function wgsl(body: string, module = ""): string[] {
  return lintWgsl("shaders/x/k.wgsl", kernel(body, module)).map(({ message }) => message);
}

function kernel(body: string, module = ""): string {
  return `// y = x.   x, y: [n]
alias Elem = f32;
struct Params { n: u32, eps: f32, }
@group(0) @binding(0) var<storage, read> x: array<Elem>;
@group(0) @binding(1) var<storage, read_write> y: array<Elem>;
@group(0) @binding(2) var<uniform> params: Params;
const WG: u32 = 64;
${module}
@compute @workgroup_size(WG)
fn main(@builtin(global_invocation_id) gid: vec3<u32>) {
${body}
}
`;
}

function assertFlags(messages: readonly string[], pattern: RegExp): void {
  assert.equal(messages.length, 1, messages.join("\n"));
  assert.match(messages[0]!, pattern);
}

Deno.test("layerOf() tells the layers apart", () => {
  assert.deepEqual(
    ["shaders/mod.ts", "engine/ops/a.ts", "pipelines/io/npy.ts", "pipelines/vwam/config.ts"]
      .map(layerOf),
    ["shaders", "engine", "blocks", "recipe"],
  );
  assert.deepEqual(
    ["pipelines/cli.ts", "pipelines/cli/main.ts", "bench/a.ts", "tests/a.ts", "mod.ts"].map(
      layerOf,
    ),
    ["cli", "cli", "bench", "outside", "mod"],
  );
});

Deno.test("judgeArrow() lets imports go down and not up", () => {
  const sound: [string, string][] = [
    ["engine/run.ts", "shaders/kernel.ts"],
    ["pipelines/dense/a.ts", "engine/tensor.ts"],
    ["pipelines/vwam/pipeline.ts", "pipelines/dense/a.ts"],
    ["pipelines/vwam/pipeline.ts", "pipelines/vwam/config.ts"],
    ["pipelines/cli/cut.ts", "pipelines/aligned_cut/pipeline.ts"],
    ["mod.ts", "pipelines/brain_sail/pipeline.ts"],
    ["bench/a.ts", "pipelines/dense/a.ts"],
    ["pipelines/cli/bench.ts", "bench/a.ts"],
    ["tests/a_test.ts", "bench/a.ts"],
    ["engine/ops/linalg.ts", "npm:ml-matrix@6.15.1"],
    ["pipelines/io/png.ts", "npm:/pngjs@7.0.0"],
  ];
  for (const [from, to] of sound) assert.equal(judgeArrow({ from, to }), undefined);
  const broken: [string, string, RegExp][] = [
    ["shaders/kernel.ts", "engine/run.ts", /stands below engine/],
    ["engine/run.ts", "pipelines/errors.ts", /stands below blocks/],
    ["pipelines/dense/a.ts", "pipelines/vwam/config.ts", /stands below recipe/],
    ["pipelines/vwam/pipeline.ts", "pipelines/mig_vis/pipeline.ts", /no other recipe/],
    ["pipelines/vwam/pipeline.ts", "pipelines/cli/output.ts", /stands below cli/],
    ["pipelines/dense/a.ts", "mod.ts", /stands below mod/],
    ["pipelines/dense/a.ts", "bench/a.ts", /stands below bench/],
    ["bench/a.ts", "pipelines/cli/main.ts", /stands below cli/],
    ["bench/a.ts", "tests/a.ts", /imported by nothing/],
    ["shaders/kernel.ts", "npm:ml-matrix@6.15.1", /no package/],
    ["engine/gpu.ts", "npm:/pngjs@7.0.0", /engine may use/],
    ["engine/gpu.ts", "node:fs", /engine may use/],
  ];
  for (const [from, to, pattern] of broken) assert.match(judgeArrow({ from, to }) ?? "", pattern);
});

Deno.test("lintTypeScript() keeps the lower layers silent and without a world", () => {
  assertFlags(
    ts("engine/a.ts", "export const t = performance.now();"),
    /does not touch performance/,
  );
  assertFlags(ts("engine/a.ts", "setTimeout(f, 1);"), /does not touch setTimeout/);
  assert.deepEqual(ts("engine/dawn.ts", "setTimeout(f, 1);"), []);
  assertFlags(ts("engine/dawn.ts", "Date.now();"), /does not touch Date/);
  assertFlags(ts("shaders/a.ts", "console.log(1);"), /does not touch console/);
  assertFlags(ts("engine/a.ts", "await Deno.readFile('x');"), /does not touch Deno/);
  assertFlags(ts("pipelines/io/a.ts", "console.warn('x');"), /belongs to the command line/);
  assertFlags(ts("pipelines/io/a.ts", "f(Deno.args);"), /Deno\.args belongs/);
  assert.deepEqual(
    ts("engine/a.ts", "interface A { performance: number } f({ console: 1 }).Deno;"),
    [],
  );
  assert.deepEqual(ts("pipelines/io/a.ts", "await Deno.readFile('x');"), []);
  assert.deepEqual(ts("pipelines/cli/a.ts", "console.log(Deno.args);"), []);
});

Deno.test("lintTypeScript() flags what hides errors", () => {
  assertFlags(ts("engine/a.ts", "export const x: any = 1;"), /any/);
  assertFlags(ts("tests/a_test.ts", 'Deno.test("x", { ignore: true }, f);'), /expectations/);
  assertFlags(ts("tests/a_test.ts", 'Deno.test({ only: true, name: "x", fn });'), /expectations/);
  assertFlags(ts("engine/a.ts", "try { f(); } catch {}"), /empty catch/);
  assertFlags(ts("engine/a.ts", "try { f(); } catch (e) { /* hm */ }"), /empty catch/);
  assertFlags(ts("engine/a.ts", "f().catch(() => {});"), /empty catch/);
  assertFlags(ts("engine/a.ts", "// @ts" + "-ignore: no\nf();"), /hides errors/);
  assertFlags(ts("engine/a.ts", "// deno-lint" + "-ignore-file\nf();"), /hides errors/);
  assertFlags(ts("engine/a.ts", "await import('npm:webgpu@0.6.2');"), /use a variable/);
  assert.deepEqual(
    ts("engine/a.ts", "try { f(); } catch (e) { g(e); } f().catch((e) => g(e));"),
    [],
  );
  assert.deepEqual(ts("engine/a.ts", "const name = 'npm:webgpu@0.6.2'; await import(name);"), []);
});

Deno.test("lintTypeScript() and measure() count lines", () => {
  const long = `function f() {\n${"g();\n".repeat(59)}}\n`; // 61 lines
  assertFlags(ts("engine/a.ts", long), /function of 61 lines/);
  assert.deepEqual(ts("engine/a.ts", long.replace("g();\n", "")), []);
  assert.deepEqual(measure("a.ts", `class A {\n  m() {\n    g();\n  }\n}\n`), {
    lines: 5,
    longestFunction: 3,
  });
  assertFlags(ts("engine/a.ts", "f();\n".repeat(401)), /401 lines, at most 400/);
  assertFlags(ts("pipelines/vwam/pipeline.ts", "f();\n".repeat(301)), /at most 300/);
  assert.deepEqual([countLines(""), countLines("a"), countLines("a\nb\n")], [0, 1, 2]);
  assert.equal(countCode("/**\n * a\n */\nf(); // why\n\n// b\n/* c */\ng();\n"), 2);
  assert.equal(lineAt("a\nb\nc", 4), 3);
});

Deno.test("onlyReExports() refuses a module that does something", () => {
  assert.ok(
    onlyReExports("mod.ts", `export * from "./a.ts";\nexport { type A, b } from "./b.ts";`),
  );
  assert.ok(!onlyReExports("mod.ts", `export const a = 1;`));
  assert.ok(!onlyReExports("mod.ts", `import "./a.ts";\nexport * from "./a.ts";`));
});

Deno.test("lintWgsl() lets a sound kernel pass", () => {
  assert.deepEqual(
    wgsl(`  let i = gid.x;
  if (i >= params.n) { return; }
  var sum = 0.0;
  for (var k = 0u; k < 4u; k++) { var part: f32 = 0.0; part += f32(x[i]); sum += part; }
  let kept = opaque(sum + 1.0);
  y[i] = Elem(kept - sum + tanh(clamp(sum, -20.0, 20.0)));
  let mask = i & tile[0];
  atomicAdd(&hist[i], 1u);
  let n = arrayLength(&y);`),
    [],
  );
});

Deno.test("lintWgsl() flags every trap of the platform", () => {
  const cases: [string, RegExp][] = [
    ["f(&a[1]);", /pointer to a part/],
    ["let p = &s.member;", /pointer to a part/],
    ["for (;;) { var t: f32; t += 1.0; }", /no initialiser/],
    ["loop { if (true) { var t: array<f32, 4>; } break; }", /no initialiser/],
    ["let bad = v != v;", /NaN/],
    ["let bad = a[i].x != a[i].x;", /NaN/],
    ["let t = s + c; let e = (t - s) - c;", /opaque\(s \+ c\)/],
    ["let q = pow(a, 2.0);", /multiply/],
    ["let q = tanh(a);", /clamp/],
    ["let target = 1u;", /reserved word/],
    ["let h = f16(1.0);", /Elem/],
    ["if (subgroupElect()) { return; }", /not in Naga/],
    ["let z = bitcast<vec4<f16>>(u);", /silently wrong|Elem/],
  ];
  for (const [body, pattern] of cases) {
    const messages = wgsl(body);
    assert.ok(messages.some((message) => pattern.test(message)), `${body}: ${messages}`);
  }
  assert.deepEqual(wgsl("let ok = a != b; var t: f32; let s2 = s + c; let e = s2 - d;"), []);
  assert.deepEqual(wgsl("let ok = a[i] != a[i + 1u]; let b2 = a.x != a.xy.y;"), []);
});

Deno.test("lintWgsl() flags what the engine cannot read", () => {
  const modules: [string, RegExp][] = [
    ["enable f16;", /engine prepends/],
    ["override TILE: u32 = 4;", /use const/],
    ["const TILE = 4u;", /write const NAME/],
    ["const TILE: u32 =\n  4;", /write const NAME/],
    ["fn f(p: ptr<workgroup, f32>) {}", /not in Naga/],
    ["fn f(filter: f32) {}", /reserved word/],
    ["@group(1) @binding(3) var<storage, read> z: array<f32>;", /group 1|last/],
  ];
  for (const [module, pattern] of modules) {
    const messages = wgsl("", module);
    assert.ok(messages.some((message) => pattern.test(message)), `${module}: ${messages}`);
  }
  assert.deepEqual(
    wgsl("", "const TABLE = array<f32, 2>(1.0, 2.0);\nconst EPS: f32 = 1e-5; // why"),
    [],
  );
});

Deno.test("lintWgsl() judges bindings, parameters, sizes and the header", () => {
  const sound = kernel("");
  const change = (from: string | RegExp, to: string) =>
    lintWgsl("shaders/x/k.wgsl", sound.replace(from, to)).map(({ message }) => message);
  assertFlags(change("// y = x.   x, y: [n]", ""), /opens with no comment/);
  assertFlags(change("@binding(1)", "@binding(3)"), /has binding 3, not 1/);
  assertFlags(change("eps: f32", "eps: vec4<f32>"), /only u32, i32, f32/);
  assertFlags(change("> params:", "> args:"), /one uniform is/);
  assertFlags(change("fn main", "fn other"), /entry point/);
  assertFlags(change("alias Elem = f32;", ""), /without `alias/);
  assertFlags(wgsl("  y[0] = x[0];\n".repeat(31)), /62 storage accesses/);
  assertFlags(wgsl("\n".repeat(200)), /lines, at most 200/);
  const library = (text: string) => lintWgsl("shaders/_lib/s.wgsl", text).map((f) => f.message);
  assert.deepEqual(library("// adds\nfn add(a: f32) -> f32 { return a + a; }\n"), []);
  assertFlags(
    library("// adds\n@group(0) @binding(0) var<storage, read> x: array<f32>;\n"),
    /binds nothing/,
  );
});

Deno.test("lintText() flags machines, registries and promises", () => {
  const flag = (text: string) => lintText({ path: "a.md", text }).length;
  const broken = [
    "/ho" + "me/me/x",
    "see /wo" + "rk/x",
    "https://registry.np" + "mjs.org",
    "// TO" + "DO",
  ];
  for (const text of broken) assert.equal(flag(text), 1, text);
  for (const text of ["/usr/share/vulkan", "out/work/x", "/tmp", "~/.cache/gyrus"]) {
    assert.equal(flag(text), 0, text);
  }
});

Deno.test("readDependencyTable() reads names and what is not used", () => {
  const readme = "# G\n\n## Dependencies\n\n| package | why |\n|---|---|\n| `pngjs` | PNG |\n" +
    "| `@webgpu/types` | types |\n| `@std/cli` | not used: why |\n\n## Next\n\n| `x` | y |\n";
  assert.deepEqual(readDependencyTable(readme), {
    used: ["pngjs", "@webgpu/types"],
    unused: ["@std/cli"],
  });
  assert.deepEqual(packageNames(["npm:h5wasm@0.10.3/node", "npm:@webgpu/types@0.1.74"]), [
    "@webgpu/types",
    "h5wasm",
  ]);
});
