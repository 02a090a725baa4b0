/**
 * The buffer pool. Sizes are powers of two up to 64 MiB and exact above; a released buffer returns to the pool when the work
 * that may still read it has been submitted, never before. Nothing else in the engine calls `destroy()`.
 *
 * @module
 */
import { DeviceError, UnsupportedError } from "./errors.ts";

const MIN_BYTES = 256;
const MAX_BUCKET = 64 * 2 ** 20;
const USAGE = 0x80 | 0x04 | 0x08; // STORAGE | COPY_SRC | COPY_DST

/** A pooled buffer with an identity that bind-group keys can use. */
export interface PoolBuffer {
  /** The WebGPU buffer. */
  readonly raw: GPUBuffer;
  /** Never reused, unlike the object. */
  readonly id: number;
  /** Bytes of `raw`. */
  readonly bytes: number;
}

/** Bytes that the pool allocates for a request. */
export function bucketBytes(bytes: number): number {
  if (bytes > MAX_BUCKET) return Math.ceil(bytes / MIN_BYTES) * MIN_BYTES;
  return Math.max(MIN_BYTES, 2 ** Math.ceil(Math.log2(Math.max(1, bytes))));
}

// WebGPU does not say how much memory there is: beyond this no free buffer is kept, so that work that fits a device of 8 GB runs on it.
const KEPT_BYTES = 5 * 2 ** 30;

/** Owns every storage buffer of a device. */
export class BufferPool {
  readonly #create: (descriptor: GPUBufferDescriptor) => GPUBuffer;
  readonly #maxBytes: number;
  readonly #budget: number;
  readonly #onDestroy: () => void;
  readonly #onPressure: () => void;
  readonly #free = new Map<number, PoolBuffer[]>();
  #pending: PoolBuffer[] = [];
  #nextId = 1;
  /** Bytes held on the device, in use or free. */
  heldBytes = 0;

  /** A pool that makes buffers with `create`, refusing buffers above `maxBytes` and totals above `budget`. */
  constructor(
    options: {
      readonly create: (descriptor: GPUBufferDescriptor) => GPUBuffer;
      readonly maxBytes: number;
      readonly budget: number;
      readonly onDestroy: () => void;
      /** Submits what is recorded, so that released buffers become free. */
      readonly onPressure: () => void;
    },
  ) {
    this.#create = options.create;
    this.#maxBytes = options.maxBytes;
    this.#budget = options.budget;
    this.#onDestroy = options.onDestroy;
    this.#onPressure = options.onPressure;
  }

  /**
   * A buffer of at least `bytes`; its content is undefined.
   *
   * @throws {UnsupportedError} above the adapter's buffer limit.
   * @throws {DeviceError} above the memory budget.
   */
  acquire(bytes: number): PoolBuffer {
    const size = Math.ceil(bucketBytes(bytes));
    const reused = this.#free.get(size)?.pop();
    if (reused) return reused;
    if (!(size <= this.#maxBytes)) {
      throw new UnsupportedError(
        `Cannot allocate a buffer: the adapter allows ${this.#maxBytes} bytes, needs ${bytes}`,
      );
    }
    if (this.heldBytes + size > Math.min(this.#budget, KEPT_BYTES)) {
      this.#onPressure();
      this.trim();
    }
    if (this.heldBytes + size > this.#budget) {
      throw new DeviceError(
        `Cannot allocate a buffer: the memory budget is ${this.#budget} bytes, ${this.heldBytes} are in use, needs ${size} more`,
      );
    }
    const raw = this.#create({ size, usage: USAGE });
    this.heldBytes += size;
    return { raw, id: this.#nextId++, bytes: size };
  }

  /** Gives a buffer back; it is reused after the next {@link submitted}. */
  release(buffer: PoolBuffer): void {
    this.#pending.push(buffer);
  }

  /**
   * Tells the pool that all recorded work has been submitted. Of free buffers the oldest is taken first: a step that is repeated then
   * finds the buffers of the step before in the same places, and with them its bind groups, which cost more to make than all else.
   */
  submitted(): void {
    const changed = new Set<PoolBuffer[]>();
    for (const buffer of this.#pending) {
      let list = this.#free.get(buffer.bytes);
      if (!list) this.#free.set(buffer.bytes, list = []);
      list.push(buffer);
      changed.add(list);
    }
    for (const list of changed) list.sort((a, b) => b.id - a.id);
    this.#pending = [];
  }

  /** Destroys the free buffers. */
  trim(): void {
    for (const list of this.#free.values()) {
      for (const buffer of list) {
        this.heldBytes -= buffer.bytes;
        buffer.raw.destroy();
      }
    }
    this.#free.clear();
    this.#onDestroy();
  }
}
