// @ts-types="@types/d3-scale-chromatic"
import {
  interpolateInferno,
  interpolateMagma,
  interpolatePlasma,
  interpolateRdBu,
  interpolateViridis,
} from "d3-scale-chromatic";
import { InputError } from "../errors.ts";
import type { RgbImage } from "./rgb_image.ts";

/**
 * A colour map that {@link colorize} knows. All but `diverging` are perceptually uniform and run from dark to light
 * (matplotlib's); `diverging` is ColorBrewer's RdBu turned round: blue below the middle, white in it, red above.
 */
export type ColormapName = "viridis" | "magma" | "inferno" | "plasma" | "diverging";

const colorOf: Readonly<Record<ColormapName, (t: number) => string>> = {
  viridis: interpolateViridis,
  magma: interpolateMagma,
  inferno: interpolateInferno,
  plasma: interpolatePlasma,
  diverging: (t) => interpolateRdBu(1 - t),
};

/** The names of the colour maps, for help texts. */
export const colormapNames: readonly ColormapName[] = Object.keys(colorOf) as ColormapName[];

const tables = new Map<ColormapName, Uint8Array<ArrayBuffer>>();

/** R, G, B of `"#rrggbb"` or `"rgb(r, g, b)"`, the two forms that d3 writes. */
function parseColor(css: string): number[] {
  const parts = css.startsWith("#")
    ? css.slice(1).match(/../g)!.map((hex) => parseInt(hex, 16))
    : css.match(/\d+/g)!.map(Number);
  return parts.slice(0, 3);
}

/** A colour map as `[256, 3]` bytes, R, G, B. */
export function colormapTable(name: ColormapName): Uint8Array<ArrayBuffer> {
  let table = tables.get(name);
  if (!table) {
    table = new Uint8Array(256 * 3);
    for (let i = 0; i < 256; i++) {
      // Middles of the steps: d3 keeps matplotlib's maps as 256 colours and takes floor(256 t).
      table.set(parseColor(colorOf[name]((i + 0.5) / 256)), i * 3);
    }
    tables.set(name, table);
  }
  return table.slice();
}

/** Lowest and highest value that a colour map shows. */
export type ValueRange = readonly [low: number, high: number];

/**
 * Range of the finite values; with `symmetric`, as wide on both sides of zero, for `diverging`.
 *
 * @returns never an empty range: `[0, 1]` when no value is finite, and some width when all are equal
 */
export function valueRange(
  values: ArrayLike<number>,
  { symmetric = false }: { symmetric?: boolean } = {},
): ValueRange {
  let low = Infinity;
  let high = -Infinity;
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) continue;
    low = Math.min(low, values[i]);
    high = Math.max(high, values[i]);
  }
  if (low > high) return [0, 1];
  if (symmetric) {
    const reach = Math.max(Math.abs(low), Math.abs(high)) || 1;
    [low, high] = [-reach, reach];
  }
  return low === high ? [low, low + (Math.abs(low) || 1)] : [low, high];
}

/** Shape, range and map of {@link colorize}. */
export interface ColorizeOptions {
  /** Rows of the map of values. */
  height: number;
  /** Columns of the map of values. */
  width: number;
  /** The colours. */
  colormap?: ColormapName;
  /** Values of the first and the last colour; the values' own range when left out. */
  range?: ValueRange;
}

/** Grey of values that are not numbers. */
const MISSING = 128;

/**
 * A map of values as an image; values beyond the range take its end colours, NaN is grey.
 *
 * @param values `[height, width]`
 * @throws {InputError} when there are not `height * width` values
 */
export function colorize(
  values: ArrayLike<number>,
  { height, width, colormap = "viridis", range }: ColorizeOptions,
): RgbImage {
  if (values.length !== height * width) {
    throw new InputError(
      `Cannot colour the map: ${height}x${width} needs ${
        height * width
      } values, got ${values.length}`,
    );
  }
  const [low, high] = range ??
    valueRange(values, { symmetric: colormap === "diverging" });
  const table = colormapTable(colormap);
  const data = new Uint8Array(values.length * 3);
  for (let i = 0; i < values.length; i++) {
    const t = (values[i] - low) / (high - low);
    if (Number.isNaN(t)) {
      data.fill(MISSING, i * 3, i * 3 + 3);
      continue;
    }
    const step = Math.max(0, Math.min(255, Math.floor(t * 256)));
    data.set(table.subarray(step * 3, step * 3 + 3), i * 3);
  }
  return { height, width, data };
}
