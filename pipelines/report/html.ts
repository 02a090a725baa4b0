/**
 * Pages that stand alone: one HTML file, no resource from elsewhere, readable in light and dark.
 *
 * @module
 */
import { writePng } from "../io/png.ts";
import type { RgbImage } from "../images/rgb_image.ts";

/** Text that is HTML already. */
export type Html = string & { readonly __html: unique symbol };

/** Text as HTML. */
export function escapeHtml(text: string): Html {
  const entities: Record<string, string> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
  };
  return text.replaceAll(/[&<>"]/g, (c) => entities[c]) as Html;
}

/**
 * HTML from a template: strings and numbers put into it are escaped, {@link Html} and lists of it are not.
 */
export function html(
  parts: TemplateStringsArray,
  ...values: readonly (string | number | Html | readonly Html[])[]
): Html {
  const marked = (value: string | number | Html | readonly Html[]): string =>
    Array.isArray(value)
      ? value.join("")
      : known.has(value as Html)
      ? String(value)
      : escapeHtml(String(value));
  const text = parts.reduce((out, part, i) => out + marked(values[i - 1]) + part) as Html;
  known.add(text);
  return text;
}

/** What `html` made: so that nothing else passes unescaped. */
const known = new Set<Html>();

/** Marks text as HTML. Only for text that code of this library wrote. */
export function trusted(text: string): Html {
  known.add(text as Html);
  return text as Html;
}

/** An image that is part of the page. */
export function figure(image: RgbImage, alt: string): Html {
  let binary = "";
  for (const byte of writePng(image)) binary += String.fromCharCode(byte);
  const source = trusted(`data:image/png;base64,${btoa(binary)}`);
  return html`<img src="${source}" width="${image.width}" height="${image.height}" alt="${alt}">`;
}

const STYLE = `
:root { color-scheme: light dark; --fg: #1d2129; --soft: #5b6472; --bg: #fbfbfa; --card: #ffffff; --line: #e1e3e6;
  --accent: #31688e; --accent2: #35b779; --bar: #e9ebee; }
@media (prefers-color-scheme: dark) {
  :root { --fg: #e7e9ec; --soft: #9aa3af; --bg: #14171b; --card: #1c2026; --line: #2e343c; --accent: #7fb3d5;
    --accent2: #6ece58; --bar: #2a3038; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--bg); color: var(--fg); font: 16px/1.55 system-ui, "Segoe UI", sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .4rem; letter-spacing: -.01em; }
h2 { font-size: 1.25rem; margin: 2.6rem 0 .6rem; }
p { margin: .4rem 0 .9rem; max-width: 46rem; }
.soft, figcaption, caption { color: var(--soft); font-size: .9rem; }
.cards { display: grid; grid-template-columns: repeat(auto-fit, minmax(220px, 1fr)); gap: .9rem; margin: 1.4rem 0; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 1rem 1.1rem; }
.card b { display: block; font-size: 1.9rem; line-height: 1.15; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .8rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .32rem .6rem; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
thead th { font-weight: 600; border-bottom: 1px solid var(--line); }
tbody tr + tr td { border-top: 1px solid var(--line); }
tr.mean td { font-weight: 600; border-top: 2px solid var(--line); }
.panels th, .panels td { text-align: center; padding: .2rem; border: 0; }
.panels tbody tr + tr td { border: 0; }
.panels img { display: block; border-radius: 5px; width: 124px; height: 124px; margin: 0 auto; }
.bar { position: relative; background: var(--bar); border-radius: 4px; height: .8rem; min-width: 8rem; overflow: hidden; }
.bar i { position: absolute; inset: 0 auto 0 0; background: var(--accent); border-radius: 4px; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: currentColor; font: 600 12px system-ui, sans-serif; }
svg .roi { fill: #fff; paint-order: stroke; stroke: #000a; stroke-width: 3px; }
.scale { height: .7rem; border-radius: 4px; margin: .5rem 0 .1rem; }
.ends { display: flex; justify-content: space-between; }
`;

/** A whole page. */
export function htmlPage(title: string, body: Html): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${STYLE}</style>
</head>
<body><main>
${body}
</main></body>
</html>
`;
}
