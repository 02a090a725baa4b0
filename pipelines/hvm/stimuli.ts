import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import { type CsvTable, parseCsv } from "../io/csv.ts";
import { quote } from "../io/strict_json.ts";

/** What is known of stimuli, in their order. */
export type StimulusColumns = ReadonlyMap<string, readonly string[]>;

/**
 * Six pose features of HvM: size, horizontal and vertical place, and the three rotations in the frame in which all objects of a category
 * face alike. The columns of the published `stimulus_pose_features` are not known; these are the usual six.
 */
export const HVM_POSE = ["s", "ty", "tz", "rxy_semantic", "rxz_semantic", "ryz_semantic"] as const;

/** Sines and cosines of the three rotations: six features without a jump at ±180°. */
export const HVM_ROTATIONS: readonly string[] = ["rxy_semantic", "rxz_semantic", "ryz_semantic"]
  .flatMap((
    angle,
  ) => [`sin:${angle}`, `cos:${angle}`]);

const IDS = ["stimulus_id", "image_id", "_id"];

/**
 * Columns of brainio's table of stimuli, in the order of some stimuli.
 *
 * @param text the CSV
 * @param stimuli identifiers, else all of the table in its own order
 * @param source what the table is called, for messages
 * @throws {InputError} when the table names no stimuli, or lacks one
 */
export function readStimulusTable(
  text: string,
  { stimuli, source }: { readonly stimuli?: readonly string[]; readonly source: string },
): StimulusColumns {
  const cannot = `Cannot use the stimuli ${quote(source)}:`;
  const table: CsvTable = parseCsv(text, cannot);
  if (stimuli === undefined) return table;
  const ids = IDS.map((name) => table.get(name)).find((column) => column !== undefined);
  if (ids === undefined) {
    throw new InputError(`${cannot} one column must be ${IDS.slice(0, 2).join(" or ")}`);
  }
  const rowOf = new Map(ids.map((id, row) => [id, row]));
  const rows = stimuli.map((id) => {
    const row = rowOf.get(id);
    if (row === undefined) throw new InputError(`${cannot} it has no stimulus ${quote(id)}`);
    return row;
  });
  return new Map([...table].map(([name, cells]) => [name, rows.map((row) => cells[row])]));
}

function columnOf(columns: StimulusColumns, name: string): readonly string[] {
  const cells = columns.get(name);
  if (cells !== undefined) return cells;
  throw new InputError(
    `Cannot find the column ${quote(name)} of the stimuli: they have ${
      [...columns.keys()].slice(0, 30).join(", ") || "no columns"
    }`,
  );
}

/**
 * Pose features of stimuli, `[nStimuli, names.length]`.
 *
 * @param names columns of numbers; `sin:NAME` and `cos:NAME` are those of a column in degrees
 * @throws {InputError} when there is no such column, or a cell is no number
 */
export function poseFeatures(columns: StimulusColumns, names: readonly string[]): HostMatrix {
  const read = names.map((feature) => {
    const [, turn, name] = /^(?:(sin|cos):)?(.*)$/s.exec(feature) ?? [];
    const cells = columnOf(columns, name);
    return cells.map((cell, row) => {
      const value = cell.trim() === "" ? NaN : Number(cell);
      if (!Number.isFinite(value)) {
        throw new InputError(
          `Cannot use the pose feature ${quote(name)}: stimulus ${row} (counted from 0) has ${
            quote(cell)
          }, no number`,
        );
      }
      const angle = value / 180 * Math.PI;
      return turn === "sin" ? Math.sin(angle) : turn === "cos" ? Math.cos(angle) : value;
    });
  });
  const n = read[0]?.length ?? 0;
  return hostMatrix(
    Float32Array.from(
      { length: n * names.length },
      (_, at) => read[at % names.length][Math.floor(at / names.length)],
    ),
    [n, names.length],
  );
}

/** Categories of stimuli as numbers. */
export interface CategoryLabels {
  /** Numbers from 0, in the order of `names`. */
  readonly categories: Uint32Array<ArrayBuffer>;
  /** Names in alphabetical order. */
  readonly names: readonly string[];
}

/**
 * Categories by the cells of a column.
 *
 * @throws {InputError} when there is no such column
 */
export function categoryLabels(
  columns: StimulusColumns,
  name: string = "category_name",
): CategoryLabels {
  const cells = columnOf(columns, name);
  const names = [...new Set(cells)].sort();
  const numberOf = new Map(names.map((category, i) => [category, i]));
  return { categories: Uint32Array.from(cells, (cell) => numberOf.get(cell) ?? 0), names };
}
