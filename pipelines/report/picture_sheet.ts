import { writePng } from "../io/png.ts";
import type { RgbImage } from "../images/rgb_image.ts";
import { dataUri, figure, type Html, html, trusted } from "./html.ts";

/** How a picture of a {@link PictureSheet} is shown. */
export interface ShownPicture {
  /** What it shows, for readers who cannot see it. */
  readonly alt: string;
  /** A map that is laid over it, stretched to the whole of it. */
  readonly over?: RgbImage;
}

/** Pictures that are in a page once, however often they are shown. */
export class PictureSheet {
  readonly #rules: string[] = [];
  readonly #numbers = new Map<string, number>();

  /** Adds a picture by a name of its own; one that is there already stays. */
  add(name: string, image: RgbImage): void {
    if (this.#numbers.has(name)) return;
    const number = this.#numbers.size;
    this.#numbers.set(name, number);
    const address = dataUri("image/png", writePng(image));
    this.#rules.push(
      `.p${number} { background-image: url("${address}"); aspect-ratio: ${image.width} / ${image.height}; }`,
    );
  }

  /** Whether there is a picture of a name. */
  has(name: string): boolean {
    return this.#numbers.has(name);
  }

  /**
   * A picture in the page.
   *
   * @throws {Error} when there is none of this name
   */
  show(name: string, { alt, over }: ShownPicture): Html {
    const number = this.#numbers.get(name);
    if (number === undefined) throw new Error(`there is no picture ${name}`);
    const map = over && figure(over, "");
    return html`<span class="picture p${number}" role="img" aria-label="${alt}">${map}</span>`;
  }

  /** Rules for the page's style sheet. */
  style(): Html {
    return trusted(this.#rules.join("\n"));
  }
}
