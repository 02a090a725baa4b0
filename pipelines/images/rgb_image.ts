import { InputError } from "../errors.ts";

/** An 8-bit RGB image on the host. */
export interface RgbImage {
  /** Rows. */
  readonly height: number;
  /** Columns. */
  readonly width: number;
  /** `[height, width, 3]`, row-major, interleaved R, G, B. */
  readonly data: Uint8Array<ArrayBuffer>;
}

/**
 * Checks that an image has at least one pixel and as many bytes as its size needs.
 *
 * @throws {InputError} when it does not
 */
export function checkRgbImage(image: RgbImage): void {
  const { height, width, data } = image;
  if (!Number.isInteger(height) || !Number.isInteger(width) || height < 1 || width < 1) {
    throw new InputError(
      `Cannot use the image: height and width must be whole numbers from 1, got ${height}x${width}`,
    );
  }
  if (data.length !== height * width * 3) {
    throw new InputError(
      `Cannot use the image: ${height}x${width} RGB needs ${height * width * 3} bytes, ` +
        `got ${data.length}`,
    );
  }
}
