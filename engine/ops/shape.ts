/**
 * Operations that move values without computing.
 *
 * @module
 */
import { ShapeError } from "../errors.ts";
import { record } from "../tape.ts";
import { type Tensor, tidy } from "../tensor.ts";
import { add, full } from "./elementwise.ts";
import { broadcastShape } from "./broadcast.ts";
import { sumTo } from "./reduce.ts";

/**
 * `x` repeated to a larger shape.
 *
 * @throws {ShapeError} when an axis is neither 1 nor equal.
 */
export function broadcastTo(x: Tensor, shape: readonly number[]): Tensor {
  const reached = broadcastShape("broadcast", x.shape, shape);
  if (reached.length !== shape.length || reached.some((n, i) => n !== shape[i])) {
    throw new ShapeError(`Cannot broadcast [${x.shape}] to [${shape}]`);
  }
  const from = x.shape;
  const repeated = tidy(x.gpu, () => {
    const dtype = x.dtype === "f16" ? "f16" : "f32";
    return add(x.detach(), full(x.gpu, shape, 0, { dtype }));
  });
  return record(repeated, [x], [], (g) => [() => sumTo(g, from)]);
}
