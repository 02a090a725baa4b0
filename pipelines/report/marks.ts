import { type Html, html } from "./html.ts";

/** The most series that colours and shapes tell apart. */
export const MAX_SERIES = 6;

/** The mark of a series around a point: shapes differ, so that colour is not all that tells series apart. */
export function seriesMark(
  series: number,
  { x, y, title }: { readonly x: number; readonly y: number; readonly title?: string },
): Html {
  const shown = title === undefined ? undefined : html`<title>${title}</title>`;
  const kind = html`class="k${series}"`;
  const path = (d: string) => html`<path ${kind} d="${d}">${shown}</path>`;
  const [a, b] = [x.toFixed(1), y.toFixed(1)];
  const shapes = [
    () => html`<circle ${kind} cx="${a}" cy="${b}" r="4">${shown}</circle>`,
    () => path(`M${a} ${b}m-4 -4h8v8h-8z`),
    () => path(`M${a} ${b}m0 -5.2l5 5.2l-5 5.2l-5 -5.2z`),
    () => path(`M${a} ${b}m0 -5l5 9h-10z`),
    () => path(`M${a} ${b}m0 5l5 -9h-10z`),
    () => path(`M${a} ${b}m-5 -1.4h3.6v-3.6h2.8v3.6h3.6v2.8h-3.6v3.6h-2.8v-3.6h-3.6z`),
  ];
  return shapes[series]();
}

/** Names of series with their marks; nothing for one alone. */
export function seriesLegend(names: readonly string[]): Html | undefined {
  if (names.length < 2) return undefined;
  const entries = names.map((name, s) =>
    html`<li><svg viewBox="-7 -7 14 14" aria-hidden="true">${
      seriesMark(s, { x: 0, y: 0 })
    }</svg>${name}</li>`
  );
  return html`<ul class="legend">${entries}</ul>`;
}
