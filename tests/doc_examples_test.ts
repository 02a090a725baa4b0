/**
 * Every TypeScript block of the README and of the doc comments: type checked, then executed. A block that begins with
 * `ts ignore` is prose.
 *
 * @module
 */
import assert from "node:assert/strict";
import { readSources, type SourceFile } from "./architecture/files.ts";

/** One block, as a module of its own. */
interface Example {
  /** `README.md:12`. */
  readonly name: string;
  readonly code: string;
}

const root = new URL("..", import.meta.url);

/** The blocks of a Markdown text, or of the doc comments of a source file. */
function findExamples({ path, text }: SourceFile): Example[] {
  const isMarkdown = path.endsWith(".md");
  const block = isMarkdown
    ? /^```ts *\n([\s\S]*?)^```/gm
    : /^ *\* ```ts *\n((?: *\*.*\n)*?) *\* ```/gm;
  return [...text.matchAll(block)].map((match) => ({
    name: `${path}:${text.slice(0, match.index).split("\n").length + 1}`,
    code: isMarkdown ? match[1] : match[1].replaceAll(/^ *\* ?/gm, ""),
  }));
}

/** The package's name leads to these sources. */
function mapImports(code: string): string {
  const from = /((?:from|import)\s*\(?\s*)"(?:jsr:)?@gyrus\/gyrus(\/bench)?"/g;
  return code.replaceAll(from, (_, before, bench) => {
    const entry = new URL(bench ? "bench/mod.ts" : "mod.ts", root).href;
    return `${before}${JSON.stringify(entry)}`;
  });
}

const documented = readSources(root).filter(({ path }) =>
  path === "README.md" || (/^(engine|shaders|pipelines|mod\.ts)/.test(path) && path.endsWith(".ts"))
);
const examples = documented.flatMap(findExamples);
const folder = Deno.makeTempDirSync();
const modules = examples.map(({ name, code }, i) => {
  const path = `${folder}/example_${i}.ts`;
  // `export {}` makes a module of a block without imports.
  Deno.writeTextFileSync(path, `${mapImports(code)}\nexport {};\n`);
  return { name, path };
});

Deno.test("findExamples() sees blocks in Markdown and in doc comments", () => {
  const fence = "```";
  const markdown =
    `a\n\n${fence}ts\nf();\n${fence}\n${fence}ts ignore\ng();\n${fence}\n${fence}sh\nls\n${fence}\n`;
  assert.deepEqual(findExamples({ path: "README.md", text: markdown }), [
    { name: "README.md:4", code: "f();\n" },
  ]);
  const comment =
    `/**\n * A.\n *\n * @example\n * ${fence}ts\n * if (a) {\n *   f();\n *\n * }\n * ${fence}\n */\n`;
  assert.deepEqual(findExamples({ path: "engine/a.ts", text: comment }), [
    { name: "engine/a.ts:6", code: "if (a) {\n  f();\n\n}\n" },
  ]);
  assert.match(mapImports(`import { Gpu } from "@gyrus/gyrus";`), /from "file:.*\/mod\.ts"/);
});

Deno.test("the examples pass the type checker", () => {
  assert.ok(modules.length > 0, "no example was found");
  const config = decodeURIComponent(new URL("deno.json", root).pathname);
  const { code, stderr } = new Deno.Command(Deno.execPath(), {
    args: ["check", "--quiet", `--config=${config}`, ...modules.map(({ path }) => path)],
    env: { NO_COLOR: "1" },
  }).outputSync();
  const text = new TextDecoder().decode(stderr);
  const named = modules.reduce(
    (all, { name, path }) => all.replaceAll(`file://${path}`, name),
    text,
  );
  assert.equal(code, 0, named);
});

for (const { name, path } of modules) {
  Deno.test(`the example at ${name} runs`, async () => {
    const before = Deno.cwd();
    Deno.chdir(root); // examples read the shipped networks
    try {
      await import(`file://${path}`);
    } finally {
      Deno.chdir(before);
    }
  });
}

Deno.test("remove the examples", () => Deno.removeSync(folder, { recursive: true }));
