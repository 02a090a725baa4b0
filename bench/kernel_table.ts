/**
 * The README's kernel table, made from the specs. Run as a program it rewrites the table in README.md.
 *
 * @module
 */
import { kernels } from "../shaders/mod.ts";
import type { KernelSpec } from "../shaders/kernel.ts";

const BEGIN = "<!-- kernels: deno task readme -->";
const END = "<!-- /kernels -->";

/** One row per group of kernels with the same buffers and shaders. */
export function kernelTable(specs: readonly KernelSpec[] = kernels): string {
  const groups = new Map<string, KernelSpec[]>();
  for (const spec of specs) {
    const key = JSON.stringify([spec.buffers, spec.variants.map((v) => v.source)]);
    groups.set(key, [...groups.get(key) ?? [], spec]);
  }
  const rows = [...groups.values()].map((group) => {
    const [spec] = group;
    const names = group.map((s) => `\`${s.name}\``).join(" ");
    const buffers = Object.entries(spec.buffers).map(([name, shape]) => `${name} [${shape}]`);
    const tolerance = [...new Set(group.map((s) => s.tolerance.f32.toExponential(0)))].join(", ");
    return `| ${names} | ${buffers.join(", ").replaceAll("*", "·")} | ${
      variants(spec)
    } | ${tolerance} |`;
  });
  return [
    "| kernel | buffers | variants | f32 tolerance |",
    "| --- | --- | --- | --- |",
    ...rows,
  ].join("\n");
}

function variants(spec: KernelSpec): string {
  return spec.variants.map((v) => {
    const short = v.name.startsWith(`${spec.name}_`) ? v.name.slice(spec.name.length + 1) : "plain";
    return v.needs?.length ? `${short} (${v.needs.join(", ")})` : short;
  }).join(", ");
}

/**
 * A README with the table between its marks brought up to date.
 *
 * @throws {Error} when the marks are missing.
 */
export function withKernelTable(readme: string): string {
  const begin = readme.indexOf(BEGIN), end = readme.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`README.md needs the marks ${BEGIN} and ${END}`);
  return `${readme.slice(0, begin)}${BEGIN}\n\n${kernelTable()}\n\n${readme.slice(end)}`;
}

if (import.meta.main) {
  const url = new URL("../README.md", import.meta.url);
  await Deno.writeTextFile(url, withKernelTable(await Deno.readTextFile(url)));
}
