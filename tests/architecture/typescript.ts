/**
 * Rules for TypeScript, judged on the syntax tree that Deno's linter gives to plugins (available in
 * tests only): sizes, what a layer may touch, and what hides errors.
 *
 * @module
 */
import { countLines, lineAt } from "./files.ts";
import { layerOf } from "./layers.ts";

/** Lines of a file: one idea each. */
export const MAX_FILE_LINES = 400;
/** Lines of a function, from its first to its last: it fits a screen. */
export const MAX_FUNCTION_LINES = 60;
/** Lines of a recipe's file. */
export const MAX_RECIPE_LINES = 300;

/** Globals that a silent, clockless, portable layer does not touch. */
const AMBIENT = new Set(["Deno", "console", "process", "localStorage", "fetch", "alert", "prompt"]);
const CLOCKS = new Set(["Date", "performance", "setTimeout", "setInterval"]);
/** Dawn gives no event to wait for, only something to poll. */
const POLLS = "engine/dawn.ts";
/** Members of `Deno` that only the outermost files read. */
const OUTERMOST = new Set([
  "args",
  "env",
  "exit",
  "stdout",
  "stderr",
  "stdin",
  "addSignalListener",
]);

/** One broken rule. */
export interface Finding {
  readonly path: string;
  readonly line: number;
  readonly message: string;
}

/** Lines of the longest function of a file; 0 where there is none. */
export interface Size {
  readonly lines: number;
  readonly longestFunction: number;
}

/** Counts lines of a file and of its longest function. */
export function measure(path: string, text: string): Size {
  let longestFunction = 0;
  inspect(path, text, (_kind, [start, end]) => {
    const lines = lineAt(text, end) - lineAt(text, start) + 1;
    longestFunction = Math.max(longestFunction, lines);
  }, FUNCTIONS);
  return { lines: countLines(text), longestFunction };
}

const FUNCTIONS = ["FunctionDeclaration", "FunctionExpression", "ArrowFunctionExpression"] as const;

/** Judges one file. */
export function lintTypeScript(path: string, text: string): Finding[] {
  const findings: Finding[] = [];
  const report = (position: number, message: string): void => {
    findings.push({ path, line: lineAt(text, position), message });
  };
  const { lines } = measure(path, text);
  const most = layerOf(path) === "recipe" ? MAX_RECIPE_LINES : MAX_FILE_LINES;
  if (lines > most) report(0, `${lines} lines, at most ${most}`);
  for (const comment of text.matchAll(/\/[/*]\s*(@ts-(ignore|nocheck)|deno-lint-ignore-file)/g)) {
    report(comment.index, `${comment[1]} hides errors`);
  }
  runRules(path, text, report);
  return findings;
}

type Report = (position: number, message: string) => void;

function runRules(path: string, text: string, report: Report): void {
  const layer = layerOf(path);
  const pure = layer === "shaders" || layer === "engine";
  const outermost = layer === "cli" || layer === "bench" || layer === "outside";
  collect(path, text, {
    FunctionDeclaration: (node) => judgeLength(node, text, report),
    FunctionExpression: (node) => judgeLength(node, text, report),
    ArrowFunctionExpression: (node) => {
      judgeLength(node, text, report);
      if (isCatchArgument(node) && isEmptyBlock(node.body)) {
        report(node.range[0], "an empty catch swallows every error");
      }
    },
    CatchClause: (node) => {
      if (isEmptyBlock(node.body)) report(node.range[0], "an empty catch swallows every error");
    },
    Property: ({ key, range }) => {
      const isIgnore = key.type === "Identifier" && (key.name === "ignore" || key.name === "only");
      if (isIgnore && path.endsWith("_test.ts")) {
        report(range[0], "a test is ignored by needs() of tests/expectations.ts, with its reason");
      }
    },
    TSAnyKeyword: (node) => report(node.range[0], "`any` turns the type checker off"),
    Identifier: (node) => {
      if (isMemberOrKey(node)) return;
      if (path === POLLS && node.name === "setTimeout") return;
      if (pure && (AMBIENT.has(node.name) || CLOCKS.has(node.name))) {
        report(node.range[0], `${layer} does not touch ${node.name}`);
      } else if (!outermost && (node.name === "console" || node.name === "process")) {
        report(node.range[0], `${node.name} belongs to the command line and bench`);
      }
    },
    MemberExpression: (node) => {
      const { object, property } = node;
      if (outermost || object.type !== "Identifier" || object.name !== "Deno") return;
      if (property.type === "Identifier" && OUTERMOST.has(property.name)) {
        report(node.range[0], `Deno.${property.name} belongs to the command line and bench`);
      }
    },
    ImportExpression: (node) => {
      if (node.source.type !== "Literal" || !/^(npm:)?webgpu\b/.test(String(node.source.value))) {
        return;
      }
      report(
        node.range[0],
        "a literal import of webgpu makes every start download it: use a variable",
      );
    },
  });
}

function judgeLength(node: Deno.lint.Node, text: string, report: Report): void {
  const lines = lineAt(text, node.range[1]) - lineAt(text, node.range[0]) + 1;
  if (lines > MAX_FUNCTION_LINES) {
    report(node.range[0], `a function of ${lines} lines, at most ${MAX_FUNCTION_LINES}`);
  }
}

/** True for `promise.catch(() => {})`. */
function isCatchArgument(node: Deno.lint.ArrowFunctionExpression): boolean {
  const call = node.parent;
  return call.type === "CallExpression" && call.callee.type === "MemberExpression" &&
    call.callee.property.type === "Identifier" && call.callee.property.name === "catch";
}

function isEmptyBlock(node: Deno.lint.Node): boolean {
  return node.type === "BlockStatement" && node.body.length === 0;
}

/** True for the `b` of `a.b`, of `{ b: 1 }` and of type members: names, not globals. */
function isMemberOrKey(node: Deno.lint.Identifier): boolean {
  const { parent } = node;
  if (parent.type === "MemberExpression") return parent.property.range[0] === node.range[0];
  if (parent.type === "Property") return !parent.shorthand && parent.key.range[0] === node.range[0];
  return /^(MethodDefinition|PropertyDefinition|TS(?!As|NonNull|Satisfies))/.test(parent.type);
}

/** True where a module only re-exports: nothing to read, nothing to break. */
export function onlyReExports(path: string, text: string): boolean {
  let pure = true;
  collect(path, text, {
    Program: (node) => {
      pure = node.body.every((statement) =>
        statement.type === "ExportAllDeclaration" ||
        (statement.type === "ExportNamedDeclaration" && statement.declaration === null)
      );
    },
  });
  return pure;
}

function inspect(
  path: string,
  text: string,
  visit: (kind: string, range: readonly [number, number]) => void,
  kinds: readonly (typeof FUNCTIONS)[number][],
): void {
  const visitor: Deno.lint.LintVisitor = {};
  for (const kind of kinds) {
    visitor[kind] = (node: Deno.lint.Node): void => visit(kind, node.range);
  }
  collect(path, text, visitor);
}

/** Walks the syntax tree of a file. */
function collect(path: string, text: string, visitor: Deno.lint.LintVisitor): void {
  const plugin: Deno.lint.Plugin = {
    name: "architecture",
    rules: { walk: { create: () => visitor } },
  };
  Deno.lint.runPlugin(plugin, path.split("/").at(-1)!, text);
}
