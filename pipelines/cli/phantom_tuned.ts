/**
 * `gyrus phantom tuned`: images made for simulated voxels whose tuning is known, and whether they show it.
 *
 * @module
 */
import type { Command } from "commander";
import { mosaic } from "../images/mosaic.ts";
import type { RgbImage } from "../images/rgb_image.ts";
import { savePng } from "../io/png.ts";
import { loadPhantomNet } from "../phantom/nets.ts";
import { TUNED_VARIABLES } from "../phantom/tuned_variables.ts";
import { runRecord } from "../run_record.ts";
import { checkOnPhantom, type PhantomCheck } from "../vwam/phantom_check.ts";
import { PHANTOM_SIDE } from "../vwam/phantom_world.ts";
import { openGpu } from "./open_gpu.ts";
import { type GlobalOptions, realNumber, wholeNumber } from "./options.ts";
import { beginOutput, RUN_RECORD } from "./output.ts";
import { Progress } from "./progress.ts";

interface TunedOptions extends GlobalOptions {
  readonly scenes: number;
  readonly seeds: number;
  readonly steps: number;
  readonly lr: number;
  readonly fitted: number;
  readonly heldOut: number;
}

const HELP = `
Encoders of simulated subjects are fitted from the taps of the phantom's convolutional network; images are made for
their regions, for the least of the response, and for shuffled weights, and judged by scorers that are not the
network's: structure tensor, CIE LAB, quarters' contrast, and the phantom's CLIP.
Writes maximized.png, minimized.png and shuffled.png (a row for each region, its seeds side by side), check.json with
every number, and run.json.

Example:
  gyrus phantom tuned --out tuned --seeds 2
`;

/** Adds the command to `phantom`. */
export function registerTuned(phantom: Command): void {
  phantom.command("tuned")
    .description("make images for voxels of known tuning and test whether they show it")
    .option("--scenes <n>", "scenes that encoders are fitted on", wholeNumber, 400)
    .option("--seeds <n>", "images of each region", wholeNumber, 4)
    .option("--steps <n>", "steps of an image", wholeNumber, 48)
    .option("--lr <size>", "step size of Adam", realNumber, 0.05)
    .option("--fitted <n>", "subjects that images are made with", wholeNumber, 3)
    .option("--held-out <n>", "further subjects, who respond to them", wholeNumber, 3)
    .addHelpText("after", HELP)
    .action(async (_, command: Command) => await tuned(command.optsWithGlobals()));
}

async function tuned(options: TunedOptions): Promise<void> {
  const { seed, scenes: nScenes, lr: learningRate, seeds, steps, fitted, heldOut } = options;
  const started = new Date();
  const output = beginOutput(options.out, { kind: "folder" });
  using gpu = await openGpu(options);
  using model = await loadPhantomNet(gpu, "cnn");
  const progress = new Progress({ silent: options.json });
  const check = await checkOnPhantom(
    gpu,
    model,
    { seed, nScenes, learningRate, seeds, steps, fitted, heldOut },
    { onProgress: progress.update },
  );
  progress.end();
  const { images, ...numbers } = check;
  for (const [goal, data] of images) {
    savePng(`${output.partial}/${goal}.png`, mosaic(pictures(data), { columns: seeds }));
  }
  const regions = TUNED_VARIABLES.map(({ kind, name }) => `${kind} ${name}`);
  const json = (value: unknown) => `${JSON.stringify(value, null, 2)}\n`;
  Deno.writeTextFileSync(`${output.partial}/check.json`, json({ regions, ...numbers }));
  const facts = { command: "phantom tuned", options: { ...options }, inputs: {}, gpu, started };
  const record = runRecord({ ...facts, results: { responses: check.responses } });
  Deno.writeTextFileSync(`${output.partial}/${RUN_RECORD}`, json(record));
  output.commit();
  if (options.json) return console.log(JSON.stringify({ out: options.out, regions, ...numbers }));
  for (const line of linesOf(check)) console.log(line);
  console.log(`written ${options.out}`);
}

function pictures(data: Float32Array): RgbImage[] {
  const plane = PHANTOM_SIDE ** 2, each = 3 * plane;
  return Array.from({ length: data.length / each }, (_, i) => {
    const bytes = Uint8Array.from({ length: each }, (_, at) => {
      const value = data[i * each + at % 3 * plane + Math.floor(at / 3)];
      return Math.round(255 * Math.min(1, Math.max(0, value)));
    });
    return { height: PHANTOM_SIDE, width: PHANTOM_SIDE, data: bytes };
  });
}

/** The result as a table. */
function linesOf({ scores, responses }: PhantomCheck): string[] {
  const p = (value: number) => value.toFixed(4);
  const line = (cells: readonly string[]) =>
    cells.map((cell, i) => cell.padEnd([12, 22, 9, 9, 20][i] ?? 20)).join("").trimEnd();
  return [
    line(["made for", "judged by", "own best", "p", "above start (p)", "above shuffled (p)"]),
    ...scores.map(({ goal, kind, own, againstStart: start, againstShuffled: shuffled }) =>
      line([
        ...[goal, `${kind} scorer`, `${own.count} of ${own.of}`, p(own.pDifference)],
        `${start.mean.toFixed(3)} (${p(start.p)})`,
        shuffled ? `${shuffled.mean.toFixed(3)} (${p(shuffled.p)})` : "",
      ])
    ),
    ...responses.flatMap(({ goal, predicted, simulated }) =>
      ([["held-out encoders", predicted], ["held-out voxels", simulated]] as const)
        .map(([name, own]) => line([goal, name, `${own.count} of ${own.of}`, p(own.pDifference)]))
    ),
  ];
}
