/**
 * `gyrus inspect`: what is in a file, in one screen.
 *
 * @module
 */
import type { Command } from "commander";
import { shapeSize, toFloat64 } from "../io/state_dict.ts";
import { type ListedArray, openListing } from "./list_arrays.ts";
import type { GlobalOptions } from "./options.ts";
import { Progress } from "./progress.ts";

/** Statistics of the finite values of an array, and how many are not finite. */
export interface ArrayStats {
  /** Number of values. */
  readonly count: number;
  /** How many are NaN. */
  readonly nan: number;
  /** How many are infinite. */
  readonly infinite: number;
  /** Smallest finite value; NaN where there is none. */
  readonly min: number;
  /** Largest finite value. */
  readonly max: number;
  /** Mean of the finite values. */
  readonly mean: number;
  /** Their standard deviation, by n. */
  readonly std: number;
}

interface InspectOptions extends GlobalOptions {
  readonly stats: boolean;
}

/** Values read at once: 32 MB in float64. */
const CHUNK_VALUES = 2 ** 22;

/** Adds the command. */
export function register(program: Command): void {
  program.command("inspect")
    .description("show what is in a file: names, shapes, types, statistics")
    .argument(
      "<file...>",
      "HDF5, safetensors (or a sharded folder), .npy, .png, .nii; PATH:NAME for one array",
    )
    .option("--no-stats", "do not read the values")
    .addHelpText("after", "\nExample:\n  gyrus inspect features.h5 responses_subj01.h5:/test\n")
    .action(async (files: string[], _, command: Command) => {
      const options: InspectOptions = command.optsWithGlobals();
      for (const file of files) await inspect(file, options);
    });
}

async function inspect(reference: string, options: InspectOptions): Promise<void> {
  using listing = await openListing(reference);
  const { format, metadata, network, arrays } = listing;
  const progress = new Progress({ silent: options.json });
  const rows: { array: ListedArray; stats: ArrayStats | undefined }[] = [];
  const started = performance.now();
  for (const array of arrays) {
    const stats = options.stats ? statsOf(array) : undefined;
    rows.push({ array, stats });
    if (performance.now() - started > 1000) { // most files are read at once
      progress.update({ stage: "reading", done: rows.length, total: arrays.length });
      await new Promise((resolve) => setTimeout(resolve)); // lets Ctrl-C through
    }
  }
  progress.end();
  if (options.json) {
    const listed = rows.map(({ array: { name, dtype, shape, scale }, stats }) => ({
      ...{ name, dtype, shape, scale, stats },
    }));
    return console.log(
      JSON.stringify({ file: reference, format, metadata, network, arrays: listed }),
    );
  }
  console.log(
    `${reference}: ${format}, ${arrays.length} ${arrays.length === 1 ? "array" : "arrays"}`,
  );
  if (network !== undefined) console.log(`  network: ${network}`);
  for (const [key, value] of Object.entries(metadata)) {
    console.log(`  ${key}: ${shorten(typeof value === "string" ? value : JSON.stringify(value))}`);
  }
  for (const line of table(rows, options.stats)) console.log(line);
}

/**
 * Statistics of an array, read by runs of rows, so that memory does not grow with it.
 *
 * @returns undefined where it holds no numbers
 */
export function statsOf({ shape, read }: ListedArray): ArrayStats | undefined {
  if (read === undefined) return undefined;
  const rows = shape[0] ?? 1;
  const step = Math.max(1, Math.floor(CHUNK_VALUES / Math.max(1, shapeSize(shape.slice(1))!)));
  let [count, nan, infinite, finite, min, max, mean, m2] = [0, 0, 0, 0, Infinity, -Infinity, 0, 0];
  for (let start = 0; start < rows; start += step) {
    const values = toFloat64(read(start, Math.min(rows, start + step)));
    count += values.length;
    for (const value of values) {
      if (!Number.isFinite(value)) {
        if (Number.isNaN(value)) nan++;
        else infinite++;
        continue;
      }
      if (value < min) min = value;
      if (value > max) max = value;
      // Welford: a difference of squares would cancel where the mean is large.
      const delta = value - mean;
      mean += delta / ++finite;
      m2 += delta * (value - mean);
    }
  }
  const none = finite === 0;
  return {
    count,
    nan,
    infinite,
    min: none ? NaN : min,
    max: none ? NaN : max,
    mean: none ? NaN : mean,
    std: none ? NaN : Math.sqrt(m2 / finite),
  };
}

function table(
  rows: readonly { array: ListedArray; stats: ArrayStats | undefined }[],
  withStats: boolean,
): string[] {
  const head = [
    "",
    "name",
    "type",
    "shape",
    ...(withStats ? ["min", "max", "mean", "std", ""] : []),
  ];
  const cells = rows.map(({ array: { name, dtype, shape, scale }, stats }) => {
    const numbers = stats === undefined
      ? []
      : [stats.min, stats.max, stats.mean, stats.std].map(formatNumber);
    return ["", name || "(the file)", dtype, `[${shape}]`, ...numbers, remark(stats, scale)];
  });
  const all = [head, ...cells];
  const widths = head.map((_, i) => Math.max(...all.map((row) => (row[i] ?? "").length)));
  return all.map((row) => row.map((cell, i) => cell.padEnd(widths[i])).join("  ").trimEnd());
}

function remark(stats: ArrayStats | undefined, scale: number | undefined): string {
  if (stats === undefined) return "";
  const parts = [
    scale === undefined ? "" : `${scale} times the values`,
    stats.nan > 0 ? `${stats.nan} NaN` : "",
    stats.infinite > 0 ? `${stats.infinite} infinite` : "",
  ];
  return parts.filter((part) => part !== "").join(", ");
}

function formatNumber(value: number): string {
  return Number.isInteger(value) && Math.abs(value) < 1e6
    ? String(value)
    : String(Number(value.toPrecision(5)));
}

function shorten(text: string): string {
  return text.length > 100 ? `${text.slice(0, 97)}...` : text;
}
