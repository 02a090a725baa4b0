/**
 * Functions of one and two values.
 *
 * @module
 */
import { DTypeError } from "../errors.ts";
import { run } from "../run.ts";
import { record, recordOpaque, type Vjp } from "../tape.ts";
import { allocate, type DType, dtypeBytes, floatType, Tensor, tidy } from "../tensor.ts";
import { broadcastArgs, broadcastShape } from "./broadcast.ts";
import { movedTo } from "./copy.ts";
import { max, sumTo } from "./reduce.ts";
import { binaryKernels, type BinaryName, f64Kernels } from "../../shaders/elementwise/binary.ts";
import { fillKernel } from "../../shaders/elementwise/fill.ts";
import {
  unaryGradientKernels,
  unaryKernels,
  type UnaryName,
} from "../../shaders/elementwise/unary.ts";
import { type Args, bufferDecls, type KernelSpec, sizeOf } from "../../shaders/kernel.ts";
import type { Gpu } from "../gpu.ts";

/** A tensor of one repeated value; whole numbers up to 2²⁴ are exact. */
export function full(
  gpu: Gpu,
  shape: readonly number[],
  value: number,
  { dtype = "f32" }: { dtype?: DType } = {},
): Tensor {
  if (dtype === "f64" && value !== Math.fround(value)) { // a kernel's scalars are f32
    return tidy(gpu, () => {
      const one = Tensor.from(gpu, [value], [1], { dtype });
      return movedTo(one, shape, [{ n: sizeOf(shape), source: 0, target: 1 }]);
    });
  }
  return inPieces(gpu, shape, { dtype, width: dtypeBytes(dtype) }, (y, n) => {
    run(fillKernel, [], { gpu, dtype, dims: { n }, args: { value }, out: { y } });
  });
}

/** Makes a tensor piece by piece where one binding cannot cover `width` bytes for each of its values. */
function inPieces(
  gpu: Gpu,
  shape: readonly number[],
  { dtype, width }: { dtype: DType; width: number },
  work: (piece: Tensor, n: number, start: number) => void,
): Tensor {
  const step = Math.floor(gpu.caps.maxBindingBytes / width / 1024) * 1024; // whole vec4s at aligned offsets
  return tidy(gpu, () => {
    const y = allocate(gpu, shape, dtype);
    for (let start = 0; start < y.size; start += step) {
      const n = Math.min(step, y.size - start);
      if (n === y.size) work(y, n, start);
      else tidy(gpu, () => work(y.alias([n], start), n, start));
    }
    return y;
  });
}

/**
 * Runs a pointwise kernel on tensors of one size, in pieces where a binding would be over the adapter's limit. The result has the
 * type of the first input unless another is given.
 *
 * @internal
 */
export function pointwise(
  spec: KernelSpec,
  inputs: readonly Tensor[],
  shape: readonly number[],
  { dtype = inputs[0].dtype, args = {} }: { dtype?: DType; args?: Args } = {},
): Tensor {
  const out = bufferDecls(spec).at(-1)!;
  const width = Math.max(dtypeBytes(dtype), ...inputs.map((t) => dtypeBytes(t.dtype)));
  inputs.forEach((t) => t.binding()); // throws for a disposed input, before allocating
  return inPieces(inputs[0].gpu, shape, { dtype, width }, (piece, n, start) => {
    const pieces = n === inputs[0].size ? inputs : inputs.map((t) => t.alias([n], start));
    run(spec, pieces, {
      dims: { n, aSize: n, bSize: n },
      args: { ...args, n4: n },
      out: { [out.name]: piece },
      dtype: out.dtype === "elem" ? dtype : undefined,
    });
  });
}

function unary(name: UnaryName, x: Tensor): Tensor {
  const y = pointwise(unaryKernels[name], [x], x.shape);
  return record(y, [x], [x], (g, [x]) => [
    () => pointwise(unaryGradientKernels[name], [x, g], x.shape),
  ]);
}

function arithmeticF64(name: BinaryName): KernelSpec {
  const spec = f64Kernels[name as keyof typeof f64Kernels];
  if (!spec) throw new DTypeError(`Cannot ${name} f64: it has add, sub, mul and div only`);
  return spec;
}

function binary(name: BinaryName, a: Tensor, b: Tensor): Tensor {
  const shape = broadcastShape(name, a.shape, b.shape);
  if (a.dtype !== b.dtype) {
    throw new DTypeError(`Cannot ${name} ${a.dtype} and ${b.dtype}: both must have one type`);
  }
  const n = sizeOf(shape);
  const spec = a.dtype === "f64" ? arithmeticF64(name) : binaryKernels[name];
  if (a.size === n && b.size === n) return pointwise(spec, [a, b], shape);
  const [y] = run(spec, [a, b], {
    dims: { n, aSize: a.size, bSize: b.size },
    args: broadcastArgs(a.shape, b.shape, shape),
    shapes: { y: shape },
  });
  return y;
}

const differentiable = (name: BinaryName, a: Tensor, b: Tensor, vjp: Vjp): Tensor =>
  record(binary(name, a, b), [a, b], [a, b], vjp);

/** `a + b` with broadcasting. */
export function add(a: Tensor, b: Tensor): Tensor {
  const [sa, sb] = [a.shape, b.shape];
  return record(binary("add", a, b), [a, b], [], (g) => [() => sumTo(g, sa), () => sumTo(g, sb)]);
}

/** `a − b` with broadcasting. */
export function sub(a: Tensor, b: Tensor): Tensor {
  const [sa, sb] = [a.shape, b.shape];
  return record(binary("sub", a, b), [a, b], [], (g) => [
    () => sumTo(g, sa),
    () => sumTo(neg(g), sb),
  ]);
}

/** `a · b` with broadcasting. */
export function mul(a: Tensor, b: Tensor): Tensor {
  return differentiable("mul", a, b, (g, [a, b]) => [
    () => sumTo(mul(g, b), a.shape),
    () => sumTo(mul(g, a), b.shape),
  ]);
}

/** `a / b` with broadcasting. */
export function div(a: Tensor, b: Tensor): Tensor {
  return differentiable("div", a, b, (g, [a, b]) => [
    () => sumTo(div(g, b), a.shape),
    () => sumTo(neg(div(mul(g, a), mul(b, b))), b.shape),
  ]);
}

/** The larger of `a` and `b`; where they are equal the gradient goes to `a`. */
export function maximum(a: Tensor, b: Tensor): Tensor {
  return differentiable("maximum", a, b, (g, [a, b]) => [
    () => sumTo(mul(g, greaterEqual(a, b)), a.shape),
    () => sumTo(mul(g, greater(b, a)), b.shape),
  ]);
}

/** The smaller of `a` and `b`; where they are equal the gradient goes to `a`. */
export function minimum(a: Tensor, b: Tensor): Tensor {
  return differentiable("minimum", a, b, (g, [a, b]) => [
    () => sumTo(mul(g, greaterEqual(b, a)), a.shape),
    () => sumTo(mul(g, greater(a, b)), b.shape),
  ]);
}

/** `aᵇ` for `a` > 0. */
export function pow(a: Tensor, b: Tensor): Tensor {
  return differentiable("pow", a, b, (g, [a, b]) => [
    () => sumTo(mul(g, div(mul(b, pow(a, b)), a)), a.shape),
    () => sumTo(mul(g, mul(pow(a, b), log(a))), b.shape),
  ]);
}

/** 1 where `a > b`, else 0. */
export function greater(a: Tensor, b: Tensor): Tensor {
  return recordOpaque(binary("greater", a, b), [a, b], "greater");
}

/** 1 where `a ≥ b`, else 0. */
export function greaterEqual(a: Tensor, b: Tensor): Tensor {
  return recordOpaque(binary("greaterEqual", a, b), [a, b], "greaterEqual");
}

/** 1 where `a = b`, else 0. */
export function equal(a: Tensor, b: Tensor): Tensor {
  return recordOpaque(binary("equal", a, b), [a, b], "equal");
}

/** Adds a number to every value. */
export function addScalar(x: Tensor, value: number): Tensor {
  return withScalar(x, value, add);
}

/** Multiplies every value by a number. */
export function scale(x: Tensor, factor: number): Tensor {
  return withScalar(x, factor, mul);
}

function withScalar(x: Tensor, value: number, op: (a: Tensor, b: Tensor) => Tensor): Tensor {
  using b = full(x.gpu, [1], value, { dtype: floatType(x) });
  return op(x, b);
}

/** `x` limited to `[low, high]`; the gradient is 0 outside. */
export function clamp(x: Tensor, low: number, high: number): Tensor {
  return tidy(x.gpu, () => {
    const dtype = floatType(x);
    const bounded = maximum(x, full(x.gpu, [1], low, { dtype }));
    return minimum(bounded, full(x.gpu, [1], high, { dtype }));
  });
}

/** Options of {@link relu}. */
export interface ReluOptions {
  /**
   * `"redirected"` is lucid's rule for a loss to be made small: where the ordinary gradient of an item of the first axis is 0 throughout,
   * the gradient passes but for what would push dead values lower (`lucid/misc/redirected_relu_grad.py`).
   */
  readonly grad?: "standard" | "redirected";
}

/** `max(x, 0)`. */
export function relu(x: Tensor, { grad = "standard" }: ReluOptions = {}): Tensor {
  if (grad === "standard") return unary("relu", x);
  const y = pointwise(unaryKernels.relu, [x], x.shape);
  return record(y, [x], [y], (g, [y]) => [() => redirected(y, g)]);
}

/** Gradient of a ReLU with output `y`: what its input was matters by its sign alone. @internal */
export function reluGradient(y: Tensor, g: Tensor): Tensor {
  return pointwise(unaryGradientKernels.relu, [y, g], y.shape);
}

function redirected(y: Tensor, g: Tensor): Tensor {
  const passed = reluGradient(y, g.alias(y.shape));
  const axes = y.shape.map((_, i) => i).slice(y.shape.length > 1 ? 1 : 0);
  const zero = full(y.gpu, [1], 0, { dtype: floatType(y) });
  const isDead = equal(max(abs(passed), { axes, keepDims: true }), zero);
  return add(passed, mul(minimum(g.alias(y.shape), zero), isDead)); // what lives in a dead item has gradient 0
}

/** `x·σ(x)`. */
export function silu(x: Tensor): Tensor {
  return unary("silu", x);
}

/** `x·Φ(x)` with the exact error function. */
export function gelu(x: Tensor): Tensor {
  return unary("gelu", x);
}

/** GELU by its tanh approximation (Hendrycks and Gimpel). */
export function geluTanh(x: Tensor): Tensor {
  return unary("geluTanh", x);
}

/** `x·σ(1.702 x)`: the GELU of OpenAI's CLIP. */
export function quickGelu(x: Tensor): Tensor {
  return unary("quickGelu", x);
}

/** `1 / (1 + e⁻ˣ)`. */
export function sigmoid(x: Tensor): Tensor {
  return unary("sigmoid", x);
}

/** Hyperbolic tangent. */
export function tanh(x: Tensor): Tensor {
  return unary("tanh", x);
}

/** `log(1 + eˣ)`. */
export function softplus(x: Tensor): Tensor {
  return unary("softplus", x);
}

/** `−x`. */
export function neg(x: Tensor): Tensor {
  return x.dtype === "f64" ? scale(x, -1) : unary("neg", x);
}

/** `|x|`. */
export function abs(x: Tensor): Tensor {
  return unary("abs", x);
}

/** `eˣ`. */
export function exp(x: Tensor): Tensor {
  return unary("exp", x);
}

/** Natural logarithm. */
export function log(x: Tensor): Tensor {
  return unary("log", x);
}

/** Square root. */
export function sqrt(x: Tensor): Tensor {
  return unary("sqrt", x);
}

/** `1/√x`. */
export function rsqrt(x: Tensor): Tensor {
  return unary("rsqrt", x);
}

/** `x²`. */
export function square(x: Tensor): Tensor {
  return unary("square", x);
}

/** `1/x`. */
export function reciprocal(x: Tensor): Tensor {
  return unary("reciprocal", x);
}

/** Sine. */
export function sin(x: Tensor): Tensor {
  return unary("sin", x);
}

/** Cosine. */
export function cos(x: Tensor): Tensor {
  return unary("cos", x);
}

/** Error function. */
export function erf(x: Tensor): Tensor {
  return unary("erf", x);
}

/** −1, 0 or 1. */
export function sign(x: Tensor): Tensor {
  return unary("sign", x);
}

/** Largest integer not above `x`. */
export function floor(x: Tensor): Tensor {
  return unary("floor", x);
}
