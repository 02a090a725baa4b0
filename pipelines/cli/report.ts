/**
 * `gyrus report`: one page of everything that a study found.
 *
 * @module
 */
import type { Command } from "commander";
import { settingsOfStudy, studyReport } from "../brain_sail/study_report.ts";
import type { Settings, SettingSpec } from "../brain_sail/study_settings.ts";
import { studySpecs } from "../brain_sail/study_specs.ts";
import { InputError } from "../errors.ts";
import { savePng } from "../io/png.ts";
import { runRecord } from "../run_record.ts";
import type { GlobalOptions } from "./options.ts";
import { beginOutput, RUN_RECORD } from "./output.ts";
import { Progress } from "./progress.ts";
import { addSettingFlags, settingsOf } from "./study_options.ts";

interface ReportCliOptions extends GlobalOptions, Record<string, unknown> {
  readonly results?: string;
  readonly config?: string;
  readonly printConfig: boolean;
}

const HELP = `
Writes report/index.html (the page, one file that needs no other), overview.png (maps over images) and run.json. Settings that are
not given are those of the study. {subject} in a path is the subject's name. No GPU is needed.

Example:
  gyrus report --results study --out report
  gyrus report --results study --lh-surface 'freesurfer/{subject}/surf/lh.inflated' \\
    --lh-sample 'nsd/nsddata/ppdata/{subject}/transforms/lh.func1pt8-to-layerB2.mgz' --out report
`;

const isFigure = ({ group, key }: SettingSpec): boolean => group === "figures" || key === "nShown";

/** Adds the command. */
export function register(program: Command): void {
  const command = program.command("report")
    .description("one page of everything that a study found: figures, tables, the numbers as files")
    .option("--results <folder>", "a study, written by localize")
    .option("--config <file>", "settings of the figures, brain_sail.json; flags win over it")
    .option("--print-config", "print the settings in force and stop", false);
  addSettingFlags(command, isFigure)
    .addHelpText("after", HELP)
    .action(async (_, command: Command) => await report(command.optsWithGlobals()));
}

/** What concerns figures. */
function figuresOf(settings: Settings): Settings {
  const keys = studySpecs.filter(isFigure).map(({ key }) => key);
  return Object.fromEntries(keys.flatMap((key) => key in settings ? [[key, settings[key]]] : []));
}

async function report(options: ReportCliOptions): Promise<void> {
  const started = new Date();
  const { results: folder, out } = options;
  if (folder === undefined) throw new InputError("Cannot make a report: --results is missing");
  const own = settingsOfStudy(folder);
  const settings = figuresOf(settingsOf(options.config, options, isFigure, own));
  if (options.printConfig) return console.log(JSON.stringify(settings, null, 2));
  const output = beginOutput(out, { kind: "folder" });
  // NSD's own volume is found by the data set's folder.
  const progress = new Progress({ silent: options.json });
  const { page, overview, titles } = await studyReport(
    folder,
    { ...settings, nsd: own.nsd },
    { onProgress: progress.update },
  );
  progress.end();
  const bytes = new TextEncoder().encode(page);
  Deno.writeFileSync(`${output.partial}/index.html`, bytes);
  if (overview) savePng(`${output.partial}/overview.png`, overview);
  const record = runRecord({
    command: "report",
    options: { ...options, ...settings },
    inputs: { results: folder },
    started,
    results: { bytes: bytes.length, figures: titles.length },
  });
  const text = `${JSON.stringify(record, null, 2)}\n`;
  Deno.writeTextFileSync(`${output.partial}/${RUN_RECORD}`, text);
  output.commit();
  const written = `${out}/index.html`;
  if (options.json) {
    console.log(JSON.stringify({ out, page: written, bytes: bytes.length, titles }));
  } else {console.log(
      `${titles.length} figures, ${(bytes.length / 1e6).toFixed(1)} MB: look at ${written}`,
    );}
}
