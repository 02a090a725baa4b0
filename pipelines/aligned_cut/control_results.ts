/**
 * Results of an alignment's controls as a file: what `gyrus align controls` writes.
 *
 * @module
 */
import { InputError } from "../errors.ts";
import { type JsonShape, nullsAsNaN, shapeMismatch } from "../io/json_shape.ts";
import { parseJsonObject, quote } from "../io/strict_json.ts";
import type { Interval } from "../report/numbers.ts";

/** One run of a condition, as the file has it. */
export interface ControlRunRecord {
  /** What it was aligned by. */
  readonly condition: string;
  /** Number of the run, from 0. */
  readonly seed: number;
  /** Mean held-out R² of the targets that were trained on; NaN where nothing was. */
  readonly meanR2: number;
  /** Names of the measures, in the order of the columns. */
  readonly names: readonly string[];
  /** A row for each held-out image; NaN where an image says nothing. */
  readonly values: readonly (readonly number[])[];
}

/** Everything that controls found. */
export interface ControlResults {
  /** Settings in force. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Number of held-out images. */
  readonly nImages: number;
  /** Their rows among all images. */
  readonly heldOut: readonly number[];
  /** What each condition is. */
  readonly conditions: Readonly<Record<string, string>>;
  /** What each measure is. */
  readonly measures: Readonly<Record<string, string>>;
  /** All runs, condition by condition. */
  readonly runs: readonly ControlRunRecord[];
  /** Every condition by every measure; `seedStd` is the standard deviation of the runs' means, NaN for one run. */
  readonly scores: readonly (Interval & {
    readonly condition: string;
    readonly measure: string;
    readonly seedStd: number;
  })[];
  /** Brain minus control, paired by image. */
  readonly effects: readonly (Interval & {
    readonly control: string;
    readonly measure: string;
  })[];
  /** R² on the targets of each condition over its runs. */
  readonly r2: readonly {
    readonly condition: string;
    readonly mean: number;
    readonly std: number;
  }[];
}

const INTERVAL = { mean: "number", low: "number", high: "number" } as const;

const RESULTS: JsonShape = {
  settings: {},
  nImages: "number",
  heldOut: ["number"],
  conditions: {},
  measures: {},
  runs: [{
    ...{ condition: "text", seed: "number", meanR2: "number" },
    ...{ names: ["text"], values: [["number"]] },
  }],
  scores: [{ condition: "text", measure: "text", ...INTERVAL, seedStd: "number" }],
  effects: [{ control: "text", measure: "text", ...INTERVAL }],
  r2: [{ condition: "text", mean: "number", std: "number" }],
};

/** Whether a list names everything at most once. */
const isUnique = (names: readonly string[]): boolean => new Set(names).size === names.length;

/** What the parts of a file say against each other; undefined where they agree. */
function disagreement(results: ControlResults): string | undefined {
  const { nImages, heldOut, conditions, measures, runs, scores, effects, r2 } = results;
  const words = Object.values({ ...conditions, ...measures });
  if (words.some((text) => typeof text !== "string")) {
    return "conditions and measures must hold a text for each name";
  }
  const stray = heldOut.find((row) => !(Number.isSafeInteger(row) && row >= 0));
  if (stray !== undefined || heldOut.length === 0 || heldOut.length !== nImages) {
    return `heldOut must be rows of ${nImages} images, ${stray ?? heldOut.length} is there`;
  }
  const cells = [
    ...scores.map(({ condition, measure }) => ({ name: condition, measure })),
    ...effects.map(({ control, measure }) => ({ name: control, measure })),
  ];
  const named = [...runs, ...r2].map(({ condition }) => condition);
  const unknown = [...cells.map(({ name }) => name), ...named]
    .find((name) => !Object.hasOwn(conditions, name));
  if (unknown !== undefined) return `conditions must say what ${quote(unknown)} is`;
  const measured = [...cells.map(({ measure }) => measure), ...runs.flatMap(({ names }) => names)];
  const unmeasured = measured.find((name) => !Object.hasOwn(measures, name));
  if (unmeasured !== undefined) return `measures must say what ${quote(unmeasured)} is`;
  const odd = runs.findIndex(({ names, values }) =>
    !isUnique(names) || values.length !== heldOut.length ||
    values.some((row) => row.length !== names.length)
  );
  if (odd >= 0) {
    return `runs[${odd}].values must be ${heldOut.length} rows with a value for each of ${
      runs[odd].names.length
    } measures`;
  }
  const keys = [
    scores.map(({ condition, measure }) => JSON.stringify([condition, measure])),
    effects.map(({ control, measure }) => JSON.stringify([control, measure])),
    runs.map(({ condition, seed }) => JSON.stringify([condition, seed])),
    r2.map(({ condition }) => condition),
  ];
  if (!keys.every(isUnique)) return "a score, an effect, a run or an R² is there twice";
  const turned = [...scores, ...effects].find(({ low, high }) => low > high);
  if (turned) return `an interval of ${quote(turned.measure)} ends before it begins`;
  return scores.length === 0 ? "there are no scores" : undefined;
}

/**
 * Reads results of controls; null becomes NaN.
 *
 * @param bytes the file, JSON
 * @param cannot the beginning of error sentences, "Cannot read the controls …:"
 * @throws {InputError} when it is something else, something is missing, or its parts disagree
 */
export function parseControlResults(bytes: Uint8Array, cannot: string): ControlResults {
  const json = nullsAsNaN(parseJsonObject(bytes, `${cannot} it`));
  const wrong = shapeMismatch(json, RESULTS);
  if (wrong !== undefined) throw new InputError(`${cannot} ${wrong}`);
  const clash = disagreement(json as ControlResults);
  if (clash !== undefined) throw new InputError(`${cannot} ${clash}`);
  return json as ControlResults;
}
