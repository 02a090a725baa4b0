import { type ColormapName, type ValueRange, valueRange } from "../images/colormap.ts";
import { InputError } from "../errors.ts";
import type { CsvCell } from "../io/csv.ts";
import { cssColor } from "./charts.ts";
import { escapeHtml, type Html, html, trusted } from "./html.ts";
import { formatNumber } from "./numbers.ts";

/** Voxels on a flat map. */
export interface FlatMap {
  /** Flat-map coordinates `[n, 2]`: x to the right, y upward. */
  readonly flat: ArrayLike<number>;
  /** Distance between neighbours. */
  readonly spacing: number;
  /** Region of each voxel, an index into `names`; −1 where it has none. */
  readonly region: ArrayLike<number>;
  /** Names of the regions. */
  readonly names: readonly string[];
  /** Hemisphere of each voxel: 0 left, 1 right. */
  readonly hemisphere: ArrayLike<number>;
  /** Value of each voxel, `[n]`; NaN is grey. */
  readonly values?: ArrayLike<number>;
  /** Values of the first and the last colour; the values' own range when left out. */
  readonly range?: ValueRange;
  /** Colours of the values. */
  readonly colormap?: ColormapName;
  /** R, G, B of each voxel instead of values, `[n, 3]` bytes. */
  readonly colors?: Uint8Array;
  /** What the map shows, for readers who cannot see it. */
  readonly label?: string;
}

const SCALE = 360; // SVG units per unit of the flat map
const CHARACTER = 8.6; // Width of a bold one of 12 units

/** The colour of each voxel as CSS. */
function colorsOf(
  { values, range, colormap = "viridis", colors }: FlatMap,
): (v: number) => string {
  if (colors) return (v) => `rgb(${colors.subarray(3 * v, 3 * v + 3).join(" ")})`;
  const shown = values ?? [];
  const [low, high] = range ?? valueRange(shown, { symmetric: colormap === "diverging" });
  return (v) => cssColor((shown[v] - low) / (high - low), colormap);
}

/** The names of the regions, once on each hemisphere that has them. */
function labelsOf(
  { region, names, hemisphere }: FlatMap,
  { xs, ys, reach, span }: {
    readonly xs: readonly number[];
    readonly ys: readonly number[];
    readonly reach: number;
    readonly span: readonly [first: number, last: number];
  },
): Html[] {
  return [0, 1].flatMap((side) =>
    names.flatMap((name, label) => {
      const own = xs.flatMap((_, v) => region[v] === label && hemisphere[v] === side ? [v] : []);
      if (own.length === 0) return [];
      const [middle, y] = labelPlace(own.map((v) => [xs[v], ys[v]]), reach);
      const half = CHARACTER * [...name].length / 2;
      const x = Math.max(span[0] + half, Math.min(span[1] - half, middle));
      return [
        html`<text x="${x.toFixed(1)}" y="${
          (y + 4).toFixed(1)
        }" text-anchor="middle" class="roi">${name}</text>`,
      ];
    })
  );
}

/**
 * The flattened cortex with a colour for every voxel, by value or given, and the names of the regions. A pointer over a voxel
 * shows its region and value.
 *
 * @throws {InputError} when there are neither values nor colours, or not one for each voxel
 */
export function flatMap(map: FlatMap): Html {
  const { flat, spacing, region, names, values, colors, label = "flat map of the cortex" } = map;
  const n = flat.length / 2;
  const given = colors ? colors.length / 3 : values?.length;
  if (given !== n || n === 0) {
    throw new InputError(
      `Cannot draw a flat map: ${n} voxels need as many values or colours, got ${given ?? "none"}`,
    );
  }
  const side = spacing * SCALE;
  const xs = Array.from({ length: n }, (_, v) => flat[2 * v] * SCALE);
  const ys = Array.from({ length: n }, (_, v) => -flat[2 * v + 1] * SCALE);
  const least = (all: readonly number[]) => all.reduce((a, b) => Math.min(a, b)) - side;
  const most = (all: readonly number[]) => all.reduce((a, b) => Math.max(a, b)) + side;
  const box = [least(xs), least(ys), most(xs) - least(xs), most(ys) - least(ys)];
  const colorOf = colorsOf(map);
  const cells = xs.map((x, v) => {
    const value = !colors && values ? ` ${formatNumber(values[v])}` : "";
    const title = escapeHtml(`${names[region[v]] ?? "no region"}${value}`);
    // Thousands of them: written without the spaces that a template would be laid out with.
    // A hair wider than their distance, so that no seam shows between them.
    const [left, top, edge] = [x - side / 2, ys[v] - side / 2, side + 0.2].map((u) => u.toFixed(1));
    const place = `x="${left}" y="${top}" width="${edge}" height="${edge}"`;
    return trusted(`<rect ${place} fill="${colorOf(v)}"><title>${title}</title></rect>`);
  });
  const labels = labelsOf(map, { xs, ys, reach: 3 * side, span: [box[0], box[0] + box[2]] });
  return html`
    <svg class="flat" viewBox="${box.map((v) => v.toFixed(1)).join(" ")}" role="img"
      aria-label="${label}"><g shape-rendering="crispEdges">${cells}</g>${labels}</svg>
  `;
}

/** Where a region is named: the middle of its densest part, as a region may have several. */
function labelPlace(points: readonly (readonly number[])[], reach: number): [number, number] {
  const near = ([x, y]: readonly number[]) =>
    points.filter(([px, py]) => Math.hypot(px - x, py - y) <= reach);
  const densest = points.map(near).reduce((best, some) => some.length > best.length ? some : best);
  const mean = (axis: number) => densest.reduce((sum, p) => sum + p[axis], 0) / densest.length;
  return [mean(0), mean(1)];
}

/** Voxels whose nearest neighbours tell the spacing of a flat map. */
const PROBES = 256;

/** Typical distance of neighbours on a flat map, `[n, 2]`: the median over some of its voxels. */
export function flatSpacing(flat: ArrayLike<number>): number {
  const n = flat.length / 2;
  const step = Math.max(1, Math.floor(n / PROBES));
  const nearest: number[] = [];
  for (let v = 0; v < n; v += step) {
    let least = Infinity;
    for (let u = 0; u < n; u++) {
      const distance = Math.hypot(flat[2 * u] - flat[2 * v], flat[2 * u + 1] - flat[2 * v + 1]);
      if (distance > 0) least = Math.min(least, distance);
    }
    nearest.push(least);
  }
  const median = nearest.sort((a, b) => a - b)[nearest.length >> 1];
  return Number.isFinite(median) ? median : 1;
}

/** The records of a flat map for `csvOf()`: one voxel each, its place, region, hemisphere and value or colour. */
export function flatMapRecords(map: FlatMap): CsvCell[][] {
  const { flat, region, names, hemisphere, values, colors } = map;
  const records = Array.from({ length: flat.length / 2 }, (_, v): CsvCell[] => [
    v,
    flat[2 * v],
    flat[2 * v + 1],
    names[region[v]],
    hemisphere[v] === 0 ? "left" : "right",
    ...(colors ? colors.subarray(3 * v, 3 * v + 3) : [values?.[v]]),
  ]);
  const last = colors ? ["red", "green", "blue"] : ["value"];
  return [["voxel", "x", "y", "region", "hemisphere", ...last], ...records];
}
