/**
 * GPU timestamps around every dispatch of a profiled stretch, however long it is: each submit resolves its own timestamps into a
 * buffer that is read once, at the end, so that watching adds no wait.
 *
 * @module
 */
import type { Args, Dims } from "../shaders/kernel.ts";

/** What a dispatch computed. */
export interface DispatchWork {
  /** Kernel. */
  readonly kernel: string;
  /** Sizes. */
  readonly dims: Dims;
  /** Scalars. */
  readonly args: Args;
  /** Storage type. */
  readonly dtype: string;
  /** Floating-point operations, by the kernel's formula. */
  readonly flops: number;
  /** Bytes that it must move, by the kernel's formula. */
  readonly bytes: number;
}

/** One dispatch of a profiled stretch. */
export interface ProfiledDispatch extends DispatchWork {
  /** Variant that ran. */
  readonly label: string;
  /** Milliseconds from the beginning of the first dispatch to that of this one; undefined where the adapter has no timestamps. */
  readonly startMs?: number;
  /** Its own milliseconds; undefined where the adapter has no timestamps. */
  readonly gpuMs?: number;
}

/** A profiled stretch that is under way. */
export interface Profile {
  /**
   * Ends the stretch, which disposing the `Gpu` does as well, and waits for its timestamps.
   *
   * Ticks are taken as nanoseconds, which wgpu on AMD and Intel may not honour; Dawn rounds them to 65 µs unless told otherwise.
   *
   * @returns one row per dispatch, in order
   */
  stop(): Promise<ProfiledDispatch[]>;
}

interface Resolved {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly count: number;
}

const CHUNK_BYTES = 2 ** 20;
const ALIGNMENT = 256; // of the target of resolveQuerySet

/** Collects the work and the timestamps of passes. */
export class Timeline {
  readonly #device: GPUDevice;
  readonly #queries?: GPUQuerySet;
  readonly #work: (DispatchWork & { readonly label: string })[] = [];
  readonly #resolved: Resolved[] = [];
  #open = 0; // passes since the last resolve
  #used = CHUNK_BYTES; // bytes of the last chunk

  /**
   * A timeline on `device`.
   *
   * @param passes most passes between two resolves; 0 collects no timestamps
   */
  constructor(device: GPUDevice, passes: number) {
    this.#device = device;
    if (passes > 0) {
      this.#queries = device.createQuerySet({ type: "timestamp", count: 2 * passes });
    }
  }

  /** Descriptor of the next pass. */
  next(label: string, work: DispatchWork): GPUComputePassDescriptor {
    this.#work.push({ ...work, label });
    const querySet = this.#queries;
    if (!querySet) return {};
    const i = this.#open++;
    return {
      timestampWrites: {
        querySet,
        beginningOfPassWriteIndex: 2 * i,
        endOfPassWriteIndex: 2 * i + 1,
      },
    };
  }

  /** Keeps the timestamps of the passes so far; called before the list that holds them ends. */
  resolve(encoder: GPUCommandEncoder): void {
    const count = this.#open;
    if (!this.#queries || count === 0) return;
    const bytes = Math.ceil(16 * count / ALIGNMENT) * ALIGNMENT;
    let buffer = this.#resolved.at(-1)?.buffer;
    if (!buffer || this.#used + bytes > CHUNK_BYTES) {
      buffer = this.#device.createBuffer({ size: CHUNK_BYTES, usage: 0x200 | 0x04 }); // QUERY_RESOLVE | COPY_SRC
      this.#used = 0;
    }
    encoder.resolveQuerySet(this.#queries, 0, 2 * count, buffer, this.#used);
    this.#resolved.push({ buffer, offset: this.#used, count });
    this.#used += bytes;
    this.#open = 0;
  }

  /**
   * The passes with their times.
   *
   * @param start makes the call that is waited for (see `backends.ts`)
   */
  async rows(start: <T>(call: () => T) => T): Promise<ProfiledDispatch[]> {
    const rows: ProfiledDispatch[] = [];
    let first: bigint | undefined;
    const buffers = new Set(this.#resolved.map(({ buffer }) => buffer));
    for (const buffer of buffers) {
      const ticks = await this.#read(buffer, start);
      for (const part of this.#resolved.filter((r) => r.buffer === buffer)) {
        for (let i = 0, at = part.offset / 8; i < part.count; i++, at += 2) {
          first ??= ticks[at];
          const startMs = Number(ticks[at] - first) / 1e6;
          const gpuMs = Number(ticks[at + 1] - ticks[at]) / 1e6;
          rows.push({ ...this.#work[rows.length], startMs, gpuMs });
        }
      }
    }
    this.destroy();
    return rows.length > 0 ? rows : [...this.#work];
  }

  async #read(buffer: GPUBuffer, start: <T>(call: () => T) => T): Promise<BigUint64Array> {
    const staging = this.#device.createBuffer({ size: CHUNK_BYTES, usage: 0x01 | 0x08 }); // MAP_READ | COPY_DST
    try {
      const encoder = this.#device.createCommandEncoder();
      encoder.copyBufferToBuffer(buffer, 0, staging, 0, CHUNK_BYTES);
      this.#device.queue.submit([encoder.finish()]);
      await start(() => staging.mapAsync(1));
      return new BigUint64Array(staging.getMappedRange().slice(0));
    } finally {
      staging.destroy();
    }
  }

  /** Frees what holds the timestamps. */
  destroy(): void {
    for (const { buffer } of this.#resolved) buffer.destroy();
    this.#queries?.destroy();
  }
}
