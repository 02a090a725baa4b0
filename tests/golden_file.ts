import { readSafetensors } from "../pipelines/io/safetensors.ts";
import { type HostArray, hostArray } from "../pipelines/io/state_dict.ts";

/** One tensor of a golden file, with the array it holds. */
export interface Golden<T extends HostArray = HostArray> {
  readonly shape: readonly number[];
  readonly data: T;
}

/** The tensors of `<name>.safetensors` in a folder, `tests/golden` by default, and accessors that check the type. */
export class GoldenFile {
  readonly #tensors;
  /** Names in the file. */
  readonly names: readonly string[];

  constructor(name: string, folder = new URL("./golden", import.meta.url).pathname) {
    const path = `${folder}/${name}.safetensors`;
    this.#tensors = readSafetensors(Deno.readFileSync(path));
    this.names = [...this.#tensors.keys()];
  }

  /** A tensor of 32-bit floats. */
  f32(name: string): Golden<Float32Array<ArrayBuffer>> {
    const { data, shape } = this.#get(name);
    if (!(data instanceof Float32Array)) throw new TypeError(`${name} is not f32`);
    return { data, shape };
  }

  /** A tensor of 32-bit integers. */
  i32(name: string): Golden<Int32Array<ArrayBuffer>> {
    const { data, shape } = this.#get(name);
    if (!(data instanceof Int32Array)) throw new TypeError(`${name} is not i32`);
    return { data, shape };
  }

  /** A tensor of bytes. */
  u8(name: string): Golden<Uint8Array<ArrayBuffer>> {
    const { data, shape } = this.#get(name);
    if (!(data instanceof Uint8Array)) throw new TypeError(`${name} is not u8`);
    return { data, shape };
  }

  #get(name: string): Golden {
    const tensor = this.#tensors.get(name);
    if (!tensor) throw new RangeError(`no ${name} among ${this.names.join(", ")}`);
    return { data: hostArray(tensor), shape: tensor.shape };
  }
}

/** Largest absolute difference; NaN when either side has one. */
export function maxDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) throw new RangeError(`lengths differ: ${a.length} and ${b.length}`);
  let worst = 0;
  for (let i = 0; i < a.length; i++) {
    const difference = Math.abs(a[i] - b[i]);
    if (!(difference <= worst)) worst = difference;
    if (Number.isNaN(worst)) return NaN;
  }
  return worst;
}
