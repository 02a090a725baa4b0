import { scale } from "../../engine/ops/elementwise.ts";
import { pad } from "../../engine/ops/pad.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { type Tensor, tidy } from "../../engine/tensor.ts";
import { sizeOf } from "../../shaders/kernel.ts";

// Sums of rows up to 2,048 values are not taken in parts, whose number would depend on how many rows there are; and rows of whole vec4s
// are all read alike, wherever in the batch they stand.
const LONGEST = 2048, BLOCK = 1024;

/**
 * Sums of all values but along the first axes, each in an order that does not depend on how many images there are: the same bits in a batch
 * of any size.
 *
 * @param x `[n, …]`
 * @param kept leading axes that stay
 */
export function sumOfEach(x: Tensor, kept = 1): Tensor {
  const shape = x.shape.slice(0, kept), rows = sizeOf(shape);
  return tidy(x.gpu, () => {
    let y = x.reshape([rows, x.size / rows]);
    do {
      const n = y.shape[1];
      const block = n > LONGEST ? BLOCK : 4 * Math.ceil(n / 4);
      const blocks = Math.ceil(n / block), more = blocks * block - n;
      const whole = more > 0 ? pad(y, { pads: [[0, more]] }) : y;
      y = sum(whole.reshape([rows, blocks, block]), { axes: [2] });
    } while (y.shape[1] > 1);
    return y.reshape(shape);
  });
}

/** Means as {@link sumOfEach} sums. */
export function meanOfEach(x: Tensor, kept = 1): Tensor {
  return tidy(x.gpu, () => {
    const total = sumOfEach(x, kept);
    return scale(total, total.size / x.size);
  });
}
