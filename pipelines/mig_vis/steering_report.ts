/**
 * The report of ways of steering: traversals, effects of groups on factors, and a table of all ways, on one page that stands alone.
 *
 * @module
 */
import type { RgbImage } from "../images/rgb_image.ts";
import type { CsvCell } from "../io/csv.ts";
import { csvDownload } from "../report/download.ts";
import { cards, contents, figureBlock, numberCard } from "../report/figure_block.ts";
import { type Html, html, htmlPage } from "../report/html.ts";
import { formatNumber } from "../report/numbers.ts";
import { panelGrid } from "../report/panel_grid.ts";
import { type Cell, type DataTable, dataTable, tableRecords } from "../report/table.ts";
import { valueMatrix } from "../report/value_matrix.ts";
import type { MethodEvaluation } from "./evaluation.ts";

/** One source's traversal of one group: the unsteered image among the steered ones. */
export interface TraversalStrip {
  /** What the row is of, such as "source 3, group 0 (pose)". */
  readonly label: string;
  /** Images in the order of the columns. */
  readonly images: readonly RgbImage[];
}

/** Traversals of one way of steering. */
export interface TraversalFigure {
  /** The way of steering. */
  readonly method: string;
  /** Heading of each column, such as gammas. */
  readonly columns: readonly string[];
  /** Rows. */
  readonly strips: readonly TraversalStrip[];
}

/** What the report says beside its numbers. */
export interface SteeringReportOptions {
  /** Heading of the page. */
  readonly title?: string;
  /** A few words each, below the heading. */
  readonly facts?: readonly string[];
  /** Names of the groups. */
  readonly groups: readonly string[];
  /** Names of the factors. */
  readonly factors: readonly string[];
  /** Factor that each group should move, an index; −1 for none. */
  readonly own: readonly number[];
  /** How well the readouts tell each factor of held-out stimuli: R², or the share of right classes. */
  readonly readouts?: readonly number[];
  /** How well each group of latents tells each factor, `[nGroups][nFactors]`. */
  readonly latents?: readonly (readonly number[])[];
  /** Pictures. */
  readonly traversals?: readonly TraversalFigure[];
}

const TRAVERSALS = "Traversals", EFFECTS = "Effects of groups on factors";
const METHODS = "Ways of steering", MONOTONE = "With gamma", LATENTS = "What latents tell";

function traversalFigures(figures: readonly TraversalFigure[]): Html {
  return figureBlock({
    title: TRAVERSALS,
    lead: "Each row steers one group of one source's latents further and further.",
    body: figures.map(({ method, columns, strips }) =>
      html`<h3>${method}</h3>${
        panelGrid({
          columns: columns.map((name) => ({ name })),
          rows: strips.map(({ label, images }) => ({
            label,
            panels: images.map((image, i) => ({ image, alt: `${label}, ${columns[i]}` })),
          })),
        })
      }`
    ),
  });
}

function effectsFigure(
  methods: readonly MethodEvaluation[],
  { groups, factors, own }: SteeringReportOptions,
): Html {
  const most = Math.max(
    ...methods.flatMap(({ effects }) =>
      effects.effects.flatMap((row) => row.map(({ mean }) => mean))
    ),
  );
  const rows = groups.map((group, g) => own[g] < 0 ? group : `${group} → ${factors[own[g]]}`);
  const records: CsvCell[][] = [
    ["method", "group", "factor", "effect", "low", "high"],
    ...methods.flatMap(({ name, effects }) =>
      effects.effects.flatMap((row, g) =>
        row.map((
          { mean, low, high },
          f,
        ): CsvCell[] => [name, groups[g], factors[f], mean, low, high])
      )
    ),
  ];
  return figureBlock({
    title: EFFECTS,
    lead:
      "How far steered images are from their sources in each factor, on average over sources and gammas: 0 is no change, 1 what two " +
      "unrelated stimuli are apart.",
    body: methods.map(({ name, effects }) =>
      html`<h3>${name}</h3>${
        valueMatrix({
          rows,
          columns: factors,
          values: effects.effects.flatMap((row) => row.map(({ mean }) => mean)),
          strongest: most,
          rowTitle: "group steered → its own factor",
          columnTitle: "factor read out",
        })
      }`
    ),
    note: "Intervals of 95 % over source images are in the file.",
    downloads: [csvDownload("effects.csv", records, "effects.csv")],
  });
}

/** All ways of steering in one table. */
export function methodTable(methods: readonly MethodEvaluation[]): DataTable {
  const rows = methods.map((method): Cell[] => {
    const { effects: { diagonal, offDiagonal, ratio, dominance }, behind, residual, psnr } = method;
    const signed = method.monotone.flatMap((m) => m && !Number.isNaN(m.signed) ? [m.signed] : []);
    const monotone = signed.reduce((s, v) => s + v, 0) / signed.length;
    return [
      ...[method.name, diagonal, offDiagonal, ratio],
      ...[`${dominance.count} of ${dominance.of}`, dominance.pDifference, behind],
      ...[signed.length > 0 ? monotone : undefined, residual, psnr?.mean],
    ];
  });
  return {
    columns: [
      { name: "way" },
      { name: "own factor", about: "mean effect of groups on their own factors" },
      { name: "other factors", about: "mean effect on all other factors" },
      { name: "ratio", about: "own over other" },
      { name: "diagonal", about: "factors that the edits of their own group move most" },
      { name: "p", about: "of the diagonal, groups exchanged within sources", digits: 4 },
      { name: "first less this", about: "difference of the ratios, over the same sources" },
      {
        name: "with gamma",
        about: "mean Spearman correlation of gamma with the place along the group's direction",
      },
      { name: "residual", about: "distance from anything that a stimulus can be", digits: 3 },
      { name: "PSNR", about: "of unsteered images with their sources, dB", digits: 1 },
    ],
    rows,
    caption: "Effects in units of unrelated stimuli; intervals of 95 % over source images.",
  };
}

function monotoneTable(
  methods: readonly MethodEvaluation[],
  { groups, factors, own }: SteeringReportOptions,
): DataTable {
  const judged = groups.map((_, g) => g).filter((g) => own[g] >= 0);
  return {
    columns: [
      { name: "way" },
      ...judged.flatMap((g) => [
        {
          name: `${groups[g]} → ${factors[own[g]]}`,
          about: "gamma with the place along the direction",
        },
        { name: "|gamma|", about: "|gamma| with the distance from the source" },
      ]),
    ],
    rows: methods.map(({ name, monotone }): Cell[] => [
      name,
      ...judged.flatMap((g) => [monotone[g]?.signed, monotone[g]?.magnitude]),
    ]),
    caption: "Mean over sources of Spearman's correlation; directions come from the other sources.",
  };
}

function tableFigure(title: string, table: DataTable, file: string, lead?: string): Html {
  return figureBlock({
    title,
    lead,
    body: html`<div class="scroll">${dataTable(table)}</div>`,
    downloads: [csvDownload(file, tableRecords(table), file)],
  });
}

function latentsFigure({ groups, factors, latents = [], readouts }: SteeringReportOptions): Html {
  return figureBlock({
    title: LATENTS,
    lead:
      "How well one group of latents alone tells each factor of held-out stimuli: R², or for classes the way from chance to always right.",
    body: valueMatrix({
      rows: [...groups.slice(0, latents.length), ...(readouts ? ["readouts from images"] : [])],
      columns: factors,
      values: [...latents.flat(), ...(readouts ?? [])],
      strongest: 1,
      rowTitle: "group",
      columnTitle: "factor",
    }),
  });
}

/**
 * Makes the report of ways of steering.
 *
 * @param methods the first is the one that others are compared with
 * @returns the page, one HTML file without any other, and the headings of its figures
 */
export function steeringReport(
  methods: readonly MethodEvaluation[],
  options: SteeringReportOptions,
): { readonly page: string; readonly titles: readonly string[] } {
  const { title = "What steering changes", facts = [], traversals = [], latents, readouts } =
    options;
  const [{ effects: { ratio, dominance, nSources } }] = methods;
  const figures: readonly [string, Html][] = [
    ...(traversals.length > 0
      ? [[TRAVERSALS, traversalFigures(traversals)] as [string, Html]]
      : []),
    [EFFECTS, effectsFigure(methods, options)],
    [METHODS, tableFigure(METHODS, methodTable(methods), "methods.csv")],
    [MONOTONE, tableFigure(MONOTONE, monotoneTable(methods, options), "gamma.csv")],
    ...(latents || readouts ? [[LATENTS, latentsFigure(options)] as [string, Html]] : []),
  ];
  const titles = figures.map(([name]) => name);
  const body = html`
    <h1>${title}</h1>
    <p class="soft">${[`${nSources} source images`, ...facts].join(" · ")}</p>
    ${cards([
      numberCard(
        `${dominance.count} of ${dominance.of}`,
        `factors are moved most by their own group in "${methods[0].name}" (p = ${
          formatNumber(dominance.pDifference, 4)
        })`,
      ),
      numberCard(
        formatNumber(ratio.mean, 2),
        `effect on the own factor over that on others, interval ${formatNumber(ratio.low, 2)} to ${
          formatNumber(ratio.high, 2)
        }`,
      ),
    ])}
    <p>Factors are read off the images by readouts that share nothing with the network that steered them. An effect says that images
    change, not that neurons would follow.</p>
    ${contents(titles)}${figures.map(([, figure]) => figure)}
  `;
  return { page: htmlPage(title, body), titles };
}
