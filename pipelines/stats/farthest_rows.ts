import { InputError } from "../errors.ts";

/**
 * Farthest-point sampling on the host in float64: from row `start`, each pick is the row furthest (Euclidean) from all picks before, the
 * earlier of equal ones. O(count·rows·width).
 *
 * @param x `[rows, width]` row-major
 * @throws {InputError} when there are fewer rows than picks, or not as many values as the shape needs
 */
export function farthestRows(
  x: ArrayLike<number>,
  [rows, width]: readonly [number, number],
  count: number,
  { start = 0 }: { start?: number } = {},
): Uint32Array<ArrayBuffer> {
  if (
    x.length !== rows * width || !(count >= 1 && count <= rows) || !(start >= 0 && start < rows)
  ) {
    throw new InputError(
      `Cannot pick ${count} rows from row ${start} on of ${x.length} values as [${rows},${width}]`,
    );
  }
  const picks = new Uint32Array(count);
  const nearest = new Float64Array(rows).fill(Infinity);
  let pick = start;
  for (let c = 0; c < count; c++) {
    picks[c] = pick;
    nearest[pick] = -1; // not again, even where all rows are equal
    let next = -1;
    for (let i = 0; i < rows; i++) {
      if (nearest[i] < 0) continue;
      let square = 0;
      for (let j = 0, a = i * width, b = pick * width; j < width; j++) {
        square += (x[a + j] - x[b + j]) ** 2;
      }
      if (square < nearest[i]) nearest[i] = square;
      if (next < 0 || nearest[i] > nearest[next]) next = i;
    }
    pick = next;
  }
  return picks;
}
