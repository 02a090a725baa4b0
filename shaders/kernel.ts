/**
 * What a kernel is: data. A spec declares buffers with symbolic shapes, a float64 reference, a tolerance, test cases and
 * one or more WGSL variants. The engine runs it; the tests, the benchmark and the README table read it.
 *
 * @module
 */

/** Sizes by name, e.g. `{ rows: 197, cols: 768 }`. */
export type Dims = Readonly<Record<string, number>>;
/** Scalars of a kernel that are not sizes, e.g. `{ eps: 1e-5 }`. */
export type Args = Readonly<Record<string, number>>;
/** Values for `const NAME: u32 = …;` lines of a shader. */
export type Constants = Readonly<Record<string, number>>;

/** What the adapter can do, as found by trying it. */
export interface Caps {
  /** Granted feature names (`"subgroups"`, `"shader-f16"`, `"timestamp-query"`, `"shader-f64"`, …). */
  readonly features: ReadonlySet<string>;
  /** Smallest subgroup size that a dispatch may see (0 when unknown). */
  readonly subgroupMinSize: number;
  /** Largest subgroup size that a dispatch may see (0 when unknown). */
  readonly subgroupMaxSize: number;
  /** True for a CPU driver (lavapipe, SwiftShader): barriers are dear there, registers spill cheaply. */
  readonly isSoftware: boolean;
  /** Threads allowed in one workgroup. */
  readonly maxWorkgroupInvocations: number;
  /** Bytes of `var<workgroup>` allowed in one workgroup. */
  readonly maxWorkgroupStorage: number;
  /** Storage buffers allowed in one kernel. */
  readonly maxStorageBuffers: number;
  /** Bytes that one storage binding may cover. */
  readonly maxBindingBytes: number;
  /** Bytes that one buffer may have. */
  readonly maxBufferBytes: number;
  /** Alignment in bytes of a storage binding's offset. */
  readonly offsetAlignment: number;
  /**
   * Turns that all loops of one thread may take together. Infinity but for Mesa's llvmpipe, which ends loops silently after 65,535
   * (`LP_MAX_TGSI_LOOP_ITERATIONS`; Mesa 22.3 does, 25.0 no longer).
   */
  readonly maxLoopTurns: number;
}

/** One WGSL implementation of a kernel. */
export interface KernelVariant {
  /** Unique name; the last variant of a spec ends in `_naive` where it is not the only one. */
  readonly name: string;
  /** Text of the WGSL file. */
  readonly source: string;
  /** Library files appended to it. */
  readonly lib?: readonly string[];
  /** Features that must have been granted. */
  readonly needs?: readonly string[];
  /** Candidate values of tunable constants, default first. */
  readonly tunables?: Readonly<Record<string, readonly number[]>>;
  /** Constants that follow from sizes, scalars or adapter (e.g. `HEAD_DIM`, the subgroup size). */
  constants?(dims: Dims, args: Args, caps: Caps): Constants;
  /** False where this variant cannot run or is never the right one; absent means always true. */
  supports?(dims: Dims, caps: Caps, args: Args): boolean;
  /**
   * Turns that the loops of one thread take together, at most, a loop's last look at its condition included; absent where no loop's
   * length depends on sizes. Loops with a literal bound are not counted.
   */
  loopTurns?(dims: Dims, constants: Constants, args: Args): number;
  /** Number of workgroups on each axis, for the constants in force (tunables and `constants`). */
  workgroups(dims: Dims, constants: Constants, args: Args): readonly [number, number, number];
}

/** Named float64 arrays, as a reference takes and returns them. */
export type HostArrays = Record<string, Float64Array>;

/** The contract that all variants of one kernel share. */
export interface KernelSpec {
  /** Name in errors, benchmark rows and the README table. */
  readonly name: string;
  /**
   * Storage buffers in binding order: `[out|inout] [f32|f64|u32|i32] dim dim …`. Without a type the buffer holds `Elem` (f32,
   * f16, or f64 where the spec has a tolerance for it). A dim is a name, an integer or a product such as `heads*headDim`.
   */
  readonly buffers: Readonly<Record<string, string>>;
  /** Scalars with the value that the tests use. */
  readonly args?: Args;
  /** Floating-point operations of one run. */
  flops(dims: Dims, args: Args): number;
  /** Bytes that one run must move; every buffer once when absent. */
  bytes?(dims: Dims, elemBytes: number): number;
  /**
   * True where values are moved, compared or converted and never computed with: `Elem` may then be u32 or i32 as well, which
   * keeps every bit (a driver may flush or canonicalise floats that are really integers).
   */
  readonly integers?: boolean;
  /** Plain float64 loops. Returns the out and inout buffers. */
  reference(inputs: HostArrays, dims: Dims, args: Args): HostArrays;
  /** Test data where standard normals will not do. `random()` is uniform in [0, 1). */
  readonly data?: Readonly<
    Record<
      string,
      (size: number, random: () => number, dims: Dims, args: Args) => ArrayLike<number>
    >
  >;
  /** Greatest allowed `|gpu − reference| / (|reference| + rms(reference))` by storage type. */
  readonly tolerance: { readonly f32: number; readonly f16?: number; readonly f64?: number };
  /** Small sizes (with scalars where a case changes one) that the tests run. */
  readonly cases: readonly Dims[];
  /** Sizes of record, for the benchmark. */
  readonly large?: readonly Dims[];
  /** Fastest-expected first; the last one supports everything. */
  readonly variants: readonly KernelVariant[];
}

/** One parsed entry of {@link KernelSpec.buffers}. */
export interface BufferDecl {
  /** Name of the buffer, as in the WGSL file. */
  readonly name: string;
  /** `in` is read, `out` is allocated by the engine and written, `inout` is given and updated in place. */
  readonly role: "in" | "out" | "inout";
  /** `elem` follows the storage type of the run. */
  readonly dtype: "elem" | "f32" | "f64" | "u32" | "i32";
  /** Each axis as a product of names and integers. */
  readonly shape: readonly (readonly (string | number)[])[];
}

const parsed = new WeakMap<KernelSpec, readonly BufferDecl[]>();

/** The buffers of a spec, parsed once. */
export function bufferDecls(spec: KernelSpec): readonly BufferDecl[] {
  let decls = parsed.get(spec);
  if (!decls) {
    decls = Object.entries(spec.buffers).map(([name, text]) => parseDecl(name, text));
    parsed.set(spec, decls);
  }
  return decls;
}

const given = new WeakMap<KernelSpec, readonly BufferDecl[]>();

/** Those of them that a caller gives: the `in` and `inout` buffers. */
export function givenDecls(spec: KernelSpec): readonly BufferDecl[] {
  let decls = given.get(spec);
  if (!decls) given.set(spec, decls = bufferDecls(spec).filter(({ role }) => role !== "out"));
  return decls;
}

const widths = { f32: 4, f64: 8, u32: 4, i32: 4 } as const;

/** Bytes that one run must move: by the spec's own formula, else every buffer once. */
export function bytesOf(spec: KernelSpec, dims: Dims, elemBytes: number): number {
  return spec.bytes?.(dims, elemBytes) ??
    bufferDecls(spec).reduce((sum, { dtype, shape }) => {
      const size = sizeOf(shape.map((axis) => productOf(axis, dims)));
      return sum + size * (dtype === "elem" ? elemBytes : widths[dtype]);
    }, 0);
}

/** Length of an axis: names and integers multiplied. */
export function productOf(axis: readonly (string | number)[], dims: Dims): number {
  return axis.reduce<number>((p, f) => p * (typeof f === "number" ? f : dims[f]), 1);
}

function parseDecl(name: string, text: string): BufferDecl {
  const words = text.split(/\s+/).filter(Boolean);
  const role = words[0] === "out" || words[0] === "inout" ? words.shift() as "out" | "inout" : "in";
  const dtype = ["f32", "f64", "u32", "i32"].includes(words[0])
    ? words.shift() as "f32" | "f64" | "u32" | "i32"
    : "elem";
  const shape = words.map((word) =>
    word.split("*").map((factor) => /^\d+$/.test(factor) ? Number(factor) : factor)
  );
  return { name, role, dtype, shape };
}

/**
 * Checks the parts of a spec that can be checked without a GPU and returns it.
 *
 * @throws {Error} when a spec has no variant, no case or no output, or when a tunable has no line in its shader.
 */
export function defineKernel(spec: KernelSpec): KernelSpec {
  const fail = (rule: string) => {
    throw new Error(`Cannot define kernel "${spec.name}": ${rule}`);
  };
  if (spec.variants.length === 0) fail("it needs at least one variant");
  if (spec.cases.length === 0) fail("it needs at least one test case");
  if (bufferDecls(spec).every((b) => b.role === "in")) fail("it needs an out or inout buffer");
  for (const variant of spec.variants) {
    for (const name of Object.keys(variant.tunables ?? {})) {
      if (!new RegExp(`^const ${name}: (u32|i32|f32|bool) = `, "m").test(variant.source)) {
        fail(`${variant.name} has no line "const ${name}: …" for its tunable`);
      }
    }
  }
  return spec;
}

/** Smallest integer not below `a / b`. */
export function ceilDiv(a: number, b: number): number {
  return Math.ceil(a / b);
}

/** WebGPU's default limit of workgroups on one axis. */
const MAX_GROUPS = 65535;

/** A row of `groups` workgroups, folded into y where it is longer than an axis may be. */
export function grid1d(groups: number): [number, number, number] {
  if (groups <= MAX_GROUPS) return [groups, 1, 1];
  const y = ceilDiv(groups, MAX_GROUPS);
  return [ceilDiv(groups, y), y, 1];
}

/** Number of values in a shape. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, n) => product * n, 1);
}
