/**
 * `gyrus align controls`: what responses give an alignment beyond targets that are not this brain.
 *
 * @module
 */
import { type Command, InvalidArgumentError } from "commander";
import type { Gpu } from "../../engine/gpu.ts";
import { foldIn, randomKey } from "../../engine/random.ts";
import { controlEffects } from "../aligned_cut/control_effects.ts";
import { type Condition, conditions, runControls } from "../aligned_cut/controls.ts";
import { measureTitles } from "../aligned_cut/space_measures.ts";
import type { TokenSource } from "../encoding/alignment/tokens.ts";
import { InputError } from "../errors.ts";
import { StepLog } from "../io/step_log.ts";
import { quote } from "../io/strict_json.ts";
import { type AlignControlsOptions, controlData } from "./align_controls_data.ts";
import { documentOf, effectLines, regionLines, storeOf } from "./align_controls_results.ts";
import { addSettingOptions, settingsOf } from "./align_options.ts";
import { addSourceOptions, append, heldOutOf, openSource, tokenChoice } from "./align_source.ts";
import { openTokens, parseModelFile } from "./align_tokens.ts";
import { openGpu } from "./open_gpu.ts";
import { realNumber, wholeNumber } from "./options.ts";
import { beginOutput } from "./output.ts";
import { Progress } from "./progress.ts";

const HELP = `
Conditions, and what they need beside tokens and responses:
${Object.entries(conditions).map(([name, told]) => `  ${name.padEnd(18)}${told}`).join("\n")}
  readout needs --readout-features, low-level --images, random-backbone --random-model; what lacks its data is left out.
Measures, on the held-out images, their layers and networks cut together:
${Object.entries(measureTitles).map(([name, told]) => `  ${name.padEnd(18)}${told}`).join("\n")}

Output (JSON): every run image by image, means with intervals over images, effects brain - control pair by pair.

Example:
  gyrus align controls --model clip=clip.h5 --model dino=dino.h5 --responses responses_subj01.h5:train \\
    --images data/images/train --seeds 5 --out controls.json
`;

function conditionNames(text: string): Condition[] {
  return text.split(",").map((part) => {
    const name = part.trim();
    if (Object.hasOwn(conditions, name)) return name as Condition;
    throw new InvalidArgumentError(`Some of ${Object.keys(conditions).join(",")} are needed.`);
  });
}

/** Adds the command. */
export function registerAlignControls(
  align: Command,
  action: (options: AlignControlsOptions) => Promise<void>,
): void {
  const command = align.command("controls")
    .description("what the brain gives an alignment beyond controls, with intervals");
  addSourceOptions(command)
    .option(
      "--conditions <list>",
      "with commas (default: all that the data suffice for)",
      conditionNames,
    )
    .option("--seeds <n>", "runs of each condition", wholeNumber, 5)
    .option(
      "--random-model <name=file>",
      "features of a network with random weights; once for each",
      append,
      [],
    )
    .option("--readout-features <ref>", "features [images, n] that random readouts weigh")
    .option("--images <ref>", "the images, for colours and edges")
    .option(
      "--labels <ref>",
      "classes of pixels or patches: [images, height, width], 0 the background, 255 none; or masks " +
        "[images, classes, height, width]",
    )
    .option("--noise-ceiling <ref or s>", "share of the responses that can be explained, 0 to 1")
    .option(
      "--roi <ref>",
      "region of each voxel [voxels], whole numbers, -1 for none: do concepts match them?",
    )
    .option(
      "--flat <ref>",
      "chance: regions shifted on a flat map [voxels, 2], in place of permuted voxels",
    )
    .option(
      "--sphere <ref>",
      "chance: regions spun on a sphere [voxels of a hemisphere, 3]; left, then right",
      append,
      [],
    )
    .option("--permutations <n>", "orders by chance", wholeNumber, 999)
    .option("--n-eig <n>", "eigenvectors of the joint cut", wholeNumber, 10)
    .option("--n-clusters <n>", "concepts of the joint cut", wholeNumber, 6)
    .option("--gamma <g>", "scale of the joint cut's cosine affinity", realNumber, 1)
    .option("--resamples <n>", "draws of images of an interval", wholeNumber, 10_000)
    .option(
      "--checkpoint <file>",
      "keep finished runs there; the same command goes on after a stop",
    );
  addSettingOptions(command);
  command.addHelpText("after", HELP)
    .action(async (_, command: Command) => await action(command.optsWithGlobals()));
}

/** What results follow from beside the settings. */
function factsOf(options: AlignControlsOptions): Record<string, unknown> {
  const { heldOut, responses, readoutFeatures, images, labels, noiseCeiling } = options;
  const { layers, grid, roi, flat, sphere, permutations } = options;
  return {
    ...{ heldOut, responses, readoutFeatures, images, labels, noiseCeiling },
    ...{ layers, grid, roi, flat, sphere, permutations },
  };
}

interface Source {
  readonly source: TokenSource;
  readonly facts: readonly unknown[];
}

/** Tokens of the networks, and of those with random weights where there are any. */
async function openSources(
  options: AlignControlsOptions,
  { resources, progress }: {
    readonly resources: DisposableStack;
    readonly progress: Progress;
  },
): Promise<{ readonly own: Source; readonly random?: Source }> {
  const models = options.model.map(parseModelFile);
  const open = async (files: typeof models, cache: string | undefined): Promise<Source> => {
    const tokens = resources.use(await openTokens(files, tokenChoice(options, models)));
    const source = await openSource(tokens, { ...options, cache }, progress);
    resources.defer(() => source[Symbol.dispose]?.());
    return { source, facts: tokens.readers.map(({ facts }) => facts) };
  };
  const own = await open(models, options.cache);
  if (options.randomModel.length === 0) return { own };
  return { own, random: await open(options.randomModel.map(parseModelFile), undefined) };
}

/** Runs what the options say, writes it and prints the effects. */
export async function alignControls(
  options: AlignControlsOptions,
  finish: (gpu: Gpu, results: Record<string, unknown>, lines: readonly string[]) => void,
): Promise<void> {
  const { out, checkpoint, seed, seeds: nSeeds } = options;
  const output = beginOutput(out);
  if (checkpoint !== undefined && checkpoint === out) {
    throw new InputError(
      `Cannot keep the checkpoint in ${quote(checkpoint)}: the result goes there`,
    );
  }
  const progress = new Progress({ silent: options.json });
  using resources = new DisposableStack();
  const { own, random } = await openSources(options, { resources, progress });
  const data = await controlData(options, own.source, random?.source);
  using gpu = await openGpu(options);
  const { nEig, nClusters, gamma, conditions: chosen } = options;
  const settings = { ...settingsOf({ ...options }), seed, nSeeds, nEig, nClusters, gamma };
  const facts = factsOf(options);
  const log = checkpoint === undefined ? undefined : resources.use(
    new StepLog(checkpoint, {
      tokens: [own.facts, random?.facts],
      options: { ...settings, ...facts },
      adapter: [gpu.adapterName, gpu.options],
    }),
  );
  const key = randomKey(seed);
  const runs = await runControls(gpu, data, {
    ...{ key, nSeeds, conditions: chosen, heldOut: await heldOutOf(options.heldOut) },
    alignment: settingsOf({ ...options }),
    measures: { nEig, nClusters, gamma },
    store: storeOf(log),
    onProgress: progress.update,
  });
  progress.end();
  const effects = controlEffects(runs.runs, {
    key: foldIn(key, 2000),
    nResamples: options.resamples,
  });
  const document = documentOf(runs, effects, { ...settings, ...facts });
  Deno.writeTextFileSync(output.partial, `${JSON.stringify(document)}\n`);
  output.commit();
  const results = {
    heldOut: runs.heldOut.length,
    runs: runs.runs.length,
    effects: effects.effects,
  };
  finish(gpu, results, [...effectLines(effects), ...regionLines(runs)]);
}
