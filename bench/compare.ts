/**
 * Two recorded runs of a benchmark, row by row: what a regression is seen by. Rows are the JSON lines that `gyrus bench … --out` writes.
 *
 * @module
 */
import { InputError } from "../pipelines/errors.ts";

/** One time of a row in both runs. */
export interface Change {
  /** What the row measures: all of it that is no measurement. */
  readonly row: string;
  /** Which of its times. */
  readonly time: string;
  /** Before. */
  readonly before: number;
  /** After. */
  readonly after: number;
  /** `after / before`. */
  readonly ratio: number;
  /** Sum of the spreads of both, as a share of the times; undefined where a run has none. */
  readonly spread?: number;
}

/** Two runs held against each other. */
export interface RunComparison {
  /** Times of rows that both have, the worst change first. */
  readonly changes: readonly Change[];
  /** Rows of the first run alone. */
  readonly gone: readonly string[];
  /** Rows of the second run alone. */
  readonly added: readonly string[];
  /** Adapter of each run; two adapters are no regression. */
  readonly adapters: readonly [string, string];
}

const TIME = /(^|\.)(ms|\w+Ms|seconds|\w+Seconds|\w+Us)$|(^|\.)(stages|parts)\./;
const MEASURED =
  /(^|\.)(best|gflops|gbps|roofline|share|spread|ratio|residual|deviceBytes|peakBytes|samples|dispatches|part|weightBytes|repeats)$|(^|\.)\w*[eE]rror(\.|$)/;

interface Row {
  readonly name: string;
  readonly times: ReadonlyMap<string, number>;
  readonly spread?: number;
}

/** Leaves of a value by their paths. */
function leaves(value: unknown, path = ""): [string, unknown][] {
  if (typeof value !== "object" || value === null) return [[path, value]];
  return Object.entries(value).flatMap(([key, inner]) =>
    leaves(inner, path ? `${path}.${key}` : key)
  );
}

function readRow(value: unknown): Row {
  const all = leaves(value);
  const times = all.flatMap(([path, v]) =>
    typeof v === "number" && TIME.test(path) ? [[path, v] as const] : []
  );
  const spread = all.find(([path]) => path === "spread")?.[1];
  return {
    name: all.filter(([path]) => !TIME.test(path) && !MEASURED.test(path))
      .map(([path, v]) => typeof v === "string" ? v : `${path}=${v}`).join(" "),
    times: new Map(times),
    spread: typeof spread === "number" ? spread : undefined,
  };
}

function readRun(text: string, source: string): { adapter: string; rows: Map<string, Row> } {
  const values = text.split("\n").filter((line) => line.trim() !== "").map((line, i) => {
    try {
      return JSON.parse(line);
    } catch {
      throw new InputError(`Cannot compare ${source}: line ${i + 1} must be JSON`);
    }
  });
  const head = values.find((value) => typeof value?.adapter === "string");
  if (!head) {
    throw new InputError(`Cannot compare ${source}: a recorded run names its adapter, it does not`);
  }
  const rows = values.filter((value) => value !== head).map(readRow).filter((r) =>
    r.times.size > 0
  );
  return { adapter: head.adapter, rows: new Map(rows.map((row) => [row.name, row])) };
}

/**
 * Holds one recorded run against another.
 *
 * @param before JSON lines of the first
 * @param after JSON lines of the second
 * @throws {InputError} when one is no recorded run
 */
export function compareRuns(before: string, after: string): RunComparison {
  const old = readRun(before, "the first run"), fresh = readRun(after, "the second run");
  const changes = [...old.rows.values()].flatMap((row) => {
    const now = fresh.rows.get(row.name);
    return now ? [...row.times].flatMap(([time, was]) => changeOf(row, now, time, was)) : [];
  });
  const only = (a: Map<string, Row>, b: Map<string, Row>) => [...a.keys()].filter((k) => !b.has(k));
  return {
    changes: changes.sort((a, b) => b.ratio - a.ratio),
    gone: only(old.rows, fresh.rows),
    added: only(fresh.rows, old.rows),
    adapters: [old.adapter, fresh.adapter],
  };
}

function changeOf(row: Row, now: Row, time: string, was: number): Change[] {
  const is = now.times.get(time);
  if (is === undefined || !(was > 0)) return [];
  const spread = row.spread === undefined || now.spread === undefined
    ? undefined
    : row.spread + now.spread;
  return [{ row: row.name, time, before: was, after: is, ratio: is / was, spread }];
}
