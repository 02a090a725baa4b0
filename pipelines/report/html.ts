/**
 * Pages that stand alone: one HTML file, no resource from elsewhere, readable in light and dark.
 *
 * @module
 */
import { writePng } from "../io/png.ts";
import type { RgbImage } from "../images/rgb_image.ts";
import { STYLE } from "./style.ts";

/** Text that is HTML already; every other text is escaped when it is put into a page. */
export class Html {
  constructor(
    /** The text, as it stands in the page. */
    readonly markup: string,
  ) {}

  /** The text. */
  toString(): string {
    return this.markup;
  }
}

/** What a template takes: text and numbers are escaped, {@link Html} and lists of it are not, `undefined` is nothing. */
export type HtmlValue = string | number | Html | readonly Html[] | undefined;

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

function markupOf(value: HtmlValue): string {
  if (value === undefined) return "";
  if (value instanceof Html) return value.markup;
  if (typeof value === "object") return value.map(markupOf).join("");
  return String(value).replaceAll(/[&<>"']/g, (character) => ENTITIES[character]);
}

/** Text as HTML. */
export function escapeHtml(text: string): Html {
  return new Html(markupOf(text));
}

/** HTML from a template: whatever is put into it is escaped unless it is {@link Html}. */
export function html(parts: TemplateStringsArray, ...values: readonly HtmlValue[]): Html {
  return new Html(parts.reduce((out, part, i) => out + markupOf(values[i - 1]) + part));
}

/** Marks text as HTML. Only for text that code of this library wrote. */
export function trusted(text: string): Html {
  return new Html(text);
}

/** An attribute with a space before it, or nothing where there is no value. */
export function attribute(name: string, value: string | undefined): Html {
  return value === undefined ? new Html("") : new Html(` ${name}="${markupOf(value)}"`);
}

/** Bytes as the address of a link or an image that is part of the page. */
export function dataUri(mime: string, bytes: Uint8Array): Html {
  return html`data:${mime};base64,${trusted(bytes.toBase64())}`;
}

/** An image that is part of the page. */
export function figure(image: RgbImage, alt: string): Html {
  const source = dataUri("image/png", writePng(image));
  return html`<img src="${source}" width="${image.width}" height="${image.height}" alt="${alt}">`;
}

/**
 * A whole page.
 *
 * @param style rules of its own, from `PictureSheet`
 */
export function htmlPage(title: string, body: Html, style?: Html): string {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escapeHtml(title)}</title>
<style>${STYLE}${style ?? ""}</style>
</head>
<body><main>
${body}
</main></body>
</html>
`;
}
