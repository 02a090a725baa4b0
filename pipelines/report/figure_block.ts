import { writePng } from "../io/png.ts";
import type { RgbImage } from "../images/rgb_image.ts";
import { download } from "./download.ts";
import { figure, type Html, html } from "./html.ts";

/** One figure of a page. */
export interface FigureBlock {
  /** Heading; the headings of a page differ, as {@link contents} links to them. */
  readonly title: string;
  /** The figure itself. */
  readonly body: Html | readonly Html[];
  /** What is seen, in a sentence or two before the figure. */
  readonly lead?: string | Html;
  /** How to read it, and what it does not say, after the figure. */
  readonly note?: string | Html;
  /** The numbers behind it, from `download()`. */
  readonly downloads?: readonly Html[];
}

/** A heading as the name of a place in the page. */
function anchorOf(title: string): string {
  return title.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "-").replace(/^-|-$/g, "");
}

/** A figure with its heading, explanation and the numbers behind it as files. */
export function figureBlock({ title, body, lead, note, downloads = [] }: FigureBlock): Html {
  const links = downloads.map((link) => html`<li>${link}</li>`);
  return html`
    <section class="figure">
    <h2 id="${anchorOf(title)}">${title}</h2>
    ${lead === undefined ? undefined : html`<p>${lead}</p>`}
    ${body}
    ${note === undefined ? undefined : html`<p class="note">${note}</p>`}
    ${links.length === 0 ? undefined : html`<ul class="downloads" aria-label="files">${links}</ul>`}
    </section>
  `;
}

/** Links to the figures of a page by their headings. */
export function contents(titles: readonly string[]): Html {
  const links = titles.map((title) => html`<li><a href="#${anchorOf(title)}">${title}</a></li>`);
  return html`
    <nav aria-label="contents">
      <ol class="contents">${links}</ol>
    </nav>
  `;
}

/** Something that is shown when it is asked for; works without a script. */
export function foldAway(summary: string, body: Html): Html {
  return html`<details><summary>${summary}</summary>${body}</details>`;
}

/** A number that matters, large, with what it says. */
export function numberCard(value: string, what: string | Html): Html {
  return html`<div class="card"><b>${value}</b>${what}</div>`;
}

/** Cards side by side. */
export function cards(all: readonly Html[]): Html {
  return html`<div class="cards">${all}</div>`;
}

/** A picture with what it shows. */
export interface Plate {
  /** The picture. */
  readonly image: RgbImage;
  /** What it shows, for readers who cannot see it. */
  readonly alt: string;
  /** What is written below it. */
  readonly caption?: string;
}

/** Pictures at their own size, as many side by side as fit: surfaces, slices. */
export function plates(all: readonly Plate[]): Html {
  const figures = all.map(({ image, alt, caption }) =>
    html`<figure>${figure(image, alt)}${
      caption === undefined ? undefined : html`<figcaption>${caption}</figcaption>`
    }</figure>`
  );
  return html`<div class="plates">${figures}</div>`;
}

/** A link that saves a picture as PNG. */
export function imageDownload(name: string, image: RgbImage, label: string = name): Html {
  return download(name, "image/png", writePng(image), label);
}
