import { resampleTaps, type Taps } from "../../../shaders/resize/taps.ts";
import { InputError } from "../../errors.ts";

/** The tokens of one layer of one network. */
export interface AlignmentSlice {
  /** Name of the network. */
  readonly model: string;
  /** Name of the layer. */
  readonly layer: string;
  /** Channels of a token. */
  readonly width: number;
}

/** Tokens of every layer of every network for a set of images: the class token, then `grid` × `grid` patches row by row. */
export interface TokenSource {
  /** Number of images. */
  readonly nImages: number;
  /** Patches along a side. */
  readonly grid: number;
  /** Layers of networks, in the order of what `read` returns. */
  readonly slices: readonly AlignmentSlice[];
  /**
   * Tokens of some images.
   *
   * @returns for each slice `[images.length, 1 + grid², width]`
   */
  read(images: ArrayLike<number>): readonly Float32Array<ArrayBuffer>[];
}

/** Tokens in memory, `[nImages, 1 + grid², width]`. */
export interface SliceTokens extends AlignmentSlice {
  /** The values. */
  readonly tokens: Float32Array<ArrayBuffer>;
}

/**
 * A source over tokens in memory.
 *
 * @throws {InputError} when there are none, or the sizes do not fit each other
 */
export function tokensInMemory(slices: readonly SliceTokens[], grid: number): TokenSource {
  const rows = 1 + grid * grid;
  const nImages = (slices[0]?.tokens.length ?? 0) / rows / (slices[0]?.width ?? 1);
  const odd = slices.find(({ tokens, width }) => tokens.length !== nImages * rows * width);
  if (odd !== undefined || !Number.isInteger(nImages) || nImages < 1) {
    const { model, layer, tokens, width } = odd ?? slices[0] ?? {};
    throw new InputError(
      `Cannot take tokens of layer ${layer} of ${model}: ${tokens?.length} values are not the same number of images ` +
        `of ${rows} tokens of ${width} channels as in the other layers`,
    );
  }
  return {
    nImages,
    grid,
    slices: slices.map(({ model, layer, width }) => ({ model, layer, width })),
    read: (images) =>
      slices.map(({ tokens, width }) => {
        const size = rows * width;
        const out = new Float32Array(images.length * size);
        for (let i = 0; i < images.length; i++) {
          out.set(tokens.subarray(images[i] * size, (images[i] + 1) * size), i * size);
        }
        return out;
      }),
  };
}

/** Where the tokens of an image come from. */
export interface TokenLayout {
  /** Tokens before the patches; the first of them is the class token, without any the mean of the patches stands in for it. */
  readonly prefixTokens: number;
  /** Rows and columns of patches. */
  readonly grid: readonly [number, number];
  /** Channels. */
  readonly width: number;
}

/**
 * Brings tokens to a class token and `grid` × `grid` patches: bilinear as `torch.nn.functional.interpolate` without antialiasing, which
 * is how FactorTopy's code (`BrainDecodesDeepNets`) comes to its 8 × 8; a grid of that size is copied.
 *
 * @param tokens `[n, prefix + rows·columns, width]`
 * @returns `[n, 1 + grid², width]`
 */
export function gridTokens(
  tokens: Float32Array,
  { prefixTokens, grid: [rows, columns], width }: TokenLayout,
  grid: number,
): Float32Array<ArrayBuffer> {
  const nTokens = prefixTokens + rows * columns;
  const n = tokens.length / nTokens / width;
  if (!Number.isInteger(n)) {
    throw new InputError(
      `Cannot read tokens: ${tokens.length} values are not images of ${prefixTokens} + ${rows} × ${columns} tokens of ${width} channels`,
    );
  }
  const axis = (inSize: number) => resampleTaps({ inSize, outSize: grid }, "bilinear");
  const taps = [axis(rows), axis(columns)] as const;
  const out = new Float32Array(n * (1 + grid * grid) * width);
  for (let i = 0; i < n; i++) {
    const from = tokens.subarray(i * nTokens * width, (i + 1) * nTokens * width);
    const to = out.subarray(i * (1 + grid * grid) * width, (i + 1) * (1 + grid * grid) * width);
    const patches = from.subarray(prefixTokens * width);
    resamplePatches(patches, to.subarray(width), taps, width);
    if (prefixTokens > 0) to.set(from.subarray(0, width));
    else patches.forEach((x, at) => to[at % width] += x / (rows * columns));
  }
  return out;
}

function resamplePatches(
  from: Float32Array,
  to: Float32Array,
  [rows, columns]: readonly [Taps, Taps],
  width: number,
): void {
  for (let y = 0; y < rows.outSize; y++) {
    for (let x = 0; x < columns.outSize; x++) {
      const patch = to.subarray(
        (y * columns.outSize + x) * width,
        (y * columns.outSize + x + 1) * width,
      );
      for (let a = rows.offset[y]; a < rows.offset[y + 1]; a++) {
        for (let b = columns.offset[x]; b < columns.offset[x + 1]; b++) {
          const row = rows.first[y] + a - rows.offset[y];
          const column = columns.first[x] + b - columns.offset[x];
          const at = (row * columns.inSize + column) * width;
          const weight = rows.weight[a] * columns.weight[b];
          for (let d = 0; d < width; d++) patch[d] += weight * from[at + d];
        }
      }
    }
  }
}
