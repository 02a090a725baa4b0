/**
 * `gyrus align`: fits a channel alignment of several networks, applies it, runs its controls, and shows what they found.
 *
 * @module
 */
import type { Command } from "commander";
import type { Gpu } from "../../engine/gpu.ts";
import { runRecord } from "../run_record.ts";
import { alignApply, type AlignApplyOptions, registerAlignApply } from "./align_apply.ts";
import { alignControls, registerAlignControls } from "./align_controls.ts";
import type { AlignControlsOptions } from "./align_controls_data.ts";
import { alignFit, type AlignFitOptions, registerAlignFit } from "./align_fit.ts";
import { alignReport, type AlignReportCliOptions, registerAlignReport } from "./align_report.ts";
import type { GlobalOptions } from "./options.ts";
import { writeOutput } from "./output.ts";

/** Adds the command. */
export function register(program: Command): void {
  const align = program.command("align")
    .description("align channels of networks through brain responses (AlignedCut)");
  registerAlignFit(align, fit);
  registerAlignApply(align, apply);
  registerAlignControls(align, controls);
  registerAlignReport(align, report);
}

async function fit(options: AlignFitOptions): Promise<void> {
  const started = new Date();
  await alignFit(options, (gpu, results, models) => {
    const { responses, coordinates } = options;
    const files = Object.fromEntries(models.map(({ name, path }) => [`model ${name}`, path]));
    const inputs = { ...files, responses, ...(coordinates === undefined ? {} : { coordinates }) };
    finish(options, { command: "align fit", gpu, started, results, inputs });
  });
}

async function apply(options: AlignApplyOptions): Promise<void> {
  const started = new Date();
  await alignApply(options, (gpu, results) => {
    const { alignment, features } = options;
    finish(options, {
      command: "align apply",
      gpu,
      started,
      results,
      inputs: { alignment, features },
    });
  });
}

async function controls(options: AlignControlsOptions): Promise<void> {
  const started = new Date();
  await alignControls(options, (gpu, results, lines) => {
    const { model, randomModel, responses, readoutFeatures, images, labels, roi } = options;
    const files = [...model, ...randomModel.map((text) => `random ${text}`)].map((text) => {
      const at = text.indexOf("=");
      return [`model ${text.slice(0, at)}`, text.slice(at + 1)] as const;
    });
    const given = Object.entries({
      ...Object.fromEntries(files),
      responses,
      readoutFeatures,
      images,
      labels,
      roi,
    })
      .filter((entry): entry is [string, string] => entry[1] !== undefined);
    const inputs = Object.fromEntries(given);
    const told = options.json ? results : { heldOut: results.heldOut, runs: results.runs };
    if (!options.json) lines.forEach((line) => console.log(line));
    finish(options, { command: "align controls", gpu, started, results: told, inputs });
  });
}

async function report(options: AlignReportCliOptions): Promise<void> {
  const started = new Date();
  const results = await alignReport(options);
  const { alignment, controls, roiTable } = options;
  const inputs = {
    alignment,
    ...(controls === undefined ? {} : { controls }),
    ...(roiTable === undefined ? {} : { regions: roiTable }),
  };
  finish(options, { command: "align report", started, results, inputs });
}

function finish(
  options: GlobalOptions,
  facts: {
    readonly command: string;
    readonly gpu?: Gpu;
    readonly started: Date;
    readonly results: Record<string, unknown>;
    readonly inputs: Record<string, string>;
  },
): void {
  const record = runRecord({ ...facts, options: { ...options } });
  writeOutput(`${options.out}.run.json`, `${JSON.stringify(record, null, 2)}\n`);
  const { results } = facts;
  if (options.json) {
    console.log(JSON.stringify({ out: options.out, ...results }));
    return;
  }
  for (const [name, value] of Object.entries(results)) {
    const text = typeof value === "number"
      ? Number(value.toPrecision(4))
      : typeof value === "object"
      ? JSON.stringify(value)
      : value;
    console.log(`${name.padEnd(24)}${text}`);
  }
  console.log(`${"written".padEnd(24)}${options.out}`);
}
