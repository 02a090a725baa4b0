import { InputError } from "../errors.ts";
import type { ImageSize } from "../images/preprocess.ts";
import { checkRgbImage, type RgbImage } from "../images/rgb_image.ts";
import { quantileOf } from "../stats/bootstrap.ts";

/** A colour image before it is rounded to bytes. */
export interface ColorImage extends ImageSize {
  /** `[3, height, width]`, 0…1 but where nothing clipped it. */
  readonly data: ArrayLike<number>;
}

/** Weights of red, green and blue in luminance (Rec. 709), on values as they are stored. */
const LUMA = [0.2126, 0.7152, 0.0722];

/** Gray of the VWAM demo's background. */
const DEMO_GRAY = 140 / 255;

/** Luminance of every pixel, `[height, width]`. @internal */
export function luminanceOf({ data, height, width }: ColorImage): Float64Array<ArrayBuffer> {
  const plane = height * width;
  return Float64Array.from(
    { length: plane },
    (_, p) => LUMA.reduce((sum, w, c) => sum + w * data[c * plane + p], 0),
  );
}

/** Luminance of an image. */
export interface LuminanceMoments {
  /** Mean, Rec. 709 of the stored values. */
  readonly luminance: number;
  /** Standard deviation over pixels: RMS contrast. */
  readonly contrast: number;
}

function momentsOf(values: Float64Array): LuminanceMoments {
  const luminance = values.reduce((s, v) => s + v, 0) / values.length;
  const squares = values.reduce((s, v) => s + (v - luminance) ** 2, 0);
  return { luminance, contrast: Math.sqrt(squares / values.length) };
}

/** Mean luminance and RMS contrast of an image, in float64. */
export function luminanceMoments(image: ColorImage): LuminanceMoments {
  return momentsOf(luminanceOf(image));
}

/** What images are matched to: the means of a reference set, such as the stimuli of the encoder. */
export interface PresentationReference extends LuminanceMoments {
  /** Luminances at 257 even shares of the pixels, from the least to the greatest, each averaged over the images. */
  readonly quantiles: Float64Array<ArrayBuffer>;
}

const SHARES = 257;

/**
 * Luminance of a reference set, each image counted alike.
 *
 * @throws {InputError} when there is no image or one is unusable
 */
export function presentationReference(images: Iterable<RgbImage>): PresentationReference {
  let count = 0, luminance = 0, contrast = 0;
  const quantiles = new Float64Array(SHARES);
  for (const image of images) {
    const values = luminanceOf(colorImage(image));
    const moments = momentsOf(values);
    const sorted = values.sort();
    luminance += moments.luminance;
    contrast += moments.contrast;
    quantiles.forEach((_, q) => quantiles[q] += quantileOf(sorted, q / (SHARES - 1)));
    count++;
  }
  if (count === 0) throw new InputError("Cannot match images: the reference set is empty");
  return {
    luminance: luminance / count,
    contrast: contrast / count,
    quantiles: quantiles.map((sum) => sum / count),
  };
}

/**
 * Bytes as colours in 0…1.
 *
 * @throws {InputError} when the image is unusable
 */
export function colorImage(image: RgbImage): ColorImage {
  checkRgbImage(image);
  const { height, width, data } = image, plane = height * width;
  const values = new Float64Array(3 * plane);
  for (let at = 0; at < data.length; at++) {
    values[(at % 3) * plane + Math.floor(at / 3)] = data[at] / 255;
  }
  return { height, width, data: values };
}

/** A round window. */
export interface Aperture {
  /** Radius, as a share of half the shorter side. */
  readonly radius: number;
  /** Width of the soft edge inside it, as the same share. */
  readonly edge: number;
}

/** A disc in the middle of the screen for the eyes to rest on. */
export interface FixationMark {
  /** Radius, as a share of half the shorter side. */
  readonly radius: number;
  /** Red, green and blue, 0…1; red when absent. */
  readonly color?: readonly [number, number, number];
}

/** How images are prepared for a scanner's screen. Steps that are left out are left out. */
export interface PresentationOptions {
  /** Mean luminance to give every image. */
  readonly luminance?: number;
  /** RMS contrast to give every image; colours are scaled alike. */
  readonly contrast?: number;
  /** Luminances to match instead, pixel rank by pixel rank (SHINE's histogram matching): even shares of a distribution, ascending. */
  readonly quantiles?: ArrayLike<number>;
  /** Shows the image in a window; around it is the background. */
  readonly aperture?: Aperture;
  /** Gray around the window; the mean luminance asked for, else VWAM's 140 of 255, when absent. */
  readonly background?: number;
  /** Drawn over the image: part of what is shown, and so of what a network is asked about. */
  readonly fixation?: FixationMark;
  /** Exponent of the screen that is to be undone: bytes are `value^(1/gamma)`; 1 where the screen is calibrated, or the images are viewed as photographs are. */
  readonly gamma?: number;
}

/** An image as it is shown. */
export interface PresentedImage {
  /** Bytes for the screen, gamma undone. */
  readonly image: RgbImage;
  /** The colours that it shows, clipped but neither rounded nor gamma-corrected: what a network is asked about. */
  readonly colors: ColorImage & { readonly data: Float64Array<ArrayBuffer> };
  /** Share of values that had to be clipped. */
  readonly clipped: number;
  /** Luminance and contrast of what is shown. */
  readonly moments: LuminanceMoments;
}

function requireOptions(image: ColorImage, options: PresentationOptions): void {
  const { luminance, contrast, quantiles, aperture, gamma = 1, background = 0, fixation } = options;
  if (image.data.length !== 3 * image.height * image.width) {
    throw new InputError(
      `Cannot present ${image.height}x${image.width}: it needs ${
        3 * image.height * image.width
      } values, got ${image.data.length}`,
    );
  }
  const isShare = (v: number) => v >= 0 && v <= 1;
  if (!isShare(luminance ?? 0) || !isShare(background) || !((contrast ?? 0) >= 0)) {
    throw new InputError(
      `Cannot present images: luminance and background must be from 0 to 1 and contrast not below 0, got ${luminance}, ${background}, ${contrast}`,
    );
  }
  if (quantiles && (luminance !== undefined || contrast !== undefined || quantiles.length < 2)) {
    throw new InputError(
      "Cannot present images: match either a histogram of two values or more, or luminance and contrast",
    );
  }
  if (fixation && !(fixation.radius > 0 && (fixation.color ?? []).every(isShare))) {
    throw new InputError(
      `Cannot present images: a fixation mark needs a radius above 0 and colours from 0 to 1, got ${fixation.radius} and ${fixation.color}`,
    );
  }
  if (!(gamma > 0) || aperture && !(aperture.radius > 0 && aperture.edge >= 0)) {
    throw new InputError(
      `Cannot present images: gamma and the aperture's radius must be above 0, got ${gamma} and ${aperture?.radius}`,
    );
  }
}

/** Every pixel moved to the luminance that its rank has in a distribution. */
function matchHistogram(
  image: ColorImage,
  quantiles: ArrayLike<number>,
): Float64Array<ArrayBuffer> {
  const y = luminanceOf(image), plane = y.length;
  const order = Uint32Array.from(y.keys()).sort((a, b) => y[a] - y[b] || a - b);
  const out = Float64Array.from(image.data);
  order.forEach((p, rank) => {
    const by = quantileOf(quantiles, (rank + 0.5) / plane) - y[p];
    for (let c = 0; c < 3; c++) out[c * plane + p] += by;
  });
  return out;
}

/** Colours moved and scaled to a mean luminance and a contrast. */
function matchMoments(
  image: ColorImage,
  { luminance, contrast }: PresentationOptions,
): Float64Array<ArrayBuffer> {
  const now = luminanceMoments(image);
  const gain = contrast === undefined || now.contrast === 0 ? 1 : contrast / now.contrast;
  const middle = luminance ?? now.luminance;
  return Float64Array.from(image.data, (v) => middle + gain * (v - now.luminance));
}

/** How much of the image is seen at a distance from the middle. */
function windowAt(distance: number, { radius, edge }: Aperture): number {
  if (distance >= radius) return 0;
  if (distance <= radius - edge) return 1;
  return (1 + Math.cos(Math.PI * (distance - radius + edge) / edge)) / 2;
}

/** Distance of a pixel from the middle, as a share of half the shorter side. */
function distanceAt(p: number, { height, width }: ImageSize): number {
  const y = Math.floor(p / width) + 0.5 - height / 2, x = p % width + 0.5 - width / 2;
  return Math.hypot(x, y) / (Math.min(height, width) / 2);
}

function applyAperture(
  data: Float64Array,
  size: ImageSize,
  aperture: Aperture,
  background: number,
): void {
  const plane = size.height * size.width;
  for (let p = 0; p < plane; p++) {
    const seen = windowAt(distanceAt(p, size), aperture);
    for (let c = 0; c < 3; c++) {
      data[c * plane + p] = background + seen * (data[c * plane + p] - background);
    }
  }
}

function drawFixation(
  data: Float64Array,
  size: ImageSize,
  { radius, color = [1, 0, 0] }: FixationMark,
): void {
  const plane = size.height * size.width;
  for (let p = 0; p < plane; p++) {
    if (distanceAt(p, size) <= radius) color.forEach((v, c) => data[c * plane + p] = v);
  }
}

/**
 * Prepares an image for a screen: luminance and contrast, or the histogram; clipping; the window; the fixation mark; gamma; bytes. Ask the encoder about
 * `colors` afterwards: what normalising costs in predicted response belongs in the report.
 *
 * @throws {InputError} when options contradict each other or are out of range, or values are missing
 */
export function presentImage(
  image: ColorImage,
  options: PresentationOptions = {},
): PresentedImage {
  requireOptions(image, options);
  const { height, width } = image, plane = height * width;
  const { luminance, quantiles, aperture, fixation, gamma = 1 } = options;
  const matched = quantiles ? matchHistogram(image, quantiles) : matchMoments(image, options);
  let outside = 0;
  const data = matched.map((v) => {
    if (v < 0 || v > 1) outside++;
    return Math.min(1, Math.max(0, v));
  });
  const background = options.background ?? luminance ?? DEMO_GRAY;
  if (aperture) applyAperture(data, image, aperture, background);
  if (fixation) drawFixation(data, image, fixation);
  const bytes = new Uint8Array(3 * plane);
  data.forEach((v, at) => {
    bytes[3 * (at % plane) + Math.floor(at / plane)] = Math.round(255 * v ** (1 / gamma));
  });
  const colors = { height, width, data };
  return {
    image: { height, width, data: bytes },
    colors,
    clipped: outside / data.length,
    moments: luminanceMoments(colors),
  };
}
