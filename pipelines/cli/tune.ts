/**
 * `gyrus tune`: which variants and tunables of the kernels are fastest on this adapter, at the sizes of record or at those of a profile.
 *
 * @module
 */
import type { Command } from "commander";
import { type Tuned, tuneKernel } from "../../bench/tune.ts";
import type { TuningEntry } from "../../engine/gpu.ts";
import { sizeClass } from "../../engine/select.ts";
import { splitCase } from "../../bench/check_kernel.ts";
import type { Dims, KernelSpec } from "../../shaders/kernel.ts";
import { kernels } from "../../shaders/mod.ts";
import { InputError } from "../errors.ts";
import { withFileErrors } from "../io/files.ts";
import { isJsonObject, parseJsonObject, quote } from "../io/strict_json.ts";
import { formatTuning } from "../io/tuning_file.ts";
import { openGpu, userTuningPath } from "./open_gpu.ts";
import { type GlobalOptions, wholeNumber } from "./options.ts";
import { writeOutput } from "./output.ts";

interface TuneCommandOptions extends GlobalOptions {
  readonly from?: string;
  readonly top: number;
  readonly dtype: string;
  readonly samples: number;
}

/** Adds the command. */
export function register(program: Command): void {
  program.command("tune")
    .description(
      "find the fastest variants of the kernels on this adapter, each checked before it is timed, and keep them in a table",
    )
    .argument("[kernel...]", "names or parts of names; all kernels when absent")
    .option("--from <folder>", "sizes of a profile (--profile of any command): your own workload")
    .option(
      "--top <n>",
      "of a profile, the pairs of kernel and size that took longest",
      wholeNumber,
      24,
    )
    .option("--dtype <type>", "storage type: f32 or f16", "f32")
    .option("--samples <n>", "pairs of samples per candidate", wholeNumber, 7)
    .addHelpText(
      "after",
      "\nWithout --out the table is the user's own for this adapter, which every command then takes;\nwith --out it is a file for --tuning. A table changes which sums are made in which order, so\nresults with it differ from those without it by rounding; the record of a run names what ran.\n" +
        "\nExamples:\n  gyrus tune matmul\n  gyrus features … --profile profile && gyrus tune --from profile --out ours.json\n",
    )
    .action(async (names: string[], _, command: Command) =>
      await tune(names, command.optsWithGlobals())
    );
}

interface Subject {
  readonly spec: KernelSpec;
  readonly sizes: Dims;
}

async function tune(names: readonly string[], options: TuneCommandOptions): Promise<void> {
  const { from, dtype, samples, json } = options;
  if (dtype !== "f32" && dtype !== "f16") {
    throw new InputError(`Cannot tune ${dtype}: the storage type must be f32 or f16`);
  }
  const isNamed = ({ name }: KernelSpec) =>
    names.length === 0 || names.some((part) => name.includes(part));
  if (!kernels.some(isNamed)) {
    throw new InputError(`Cannot tune ${names.join(" ")}: no kernel has such a name`);
  }
  using gpu = await openGpu({ ...options, tuning: undefined, explain: false });
  const subjects = (from === undefined ? sizesOfRecord() : sizesOf(from, options.top))
    .filter(({ spec }) => isNamed(spec) && hasChoice(spec));
  const path = options.out ?? userTuningPath(gpu.adapterName);
  if (path === undefined) throw new InputError("Cannot keep the table: --out is missing");
  const table: Record<string, TuningEntry> = options.out === undefined ? { ...gpu.tuning } : {};
  for (const { spec, sizes } of subjects) {
    if (dtype === "f16" && spec.tolerance.f16 === undefined) continue;
    const found = await tuneKernel(gpu, spec, sizes, { samples, dtype });
    if (!found) continue;
    if (found.ratio < 1) table[found.key] = found.best;
    else delete table[found.key];
    console.log(json ? JSON.stringify(found) : tunedText(found));
  }
  if (options.out === undefined) {
    Deno.mkdirSync(path.slice(0, path.lastIndexOf("/")), { recursive: true });
  }
  writeOutput(path, formatTuning({ adapter: gpu.adapterName, table }));
  if (!json) console.log(`${Object.keys(table).length} choices in ${path}`);
}

/** Only one way to run: nothing to find. */
const hasChoice = ({ variants }: KernelSpec): boolean =>
  variants.length > 1 ||
  variants.some((v) => Object.values(v.tunables ?? {}).some((values) => values.length > 1));

function sizesOfRecord(): Subject[] {
  return kernels.flatMap((spec) =>
    (spec.large ?? spec.cases.slice(-1)).map((sizes) => ({ spec, sizes }))
  );
}

/** Sizes of the dispatches of a profile, one of each size class, those that took longest in all first. */
function sizesOf(folder: string, top: number): Subject[] {
  const path = `${folder}/trace.json`;
  const cannot = `Cannot take sizes from ${quote(path)}:`;
  const { traceEvents } = parseJsonObject(
    withFileErrors("read", path, () => Deno.readFileSync(path)),
    `${cannot} it`,
  );
  if (!Array.isArray(traceEvents)) throw new InputError(`${cannot} it must have traceEvents`);
  const classes = new Map<string, Subject & { us: number }>();
  for (const event of traceEvents) {
    const spec = kernels.find(({ name }) => isJsonObject(event) && name === event.cat);
    if (!spec || !isJsonObject(event.args)) continue;
    const { dtype: _, flops: __, bytes: ___, roofline: ____, ...rest } = event.args;
    if (!Object.values(rest).every((v) => typeof v === "number")) continue;
    const sizes = rest as Dims;
    const key = sizeClass(spec, splitCase(spec, sizes).dims);
    const known = classes.get(key) ?? { spec, sizes, us: 0 };
    classes.set(key, { ...known, us: known.us + Number(event.dur ?? 0) });
  }
  return [...classes.values()].sort((a, b) => b.us - a.us).slice(0, top);
}

function tunedText({ key, standard, best, ratio, tried, refused }: Tuned): string {
  const told = ratio < 1
    ? `${best.variant} ${JSON.stringify(best.tunables)}, ${ratio.toFixed(2)} of ${standard.variant}`
    : `${standard.variant} stays`;
  const wrong = refused.length > 0 ? `; refused: ${refused.join("; ")}` : "";
  return `${key}\n    ${told} (${tried} tried)${wrong}`;
}
