import type { Command } from "commander";
import {
  benchInception,
  benchInceptionConvs,
  type InceptionConvRow,
  type InceptionPassRow,
} from "../../bench/inception.ts";
import { benchInceptionPeers, type InceptionPeerRow } from "../../bench/inception_peers.ts";
import { benchStep, type StepRow } from "../../bench/inception_step.ts";
import { makeInceptionWeights } from "../../bench/inception_weights.ts";
import { measurePeaks } from "../../bench/peaks.ts";
import type { Gpu } from "../../engine/gpu.ts";
import { randomKey } from "../../engine/random.ts";
import { InputError } from "../errors.ts";
import { parseImageSize } from "../images/preprocess.ts";
import { type InceptionModel, loadInception } from "../models/inception.ts";
import { loadAnyModelFile } from "./load_model.ts";
import { openGpu } from "./open_gpu.ts";
import { type GlobalOptions, wholeNumber } from "./options.ts";
import { writeOutput } from "./output.ts";

interface InceptionOptions extends GlobalOptions {
  readonly model?: string;
  readonly size: string;
  readonly batch: number;
  readonly narrow: number;
  readonly samples: number;
  readonly convs: boolean;
  readonly step?: string;
  readonly steps: number;
  readonly peers?: boolean;
}

/** Adds `bench inception`. */
export function registerInception(bench: Command): void {
  bench.command("inception")
    .description(
      "Inception V3: milliseconds of a pass, and of a pass to all pooled taps and back to the pixels; " +
        "each kind of convolution, checked against float64 first, and its share of the measured rate of multiply-adds; " +
        "a step of activation maximisation by part; the same convolutions in other libraries",
    )
    .option("--model <path>", "weights (default: torchvision's sizes, random values)")
    .option("--size <SxS>", "size of the images in pixels", "299")
    .option("--batch <n>", "images at once", wholeNumber, 1)
    .option(
      "--narrow <n>",
      "divide the widths of the random network by 1, 2, 4, 8 or 16",
      wholeNumber,
      1,
    )
    .option("--samples <n>", "samples of every time, the fastest is told", wholeNumber, 3)
    .option("--no-convs", "no single convolutions")
    .option("--step <SxS>", "also a step of VWAM's preset on images of this size, by part")
    .option("--steps <n>", "whole steps to time", wholeNumber, 5)
    .option("--peers", "also the largest layers in tfjs and jax-js, fetched from npm")
    .addHelpText(
      "after",
      "\nExamples:\n  gyrus bench inception --size 500\n" +
        "  gyrus bench inception --no-convs --step 500\n  gyrus bench inception --no-convs --peers\n",
    )
    .action(async (_, command: Command) => await inception(command.optsWithGlobals()));
}

async function loadChosen(
  gpu: Gpu,
  { model: path, narrow, seed }: InceptionOptions,
): Promise<InceptionModel> {
  if (path === undefined) {
    return await loadInception(gpu, makeInceptionWeights(randomKey(seed), narrow));
  }
  const model = await loadAnyModelFile(gpu, { model: path });
  if (model.family === "inception") return model;
  model[Symbol.dispose]();
  throw new InputError(`Cannot bench ${path}: it is not Inception V3 but ${model.family}`);
}

async function inception(options: InceptionOptions): Promise<void> {
  const { batch, samples, narrow, steps } = options;
  if (batch === 0 || samples === 0 || steps === 0) {
    throw new InputError("Cannot bench nothing: --batch, --samples and --steps count from 1");
  }
  if (![1, 2, 4, 8, 16].includes(narrow)) {
    throw new InputError(`Cannot divide widths by ${narrow}: --narrow takes 1, 2, 4, 8 or 16`);
  }
  const size = parseImageSize(options.size);
  const made = options.step === undefined ? undefined : parseImageSize(options.step);
  using gpu = await openGpu(options);
  using model = await loadChosen(gpu, options);
  model.tapShapes(size); // refuses sizes before anything is measured
  const peaks = await measurePeaks(gpu);
  const head = { adapter: gpu.adapterName, backend: options.backend, peaks };
  const lines = [
    JSON.stringify({ ...head, model: options.model ?? "random", parameters: model.parameters }),
  ];
  if (options.json) console.log(lines[0]);
  else console.log(`${gpu.adapterName}: ${peaks.gflops.toFixed(0)} GFLOP/s (measured)`);
  const bench = { size, batch, samples, key: randomKey(options.seed) };
  const tell = async <Row>(rows: AsyncIterable<Row>, text: (row: Row) => string) => {
    for await (const row of rows) {
      lines.push(JSON.stringify(row));
      console.log(options.json ? lines.at(-1) : text(row));
    }
  };
  await tell(benchInception(gpu, model, bench, peaks), passText);
  if (options.convs) await tell(benchInceptionConvs(gpu, model, bench, peaks), convText);
  const step = { networkSize: size, batch, samples, key: bench.key, steps };
  if (made) await tell(benchStep(gpu, model, { ...step, size: made }), stepText);
  if (options.peers) await tell(benchInceptionPeers(gpu, model, bench), peerText);
  if (options.out) writeOutput(options.out, lines.join("\n") + "\n");
}

const percent = (share: number) => `${(100 * share).toFixed(0)} %`;

function passText({ pass, size, batch, ms, gflop, share, deviceBytes }: InceptionPassRow): string {
  return `${pass}, ${batch} x ${size.height}x${size.width}: ${ms.toFixed(1)} ms, ${
    gflop.toPrecision(4)
  } GFLOP, ${percent(share)} of the roofline, device ${(deviceBytes / 2 ** 20).toFixed(0)} MiB`;
}

function convText({ signature, pass, count, ms, gflop, gflops, share }: InceptionConvRow): string {
  return `  ${pass.padEnd(14)}${signature.padEnd(7)}${`${count}`.padStart(3)} convolutions${
    `${ms.toFixed(1)} ms`.padStart(12)
  }${`${gflop.toPrecision(3)} GFLOP`.padStart(13)}${`${gflops.toFixed(1)} GFLOP/s`.padStart(15)}${
    percent(share).padStart(6)
  }`;
}

function stepText({ part, forwardMs, backMs, ...row }: StepRow): string {
  if (row.extrapolatedImageSeconds === undefined) {
    return `  ${part.padEnd(32)}${`${forwardMs.toFixed(1)} ms`.padStart(12)}, back ${
      backMs.toFixed(1)
    } ms`;
  }
  const { size, batch, steps, extrapolatedImageSeconds: seconds } = row;
  return `${part}, ${batch} x ${size.height}x${size.width}: ${
    forwardMs.toFixed(0)
  } ms (mean of ${steps}), so that 1000 steps take ${seconds.toFixed(0)} s an image (extrapolated)`;
}

function peerText({ signature, pass, layer, peer, ...row }: InceptionPeerRow): string {
  const what = `  ${peer}, ${pass} ${signature} (${layer.name})`;
  if (row.failure !== undefined) return `${what}: does not run, ${row.failure}`;
  return `${what}: ${row.peerMs!.toFixed(1)} ms, here ${row.ms!.toFixed(1)} ms, ratio ${
    row.ratio!.toFixed(1)
  }, error ${row.peerError!.toExponential(1)}`;
}
