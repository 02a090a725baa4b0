import type { Command } from "commander";
import { measurePeaks } from "../../bench/peaks.ts";
import type { Ratio } from "../../bench/ratios.ts";
import { benchUnet, type UnetKernelRow, type UnetPassRow } from "../../bench/unet.ts";
import { unetFusions } from "../../bench/unet_fusions.ts";
import { drawUnet, smallUnets, type UnetName, unetNames } from "../../bench/unet_networks.ts";
import {
  benchUnetOps,
  benchUnetPeers,
  type UnetOpRow,
  type UnetPeerRow,
} from "../../bench/unet_peers.ts";
import { randomKey } from "../../engine/random.ts";
import { InputError } from "../errors.ts";
import { openGpu } from "./open_gpu.ts";
import { type GlobalOptions, wholeNumber } from "./options.ts";
import { writeOutput } from "./output.ts";

interface UnetOptions extends GlobalOptions {
  readonly networks: string;
  readonly batch: number;
  readonly repeats: number;
  readonly kernels: number;
  readonly samples: number;
  readonly ops?: boolean;
  readonly fusions?: boolean;
  readonly peers?: boolean;
}

/** Adds `bench unet`. */
export function registerUnet(bench: Command): void {
  bench.command("unet")
    .description(
      "UNets of diffusion models with random weights: milliseconds and operations of a pass, its share of the measured rate of multiply-adds, " +
        "peak memory, and the kernels that its time goes to; single layers, checked against float64 first; fused against apart; other libraries",
    )
    .option("--networks <list>", `of ${unetNames.join(", ")}, or none`, smallUnets.join(","))
    .option("--batch <n>", "images at once", wholeNumber, 1)
    .option("--repeats <n>", "passes to time, the fastest is told", wholeNumber, 2)
    .option("--kernels <n>", "kernels to tell of each network, by their time", wholeNumber, 12)
    .option("--samples <n>", "samples of every layer's time", wholeNumber, 3)
    .option("--ops", "also convolutions, group norms and attention of these networks")
    .option("--fusions", "also the same work in one kernel and apart")
    .option("--peers", "also those layers in tfjs, jax-js and ONNX Runtime Web, fetched from npm")
    .addHelpText(
      "after",
      "\nExamples:\n  gyrus bench unet --networks mig-vis,ddpm32 --repeats 3\n" +
        "  gyrus bench unet --networks none --ops --fusions --peers\n" +
        "  gyrus bench unet --networks sd15      # 0.8 · 10^12 operations, 3.4 GB: meant for a GPU\n",
    )
    .action(async (_, command: Command) => await unet(command.optsWithGlobals()));
}

function parseNetworks(list: string): UnetName[] {
  if (list === "none") return [];
  return list.split(",").map((name) => {
    const found = unetNames.find((known) => known === name.trim());
    if (found) return found;
    throw new InputError(
      `Cannot bench the network ${JSON.stringify(name)}: there are ${unetNames.join(", ")}`,
    );
  });
}

async function unet(options: UnetOptions): Promise<void> {
  const { batch, repeats, samples } = options;
  if (batch === 0 || repeats === 0 || samples === 0) {
    throw new InputError("Cannot bench nothing: --batch, --repeats and --samples count from 1");
  }
  const names = parseNetworks(options.networks);
  using gpu = await openGpu(options);
  const peaks = await measurePeaks(gpu);
  const lines = [
    JSON.stringify({ adapter: gpu.adapterName, backend: options.backend, peaks }),
  ];
  if (options.json) console.log(lines[0]);
  else console.log(`${gpu.adapterName}: ${peaks.gflops.toFixed(0)} GFLOP/s (measured)`);
  const key = randomKey(options.seed);
  const tell = async <Row>(
    rows: AsyncIterable<Row>,
    text: (row: Row) => string,
    most = Infinity,
  ) => {
    let told = 0;
    for await (const row of rows) {
      if (told++ >= most) break;
      lines.push(JSON.stringify(row));
      console.log(options.json ? lines.at(-1) : text(row));
    }
  };
  for (const name of names) {
    const rows = benchUnet(gpu, drawUnet(name), { batch, key, repeats }, peaks);
    await tell(rows, networkText, 1 + options.kernels);
  }
  if (options.ops) await tell(benchUnetOps(gpu, { key, samples }, peaks), opText);
  if (options.fusions) await tell(unetFusions(gpu, { key, samples }), ratioText);
  if (options.peers) await tell(benchUnetPeers(gpu, { key, samples }), peerText);
  if (options.out) writeOutput(options.out, lines.join("\n") + "\n");
}

const percent = (share: number) => `${(100 * share).toFixed(0)} %`;
const mebibytes = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MiB`;

function networkText(row: UnetPassRow | UnetKernelRow): string {
  if ("kernel" in row) {
    const { kernel, dispatches, ms, part, gflop } = row;
    return `  ${kernel.padEnd(34)}${`${dispatches}`.padStart(5)} ×${
      `${ms.toFixed(1)} ms`.padStart(12)
    }${percent(part).padStart(6)}${`${gflop.toPrecision(3)} GFLOP`.padStart(14)}`;
  }
  const { title, parameters, batch, ms, gflop, share, weightBytes, deviceBytes, dispatches } = row;
  return `${title}, ${(parameters / 1e6).toFixed(1)} million weights, ${batch} at once: ${
    ms.toFixed(0)
  } ms, ${gflop.toPrecision(4)} GFLOP, ${
    percent(share)
  } of the roofline, ${dispatches} kernels, device ${mebibytes(deviceBytes)}, of which weights ${
    mebibytes(weightBytes)
  }`;
}

function opText({ title, ms, gflop, share, error }: UnetOpRow): string {
  const rate = gflop === 0
    ? ""
    : `, ${gflop.toPrecision(3)} GFLOP, ${percent(share)} of the roofline`;
  return `${title}: ${ms.toFixed(2)} ms${rate}, error ${error.toExponential(1)}`;
}

function ratioText({ name, plainMs, oursMs, ratio }: Ratio): string {
  return `${name}: ${plainMs.toFixed(2)} / ${oursMs.toFixed(2)} ms = ${ratio.toFixed(2)}`;
}

function peerText({ title, peer, ...row }: UnetPeerRow): string {
  if (row.failure !== undefined) return `  ${peer}, ${title}: does not run, ${row.failure}`;
  return `  ${peer}, ${title}: ${row.peerMs!.toFixed(1)} ms, here ${row.ms!.toFixed(1)} ms, ratio ${
    row.ratio!.toFixed(1)
  }, error ${row.peerError!.toExponential(1)}`;
}
