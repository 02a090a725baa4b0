import type { Gpu } from "../../engine/gpu.ts";
import { InputError } from "../errors.ts";
import type { ImageSize } from "../images/preprocess.ts";
import type { RgbImage } from "../images/rgb_image.ts";
import type { ImageParam } from "./image_param.ts";
import { type MagnitudeTemplate, naturalMagnitudes } from "./magnitude_template.ts";
import type { OptimizerOptions } from "./optimizer.ts";
import { complexParam, type ComplexParamOptions } from "./param_complex.ts";
import { fourierParam, type FourierParamOptions } from "./param_fourier.ts";
import { macoParam, type MacoParamOptions } from "./param_maco.ts";
import { seedParam, type SeedParamOptions } from "./param_seed.ts";
import type { Transforms } from "./transform_images.ts";

/** A published way of making images, as data: spread it to change parts of it. */
export interface OptvisPreset {
  /** How images are parameterised. */
  readonly param:
    | { readonly kind: "complex" } & ComplexParamOptions
    | { readonly kind: "fourier" } & FourierParamOptions
    | { readonly kind: "maco" } & MacoParamOptions
    | { readonly kind: "seed" } & SeedParamOptions;
  /** Side of the square images. */
  readonly size: number;
  /** Steps. */
  readonly steps: number;
  /** The optimiser. */
  readonly optimizer: OptimizerOptions;
  /** Random views. */
  readonly transforms: Transforms;
  /** Steps in which gradients pass dead ReLUs. */
  readonly redirectedSteps: number;
  /** Weight of `seedPenalty`, to be taken from the objective. */
  readonly seedPenalty: number;
}

/** Names of the presets. */
export type OptvisPresetName = "vwam" | "lucid" | "maco" | "accentuate";

/** `-10, …, 10` and five more zeros, in degrees: lucid's `standard_transforms`. */
const LUCID_TURNS = [...Array.from({ length: 21 }, (_, i) => i - 10), 0, 0, 0, 0, 0];
/** `0.90, 0.92, …, 1.10`: lucid's `standard_transforms`. */
const LUCID_SCALES = Array.from({ length: 11 }, (_, i) => (90 + 2 * i) / 100);

/** Horama's crops (`horama/common.py`), which resize to 448 pixels for a network of 224: take twice the side of another network. */
const HORAMA_VIEWS: Transforms = {
  steps: [{
    kind: "box",
    side: { low: 0.25, high: 0.30 }, // box_size (0.20, 0.25), whose upper end the code adds once more
    centerSd: 0.15,
    output: { height: 448, width: 448 },
  }],
  crops: 6,
  // noise 0.05 on values from −2.5 to 2.5, here on 0…1; the uniform noise spans as much as one standard deviation
  normalNoise: 0.05 / 5,
  uniformNoise: 0.025 / 5,
};

/** The presets; the source of each value stands beside it. */
export const optvisPresets: Readonly<Record<OptvisPresetName, OptvisPreset>> = {
  /**
   * The VWAM package's demo (MShinkle/VWAM). Three things differ: colours mix channels (`"vwam-legacy"` is the demo's way), every image has
   * its own views (`isShared` is the demo's way), and the whole chain is sampled bilinearly once, where the demo turns by the nearest pixel.
   */
  vwam: {
    param: { kind: "complex", gray: 140 / 255, sd: 1, colors: "channels", squash: "none" },
    size: 500,
    steps: 1000,
    optimizer: { name: "adam", lr: 2.5 },
    transforms: {
      steps: [
        { kind: "pad", by: 5 }, // RandomCrop(500, padding=5)
        { kind: "jitter", by: 10 },
        { kind: "rotate", degrees: { low: -5, high: 5 } }, // RandomRotation(5)
        { kind: "resizedCrop", area: { low: 0.95, high: 1.05 } }, // RandomResizedCrop(500, (.95, 1.05), (1, 1))
        { kind: "pad", by: 3 }, // RandomCrop(500, padding=3)
        { kind: "jitter", by: 6 },
      ],
      fill: 0,
    },
    redirectedSteps: 0,
    seedPenalty: 0,
  },
  /** lucid's `render_vis` (`optvis/render.py`, `transform.py`, `param`); what a turn uncovers is gray here and black there. */
  lucid: {
    param: { kind: "fourier", sd: 0.01, decayPower: 1, colors: "channels", squash: "sigmoid" },
    size: 128,
    steps: 512,
    optimizer: { name: "adam", lr: 0.05 },
    transforms: {
      steps: [
        { kind: "pad", by: 12 }, // pad(12, mode="constant", constant_value=.5)
        { kind: "jitter", by: 8 },
        { kind: "scale", factor: { choices: LUCID_SCALES } },
        { kind: "rotate", degrees: { choices: LUCID_TURNS } },
        { kind: "jitter", by: 4 },
      ],
      fill: 0.5,
    },
    redirectedSteps: 16, // misc/redirected_relu_grad.py
    seedPenalty: 0,
  },
  /** MACO as Horama has it (`horama/maco_fv.py`). */
  maco: {
    param: { kind: "maco", sd: 1, eps: 1e-4, colors: "channels", squash: "sigmoid" },
    size: 1280,
    steps: 1000,
    optimizer: { name: "nadam", lr: 1 },
    transforms: HORAMA_VIEWS,
    redirectedSteps: 0,
    seedPenalty: 0,
  },
  /** Feature accentuation as Horama has it (`horama/feature_accentuation.py`). */
  accentuate: {
    param: { kind: "seed", decayPower: 1.5, eps: 1e-3 },
    size: 1280,
    steps: 1000,
    optimizer: { name: "nadam", lr: 1 },
    transforms: HORAMA_VIEWS,
    redirectedSteps: 0,
    seedPenalty: 25, // 1 on squares of values from −2.5 to 2.5, here of 0…1
  },
};

/** What a preset needs besides itself. */
export interface PresetParamOptions {
  /** Size of the images; the preset's square when absent. */
  readonly size?: ImageSize;
  /** Magnitudes for `"maco"`, of the size; those of natural images when absent. */
  readonly template?: MagnitudeTemplate;
  /** The picture that `"seed"` starts from. */
  readonly picture?: RgbImage;
}

/**
 * The parameterisation of a preset; the caller's to dispose.
 *
 * @throws {InputError} when a preset that starts from a picture gets none, or a template has another size
 */
export function presetParam(
  gpu: Gpu,
  { param, size: side }: Pick<OptvisPreset, "param" | "size">,
  { size = { height: side, width: side }, template, picture }: PresetParamOptions = {},
): ImageParam {
  switch (param.kind) {
    case "complex":
      return complexParam(gpu, size, param);
    case "fourier":
      return fourierParam(gpu, size, param);
    case "maco": {
      const magnitudes = template ?? naturalMagnitudes(size);
      const { height, width } = magnitudes.size;
      if (height !== size.height || width !== size.width) {
        throw new InputError(
          `Cannot make images of ${size.height}x${size.width}: the magnitudes are of ${height}x${width}`,
        );
      }
      return macoParam(gpu, magnitudes, param);
    }
    case "seed":
      if (!picture) {
        throw new InputError("Cannot accentuate: there must be a picture to start from");
      }
      return seedParam(gpu, picture, size, param);
  }
}
