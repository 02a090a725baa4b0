import { InputError } from "../errors.ts";

/** Points in space that find the nearest of themselves to a place: a k-d tree of three dimensions, in float64. */
export class PointTree {
  readonly #points: ArrayLike<number>;
  readonly #order: Uint32Array; // a balanced tree: the middle of each stretch splits it, along x, y and z in turn

  /**
   * Sorts the points, which are not copied.
   *
   * @param points `[n, 3]`
   * @throws {InputError} when there are none, or a coordinate is not finite
   */
  constructor(points: ArrayLike<number>) {
    const n = points.length / 3;
    if (!Number.isInteger(n) || n === 0) {
      throw new InputError(`Cannot search ${points.length} coordinates: there must be three each`);
    }
    for (let at = 0; at < points.length; at++) {
      if (Number.isFinite(points[at])) continue;
      throw new InputError(`Cannot search points: coordinate ${at} is ${points[at]}`);
    }
    this.#points = points;
    this.#order = Uint32Array.from({ length: n }, (_, i) => i);
    this.#split(0, n, 0);
  }

  #split(start: number, end: number, axis: number): void {
    if (end - start < 2) return;
    this.#order.subarray(start, end).sort((i, j) =>
      this.#points[3 * i + axis] - this.#points[3 * j + axis] || i - j
    );
    const middle = (start + end) >> 1;
    this.#split(start, middle, (axis + 1) % 3);
    this.#split(middle + 1, end, (axis + 1) % 3);
  }

  /** The point nearest to a place, of equally near ones the first found. */
  nearest(place: ArrayLike<number>): number {
    let best = -1, least = Infinity;
    const visit = (start: number, end: number, axis: number): void => {
      if (start >= end) return;
      const middle = (start + end) >> 1, i = this.#order[middle];
      let square = 0;
      for (let c = 0; c < 3; c++) square += (this.#points[3 * i + c] - place[c]) ** 2;
      if (square < least) [best, least] = [i, square];
      const beyond = place[axis] - this.#points[3 * i + axis], next = (axis + 1) % 3;
      if (beyond <= 0) visit(start, middle, next);
      else visit(middle + 1, end, next);
      if (beyond * beyond >= least) return;
      if (beyond <= 0) visit(middle + 1, end, next);
      else visit(start, middle, next);
    };
    visit(0, this.#order.length, 0);
    return best;
  }
}
