/**
 * Pictures of a cut: every image beside its patches in the colours of their eigenvectors and of their clusters.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import type { ImageSource } from "../io/images.ts";
import { savePng } from "../io/png.ts";
import { quote } from "../io/strict_json.ts";
import { cutOverlay } from "../spectral/cut_overlay.ts";
import type { FeatureNodes } from "../spectral/feature_nodes.ts";

/** What is drawn. */
export interface CutPictures {
  /** Colours of the nodes, `[nNodes, 3]`; none where undefined. */
  readonly rgb?: Uint8Array;
  /** Labels of the nodes, `[nNodes]` for each number of clusters. */
  readonly labels: readonly ArrayLike<number>[];
}

/**
 * Refuses features that are not of the images.
 *
 * @throws {InputError} when an array has no patches or other images
 */
export function requireImagesOf({ parts }: FeatureNodes, images: ImageSource): void {
  for (const { grid, nImages, source } of parts) {
    if (grid === undefined) {
      throw new InputError(
        `Cannot draw ${
          quote(source)
        } over images: its rows have no place in an image, its shape must be ` +
          "[images, tokens, width] or [images, gridH, gridW, width]",
      );
    }
    if (nImages !== images.n) {
      throw new InputError(
        `Cannot draw ${quote(source)} over ${
          quote(images.source)
        }: it is of ${nImages} images, there are ${images.n}`,
      );
    }
  }
}

/**
 * Writes `<folder>/<image>.png`, or `<folder>/<number of the array>/<image>.png` where there are several arrays.
 *
 * @throws {InputError} when an image cannot be read or a picture not be written
 */
export async function writeOverlays(
  folder: string,
  { nodes, images, pictures }: {
    readonly nodes: FeatureNodes;
    readonly images: ImageSource;
    readonly pictures: CutPictures;
  },
  onImage: (done: number, total: number) => Promise<void>,
): Promise<void> {
  const { parts } = nodes, { rgb, labels } = pictures;
  for (const [p, { grid = [1, 1] as const, firstNode }] of parts.entries()) {
    const into = parts.length === 1 ? folder : `${folder}/${p}`;
    Deno.mkdirSync(into, { recursive: true });
    const patches = grid[0] * grid[1];
    for (let i = 0; i < images.n; i++) {
      const start = firstNode + i * patches, end = start + patches;
      const part = (values: ArrayLike<number>) =>
        Array.from({ length: patches }, (_, k) => values[start + k]);
      const row = cutOverlay(images.read(i), {
        grid,
        rgb: rgb?.subarray(3 * start, 3 * end),
        labels: labels.map(part),
      });
      savePng(`${into}/${images.names[i]}.png`, row);
      await onImage(p * images.n + i + 1, parts.length * images.n);
    }
  }
}
