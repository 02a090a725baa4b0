/**
 * `gyrus align report`: one page of what an alignment and its controls found.
 *
 * @module
 */
import type { Command } from "commander";
import { alignReport as makeReport } from "../aligned_cut/align_report.ts";
import { parseControlResults } from "../aligned_cut/control_results.ts";
import { parseRoiTable } from "../dense/roi_table.ts";
import { readAlignment } from "../encoding/alignment/alignment_file.ts";
import { InputError } from "../errors.ts";
import { RandomAccessFile } from "../io/files.ts";
import { isJsonObject, parseJsonObject, quote } from "../io/strict_json.ts";
import type { GlobalOptions } from "./options.ts";
import { beginOutput } from "./output.ts";

/** Options of `align report`. */
export interface AlignReportCliOptions extends GlobalOptions {
  /** The alignment. */
  readonly alignment: string;
  /** What its controls found. */
  readonly controls?: string;
  /** Table of voxels and regions. */
  readonly roiTable?: string;
  /** Heading of the page. */
  readonly title?: string;
}

const HELP = `
Writes one HTML file that needs no other: what was aligned, held-out R² by voxel, region, layer and network, losses by epoch, and with
--controls the scores of every condition and what the brain gives beyond each. No GPU is needed.

Example:
  gyrus align report --alignment align.h5 --controls controls.json --roi-table data/rois_subj01.csv --out align.html
`;

/** Adds the command. */
export function registerAlignReport(
  align: Command,
  action: (options: AlignReportCliOptions) => Promise<void>,
): void {
  align.command("report")
    .description("one page of an alignment and its controls: figures, tables, the numbers as files")
    .requiredOption("--alignment <file>", "the alignment, written by align fit")
    .option("--controls <file>", "what its controls found, written by align controls")
    .option("--roi-table <file>", "CSV with the columns voxel and roi, as in rois_subj01.csv")
    .option("--title <text>", "heading of the page")
    .addHelpText("after", HELP)
    .action(async (_, command: Command) => await action(command.optsWithGlobals()));
}

/** More than any results of controls, and what text can still hold. */
const MOST_BYTES = 256 * 2 ** 20;

/** A file whole. */
function readBytes(path: string, what: string): Uint8Array<ArrayBuffer> {
  using file = new RandomAccessFile(path);
  if (file.size <= MOST_BYTES) return file.read(0, file.size);
  throw new InputError(
    `Cannot read ${what} ${quote(path)}: it has ${(file.size / 2 ** 20).toFixed(0)} MiB, at most ${
      MOST_BYTES / 2 ** 20
    } are read`,
  );
}

function readRegions(path: string) {
  const text = new TextDecoder().decode(readBytes(path, "the table of regions"));
  return parseRoiTable(text, path);
}

/** Seed and device of an alignment as the record beside it says; nothing where there is none. */
function factsOf(alignment: string): string[] {
  const path = `${alignment}.run.json`;
  try {
    Deno.statSync(path);
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return [];
    throw cause;
  }
  const cannot = `Cannot read the record ${quote(path)}: it`;
  const { options, adapter } = parseJsonObject(readBytes(path, "the record"), cannot);
  const seed = isJsonObject(options) ? options.seed : undefined;
  return [
    ...(typeof seed === "number" ? [`seed ${seed}`] : []),
    ...(typeof adapter === "string" ? [adapter] : []),
  ];
}

/** Makes the page that the options ask for; returns what it found. */
export async function alignReport(
  options: AlignReportCliOptions,
): Promise<Record<string, unknown>> {
  const { alignment: path, controls, roiTable, title, out } = options;
  const inputs = [path, controls, roiTable];
  if (out !== undefined && inputs.includes(out)) {
    throw new InputError(`Cannot write the page to ${quote(out)}: it is read`);
  }
  const output = beginOutput(out);
  const { page, titles } = makeReport(await readAlignment(path), {
    controls: controls === undefined ? undefined : parseControlResults(
      readBytes(controls, "the controls"),
      `Cannot read the controls ${quote(controls)}:`,
    ),
    regions: roiTable === undefined ? undefined : readRegions(roiTable),
    facts: factsOf(path),
    title,
  });
  const bytes = new TextEncoder().encode(page);
  Deno.writeFileSync(output.partial, bytes);
  output.commit();
  return { bytes: bytes.length, figures: titles.length };
}
