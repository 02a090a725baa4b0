import { blockOrder } from "./point_blocks.ts";
import { FARTHEST_BLOCK as LEAF } from "../../shaders/spectral/farthest_points.ts";

/**
 * Points in a tree of halves, each with its box and the farthest of its points: what is closer to the picks than a new pick can be is
 * left alone.
 */
class FarthestTree {
  readonly #d: number;
  readonly #points: Float32Array; // in the tree's order
  readonly #order: Uint32Array;
  readonly #nearest: Float64Array;
  // Of the nodes of the tree.
  readonly #starts: number[] = [];
  readonly #ends: number[] = [];
  readonly #right: number[] = []; // the left half follows its parent
  readonly #boxes: Float32Array; // least, then greatest coordinates
  readonly #peaks: Float64Array;
  readonly #tops: Uint32Array;

  constructor(points: Float32Array, n: number, d: number) {
    this.#d = d;
    this.#order = blockOrder(points, n, d);
    this.#points = new Float32Array(n * d);
    this.#order.forEach((row, at) => {
      for (let c = 0; c < d; c++) this.#points[at * d + c] = points[row * d + c];
    });
    this.#nearest = new Float64Array(n).fill(Infinity);
    this.#grow(0, n);
    const nodes = this.#starts.length;
    this.#boxes = new Float32Array(nodes * 2 * d);
    this.#peaks = new Float64Array(nodes).fill(Infinity);
    this.#tops = new Uint32Array(nodes);
    for (let node = 0; node < nodes; node++) this.#enclose(node);
  }

  #grow(start: number, end: number): void {
    const node = this.#starts.push(start) - 1;
    this.#ends.push(end);
    this.#right.push(0);
    if (end - start <= LEAF) return;
    const middle = start + Math.ceil(Math.ceil((end - start) / LEAF) / 2) * LEAF;
    this.#grow(start, middle);
    this.#right[node] = this.#starts.length;
    this.#grow(middle, end);
  }

  #enclose(node: number): void {
    const d = this.#d, low = node * 2 * d, high = low + d;
    this.#boxes.fill(Infinity, low, high).fill(-Infinity, high, high + d);
    for (let at = this.#starts[node]; at < this.#ends[node]; at++) {
      for (let c = 0; c < d; c++) {
        const value = this.#points[at * d + c];
        if (value < this.#boxes[low + c]) this.#boxes[low + c] = value;
        if (value > this.#boxes[high + c]) this.#boxes[high + c] = value;
      }
    }
  }

  /** Rows in the order in which they are picked. */
  pick(start: number, count: number): Uint32Array<ArrayBuffer> {
    const picks = new Uint32Array(count);
    let at = this.#order.indexOf(start);
    for (let step = 0; step < count; step++) {
      picks[step] = this.#order[at];
      this.#visit(0, at);
      at = this.#tops[0];
    }
    return picks;
  }

  /** Squared distance of a point to the box of a node. */
  #bound(node: number, at: number): number {
    const d = this.#d, low = node * 2 * d, high = low + d, from = at * d;
    let square = 0;
    for (let c = 0; c < d; c++) {
      const value = this.#points[from + c];
      const below = this.#boxes[low + c] - value, above = value - this.#boxes[high + c];
      const outside = below > above ? below : above;
      if (outside > 0) square += outside * outside;
    }
    return square;
  }

  #visit(node: number, pick: number): void {
    const holds = pick >= this.#starts[node] && pick < this.#ends[node];
    if (!holds && this.#bound(node, pick) >= this.#peaks[node]) return;
    const right = this.#right[node];
    if (right === 0) return this.#update(node, pick);
    const left = node + 1;
    this.#visit(left, pick);
    this.#visit(right, pick);
    const isLeft = this.#peaks[left] > this.#peaks[right] ||
      this.#peaks[left] === this.#peaks[right] &&
        this.#order[this.#tops[left]] < this.#order[this.#tops[right]];
    this.#peaks[node] = this.#peaks[isLeft ? left : right];
    this.#tops[node] = this.#tops[isLeft ? left : right];
  }

  #update(node: number, pick: number): void {
    const d = this.#d, points = this.#points, nearest = this.#nearest, from = pick * d;
    let peak = -Infinity, top = 0;
    for (let at = this.#starts[node]; at < this.#ends[node]; at++) {
      let square = 0;
      for (let c = 0, i = at * d; c < d; c++) {
        const apart = points[i + c] - points[from + c];
        square += apart * apart;
      }
      const value = at === pick ? -1 : Math.min(nearest[at], square);
      nearest[at] = value;
      if (value > peak || value === peak && this.#order[at] < this.#order[top]) {
        peak = value;
        top = at;
      }
    }
    this.#peaks[node] = peak;
    this.#tops[node] = top;
  }
}

/**
 * Farthest-point sampling on the host in float64: `count` rows, `start` first. Ten times as fast as a CPU driver's device.
 *
 * @param points `[n, d]`, finite
 */
export function farthestOnHost(
  points: Float32Array,
  { n, d, start, count }: {
    readonly n: number;
    readonly d: number;
    readonly start: number;
    readonly count: number;
  },
): Uint32Array<ArrayBuffer> {
  return new FarthestTree(points, n, d).pick(start, count);
}
