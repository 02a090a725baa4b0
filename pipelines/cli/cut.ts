/**
 * `gyrus cut`: clusters of patches by normalised cuts, of one graph over images, layers and models.
 *
 * @module
 */
import type { Command } from "commander";
import type { Gpu } from "../../engine/gpu.ts";
import { type ImageSource, openImages } from "../io/images.ts";
import { type RunRecord, runRecord } from "../run_record.ts";
import { FeatureNodes } from "../spectral/feature_nodes.ts";
import { fitCut } from "./cut_fit.ts";
import type { FoundCut } from "./cut_job.ts";
import { placeNodes } from "./cut_onto.ts";
import {
  addCutOptions,
  type CutCliOptions,
  nodeOptions,
  requireCutOptions,
} from "./cut_options.ts";
import { requireImagesOf, writeOverlays } from "./cut_overlays.ts";
import { openGpu } from "./open_gpu.ts";
import { beginOutput, letSignalsIn, type Output, RUN_RECORD, writeOutput } from "./output.ts";
import { Progress } from "./progress.ts";

const HELP = `
Output (HDF5):
  /eigvec     [nodes, n-eig]   eigenvectors of D^-1/2 A D^-1/2, descending, the trivial first; sums of columns at least 0
  /eigval     [n-eig]          1 first
  /residuals  [n-eig]          |S v - lambda v| in the problem that was solved
  /labels/<k> [nodes]          with --k
  /rgb        [nodes, 3]       bytes, unless --colors none: alike colours are alike nodes, over all arrays
  /landmarks  [m]              nodes that were compared with each other; all of them for exact, none for kernel
  /sigma      [1]              the scale of the affinity: its sigma, or the gamma of cosine and euclidean
  /parts, /sources             which nodes are of which array: images, grid, prefix tokens
  /fit, /rotations             what --onto needs

Nodes of several arrays are one graph: --features layer3.h5:/blocks/3 layer9.h5:/blocks/9 is a joint cut of two layers.
Networks with their own channels have to be aligned first (gyrus align).

Example:
  gyrus phantom --out data
  gyrus features --model clip.safetensors --images data/images/test --layers 2 --save "" --out f.h5
  gyrus cut --features f.h5:/blocks/2 --n-eig 10 --k 5,10 --images data/images/test --overlays pictures --out cut.h5
  gyrus cut --features new.h5:/blocks/2 --onto cut.h5 --out new_cut.h5
`;

/** Adds the command. */
export function register(program: Command): void {
  const command = program.command("cut")
    .description("cluster patches by normalised cuts, over images, layers and models");
  addCutOptions(command).addHelpText("after", HELP)
    .action(async (_, command: Command) => await cut(command.optsWithGlobals()));
}

async function cut(options: CutCliOptions): Promise<void> {
  const started = new Date();
  requireCutOptions(options);
  const output = beginOutput(options.out);
  const pictures = options.overlays === undefined
    ? undefined
    : beginOutput(options.overlays, { kind: "folder" });
  const progress = new Progress({ silent: options.json });
  using nodes = await FeatureNodes.open(options.features, nodeOptions(options));
  using images = options.images === undefined ? undefined : await openImages(options.images);
  if (images) requireImagesOf(nodes, images);
  using gpu = await openGpu(options);
  const job = { gpu, nodes, options, progress };
  const { results, ...found } = options.onto === undefined
    ? await fitCut(job, output)
    : await placeNodes(job, output, options.onto);
  if (images && pictures) await draw(pictures, { nodes, images, ...found }, progress);
  progress.end();
  const record = `${JSON.stringify(recordOf(options, { gpu, started, results }), null, 2)}\n`;
  output.commit();
  writeOutput(`${options.out}.run.json`, record);
  if (pictures) {
    Deno.writeTextFileSync(`${pictures.partial}/${RUN_RECORD}`, record);
    pictures.commit();
  }
  report(options, results);
}

async function draw(
  pictures: Output,
  { nodes, images, clusters, colors }: Omit<FoundCut, "results"> & {
    readonly nodes: FeatureNodes;
    readonly images: ImageSource;
  },
  progress: Progress,
): Promise<void> {
  Deno.mkdirSync(pictures.partial, { recursive: true });
  const shown = { rgb: colors?.rgb, labels: clusters.map(({ labels }) => labels) };
  await writeOverlays(pictures.partial, { nodes, images, pictures: shown }, async (done, total) => {
    progress.update({ stage: "pictures", done, total });
    await letSignalsIn();
  });
}

function recordOf(
  options: CutCliOptions,
  { gpu, started, results }: {
    readonly gpu: Gpu;
    readonly started: Date;
    readonly results: Readonly<Record<string, unknown>>;
  },
): RunRecord {
  const { features, images, onto } = options;
  const landmarks = /^\d+$/.test(options.landmarks ?? "0") ? undefined : options.landmarks;
  const arrays = features.map((ref, i) => [`features ${i}`, ref] as const);
  const inputs = Object.entries({ ...Object.fromEntries(arrays), images, landmarks, onto })
    .filter((entry): entry is [string, string] => entry[1] !== undefined);
  return runRecord({
    command: "cut",
    options: { ...options },
    inputs: Object.fromEntries(inputs),
    gpu,
    started,
    results,
  });
}

function report({ json, out }: CutCliOptions, results: FoundCut["results"]): void {
  if (json) return console.log(JSON.stringify({ out, ...results }));
  for (const [name, value] of Object.entries(results)) {
    const text = typeof value === "object" ? JSON.stringify(value) : `${value}`;
    console.log(`${name.padEnd(12)}${text}`);
  }
  console.log(`${"written".padEnd(12)}${out}`);
}
