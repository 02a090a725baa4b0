/** Two looks at one picture: random crops with other colours, for a network that must see the same in both. */

import { imagenetMean, imagenetStd } from "../images/preprocess.ts";
import type { Draws } from "./draws.ts";
import type { TrainingScenes } from "./train_data.ts";

// SimCLR, appendix A, milder: the phantom's objects are small already.
const SMALLEST_CROP = 0.6; // side as a share of the image's
const BRIGHTNESS = 0.25;
const CONTRAST = 0.25;
const TINT = 0.15;

/** Where a view looks and how it colours. */
interface View {
  readonly left: number;
  readonly top: number;
  readonly side: number;
  readonly mirrored: boolean;
  readonly gain: readonly number[];
  readonly offset: number;
}

function drawView(draws: Draws): View {
  const side = draws.uniform(SMALLEST_CROP, 1);
  const contrast = 1 + draws.uniform(-CONTRAST, CONTRAST);
  return {
    side,
    left: draws.uniform(0, 1 - side),
    top: draws.uniform(0, 1 - side),
    mirrored: draws.uniform() < 0.5,
    gain: [0, 1, 2].map(() => contrast * (1 + draws.uniform(-TINT, TINT))),
    offset: draws.uniform(-BRIGHTNESS, BRIGHTNESS),
  };
}

/** The two pixels around each sample of an axis, and the share of the second. */
export function samples(size: number, start: number, step: number) {
  return Array.from({ length: size }, (_, i) => {
    const at = Math.min(size - 1, Math.max(0, start * size + (i + 0.5) * step - 0.5));
    const first = Math.min(size - 1, Math.floor(at));
    return { first, second: Math.min(size - 1, first + 1), share: at - first };
  });
}

/**
 * Random views of some images, normalised as DINOv2's input, `[n, 3, size, size]`. A crop is at most 1.7 times enlarged, by bilinear
 * interpolation.
 */
export function randomViews(
  { size, pixels }: Pick<TrainingScenes, "size" | "pixels">,
  indices: readonly number[],
  draws: Draws,
): Float32Array<ArrayBuffer> {
  const area = size * size;
  const out = new Float32Array(indices.length * 3 * area);
  indices.forEach((image, n) => {
    const view = drawView(draws);
    const source = pixels.subarray(image * 3 * area, (image + 1) * 3 * area);
    const rows = samples(size, view.top, view.side);
    const columns = samples(size, view.left, view.side);
    if (view.mirrored) columns.reverse();
    for (let c = 0; c < 3; c++) {
      const at = (y: number, x: number) => source[3 * (y * size + x) + c];
      const plane = out.subarray((n * 3 + c) * area, (n * 3 + c + 1) * area);
      rows.forEach((row, y) =>
        columns.forEach((column, x) => {
          const near = at(row.first, column.first) * (1 - column.share) +
            at(row.first, column.second) * column.share;
          const far = at(row.second, column.first) * (1 - column.share) +
            at(row.second, column.second) * column.share;
          const value = (near + (far - near) * row.share) / 255;
          const coloured = (value - 0.5) * view.gain[c] + 0.5 + view.offset;
          const seen = Math.min(1, Math.max(0, coloured));
          plane[y * size + x] = (seen - imagenetMean[c]) / imagenetStd[c];
        })
      );
    }
  });
  return out;
}

/** Which of the patches are hidden, 1 or 0, `[n, patches]`: the same number in every image, in random places. */
export function randomMask(
  draws: Draws,
  { n, patches, share }: { n: number; patches: number; share: number },
): Float32Array<ArrayBuffer> {
  const out = new Float32Array(n * patches);
  const all = Array.from({ length: patches }, (_, i) => i);
  for (let i = 0; i < n; i++) {
    for (const p of draws.shuffle(all).slice(0, Math.round(share * patches))) {
      out[i * patches + p] = 1;
    }
  }
  return out;
}
