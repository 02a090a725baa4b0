/**
 * `gyrus effects`: what steering changes in images, by readouts that had no part in it.
 *
 * @module
 */
import { type Command, Option } from "commander";
import { randomKey } from "../../engine/random.ts";
import { InputError } from "../errors.ts";
import type { RgbImage } from "../images/rgb_image.ts";
import { quote } from "../io/strict_json.ts";
import { evaluateSteering, type SteeredMethod } from "../mig_vis/evaluation.ts";
import { methodTable, steeringReport, type TraversalFigure } from "../mig_vis/steering_report.ts";
import { formatNumber } from "../report/numbers.ts";
import { runRecord } from "../run_record.ts";
import { signedBytes } from "./diffuse_files.ts";
import {
  drawingReadouts,
  featureReadouts,
  type ImageReadouts,
  readSteered,
  type SteeredFolder,
} from "./effects_inputs.ts";
import { openGpu } from "./open_gpu.ts";
import { type GlobalOptions, wholeNumber } from "./options.ts";
import { beginOutput, RUN_RECORD } from "./output.ts";
import { Progress } from "./progress.ts";

interface EffectsOptions extends GlobalOptions {
  readonly steered: readonly string[];
  readonly readout: "features" | "drawing";
  readonly own: string;
  readonly images?: string;
  readonly table?: string;
  readonly factors?: string;
  readonly featuresModel?: string;
  readonly featuresConfig?: string;
  readonly draws: number;
  readonly shown: number;
}

const HELP = `
Folders are those of gyrus steer, of the same sources or others; the first is what the others are compared with. A name can stand before
a folder. Factors are read off every image and off the unsteered ones by regressions from the features of a network, which should be another
than the one that steered: fitted to labelled stimuli and judged on a fifth of them held out. Columns of text are classes.
With --readout drawing factors of the phantom's stimuli (pose, category, stripes, tone, background) are read by drawing every image again.
--own names the factor that each group should move, in the order of the groups, - for none.

Output folder:
  index.html     the report, one file that needs no other
  effects.json   effects of groups on factors with intervals of 95 % over sources, in units of unrelated stimuli; p of the diagonal,
                 groups exchanged within sources; own over other factors; correlations with gamma; differences of ways of steering
  run.json

Example:
  gyrus effects --steered steered/ likelihood=steered_likelihood/ --images stimuli.npy --table stimuli.csv \\
    --factors 'pose=s,ty,tz,rxy,rxz,ryz;category=category_name' --own pose,category,-,- --features-model clip.safetensors --out effects
`;

/** Adds the command. */
export function register(program: Command): void {
  program.command("effects")
    .description("what steering changes: effects of groups on factors, tests, ways side by side")
    .requiredOption("--steered <folders...>", "folders of gyrus steer, or name=folder")
    .addOption(
      new Option("--readout <by>", "how factors are read off images")
        .choices(["features", "drawing"]).default("features"),
    )
    .requiredOption("--own <list>", "factor of each group, as pose,category,-,-")
    .option("--images <ref>", "labelled stimuli that readouts are fitted to")
    .option("--table <csv>", "their labels, one row each")
    .option(
      "--factors <spec>",
      "factors and their columns, as 'pose=s,ty,tz;category=category_name'",
    )
    .option("--features-model <path>", "weights of a network that had no part in steering")
    .option("--features-config <file>", "its configuration (default: the one beside it)")
    .option("--draws <n>", "resamples of sources, and exchanges of groups", wholeNumber, 2000)
    .option("--shown <n>", "sources whose traversals the report shows", wholeNumber, 4)
    .addHelpText("after", HELP)
    .action(async (_, command: Command) => await effects(command.optsWithGlobals()));
}

/** An option that the other readout has no use for. */
function needed(value: string | undefined, flag: string): string {
  if (value !== undefined) return value;
  throw new InputError(`Cannot fit readouts: ${flag} is missing (or give --readout drawing)`);
}

async function readWith<T>(
  options: EffectsOptions,
  { channels, progress }: { readonly channels: number; readonly progress: Progress },
  use: (readouts: ImageReadouts) => Promise<T>,
): Promise<T> {
  if (options.readout === "drawing") return await use(drawingReadouts(progress));
  const choice = {
    images: needed(options.images, "--images"),
    table: needed(options.table, "--table"),
    factors: needed(options.factors, "--factors"),
    model: needed(options.featuresModel, "--features-model"),
    config: options.featuresConfig,
    seed: options.seed,
  };
  using gpu = await openGpu(options);
  using readouts = await featureReadouts(gpu, choice, { channels, progress });
  return await use(readouts);
}

function ownOf(
  text: string,
  groups: readonly number[],
  { factors }: ImageReadouts["scale"],
): number[] {
  const names = text.split(",").map((name) => name.trim());
  const own = names.map((name) => name === "-" ? -1 : factors.findIndex((f) => f.name === name));
  const wrong = names.find((name, g) => name !== "-" && own[g] < 0);
  const last = groups.reduce((a, b) => Math.max(a, b), 0);
  if (wrong === undefined && names.length > last) return groups.map((g) => own[g]);
  throw new InputError(
    wrong === undefined
      ? `Cannot judge group ${last}: --own names the factors of ${names.length} groups`
      : `Cannot judge factor ${quote(wrong)}: there are ${
        factors.map(({ name }) => name).join(", ")
      }`,
  );
}

async function methodOf(folder: SteeredFolder, readouts: ImageReadouts): Promise<SteeredMethod> {
  const { groups, nTargets, gammas, sources } = folder, each = groups.length * nTargets;
  const { readings, residuals } = await readouts.read(folder.images);
  const { readings: unsteered } = await readouts.read(folder.unsteered);
  const n = readings.shape[0], index = (i: number) => i % each;
  const of = (value: (i: number) => number) => Array.from({ length: n }, (_, i) => value(i));
  return {
    name: folder.name,
    edits: {
      source: of((i) => Math.floor(i / each)),
      group: of((i) => Math.floor(index(i) / nTargets)),
      gamma: of((i) => gammas?.[i % nTargets] ?? 0),
      ...{ readings, sources: unsteered },
    },
    psnr: folder.psnr.length === sources.length ? folder.psnr : undefined,
    residuals,
  };
}

const LEAST_SIDE = 64; // Of pictures in the report.

function pictureOf({ data, shape: [, ...rest] }: SteeredFolder["images"], i: number): RgbImage {
  const each = rest[0] * rest[1] * rest[2];
  const { height, width, data: small } = signedBytes(data.subarray(i * each, (i + 1) * each), rest);
  const times = Math.max(1, Math.ceil(LEAST_SIDE / width)), across = width * times;
  const large = Uint8Array.from({ length: small.length * times * times }, (_, at) => {
    const pixel = Math.floor(at / 3), y = Math.floor(pixel / across / times);
    return small[(y * width + Math.floor(pixel % across / times)) * 3 + at % 3];
  });
  return { height: height * times, width: across, data: large };
}

function traversalOf(folder: SteeredFolder, shown: number): TraversalFigure {
  const { sources, groups, gammas, nTargets, name } = folder;
  const before = gammas?.filter((gamma) => gamma < 0).length ?? 0;
  const columns = Array.from({ length: nTargets }, (_, t) => String(gammas?.[t] ?? `target ${t}`));
  const strips = sources.slice(0, shown).flatMap((source, s) =>
    groups.map((group, g) => {
      const made = columns.map((_, t) =>
        pictureOf(folder.images, (s * groups.length + g) * nTargets + t)
      );
      const images = made.toSpliced(before, 0, pictureOf(folder.unsteered, s));
      return { label: `source ${source}, group ${group}`, images };
    })
  );
  return { method: name, columns: columns.toSpliced(before, 0, "unsteered"), strips };
}

/** Judges all folders; groups are those of the first. */
async function judge(folders: readonly SteeredFolder[], options: EffectsOptions) {
  const [{ groups, images }] = folders;
  const other = folders.find((folder) => `${folder.groups}` !== `${groups}`);
  if (other) {
    throw new InputError(
      `Cannot compare ${other.name} with ${
        folders[0].name
      }: its groups are ${other.groups}, not ${groups}`,
    );
  }
  const progress = new Progress({ silent: options.json });
  const call = { channels: images.shape[1], progress };
  const judged = await readWith(options, call, async (readouts) => {
    const own = ownOf(options.own, groups, readouts.scale), steered: SteeredMethod[] = [];
    for (const folder of folders) steered.push(await methodOf(folder, readouts));
    const { draws: nDraws, seed } = options;
    return {
      ...{ groups, factors: readouts.scale.factors.map(({ name }) => name), own },
      readouts: readouts.scores,
      methods: evaluateSteering(steered, readouts.scale, { key: randomKey(seed), own, nDraws }),
    };
  });
  progress.end();
  return judged;
}

type Judged = Awaited<ReturnType<typeof judge>>;

/** Results without the resamples that their intervals come from. */
function jsonOf(judged: Judged, indent?: number): string {
  const methods = judged.methods.map(({ effects: { ratioDraws: _, ...effects }, ...method }) => ({
    ...method,
    effects,
  }));
  const plain = (_: string, value: unknown) => value instanceof Float64Array ? [...value] : value;
  return JSON.stringify({ ...judged, methods }, plain, indent);
}

function linesOf(judged: Judged): string[] {
  return methodTable(judged.methods).rows.map(([name, own, others, ratio, count, p]) => {
    const [a, b, c] = [own, others, ratio].map((cell) =>
      typeof cell === "object" && "mean" in cell ? formatNumber(cell.mean) : "–"
    );
    return `${
      String(name).padEnd(24)
    }own ${a}  others ${b}  ratio ${c}  ${count} on the diagonal, p ${formatNumber(Number(p), 4)}`;
  });
}

async function effects(options: EffectsOptions): Promise<void> {
  const started = new Date(), output = beginOutput(options.out, { kind: "folder" });
  const folders: SteeredFolder[] = [];
  for (const reference of options.steered) folders.push(await readSteered(reference));
  const judged = await judge(folders, options);
  const { page } = steeringReport(judged.methods, {
    ...judged,
    groups: judged.groups.map((group) => `group ${group}`),
    facts: [options.readout === "drawing" ? "read by drawing images again" : "read from features"],
    traversals: folders.map((folder) => traversalOf(folder, options.shown)),
  });
  Deno.writeTextFileSync(`${output.partial}/index.html`, page);
  Deno.writeTextFileSync(`${output.partial}/effects.json`, `${jsonOf(judged, 2)}\n`);
  const ratios = Object.fromEntries(judged.methods.map((m) => [m.name, m.effects.ratio.mean]));
  const paths = options.steered.map((text, f) => [folders[f].name, text.replace(/^[^=]*=/, "")]);
  const record = runRecord({
    command: "effects",
    options: { ...options },
    ...{ inputs: Object.fromEntries(paths), started, results: { ratios } },
  });
  Deno.writeTextFileSync(`${output.partial}/${RUN_RECORD}`, `${JSON.stringify(record, null, 2)}\n`);
  output.commit();
  if (options.json) {
    return console.log(JSON.stringify({ out: options.out, ...JSON.parse(jsonOf(judged)) }));
  }
  for (const line of linesOf(judged)) console.log(line);
  console.log(`written ${options.out}`);
}
