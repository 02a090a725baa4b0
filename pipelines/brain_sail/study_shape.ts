/**
 * What `results.json` must hold, checked before anything is made of it.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import { isJsonObject, quote } from "../io/strict_json.ts";
import { mapScoreNames } from "./evaluate.ts";
import { mapMethods } from "./localization.ts";
import type { StudyResults, SubjectResults } from "./results.ts";

/** What a value must be: a list of one shape, an object with shapes by key (`?` at the end of one that may be missing). */
type Shape = "number" | "text" | readonly [Shape] | { readonly [key: string]: Shape };

const same = (keys: readonly string[], shape: Shape): Shape =>
  Object.fromEntries(keys.map((key) => [key, shape]));

const INTERVAL: Shape = same(["mean", "low", "high"], "number");
const SCORES = same(mapScoreNames, INTERVAL);

const SUBJECT: Shape = {
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
    scores: same(mapMethods, SCORES),
    gain: SCORES,
    shuffled: SCORES,
    pValues: same(mapScoreNames, "number"),
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

const RESULTS: Shape = {
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

/** The first place where a value is not what it must be: its path and what is due there; undefined where there is none. */
function mismatch(value: unknown, shape: Shape, path: string): string | undefined {
  const due = (what: string) => `${path} must be ${what}, it is ${quote(value)}`;
  if (shape === "number") return typeof value === "number" ? undefined : due("a number");
  if (shape === "text") return typeof value === "string" ? undefined : due("a text");
  if (Array.isArray(shape)) {
    if (!Array.isArray(value)) return due("a list");
    for (const [i, item] of value.entries()) {
      const wrong = mismatch(item, shape[0], `${path}[${i}]`);
      if (wrong) return wrong;
    }
    return undefined;
  }
  if (!isJsonObject(value)) return due("an object");
  for (const [name, own] of Object.entries(shape)) {
    const key = name.replace(/\?$/, "");
    if (key !== name && value[key] === undefined) continue;
    const wrong = mismatch(value[key], own, path === "" ? key : `${path}.${key}`);
    if (wrong) return wrong;
  }
  return undefined;
}

/** JSON's null is what was not a number. */
function withNaN(value: unknown): unknown {
  if (value === null) return NaN;
  if (Array.isArray(value)) return value.map(withNaN);
  if (!isJsonObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, withNaN(item)]));
}

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
  const results = withNaN(json);
  const wrong = mismatch(results, RESULTS, "");
  if (wrong) throw new InputError(`${cannot} in results.json ${wrong}`);
  const clash = disagreement(results as StudyResults);
  if (clash) throw new InputError(`${cannot} in results.json ${clash}`);
  return results as StudyResults;
}
