import { add, mul, scale } from "../../engine/ops/elementwise.ts";
import { FftTables, irfft2, rfft2 } from "../../engine/ops/fft.ts";
import { norm } from "../../engine/ops/reduce.ts";
import { stack } from "../../engine/ops/shape.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import type { Gpu } from "../../engine/gpu.ts";
import { InputError } from "../errors.ts";
import type { ImageSize } from "../images/preprocess.ts";
import type { RgbImage } from "../images/rgb_image.ts";
import { radialFrequencies } from "./frequencies.ts";
import { requireSize } from "./image_param.ts";
import { fitImage } from "./magnitude_template.ts";
import { type ColorImage, colorImage, luminanceOf } from "./presentation.ts";

/** How strong each frequency of a reference set's luminance is. */
export interface LuminanceSpectrum {
  /** Size of the images. */
  readonly size: ImageSize;
  /** Mean amplitudes, `[height, ⌊width/2⌋ + 1]`, of the transform with `norm: "ortho"`. */
  readonly values: Float32Array<ArrayBuffer>;
}

const lumaTensor = (gpu: Gpu, image: ColorImage): Tensor =>
  Tensor.from(gpu, Float32Array.from(luminanceOf(image)), [1, image.height, image.width]);

/**
 * Mean amplitude spectrum of the luminance (Rec. 709 of the stored values) of images, each resized to cover the size.
 *
 * @throws {InputError} when there is no image, or for a size below 2
 */
export async function luminanceSpectrum(
  gpu: Gpu,
  images: Iterable<RgbImage>,
  size: ImageSize,
): Promise<LuminanceSpectrum> {
  requireSize(size);
  using tables = new FftTables(gpu, size.height, size.width);
  let total: Tensor | undefined, count = 0;
  for (const image of images) {
    const before: Tensor | undefined = total;
    total = tidy(gpu, () => {
      const luma = lumaTensor(gpu, colorImage(fitImage(image, size)));
      const { re, im } = rfft2(luma, { norm: "ortho", tables });
      const amplitude = norm(stack([re, im]), { axes: [0] });
      return before ? add(before, amplitude) : amplitude;
    });
    before?.dispose();
    count++;
  }
  if (!total) throw new InputError("Cannot match spectra: the reference set is empty");
  using sum: Tensor = total;
  using mean = scale(sum, 1 / count);
  return { size, values: await mean.data() as Float32Array<ArrayBuffer> };
}

/** Options of {@link matchSpectrum}. */
export interface MatchSpectrumOptions {
  /**
   * Whether only the energy at each distance from zero is matched, orientations kept (SHINE's `sfMatch`); else every amplitude is
   * (`specMatch`).
   */
  readonly isRadial?: boolean;
}

/** Mean of amplitudes at each whole number of cycles per longer side, over the whole spectrum. */
function radialMeans(
  values: ArrayLike<number>,
  bins: ArrayLike<number>,
  { height, width }: ImageSize,
): Float64Array {
  const columns = Math.floor(width / 2) + 1;
  const nBins = Math.max(height, width) + 1; // corners lie at 0.71 of the longer side
  const sums = new Float64Array(nBins), counts = new Float64Array(nBins);
  for (let i = 0; i < values.length; i++) {
    const column = i % columns;
    // The half that is not kept mirrors all columns but the first and, of an even width, the last.
    const weight = column === 0 || 2 * column === width ? 1 : 2;
    sums[bins[i]] += weight * values[i];
    counts[bins[i]] += weight;
  }
  return sums.map((sum, b) => sum / counts[b]);
}

/** What each amplitude is multiplied by. */
function gainsOf(
  own: ArrayLike<number>,
  { values, size }: LuminanceSpectrum,
  isRadial: boolean,
): Float32Array<ArrayBuffer> {
  const gains = new Float32Array(values.length).fill(1);
  const ratio = (wanted: number, there: number) => there > 0 ? wanted / there : 0;
  if (!isRadial) values.forEach((wanted, i) => gains[i] = ratio(wanted, own[i]));
  else {
    const longer = Math.max(size.height, size.width);
    const bins = Uint32Array.from(radialFrequencies(size), (f) => Math.round(f * longer));
    const [wanted, there] = [values, own].map((all) => radialMeans(all, bins, size));
    bins.forEach((bin, i) => gains[i] = ratio(wanted[bin], there[bin]));
  }
  gains[0] = 1; // the mean luminance is another step's
  return gains;
}

/**
 * An image whose luminance has the amplitudes of a reference set and its own phases (SHINE, Willenbockel et al. 2010); its mean
 * luminance stays, and colours move with the luminance. Values may leave 0…1: give the result to `presentImage`.
 *
 * @returns the image, `[3, height, width]`
 * @throws {InputError} when the image has another size than the reference
 */
export async function matchSpectrum(
  gpu: Gpu,
  image: ColorImage,
  reference: LuminanceSpectrum,
  { isRadial = false }: MatchSpectrumOptions = {},
): Promise<ColorImage & { readonly data: Float64Array<ArrayBuffer> }> {
  const { height, width } = image, { size } = reference;
  if (height !== size.height || width !== size.width || image.data.length !== 3 * height * width) {
    throw new InputError(
      `Cannot match the spectrum of ${height}x${width} with ${image.data.length} values to one of ${size.height}x${size.width}`,
    );
  }
  using tables = new FftTables(gpu, height, width);
  using luma = lumaTensor(gpu, image);
  const { re, im } = rfft2(luma, { norm: "ortho", tables });
  using real = re;
  using imaginary = im;
  using amplitude = tidy(gpu, () => norm(stack([real, imaginary]), { axes: [0] }));
  const gains = gainsOf(await amplitude.data(), reference, isRadial);
  using factor = Tensor.from(gpu, gains, real.shape);
  using matched = tidy(gpu, () => {
    const parts = { re: mul(real, factor), im: mul(imaginary, factor) };
    return irfft2(parts, width, { norm: "ortho", tables });
  });
  const values = await matched.data(), before = luminanceOf(image), plane = height * width;
  const data = Float64Array.from(
    image.data,
    (v, at) => v + values[at % plane] - before[at % plane],
  );
  return { height, width, data };
}
