/**
 * What latent groups of neural responses say: one page of tables.
 *
 * @module
 */
import type { VaeVariant, VariantScores } from "../vae/compare.ts";
import { meanAndSd, type RunScores } from "../vae/compare.ts";
import type { LatentDescription } from "../vae/describe.ts";
import { groupStarts, latentSize } from "../vae/settings.ts";
import type { VaeHistory } from "../vae/train.ts";
import { cards, contents, figureBlock, numberCard } from "./figure_block.ts";
import { type Html, html, htmlPage } from "./html.ts";
import { formatNumber } from "./numbers.ts";
import { histogram, lineChart } from "./plot.ts";
import type { DataTable } from "./table.ts";
import { tableBlock } from "./table_block.ts";
import { type ValueMatrix, valueMatrix, valueMatrixRecords } from "./value_matrix.ts";
import { csvDownload } from "./download.ts";

/** What {@link vaeReport} is made of. */
export interface VaeReportData extends LatentDescription {
  /** Losses over the epochs. */
  readonly history?: VaeHistory;
  /** The method and its ablations over seeds. */
  readonly ablations?: readonly VariantScores[];
  /** Heading of the page. */
  readonly title?: string;
}

/** A figure with its heading. */
interface Titled {
  readonly title: string;
  readonly body: Html;
}

function mean(values: ArrayLike<number>): number {
  return Array.from(values).reduce((a, b) => a + b, 0) / values.length;
}

/** "group 1 (pose)". */
function groupNames({ shape: { groups, pose, category } }: LatentDescription): string[] {
  return groups.map((_, g) => {
    const by = [pose?.group === g && "pose", category?.group === g && "category"].filter(Boolean);
    return by.length > 0 ? `group ${g} (${by.join(", ")})` : `group ${g}`;
  });
}

function summary({ scores, nStimuli, shape }: LatentDescription): Html {
  const { r2, r2Sampled, poseR2, categoryAccuracy, partialCorrelation } = scores;
  return cards([
    numberCard(formatNumber(r2, 3), "R² of the responses, mean over sites"),
    numberCard(formatNumber(r2Sampled, 3), "R² from sampled latents"),
    ...(poseR2 ? [numberCard(formatNumber(mean(poseR2), 3), "R² of the pose")] : []),
    ...(categoryAccuracy === undefined
      ? []
      : [numberCard(formatNumber(categoryAccuracy, 3), "of categories said right")]),
    numberCard(formatNumber(partialCorrelation, 2), "nats that groups share, as estimated"),
    numberCard(`${shape.nSites}`, `sites, ${nStimuli} held-out stimuli`),
  ]);
}

function groupsTable(data: LatentDescription): Titled {
  const { shape: { groups }, scores, predicted, factors } = data;
  const title = "Groups";
  const numbers = factors.flatMap(({ kind }, k) => kind === "number" ? [k] : []);
  const category = factors.findIndex(({ kind }) => kind === "category");
  const table: DataTable = {
    columns: [
      ...[{ name: "group" }, { name: "dimensions" }],
      { name: "R² alone", about: "R² of the responses with all other groups at 0", digits: 3 },
      { name: "R² lost without", about: "what R² loses with this group at 0", digits: 3 },
      ...(predicted && numbers.length > 0
        ? [{ name: "pose R²", about: "pose from all of its dimensions by lasso", digits: 3 }]
        : []),
      ...(predicted && category >= 0
        ? [{ name: "category", about: "balanced accuracy of all of its dimensions", digits: 3 }]
        : []),
    ],
    rows: groupNames(data).map((name, g) => [
      ...[name, groups[g], scores.groupR2[g], scores.groupLoss[g]],
      ...(predicted && numbers.length > 0
        ? [mean(numbers.map((k) => predicted.groupScores[k][g]))]
        : []),
      ...(predicted && category >= 0 ? [predicted.groupScores[category][g]] : []),
    ]),
  };
  const body = tableBlock(table, {
    ...{ title, file: "groups.csv" },
    lead: "What each latent group says of the held-out stimuli.",
    note: "The decoder is linear, so that parts alone would sum to the whole if groups were " +
      "uncorrelated; what is lost without a group is what no other group makes up for.",
  });
  return { title, body };
}

function factorsTable({ factors, gap, importance, predicted, scores, shape }: LatentDescription) {
  const title = "Factors";
  if (!gap || !importance || !predicted) return undefined;
  const starts = groupStarts(shape.groups);
  const groupOf = (d: number) => starts.findLastIndex((start) => start <= d);
  const heads = factors.map((_, k) => scores.poseR2?.[k] ?? scores.categoryAccuracy);
  const table: DataTable = {
    columns: [
      { name: "factor" },
      { name: "own head", about: "R² of the pose's head, accuracy of the category's", digits: 3 },
      { name: "informativeness", about: "R² or accuracy of a lasso on all latents", digits: 3 },
      { name: "best dimension", about: "with the most mutual information, and its group" },
      { name: "MIG", about: "gap between dimensions over the entropy", digits: 3 },
      { name: "MIG of groups", digits: 3 },
      { name: "SAP", digits: 3 },
      { name: "SAP of groups", digits: 3 },
    ],
    rows: factors.map(({ name }, k) => [
      ...[name, heads[k], importance.informativeness[k]],
      `${gap.best[k]} (group ${groupOf(gap.best[k])})`,
      ...[gap.gaps[k], gap.groupGaps[k], predicted.gaps[k], predicted.groupGaps[k]],
    ]),
    summary: [
      ...["mean", undefined, mean(importance.informativeness), undefined],
      ...[gap.mig, gap.groupMig, predicted.sap, predicted.groupSap],
    ],
  };
  const body = tableBlock(table, {
    ...{ title, file: "factors.csv" },
    lead:
      "How each label is said, and by how much the best dimension or group is ahead of the second.",
    note:
      "MIG: mutual information in 20 bins over the factor's entropy (Chen et al. 2018), of groups that " +
      "of their best dimensions. SAP: squared correlation or balanced accuracy of one dimension (Kumar et al. 2018), " +
      "of groups by all of their dimensions.",
  });
  return { title, body };
}

function matrixFigure(
  title: string,
  matrix: ValueMatrix,
  { lead, note, file }: { readonly lead: string; readonly note?: string; readonly file: string },
): Titled {
  const downloads = [csvDownload(file, valueMatrixRecords(matrix))];
  return { title, body: figureBlock({ title, lead, note, body: valueMatrix(matrix), downloads }) };
}

function importanceFigure(data: LatentDescription): Titled | undefined {
  const { importance } = data;
  if (!importance) return undefined;
  const { blocks, groupImportance, byGroup } = importance;
  const score = (value: number) => formatNumber(value, 3);
  return matrixFigure("Importance of groups", {
    rows: groupNames(data),
    columns: blocks,
    values: groupImportance.flatMap((row) => [...row]),
    ...{ rowTitle: "group", columnTitle: "label", digits: 3 },
  }, {
    lead: `DCI: disentanglement ${score(byGroup.disentanglement)} and completeness ${
      score(byGroup.completeness)
    } of groups, ${score(importance.disentanglement)} and ${
      score(importance.completeness)
    } of dimensions.`,
    note:
      "Sizes of lasso coefficients, summed over the dimensions of a group and averaged over pose features " +
      "(Eastwood and Williams 2018): 1 means that a group says one label only (disentanglement), or that a " +
      "label is said by one group only (completeness).",
    file: "importance.csv",
  });
}

/** Bins that numbers are put in for mutual information. */
const N_BINS = 20;

function informationFigure(
  { gap, factors, shape, nStimuli }: LatentDescription,
): Titled | undefined {
  if (!gap) return undefined;
  const starts = groupStarts(shape.groups), width = latentSize(shape.groups);
  const groupOf = (d: number) => starts.findLastIndex((start) => start <= d);
  return matrixFigure("Mutual information", {
    rows: Array.from({ length: width }, (_, d) => `${d} (group ${groupOf(d)})`),
    columns: factors.map(({ name }) => name),
    values: Array.from({ length: width }, (_, d) => gap.information.map((row) => row[d])).flat(),
    ...{ rowTitle: "dimension", columnTitle: "factor", digits: 2 },
  }, {
    lead: "Nats between each latent dimension and each factor.",
    note:
      `Numbers are in ${N_BINS} bins: of ${nStimuli} stimuli, two that share nothing show about ${
        formatNumber((N_BINS - 1) ** 2 / (2 * nStimuli), 2)
      } nats by chance.`,
    file: "information.csv",
  });
}

function sitesFigure({ scores }: LatentDescription): Titled {
  const title = "Sites";
  const body = figureBlock({
    title,
    lead: "R² of each site on the held-out stimuli.",
    body: histogram({ values: scores.siteR2, axis: "R²", what: "sites" }),
  });
  return { title, body };
}

function lossFigure(history: VaeHistory | undefined): Titled | undefined {
  if (!history || history.testEpochs.length < 2) return undefined;
  const title = "Training";
  const { train, test, testEpochs } = history;
  const body = figureBlock({
    title,
    lead: "Whole loss after each look at the test stimuli.",
    body: lineChart({
      xs: testEpochs,
      series: [
        { name: "training", values: testEpochs.map((epoch) => train[epoch - 1]?.total ?? NaN) },
        { name: "test", values: test.map(({ total }) => total) },
      ],
      ...{ xAxis: "epoch", axis: "loss" },
    }),
  });
  return { title, body };
}

const VARIANT_NAMES: Readonly<Record<VaeVariant, string>> = {
  standard: "standard VAE",
  "no labels": "without labels",
  "no partial correlation": "without partial correlation",
  full: "full method",
};

/** Scores of the table of ablations. */
const SHOWN: readonly (readonly [keyof RunScores, string, number])[] = [
  ["r2Sampled", "R² of the responses, sampled latents", 3],
  ["r2", "R² of the responses, posterior means", 3],
  ["poseR2", "R² of the pose by its head", 3],
  ["categoryAccuracy", "categories said right by their head", 3],
  ["partialCorrelation", "nats that groups share, as estimated", 2],
  ["mig", "MIG of dimensions", 3],
  ["groupMig", "MIG of groups", 3],
  ["sap", "SAP of dimensions", 3],
  ["groupSap", "SAP of groups", 3],
  ["disentanglement", "DCI disentanglement of dimensions", 3],
  ["groupDisentanglement", "DCI disentanglement of groups", 3],
  ["completeness", "DCI completeness of dimensions", 3],
  ["groupCompleteness", "DCI completeness of groups", 3],
  ["informativeness", "DCI informativeness", 3],
];

/** The table of ablations, scores down and variants across: means ± standard deviations over seeds. */
export function ablationTable(ablations: readonly VariantScores[]): DataTable {
  const cell = (runs: readonly RunScores[], name: keyof RunScores, digits: number) => {
    const { mean, sd } = meanAndSd(runs.map((run) => run[name]));
    if (Number.isNaN(mean)) return "none";
    const centre = formatNumber(mean, digits);
    return Number.isNaN(sd) ? centre : `${centre} ± ${formatNumber(sd, digits)}`;
  };
  return {
    columns: [
      { name: "score" },
      ...ablations.map(({ variant }) => ({ name: VARIANT_NAMES[variant] })),
    ],
    rows: SHOWN.map(([name, label, digits]) => [
      label,
      ...ablations.map(({ runs }) => cell(runs, name, digits)),
    ]),
  };
}

function ablationsFigure(ablations: readonly VariantScores[] | undefined): Titled | undefined {
  if (!ablations) return undefined;
  const title = "Ablations";
  const nSeeds = ablations[0]?.runs.length ?? 0;
  const body = tableBlock(ablationTable(ablations), {
    ...{ title, file: "ablations.csv" },
    lead: `Held-out scores of ${nSeeds} ${
      nSeeds === 1 ? "run" : "runs"
    } each, mean ± standard deviation.`,
    note:
      "The released code scores the sampled latents. Without labels a VAE has no heads to say them. What groups share " +
      "is estimated from at most 256 stimuli at a time, and cannot show more than the logarithm of their number for each " +
      "group but one.",
  });
  return { title, body };
}

/** One page about a VAE's latent groups, which needs no other file. */
export function vaeReport(data: VaeReportData): string {
  const { title = "Latent groups of neural responses", history, ablations } = data;
  const figures = [
    groupsTable(data),
    factorsTable(data),
    importanceFigure(data),
    ablationsFigure(ablations),
    informationFigure(data),
    sitesFigure(data),
    lossFigure(history),
  ].filter((figure) => figure !== undefined);
  const names = contents(figures.map((figure) => figure.title));
  return htmlPage(
    title,
    html`<h1>${title}</h1>${summary(data)}${names}${figures.map(({ body }) => body)}`,
  );
}
