import { median } from "../stats/median.ts";
import { cards, contents, foldAway, numberCard } from "../report/figure_block.ts";
import { type Html, html } from "../report/html.ts";
import { formatNumber } from "../report/numbers.ts";
import { type DataTable, dataTable } from "../report/table.ts";
import { type AlignReportData, finiteMean } from "./align_report_data.ts";
import { isBeyond } from "./align_report_effects.ts";

function networkTable(
  { alignment: { slices, training: { r2 } }, models, scored }: AlignReportData,
): DataTable {
  const meanOf = (row: number) =>
    finiteMean(r2.data.subarray(row * r2.shape[1], (row + 1) * r2.shape[1]));
  return {
    columns: [
      { name: "network" },
      { name: "layers" },
      { name: "channels", about: "of a token before it is aligned" },
      { name: "held-out R²", about: "mean over voxels and layers", digits: 3 },
      { name: "best layer", about: "mean over voxels" },
    ],
    rows: models.map((model) => {
      const own = slices.filter((slice) => slice.model === model);
      const rows = scored.flatMap((row, r) =>
        row.model === model ? [{ layer: row.layer, mean: meanOf(r) }] : []
      );
      const best = rows.reduce((a, b) => b.mean > a.mean ? b : a);
      return [
        model,
        own.length,
        [...new Set(own.map(({ width }) => width))].join(", "),
        finiteMean(rows.map(({ mean }) => mean)),
        best.layer === undefined
          ? "voxels choose"
          : `${best.layer} (${formatNumber(best.mean, 3)})`,
      ];
    }),
  };
}

function effectCard({ controls }: AlignReportData): Html | undefined {
  const all = controls?.effects.filter(({ mean }) => Number.isFinite(mean)) ?? [];
  if (all.length === 0) return undefined;
  return numberCard(
    `${all.filter(isBeyond).length} of ${all.length}`,
    "comparisons of the brain with a control whose interval lies above 0",
  );
}

/** What the page begins with. */
export function reportHead(data: AlignReportData, titles: readonly string[]): Html {
  const { alignment: { slices, head, training, settings, grid }, models, voxelR2, controls } = data;
  const [width, nVoxels] = head.beta.shape;
  const { heldOut, losses, bestEpoch } = training;
  const facts = [
    `${models.length} ${models.length === 1 ? "network" : "networks"}`,
    `${slices.length} layers`,
    `${width} shared channels`,
    `${grid} × ${grid} patches`,
    `${nVoxels} voxels`,
    `${heldOut.length} held-out images`,
    `epoch ${bestEpoch + 1} of ${losses.brain.length}`,
    ...data.facts,
  ];
  const share = voxelR2.filter((value) => value > 0).length / nVoxels;
  const shown = [
    numberCard(
      formatNumber(finiteMean(voxelR2), 3),
      "held-out R², mean over voxels, layers and networks",
    ),
    numberCard(formatNumber(median(voxelR2), 3), "held-out R² of the median voxel"),
    numberCard(
      `${(100 * share).toFixed(0)} %`,
      "of the voxels are predicted better than by their mean",
    ),
    effectCard(data),
  ];
  const folded = [
    foldAway(
      "Settings of the alignment",
      html`<pre class="scroll">${JSON.stringify(settings, null, 1)}</pre>`,
    ),
    ...(controls
      ? [foldAway(
        "Settings of the controls",
        html`<pre class="scroll">${JSON.stringify(controls.settings, null, 1)}</pre>`,
      )]
      : []),
  ];
  return html`
    <h1>${data.title}</h1>
    <p class="soft">AlignedCut: ${facts.join(" · ")}</p>
    ${cards(shown.filter((card) => card !== undefined))}
    ${dataTable(networkTable(data))}
    ${folded}
    ${contents(titles)}
  `;
}
