/**
 * Factors of the phantom's stimuli, as `itReader` tells them of any image.
 *
 * @module
 */
import type { LongCall } from "../encoding/linear_model.ts";
import type { ItReading } from "../phantom/it_readout.ts";
import { IT_FACTORS, IT_POSE, IT_SIDE, type ItScene } from "../phantom/it_stimuli.ts";
import type { Factor, Readings } from "./factors.ts";

const NUMBERS = IT_FACTORS.length;

/** Factors of the phantom's stimuli in the columns of {@link itReadings}. */
export const IT_STEERED: readonly Factor[] = [
  { name: "pose", columns: IT_POSE.map((_, k) => k), kind: "values" },
  { name: "category", columns: [NUMBERS], kind: "class" },
  { name: "stripes", columns: [IT_FACTORS.indexOf("stripes")], kind: "values" },
  { name: "tone", columns: [IT_FACTORS.indexOf("tone")], kind: "values" },
  { name: "background", columns: [IT_FACTORS.indexOf("background")], kind: "values" },
];

/** Every number of the phantom's stimuli as a factor of its own, and the category. */
export const IT_SINGLE: readonly Factor[] = [
  ...IT_FACTORS.map((name, k): Factor => ({ name, columns: [k], kind: "values" })),
  { name: "category", columns: [NUMBERS], kind: "class" },
];

/** Readings of scenes, `[n, 10]`: `IT_FACTORS` and the category. */
export function itReadings(scenes: readonly ItScene[]): Readings {
  const data = Float64Array.from(
    scenes.flatMap(({ category, values }) => [...IT_FACTORS.map((f) => values[f]), category]),
  );
  return { data, shape: [scenes.length, NUMBERS + 1] };
}

/**
 * Reads images one after the other.
 *
 * @param images `[n, 1, 32, 32]`, −1…1
 * @param read one image, as `itReader` makes it
 * @returns readings, and how far each image is from anything that can be drawn
 * @throws the signal's reason when it is aborted
 */
export function readItImages(
  images: Float32Array,
  read: (image: Float32Array) => ItReading,
  { signal, onProgress }: LongCall = {},
): { readonly readings: Readings; readonly residuals: Float64Array<ArrayBuffer> } {
  const pixels = IT_SIDE ** 2, n = images.length / pixels;
  const told = Array.from({ length: n }, (_, i) => {
    signal?.throwIfAborted();
    onProgress?.({ stage: "readings", done: i + 1, total: n });
    return read(images.slice(i * pixels, (i + 1) * pixels));
  });
  return {
    readings: itReadings(told),
    residuals: Float64Array.from(told, ({ residual }) => residual),
  };
}
