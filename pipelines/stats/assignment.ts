import { InputError } from "../errors.ts";

/** Options of {@link assignRows}. */
export interface AssignmentOptions {
  /** Looks for the largest sum instead of the smallest. */
  readonly maximize?: boolean;
}

/**
 * The assignment of rows to different columns with the least sum of costs (the Hungarian problem), by shortest augmenting paths with
 * potentials (Jonker and Volgenant, 1987), O(n²·m). With more rows than columns, the rows left over get −1.
 *
 * @param costs `[rows, columns]` row-major
 * @returns the column of each row
 * @throws {InputError} when there are not as many costs as the shape needs, or one is not finite
 */
export function assignRows(
  costs: ArrayLike<number>,
  [rows, columns]: readonly [number, number],
  { maximize = false }: AssignmentOptions = {},
): Int32Array<ArrayBuffer> {
  if (costs.length !== rows * columns) {
    throw new InputError(`Cannot assign ${costs.length} costs as [${rows},${columns}]`);
  }
  const bad = Array.prototype.findIndex.call(costs, (cost: number) => !Number.isFinite(cost));
  if (bad >= 0) {
    throw new InputError(
      `Cannot assign: every cost must be finite, row ${Math.floor(bad / columns)}, column ${
        bad % columns
      } (counted from 0) is ${costs[bad]}`,
    );
  }
  const sign = maximize ? -1 : 1;
  if (rows <= columns) {
    return augmented((i, j) => sign * costs[i * columns + j], rows, columns);
  }
  const rowOf = augmented((j, i) => sign * costs[i * columns + j], columns, rows);
  const columnOf = new Int32Array(rows).fill(-1);
  rowOf.forEach((row, column) => columnOf[row] = column);
  return columnOf;
}

/** The column of each of `n` rows, for n ≤ m. */
function augmented(
  cost: (i: number, j: number) => number,
  n: number,
  m: number,
): Int32Array<ArrayBuffer> {
  const u = new Float64Array(n), v = new Float64Array(m); // cost(i, j) − u[i] − v[j] ≥ 0, and 0 where assigned
  const rowOf = new Int32Array(m).fill(-1);
  for (let start = 0; start < n; start++) {
    const least = new Float64Array(m).fill(Infinity), from = new Int32Array(m).fill(-1);
    const isDone = new Uint8Array(m);
    let row = start, last = -1;
    while (row >= 0) { // grows a tree of tight edges until it meets a free column
      let next = -1;
      for (let j = 0; j < m; j++) {
        if (isDone[j]) continue;
        const slack = cost(row, j) - u[row] - v[j];
        if (slack < least[j]) {
          least[j] = slack;
          from[j] = last;
        }
        if (next < 0 || least[j] < least[next]) next = j;
      }
      const shift = least[next];
      u[start] += shift;
      for (let j = 0; j < m; j++) {
        if (isDone[j]) {
          u[rowOf[j]] += shift;
          v[j] -= shift;
        } else least[j] -= shift;
      }
      isDone[next] = 1;
      last = next;
      row = rowOf[next];
    }
    for (let j = last; j >= 0; j = from[j]) rowOf[j] = from[j] >= 0 ? rowOf[from[j]] : start;
  }
  const columnOf = new Int32Array(n);
  rowOf.forEach((row, column) => {
    if (row >= 0) columnOf[row] = column;
  });
  return columnOf;
}
