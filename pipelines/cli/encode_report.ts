/**
 * `gyrus encode report`: which taps of a network an encoder reads.
 *
 * @module
 */
import type { Command } from "commander";
import type { Gpu } from "../../engine/gpu.ts";
import type { RoiVoxels } from "../dense/relevance.ts";
import { parseRoiTable } from "../dense/roi_table.ts";
import type { Encoder } from "../encoding/encoder.ts";
import { type FeatureLayer, hasStages, layerStages } from "../encoding/feature_layers.ts";
import { type LayerSplit, splitByLayer, sumStages } from "../encoding/layer_split.ts";
import { modelTapWeights, type TapWeights } from "../encoding/tap_weights.ts";
import { InputError } from "../errors.ts";
import { requireSameRows } from "../io/checks.ts";
import { csvOf } from "../io/csv.ts";
import { Hdf5Writer } from "../io/hdf5_writer.ts";
import { quote } from "../io/strict_json.ts";
import { tapRecords, tapReport } from "../report/tap_report.ts";
import { requireFeatures, requireTargets } from "./encode_apply.ts";
import { readFeatureLayers } from "./feature_layers.ts";
import type { GlobalOptions } from "./options.ts";
import type { Progress } from "./progress.ts";
import { openSamples, readSamples, readVector } from "./read_matrix.ts";
import { readText } from "./read_text.ts";

/** Options of `encode report`. */
export interface ReportOptions extends GlobalOptions {
  /** File of the encoder. */
  readonly encoder: string;
  /** Reference of features of the network, as `features` wrote them. */
  readonly features: string;
  /** Reference of measured responses to them. */
  readonly responses?: string;
  /** Reference of the run of each sample, where features are delayed. */
  readonly runs?: string;
  /** Table of voxels and regions. */
  readonly roiTable?: string;
  /** Heading of the page. */
  readonly title?: string;
}

const HELP = `
Writes a folder:
  taps.h5       /names [taps], /stages [taps] (early, mid or late)
                /weights/sum, /weights/norm, /weights/share [taps, voxels]: sum, length and share of the squared length of
                a voxel's weights in each tap; /weights/argmax_sum, /weights/argmax_norm [voxels]: number of its tap of
                the largest sum (VWAM's compute_argmax_layer) and of the longest weights
                with --responses /split/r2, /split/correlation [taps, voxels]: parts of the held-out scores, which sum to
                them; /stage_names and /split/stage_r2, /split/stage_correlation [stages, voxels], summed up by depth
  voxels.csv    the same in a row for each voxel
  index.html    one page with the figures
Early are Inception V3's taps to maxpool2, middle Mixed_5b to Mixed_6e, late Mixed_7a to fc; of other networks the first,
second and last third of the taps, where there are three. Weights are those of normalised features where the encoder normalises.

Example:
  gyrus encode report --encoder model.h5 --features test.h5:/features --responses betas.h5:/test --out report
`;

/** Adds the command. */
export function registerReport(
  encode: Command,
  action: (options: ReportOptions) => Promise<void>,
): void {
  encode.command("report")
    .description("which taps of a network an encoder reads: weights, and parts of held-out scores")
    .requiredOption("--encoder <file>", "a model from encode fit on /features of taps")
    .requiredOption("--features <ref>", "features [samples, features], as for encode fit")
    .option("--responses <ref>", "measured responses [samples, targets], to split the scores")
    .option("--runs <ref>", "run of each sample [samples], where features are delayed")
    .option("--roi-table <file>", "CSV with the columns voxel and roi, as in rois_subj01.csv")
    .option("--title <text>", "heading of the page")
    .addHelpText("after", HELP)
    .action(async (_, command: Command) => await action(command.optsWithGlobals()));
}

/** Splits the held-out scores; undefined where nothing was measured. */
async function splitOf(
  gpu: Gpu,
  encoder: Encoder,
  { layers, options, progress }: {
    readonly layers: readonly FeatureLayer[];
    readonly options: ReportOptions;
    readonly progress: Progress;
  },
): Promise<LayerSplit | undefined> {
  if (options.responses === undefined) return undefined;
  const features = await readSamples(options.features, "features");
  const responses = await readSamples(options.responses, "targets");
  requireSameRows(features, responses);
  requireTargets(encoder, responses);
  const runs = options.runs === undefined
    ? undefined
    : await readVector(options.runs, features.shape[0], "one per sample");
  const samples = { features, responses, runs };
  return await splitByLayer(gpu, encoder, samples, layers, { onProgress: progress.update });
}

function readRegions(path: string | undefined, nTargets: number): RoiVoxels[] | undefined {
  if (path === undefined) return undefined;
  const regions = parseRoiTable(readText(path), path);
  for (const { name, voxels } of regions) {
    const bad = Array.from(voxels).find((voxel) => voxel >= nTargets);
    if (bad === undefined) continue;
    throw new InputError(
      `Cannot use the table of regions ${
        quote(path)
      }: ${name} has voxel ${bad}, the encoder ${nTargets} voxels, counted from 0`,
    );
  }
  return regions;
}

/** Writes the report into a folder; returns what there is to tell. */
export async function reportTo(
  gpu: Gpu,
  encoder: Encoder,
  options: ReportOptions,
  { folder, progress }: { readonly folder: string; readonly progress: Progress },
): Promise<Record<string, unknown>> {
  const { rows, shape: [, p] } = await openSamples(options.features, "features");
  rows.close();
  requireFeatures(encoder, options.features, p);
  const layers = await readFeatureLayers(options.features, p);
  const names = layers.map(({ name }) => name);
  const regions = readRegions(options.roiTable, encoder.nTargets);
  const weights = await modelTapWeights(gpu, encoder.model, layers, {
    onProgress: progress.update,
  });
  const split = await splitOf(gpu, encoder, { layers, options, progress });
  const data = { weights, split, regions, title: options.title };
  await writeArrays(`${folder}/taps.h5`, { names, weights, split });
  Deno.writeTextFileSync(`${folder}/voxels.csv`, csvOf(tapRecords(data)));
  Deno.writeTextFileSync(`${folder}/index.html`, tapReport(data));
  return { nTaps: layers.length, nFeatures: p, nTargets: encoder.nTargets };
}

async function writeArrays(
  path: string,
  { names, weights, split }: {
    readonly names: readonly string[];
    readonly weights: TapWeights;
    readonly split?: LayerSplit;
  },
): Promise<void> {
  using file = await Hdf5Writer.create(path, { inPlace: true });
  const nTargets = weights.argmaxSum.length;
  const write = (name: string, values: Float64Array<ArrayBuffer>) => {
    file.createDataset(name, { shape: [values.length / nTargets, nTargets], dtype: "f64" });
    file.writeRows(name, 0, values);
  };
  const writeNumbers = (name: string, values: Uint32Array) => {
    file.createDataset(name, { shape: [nTargets], dtype: "i32" });
    file.writeRows(name, 0, Int32Array.from(values));
  };
  const isStaged = hasStages(names);
  file.writeStrings("/names", names);
  if (isStaged) file.writeStrings("/stages", layerStages(names));
  for (const key of ["sum", "norm", "share"] as const) write(`/weights/${key}`, weights[key]);
  writeNumbers("/weights/argmax_sum", weights.argmaxSum);
  writeNumbers("/weights/argmax_norm", weights.argmaxNorm);
  for (const key of split ? ["r2", "correlation"] as const : []) {
    write(`/split/${key}`, split![key]);
    if (isStaged) write(`/split/stage_${key}`, sumStages(names, split![key]).values);
  }
  if (split && isStaged) file.writeStrings("/stage_names", sumStages(names, split.r2).stages);
  file.commit();
}
