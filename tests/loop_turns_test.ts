/**
 * No thread loops more often than its variant says. Every loop is made to count its turns, and the greatest count of a run is held
 * against `loopTurns`, which the engine trusts on drivers that end long loops silently.
 *
 * @module
 */
import assert from "node:assert/strict";
import { Gpu } from "../engine/gpu.ts";
import { run } from "../engine/run.ts";
import { isSupported, select } from "../engine/select.ts";
import { Tensor } from "../engine/tensor.ts";
import { stripComments } from "../engine/wgsl.ts";
import { kernels } from "../shaders/mod.ts";
import { bufferDecls, type Dims, type KernelSpec, type KernelVariant } from "../shaders/kernel.ts";
import { hostInputs, shapeOf, splitCase } from "../bench/check_kernel.ts";

const gpu = await Gpu.open();

const LOOP = /\b(for|while|loop)\b[^{;]*(;[^{;]*;[^{]*)?\{/g;
// Unrolled by compilers, and too short to matter: `k < 4u`, and the halving of a workgroup's values.
const isShort = (header: string) => /[<>]=? \d+u;/.test(header);

/** A shader whose loops count their turns, and their last looks at the condition, in `turns`. */
function counting(source: string): string {
  return stripComments(source).replace(
    LOOP,
    (header) => isShort(header) ? header : `turns += 1u; ${header} turns += 1u;`,
  );
}

/** Does the text have a loop that counts? */
const hasLoop = (source: string) => counting(source) !== stripComments(source);

/** The variant with one more buffer, the greatest count of all threads. */
function counted(spec: KernelSpec, variant: KernelVariant): KernelSpec {
  const at = Object.keys(spec.buffers).length;
  const declared = `var<private> turns: u32;
@group(0) @binding(${at}) var<storage, read_write> most: array<atomic<u32>>;
`;
  const source = counting(variant.source)
    .replace(`@binding(${at}) var<uniform>`, `@binding(${at + 1}) var<uniform>`);
  const main = source.indexOf("fn main(");
  const end = source.lastIndexOf("}", next(source, main));
  const changed = {
    ...variant,
    source: `${source.slice(0, end)}atomicMax(&most[0], turns);\n${source.slice(end)}\n${declared}`,
    lib: variant.lib?.map(counting),
  };
  return { ...spec, buffers: { ...spec.buffers, most: "inout u32 1" }, variants: [changed] };
}

/** Where the function that begins at `start` is followed by another, or the text ends. */
function next(source: string, start: number): number {
  const found = source.slice(start).search(/\n\}/);
  return start + found + 2;
}

/** The greatest count of a run of one case. */
async function turnsOf(spec: KernelSpec, dims: Dims): Promise<number> {
  const apart = splitCase(spec, dims);
  const inputs = hostInputs(spec, apart.dims, apart.args, "f32");
  const given = bufferDecls(spec).filter((d) => d.role !== "out").map((d) => {
    const values = d.name === "most" ? [0] : inputs[d.name];
    const dtype = d.dtype === "elem" ? "f32" : d.dtype;
    return Tensor.from(gpu, values, shapeOf(d, apart.dims), { dtype });
  });
  const choice = { variant: spec.variants[0].name };
  const out = run(spec, given, { gpu, ...apart, choice, dtype: "f32" });
  const [count] = await given.at(-1)!.data();
  [...given, ...out].forEach((t) => t.dispose());
  return count;
}

// Kernels that share a shader (the reductions by their operation, the forms of a convolution) share its formula: one stands for all.
const seen = new Set<string>();
for (const spec of kernels) {
  for (const variant of spec.variants) {
    if (seen.has(variant.source) || ![variant.source, ...variant.lib ?? []].some(hasLoop)) continue;
    seen.add(variant.source);
    Deno.test(`${variant.name} loops no more often than it says`, async () => {
      assert(variant.loopTurns, `${variant.name} has loops and must say how often they turn`);
      for (const sizes of spec.cases) {
        const { dims, args } = splitCase(spec, sizes);
        if (!isSupported(variant, dims, args, gpu.caps)) continue;
        const { constants } = select(gpu, spec, dims, args, { variant: variant.name });
        const said = variant.loopTurns(dims, constants, args);
        const took = await turnsOf(counted(spec, variant), sizes);
        assert(took <= said, `${JSON.stringify(sizes)} took ${took} turns, said ${said}`);
      }
    });
  }
}

Deno.test("turns are counted: a product of 65 terms takes 66", async () => {
  const spec = kernels.find((kernel) => kernel.name === "matmul")!;
  const naive = spec.variants.at(-1)!;
  assert.equal(await turnsOf(counted(spec, naive), spec.cases[1]), 66);
});

Deno.test("close the device", () => {
  assert.equal(gpu.liveBytes, 0);
  gpu[Symbol.dispose]();
});
