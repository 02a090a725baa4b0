/**
 * Storage types and choices between values.
 *
 * @module
 */
import { DTypeError } from "../errors.ts";
import { record, recordOpaque } from "../tape.ts";
import { type DType, dtypeBytes, type Tensor, tidy } from "../tensor.ts";
import { broadcastShape } from "./broadcast.ts";
import { full, pointwise } from "./elementwise.ts";
import { sumTo } from "./reduce.ts";
import { broadcastTo } from "./shape.ts";
import { castFromF32Kernel, castToF32Kernel } from "../../shaders/elementwise/cast.ts";
import { whereKernel } from "../../shaders/elementwise/where.ts";

const isFloat = (dtype: DType): boolean => dtype === "f32" || dtype === "f16" || dtype === "f64";

/**
 * `x` in another storage type. f16 is rounded to nearest even; floats become integers by truncation, limited to the type's range
 * (NaN is undefined); u32 and i32 become each other by their bits, and f32 rounded above 2²⁴. f64 becomes f32 on the way to any other
 * type, and so does any other on the way to f64. Differentiable between floats.
 */
export function cast(x: Tensor, dtype: DType): Tensor {
  const y = converted(x, dtype);
  if (!isFloat(x.dtype) || !isFloat(dtype)) return recordOpaque(y, [x], `cast to ${dtype}`);
  const from = x.dtype;
  return record(y, [x], [], (g) => [() => cast(g, from)]);
}

function converted(x: Tensor, dtype: DType): Tensor {
  if (x.dtype === dtype || !isFloat(x.dtype) && !isFloat(dtype)) {
    using bits = x.alias(x.shape, 0, dtype);
    return broadcastTo(bits, x.shape); // a copy: integer tensors may be updated in place
  }
  if (dtype === "f32") return pointwise(castToF32Kernel, [x], x.shape, { dtype });
  if (x.dtype === "f32") return pointwise(castFromF32Kernel, [x], x.shape, { dtype });
  return tidy(x.gpu, () => pointwise(castFromF32Kernel, [converted(x, "f32")], x.shape, { dtype }));
}

/**
 * `a` where `condition` is not 0, else `b`, with broadcasting. The condition may be of any type: `greater(x, y)`, or bytes of a mask
 * as u32. `a` and `b` may be of any one type.
 *
 * @throws {ShapeError} when an axis differs and neither is 1.
 * @throws {DTypeError} when the types of `a` and `b` differ.
 */
export function where(condition: Tensor, a: Tensor, b: Tensor): Tensor {
  if (a.dtype !== b.dtype) {
    throw new DTypeError(
      `Cannot choose between ${a.dtype} and ${b.dtype}: both must have one type`,
    );
  }
  const shape = broadcastShape("where", condition.shape, broadcastShape("where", a.shape, b.shape));
  const y = tidy(a.gpu, () => {
    const wide = dtypeBytes(condition.dtype) === 4
      ? condition.detach()
      : converted(condition, "f32");
    const args = { mask: isFloat(condition.dtype) ? 0x7fffffff : 0xffffffff };
    const spread = (t: Tensor) => `${t.shape}` === `${shape}` ? t : broadcastTo(t.detach(), shape);
    const bits = spread(wide).alias(shape, 0, "u32");
    return pointwise(whereKernel, [bits, spread(a), spread(b)], shape, { dtype: a.dtype, args });
  });
  const [sa, sb, dtype] = [a.shape, b.shape, a.dtype];
  return record(y, [condition, a, b], [condition], (g, [condition]) => {
    const zero = () => full(g.gpu, [1], 0, { dtype });
    return [
      () => full(g.gpu, condition.shape, 0, { dtype: condition.dtype }),
      () => sumTo(where(condition, g, zero()), sa),
      () => sumTo(where(condition, zero(), g), sb),
    ];
  });
}
