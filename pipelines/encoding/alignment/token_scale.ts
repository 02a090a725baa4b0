import { InputError } from "../../errors.ts";
import type { TokenSource } from "./tokens.ts";

/** Images that scales are taken from: the root mean square of half a million values is known to a thousandth. */
const SAMPLE = 256;

/**
 * The root mean square of the tokens of each slice over some of the images. Maps are trained on tokens divided by it, so that one step
 * size suits every layer; it is multiplied into the maps afterwards.
 *
 * @param images rows of the source
 * @throws {InputError} when a value is not finite, or tokens of a slice are all zero
 */
export function tokenScales(source: TokenSource, images: Uint32Array): Float64Array<ArrayBuffer> {
  const sums = new Float64Array(source.slices.length), counts = new Float64Array(sums.length);
  const chosen = images.subarray(0, SAMPLE);
  const step = 16;
  for (let start = 0; start < chosen.length; start += step) {
    source.read(chosen.subarray(start, start + step)).forEach((tokens, s) => {
      let sum = 0;
      for (let i = 0; i < tokens.length; i++) sum += tokens[i] * tokens[i];
      sums[s] += sum;
      counts[s] += tokens.length;
    });
  }
  return sums.map((sum, s) => {
    const scale = Math.sqrt(sum / counts[s]);
    if (scale > 0 && Number.isFinite(scale)) return scale;
    const { model, layer } = source.slices[s];
    throw new InputError(
      `Cannot align layer ${layer} of ${model}: its tokens must be finite and not all zero, their root mean square is ${scale}`,
    );
  });
}
