/**
 * Imports go one way: shaders ← engine ← pipeline blocks ← recipes ← bench ← command line. `tests` imports
 * anything and is imported by nothing; `mod.ts` re-exports the library.
 *
 * @module
 */

/** One import: both ends relative to the repository root, or `npm:…`, `node:…`. */
export interface Arrow {
  readonly from: string;
  readonly to: string;
}

const RECIPES = ["brain_sail", "aligned_cut", "vwam", "mig_vis"];

/** Layers from the ground up; each may import itself and what stands before it. */
const ORDER = ["shaders", "engine", "blocks", "recipe", "mod", "bench", "cli", "outside"];

/** The few packages that the lower layers may use. */
const PACKAGES: Readonly<Record<string, readonly string[]>> = {
  shaders: [],
  engine: ["@webgpu/types", "ml-matrix", "webgpu"],
};

/** The layer of a file: one of `ORDER`. */
export function layerOf(path: string): string {
  if (path === "mod.ts") return "mod";
  const [top, second = ""] = path.split("/");
  if (top === "shaders" || top === "engine" || top === "bench") return top;
  if (top !== "pipelines") return "outside";
  if (second === "cli" || second === "cli.ts") return "cli";
  return RECIPES.includes(second) ? "recipe" : "blocks";
}

/**
 * Says what is wrong with an import, if anything.
 *
 * @returns a sentence, or undefined for an import that may stand
 */
export function judgeArrow({ from, to }: Arrow): string | undefined {
  const layer = layerOf(from);
  if (/^[a-z]+:/.test(to)) return judgePackage(from, to);
  const target = layerOf(to);
  if (layer === "outside" || to === "deno.json") return undefined; // which is data: name and version
  if (target === "outside") return `${from} imports ${to}: tests are imported by nothing`;
  if (ORDER.indexOf(target) > ORDER.indexOf(layer)) {
    return `${from} imports ${to}: ${layer} stands below ${target}`;
  }
  const recipes = [from, to].map((path) => path.split("/")[1]);
  if (layer === "recipe" && target === "recipe" && recipes[0] !== recipes[1]) {
    return `${from} imports ${to}: a recipe imports no other recipe`;
  }
  return undefined;
}

function judgePackage(from: string, to: string): string | undefined {
  const layer = layerOf(from);
  const allowed = PACKAGES[layer];
  if (allowed === undefined) return undefined;
  const name = /^npm:\/?(@[^/]+\/[^/@]+|[^/@]+)/.exec(to)?.[1];
  if (name !== undefined && allowed.includes(name)) return undefined;
  return `${from} imports ${to}: ${layer} may use ${allowed.join(", ") || "no package"}`;
}

/** What `deno info --json` prints, as far as it is read here. */
interface ModuleGraph {
  readonly modules: readonly {
    readonly specifier: string;
    readonly error?: string;
    readonly dependencies?: readonly {
      readonly specifier: string;
      readonly code?: { readonly specifier?: string };
      readonly type?: { readonly specifier?: string };
    }[];
  }[];
}

/**
 * Every import of the project, types included, as Deno itself resolves them.
 *
 * @param root the repository root, with a final slash
 * @param paths the modules to start from
 */
export async function readArrows(root: URL, paths: readonly string[]): Promise<Arrow[]> {
  const folder = await Deno.makeTempDir();
  try {
    const entry = `${folder}/all.ts`;
    const lines = paths.map((path) => `import ${JSON.stringify(new URL(path, root).href)};\n`);
    await Deno.writeTextFile(entry, lines.join(""));
    const config = decodeURIComponent(new URL("deno.json", root).pathname);
    const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
      args: ["info", "--json", "--no-lock", `--config=${config}`, entry],
    }).output();
    if (code !== 0) throw new Error(new TextDecoder().decode(stderr));
    return arrowsOf(JSON.parse(new TextDecoder().decode(stdout)), root.href);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

function arrowsOf({ modules }: ModuleGraph, root: string): Arrow[] {
  const arrows: Arrow[] = [];
  for (const { specifier, error, dependencies = [] } of modules) {
    if (!specifier.startsWith(root)) continue;
    if (error !== undefined) throw new Error(`${specifier}: ${error}`);
    for (const dependency of dependencies) {
      const to = dependency.code?.specifier ?? dependency.type?.specifier ?? dependency.specifier;
      arrows.push({ from: relative(specifier, root), to: relative(to, root) });
    }
  }
  return arrows;
}

function relative(specifier: string, root: string): string {
  return specifier.startsWith(root) ? specifier.slice(root.length) : specifier;
}
