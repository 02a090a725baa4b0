import type { Command } from "commander";
import { benchNcut, type NcutRow } from "../../bench/ncut.ts";
import { measurePeaks } from "../../bench/peaks.ts";
import { randomKey } from "../../engine/random.ts";
import { InputError } from "../errors.ts";
import { openGpu } from "./open_gpu.ts";
import { type GlobalOptions, wholeNumber } from "./options.ts";
import { writeOutput } from "./output.ts";

interface NcutBenchOptions extends GlobalOptions {
  readonly maxNodes?: number;
  readonly checkNodes: number;
  readonly width: number;
  readonly nEig: number;
  readonly affinity: string;
  readonly repeats: number;
}

const SIZES = [1000, 10_000, 100_000, 1_000_000];

/** Adds `bench ncut`. */
export function registerNcut(bench: Command): void {
  bench.command("ncut")
    .description(
      "normalised cuts: ours against the algorithm of ncut_pytorch v3.1 on the same kernels, seconds beside principal angles to the " +
        "exact eigenvectors",
    )
    .option(
      "--max-nodes <n>",
      "largest graph, of 1000, 10000, 100000 and 1000000 nodes (default: 100000 on CPU adapters, else 1000000)",
      wholeNumber,
    )
    .option("--check-nodes <n>", "size at which errors are measured", wholeNumber, 8192)
    .option("--width <d>", "features of a node", wholeNumber, 768)
    .option("--n-eig <k>", "eigenvectors", wholeNumber, 10)
    .option(
      "--affinity <kinds>",
      "rbf (scale by v3's rule), cosine (gamma 1), or both",
      "rbf,cosine",
    )
    .option("--repeats <n>", "times that each way is timed, the fastest is told", wholeNumber, 1)
    .addHelpText(
      "after",
      "\nNodes are clusters of heavy-tailed sizes. Errors against the exact cut are measured at --check-nodes, residuals (0 for\neigenvectors) at every size.\n" +
        "\nExample:\n  gyrus bench ncut --max-nodes 10000 --affinity rbf\n",
    )
    .action(async (_, command: Command) => await ncut(command.optsWithGlobals()));
}

function affinitiesOf(text: string): ("rbf" | "cosine")[] {
  return text.split(",").map((kind) => {
    if (kind === "rbf" || kind === "cosine") return kind;
    throw new InputError(`Cannot bench the affinity "${kind}": it must be rbf or cosine`);
  });
}

async function ncut(options: NcutBenchOptions): Promise<void> {
  const affinities = affinitiesOf(options.affinity);
  const { checkNodes, width, nEig, repeats } = options;
  for (const [name, value] of Object.entries({ checkNodes, width, nEig, repeats })) {
    if (value < 1) throw new InputError(`Cannot bench cuts: ${name} must be at least 1`);
  }
  using gpu = await openGpu(options);
  const most = options.maxNodes ?? (gpu.caps.isSoftware ? 100_000 : 1_000_000);
  const nodes = SIZES.filter((n) => n <= most);
  const peaks = await measurePeaks(gpu);
  const lines = [JSON.stringify({ adapter: gpu.adapterName, backend: options.backend, peaks })];
  console.log(options.json ? lines[0] : `${gpu.adapterName}: ${peaks.gflops.toFixed(0)} GFLOP/s`);
  const key = randomKey(options.seed);
  const rows = benchNcut(gpu, { nodes, checkNodes, width, nEig, affinities, repeats, key });
  for await (const row of rows) {
    lines.push(JSON.stringify(row));
    console.log(options.json ? lines.at(-1) : rowText(row));
  }
  if (options.out) writeOutput(options.out, lines.join("\n") + "\n");
}

function rowText(
  { method, affinity, scale, n, width, seconds, stages, error, residual, ...rest }: NcutRow,
) {
  const angles = error
    ? `, largest principal sine ${error.largestSine.toExponential(1)}, rms ${
      error.rmsSine.toExponential(1)
    }, lost of the cut ${error.lost.toExponential(1)}`
    : "";
  const parts = Object.entries(stages ?? {}).map(([stage, s]) => `${stage} ${s.toFixed(2)}`);
  const published = rest.published4090Seconds
    ? `; published for ncut_pytorch 3.1 on an RTX 4090, random nodes: ${rest.published4090Seconds} s`
    : "";
  return `${method.padEnd(12)}${affinity} ${scale}, ${n}x${width}: ${seconds.toPrecision(3)} s${
    parts.length > 0 ? ` (${parts.join(", ")})` : ""
  }${angles}, residual ${residual.toExponential(1)}${published}`;
}
