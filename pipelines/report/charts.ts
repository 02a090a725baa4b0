/**
 * Bars and colour scales as HTML.
 *
 * @module
 */
import { type ColormapName, colormapTable, type ValueRange } from "../images/colormap.ts";
import { formatNumber } from "./numbers.ts";
import { type Html, html } from "./html.ts";

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
  const name = `colours from ${low} to ${high}`;
  return html`
    <div class="scale" role="img" aria-label="${name}"
      style="background:linear-gradient(90deg, ${stops})"></div>
    <div class="ends soft"><span>${low}</span><span>${high}</span></div>
  `;
}

/** The colours of a map with the range they show and what it is. */
export function rangeScale(
  [low, high]: ValueRange,
  what: string,
  colormap: ColormapName = "viridis",
): Html {
  return colorScale(formatNumber(low), `${formatNumber(high)} ${what}`.trim(), colormap);
}
