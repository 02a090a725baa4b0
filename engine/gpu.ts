/**
 * A `Gpu` is a device with its pool of buffers, its caches and one open command list. Ops record into the list; it is submitted
 * after 64 dispatches, before a read, or on demand. There is no global: every op finds its `Gpu` in its tensors.
 *
 * @module
 */
import { type BackendName, describe, openDevice, type OpenedDevice } from "./backends.ts";
import { readMapped, stagingBuffer } from "./backends.ts";
import { bucketBytes, BufferPool } from "./buffers.ts";
import { DeviceError, DisposedError, KernelError } from "./errors.ts";
import { type Binding, type Dispatch, MAX_RECORDED, Recorder } from "./recorder.ts";
import { type Profile, type ProfiledDispatch, Timeline } from "./profile.ts";
import type { Caps, Constants } from "../shaders/kernel.ts";

/** One entry of a tuning table: the variant and tunables to use. */
export interface TuningEntry {
  /** Name of the variant. */
  readonly variant?: string;
  /** Values of its tunables. */
  readonly tunables?: Constants;
}

/** Choices by `kernel` or `kernel/dims` for one adapter (see `select.ts`). */
export type TuningTable = Readonly<Record<string, TuningEntry>>;

/** Options of {@link Gpu.open} and {@link Gpu.from}. */
export interface GpuOptions {
  /** `"naive"` turns all optimisation off: the last variant of every kernel, untuned. */
  readonly kernels?: "auto" | "naive";
  /** Tuning table, or what gives the one of the adapter that was found, by its name. */
  readonly tuning?: TuningTable | ((adapterName: string) => TuningTable | undefined);
  /** 1 device and compiles, 2 one line per kernel, 3 selection reasons, 4 composed WGSL. */
  readonly trace?: 0 | 1 | 2 | 3 | 4;
  /** Receives the trace lines. */
  readonly log?: (line: string) => void;
  /** Wraps every dispatch in an error scope of its own, so that an error names the exact one. */
  readonly validate?: boolean;
  /** Bytes that the pool may hold; a CPU driver never refuses memory that the system does not have. */
  readonly memoryBudget?: number;
  /** Capabilities to pretend, e.g. smaller limits. */
  readonly limits?: Partial<Caps>;
}

/** Options of {@link Gpu.open}. */
export interface OpenOptions extends GpuOptions {
  /** Deno's own WebGPU (default), or Dawn through the npm package `webgpu`. */
  readonly backend?: BackendName;
  /** Part of the adapter's description to insist on. */
  readonly adapter?: string;
  /** Features not to use, e.g. `["subgroups"]`. */
  readonly without?: readonly string[];
}

// writeBuffer keeps a staging copy until the next submit: uploads are flushed before they pile up.
const MAX_UPLOADED = 64 * 2 ** 20;
const SOFTWARE_BUDGET = 8 * 2 ** 30;

/** A WebGPU device with everything the engine keeps for it. */
export class Gpu implements Disposable {
  /** The device; borrowed where it came through {@link Gpu.from}. */
  readonly device: GPUDevice;
  /** Driver's description of the adapter. */
  readonly adapterName: string;
  /** What the adapter can do. */
  readonly caps: Caps;
  /** Options in force. */
  readonly options: GpuOptions;
  /** Tuning table in force. */
  readonly tuning?: TuningTable;
  /** Every storage buffer of the device. @internal */
  readonly pool: BufferPool;
  /** `enable` lines by feature. @internal */
  readonly enables: ReadonlyMap<string, string>;
  /** Compiled kernels by choice. @internal */
  readonly kernelCache: Map<string, unknown> = new Map();
  /** Open `tidy` scopes, innermost last. @internal */
  readonly scopes: Set<Disposable>[] = [];
  /** Bytes of live tensors. 0 when everything was disposed. */
  liveBytes = 0;
  /** Dispatches recorded since the device was opened. */
  dispatchCount = 0;
  readonly #owned: boolean;
  readonly #opened: OpenedDevice;
  readonly #recorder: Recorder;
  readonly #checks = new Set<Promise<void>>();
  readonly #profiles = new Set<Timeline>();
  #staging?: { buffer: GPUBuffer; bytes: number };
  #error?: Error;
  #lost?: DeviceError;
  #disposed = false;
  #uploaded = 0;

  private constructor(opened: OpenedDevice, options: GpuOptions, owned: boolean) {
    this.device = opened.device;
    this.adapterName = opened.adapterName;
    this.caps = { ...opened.caps, ...options.limits };
    this.enables = opened.enables;
    this.options = options;
    const { tuning } = options;
    this.tuning = typeof tuning === "function" ? tuning(opened.adapterName) : tuning;
    this.#owned = owned;
    this.#opened = opened;
    this.pool = new BufferPool({
      maxBytes: this.caps.maxBufferBytes,
      budget: options.memoryBudget ?? (this.caps.isSoftware ? SOFTWARE_BUDGET : Infinity),
      create: (descriptor) =>
        this.guarded(
          `allocate ${descriptor.size} bytes`,
          () => this.device.createBuffer(descriptor),
        ),
      onDestroy: () => this.#recorder.forgetBindGroups(),
      onPressure: () => this.submit(),
    });
    this.#recorder = new Recorder(this.device);
    this.device.addEventListener("uncapturederror", this.#onError);
    this.device.lost.then((info) => {
      if (this.#disposed) return;
      const why = `the device was lost (${info.reason}): ${info.message}`;
      this.#lost = new DeviceError(`Cannot use this Gpu: ${why}`);
    });
    this.trace(1, () => `device ${this.adapterName}: ${[...this.caps.features].join(" ")}`);
  }

  /**
   * Opens the best adapter of this machine.
   *
   * @throws {UnsupportedError} when there is no adapter.
   *
   * @example
   * ```ts
   * import { Gpu, Tensor } from "@gyrus/gyrus";
   * using gpu = await Gpu.open();
   * using x = Tensor.from(gpu, [1, 2, 3]);
   * console.log(await x.data());
   * ```
   */
  static async open(options: OpenOptions = {}): Promise<Gpu> {
    const { backend = "deno", without = [], adapter } = options;
    return new Gpu(await openDevice({ backend, without, adapter }), options, true);
  }

  /**
   * Uses a device that someone else opened. It is borrowed: disposing the `Gpu` frees the engine's buffers and leaves the
   * device alone. Only features that `device.features` lists are used, plus the ones named in `features`.
   */
  static from(
    device: GPUDevice,
    options: GpuOptions & { readonly features?: readonly string[] } = {},
  ): Gpu {
    return new Gpu(describe(device, { features: options.features }), options, false);
  }

  /** Writes a trace line when the level is on. @internal */
  trace(level: number, line: () => string): void {
    if ((this.options.trace ?? 0) >= level) this.options.log?.(line());
  }

  readonly #onError = (event: Event) => {
    const error = (event as Event & { error?: GPUError }).error;
    this.#fail(new KernelError(`The device reported: ${error?.message ?? "unknown error"}`));
  };

  #fail(error: Error): void {
    this.#error ??= error;
  }

  /**
   * Throws the first asynchronous error, once; the loss of the device every time, as it explains the others.
   *
   * @internal
   */
  throwPending(): void {
    if (this.#lost) throw this.#lost;
    const error = this.#error;
    this.#error = undefined;
    if (error) throw error;
  }

  /**
   * Throws when this `Gpu` was disposed, or its device lost.
   *
   * @throws {DisposedError} after disposal.
   * @throws {DeviceError} after the loss.
   *
   * @internal
   */
  assertOpen(): void {
    if (this.#disposed) throw new DisposedError("Cannot use this Gpu: it was disposed");
    if (this.#lost) throw this.#lost;
  }

  /** Runs `work` in an error scope; what goes wrong is thrown by the next `await`. @internal */
  guarded<T>(label: string, work: () => T): T {
    this.device.pushErrorScope("validation");
    this.device.pushErrorScope("out-of-memory");
    try {
      return work();
    } finally {
      for (const kind of [DeviceError, KernelError]) {
        const popped = this.#opened.start(() => this.device.popErrorScope());
        const check: Promise<void> = popped.then((error) => {
          this.#checks.delete(check);
          if (error) this.#fail(new kind(`Cannot run "${label}": ${error.message}`));
        }, () => {
          this.#checks.delete(check); // a lost device, which `lost` reports
        });
        this.#checks.add(check);
      }
    }
  }

  /** Appends a dispatch to the open pass. @internal */
  record(dispatch: Dispatch): void {
    this.assertOpen();
    if (dispatch.groups.some((n) => n === 0)) return;
    this.#recorder.dispatch(dispatch);
    this.dispatchCount++;
    if (this.#recorder.labels.length === MAX_RECORDED || this.options.validate) this.submit();
  }

  /** Copies bytes between buffers after the work recorded so far. @internal */
  copy(source: Binding, target: Binding): void {
    this.assertOpen();
    this.#recorder.copy(source, target.buffer.raw, target.offset);
  }

  /**
   * Writes host bytes to a buffer. Deno aborts the process on ranges that the standard merely refuses, so they are checked here.
   *
   * @internal
   */
  upload(target: Binding, bytes: Uint8Array<ArrayBuffer>): void {
    this.assertOpen();
    if (bytes.byteLength === 0) return;
    if (bytes.byteLength > target.bytes || bytes.buffer.detached) {
      throw new RangeError(
        `Cannot upload ${bytes.byteLength} bytes: the buffer holds ${target.bytes}`,
      );
    }
    const whole = bytes.byteLength & ~3;
    const { raw } = target.buffer;
    if (whole > 0) this.device.queue.writeBuffer(raw, target.offset, bytes, 0, whole);
    if (whole < bytes.byteLength) {
      const tail = new Uint8Array(4);
      tail.set(bytes.subarray(whole));
      this.device.queue.writeBuffer(raw, target.offset + whole, tail, 0, 4);
    }
    this.#uploaded += bytes.byteLength;
    if (this.#uploaded > MAX_UPLOADED) this.submit();
  }

  /** Sends the recorded work to the device. Returns at once. */
  submit(): void {
    this.assertOpen();
    this.guarded(this.#summary(), () => this.#recorder.submit());
    this.#uploaded = 0;
    this.pool.submitted();
  }

  #summary(): string {
    return [...new Set(this.#recorder.labels)].join(", ") || "a copy";
  }

  /**
   * Copies ranges to the host in one combined read.
   *
   * @throws {KernelError | DeviceError} the first asynchronous error of the work so far.
   *
   * @internal
   */
  async read(ranges: readonly Binding[]): Promise<ArrayBuffer> {
    this.assertOpen();
    const wanted = ranges.reduce((sum, r) => sum + Math.ceil(r.bytes / 4) * 4, 0);
    const label = this.#summary();
    let staging: { buffer: GPUBuffer; bytes: number } | undefined;
    let data: ArrayBuffer;
    try {
      staging = this.#takeStaging(Math.max(4, wanted));
      let total = 0;
      for (const range of ranges) {
        this.#recorder.copy(range, staging.buffer, total);
        total += Math.ceil(range.bytes / 4) * 4;
      }
      this.submit();
      data = await readMapped(staging.buffer, Math.max(4, total), this.#opened);
    } catch (cause) {
      staging?.buffer.destroy();
      await this.settled();
      throw new DeviceError(`Cannot read back the results of ${label}: ${cause}`, { cause });
    }
    if (this.#staging) staging.buffer.destroy();
    else this.#staging = staging;
    await this.settled();
    return data;
  }

  // Reads that overlap each take a buffer of their own; the last one put back is kept.
  #takeStaging(bytes: number): { buffer: GPUBuffer; bytes: number } {
    const kept = this.#staging;
    this.#staging = undefined;
    if (kept && kept.bytes >= bytes) return kept;
    kept?.buffer.destroy();
    const size = bucketBytes(bytes);
    return { buffer: stagingBuffer(this.device, size), bytes: size };
  }

  /** Waits for the outcome of every check so far and throws the first error. @internal */
  async settled(): Promise<void> {
    await Promise.all([...this.#checks]);
    this.throwPending();
  }

  /** Waits until all work is done. A benchmark needs it; an algorithm that reads its result does not. */
  async sync(): Promise<void> {
    this.submit();
    const { synchronousMap, start } = this.#opened;
    if (synchronousMap) await this.read([]);
    else await start(() => this.device.queue.onSubmittedWorkDone());
    await this.settled();
  }

  /**
   * Times every dispatch from now on, until the profile is stopped. One that begins within another takes its dispatches from it.
   * Disposing the `Gpu` ends the stretch and leaves its rows to be asked for.
   */
  startProfile(): Profile {
    this.submit();
    const outer = this.#recorder.timeline;
    const passes = this.caps.features.has("timestamp-query") ? MAX_RECORDED : 0;
    const timeline = new Timeline(this.device, passes);
    this.#recorder.timeline = timeline;
    this.#profiles.add(timeline);
    return {
      stop: async () => {
        if (this.#recorder.timeline === timeline) {
          if (!this.#disposed) this.submit();
          this.#recorder.timeline = outer;
        }
        const rows = await timeline.rows(this.#opened.start);
        this.#profiles.delete(timeline);
        if (this.#disposed) this.#destroyDevice();
        return rows;
      },
    };
  }

  /**
   * Runs `work` with a timestamp pair around every dispatch.
   *
   * @returns one row per dispatch in order, without times where the adapter has no timestamps.
   */
  async profile(work: () => void): Promise<ProfiledDispatch[]> {
    const profile = this.startProfile();
    try {
      work();
    } catch (cause) {
      await profile.stop();
      throw cause;
    }
    return await profile.stop();
  }

  /** Frees the engine's buffers, and the device where it was opened here. */
  [Symbol.dispose](): void {
    if (this.#disposed) return;
    if (!this.#lost) this.submit();
    this.#disposed = true;
    this.device.removeEventListener("uncapturederror", this.#onError);
    this.pool.trim();
    this.#recorder.destroy();
    this.#staging?.buffer.destroy();
    this.#destroyDevice();
  }

  /** Not while the timestamps of a profile are on it. */
  #destroyDevice(): void {
    if (this.#owned && this.#profiles.size === 0) this.device.destroy();
  }
}
