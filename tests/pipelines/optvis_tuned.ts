/**
 * A network whose features are known: energies of gratings in four directions, three colours, over the four quarters of an image.
 *
 * @module
 */
import { conv2d } from "../../engine/ops/conv.ts";
import { add, relu, square } from "../../engine/ops/elementwise.ts";
import { avgPool2d } from "../../engine/ops/resize.ts";
import { concat, slice } from "../../engine/ops/shape.ts";
import { Tensor } from "../../engine/tensor.ts";
import type { Gpu } from "../../engine/gpu.ts";
import type { ImageModel } from "../../pipelines/optvis/maximize.ts";

const LUMA = [0.2126, 0.7152, 0.0722], SIDE = 9;

/** Gratings of 5 pixels' wavelength under a Gaussian, even and odd, of mean 0: `[8, 3, 9, 9]`, waves along 0, 45, 90 and 135 degrees. */
function gratings(): Float32Array {
  const out: number[] = [];
  for (let k = 0; k < 8; k++) {
    const angle = Math.floor(k / 2) * Math.PI / 4, phase = k % 2 * Math.PI / 2;
    const plane = Array.from({ length: SIDE * SIDE }, (_, p) => {
      const x = p % SIDE - 4, y = Math.floor(p / SIDE) - 4;
      const along = x * Math.cos(angle) + y * Math.sin(angle);
      return Math.cos(2 * Math.PI * along / 5 + phase) * Math.exp(-(x * x + y * y) / 12.5);
    });
    const mean = plane.reduce((s, v) => s + v) / plane.length;
    for (const w of LUMA) out.push(...plane.map((v) => w * (v - mean)));
  }
  return Float32Array.from(out);
}

/** `"maps"` `[n, 7, h, w]`: energies of four directions, then how red, green and blue. */
export class TunedNet implements ImageModel, Disposable {
  readonly #gratings: Tensor;
  readonly #colors: Tensor;

  constructor(gpu: Gpu) {
    this.#gratings = Tensor.from(gpu, gratings(), [8, 3, SIDE, SIDE]);
    const opponent = [0, 1, 2].flatMap((c) => [0, 1, 2].map((k) => k === c ? 1 : -0.5));
    this.#colors = Tensor.from(gpu, opponent, [3, 3, 1, 1]);
  }

  taps(x: Tensor): ReadonlyMap<string, Tensor> {
    const squares = square(conv2d(x, this.#gratings, { padding: 4 }));
    const energies = [0, 1, 2, 3].map((k) => {
      const part = (at: number) => slice(squares, { axis: 1, start: at, end: at + 1 });
      return add(part(2 * k), part(2 * k + 1));
    });
    const colors = relu(conv2d(x, this.#colors, {}));
    return new Map([["maps", avgPool2d(concat([...energies, colors], 1), 2)]]);
  }

  [Symbol.dispose](): void {
    this.#gratings.dispose();
    this.#colors.dispose();
  }
}
