import { InputError } from "../errors.ts";
import { interpolate, type InterpolateOptions } from "../images/interpolate.ts";

/** Rows and columns of a patch grid. */
export type Grid = readonly [height: number, width: number];

/**
 * Added to the grid by DINO, DINOv2 without registers and NACLIP before dividing, to dodge a rounding error; it
 * shifts every sampling coordinate (`interpolate_pos_encoding` of the three repositories).
 */
const OFFSET = 0.1;

type Resample = Pick<
  InterpolateOptions,
  "size" | "scaleFactor" | "mode" | "antialias" | "alignCorners"
>;

interface Convention {
  /** When the table is used as it is. */
  readonly skips: "same grid" | "same count";
  /** The grid to resample to, of which the top left corner is kept; the target grid when left out. */
  readonly cover?: (to: Grid) => Grid;
  readonly resample: (from: Grid, to: Grid) => Resample;
}

function offsetBicubic(from: Grid, to: Grid): Resample {
  return {
    size: to,
    scaleFactor: [(to[0] + OFFSET) / from[0], (to[1] + OFFSET) / from[1]],
    mode: "bicubic",
  };
}

function bicubic(_from: Grid, to: Grid): Resample {
  return { size: to, mode: "bicubic" };
}

function antialiasedBicubic(_from: Grid, to: Grid): Resample {
  return { size: to, mode: "bicubic", antialias: true };
}

function square(to: Grid): Grid {
  const side = Math.max(to[0], to[1]);
  return [side, side];
}

/** How a positional embedding is brought to another grid: whose code is followed; `none` refuses to. */
export type PosEmbedConvention =
  | "naclip"
  | "dinov2"
  | "dino"
  | "dinov2_reg"
  | "hf"
  | "mmseg"
  | "brainsail"
  | "timm"
  | "radio"
  | "radio_align_corners"
  | "none";

const conventions: Readonly<Record<Exclude<PosEmbedConvention, "none">, Convention>> = {
  /** NACLIP, `clip/model.py`: the table is used as it is whenever the token count fits, whatever the shape. */
  naclip: { skips: "same count", resample: offsetBicubic },
  /** DINOv2 without registers, `interpolate_offset=0.1`; M = sqrt(N) is `from` on both axes. */
  dinov2: { skips: "same grid", resample: offsetBicubic },
  /** DINO, `vision_transformer.py`. */
  dino: { skips: "same grid", resample: offsetBicubic },
  /** DINOv2 with registers, `interpolate_offset=0.0, interpolate_antialias=True` (`hub/backbones.py`). */
  dinov2_reg: { skips: "same grid", resample: antialiasedBicubic },
  /** transformers, `interpolate_pos_encoding` of CLIP, ViT, ViTMAE, SigLIP and, in its newer releases, Dinov2. */
  hf: { skips: "same grid", resample: bicubic },
  /** mmseg's `resize_pos_embed`, as MaskCLIP's ViT calls it. */
  mmseg: { skips: "same grid", resample: bicubic },
  /** BrainSAIL's dense script for CLIP. */
  brainsail: { skips: "same grid", resample: bicubic },
  /** timm, `resample_abs_pos_embed`. */
  timm: { skips: "same grid", resample: antialiasedBicubic },
  /** AM-RADIO, `_get_pos_embeddings` of `radio/vit_patch_generator.py`. */
  radio: {
    skips: "same grid",
    cover: square,
    resample: (_from, to) => ({ size: to, mode: "bilinear" }),
  },
  /** AM-RADIO before 28 June 2025 (commit cb07f55), which aligned the corners. */
  radio_align_corners: {
    skips: "same grid",
    cover: square,
    resample: (_from, to) => ({ size: to, mode: "bilinear", alignCorners: true }),
  },
};

/** The conventions by name, for help texts and for reading a user's choice. */
export const posEmbedConventions: readonly PosEmbedConvention[] = [
  ...Object.keys(conventions) as PosEmbedConvention[],
  "none",
];

/** Grids and convention of {@link resizePosEmbed}. */
export interface ResizePosEmbedOptions {
  /** Rows of the table before the patches (class token, registers), which are kept as they are. */
  prefix: number;
  /** Patch grid of the table. */
  from: Grid;
  /** Patch grid of the image. */
  to: Grid;
  /** Length of one embedding. */
  width: number;
  /** Whose code to follow. */
  convention: PosEmbedConvention;
}

/** Keeps the top left `to` of a grid `[height, width, channels]`. */
function cropTopLeft(
  grid: Float64Array<ArrayBuffer>,
  { columns, to, width }: { columns: number; to: Grid; width: number },
): Float64Array<ArrayBuffer> {
  if (columns === to[1]) return grid.subarray(0, to[0] * to[1] * width);
  const out = new Float64Array(to[0] * to[1] * width);
  for (let y = 0; y < to[0]; y++) {
    const row = y * columns * width;
    out.set(grid.subarray(row, row + to[1] * width), y * to[1] * width);
  }
  return out;
}

function checkPosEmbed(length: number, options: ResizePosEmbedOptions): void {
  const { prefix, from, to, width, convention } = options;
  const need = (prefix + from[0] * from[1]) * width;
  if (length !== need) {
    throw new InputError(
      `Cannot resize the positional embedding: ${prefix} + ${from[0]}x${
        from[1]
      } tokens of ${width} ` +
        `need ${need} values, got ${length}`,
    );
  }
  if (convention === "none" && (from[0] !== to[0] || from[1] !== to[1])) {
    throw new InputError(
      `Cannot use an image of ${to[0]}x${
        to[1]
      } patches: positional interpolation is off and the model ` +
        `was trained on ${from[0]}x${from[1]}`,
    );
  }
}

/**
 * Brings a learned positional embedding to another patch grid the way one of the field's code bases does; they
 * do not agree with one another. Interpolates in float64 and rounds once.
 *
 * @param posEmbed `[prefix + from[0] * from[1], width]`, patches row by row
 * @returns `[prefix + to[0] * to[1], width]`; a copy
 * @throws {InputError} when the table does not have that shape, or the convention is `none` and the grids differ
 */
export function resizePosEmbed(
  posEmbed: Float32Array,
  options: ResizePosEmbedOptions,
): Float32Array<ArrayBuffer> {
  checkPosEmbed(posEmbed.length, options);
  const { prefix, from, to, width, convention } = options;
  const sameGrid = from[0] === to[0] && from[1] === to[1];
  const sameCount = from[0] * from[1] === to[0] * to[1];
  if (convention === "none" || sameGrid) return posEmbed.slice();
  const { skips, resample, cover } = conventions[convention];
  if (skips === "same count" && sameCount) return posEmbed.slice();
  const covered = cover ? cover(to) : to;
  const resampled = interpolate(posEmbed.subarray(prefix * width), {
    layout: "hwc",
    channels: width,
    height: from[0],
    width: from[1],
    ...resample(from, covered),
  });
  const out = new Float32Array((prefix + to[0] * to[1]) * width);
  out.set(posEmbed.subarray(0, prefix * width));
  out.set(cropTopLeft(resampled.data, { columns: covered[1], to, width }), prefix * width);
  return out;
}

/**
 * The fixed 2-d sine-cosine table of MAE (`util/pos_embed.py`): the first half of the channels encodes the column
 * and the second half the row; each half is all sines, then all cosines.
 *
 * @param dim length of one embedding, a multiple of 4
 * @returns `[gridHeight * gridWidth, dim]`, without the class token's row of zeros
 * @throws {InputError} when `dim` is not a multiple of 4
 */
export function sinCosPosEmbed(
  dim: number,
  gridHeight: number,
  gridWidth: number,
): Float32Array<ArrayBuffer> {
  if (!Number.isInteger(dim) || dim < 4 || dim % 4 !== 0) {
    throw new InputError(
      `Cannot make a sine-cosine table: the width must be a multiple of 4, got ${dim}`,
    );
  }
  const quarter = dim / 4;
  const out = new Float32Array(gridHeight * gridWidth * dim);
  for (let y = 0; y < gridHeight; y++) {
    for (let x = 0; x < gridWidth; x++) {
      const start = (y * gridWidth + x) * dim;
      for (let k = 0; k < quarter; k++) {
        const omega = 10000 ** (-k / quarter);
        out[start + k] = Math.sin(x * omega);
        out[start + quarter + k] = Math.cos(x * omega);
        out[start + 2 * quarter + k] = Math.sin(y * omega);
        out[start + 3 * quarter + k] = Math.cos(y * omega);
      }
    }
  }
  return out;
}
