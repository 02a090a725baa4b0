/**
 * Which variant of a kernel runs: the caller's choice, then the tuning table of this adapter, then the first variant that
 * supports the sizes. Nothing is ever timed here.
 *
 * @module
 */
import { UnsupportedError } from "./errors.ts";
import type { Gpu, TuningEntry } from "./gpu.ts";
import type { Args, Caps, Constants, Dims, KernelSpec, KernelVariant } from "../shaders/kernel.ts";

/** A variant with the constants that it is compiled with. */
export interface Selection {
  /** The variant. */
  readonly variant: KernelVariant;
  /** Tunables and derived constants. */
  readonly constants: Constants;
  /** Why: `caller`, `table`, `naive` or `default`. */
  readonly reason: string;
}

/** Key of a size class in a tuning table: every dim rounded up to a power of two. */
export function sizeClass(spec: KernelSpec, dims: Dims): string {
  const parts = Object.entries(dims).map(([name, n]) =>
    `${name}${2 ** Math.ceil(Math.log2(Math.max(1, n)))}`
  );
  return `${spec.name}/${parts.join("_")}`;
}

/** True where a variant can run at all: features, the shader's own conditions, loops that the driver does not end early. */
export function isSupported(variant: KernelVariant, dims: Dims, args: Args, caps: Caps): boolean {
  return (variant.needs ?? []).every((f) => caps.features.has(f)) &&
    (variant.supports?.(dims, caps, args) ?? true) &&
    (caps.maxLoopTurns === Infinity || turnsOf(variant, dims, args, caps) <= caps.maxLoopTurns);
}

function turnsOf(variant: KernelVariant, dims: Dims, args: Args, caps: Caps): number {
  return variant.loopTurns?.(dims, constantsOf(variant, dims, args, caps), args) ?? 0;
}

/** The simplest variant that can run: the oracle of the others. */
export function simplest(
  spec: KernelSpec,
  dims: Dims,
  args: Args,
  caps: Caps,
): KernelVariant | undefined {
  return spec.variants.findLast((v) => isSupported(v, dims, args, caps));
}

/**
 * Chooses a variant and its constants.
 *
 * @throws {UnsupportedError} when the wanted variant cannot run here.
 */
export function select(
  gpu: Gpu,
  spec: KernelSpec,
  dims: Dims,
  args: Args,
  wanted?: TuningEntry,
): Selection {
  if (wanted?.variant) return named(gpu, spec, dims, args, wanted);
  if (gpu.options.kernels === "naive") {
    const variant = simplest(spec, dims, args, gpu.caps);
    if (!variant) return refuse(gpu, spec, dims, args);
    return finish(gpu, spec, variant, { dims, args, tunables: NONE, reason: "naive" });
  }
  const table = gpu.tuning;
  const entry = table && (table[sizeClass(spec, dims)] ?? table[spec.name]);
  if (entry?.variant) {
    const variant = spec.variants.find((v) => v.name === entry.variant);
    if (variant && isSupported(variant, dims, args, gpu.caps)) {
      return finish(gpu, spec, variant, {
        dims,
        args,
        tunables: entry.tunables ?? NONE,
        reason: "table",
      });
    }
  }
  const variant = spec.variants.find((v) => isSupported(v, dims, args, gpu.caps));
  if (!variant) return refuse(gpu, spec, dims, args);
  const tunables = wanted?.tunables ?? NONE;
  return finish(gpu, spec, variant, { dims, args, tunables, reason: "default" });
}

function refuse(gpu: Gpu, spec: KernelSpec, dims: Dims, args: Args): never {
  const sizes = JSON.stringify(dims);
  const turns = Math.min(...spec.variants.map((v) => turnsOf(v, dims, args, gpu.caps)));
  if (turns > gpu.caps.maxLoopTurns) {
    throw new UnsupportedError(
      `Cannot run "${spec.name}" for ${sizes}: a thread would loop ${turns} times, and ${gpu.adapterName} ends loops silently after ${gpu.caps.maxLoopTurns}`,
    );
  }
  throw new UnsupportedError(
    `Cannot run "${spec.name}": no variant supports ${sizes} on ${gpu.adapterName}`,
  );
}

function named(
  gpu: Gpu,
  spec: KernelSpec,
  dims: Dims,
  args: Args,
  wanted: TuningEntry,
): Selection {
  const variant = spec.variants.find((v) => v.name === wanted.variant);
  if (!variant || !isSupported(variant, dims, args, gpu.caps)) {
    throw new UnsupportedError(
      `Cannot run "${spec.name}" as ${wanted.variant}: it must be one of ${
        spec.variants.map((v) => v.name).join(", ")
      } and support ${JSON.stringify(dims)} on ${gpu.adapterName}`,
    );
  }
  const tunables = wanted.tunables ?? NONE;
  return finish(gpu, spec, variant, { dims, args, tunables, reason: "caller" });
}

function finish(
  gpu: Gpu,
  spec: KernelSpec,
  variant: KernelVariant,
  { dims, args, tunables, reason }: {
    readonly dims: Dims;
    readonly args: Args;
    readonly tunables: Constants;
    readonly reason: string;
  },
): Selection {
  const constants = constantsOf(variant, dims, args, gpu.caps, tunables);
  gpu.trace(3, () => {
    const passed = spec.variants.slice(0, spec.variants.indexOf(variant))
      .map((v) => `; ${v.name} ${whyNot(v, dims, args, gpu.caps)}`);
    return `select ${sizeClass(spec, dims)}: ${variant.name} (${reason}) ${
      JSON.stringify(constants)
    }${passed.join("")}`;
  });
  return { variant, constants, reason };
}

/** Why a variant that stands before the chosen one did not run. */
function whyNot(variant: KernelVariant, dims: Dims, args: Args, caps: Caps): string {
  const missing = (variant.needs ?? []).filter((f) => !caps.features.has(f));
  if (missing.length > 0) return `needs ${missing.join(", ")}`;
  if (!(variant.supports?.(dims, caps, args) ?? true)) return "is not for these sizes";
  return isSupported(variant, dims, args, caps) ? "was not asked for" : "would loop too long";
}

const defaults = new WeakMap<KernelVariant, Constants>();

/** The default of each tunable, made once: this runs for every dispatch. */
function defaultsOf(variant: KernelVariant): Constants {
  let found = defaults.get(variant);
  if (!found) {
    const entries = Object.entries(variant.tunables ?? {});
    found = Object.fromEntries(entries.map(([name, values]) => [name, values[0]]));
    defaults.set(variant, found);
  }
  return found;
}

const NONE: Constants = {};

function constantsOf(
  variant: KernelVariant,
  dims: Dims,
  args: Args,
  caps: Caps,
  tunables: Constants = NONE,
): Constants {
  const chosen = tunables === NONE ? defaultsOf(variant) : { ...defaultsOf(variant), ...tunables };
  return variant.constants ? { ...chosen, ...variant.constants(dims, args, caps) } : chosen;
}
