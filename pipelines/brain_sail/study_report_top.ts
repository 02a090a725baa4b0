/**
 * The images that regions are predicted to like most.
 *
 * @module
 */
import { csvDownload } from "../report/download.ts";
import { figureBlock, foldAway } from "../report/figure_block.ts";
import { type Html, html } from "../report/html.ts";
import { formatNumber } from "../report/numbers.ts";
import type { SubjectResults } from "./results.ts";
import {
  bySubject,
  categoryIn,
  recordsOf,
  regionLabel,
  type ReportData,
} from "./study_report_data.ts";

/** The heading of the figure. */
export const TOP_TITLE = "Top images of regions";

type Top = SubjectResults["top"][number];

/** A region's images, best first. */
function strip(data: ReportData, { roi, images, scores }: Top): Html {
  const all = images.map((name, i) => {
    const score = formatNumber(scores[i]);
    const alt = `${name}, predicted ${score} for ${roi}`;
    const picture = data.pictures.has(name) ? data.pictures.show(name, { alt }) : undefined;
    const caption = picture ? score : html`${name}<br>${score}`;
    return html`<figure title="${alt}">${picture}<figcaption>${caption}</figcaption></figure>`;
  });
  return html`
    <div>
      <h4>${regionLabel(data, roi)}</h4>
      <div class="strip">${all}</div>
    </div>
  `;
}

function drawSubject(data: ReportData, { top }: SubjectResults, title: string): Html {
  const [named, others] = [true, false].map((wanted) =>
    top.filter(({ roi }) => (categoryIn(data, roi) !== undefined) === wanted)
  );
  const strips = (some: readonly Top[]) =>
    html`<div class="beside tops">${some.map((one) => strip(data, one))}</div>`;
  if (named.length === 0) return strips(others);
  return html`${strips(named)}${
    others.length > 0 ? foldAway(`${title}: regions without a category`, strips(others)) : undefined
  }`;
}

/** The figure. */
export function topFigure(data: ReportData): Html {
  const draw = (subject: number) => {
    const parts = data.backbones.map(({ results: { name }, cells }, b) => {
      const { results } = cells[subject];
      const drawn = drawSubject(data, results, `${name}, ${results.name}`);
      if (data.backbones.length === 1) return drawn;
      return b === 0 ? html`<h3>${name}</h3>${drawn}` : foldAway(name, drawn);
    });
    return html`${parts}`;
  };
  const columns = ["region", "rank", "image", "predicted"];
  const records = recordsOf(
    data,
    columns,
    ({ results: { top } }) =>
      top.flatMap(({ roi, images, scores }) =>
        images.map((image, i) => [roi, i + 1, image, scores[i]])
      ),
  );
  return figureBlock({
    title: TOP_TITLE,
    lead:
      "Mapped images with the highest predicted response of each region (mean over its voxels, below the image). The encoder was not fitted on them.",
    body: bySubject(data, draw),
    downloads: [csvDownload("top_images.csv", records)],
  });
}
