import { csvDownload } from "../report/download.ts";
import { figureBlock } from "../report/figure_block.ts";
import { type Html, html } from "../report/html.ts";
import { lineChart } from "../report/plot.ts";
import type { AlignReportData } from "./align_report_data.ts";

/** The heading of the figure. */
export const TRAINING_TITLE = "Training: losses and held-out R² by epoch";

/** The figure. */
export function trainingFigure({ alignment }: AlignReportData): Html {
  const { training: { losses, meanR2, medianR2, bestEpoch }, settings } = alignment;
  const xs = Array.from(meanR2, (_, e) => e + 1);
  const reference = { x: bestEpoch + 1, name: "epoch of the weights" };
  const draw = (axis: string, series: { name: string; values: Float64Array }[]) =>
    lineChart({ xs, series, xAxis: "epoch", axis, reference });
  const terms = [
    ["brain", "responses", "brainWeight"],
    ["eigen", "eigen-constraint", "eigenWeight"],
    ["zero", "zero-centred", "zeroWeight"],
    ["covariance", "covariance", "covarianceWeight"],
  ] as const;
  const charts = terms.map(([name, title, weight]) => {
    const told = settings[weight];
    const heading = typeof told === "number" ? `${title}, weight ${told}` : title;
    return html`<div><h4>${heading}</h4>${
      draw("loss", [{ name: title, values: losses[name] }])
    }</div>`;
  });
  const scores = html`<div><h4>held-out R²</h4>${
    draw("R²", [{ name: "mean over voxels", values: meanR2 }, { name: "median", values: medianR2 }])
  }</div>`;
  const columns = { ...losses, r2_mean: meanR2, r2_median: medianR2 };
  return figureBlock({
    title: TRAINING_TITLE,
    lead:
      `The mean of every loss over the steps of an epoch: that of the responses as it is minimised, the others before their weights. ${
        settings.brainWeight === 0
          ? "The weights are those of the last epoch."
          : "The weights are those of the epoch with the best mean held-out R²."
      }`,
    body: html`<div class="beside tops">${scores}${charts}</div>`,
    downloads: [
      csvDownload("training.csv", [
        ["epoch", ...Object.keys(columns)],
        ...xs.map((x, e) => [x, ...Object.values(columns).map((values) => values[e])]),
      ]),
    ],
  });
}
