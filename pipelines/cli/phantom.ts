/**
 * `gyrus phantom`: writes the embedded data set; `gyrus phantom train`: trains its networks.
 *
 * @module
 */
import { type Command, Option } from "commander";
import { openSafetensors } from "../io/safetensors_file.ts";
import {
  allPhantomNets,
  type AnyPhantomNet,
  trainingScenes,
  trainingSteps,
  trainPhantomNet,
} from "../phantom/train.ts";
import { writeNet } from "../phantom/write_net.ts";
import { writePhantom } from "../phantom/write_phantom.ts";
import { type RunFacts, runRecord } from "../run_record.ts";
import { openGpu } from "./open_gpu.ts";
import { type GlobalOptions, wholeNumber } from "./options.ts";
import { beginOutput, RUN_RECORD } from "./output.ts";
import { registerIt } from "./phantom_it.ts";
import { registerTuned } from "./phantom_tuned.ts";
import { Progress } from "./progress.ts";

interface PhantomCliOptions extends GlobalOptions {
  readonly nTrain: number;
  readonly nTest: number;
  readonly size: number;
  readonly subjects: number;
}

interface TrainCliOptions extends GlobalOptions {
  readonly net: AnyPhantomNet;
  readonly steps?: number;
  readonly scenes?: number;
  readonly from?: string;
  readonly checkpoint?: string;
}

const KEPT_EVERY = 50; // steps

/** Adds the command. */
export function register(program: Command): void {
  const phantom = program.command("phantom")
    .description("write the phantom, a data set about which everything is known, into a folder")
    .option("--n-train <n>", "training images", wholeNumber, 600)
    .option("--n-test <n>", "test images", wholeNumber, 120)
    .option("--size <pixels>", "side of the images", wholeNumber, 64)
    .option("--subjects <n>", "simulated subjects, 1 to 8", wholeNumber, 2)
    .addHelpText(
      "after",
      "\nExample:\n  gyrus phantom --out phantom --n-train 200 --n-test 40\n" +
        "\nScores on a phantom are claims about software, never about brains.\n",
    )
    .action(async (_, command: Command) => await write(command.optsWithGlobals()));
  phantom.command("train")
    .description("train one of the phantom's networks; needs a GPU or a software driver")
    .addOption(
      new Option("--net <name>", "which network").choices([...allPhantomNets])
        .makeOptionMandatory(),
    )
    .option("--steps <n>", "steps of the optimiser (default: as the shipped network)", wholeNumber)
    .option("--scenes <n>", "scenes to train on (default: as the shipped network)", wholeNumber)
    .option("--from <model>", "go on from this network, on the scenes of another --seed")
    .option("--checkpoint <folder>", "keep the unet's state there; the same command goes on")
    .addHelpText(
      "after",
      "\nExample:\n  gyrus phantom train --net clip --out phantom_clip --steps 20\n" +
        "\nWithout further options these are the commands of the shipped networks: an hour (clip), four minutes\n" +
        "(dinov2), twenty (radio, taught by the shipped clip), ten (cnn) and an hour (unet) on two busy cores with\n" +
        "a software driver. The same seed on the same adapter gives the same bits.\n",
    )
    .action(async (_, command: Command) => await train(command.optsWithGlobals()));
  registerTuned(phantom);
  registerIt(phantom);
}

async function write(options: PhantomCliOptions): Promise<void> {
  const { seed, nTrain, nTest, size, subjects: nSubjects } = options;
  const started = new Date();
  const output = beginOutput(options.out, { kind: "folder" });
  const progress = new Progress({ silent: options.json });
  const phantom = await writePhantom(
    output.partial,
    { seed, nTrain, nTest, size, nSubjects },
    { onProgress: progress.update },
  );
  progress.end();
  const results = {
    images: phantom.images.length,
    voxels: phantom.subjects.map(({ sheet }) => sheet.nVoxels),
  };
  finish(options, output, { command: "phantom", options: { ...options }, started, results });
}

async function train(options: TrainCliOptions): Promise<void> {
  const { net, seed, scenes: nScenes = trainingScenes[net], steps = trainingSteps[net] } = options;
  const started = new Date();
  const output = beginOutput(options.out, { kind: "folder" });
  using before = options.from === undefined ? undefined : openSafetensors(options.from);
  using gpu = await openGpu(options);
  const progress = new Progress({ silent: options.json });
  const { checkpoint: folder } = options;
  const checkpoint = folder === undefined ? undefined : { folder, every: KEPT_EVERY };
  const run = { net, seed, steps, nScenes, from: before?.tensors, checkpoint };
  const trained = await trainPhantomNet(gpu, run, { onProgress: progress.update });
  progress.end();
  await writeNet(output.partial, trained);
  const results = { firstLoss: trained.losses[0], lastLoss: trained.losses[steps - 1] };
  const facts = { command: "phantom train", options: { ...options, steps }, gpu, started, results };
  finish(options, output, facts, options.from === undefined ? {} : { from: options.from });
}

function finish(
  options: GlobalOptions,
  output: ReturnType<typeof beginOutput>,
  facts: Omit<RunFacts, "inputs">,
  inputs: RunFacts["inputs"] = {},
): void {
  const record = runRecord({ ...facts, inputs });
  Deno.writeTextFileSync(`${output.partial}/${RUN_RECORD}`, `${JSON.stringify(record, null, 2)}\n`);
  output.commit();
  if (options.json) {
    console.log(JSON.stringify({ out: options.out, ...facts.results }));
    return;
  }
  for (const [name, value] of Object.entries(facts.results ?? {})) {
    console.log(`${name.padEnd(24)}${value}`);
  }
  console.log(`${"written".padEnd(24)}${options.out}`);
}
