/**
 * Runs one kernel variant on random data and compares it with the float64 reference.
 *
 * @module
 */
import { decodeF16, encodeF16 } from "../engine/half.ts";
import type { Gpu } from "../engine/gpu.ts";
import { foldIn, type Key, normal, randomBits, randomKey, uniform } from "../engine/random.ts";
import { run } from "../engine/run.ts";
import { Tensor } from "../engine/tensor.ts";
import {
  type Args,
  type BufferDecl,
  bufferDecls,
  type Constants,
  type Dims,
  type HostArrays,
  type KernelSpec,
  type KernelVariant,
  sizeOf,
} from "../shaders/kernel.ts";

/** One thing to check. */
export interface Check {
  /** The kernel. */
  readonly spec: KernelSpec;
  /** Its variant. */
  readonly variant: KernelVariant;
  /** Sizes and scalars, as listed in the spec's cases. */
  readonly dims: Dims;
  /** Tunables to set. */
  readonly tunables: Constants;
  /** Storage type. */
  readonly elem: CheckedType;
}

/** Storage types that are checked; u32 stands for every integer in kernels that only move values. */
export type CheckedType = "f32" | "f16" | "f64" | "u32";

/** The scalars and the sizes of a case, apart. */
export function splitCase(spec: KernelSpec, testCase: Dims): { dims: Dims; args: Args } {
  const names = Object.keys(spec.args ?? {});
  const entries = Object.entries(testCase);
  return {
    dims: Object.fromEntries(entries.filter(([k]) => !names.includes(k))),
    args: { ...spec.args, ...Object.fromEntries(entries.filter(([k]) => names.includes(k))) },
  };
}

/** Random inputs of a kernel, as stored: rounded to f32 or f16 where the buffer is. */
export function hostInputs(
  spec: KernelSpec,
  dims: Dims,
  args: Args,
  elem: CheckedType,
): HostArrays {
  const inputs: HostArrays = {};
  bufferDecls(spec).forEach((decl, i) => {
    if (decl.role === "out") return;
    const size = sizeOf(shapeOf(decl, dims));
    const key = foldIn(randomKey(2026), i);
    const make = spec.data?.[decl.name];
    const dtype = decl.dtype === "elem" ? elem : decl.dtype;
    const isInteger = dtype === "u32" || dtype === "i32";
    const draw = () => isInteger ? randomBits(key, size) : draws(key, size);
    const values = make ? make(size, uniforms(key), dims, args) : draw();
    const f32 = Float32Array.from(values);
    const stored = dtype === "f16" ? decodeF16(encodeF16(f32)) : f32;
    const isWide = isInteger || dtype === "f64";
    inputs[decl.name] = Float64Array.from(isWide ? values : stored);
  });
  return inputs;
}

/** Standard normals that use all digits of a float64. */
function draws(key: Key, size: number): Float64Array {
  const low = normal(foldIn(key, size), size);
  return Float64Array.from(normal(key, size), (value, i) => value + low[i] * 2 ** -26);
}

/** Sizes of a buffer's axes. */
export function shapeOf(decl: BufferDecl, dims: Dims): number[] {
  return decl.shape.map((axis) =>
    axis.reduce<number>((p, f) => p * (typeof f === "number" ? f : dims[f]), 1)
  );
}

function uniforms(key: Key): () => number {
  let i = 0, block = uniform(key, 1024);
  return () => {
    if (i === block.length) {
      key = foldIn(key, i);
      block = uniform(key, 1024);
      i = 0;
    }
    return block[i++];
  };
}

/**
 * Runs a check. Outputs start as NaN, so that a value that is never written fails.
 *
 * @throws {Error} naming the worst element and the share of the tolerance that it used.
 */
export async function checkKernel(gpu: Gpu, check: Check): Promise<void> {
  const { spec, variant, elem } = check;
  const { dims, args } = splitCase(spec, check.dims);
  const inputs = hostInputs(spec, dims, args, elem);
  const expected = spec.reference(
    Object.fromEntries(Object.entries(inputs).map(([k, v]) => [k, v.slice()])),
    dims,
    args,
  );
  const decls = bufferDecls(spec);
  const dtypeOf = (d: typeof decls[number]) => (d.dtype === "elem" ? elem : d.dtype);
  const given = decls.filter((d) => d.role !== "out").map((d) =>
    Tensor.from(gpu, inputs[d.name], shapeOf(d, dims), { dtype: dtypeOf(d) })
  );
  const out = Object.fromEntries(
    decls.filter((d) => d.role === "out").map((d) => [
      d.name,
      Tensor.from(gpu, new Float32Array(sizeOf(shapeOf(d, dims))).fill(NaN), shapeOf(d, dims), {
        dtype: dtypeOf(d),
      }),
    ]),
  );
  try {
    const choice = { variant: variant.name, tunables: check.tunables };
    run(spec, given, { gpu, dims, args, out, choice, dtype: elem });
    for (const decl of decls) {
      if (decl.role === "in") continue;
      const index = decls.filter((d) => d.role !== "out").indexOf(decl);
      const tensor = decl.role === "out" ? out[decl.name] : given[index];
      compare(check, decl.name, await tensor.data(), expected[decl.name]);
    }
  } finally {
    [...given, ...Object.values(out)].forEach((t) => t.dispose());
  }
}

function compare(
  { spec, variant, dims, elem, tunables }: Check,
  name: string,
  got: ArrayLike<number>,
  expected: Float64Array,
): void {
  const tolerance = spec.tolerance[elem === "u32" ? "f32" : elem] ?? spec.tolerance.f32;
  const error = worstError(got, expected);
  if (!(error.value <= tolerance)) {
    const share = tolerance > 0
      ? `${(100 * error.value / tolerance).toFixed(0)} % of tolerance`
      : "none allowed";
    throw new Error(
      `${variant.name} ${elem} ${JSON.stringify(dims)} ${
        JSON.stringify(tunables)
      }: ${name}[${error.at}] = ${got[error.at]}, reference ${expected[error.at]}, error ${
        error.value.toExponential(2)
      } (${share})`,
    );
  }
}

/** The greatest `|got − expected| / (|expected| + rms(expected))` and where it is; NaN counts as infinite. */
export function worstError(
  got: ArrayLike<number>,
  expected: ArrayLike<number>,
): { value: number; at: number } {
  if (got.length !== expected.length) return { value: Infinity, at: 0 };
  let squares = 0;
  for (let i = 0; i < expected.length; i++) squares += expected[i] ** 2;
  const rms = Math.sqrt(squares / Math.max(1, expected.length));
  const worst = { value: 0, at: 0 };
  for (let i = 0; i < expected.length; i++) {
    if (Object.is(got[i], expected[i]) || got[i] === expected[i]) continue;
    const error = Math.abs(got[i] - expected[i]) / (Math.abs(expected[i]) + rms);
    if (!(error <= worst.value)) Object.assign(worst, { value: error, at: i });
    if (Number.isNaN(error)) return { value: Infinity, at: i };
  }
  return worst;
}
