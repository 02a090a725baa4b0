import type { Gpu } from "../../../engine/gpu.ts";
import { foldIn, type Key, normal, uniform } from "../../../engine/random.ts";
import { Tensor } from "../../../engine/tensor.ts";
import type { AlignmentSlice } from "./tokens.ts";
import { sizeOf } from "../../../shaders/kernel.ts";

/** First values of a parameter. */
export interface ParameterStart {
  /** Shape. */
  readonly shape: readonly number[];
  /** Values, row-major. */
  readonly values: Float32Array<ArrayBuffer>;
}

/** Neighbouring slices of one width, whose maps are one tensor `[count, width, shared width]`. */
export interface SliceGroup {
  /** First slice. */
  readonly first: number;
  /** Slices. */
  readonly count: number;
  /** Channels of their tokens. */
  readonly width: number;
}

/** Slices in groups of neighbours with one width, in order. */
export function groupSlices(slices: readonly AlignmentSlice[]): SliceGroup[] {
  const groups: SliceGroup[] = [];
  slices.forEach(({ width }, i) => {
    const last = groups.at(-1);
    if (last?.width === width) groups[groups.length - 1] = { ...last, count: last.count + 1 };
    else groups.push({ first: i, count: 1, width });
  });
  return groups;
}

/** PyTorch's `Linear`: uniform within ±1/√nIn. */
export function linearStart(key: Key, shape: readonly number[], nIn: number): ParameterStart {
  const values = uniform(key, sizeOf(shape)).map((u) => (2 * u - 1) / Math.sqrt(nIn));
  return { shape, values };
}

const NOISE = 1e-3; // around the identity: breaks ties between equal widths

/** First maps of a group, `[count, width, shared]`. */
export function mapStart(
  key: Key,
  { count, width }: SliceGroup,
  { shared, start }: { readonly shared: number; readonly start: "identity" | "linear" },
): ParameterStart {
  const shape = [count, width, shared];
  if (start === "linear" || width !== shared) return linearStart(key, shape, width);
  const values = normal(key, count * width * shared).map((z, at) => {
    const [column, row] = [at % shared, Math.floor(at / shared) % width];
    return NOISE * z + Number(row === column);
  });
  return { shape, values };
}

/** A stretch of voxels. */
export interface VoxelChunk {
  /** First voxel. */
  readonly start: number;
  /** One past the last voxel. */
  readonly end: number;
}

/** Voxels in stretches of at most `size`. */
export function chunkVoxels(nVoxels: number, size: number): VoxelChunk[] {
  return Array.from({ length: Math.ceil(nVoxels / size) }, (_, i) => ({
    start: i * size,
    end: Math.min(nVoxels, (i + 1) * size),
  }));
}

/** Trained tensors by name, in the order in which they were given. The owner disposes them. */
export class Parameters implements Disposable {
  /** The tensors. */
  readonly tensors: ReadonlyMap<string, Tensor>;

  /** Puts first values on a device. */
  constructor(gpu: Gpu, starts: ReadonlyMap<string, ParameterStart>) {
    this.tensors = new Map(
      [...starts].map(([name, { shape, values }]) => [name, Tensor.from(gpu, values, shape)]),
    );
  }

  /** A tensor by name. */
  get(name: string): Tensor {
    const found = this.tensors.get(name);
    if (!found) throw new Error(`Cannot find the parameter ${name}`); // names come from this code alone
    return found;
  }

  /** Gives the tensors up. */
  [Symbol.dispose](): void {
    for (const tensor of this.tensors.values()) tensor.dispose();
  }
}

/** A key of its own for each named thing. */
export function keyOf(key: Key, name: string): Key {
  let named = key;
  for (const char of name) named = foldIn(named, char.codePointAt(0) ?? 0);
  return named;
}
