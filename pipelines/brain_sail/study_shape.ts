/**
 * What `results.json` must hold, checked before anything is made of it.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import { type JsonShape, nullsAsNaN, sameShape, shapeMismatch } from "../io/json_shape.ts";
import { isJsonObject, quote } from "../io/strict_json.ts";
import { mapScoreNames } from "./evaluate.ts";
import { mapMethods } from "./localization.ts";
import type { StudyResults, SubjectResults } from "./results.ts";

const INTERVAL: JsonShape = sameShape(["mean", "low", "high"], "number");
const SCORES = sameShape(mapScoreNames, INTERVAL);

const SUBJECT: JsonShape = {
  name: "text",
  fits: [{
    name: "text",
    ...Object.fromEntries(
      ["nVoxels", "nPredicted", "r2", "ceiling", "share"].map((key) => [key, "number" as const]),
    ),
  }],
  localization: [{
    name: "text",
    category: "text",
    nImages: "number",
    scores: sameShape(mapMethods, SCORES),
    gain: SCORES,
    shuffled: SCORES,
    pValues: sameShape(mapScoreNames, "number"),
  }],
  top: [{ roi: "text", images: ["text"], scores: ["number"] }],
  "confusion?": { categories: ["text"], rois: ["text"], counts: [["number"]] },
  correlates: [{
    roi: "text",
    property: "text",
    ...Object.fromEntries(
      ["r", "nTested", "nPositive", "nNegative"].map((key) => [key, "number" as const]),
    ),
  }],
  lowLevel: [{ roi: "text", r2: "number" }],
};

const RESULTS: JsonShape = {
  settings: {},
  mapped: ["text"],
  shown: ["text"],
  subjects: [{ name: "text", nVoxels: "number", nTrain: "number", nTest: "number" }],
  backbones: [{
    name: "text",
    family: "text",
    grid: ["number"],
    nFeatures: "number",
    settings: {},
    subjects: [SUBJECT],
    controls: [SUBJECT],
  }],
  comparisons: [{ backbones: ["text"], subject: "text", rois: [{ roi: "text", r: "number" }] }],
};

/** Names that are folders and files of the study: none may lead elsewhere. */
const UNSAFE = /[/\\\0]|^\.{0,2}$/;

/** Whether a subject's tables have the rows and columns that they name. */
function isWhole({ fits, top, confusion }: SubjectResults): boolean {
  const { counts = [], rois = [], categories = [] } = confusion ?? {};
  return fits.length > 0 && counts.length === rois.length &&
    counts.every((row) => row.length === categories.length) &&
    top.every(({ images, scores }) => images.length === scores.length);
}

/** What names in the results say of each other. */
function disagreement(
  { mapped, shown, subjects, backbones }: StudyResults,
): string | undefined {
  const names = [mapped, subjects.map(({ name }) => name), backbones.map(({ name }) => name)];
  const unsafe = names.flat().find((name) => UNSAFE.test(name));
  if (unsafe !== undefined) return `${quote(unsafe)} cannot be the name of a file`;
  const stray = shown.find((name) => !mapped.includes(name));
  if (stray !== undefined) return `the shown image ${quote(stray)} is none of those mapped`;
  if (backbones.length === 0 || subjects.length === 0) return "it needs a backbone and a subject";
  for (const { name, subjects: own, controls } of backbones) {
    const all = controls.length === 0 ? [own] : [own, controls];
    const fits = all.every((list) =>
      list.length === subjects.length && list.every((one, s) => one.name === subjects[s].name)
    );
    if (!fits) return `the subjects of ${quote(name)} must be those of the study`;
    const odd = all.flat().find((one) => !isWhole(one));
    if (odd) return `the tables of ${quote(odd.name)} by ${quote(name)} are not whole`;
  }
  return undefined;
}

/**
 * Parsed JSON as the results of a study; null becomes NaN.
 *
 * @param cannot the beginning of error sentences, "Cannot read the study …:"
 * @throws {InputError} when it is of another format, something is missing, or names disagree
 */
export function checkResults(json: unknown, cannot: string): StudyResults {
  const format = isJsonObject(json) ? json.format : undefined;
  if (format !== "gyrus brain_sail 1") {
    throw new InputError(
      `${cannot} the format of results.json must be "gyrus brain_sail 1", it is ${quote(format)}`,
    );
  }
  const results = nullsAsNaN(json);
  const wrong = shapeMismatch(results, RESULTS);
  if (wrong) throw new InputError(`${cannot} in results.json ${wrong}`);
  const clash = disagreement(results as StudyResults);
  if (clash) throw new InputError(`${cannot} in results.json ${clash}`);
  return results as StudyResults;
}
