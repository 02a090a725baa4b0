import type { Command } from "commander";
import { benchDense, type DenseRow } from "../../bench/dense.ts";
import { measurePeaks } from "../../bench/peaks.ts";
import type { Gpu } from "../../engine/gpu.ts";
import { randomKey } from "../../engine/random.ts";
import { denseSettings } from "../brain_sail/config.ts";
import { InputError } from "../errors.ts";
import { type ImageSize, parseImageSize } from "../images/preprocess.ts";
import type { VisionModel } from "../models/model.ts";
import { loadPhantomNet } from "../phantom/nets.ts";
import { loadModelFile } from "./load_model.ts";
import { openGpu } from "./open_gpu.ts";
import { type GlobalOptions, wholeNumber } from "./options.ts";
import { writeOutput } from "./output.ts";

interface DenseOptions extends GlobalOptions {
  readonly model?: string;
  readonly config?: string;
  readonly size: string;
  readonly distill: number;
  readonly repeats: number;
}

/** Adds `bench dense`. */
export function registerDense(bench: Command): void {
  bench.command("dense")
    .description(
      "dense features by distillation, with and without reuse of the patch embedding, the two checked against each other first: " +
        "images per second, operations per image, share of the measured rate of multiply-adds",
    )
    .option("--model <path>", "weights, as features takes them (default: the phantom's CLIP)")
    .option("--config <file>", "configuration of the weights (default: the one beside them)")
    .option("--size <SxS>", "size of the image in pixels", "128")
    .option("--distill <n>", "augmentations", wholeNumber, 17)
    .option("--repeats <n>", "times that both ways are timed, the fastest is told", wholeNumber, 3)
    .addHelpText(
      "after",
      "\nAttention and window are the paper's of the model's family.\n" +
        "\nExample:\n  gyrus bench dense --size 256 --distill 51\n",
    )
    .action(async (_, command: Command) => await dense(command.optsWithGlobals()));
}

async function loadChosen(gpu: Gpu, { model, config }: DenseOptions): Promise<VisionModel> {
  if (model !== undefined) return await loadModelFile(gpu, { model, config });
  if (config === undefined) return await loadPhantomNet(gpu, "clip");
  throw new InputError("Cannot choose the model: --config needs --model");
}

function sizeOf({ size: text, repeats }: DenseOptions, patchSize: number): ImageSize {
  const size = parseImageSize(text);
  if (size.height % patchSize !== 0 || size.width % patchSize !== 0) {
    throw new InputError(
      `Cannot bench ${size.height}x${size.width} pixels: both sides must be multiples of ${patchSize}`,
    );
  }
  if (repeats === 0) throw new InputError("Cannot bench 0 times: --repeats counts from 1");
  return size;
}

async function dense(options: DenseOptions): Promise<void> {
  using gpu = await openGpu(options);
  using model = await loadChosen(gpu, options);
  const { dense, arch, gaussianStd } = denseSettings[model.family];
  const size = sizeOf(options, model.config.patchSize);
  const peaks = await measurePeaks(gpu);
  const { distill: nAugmentations, repeats } = options;
  const head = {
    ...{ adapter: gpu.adapterName, backend: options.backend, peaks },
    ...{ model: options.model ?? "phantom clip", family: model.family, dense },
  };
  const lines = [JSON.stringify(head)];
  if (options.json) console.log(lines[0]);
  else console.log(`${gpu.adapterName}: ${peaks.gflops.toFixed(0)} GFLOP/s (measured)`);
  const bench = { dense, arch, gaussianStd, size, nAugmentations, repeats };
  const rows = benchDense(gpu, model, { ...bench, key: randomKey(options.seed) }, peaks);
  for await (const row of rows) {
    lines.push(JSON.stringify(row));
    console.log(options.json ? lines.at(-1) : rowText(row));
  }
  if (options.out) writeOutput(options.out, lines.join("\n") + "\n");
}

function rowText({ method, size, nAugmentations, deviceBytes, ...row }: DenseRow): string {
  const { imagesPerSecond, gflopPerImage, embeddingGflop, gflops, share, error } = row;
  return `${method.padEnd(23)}${size.height}x${size.width}, ${nAugmentations} views: ${
    imagesPerSecond.toPrecision(3)
  } images/s, ${gflopPerImage.toPrecision(4)} GFLOP per image (${
    embeddingGflop.toPrecision(3)
  } of patch embedding), ${gflops.toFixed(1)} GFLOP/s = ${
    (100 * share).toFixed(0)
  } % of the roofline, device ${(deviceBytes / 2 ** 20).toFixed(0)} MiB, apart by ${
    error.toExponential(1)
  }`;
}
