/**
 * Compares the Fourier parameterisation with reference images and gradients of lucent's own code.
 *
 * @module
 */
import assert from "node:assert/strict";
import { fourierParam } from "../../pipelines/optvis/param_fourier.ts";
import { Tape } from "../../engine/tape.ts";
import { readAll, Tensor } from "../../engine/tensor.ts";
import type { Gpu } from "../../engine/gpu.ts";
import { type StateDict, toFloat32 } from "../../pipelines/io/state_dict.ts";

function relative(got: ArrayLike<number>, want: ArrayLike<number>): number {
  assert.equal(got.length, want.length);
  let off = 0, size = 0;
  for (let i = 0; i < want.length; i++) {
    off += (got[i] - want[i]) ** 2;
    size += want[i] ** 2;
  }
  return Math.sqrt(off / size);
}

/**
 * Checks one case: image before colours, image, and the gradient of `Σ rgb · readout`. lucent keeps one column more for odd widths and
 * never reads it: its gradient must be 0 and it is left out.
 */
export async function compareLucent(
  gpu: Gpu,
  tensors: StateDict,
  name: string,
  { decorrelate }: { decorrelate: boolean },
): Promise<void> {
  const get = (key: string) => toFloat32(tensors.get(key)!);
  const [n, , height, columns] = tensors.get(`in.${name}.spectrum`)!.shape;
  const width = tensors.get(`out.${name}.rgb`)!.shape[3];
  const kept = Math.floor(width / 2) + 1;
  const parts = (values: Float32Array) =>
    [0, 1].map((part) =>
      values.filter((_, at) => at % 2 === part && Math.floor(at / 2) % columns < kept)
    );
  const theta = parts(get(`in.${name}.spectrum`)).map((z) =>
    Tensor.from(gpu, z, [n, 3, height, kept])
  );
  using raw = fourierParam(gpu, { height, width }, { colors: "none", squash: "none" });
  using plain = raw.image(theta);
  using param = fourierParam(gpu, { height, width }, { colors: decorrelate ? "channels" : "none" });
  using tape = new Tape();
  const on = theta.map((t) => tape.watch(t));
  using image = param.image(on);
  using seed = Tensor.from(gpu, get(`in.${name}.readout`), image.shape);
  const gradients = tape.gradient(image, on, { seed });
  const [before, after, ...got] = await readAll([plain, image, ...gradients]);
  [...theta, ...on, ...gradients].forEach((t) => t.dispose());
  // Stated for these outputs: torch in f32 is 1e-7 from its own float64, the smallest mistake found 1e-2.
  const close = (a: ArrayLike<number>, b: ArrayLike<number>, what: string) =>
    assert(relative(a, b) <= 1e-5, `${name}: ${what} is off by ${relative(a, b)}`);
  close(before, get(`out.${name}.image_raw`), "image_raw");
  close(after, get(`out.${name}.rgb`), "rgb");
  const gradient = get(`grad.${name}.spectrum`);
  parts(gradient).forEach((want, part) => close(got[part], want, `gradient ${part}`));
  const unread = gradient.filter((_, at) => Math.floor(at / 2) % columns >= kept);
  assert(unread.every((g) => g === 0));
}
