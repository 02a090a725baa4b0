/**
 * A network whose features are known: energies of gratings in four directions, three colours, over the four quarters of an image, and
 * scorers of images that share nothing with it.
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

/** Share of the energy of neighbour differences along each of the four directions, from a structure tensor: `cos²` of the angle between. */
export function directionEnergies(image: Float32Array, side: number): number[] {
  const plane = side * side;
  const luma = Array.from(
    { length: plane },
    (_, p) => LUMA.reduce((s, w, c) => s + w * image[c * plane + p], 0),
  );
  let xx = 0, xy = 0, yy = 0;
  for (let i = 1; i < side - 1; i++) {
    for (let j = 1; j < side - 1; j++) {
      const dx = luma[i * side + j + 1] - luma[i * side + j - 1];
      const dy = luma[(i + 1) * side + j] - luma[(i - 1) * side + j];
      xx += dx * dx;
      xy += dx * dy;
      yy += dy * dy;
    }
  }
  return [0, 1, 2, 3].map((k) => {
    const [c, s] = [Math.cos(k * Math.PI / 4), Math.sin(k * Math.PI / 4)];
    return (c * c * xx + 2 * c * s * xy + s * s * yy) / (xx + yy);
  });
}

/** How far each colour's mean lies above the mean of all. */
export function colorShares(image: Float32Array): number[] {
  const plane = image.length / 3;
  const means = [0, 1, 2].map((c) =>
    image.subarray(c * plane, (c + 1) * plane).reduce((s, v) => s + v, 0) / plane
  );
  const middle = (means[0] + means[1] + means[2]) / 3;
  return means.map((m) => m - middle);
}

/** Share of the squared differences of neighbours that lies in each quarter: top left, top right, bottom left, bottom right. */
export function quarterEnergies(image: Float32Array, side: number): number[] {
  const sums = [0, 0, 0, 0], plane = side * side;
  for (let c = 0; c < 3; c++) {
    for (let i = 0; i < side - 1; i++) {
      for (let j = 0; j < side - 1; j++) {
        const p = c * plane + i * side + j;
        const energy = (image[p + 1] - image[p]) ** 2 + (image[p + side] - image[p]) ** 2;
        sums[2 * Number(i >= side / 2) + Number(j >= side / 2)] += energy;
      }
    }
  }
  const total = sums.reduce((s, v) => s + v);
  return sums.map((v) => v / total);
}
