import type { Gpu } from "../../engine/gpu.ts";
import type { PointBlocks } from "../../engine/ops/neighbors.ts";
import { Tensor } from "../../engine/tensor.ts";
import { FARTHEST_BLOCK as BLOCK } from "../../shaders/spectral/farthest_points.ts";

/** Swaps until the first `middle − start` of `order[start..end)` have the least keys. */
function split(
  order: Uint32Array,
  keys: (i: number) => number,
  [start, middle, end]: readonly [number, number, number],
): void {
  let low = start, high = end - 1;
  while (low < high) {
    const pivot = keys(order[(low + high) >> 1]);
    let i = low, j = high;
    while (i <= j) {
      while (keys(order[i]) < pivot) i++;
      while (keys(order[j]) > pivot) j--;
      if (i > j) break;
      [order[i], order[j]] = [order[j], order[i]];
      i++;
      j--;
    }
    if (middle <= j) high = j;
    else if (middle >= i) low = i;
    else return;
  }
}

/**
 * Rows in an order that puts near ones together: halves along the widest axis, again and again, down to blocks of 16.
 *
 * @param points `[n, d]`
 */
export function blockOrder(points: Float32Array, n: number, d: number): Uint32Array<ArrayBuffer> {
  const order = Uint32Array.from({ length: n }, (_, i) => i);
  const stack: [number, number][] = [[0, n]];
  for (let range = stack.pop(); range; range = stack.pop()) {
    const [start, end] = range;
    if (end - start <= BLOCK) continue;
    let axis = 0, widest = -1;
    for (let c = 0; c < d; c++) {
      let least = Infinity, most = -Infinity;
      for (let i = start; i < end; i++) {
        const value = points[order[i] * d + c];
        if (value < least) least = value;
        if (value > most) most = value;
      }
      if (most - least > widest) [axis, widest] = [c, most - least];
    }
    const blocks = Math.ceil((end - start) / BLOCK);
    const middle = start + Math.ceil(blocks / 2) * BLOCK;
    if (widest > 0) split(order, (i) => points[i * d + axis], [start, middle, end]);
    stack.push([start, middle], [middle, end]);
  }
  return order;
}

const FAR = 3e38, FARTHER = 3.3e38; // above all squared distances of points that f32 holds

/**
 * Points as `farthestPicks` takes them, of which `start` is picked first. The caller owns the tensors.
 *
 * @param points `[n, d]`, padded with zero coordinates to a multiple of four
 */
export function pointBlocks(
  gpu: Gpu,
  points: Float32Array,
  { n, d, start }: { readonly n: number; readonly d: number; readonly start: number },
): PointBlocks & Disposable {
  const order = blockOrder(points, n, d);
  const blocks = Math.ceil(n / BLOCK), width = 4 * Math.ceil(d / 4), size = blocks * BLOCK;
  const moved = new Float32Array(size * width), boxes = new Float32Array(blocks * 2 * width);
  const names = new Uint32Array(size).fill(0xffffffff);
  const nearest = new Float32Array(size).fill(-2);
  for (let at = 0; at < n; at++) {
    const row = order[at], block = Math.floor(at / BLOCK);
    names[at] = row;
    nearest[at] = row === start ? FARTHER : FAR;
    for (let c = 0; c < d; c++) {
      const value = moved[at * width + c] = points[row * d + c];
      const low = block * 2 * width + c, high = low + width;
      boxes[low] = at % BLOCK === 0 ? value : Math.min(boxes[low], value);
      boxes[high] = at % BLOCK === 0 ? value : Math.max(boxes[high], value);
    }
  }
  const made = {
    points: Tensor.from(gpu, moved, [size, width]),
    order: Tensor.from(gpu, names, [size]),
    boxes: Tensor.from(gpu, boxes, [blocks, 2, width]),
    nearest: Tensor.from(gpu, nearest, [size]),
  };
  return {
    ...made,
    [Symbol.dispose]: () => Object.values(made).forEach((tensor) => tensor.dispose()),
  };
}
