/**
 * The identity that makes a gradient of a linear map exact: ⟨Ax, y⟩ = ⟨x, Aᵀy⟩.
 *
 * @module
 */
import type { Gpu } from "../engine/gpu.ts";
import { foldIn, normal, randomKey } from "../engine/random.ts";
import { Tape } from "../engine/tape.ts";
import { readAll, Tensor, tidy } from "../engine/tensor.ts";
import { sizeOf } from "../shaders/kernel.ts";

const dot = (a: ArrayLike<number>, b: ArrayLike<number>) => {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
};

/** `|⟨Ax, y⟩ − ⟨x, Aᵀy⟩| / (‖Ax‖·‖y‖)` for random x and y, the sums in float64. */
export async function adjointGap(
  gpu: Gpu,
  shape: readonly number[],
  f: (x: Tensor) => Tensor,
  seed = 5,
): Promise<number> {
  const key = randomKey(seed);
  const values = normal(foldIn(key, 0), sizeOf(shape));
  using x = Tensor.from(gpu, values, shape);
  using tape = new Tape();
  using on = tape.watch(x);
  using y = tidy(gpu, () => f(on));
  const other = normal(foldIn(key, 1), y.size);
  using v = Tensor.from(gpu, other, y.shape);
  const [back] = tape.gradient(y, [on], { seed: v });
  const [image, pulled] = await readAll([y, back]);
  back.dispose();
  return Math.abs(dot(image, other) - dot(values, pulled)) /
    Math.sqrt(dot(image, image) * dot(other, other));
}
