/**
 * Every kernel × variant × constants × storage type through the compiler of this WebGPU implementation. On Dawn that is the
 * strict judge: it refuses barriers in non-uniform control flow, which Naga lets pass and a GPU hangs on. Nothing is
 * dispatched, so that software drivers, which translate a shader at its first dispatch, do not make it slow.
 *
 * @module
 */
import assert from "node:assert/strict";
import { isSupported, select } from "../engine/select.ts";
import { compose } from "../engine/wgsl.ts";
import { kernels } from "../shaders/mod.ts";
import type { Constants, KernelSpec, KernelVariant } from "../shaders/kernel.ts";
import { splitCase } from "../bench/check_kernel.ts";
import { openTestGpu } from "./_gpu.ts";

const gpu = await openTestGpu();
const elems = (["f32", "f16", "f64"] as const).filter((e) =>
  e === "f32" || gpu.caps.features.has(`shader-${e}`)
);

/** The constants that a variant is compiled with somewhere: of each case, and of each tunable's other values. */
function constantSets(spec: KernelSpec, variant: KernelVariant): Constants[] {
  const tunings = Object.entries(variant.tunables ?? {}).flatMap(([name, values]) =>
    values.slice(1).map((value) => ({ [name]: value }))
  );
  const sets = spec.cases.flatMap((one) => {
    const { dims, args } = splitCase(spec, one);
    if (!isSupported(variant, dims, args, gpu.caps)) return [];
    return [{}, ...tunings].map((tunables) =>
      select(gpu, spec, dims, args, { variant: variant.name, tunables }).constants
    );
  });
  return [...new Map(sets.map((set) => [JSON.stringify(set), set])).values()];
}

/** The composed texts of a variant. */
function texts(spec: KernelSpec, variant: KernelVariant): string[] {
  return elems.filter((e) => spec.tolerance[e] !== undefined).flatMap((elem) => {
    const features = [...variant.needs ?? [], ...(elem === "f32" ? [] : [`shader-${elem}`])];
    const enables = features.flatMap((feature) => gpu.enables.get(feature) ?? []);
    const { name: label, source, lib } = variant;
    return constantSets(spec, variant).map((constants) =>
      compose({ label, source, lib, constants, elem, enables })
    );
  });
}

/** What the compiler says against a text, or undefined. */
async function refusal(code: string): Promise<string | undefined> {
  gpu.device.pushErrorScope("validation");
  const module = gpu.device.createShaderModule({ code });
  gpu.device.createComputePipeline({ layout: "auto", compute: { module, entryPoint: "main" } });
  return (await gpu.device.popErrorScope())?.message;
}

// On Deno's own WebGPU kernels_test.ts compiles all of this, and runs it.
const judged = Deno.env.get("GYRUS_TEST_BACKEND") === "dawn" ? kernels : kernels.slice(0, 1);

for (const spec of judged) {
  Deno.test(`${spec.name} compiles in every variant`, async () => {
    for (const variant of spec.variants) {
      for (const code of new Set(texts(spec, variant))) {
        assert.equal(await refusal(code), undefined, variant.name);
      }
    }
  });
}

Deno.test("the compiler's refusals are seen", async () => {
  assert.notEqual(
    await refusal("@compute @workgroup_size(1) fn main() { let x: u32 = 1.5; }"),
    undefined,
  );
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
