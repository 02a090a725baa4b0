/**
 * Tensors: handles on contiguous device memory. Several handles may share one storage, which is counted. The creator owns a
 * handle and ops never consume their inputs. Three owners, no fourth: a `using` binding, a `tidy` scope, or an object that is
 * itself `Disposable`.
 *
 * @module
 */
import type { PoolBuffer } from "./buffers.ts";
import { DisposedError, ShapeError, UnsupportedError } from "./errors.ts";
import type { Gpu } from "./gpu.ts";
import type { Binding } from "./recorder.ts";
import type { Key } from "./random.ts";
import { run } from "./run.ts"; // which imports this file in turn: both use the other in functions only
import { decodeF16, encodeF16 } from "./half.ts";
import type { TapeNode } from "./tape.ts";
import { type KernelSpec, sizeOf } from "../shaders/kernel.ts";
import {
  randomBitsKernel,
  randomNormalKernel,
  randomUniformKernel,
} from "../shaders/random/random.ts";

/** Storage type of a tensor. */
export type DType = "f32" | "f16" | "f64" | "u32" | "i32";

/** What {@link Tensor.data} returns for each storage type: f16 is widened, f64 is a Float64Array. */
export type HostData =
  | Float32Array<ArrayBuffer>
  | Float64Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>;

/** Bytes of one value. */
export function dtypeBytes(dtype: DType): number {
  return dtype === "f16" ? 2 : dtype === "f64" ? 8 : 4;
}

/** The storage type of what is computed from a tensor: its own where that is a float, f32 otherwise. @internal */
export function floatType({ dtype }: Tensor): "f32" | "f16" | "f64" {
  return dtype === "f16" || dtype === "f64" ? dtype : "f32";
}

/** The feature that a storage type needs, if any. @internal */
export const dtypeFeatures: { readonly [dtype in DType]?: string } = {
  f16: "shader-f16",
  f64: "shader-f64",
};

/** Counted device memory. */
export interface Storage {
  /** The buffer. */
  readonly buffer: PoolBuffer;
  /** Bytes that count as live. */
  readonly bytes: number;
  /** True where someone else owns the buffer. */
  readonly borrowed: boolean;
  /** Handles on it. */
  handles: number;
}

/** A handle on contiguous device memory with a shape and a storage type. */
export class Tensor implements Disposable {
  /** The device it lives on. */
  readonly gpu: Gpu;
  /** Sizes of the axes, outermost first. */
  readonly shape: readonly number[];
  /** Storage type. */
  readonly dtype: DType;
  /** Number of values. */
  readonly size: number;
  /** Its place on a tape, or undefined. @internal */
  node?: TapeNode;
  readonly #storage: Storage;
  readonly #offset: number;
  #disposed = false;

  /** @internal Use {@link Tensor.from}, {@link Tensor.zeros} or an op. */
  constructor(
    gpu: Gpu,
    storage: Storage,
    at: { offset: number; shape: readonly number[]; dtype: DType },
  ) {
    this.gpu = gpu;
    this.shape = at.shape;
    this.dtype = at.dtype;
    this.size = sizeOf(at.shape);
    this.#storage = storage;
    this.#offset = at.offset;
    storage.handles++;
    gpu.scopes.at(-1)?.add(this);
  }

  /**
   * A tensor with these values; the shape defaults to one axis. Integer arrays keep their type, all else becomes f32; f16 and f64 are
   * asked for by `dtype`.
   *
   * @throws {ShapeError} when the shape does not hold as many values.
   * @throws {UnsupportedError} for f16 or f64 on an adapter without the feature `shader-f16` or `shader-f64`.
   */
  static from(
    gpu: Gpu,
    values: ArrayLike<number>,
    shape: readonly number[] = [values.length],
    { dtype = dtypeOf(values) }: { dtype?: DType } = {},
  ): Tensor {
    checkShape(shape);
    if (sizeOf(shape) !== values.length) {
      throw new ShapeError(
        `Cannot make a tensor [${shape}]: it holds ${sizeOf(shape)} values, got ${values.length}`,
      );
    }
    const host = toBytes(values, dtype);
    const tensor = allocate(gpu, shape, dtype);
    gpu.upload(tensor.binding(), host);
    return tensor;
  }

  /** A tensor of zeros. */
  static zeros(
    gpu: Gpu,
    shape: readonly number[],
    { dtype = "f32" }: { dtype?: DType } = {},
  ): Tensor {
    checkShape(shape);
    return Tensor.from(gpu, new Float32Array(sizeOf(shape)), shape, { dtype });
  }

  /** A tensor of 32 random bits per value, the same as `randomBits(key, n)` on the host. */
  static bits(gpu: Gpu, key: Key, shape: readonly number[]): Tensor {
    return drawn(gpu, randomBitsKernel, key, shape);
  }

  /** A tensor of values uniform in [0, 1), the same as `uniform(key, n)` on the host. */
  static uniform(gpu: Gpu, key: Key, shape: readonly number[]): Tensor {
    return drawn(gpu, randomUniformKernel, key, shape);
  }

  /** A tensor of standard normals, those of `normal(key, n)` on the host to rounding (`log` differs by adapter). */
  static randn(gpu: Gpu, key: Key, shape: readonly number[]): Tensor {
    return drawn(gpu, randomNormalKernel, key, shape);
  }

  /**
   * A tensor on a buffer that someone else owns; disposing the tensor leaves the buffer alone. The buffer needs the usages
   * STORAGE, and COPY_SRC to be read. Kernels read and write whole vec4s, so it must reach to a multiple of 16 bytes (32 for f64) after the tensor.
   *
   * @throws {ShapeError} when the buffer is too small or `offset` (in bytes) is not aligned.
   * @throws {UnsupportedError} for f16 or f64 on an adapter without the feature `shader-f16` or `shader-f64`.
   */
  static borrow(
    gpu: Gpu,
    raw: GPUBuffer,
    shape: readonly number[],
    { dtype = "f32", offset = 0 }: { dtype?: DType; offset?: number } = {},
  ): Tensor {
    checkShape(shape);
    checkStorage(gpu, dtype);
    const bytes = sizeOf(shape) * dtypeBytes(dtype);
    if (offset + bytes > raw.size) {
      throw new ShapeError(
        `Cannot borrow a buffer as [${shape}] ${dtype}: it needs ${
          offset + bytes
        } bytes, has ${raw.size}`,
      );
    }
    const buffer = { raw, id: borrowedId(raw), bytes: raw.size };
    return new Tensor(gpu, { buffer, bytes: 0, borrowed: true, handles: 0 }, {
      offset,
      shape,
      dtype,
    });
  }

  /** True once disposed. */
  get isDisposed(): boolean {
    return this.#disposed;
  }

  /**
   * The bytes a kernel binds: the tensor, rounded up to whole vec4s where the buffer reaches that far.
   *
   * @throws {DisposedError} after disposal.
   *
   * @internal
   */
  binding(): Binding {
    if (this.#disposed) {
      throw new DisposedError(`Cannot use a tensor [${this.shape}] ${this.dtype}: it was disposed`);
    }
    const { buffer } = this.#storage;
    const four = Math.max(16, 4 * dtypeBytes(this.dtype));
    const bytes = Math.max(1, Math.ceil(this.size * dtypeBytes(this.dtype) / four)) * four;
    return { buffer, offset: this.#offset, bytes: Math.min(bytes, buffer.bytes - this.#offset) };
  }

  /** Another handle on the same memory, off any tape; `dtype` reads the bits as another type of the same width. @internal */
  alias(shape: readonly number[] = this.shape, start = 0, dtype: DType = this.dtype): Tensor {
    this.binding();
    const offset = this.#offset + start * dtypeBytes(this.dtype);
    return new Tensor(this.gpu, this.#storage, { offset, shape, dtype });
  }

  /**
   * The same values in another shape; one axis may be −1. Shares memory.
   *
   * @throws {ShapeError} when the sizes differ.
   */
  reshape(shape: readonly number[]): Tensor {
    const known = shape.reduce((p, n) => (n === -1 ? p : p * n), 1);
    const to = shape.map((n) => (n === -1 ? this.size / known : n));
    if (sizeOf(to) !== this.size || !to.every((n) => Number.isInteger(n) && n >= 0)) {
      throw new ShapeError(
        `Cannot reshape [${this.shape}] to [${shape}]: ${this.size} values, needs ${known}`,
      );
    }
    const out = this.alias(to);
    const from = this.shape;
    return this.node?.tape.add(out, [this], [], (g) => [() => g.reshape(from)]) ?? out;
  }

  /** A handle off the tape: gradients stop here. */
  detach(): Tensor {
    return this.alias();
  }

  /**
   * The values on the host, row-major; f16 is widened to f32. Waits for the work recorded so far.
   *
   * @throws {KernelError | DeviceError} the first asynchronous error of that work.
   */
  async data(): Promise<HostData> {
    const [values] = await readAll([this]);
    return values;
  }

  /**
   * The one value of a tensor of size 1.
   *
   * @throws {ShapeError} for any other size.
   */
  async item(): Promise<number> {
    if (this.size !== 1) {
      throw new ShapeError(`Cannot take one value of [${this.shape}]: it has ${this.size}`);
    }
    return (await this.data())[0];
  }

  /** Gives the handle up; the memory returns to the pool with the last handle. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.gpu.scopes.at(-1)?.delete(this);
    this.node = undefined;
    const storage = this.#storage;
    if (--storage.handles > 0 || storage.borrowed) return;
    this.gpu.liveBytes -= storage.bytes;
    this.gpu.pool.release(storage.buffer);
  }

  /** Same as {@link dispose}, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

function drawn(gpu: Gpu, spec: KernelSpec, key: Key, shape: readonly number[]): Tensor {
  checkShape(shape);
  const dims = { n: sizeOf(shape) };
  return run(spec, [], { gpu, dims, args: { hi: key.hi, lo: key.lo }, shapes: { y: shape } })[0];
}

let nextBorrowed = -1;
const borrowedIds = new WeakMap<GPUBuffer, number>();

// Bind groups are cached by buffer identity: a borrowed buffer keeps one for as long as it lives.
function borrowedId(raw: GPUBuffer): number {
  const known = borrowedIds.get(raw) ?? nextBorrowed--;
  borrowedIds.set(raw, known);
  return known;
}

/** A tensor with undefined content. @internal */
export function allocate(gpu: Gpu, shape: readonly number[], dtype: DType): Tensor {
  gpu.assertOpen();
  checkStorage(gpu, dtype);
  const bytes = sizeOf(shape) * dtypeBytes(dtype);
  const buffer = gpu.pool.acquire(bytes);
  gpu.liveBytes += bytes;
  return new Tensor(gpu, { buffer, bytes, borrowed: false, handles: 0 }, {
    offset: 0,
    shape,
    dtype,
  });
}

/** Reads several tensors of one device with one wait. */
export async function readAll(tensors: readonly Tensor[]): Promise<HostData[]> {
  if (tensors.length === 0) return [];
  const { gpu } = tensors[0];
  gpu.assertOpen();
  const ranges = tensors.map((t) => ({
    ...t.binding(),
    bytes: t.size * dtypeBytes(t.dtype),
  }));
  const all = await gpu.read(ranges);
  let offset = 0;
  return tensors.map((t, i) => {
    const bytes = all.slice(offset, offset + ranges[i].bytes);
    offset += Math.ceil(ranges[i].bytes / 4) * 4;
    if (t.dtype === "f16") return decodeF16(new Uint16Array(bytes));
    if (t.dtype === "f64") return new Float64Array(bytes);
    if (t.dtype === "u32") return new Uint32Array(bytes);
    return t.dtype === "i32" ? new Int32Array(bytes) : new Float32Array(bytes);
  });
}

/**
 * Refuses a storage type that the adapter lacks.
 *
 * @throws {UnsupportedError} for f16 or f64 without its feature.
 *
 * @internal
 */
export function checkStorage(gpu: Gpu, dtype: DType): void {
  const feature = dtypeFeatures[dtype];
  if (feature && !gpu.caps.features.has(feature)) {
    throw new UnsupportedError(
      `Cannot store ${dtype}: it needs the feature ${feature}, which is not in use on ${gpu.adapterName}; take f32`,
    );
  }
}

function checkShape(shape: readonly number[]): void {
  if (
    !shape.every((n) => Number.isSafeInteger(n) && n >= 0) || !Number.isSafeInteger(sizeOf(shape))
  ) {
    throw new ShapeError(
      `Cannot make a tensor [${shape}]: sizes must be integers from 0 to 2^53-1 together`,
    );
  }
}

function dtypeOf(values: ArrayLike<number>): DType {
  if (values instanceof Uint32Array) return "u32";
  return values instanceof Int32Array ? "i32" : "f32";
}

function toBytes(values: ArrayLike<number>, dtype: DType): Uint8Array<ArrayBuffer> {
  const host = dtype === "f16"
    ? encodeF16(values)
    : dtype === "f64"
    ? plain(values, Float64Array)
    : dtype === "u32"
    ? plain(values, Uint32Array)
    : dtype === "i32"
    ? plain(values, Int32Array)
    : plain(values, Float32Array);
  return new Uint8Array(host.buffer, host.byteOffset, host.byteLength);
}

// A view on ordinary memory is used as it is; anything else (lists, other types, shared memory) is copied.
function plain<A extends HostData>(
  values: ArrayLike<number>,
  kind: { new (values: ArrayLike<number>): A },
): A {
  return values instanceof kind && values.buffer instanceof ArrayBuffer ? values : new kind(values);
}

/** Anything that {@link tidy} may return. */
export type Kept = void | number | Tensor | readonly Kept[] | { readonly [name: string]: Kept };

/**
 * Runs `work` and disposes every tensor that it made and did not return. Synchronous, because a scope that spans an `await` would
 * adopt another task's tensors.
 */
export function tidy<T extends Kept>(gpu: Gpu, work: () => T): T {
  const scope = new Set<Disposable>();
  gpu.scopes.push(scope);
  let result: T | undefined;
  try {
    result = work();
    return result;
  } finally {
    gpu.scopes.pop();
    const kept = new Set<unknown>();
    collect(result, kept);
    for (const tensor of scope) {
      if (!kept.has(tensor)) tensor[Symbol.dispose]();
      else gpu.scopes.at(-1)?.add(tensor);
    }
  }
}

function collect(value: unknown, into: Set<unknown>): void {
  if (value instanceof Tensor) into.add(value);
  else if (Array.isArray(value)) value.forEach((v) => collect(v, into));
  else if (value && typeof value === "object") {
    Object.values(value).forEach((v) => collect(v, into));
  }
}
