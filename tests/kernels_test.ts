/**
 * Every kernel × variant × case × tunable × storage type against its float64 reference.
 */
import assert from "node:assert/strict";
import { isSupported } from "../engine/select.ts";
import { kernels } from "../shaders/mod.ts";
import { type Check, checkKernel, splitCase } from "../bench/check_kernel.ts";
import { needs } from "./expectations.ts";
import { openTestGpu } from "./_gpu.ts";
import type { Constants, KernelSpec, KernelVariant } from "../shaders/kernel.ts";

const gpu = await openTestGpu();
const has = (feature: string) => gpu.caps.features.has(feature);

/** The default tunables, then each other value of each tunable alone. */
function tunings(variant: KernelVariant): Constants[] {
  const others = Object.entries(variant.tunables ?? {}).flatMap(([name, values]) =>
    values.slice(1).map((value) => ({ [name]: value }))
  );
  return [{}, ...others];
}

function storageTypes(spec: KernelSpec): Check["elem"][] {
  const floats = (["f32", "f16", "f64"] as const).filter((e) =>
    spec.tolerance[e] !== undefined && (e === "f32" || has(`shader-${e}`))
  );
  return spec.integers ? [...floats, "u32"] : floats;
}

// Mesa translates Dawn's shaders for up to ten seconds each. There every variant runs in each storage type on one case, another
// one from variant to variant; compile_test.ts gives Dawn all the rest to judge, and Deno's own WebGPU runs it.
const sparing = gpu.caps.isSoftware && Deno.env.get("GYRUS_TEST_BACKEND") === "dawn";

/** One check of each storage type. */
function sample(all: readonly Check[], nth: number): Check[] {
  return [...Map.groupBy(all, ({ elem }) => elem).values()].map((same, i) =>
    same[(nth + i) % same.length]
  );
}

function checks(spec: KernelSpec): Check[] {
  // Without optimisation only the last variant is ever chosen, and the others have been checked with it.
  const variants = gpu.options.kernels === "naive" ? spec.variants.slice(-1) : spec.variants;
  return variants.flatMap((variant, nth) => {
    const all = spec.cases.flatMap((dims, i) => {
      const { dims: sizes, args } = splitCase(spec, dims);
      if (!isSupported(variant, sizes, args, gpu.caps)) return [];
      return storageTypes(spec).flatMap((elem) =>
        // Other tunables compile another pipeline each: the last case in f32 is enough for them.
        tunings(variant).filter((t) =>
          Object.keys(t).length === 0 || (i === spec.cases.length - 1 && elem === "f32")
        ).map((tunables) => ({ spec, variant, dims, tunables, elem }))
      );
    });
    return sparing ? sample(all.filter(hasDefaults), nth) : all;
  });
}

const hasDefaults = ({ tunables }: Check): boolean => Object.keys(tunables).length === 0;

const needsF64 = ({ variants }: KernelSpec): boolean =>
  variants.every(({ needs }) => needs?.includes("shader-f64"));

for (const spec of kernels) {
  const options = needsF64(spec) ? needs("f64", has("shader-f64")) : {};
  Deno.test(`${spec.name} equals its float64 reference`, options, async () => {
    const all = checks(spec);
    assert(all.length > 0, `no variant of ${spec.name} runs on ${gpu.adapterName}`);
    for (const check of all) await checkKernel(gpu, check);
    assert.equal(gpu.liveBytes, 0);
  });
}

Deno.test("kernel names are unique", () => {
  const names = kernels.flatMap((k) => [...new Set([k.name, ...k.variants.map((v) => v.name)])]);
  assert.deepEqual(names, [...new Set(names)]);
});

Deno.test("close the device", () => gpu[Symbol.dispose]());
