/**
 * The project's own files, as the architecture test reads them.
 *
 * @module
 */

/** A text file of the project. */
export interface SourceFile {
  /** Relative to the repository root, with `/`. */
  readonly path: string;
  readonly text: string;
}

/** Folders that hold no source: version control, caches, outputs. */
const SKIPPED = new Set([".git", ".cache", "out", "node_modules"]);
const TEXT =
  /(\.(ts|wgsl|md|json|jsonc|txt|lock|yml|html|css|js)|^gyrus|\/run|LICENSE|\.gitignore)$/;

/** Reads every text file under the repository root, in order of path. */
export function readSources(root: URL): SourceFile[] {
  const files: SourceFile[] = [];
  const visit = (folder: string): void => {
    for (const entry of Deno.readDirSync(new URL(folder || ".", root))) {
      const path = folder + entry.name;
      if (entry.isDirectory) {
        if (!SKIPPED.has(entry.name)) visit(`${path}/`);
      } else if (entry.isFile && TEXT.test(path)) {
        files.push({ path, text: Deno.readTextFileSync(new URL(path, root)) });
      }
    }
  };
  visit("");
  return files.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Number of lines of a text, a last line without a line break included. */
export function countLines(text: string): number {
  if (text === "") return 0;
  return text.split("\n").length - (text.endsWith("\n") ? 1 : 0);
}

/** Number of lines that hold code: no blank lines, none that are comment only. */
export function countCode(text: string): number {
  const code = text.replaceAll(/^\s*\/\*[\s\S]*?\*\/\s*$/gm, "");
  return code.split("\n").filter((line) => !/^\s*(\/\/.*)?$/.test(line)).length;
}

/** The 1-based line of a character position. */
export function lineAt(text: string, position: number): number {
  return text.slice(0, position).split("\n").length;
}
