/**
 * The sets of images that `gyrus experiment` asks encoders about, and how images are prepared for a screen.
 *
 * @module
 */
import type { Command } from "commander";
import type { Gpu } from "../../engine/gpu.ts";
import type { Key } from "../../engine/random.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import type { ImageSize } from "../images/preprocess.ts";
import type { RgbImage } from "../images/rgb_image.ts";
import { openImages } from "../io/images.ts";
import { quote } from "../io/strict_json.ts";
import { phaseScrambled } from "../optvis/controls.ts";
import { fitImage } from "../optvis/magnitude_template.ts";
import {
  type LuminanceSpectrum,
  luminanceSpectrum,
  matchSpectrum,
} from "../optvis/match_spectrum.ts";
import {
  colorImage,
  type PresentationOptions,
  presentationReference,
  type PresentedImage,
  presentImage,
} from "../optvis/presentation.ts";
import type { MadeImages } from "../vwam/made_images.ts";
import { realNumber } from "./options.ts";

/** Images that encoders are asked about. */
export interface ImageSet {
  /** Name. */
  readonly name: string;
  /** Number of images. */
  readonly n: number;
  /** Their size. */
  readonly size: ImageSize;
  /** Colours of images `start` to before `end`, `[end − start, 3, height, width]`. */
  read(start: number, end: number): Promise<Float32Array<ArrayBuffer>> | Float32Array<ArrayBuffer>;
}

/** Options of the preparation. */
export interface ScreenCliOptions {
  readonly match?: string;
  readonly reference?: string;
  readonly aperture?: string;
  readonly fixation?: number;
  readonly background?: number;
  readonly gamma?: number;
}

const MATCHES = ["spectrum", "radial", "luminance", "contrast", "histogram"] as const;

/** Adds the options. */
export function addScreenOptions(command: Command): Command {
  return command
    .option("--match <list>", `bring images to a reference set's ${MATCHES.join(", ")}`)
    .option("--reference <ref>", "images that --match takes its values from")
    .option("--aperture <r>", "round window: radius[,soft edge] as shares of half the side")
    .option("--fixation <r>", "red disc in the middle, radius as a share", realNumber)
    .option("--background <gray>", "gray around the window, 0 to 1", realNumber)
    .option("--gamma <g>", "exponent of the screen that the bytes undo", realNumber);
}

/** Prepares image after image. */
export type Presenter = (image: RgbImage) => Promise<PresentedImage>;

function matchesOf({ match, reference }: ScreenCliOptions): Set<string> {
  const names = (match ?? "").split(",").map((name) => name.trim()).filter((name) => name !== "");
  const bad = names.find((name) => !(MATCHES as readonly string[]).includes(name));
  if (bad !== undefined) {
    throw new InputError(`Cannot match ${quote(bad)}: there are ${MATCHES.join(", ")}`);
  }
  const isBoth = names.includes("spectrum") && names.includes("radial");
  if (
    isBoth ||
    names.includes("histogram") && names.some((n) => n === "luminance" || n === "contrast")
  ) {
    throw new InputError(
      "Cannot match both: spectrum goes without radial, histogram without luminance and contrast",
    );
  }
  if (names.length > 0 && reference === undefined) {
    throw new InputError("Cannot match images: --reference names the images to match them to");
  }
  return new Set(names);
}

function apertureOf(text: string | undefined): PresentationOptions["aperture"] {
  if (text === undefined) return undefined;
  const [radius, edge = 0] = text.split(",").map(Number);
  return { radius, edge };
}

/** How images are prepared; nothing where no option asks for it. */
export async function presenterOf(
  gpu: Gpu,
  options: ScreenCliOptions,
): Promise<Presenter | undefined> {
  const { match, reference, aperture, fixation, background, gamma } = options;
  const given = [match, aperture, fixation, background, gamma];
  const matches = matchesOf(options);
  if (given.every((option) => option === undefined)) return undefined;
  const images: RgbImage[] = [];
  if (matches.size > 0) {
    using source = await openImages(reference ?? "");
    for (let i = 0; i < source.n; i++) images.push(source.read(i));
  }
  const own = images.length > 0 ? presentationReference(images) : undefined;
  const screen: PresentationOptions = {
    luminance: matches.has("luminance") ? own?.luminance : undefined,
    contrast: matches.has("contrast") ? own?.contrast : undefined,
    quantiles: matches.has("histogram") ? own?.quantiles : undefined,
    aperture: apertureOf(aperture),
    fixation: fixation === undefined ? undefined : { radius: fixation },
    ...{ background, gamma },
  };
  const spectra = new Map<string, LuminanceSpectrum>();
  return async (image) => {
    const { height, width } = image;
    const colors = colorImage(image);
    if (!matches.has("spectrum") && !matches.has("radial")) return presentImage(colors, screen);
    const size = `${height}x${width}`;
    const spectrum = spectra.get(size) ?? await luminanceSpectrum(gpu, images, { height, width });
    spectra.set(size, spectrum);
    const isRadial = matches.has("radial");
    return presentImage(await matchSpectrum(gpu, colors, spectrum, { isRadial }), screen);
  };
}

/** The images of a folder. */
export function madeSet(made: MadeImages, name: string): ImageSet {
  const [height, width] = made.size;
  return { name, n: made.n, size: { height, width }, read: (start, end) => made.read(start, end) };
}

/** A set as it is shown on a screen. */
export function presentedSet(
  { n, size }: ImageSet,
  show: (i: number) => Promise<PresentedImage>,
): ImageSet {
  const length = 3 * size.height * size.width;
  return {
    ...{ name: "prepared", n, size },
    async read(start, end) {
      const data = new Float32Array((end - start) * length);
      for (let i = start; i < end; i++) data.set((await show(i)).colors.data, (i - start) * length);
      return data;
    },
  };
}

/** A set with random phases, clipped to what can be shown. */
export function scrambledSet(gpu: Gpu, set: ImageSet, key: Key): ImageSet {
  const { n, size: { height, width }, size } = set;
  return {
    ...{ name: "phase-scrambled", n, size },
    async read(start, end) {
      const values = await set.read(start, end);
      using x = Tensor.from(gpu, values, [end - start, 3, height, width]);
      using scrambled = tidy(gpu, () => phaseScrambled(x, key, { first: start }));
      const data = await scrambled.data() as Float32Array<ArrayBuffer>;
      return data.map((v) => Math.min(1, Math.max(0, v)));
    },
  };
}

/** Pictures by number, resized to cover a size. */
export function pictureSet(pictures: readonly RgbImage[], size: ImageSize): ImageSet {
  const length = 3 * size.height * size.width;
  return {
    ...{ name: "originals", n: pictures.length, size },
    read(start, end) {
      const data = new Float32Array((end - start) * length);
      for (let i = start; i < end; i++) {
        data.set(
          Float32Array.from(colorImage(fitImage(pictures[i], size)).data),
          (i - start) * length,
        );
      }
      return data;
    },
  };
}
