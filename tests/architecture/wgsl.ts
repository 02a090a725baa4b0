/**
 * The dialect of `shaders/**`: what the engine can rewrite, and the traps of today's WebGPU
 * implementations as rules. Each rule says what goes wrong without it.
 *
 * @module
 */
import { countLines, lineAt } from "./files.ts";
import type { Finding } from "./typescript.ts";

/** Lines of a shader file. */
export const MAX_WGSL_LINES = 200;
/** Software drivers compile in time that grows with the square of the accesses in the text. */
export const MAX_STORAGE_ACCESSES = 60;

type Report = (position: number, message: string) => void;
type Rule = (code: string, report: Report, library: boolean) => void;

/**
 * Judges one shader.
 *
 * @param path relative to the repository root; files under `_lib` are parts of shaders
 */
export function lintWgsl(path: string, text: string): Finding[] {
  const findings: Finding[] = [];
  const report: Report = (position, message) => {
    findings.push({ path, line: lineAt(text, position), message });
  };
  const lines = countLines(text);
  if (lines > MAX_WGSL_LINES) report(0, `${lines} lines, at most ${MAX_WGSL_LINES}`);
  if (!/^\/\/ *\S/.test(text)) {
    report(0, "opens with no comment: formula, shapes, mapping, numerics");
  }
  const code = blankComments(text);
  const library = path.includes("/_lib/");
  for (const rule of RULES) rule(code, report, library);
  return findings;
}

/** Comments become spaces, so that positions stay. */
export function blankComments(text: string): string {
  return text.replaceAll(/\/\/[^\n]*|\/\*[\s\S]*?\*\//g, (c) => c.replaceAll(/[^\n]/g, " "));
}

/** A rule that forbids a pattern. */
function forbid(pattern: RegExp, message: string): Rule {
  return (code, report) => {
    for (const match of code.matchAll(pattern)) {
      report(match.index, `${match[0].trim().replaceAll(/\s+/g, " ")}: ${message}`);
    }
  };
}

/** Words that WGSL keeps for later and that kernels are tempted to use as names. */
const RESERVED =
  "abstract|active|as|async|auto|await|become|cast|catch|class|common|compile|concept|do|" +
  "enum|explicit|export|extends|extern|external|filter|final|finally|friend|from|get|goto|handle|impl|" +
  "implements|import|inline|instanceof|interface|layout|macro|match|meta|mod|module|move|mut|mutable|" +
  "namespace|new|noexcept|null|of|operator|package|partition|pass|patch|precise|precision|priv|" +
  "protected|pub|public|readonly|ref|register|regardless|require|resource|restrict|self|set|shared|" +
  "sizeof|smooth|snorm|static|std|subroutine|super|target|template|this|throw|trait|try|type|typedef|" +
  "typename|typeof|union|unless|unorm|unsafe|unsized|use|using|varying|virtual|volatile|where|with|" +
  "writeonly|yield";

/** Built-in functions that take a pointer to an element, rightly. */
const TAKES_ELEMENT = /(atomic\w+|arrayLength|workgroupUniformLoad)\s*\(\s*$/;

const RULES: readonly Rule[] = [
  forbid(
    /^[ \t]*(enable|requires|diagnostic)\b[^;]*;?/gm,
    "the engine prepends what the backend wants",
  ),
  forbid(/\boverride\s+\w+/g, "cannot size arrays in Naga: use const"),
  forbid(
    /(?<![\w.\])])([A-Za-z_][\w.]*(?:\[[\w.]+\][\w.]*)*)\s*!=\s*\1(?![\w.[(])/g,
    "false for NaN on Mesa: test the bits",
  ),
  forbid(/\bptr\s*<\s*(storage|workgroup)\b/g, "not in Naga"),
  forbid(
    /\bbitcast\s*<\s*vec\d\s*<?\s*(f16|h)\b/g,
    "silently wrong in Naga: pack2x16float, unpack2x16float",
  ),
  forbid(/\bsubgroupElect\s*\(/g, "not in Naga"),
  forbid(/\bf16\b/g, "storage is `Elem`, which the engine makes f16; arithmetic is f32"),
  forbid(/\bpow\s*\([^(),]+,\s*2(\.0*)?f?\s*\)/g, "NaN for a negative base: multiply"),
  forbid(
    /\btanh\s*\((?!\s*clamp\s*\()/g,
    "NaN for large arguments on some drivers: tanh(clamp(…))",
  ),
  forbid(
    new RegExp(`(?<=\\b(?:var|let|const|fn|struct|alias)\\s+)(?:${RESERVED})\\b`, "g"),
    "a reserved word",
  ),
  forbid(new RegExp(`(?<=[(,{]\\s*)(?:${RESERVED})(?=\\s*:)`, "g"), "a reserved word"),
  forbid(new RegExp(`(?<=\\bvar\\s*<[^>]*>\\s*)(?:${RESERVED})(?=\\s*:)`, "g"), "a reserved word"),
  subObjectPointers,
  loopVariables,
  compensatedSums,
  tunables,
  bindings,
  storageAccesses,
];

/** Passing a pointer to a part of an object aborts the process (a Naga panic that nothing catches). */
function subObjectPointers(code: string, report: Report): void {
  for (const match of code.matchAll(/(?<!&)&\s*[A-Za-z_]\w*\s*[[.]/g)) {
    const before = code.slice(Math.max(0, match.index - 80), match.index);
    // `a & b[i]` is arithmetic: something stands before the ampersand.
    if (/[\w)\]]\s*$/.test(before) && !/\breturn\s*$/.test(before)) continue;
    if (TAKES_ELEMENT.test(before)) continue;
    report(match.index, "a pointer to a part of an object: passing it aborts the process");
  }
}

/** `var x: f32;` inside a loop is not set to zero again in the second round by today's compilers. */
function loopVariables(code: string, report: Report): void {
  for (const { start, end } of loopBodies(code)) {
    for (const match of code.slice(start, end).matchAll(/\bvar\s+\w+\s*(:[^=;]*)?;/g)) {
      report(start + match.index, `${match[0]} in a loop has no initialiser`);
    }
  }
}

/** Bodies of outermost loops, by matching braces. */
function loopBodies(code: string): { start: number; end: number }[] {
  const bodies: { start: number; end: number }[] = [];
  let covered = 0;
  for (const match of code.matchAll(/\b(for|while|loop)\b/g)) {
    if (match.index < covered) continue;
    const start = code.indexOf("{", match.index);
    if (start < 0) continue;
    let depth = 0;
    let end = start;
    do {
      if (code[end] === "{") depth++;
      if (code[end] === "}") depth--;
      end++;
    } while (depth > 0 && end < code.length);
    bodies.push({ start, end });
    covered = end;
  }
  return bodies;
}

/** Mesa reassociates: `t = s + y; (t - s) - y` becomes 0 unless the sum went through opaque(). */
function compensatedSums(code: string, report: Report): void {
  const sum = /\b(?:(?:let|var)\s+)?(\w+)\s*(?::\s*f32\s*)?=\s*([\w.[\]]+)\s*\+\s*([\w.[\]]+)\s*;/g;
  for (const match of code.matchAll(sum)) {
    const [whole, total, left, right] = match;
    if (total === left || total === right) continue; // accumulation, nothing left to compare with
    const rest = code.slice(match.index + whole.length);
    const back = new RegExp(`\\b${total}\\s*-\\s*(${escape(left!)}|${escape(right!)})(?![\\w.[])`);
    const end = rest.search(/\n}/);
    const again = back.exec(end < 0 ? rest : rest.slice(0, end));
    if (again !== null) {
      report(
        match.index,
        `${whole} … ${again[0]}: reassociated away; use opaque(${left} + ${right})`,
      );
    }
  }
}

function escape(text: string): string {
  return text.replaceAll(/[.[\]]/g, "\\$&");
}

/** The engine rewrites `const NAME: u32 = …;` at the start of a line, and nothing else. */
function tunables(code: string, report: Report): void {
  for (const match of code.matchAll(/^[ \t]*const\s+\w+[^=;]*=/gm)) {
    const line = code.slice(match.index).split("\n", 1)[0]!;
    if (/^[ \t]/.test(line)) continue; // a constant of a function
    if (/^const [A-Z][A-Z0-9_]*: (u32|i32|f32|bool) = [^;]+;\s*$/.test(line)) continue;
    if (
      /^const [A-Z][A-Z0-9_]*( *: *(array|vec\d\w?|mat\w+)\b.*)? = *(array|vec\d\w?|mat\w+)\b/.test(
        line,
      )
    ) {
      continue; // a table
    }
    report(
      match.index,
      `${line.trim()}: write const NAME: u32 = …; on one line, from its first column`,
    );
  }
}

/** Group 0, storage buffers first, one flat `params` last: what the engine reflects. */
function bindings(code: string, report: Report, library: boolean): void {
  const found = [
    ...code.matchAll(
      /@group\((\d+)\)\s*@binding\((\d+)\)\s*var\s*<\s*([^>]+?)\s*>\s*(\w+)\s*:\s*([^;]+);/g,
    ),
  ];
  const marks = [...code.matchAll(/@binding\b/g)].length;
  if (library) {
    if (marks > 0) report(code.indexOf("@binding"), "a library file binds nothing");
    return;
  }
  if (marks !== found.length) {
    report(code.indexOf("@binding"), "a binding is not `@group(0) @binding(n) var<…> name: …;`");
  }
  if (!/@compute[^{]*\bfn\s+main\s*\(/.test(code)) report(0, "has no compute entry point `main`");
  found.forEach((match, position) => {
    const [, group, binding, space, name] = match;
    const last = position === found.length - 1;
    if (group !== "0") {
      report(match.index, `${name} is in group ${group}: all bindings are in group 0`);
    }
    if (Number(binding) !== position) {
      report(match.index, `${name} has binding ${binding}, not ${position}`);
    }
    if (space === "uniform" && !(last && name === "params")) {
      report(match.index, `${name}: the one uniform is \`params\`, and it is last`);
    }
    if (space !== "uniform" && !/^storage(,\s*(read|read_write))?$/.test(space!)) {
      report(match.index, `${name} is in <${space}>`);
    }
  });
  for (const match of code.matchAll(/\bstruct\s+Params\s*\{([^}]*)\}/g)) {
    const fields = match[1]!.split(",").map((field) => field.trim()).filter((field) =>
      field !== ""
    );
    for (const field of fields) {
      if (!/^\w+\s*:\s*(u32|i32|f32)$/.test(field)) {
        report(match.index, `Params.${field}: only u32, i32, f32`);
      }
    }
  }
  if (/array<\s*(vec4<\s*)?Elem\b/.test(code) && !/^alias Elem = f32;/m.test(code)) {
    report(0, "uses Elem without `alias Elem = f32;` at the start of a line");
  }
}

function storageAccesses(code: string, report: Report): void {
  const names = [...code.matchAll(/var\s*<\s*storage[^>]*>\s*(\w+)/g)].map((match) => match[1]!);
  if (names.length === 0) return;
  const accesses = [...code.matchAll(new RegExp(`\\b(${names.join("|")})\\s*\\[`, "g"))].length;
  if (accesses > MAX_STORAGE_ACCESSES) {
    report(
      0,
      `${accesses} storage accesses, at most ${MAX_STORAGE_ACCESSES}: loop instead of unrolling`,
    );
  }
}
