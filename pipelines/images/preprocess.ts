import { InputError } from "../errors.ts";
import { interpolate } from "./interpolate.ts";
import { type PilFilter, pilResize } from "./pil_resize.ts";
import { checkRgbImage, type RgbImage } from "./rgb_image.ts";

/** Three numbers, one per colour: R, G, B. */
export type Rgb = readonly [red: number, green: number, blue: number];

/** How one model family turns an image into its input. */
export interface Preprocessing {
  /** Filter of the resize, as Pillow has it. */
  readonly filter: PilFilter;
  /**
   * `crop` keeps the aspect ratio and cuts the middle out (torchvision's `Resize` and `CenterCrop`);
   * `stretch` resizes straight to the size asked for.
   */
  readonly fit: "crop" | "stretch";
  /** The side resized to before the crop, for an output side; the same as the output side when left out. */
  readonly resizeSide?: (outputSide: number) => number;
  /**
   * `bytes` (default) rounds what was resized to bytes, between the axes too, as Pillow does; `floats` does not, as torchvision does with
   * tensors. That takes the bilinear and bicubic filters only.
   */
  readonly resizeIn?: "bytes" | "floats";
  /** Subtracted from pixels in 0..1. */
  readonly mean: Rgb;
  /** Divides what is left. */
  readonly std: Rgb;
  /** Side of the square that the family was trained on, in pixels. */
  readonly size: number;
}

/** Mean and std of OpenAI's CLIP (`clip/clip.py`, `_transform`). */
export const clipMean: Rgb = [0.48145466, 0.4578275, 0.40821073];
/** See {@link clipMean}. */
export const clipStd: Rgb = [0.26862954, 0.26130258, 0.27577711];
/** Mean and std of ImageNet, as torchvision's models take them. */
export const imagenetMean: Rgb = [0.485, 0.456, 0.406];
/** See {@link imagenetMean}. */
export const imagenetStd: Rgb = [0.229, 0.224, 0.225];

const half: Rgb = [0.5, 0.5, 0.5];

/** A family that {@link preprocess} knows. */
export type PreprocessingName =
  | "clip"
  | "dinov2"
  | "dino"
  | "mae"
  | "inception"
  | "siglip"
  | "radio";

/** The evaluation transform of each family, from its own repository. */
export const preprocessings: Readonly<Record<PreprocessingName, Preprocessing>> = {
  /** OpenAI CLIP, `clip/clip.py` `_transform`. */
  clip: { filter: "bicubic", fit: "crop", mean: clipMean, std: clipStd, size: 224 },
  /** DINOv2, `dinov2/data/transforms.py` `make_classification_eval_transform`: resize 256, crop 224. */
  dinov2: {
    filter: "bicubic",
    fit: "crop",
    resizeSide: (side) => Math.floor(side * 256 / 224),
    mean: imagenetMean,
    std: imagenetStd,
    size: 224,
  },
  /** DINO, `eval_linear.py`: resize 256, crop 224. */
  dino: {
    filter: "bicubic",
    fit: "crop",
    resizeSide: (side) => Math.floor(side * 256 / 224),
    mean: imagenetMean,
    std: imagenetStd,
    size: 224,
  },
  /** MAE, `util/datasets.py` `build_transform`: crop fraction 224/256 up to 224 pixels, 1 above. */
  mae: {
    filter: "bicubic",
    fit: "crop",
    resizeSide: (side) => side <= 224 ? Math.floor(side / (224 / 256)) : side,
    mean: imagenetMean,
    std: imagenetStd,
    size: 224,
  },
  /** torchvision `Inception_V3_Weights.IMAGENET1K_V1`: bilinear resize 342, crop 299. */
  inception: {
    filter: "bilinear",
    fit: "crop",
    resizeSide: (side) => Math.floor(side * 342 / 299),
    mean: imagenetMean,
    std: imagenetStd,
    size: 299,
  },
  /** Google SigLIP, `preprocessor_config.json` of `siglip-base-patch16-224`: no crop. */
  siglip: { filter: "bicubic", fit: "stretch", mean: half, std: half, size: 224 },
  /**
   * AM-RADIO: pixels stay in 0..1, as the model subtracts CLIP's mean itself (`radio/input_conditioner.py`);
   * 768 is the preferred resolution of v2.5.
   */
  radio: { filter: "bicubic", fit: "stretch", mean: [0, 0, 0], std: [1, 1, 1], size: 768 },
};

/**
 * The same family with the image resized straight to its size, as BrainSAIL does for dense features:
 * `Image.resize((S, S))` and no crop (its images are square, so that nothing is distorted).
 */
export function stretched(name: PreprocessingName): Preprocessing {
  return { ...preprocessings[name], fit: "stretch" };
}

/**
 * The same transform with the shorter side brought to the side of the crop, without rounding to bytes, so that no more is cut away than
 * must be.
 */
export function cropped(recipe: Preprocessing): Preprocessing {
  return { ...recipe, fit: "crop", resizeSide: undefined, resizeIn: "floats" };
}

/** Colours from 0 to 1, as they are. */
export const unitColors: { readonly mean: Rgb; readonly std: Rgb } = {
  mean: [0, 0, 0],
  std: [1, 1, 1],
};

/** An image size in pixels. */
export interface ImageSize {
  /** Rows. */
  readonly height: number;
  /** Columns. */
  readonly width: number;
}

/**
 * Reads a size as a user writes it: `"224"` for a square, `"336x448"` for height by width.
 *
 * @throws {InputError} when the text is neither
 */
export function parseImageSize(text: string): ImageSize {
  const match = /^([1-9]\d{0,4})(?:x([1-9]\d{0,4}))?$/.exec(text.trim().toLowerCase());
  if (!match) {
    throw new InputError(
      `Cannot read the image size: it must be S or HxW in whole pixels, as 224 or 336x448, got "${text}"`,
    );
  }
  return { height: Number(match[1]), width: Number(match[2] ?? match[1]) };
}

/**
 * Resizes so that the image covers `height` by `width` and keeps its aspect ratio; one side fits exactly and the
 * other is truncated to a whole number, which for a square is torchvision's `Resize(side)` on a PIL image.
 */
export function resizeToCover(
  image: RgbImage,
  { height, width, filter }: ImageSize & { filter: PilFilter },
): RgbImage {
  return pilResize(image, { ...coverSize(image, { height, width }), filter });
}

/** Python's `round`: halves go to the even neighbour. */
function roundHalfEven(x: number): number {
  const below = Math.floor(x);
  if (x - below !== 0.5) return Math.round(x);
  return below % 2 === 0 ? below : below + 1;
}

/**
 * Cuts the middle out of an image, or surrounds it with black where it is smaller, as torchvision's `CenterCrop`
 * does on a PIL image.
 */
export function centerCrop(image: RgbImage, { height, width }: ImageSize): RgbImage {
  checkRgbImage(image);
  const top = cropOffset(image.height, height);
  const left = cropOffset(image.width, width);
  const data = new Uint8Array(height * width * 3);
  const x0 = Math.max(0, -left); // first output column that the image reaches
  const x1 = Math.min(width, image.width - left);
  for (let y = Math.max(0, -top); y < Math.min(height, image.height - top); y++) {
    const source = (y + top) * image.width;
    data.set(
      image.data.subarray((source + x0 + left) * 3, (source + x1 + left) * 3),
      (y * width + x0) * 3,
    );
  }
  return { height, width, data };
}

/** Where a crop of `to` starts in a side of `from`; negative where padding comes first (the smaller half of it). @internal */
export function cropOffset(from: number, to: number): number {
  return to > from ? -Math.floor((to - from) / 2) : roundHalfEven((from - to) / 2);
}

/**
 * 8-bit pixels to `[3, height, width]`: `/255`, minus the mean, over the std, each step rounded to f32 as
 * torchvision's `ToTensor` and `Normalize` round it.
 */
export function normalize(
  image: RgbImage,
  { mean, std }: { mean: Rgb; std: Rgb },
): Float32Array<ArrayBuffer> {
  checkRgbImage(image);
  const size = image.height * image.width;
  const out = new Float32Array(3 * size);
  const table = new Float32Array(256);
  for (let c = 0; c < 3; c++) {
    const m = Math.fround(mean[c]);
    const s = Math.fround(std[c]);
    for (let v = 0; v < 256; v++) table[v] = Math.fround(Math.fround(v / 255) - m) / s;
    for (let i = 0; i < size; i++) out[c * size + i] = table[image.data[i * 3 + c]];
  }
  return out;
}

/** What {@link preprocess} makes. */
export interface PreprocessedImage extends ImageSize {
  /** `[3, height, width]`, channels first. */
  readonly data: Float32Array<ArrayBuffer>;
}

/** The family and, where it is not the family's own, the size. */
export interface PreprocessOptions {
  /** A family by name, or a transform of one's own. */
  family: PreprocessingName | Preprocessing;
  /** Output size; the family's own square when left out. */
  size?: ImageSize;
}

/** Size that covers another and keeps the aspect ratio of an image, see {@link resizeToCover}. @internal */
export function coverSize(image: ImageSize, { height, width }: ImageSize): ImageSize {
  // Python computes int(side * long / short): product first, then one true division, then truncation.
  const fitHeight = height * image.width >= width * image.height;
  return fitHeight
    ? { height, width: Math.trunc(height * image.width / image.height) }
    : { height: Math.trunc(width * image.height / image.width), width };
}

/** {@link preprocess} without rounding: `Resize` (antialiased), `CenterCrop` and `Normalize` of torchvision on a float tensor. */
function preprocessFloats(
  image: RgbImage,
  recipe: Preprocessing,
  size: ImageSize,
): Float32Array<ArrayBuffer> {
  checkRgbImage(image);
  const { filter: mode } = recipe;
  if (mode !== "bilinear" && mode !== "bicubic") {
    throw new InputError(
      `Cannot resize in floats by ${mode}: the filter must be bilinear or bicubic`,
    );
  }
  const { height, width } = size;
  const side = recipe.resizeSide ?? ((outputSide: number) => outputSide);
  const to = recipe.fit === "stretch"
    ? size
    : coverSize(image, { height: side(height), width: side(width) });
  const { data } = interpolate(Float32Array.from(image.data), {
    ...{ layout: "hwc", channels: 3, height: image.height, width: image.width },
    ...{ size: [to.height, to.width], mode, antialias: true },
  });
  const top = cropOffset(to.height, height), left = cropOffset(to.width, width);
  const out = new Float32Array(3 * height * width);
  for (let i = 0; i < out.length; i++) {
    const c = Math.floor(i / (height * width));
    const y = Math.floor(i / width) % height + top, x = i % width + left;
    const isInside = y >= 0 && y < to.height && x >= 0 && x < to.width;
    const value = isInside ? data[(y * to.width + x) * 3 + c] / 255 : 0; // padding is black
    out[i] = (value - recipe.mean[c]) / recipe.std[c];
  }
  return out;
}

/**
 * Turns an image into the input of a model family as the family's own code does.
 *
 * A size that is not square covers the same rule on both sides: the image is resized to cover the size and the
 * middle is cut out.
 *
 * @throws {InputError} when the image is not usable
 */
export function preprocess(
  image: RgbImage,
  { family, size }: PreprocessOptions,
): PreprocessedImage {
  const recipe: Preprocessing = typeof family === "string" ? preprocessings[family] : family;
  const { height, width } = size ?? { height: recipe.size, width: recipe.size };
  if (recipe.resizeIn === "floats") {
    return { height, width, data: preprocessFloats(image, recipe, { height, width }) };
  }
  const side = recipe.resizeSide ?? ((outputSide: number) => outputSide);
  const fitted = recipe.fit === "stretch"
    ? pilResize(image, { height, width, filter: recipe.filter })
    : centerCrop(
      resizeToCover(image, { height: side(height), width: side(width), filter: recipe.filter }),
      { height, width },
    );
  return { height, width, data: normalize(fitted, recipe) };
}
