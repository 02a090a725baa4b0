import type { ImageSize } from "../images/preprocess.ts";

/** Signed frequency of bin `k` of `n`, in cycles per pixel (`numpy.fft.fftfreq`). */
export function binFrequency(k: number, n: number): number {
  return (2 * k < n ? k : k - n) / n;
}

/**
 * Distance from zero of each frequency of a real image's transform, in cycles per pixel.
 *
 * @returns `[height, ⌊width/2⌋ + 1]`
 */
export function radialFrequencies({ height, width }: ImageSize): Float64Array<ArrayBuffer> {
  const columns = Math.floor(width / 2) + 1;
  const out = new Float64Array(height * columns);
  for (let i = 0; i < height; i++) {
    for (let k = 0; k < columns; k++) {
      out[i * columns + k] = Math.hypot(binFrequency(i, height), k / width);
    }
  }
  return out;
}

/**
 * lucid's spectrum of natural images, `1 / max(f, 1 / max(h, w))^decayPower`: amplitudes fall as frequencies rise.
 *
 * @returns `[height, ⌊width/2⌋ + 1]`
 */
export function spectrumScale(size: ImageSize, decayPower: number): Float64Array<ArrayBuffer> {
  const least = 1 / Math.max(size.height, size.width);
  return radialFrequencies(size).map((f) => Math.max(f, least) ** -decayPower);
}
