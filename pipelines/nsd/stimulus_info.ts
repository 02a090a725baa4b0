/** `nsd_stim_info_merged.csv`: where each image comes from, and the trials that showed it. */

import { InputError } from "../errors.ts";
import { parseCsv } from "../io/csv.ts";
import { quote } from "../io/strict_json.ts";
import { readText } from "./read_file.ts";

/** The table of stimuli; row `i` is the image with the NSD id `nsdId[i]`. */
export interface StimulusInfo {
  /** Row of `imgBrick`, from 0, [n]. */
  readonly nsdId: Uint32Array<ArrayBuffer>;
  /** Number of the image in COCO, [n]. */
  readonly cocoId: Uint32Array<ArrayBuffer>;
  /** `train2017` or `val2017`, [n]. */
  readonly cocoSplit: readonly string[];
  /** Fractions of the COCO image cut off at the top, bottom, left and right, [n, 4]. */
  readonly cropBox: Float64Array<ArrayBuffer>;
  /** 1 for images that all subjects were to see, [n]. */
  readonly shared1000: Uint8Array<ArrayBuffer>;
  /** Subject (from 1) to the trials that showed it each image, counted from 1, 0 for none, [n, repeats]. */
  readonly trials: ReadonlyMap<number, Uint32Array<ArrayBuffer>>;
}

/** `(0.0, 0.0, 0.16, 0.16)` in its four numbers. */
function fractions(cell: string): number[] | undefined {
  const parts = /^\(([^()]*)\)$/.exec(cell.trim())?.[1].split(",").map((part) => part.trim()) ?? [];
  const numbers = parts.map(Number);
  const [top, bottom, left, right] = numbers;
  const isBox = numbers.length === 4 && parts.every((part) => part !== "") &&
    numbers.every((x) => x >= 0) && top + bottom < 1 && left + right < 1;
  return isBox ? numbers : undefined;
}

function isTrue(cell: string): boolean | undefined {
  return ({ true: true, 1: true, false: false, 0: false } as Record<string, boolean | undefined>)[
    cell.toLowerCase()
  ];
}

/**
 * Reads the table.
 *
 * @param path `nsd_stim_info_merged.csv`
 * @throws {InputError} when a column is missing or a cell is not what its column holds
 */
export async function readStimulusInfo(path: string): Promise<StimulusInfo> {
  const cannot = `Cannot read the stimuli ${quote(path)}:`;
  const table = parseCsv(await readText(path), cannot);
  const column = (name: string): readonly string[] => {
    const cells = table.get(name);
    if (!cells) throw new InputError(`${cannot} it has no column ${quote(name)}`);
    return cells;
  };
  const parsed = <T>(name: string, parse: (cell: string) => T | undefined): T[] =>
    column(name).map((cell, row) => {
      const value = parse(cell);
      if (value !== undefined) return value;
      throw new InputError(
        `${cannot} record ${row + 1} (counted from 1, without the names) has the ${name} ${
          quote(cell)
        }`,
      );
    });
  const whole = (cell: string): number | undefined => {
    // pandas writes a column with missing values as floats.
    const value = cell === "" ? 0 : Number(cell);
    return Number.isInteger(value) && value >= 0 && value < 2 ** 32 ? value : undefined;
  };
  const trials = new Map<number, Uint32Array<ArrayBuffer>>();
  for (let subject = 1; table.has(`subject${subject}_rep0`); subject++) {
    const repeats: number[][] = [];
    for (let k = 0; table.has(`subject${subject}_rep${k}`); k++) {
      repeats.push(parsed(`subject${subject}_rep${k}`, whole));
    }
    const n = repeats[0].length;
    const all = new Uint32Array(n * repeats.length);
    repeats.forEach((list, k) => list.forEach((trial, i) => all[i * repeats.length + k] = trial));
    trials.set(subject, all);
  }
  return {
    nsdId: Uint32Array.from(parsed("nsdId", whole)),
    cocoId: Uint32Array.from(parsed("cocoId", whole)),
    cocoSplit: column("cocoSplit"),
    cropBox: Float64Array.from(parsed("cropBox", fractions).flat()),
    shared1000: Uint8Array.from(parsed("shared1000", isTrue), Number),
    trials,
  };
}
