/**
 * Runs a diffusion model over images, batch by batch, and keeps what is done.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { Gpu } from "../../engine/gpu.ts";
import { Tensor } from "../../engine/tensor.ts";
import type { DiffusionProcess } from "../diffusion/process.ts";
import { InputError } from "../errors.ts";
import { openArray, parseArrayRef } from "../io/array_ref.ts";
import { requireFinite } from "../io/checks.ts";
import { withFileErrors } from "../io/files.ts";
import { type HostTensor, hostTensor } from "../io/state_dict.ts";
import { type StepArrays, StepLog } from "../io/step_log.ts";
import { quote } from "../io/strict_json.ts";
import { type RunFacts, runRecord } from "../run_record.ts";
import { DiffuseFiles, isArrayFile } from "./diffuse_files.ts";
import type { DiffuseOptions } from "./diffuse_options.ts";
import { digestOfModel } from "./load_model.ts";
import type { LoadedUnet } from "./load_unet.ts";
import { beginOutput, letSignalsIn, RUN_RECORD, writeOutput } from "./output.ts";
import { Progress } from "./progress.ts";

/** Values with their shape. */
export interface HostValues {
  readonly data: Float32Array<ArrayBuffer>;
  readonly shape: readonly number[];
}

/**
 * Reads an array whole.
 *
 * @param axes what its axes are, for messages
 * @throws {InputError} when there is no such array, it has other axes, or a value is not finite
 */
export async function readValues(reference: string, axes: readonly string[]): Promise<HostValues> {
  using rows = await openArray(reference);
  const { shape } = rows;
  if (shape.length !== axes.length || shape.includes(0)) {
    throw new InputError(
      `Cannot use ${quote(reference)}: it must be [${axes.join(", ")}], it is [${shape}]`,
    );
  }
  const data = rows.readRows(0, shape[0]);
  requireFinite(data, { source: reference, columns: data.length / shape[0] });
  return { data, shape };
}

/** Images `start` to before `end` of an array. */
export function part({ data, shape }: HostValues, start: number, end: number): HostValues {
  const size = data.length / shape[0];
  return {
    data: data.slice(start * size, end * size),
    shape: [end - start, ...shape.slice(1)],
  };
}

/**
 * The context of `n` images.
 *
 * @throws {InputError} when the array is neither of one nor of n images
 */
export async function readContext(
  reference: string | undefined,
  n: number,
): Promise<HostValues | undefined> {
  if (reference === undefined) return undefined;
  using rows = await openArray(reference);
  const isOne = rows.shape.length === 2;
  const values = await readValues(
    reference,
    isOne ? ["tokens", "width"] : ["images", "tokens", "width"],
  );
  const one = isOne ? { ...values, shape: [1, ...values.shape] } : values;
  if (one.shape[0] === n) return one;
  if (one.shape[0] !== 1) {
    throw new InputError(
      `Cannot use ${quote(reference)}: it is of ${one.shape[0]} images, there are ${n}`,
    );
  }
  const { data, shape: [, ...shape] } = one, all = new Float32Array(n * data.length);
  for (let s = 0; s < n; s++) all.set(data, s * data.length);
  return { data: all, shape: [n, ...shape] };
}

/** Arrays of each image from those of all, `[n, …]`; of a trajectory `[steps][n, …]`. */
export function arraysOfEach(
  n: number,
  arrays: Readonly<Record<string, HostValues | readonly HostValues[]>>,
): StepArrays[] {
  return Array.from({ length: n }, (_, s) => {
    const own = Object.entries(arrays).map(([name, values]): [string, HostTensor] => {
      if (!Array.isArray(values)) {
        const { data, shape } = part(values as HostValues, s, s + 1);
        return [name, hostTensor(data, shape.slice(1))];
      }
      const steps = values.map((step: HostValues) => part(step, s, s + 1));
      const { data: { length }, shape: [, ...shape] } = steps[0];
      const all = new Float32Array(steps.length * length);
      steps.forEach(({ data }, k) => all.set(data, k * length));
      return [name, hostTensor(all, [steps.length, ...shape])];
    });
    return new Map(own);
  });
}

/** Images to make. */
export interface DiffuseJob {
  /** `diffuse sample` or `diffuse invert`. */
  readonly command: string;
  readonly gpu: Gpu;
  readonly loaded: LoadedUnet;
  readonly options: DiffuseOptions;
  readonly started: Date;
  readonly process: DiffusionProcess;
  /** Number of images. */
  readonly n: number;
  /** References that were read, by what they are. */
  readonly inputs: Readonly<Record<string, string | undefined>>;
  /** Whatever else images follow from, as JSON can hold it. */
  readonly facts: unknown;
  /** Shapes of an image's arrays; `trajectory` begins with its steps. */
  readonly shapes: Readonly<Record<string, readonly number[]>>;
  /** Arrays that are drawn too, with their folder. */
  readonly pictures: Readonly<Record<string, string>>;
  /** Makes the arrays of some images. */
  readonly make: (
    start: number,
    end: number,
    onStep: (done: number, total: number) => Promise<void>,
  ) => Promise<StepArrays[]>;
  /** Columns of the file, and numbers to report, when all are made. */
  readonly summary?: (all: readonly StepArrays[]) => Record<string, number[]>;
}

/** The checkpoint; it belongs to all that images follow from, but not to how many are made at a time. */
function openLog({ gpu, options, process, n, inputs, facts, command }: DiffuseJob) {
  const { checkpoint, out, config, seed } = options;
  if (checkpoint === undefined) return undefined;
  if (checkpoint === out) {
    throw new InputError(`Cannot keep the checkpoint in ${quote(out)}: the result goes there`);
  }
  const stamps = Object.entries(inputs).filter(([, reference]) => reference !== undefined)
    .map(([name, reference]) => {
      const { path, name: inner } = parseArrayRef(reference!);
      const { size, mtime } = withFileErrors("read", path, () => Deno.statSync(path));
      return [name, path.replace(/^.*\//s, ""), inner, size, mtime?.getTime()];
    });
  const part = options.ema ? "ema" : undefined;
  return new StepLog(checkpoint, {
    model: digestOfModel({ model: options.model, config, part }),
    inputs: stamps,
    options: { command, n, seed, process, facts, prefix: options.prefix },
    adapter: [gpu.adapterName, { ...gpu.caps, features: [...gpu.caps.features] }, gpu.options],
  });
}

/** A digest of values, for checkpoints. */
export function digestOf({ data, shape }: HostValues): string {
  return createHash("sha256").update(`${shape}`).update(data).digest("hex");
}

/** Makes all images, writes them and says what was found. */
export async function runDiffusion(job: DiffuseJob): Promise<void> {
  const { gpu, options, n, shapes, pictures } = job, isFolder = !isArrayFile(options.out);
  const batch = options.batch ?? (gpu.caps.isSoftware ? 1 : 8);
  const output = beginOutput(options.out, { kind: isFolder ? "folder" : "file" });
  const progress = new Progress({ silent: options.json });
  const kept: StepArrays[] = [];
  let columns: Record<string, number[]> = {};
  {
    using log = openLog(job);
    using files = await DiffuseFiles.create({
      ...{ partial: output.partial, isFolder, n, shapes, pictures },
    });
    const add = (arrays: StepArrays) => {
      files.add(arrays);
      // memory must not grow with what was written
      kept.push(new Map([...arrays].filter(([name]) => !(name in shapes))));
    };
    for (let s = 0; s < (log?.size ?? 0); s++) add(log!.read(s));
    for (let start = kept.length; start < n; start += batch) {
      const end = Math.min(n, start + batch);
      const made = await job.make(start, end, async (done, total) => {
        progress.update({
          stage: "steps",
          done: start * total + done * (end - start),
          total: n * total,
        });
        await letSignalsIn();
      });
      for (const arrays of made) {
        log?.append(arrays);
        add(arrays);
      }
    }
    progress.end();
    columns = job.summary?.(kept) ?? {};
    const timesteps = job.process.map(({ timestep }) => timestep);
    const { model, seed } = options;
    files.finish({ ...columns, timesteps }, { model, seed, command: job.command });
  }
  finish(job, { output, isFolder, results: { n, steps: job.process.length, ...columns } });
}

function finish(
  { command, gpu, options, started, inputs }: DiffuseJob,
  { output, isFolder, results }: {
    readonly output: ReturnType<typeof beginOutput>;
    readonly isFolder: boolean;
    readonly results: NonNullable<RunFacts["results"]>;
  },
): void {
  const given = Object.entries({ model: options.model, ...inputs })
    .filter((entry): entry is [string, string] => entry[1] !== undefined);
  const record = runRecord({
    ...{ command, options: { ...options }, gpu, started, results },
    inputs: Object.fromEntries(given),
  });
  const text = `${JSON.stringify(record, null, 2)}\n`;
  if (isFolder) Deno.writeTextFileSync(`${output.partial}/${RUN_RECORD}`, text);
  output.commit();
  if (!isFolder) writeOutput(`${options.out}.run.json`, text);
  if (options.json) return console.log(JSON.stringify({ out: options.out, ...results }));
  for (const [name, value] of Object.entries(results)) {
    const shown = Array.isArray(value) ? value.map((v) => v.toFixed(2)).join(" ") : value;
    console.log(`${name.padEnd(12)}${shown}`);
  }
  console.log(`${"written".padEnd(12)}${options.out}`);
}

/** Values of a tensor, which is disposed. */
export async function taken(tensor: Tensor): Promise<HostValues> {
  using own = tensor;
  return { data: Float32Array.from(await own.data()), shape: own.shape };
}

/** A tensor of values. */
export function placed(gpu: Gpu, { data, shape }: HostValues): Tensor {
  return Tensor.from(gpu, data, shape);
}
