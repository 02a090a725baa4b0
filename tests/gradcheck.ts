/**
 * Checks a gradient in one random direction against central differences of the float64 reference, which is far sharper than
 * differencing in f32: with a step of 1e-5 the truncation error is about 1e-10.
 *
 * @module
 */
import assert from "node:assert/strict";
import type { Gpu } from "../engine/gpu.ts";
import { foldIn, normal, randomKey } from "../engine/random.ts";
import { Tape } from "../engine/tape.ts";
import { readAll, Tensor, tidy } from "../engine/tensor.ts";
import { sizeOf } from "../shaders/kernel.ts";
import { worstError } from "../bench/check_kernel.ts";

/** A differentiable op with its float64 definition. */
export interface GradientCase {
  /** Name of the test. */
  readonly name: string;
  /** Shapes of the inputs that are differentiated. */
  readonly shapes: readonly (readonly number[])[];
  /** Values of the inputs where standard normals will not do. */
  data?(size: number, input: number): ArrayLike<number>;
  /** The op under test. */
  f(...xs: Tensor[]): Tensor;
  /** The same in float64, on row-major values. */
  reference(...xs: Float64Array[]): ArrayLike<number>;
  /** Greatest relative error of the directional derivative (default 1e-5: f32 rounding in a few chained kernels). */
  readonly tolerance?: number;
  /** Greatest error of the value itself (default 1e-5). */
  readonly valueTolerance?: number;
}

const STEP = 1e-5;

/** Runs a case: value, then each input's gradient along a random direction. */
export async function gradcheck(gpu: Gpu, test: GradientCase): Promise<void> {
  const key = randomKey(11);
  const values = test.shapes.map((shape, i) => {
    const size = sizeOf(shape);
    return Float64Array.from(
      Float32Array.from(test.data?.(size, i) ?? normal(foldIn(key, i), size)),
    );
  });
  const expected = Float64Array.from(test.reference(...values));
  const readout = Float64Array.from(normal(foldIn(key, 100), expected.length));
  const inputs = values.map((v, i) => Tensor.from(gpu, v, test.shapes[i]));
  using tape = new Tape();
  const watched = inputs.map((t) => tape.watch(t));
  const y = tidy(gpu, () => test.f(...watched));
  using seed = Tensor.from(gpu, readout, y.shape);
  const gradients = tape.gradient(y, watched, { seed });
  const [got, ...parts] = await readAll([y, ...gradients]);
  [...inputs, ...watched, y, ...gradients].forEach((t) => t.dispose());

  const value = worstError(got, expected);
  assert(
    value.value <= (test.valueTolerance ?? 1e-5),
    `${test.name}: value off by ${value.value} at ${value.at}`,
  );
  values.forEach((v, i) => {
    const direction = Float64Array.from(normal(foldIn(key, 200 + i), v.length));
    const shifted = (step: number) => {
      const moved = values.map((w, k) => (k === i ? w.map((x, j) => x + step * direction[j]) : w));
      return Float64Array.from(test.reference(...moved)).reduce((s, x, j) => s + x * readout[j], 0);
    };
    const numeric = (shifted(STEP) - shifted(-STEP)) / (2 * STEP);
    const analytic = direction.reduce((s, d, j) => s + d * parts[i][j], 0);
    const size = Math.hypot(...parts[i]) + Math.abs(numeric) + 1e-30;
    const error = Math.abs(analytic - numeric) / size;
    assert(
      error <= (test.tolerance ?? 1e-5),
      `${test.name}: gradient of input ${i} is ${analytic}, differences give ${numeric} (relative ${error})`,
    );
  });
}
