/**
 * Rules for every text file: the project speaks of itself alone, and says nothing that is only true
 * on the machine where it was written.
 *
 * @module
 */
import { lineAt, type SourceFile } from "./files.ts";
import type { Finding } from "./typescript.ts";

// The patterns are written so that this file does not match itself.
const FORBIDDEN: readonly (readonly [RegExp, string])[] = [
  [/(?<![\w.}])\/(?:home|Users|root|work|mnt|opt)\/[\w.-]/g, "a path of one machine"],
  [/(?<![\w.}])\/tmp\/\w+\/[\w.-]/g, "a path of one machine"],
  [/\b(?:registry\.npm[j]s\.org|deb\.[d]ebian\.org|np[m]\.jsr\.io)\b/g, "a registry's host"],
  [/\b(?:T[O]DO|FI[X]ME|XX[X])\b/g, "a promise instead of code"],
];

/** Judges one file, whatever it holds. */
export function lintText({ path, text }: SourceFile): Finding[] {
  const findings: Finding[] = [];
  for (const [pattern, message] of FORBIDDEN) {
    for (const match of text.matchAll(pattern)) {
      findings.push({ path, line: lineAt(text, match.index), message: `${match[0]}: ${message}` });
    }
  }
  return findings;
}

/**
 * The packages that a README's dependency table names, as `used` or `not used`.
 *
 * @param readme Markdown with a heading "Dependencies" and a table whose first column is code
 */
export function readDependencyTable(readme: string): { used: string[]; unused: string[] } {
  const section = /^#+ Dependencies\n([\s\S]*?)(?=^#+ |$(?![\s\S]))/m.exec(readme)?.[1] ?? "";
  const rows = [...section.matchAll(/^\| *`(@?[\w./-]+)(?:@[\w.^~-]+)?` *\|(.*)$/gm)];
  const unused = rows.filter((row) => /not used/i.test(row[2]!)).map((row) => row[1]!);
  return { used: rows.map((row) => row[1]!).filter((name) => !unused.includes(name)), unused };
}

/** The npm packages behind the `imports` of a configuration or the `specifiers` of a lock file. */
export function packageNames(specifiers: readonly string[]): string[] {
  const names = specifiers.map((text) => /^npm:(@[^/]+\/[^@/]+|[^@/]+)/.exec(text)?.[1] ?? text);
  return [...new Set(names)].sort();
}
