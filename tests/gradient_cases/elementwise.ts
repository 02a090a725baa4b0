/**
 * Gradients of the functions of one and two values.
 *
 * @module
 */
import * as elementwise from "../../engine/ops/elementwise.ts";
import { binaryOps } from "../../shaders/elementwise/binary.ts";
import { type UnaryName, unaryOps } from "../../shaders/elementwise/unary.ts";
import { normal, randomKey } from "../../engine/random.ts";
import type { GradientCase } from "../gradcheck.ts";

const unary: GradientCase[] = (Object.keys(unaryOps) as UnaryName[]).map((name) => {
  const op = unaryOps[name];
  return {
    name,
    shapes: [[3, 7]],
    data: (size) => {
      const x = normal(randomKey(5), size);
      return "positive" in op ? x.map((v) => 0.2 + Math.abs(v)) : x;
    },
    f: (x) => elementwise[name](x),
    reference: (x) => x.map((v) => op.f(v)),
  };
});

const arithmetic = ["add", "sub", "mul", "div", "maximum", "minimum", "pow"] as const;

// a: [2, 1, 5], b: [3, 1] → [2, 3, 5]
const broadcast: GradientCase[] = arithmetic.map((name) => ({
  name: `${name} with broadcasting`,
  shapes: [[2, 1, 5], [3, 1]],
  data: (size, i) => normal(randomKey(7 + i), size).map((v) => 0.5 + Math.abs(v)),
  f: (a, b) => elementwise[name](a, b),
  reference: (a, b) =>
    Float64Array.from(
      { length: 30 },
      (_, i) => binaryOps[name].f(a[Math.floor(i / 15) * 5 + i % 5], b[Math.floor(i / 5) % 3]),
    ),
  tolerance: 2e-5, // pow is 12 ulp on the software drivers
}));

/** Cases of this family. */
export const elementwiseCases: readonly GradientCase[] = [...unary, ...broadcast, {
  name: "clamp",
  shapes: [[40]],
  f: (x) => elementwise.clamp(x, -0.5, 0.7),
  reference: (x) => x.map((v) => Math.min(0.7, Math.max(-0.5, v))),
}, {
  name: "scale and addScalar",
  shapes: [[9]],
  f: (x) => elementwise.addScalar(elementwise.scale(x, -3), 2),
  reference: (x) => x.map((v) => -3 * v + 2),
}];
