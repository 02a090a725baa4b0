/**
 * The README's results on the phantom, made from `bench/results/brain_sail_phantom.json`. Run as a program with a study's folder it
 * rewrites that file from it; in any case it rewrites the section of README.md.
 *
 * @module
 */
import type { RegionLocalization } from "../pipelines/brain_sail/localization.ts";
import {
  intervalText,
  readSummary,
  scoreTitles,
  type StudySummary,
  type SubjectSummary,
  summarize,
  summaryText,
} from "./study_summary.ts";

const BEGIN = "<!-- results: deno task results -->";
const END = "<!-- /results -->";
const SUMMARY = new URL("./results/brain_sail_phantom.json", import.meta.url);

function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  return [line(heads), line(heads.map(() => "---")), ...rows.map(line)].join("\n");
}

/** Every subject of every backbone. */
function eachSubject<T>(
  { backbones }: StudySummary,
  of: (subject: SubjectSummary, backbone: string) => T,
): T[] {
  return backbones.flatMap(({ name, subjects }) => subjects.map((subject) => of(subject, name)));
}

const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;
const meanRow = ({ localization }: SubjectSummary): RegionLocalization => localization.at(-1)!;

function encoders(summary: StudySummary): string {
  return table(
    [
      "backbone",
      "subject",
      "R²",
      "of the ceiling",
      "R² of shuffled responses",
      "shuffled: voxels at q < 0.05",
    ],
    eachSubject(
      summary,
      ({ name, r2, share, controlR2, controlPredicted: [found, of] }, backbone) => [
        backbone,
        name,
        r2.toFixed(2),
        percent(share),
        controlR2.toFixed(2),
        `${found} of ${of}`,
      ],
    ),
  );
}

function maps(summary: StudySummary): string {
  return table(
    [
      "backbone",
      "subject",
      "r distilled",
      "r image alone",
      "gain",
      "r shuffled (middle 95 %)",
      "r chance",
      "r whole image",
    ],
    eachSubject(summary, (subject, backbone) => {
      const { scores, gain, shuffled } = meanRow(subject);
      return [
        backbone,
        subject.name,
        intervalText(scores.distilled.pearson),
        intervalText(scores.plain.pearson),
        intervalText(gain.pearson, 3),
        intervalText(shuffled.pearson),
        intervalText(scores.chance.pearson),
        scores["whole image"].pearson.mean.toFixed(2),
      ];
    }),
  );
}

function regions({ backbones: [{ name, subjects: [subject] }] }: StudySummary): string {
  const rows = subject.localization.map((row) => [
    row.name,
    row.category,
    `${row.nImages}`,
    ...(["iou", "pearson", "auc", "pointing"] as const).map((score) =>
      `${intervalText(row.scores.distilled[score])}; ${row.scores.chance[score].mean.toFixed(2)}; ${
        row.scores["whole image"][score].mean.toFixed(2)
      }`
    ),
    row.pValues.pearson.toFixed(3),
  ]);
  const heads = Object.values(scoreTitles).map((title) => `${title}; chance; whole image`);
  return `Regions of ${subject.name} with ${name}:\n\n${
    table(["region", "category", "images", ...heads, "p of r, shuffled"], rows)
  }`;
}

function properties(summary: StudySummary): string {
  const rows = eachSubject(summary, ({ name, properties: list }, backbone) => [
    backbone,
    name,
    ...list.map(({ nVoxels, nRight, nWrong }) =>
      `${nRight} of ${nVoxels}${nWrong > 0 ? `, ${nWrong} wrong` : ""}`
    ),
    list.map(({ nNoise: [found] }) => found).join(", ") + ` of ${list[0].nNoise[1]}`,
    list.map(({ nControl: [found] }) => found).join(", ") + ` of ${list[0].nControl[1]}`,
  ]);
  const own = summary.backbones[0].subjects[0].properties.map(({ property }) => property);
  return table(["backbone", "subject", ...own, "voxels of noise", "shuffled responses"], rows);
}

function confusion({ backbones }: StudySummary): string {
  return backbones.filter(({ subjects }) => subjects[0].confusion).map(({ name, subjects }) => {
    const { categories } = subjects[0].confusion!;
    const sum = (of: (subject: SubjectSummary) => number) =>
      subjects.reduce((total, subject) => total + of(subject), 0);
    const rows = categories.map((category, r) => {
      const cells = (which: "counts" | "control") => {
        const counts = categories.map((_, c) => sum((s) => s.confusion![which][r]?.[c] ?? NaN));
        const all = counts.reduce((a, b) => a + b);
        return counts.map((count) => percent(count / all));
      };
      const own = cells("counts"), control = cells("control");
      return [category, ...own, control[r]];
    });
    const heads = [`regions of (${name})`, ...categories, "the same of shuffled responses"];
    return table(heads, rows);
  }).join("\n\n");
}

function comparisons({ backbones, comparisons: pairs }: StudySummary): string {
  const low = backbones.map(({ name, subjects }) => [
    name,
    percent(subjects.reduce((sum, { lowLevel }) => sum + lowLevel / subjects.length, 0)),
    ...backbones.map((other) => {
      const pair = pairs.find(({ backbones: [a, b] }) =>
        a === name && b === other.name || b === name && a === other.name
      );
      return pair ? pair.r.toFixed(2) : "";
    }),
  ]);
  const heads = [
    "backbone",
    "of maps explained by low-level looks",
    ...backbones.map(({ name }) => `r with ${name}`),
  ];
  return table(heads, low);
}

/** The section. */
export function resultsSection(summary: StudySummary): string {
  const { nTrain, nMapped, nShuffles, nPermutations, nResamples, backbones } = summary;
  const used = backbones.map(({ name, family, dense, size, nAugmentations }) =>
    `\`${name}\` (${family}, ${dense}, ${size} px, ${nAugmentations} views)`
  );
  return `${
    backbones[0].subjects.length
  } simulated subjects, encoders fitted on ${nTrain} images, maps of ${nMapped} others. Backbones: ${
    used.join(", ")
  }. Intervals: 95 %, bootstrap over images (${nResamples} resamples). Shuffled responses: encoders fitted to responses that lost their images (${nShuffles} for maps, one for the rest). Chance: the region's map of another image; whole image: the class token alone, the same everywhere.

**Encoders**, medians over the ten regions that a category drives:

${encoders(summary)}

**Maps against true masks**, mean over those regions:

${maps(summary)}

${regions(summary)}

**Depth, saturation, luminance.** Voxels of the regions that follow them whose maps go with them at q < 0.05 and with the true sign (half of each region likes what the other half does not); ${nPermutations} fits to permuted responses. The last columns count false finds, by property:

${properties(summary)}

**Categories by captions**: top images of the regions of a category, by the category of the caption whose map is most like the region's, all subjects:

${confusion(summary)}

**Backbones compared**: agreement of their maps, and how much of each a regression on luminance, saturation, contrast and edges of the patches explains:

${comparisons(summary)}`;
}

/**
 * A README with the section between its marks brought up to date.
 *
 * @throws {Error} when the marks are missing.
 */
export function withResults(readme: string, summary: StudySummary): string {
  const begin = readme.indexOf(BEGIN), end = readme.indexOf(END);
  if (begin < 0 || end < begin) throw new Error(`README.md needs the marks ${BEGIN} and ${END}`);
  return `${readme.slice(0, begin)}${BEGIN}\n\n${resultsSection(summary)}\n\n${readme.slice(end)}`;
}

/** The summary that the README states. */
export async function statedSummary(): Promise<StudySummary> {
  return readSummary(await Deno.readTextFile(SUMMARY));
}

if (import.meta.main) {
  const [folder] = Deno.args;
  if (folder !== undefined) await Deno.writeTextFile(SUMMARY, summaryText(await summarize(folder)));
  const readme = new URL("../README.md", import.meta.url);
  const text = await Deno.readTextFile(readme);
  await Deno.writeTextFile(readme, withResults(text, await statedSummary()));
}
