/**
 * Finds the variant and the tunables that run fastest at some sizes: every candidate is checked against float64 and against the oracle
 * before it is timed, and timed in turns with the one that would run anyway.
 *
 * @module
 */
import type { Gpu, TuningEntry } from "../engine/gpu.ts";
import { run } from "../engine/run.ts";
import { isSupported, simplest, sizeClass } from "../engine/select.ts";
import { readAll, Tensor, tidy } from "../engine/tensor.ts";
import {
  type Args,
  bufferDecls,
  type Dims,
  type KernelSpec,
  type KernelVariant,
} from "../shaders/kernel.ts";
import { checkKernel, hostInputs, shapeOf, splitCase, worstError } from "./check_kernel.ts";

/** What was found for one kernel at one size. */
export interface Tuned {
  /** Key in a tuning table. */
  readonly key: string;
  /** What would run without a table. */
  readonly standard: TuningEntry;
  /** The fastest. */
  readonly best: TuningEntry;
  /** Time of `best` over that of `standard`: median of neighbours in time; 1 where they are the same. */
  readonly ratio: number;
  /** Candidates that were timed. */
  readonly tried: number;
  /** Candidates that were refused, with the reason. */
  readonly refused: readonly string[];
}

/** Options of {@link tuneKernel}. */
export interface TuneOptions {
  /** Pairs of samples per candidate (default 7). */
  readonly samples?: number;
  /** Storage type (default f32). */
  readonly dtype?: "f32" | "f16";
  /** A candidate must take less than this share of the standard's time (default 0.95). */
  readonly mustReach?: number;
}

const SAMPLE_MS = 10;

interface Subject {
  readonly gpu: Gpu;
  readonly spec: KernelSpec;
  readonly dims: Dims;
  readonly args: Args;
  readonly dtype: "f32" | "f16";
}

/** Tunables of an entry that are not the variant's defaults. */
function trimmed(variant: KernelVariant, tunables: Readonly<Record<string, number>>) {
  const kept = Object.entries(tunables).filter(([name, v]) => variant.tunables?.[name]?.[0] !== v);
  return { variant: variant.name, tunables: Object.fromEntries(kept) };
}

/** Inputs of a launch on the device, made anew for kernels that update one of them. */
class Launcher {
  readonly #subject: Subject;
  readonly #host: ReturnType<typeof hostInputs>;

  constructor(subject: Subject) {
    const { spec, dims, args, dtype } = subject;
    this.#subject = subject;
    this.#host = hostInputs(spec, dims, args, dtype);
  }

  inputs(): Tensor[] {
    const { gpu, spec, dims, dtype } = this.#subject;
    return bufferDecls(spec).filter((d) => d.role !== "out").map((d) =>
      Tensor.from(gpu, this.#host[d.name], shapeOf(d, dims), {
        dtype: d.dtype === "elem" ? dtype : d.dtype,
      })
    );
  }

  launch(on: readonly Tensor[], choice: TuningEntry): Tensor[] {
    const { gpu, spec, dims, args, dtype } = this.#subject;
    return run(spec, on, { gpu, dims, args, dtype, choice });
  }

  async values(choice: TuningEntry): Promise<ArrayLike<number>[]> {
    const on = this.inputs();
    const outputs = this.launch(on, choice);
    const updated = bufferDecls(this.#subject.spec).filter((d) => d.role !== "out")
      .flatMap((d, i) => (d.role === "inout" ? [on[i]] : []));
    try {
      return await readAll([...outputs, ...updated]);
    } finally {
      [...on, ...outputs].forEach((t) => t.dispose());
    }
  }
}

/** Times two choices in turns; the median of their ratios and the share of turns that `a` won. */
async function race(
  { gpu }: Subject,
  launcher: Launcher,
  [a, b]: readonly [TuningEntry, TuningEntry],
  samples: number,
): Promise<{ ratio: number; won: number }> {
  const on = launcher.inputs();
  const sample = async (choice: TuningEntry, repeats: number) => {
    const start = performance.now();
    for (let i = 0; i < repeats; i++) tidy(gpu, () => void launcher.launch(on, choice));
    await gpu.sync();
    return (performance.now() - start) / repeats;
  };
  try {
    await sample(a, 1);
    await sample(b, 1); // both compiled
    const repeats = Math.ceil(SAMPLE_MS / Math.max(1e-3, await sample(b, 1)));
    const ratios: number[] = [];
    for (let i = 0; i < samples; i++) {
      const first = await sample(i % 2 ? a : b, repeats),
        second = await sample(i % 2 ? b : a, repeats);
      ratios.push(i % 2 ? first / second : second / first);
      if (ratios.length === 2 && Math.min(...ratios) > 1.5) break; // far behind
    }
    ratios.sort((x, y) => x - y);
    const won = ratios.filter((r) => r < 1).length / ratios.length;
    return { ratio: ratios[ratios.length >> 1], won };
  } finally {
    on.forEach((t) => t.dispose());
  }
}

/** @throws {Error} when a choice is wrong at small sizes or disagrees with the oracle at this one. */
async function requireRight(
  subject: Subject,
  launcher: Launcher,
  variant: KernelVariant,
  choice: TuningEntry,
  wanted: readonly ArrayLike<number>[],
): Promise<void> {
  const { gpu, spec, dtype } = subject;
  for (const dims of spec.cases) {
    const apart = splitCase(spec, dims);
    if (!isSupported(variant, apart.dims, apart.args, gpu.caps)) continue;
    await checkKernel(gpu, { spec, variant, dims, tunables: choice.tunables ?? {}, elem: dtype });
  }
  const got = await launcher.values(choice);
  const error = Math.max(...got.map((values, i) => worstError(values, wanted[i]).value));
  const allowed = 8 * (spec.tolerance[dtype] ?? spec.tolerance.f32); // as the benchmark allows at its sizes
  if (!(error <= allowed)) {
    throw new Error(`it differs from the oracle by ${error.toExponential(2)}`);
  }
}

/**
 * Tunes a kernel at one size: each variant with its defaults, then each tunable of the best one in turn.
 *
 * @param sizes sizes and scalars together, as in the spec's cases
 * @returns undefined where the adapter cannot run the kernel
 */
export async function tuneKernel(
  gpu: Gpu,
  spec: KernelSpec,
  sizes: Dims,
  { samples = 7, dtype = "f32", mustReach = 0.95 }: TuneOptions = {},
): Promise<Tuned | undefined> {
  const { dims, args } = splitCase(spec, sizes);
  const oracle = simplest(spec, dims, args, gpu.caps);
  if (!oracle) return undefined;
  const subject = { gpu, spec, dims, args, dtype };
  const launcher = new Launcher(subject);
  const wanted = await launcher.values({ variant: oracle.name });
  const first = spec.variants.find((v) => isSupported(v, dims, args, gpu.caps))!;
  const standard: TuningEntry = { variant: first.name, tunables: {} };
  const refused: string[] = [];
  let best = { variant: first, entry: standard, ratio: 1 }, tried = 0;
  const attempt = async (variant: KernelVariant, tunables: Readonly<Record<string, number>>) => {
    const entry = trimmed(variant, tunables);
    try {
      await requireRight(subject, launcher, variant, entry, wanted);
      const { ratio, won } = await race(subject, launcher, [entry, standard], samples);
      tried++;
      if (ratio < Math.min(mustReach, best.ratio) && won >= 0.75) best = { variant, entry, ratio };
    } catch (cause) {
      refused.push(`${entry.variant} ${JSON.stringify(tunables)}: ${cause}`);
    }
  };
  for (const variant of spec.variants) {
    if (variant !== first && isSupported(variant, dims, args, gpu.caps)) await attempt(variant, {});
  }
  for (const [name, values] of Object.entries(best.variant.tunables ?? {})) {
    const { variant, entry } = best;
    for (const value of values.slice(1)) {
      await attempt(variant, { ...entry.tunables, [name]: value });
    }
  }
  return {
    key: sizeClass(spec, dims),
    standard,
    best: best.entry,
    ratio: best.ratio,
    tried,
    refused,
  };
}
