import { InputError } from "../errors.ts";
import { IGNORE_LABEL } from "./segmentation_scores.ts";

/** Ground truth of one image at its full size. */
export interface FullMask {
  /** Rows of pixels. */
  readonly height: number;
  /** Columns of pixels. */
  readonly width: number;
  /** Classes, {@link IGNORE_LABEL} where none, `[height, width]`. */
  readonly labels: ArrayLike<number>;
}

/**
 * Classes of patches by those of their pixels.
 *
 * @param rule the class of most pixels, of equal ones the lowest, ignored ones counting where all are ignored only; or that of the pixel in
 * the patch's middle
 * @throws {InputError} when there are not as many labels as pixels, or more patches than pixels
 */
export function patchLabels(
  { height, width, labels }: FullMask,
  [rows, columns]: readonly [height: number, width: number],
  { rule = "majority" }: { readonly rule?: "majority" | "nearest" } = {},
): Uint8Array<ArrayBuffer> {
  if (labels.length !== height * width || rows > height || columns > width) {
    throw new InputError(
      `Cannot take patches of ${rows}x${columns} from ${labels.length} labels of ${height}x${width} pixels`,
    );
  }
  const out = new Uint8Array(rows * columns);
  for (let p = 0; p < out.length; p++) {
    const r = Math.floor(p / columns), c = p % columns;
    if (rule === "nearest") {
      const y = Math.floor((r + 0.5) * height / rows), x = Math.floor((c + 0.5) * width / columns);
      out[p] = labels[y * width + x];
      continue;
    }
    const counts = new Uint32Array(256);
    for (let y = Math.floor(r * height / rows); y < (r + 1) * height / rows; y++) {
      for (let x = Math.floor(c * width / columns); x < (c + 1) * width / columns; x++) {
        counts[labels[y * width + x]]++;
      }
    }
    const known = counts.subarray(0, IGNORE_LABEL);
    const most = known.reduce((top, count) => Math.max(top, count), 0);
    out[p] = most === 0 ? IGNORE_LABEL : known.indexOf(most);
  }
  return out;
}
