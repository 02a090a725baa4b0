/**
 * Small charts as HTML and SVG.
 *
 * @module
 */
import { type ColormapName, colormapTable } from "../images/colormap.ts";
import { type Html, html, trusted } from "./html.ts";

/** A colour of a map as CSS; `t` beyond 0..1 takes the end colours, NaN is grey. */
export function cssColor(t: number, colormap: ColormapName = "viridis"): string {
  if (Number.isNaN(t)) return "#80808080";
  const step = Math.max(0, Math.min(255, Math.floor(t * 256)));
  return `rgb(${colormapTable(colormap).subarray(3 * step, 3 * step + 3).join(" ")})`;
}

/** A bar of a share in 0..1. */
export function shareBar(share: number): Html {
  const width = (100 * Math.max(0, Math.min(1, share || 0))).toFixed(1);
  return html`<div class="bar"><i style="width:${width}%"></i></div>`;
}

/** The colours of a map with the values of its ends. */
export function colorScale(low: string, high: string, colormap: ColormapName = "viridis"): Html {
  const stops = Array.from({ length: 9 }, (_, i) => cssColor(i / 8, colormap)).join(", ");
  return html`<div class="scale" style="background:linear-gradient(90deg, ${stops})"></div>
<div class="ends soft"><span>${low}</span><span>${high}</span></div>`;
}

/** Voxels on a flat map. */
export interface FlatMap {
  /** Flat-map coordinates `[n, 2]`: x to the right, y upward. */
  readonly flat: ArrayLike<number>;
  /** Distance between neighbours. */
  readonly spacing: number;
  /** Value of each voxel in 0..1, as it is coloured. */
  readonly values: ArrayLike<number>;
  /** Region of each voxel, an index into `names`. */
  readonly region: ArrayLike<number>;
  /** Names of the regions. */
  readonly names: readonly string[];
  /** Hemisphere of each voxel: 0 left, 1 right. */
  readonly hemisphere: ArrayLike<number>;
}

const SCALE = 360; // SVG units per unit of the flat map

/** The cortical sheet with a colour for every voxel and the names of the regions. */
export function flatMap({ flat, spacing, values, region, names, hemisphere }: FlatMap): Html {
  const n = values.length;
  const side = spacing * SCALE;
  const xs = Array.from({ length: n }, (_, v) => flat[2 * v] * SCALE);
  const ys = Array.from({ length: n }, (_, v) => -flat[2 * v + 1] * SCALE);
  const [left, right] = [Math.min(...xs) - side, Math.max(...xs) + side];
  const [top, bottom] = [Math.min(...ys) - side, Math.max(...ys) + side];
  const cells = xs.map((x, v) => {
    const at = `x="${(x - side / 2).toFixed(1)}" y="${(ys[v] - side / 2).toFixed(1)}"`;
    const title = `${names[region[v]]} ${Number(values[v]).toFixed(2)}`;
    return `<rect ${at} width="${side.toFixed(1)}" height="${side.toFixed(1)}" fill="${
      cssColor(values[v])
    }"><title>${title}</title></rect>`;
  });
  const labels = [0, 1].flatMap((half) =>
    names.flatMap((name, label) => {
      const own = xs.flatMap((_, v) => region[v] === label && hemisphere[v] === half ? [v] : []);
      if (own.length === 0) return [];
      const [x, y] = labelPlace(own.map((v) => [xs[v], ys[v]]), 3 * side);
      const at = `x="${x.toFixed(1)}" y="${(y + 4).toFixed(1)}"`;
      return [`<text ${at} text-anchor="middle" class="roi">${name}</text>`];
    })
  );
  const box = [left, top, right - left, bottom - top].map((v) => v.toFixed(1)).join(" ");
  return trusted(
    `<svg viewBox="${box}" role="img" aria-label="flat map of the cortex">${cells.join("")}${
      labels.join("")
    }</svg>`,
  );
}

/** Where a region is named: the middle of its densest part, as a region may have several. */
function labelPlace(points: readonly (readonly number[])[], reach: number): [number, number] {
  const near = ([x, y]: readonly number[]) =>
    points.filter(([px, py]) => Math.hypot(px - x, py - y) <= reach);
  const densest = points.map(near).reduce((best, some) => some.length > best.length ? some : best);
  const mean = (axis: number) => densest.reduce((sum, p) => sum + p[axis], 0) / densest.length;
  return [mean(0), mean(1)];
}
