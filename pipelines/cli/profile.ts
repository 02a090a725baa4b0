/**
 * `--profile`: where the time of a command goes. A folder takes `kernels.csv`, one row per kernel and variant, and `trace.json`, every
 * dispatch on a time line that Perfetto and Chrome's `about:tracing` draw, gaps included.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import type { Profile, ProfiledDispatch } from "../../engine/profile.ts";
import { measurePeaks, type Peaks } from "../../bench/peaks.ts";
import { runRecord } from "../run_record.ts";
import { beginOutput, type Output, RUN_RECORD } from "./output.ts";

/** What a kernel took in all. */
export interface ProfiledKernel {
  /** Kernel. */
  readonly kernel: string;
  /** Variant. */
  readonly variant: string;
  /** Storage type. */
  readonly dtype: string;
  /** Dispatches. */
  readonly calls: number;
  /** Milliseconds on the device; NaN where the adapter has no timestamps. */
  readonly ms: number;
  /** Share of the milliseconds of all kernels. */
  readonly share: number;
  /** 10⁹ floating-point operations per second. */
  readonly gflops: number;
  /** 10⁹ bytes per second. */
  readonly gbps: number;
  /** Share of the measured roofline: the time that arithmetic or memory alone would need, over the time taken. */
  readonly roofline: number;
}

/** Milliseconds that the roofline allows for one dispatch. */
const boundMs = ({ flops, bytes }: ProfiledDispatch, { gflops, gbps }: Peaks): number =>
  Math.max(flops / gflops, bytes / gbps) / 1e6;

/** Sums the dispatches of each kernel and variant, the longest first. */
export function kernelTable(
  rows: readonly ProfiledDispatch[],
  peaks: Peaks,
): ProfiledKernel[] {
  const groups = Map.groupBy(rows, ({ label, dtype }) => `${label} ${dtype}`);
  const sum = (of: readonly ProfiledDispatch[], value: (row: ProfiledDispatch) => number) =>
    of.reduce((total, row) => total + value(row), 0);
  const time = (row: ProfiledDispatch) => row.gpuMs ?? NaN;
  const total = sum(rows, time);
  return [...groups.values()].map((of) => {
    const { kernel, label, dtype } = of[0], ms = sum(of, time);
    return {
      kernel,
      variant: label,
      dtype,
      calls: of.length,
      ms,
      share: ms / total,
      gflops: sum(of, ({ flops }) => flops) / ms / 1e6,
      gbps: sum(of, ({ bytes }) => bytes) / ms / 1e6,
      roofline: sum(of, (row) => boundMs(row, peaks)) / ms,
    };
  }).sort((a, b) => b.ms - a.ms || b.calls - a.calls);
}

/** One event of the trace: a complete span, microseconds. */
function traceEvent(row: ProfiledDispatch, pid: number, peaks: Peaks): string {
  const { kernel, label, dims, args, dtype, flops, bytes, startMs = 0, gpuMs = 0 } = row;
  return JSON.stringify({
    name: label,
    cat: kernel,
    ph: "X",
    ts: 1e3 * startMs,
    dur: 1e3 * gpuMs,
    pid,
    tid: 0,
    args: {
      ...dims,
      ...args,
      dtype,
      flops,
      bytes,
      roofline: gpuMs > 0 ? Number((boundMs(row, peaks) / gpuMs).toFixed(3)) : undefined,
    },
  });
}

const columns = [
  "kernel",
  "variant",
  "dtype",
  "calls",
  "ms",
  "share",
  "gflops",
  "gbps",
  "roofline",
] as const;

const cell = (value: string | number) =>
  typeof value === "number" && !Number.isInteger(value) ? value.toPrecision(4) : `${value}`;

/** The value of the option `--profile`: watches the devices of a command and writes what was seen. */
export class CommandProfiler {
  readonly #folder: string;
  readonly #output: Output;
  readonly #started = new Date();
  readonly #watched: { readonly gpu: Gpu; readonly profile: Profile }[] = [];

  /**
   * Begins the folder.
   *
   * @throws {InputError} when it cannot be written
   */
  constructor(folder: string) {
    this.#folder = folder;
    this.#output = beginOutput(folder, { kind: "folder" });
  }

  /** How records of a run name it. */
  toJSON(): string {
    return this.#folder;
  }

  /** Times every dispatch of a device from now on. */
  watch(gpu: Gpu): void {
    this.#watched.push({ gpu, profile: gpu.startProfile() });
  }

  /**
   * Writes the folder and returns a text of a few lines.
   *
   * @param open opens the same adapter once more, for its roofline
   */
  async finish(open: () => Promise<Gpu>): Promise<string> {
    const wallMs = Date.now() - this.#started.getTime();
    const devices: ProfiledDispatch[][] = [];
    for (const { profile } of this.#watched) devices.push(await profile.stop());
    const rows = devices.flat(), gpu = this.#watched.at(0)?.gpu;
    const peaks = await peaksOf(rows.length > 0 ? open : undefined);
    const kernels = kernelTable(rows, peaks);
    const busyMs = kernels.reduce((sum, { ms }) => sum + ms, 0);
    const idleMs = devices.reduce((sum, of) => sum + spanMs(of), 0) - busyMs;
    const folder = this.#output.partial;
    writeTable(`${folder}/kernels.csv`, kernels);
    writeTrace(`${folder}/trace.json`, devices, peaks);
    const record = runRecord({
      command: "profile",
      options: {},
      inputs: {},
      gpu,
      started: this.#started,
      results: { wallMs, busyMs, idleMs, dispatches: rows.length, peaks },
    });
    Deno.writeTextFileSync(`${folder}/${RUN_RECORD}`, `${JSON.stringify(record, null, 2)}\n`);
    this.#output.commit();
    return summary(kernels, { wallMs, busyMs, idleMs, folder: this.#folder });
  }
}

/** Milliseconds from the first dispatch to the end of the last. */
function spanMs(rows: readonly ProfiledDispatch[]): number {
  const last = rows.at(-1);
  return last ? (last.startMs ?? NaN) + (last.gpuMs ?? NaN) : 0;
}

async function peaksOf(open?: () => Promise<Gpu>): Promise<Peaks> {
  if (!open) return { gflops: NaN, gbps: NaN, dispatchUs: NaN, recordUs: NaN };
  using gpu = await open();
  return await measurePeaks(gpu);
}

function writeTable(path: string, kernels: readonly ProfiledKernel[]): void {
  const lines = kernels.map((row) => columns.map((name) => cell(row[name])).join(","));
  Deno.writeTextFileSync(path, `${[columns.join(","), ...lines].join("\n")}\n`);
}

const EVENTS_AT_ONCE = 4096;

function writeTrace(
  path: string,
  devices: readonly (readonly ProfiledDispatch[])[],
  peaks: Peaks,
): void {
  using file = Deno.openSync(path, { write: true, create: true, truncate: true });
  const encoder = new TextEncoder();
  const put = (text: string) => {
    const bytes = encoder.encode(text);
    for (let at = 0; at < bytes.length;) at += file.writeSync(bytes.subarray(at));
  };
  put('{"displayTimeUnit":"ms","traceEvents":[');
  let comma = "";
  devices.forEach((rows, pid) => {
    for (let at = 0; at < rows.length; at += EVENTS_AT_ONCE) {
      const events = rows.slice(at, at + EVENTS_AT_ONCE).map((row) => traceEvent(row, pid, peaks));
      put(`${comma}\n${events.join(",\n")}`);
      comma = ",";
    }
  });
  put("\n]}\n");
}

const SHOWN = 12;
const seconds = (ms: number) => `${(ms / 1e3).toFixed(2)} s`;

function summary(
  kernels: readonly ProfiledKernel[],
  { wallMs, busyMs, idleMs, folder }: {
    readonly wallMs: number;
    readonly busyMs: number;
    readonly idleMs: number;
    readonly folder: string;
  },
): string {
  if (kernels.length === 0) return `profile: no kernel ran; ${folder}`;
  if (Number.isNaN(busyMs)) {
    return `profile: this adapter has no timestamps, kernels are counted only; ${folder}`;
  }
  const percent = (share: number) => `${(100 * share).toFixed(0)} %`.padStart(6);
  const lines = kernels.slice(0, SHOWN).map(({ variant, calls, ms, share, roofline }) =>
    `${variant.padEnd(34)}${`${calls}`.padStart(8)}${ms.toFixed(1).padStart(12)} ms ${
      percent(share)
    }${percent(roofline)}`
  );
  const rest = kernels.length > SHOWN ? [`… ${kernels.length - SHOWN} more in ${folder}`] : [];
  return [
    `${"kernel".padEnd(34)}${"calls".padStart(8)}${"time".padStart(15)}  share  roofline`,
    ...lines,
    ...rest,
    `kernels ${seconds(busyMs)} (${
      percent(busyMs / wallMs).trim()
    }), the device idle between them ${seconds(idleMs)}, the command ${
      seconds(wallMs)
    }; ${folder}/trace.json`,
  ].join("\n");
}
