import { InputError } from "../errors.ts";
import type { RgbImage } from "../images/rgb_image.ts";
import { figure, Html, html } from "./html.ts";

/** A picture in a grid. */
export interface GridPanel {
  /** The picture, or one that is in the page already. */
  readonly image: RgbImage | Html;
  /** What it shows, for readers who cannot see it; a pointer over the picture shows it too. */
  readonly alt: string;
  /** What is written below it, as a score. */
  readonly note?: string;
}

/** Pictures in rows and columns: images down, regions across. */
export interface PanelGrid {
  /** Heading of each column, and a second line below it. */
  readonly columns: readonly { readonly name: string; readonly about?: string }[];
  /** Pictures of each row; `undefined` leaves a place empty. */
  readonly rows: readonly {
    readonly label?: string;
    readonly panels: readonly (GridPanel | undefined)[];
  }[];
}

/**
 * A grid of pictures with headings.
 *
 * @throws {InputError} when a row has not one place for each column
 */
export function panelGrid({ columns, rows }: PanelGrid): Html {
  const isLabelled = rows.some(({ label }) => label !== undefined);
  const heads = columns.map(({ name, about }) =>
    html`<th scope="col">${name}<br><span class="soft">${about ?? ""}</span></th>`
  );
  const lines = rows.map(({ label, panels }, r) => {
    if (panels.length !== columns.length) {
      throw new InputError(
        `Cannot show a grid of pictures: ${columns.length} columns, row ${r} has ${panels.length}`,
      );
    }
    const cells = panels.map((panel) => {
      if (!panel) return html`<td></td>`;
      const note = panel.note === undefined
        ? undefined
        : html`<span class="note">${panel.note}</span>`;
      const { image, alt } = panel;
      const picture = image instanceof Html ? image : figure(image, alt);
      return html`<td title="${alt}">${picture}${note}</td>`;
    });
    return html`<tr>${isLabelled ? html`<th scope="row">${label}</th>` : undefined}${cells}</tr>`;
  });
  return html`
    <div class="scroll">
      <table class="panels">
        <thead>
          <tr>${isLabelled ? html`<td></td>` : undefined}${heads}</tr>
        </thead>
        <tbody>${lines}</tbody>
      </table>
    </div>
  `;
}
