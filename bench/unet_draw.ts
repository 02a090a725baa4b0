/**
 * Draws the weights of a network and counts what they do: what is timed does not depend on their values.
 *
 * @module
 */
import { type Key, normal } from "../engine/random.ts";
import type { HostTensor, StateDict } from "../pipelines/io/state_dict.ts";
import { sizeOf } from "../shaders/kernel.ts";

/** How many normals are drawn; the weights repeat them. */
const DRAWS = 1 << 16;

/** Tensors by name, which are filled when they are read, and the operations of one image. */
export class NetworkDrawer {
  /** All tensors. */
  readonly tensors: Map<string, HostTensor> = new Map();
  /** Operations of convolutions, linear layers and attention, a multiply-add counting twice. */
  flops = 0;
  readonly #draws: Float32Array<ArrayBuffer>;

  constructor(key: Key) {
    this.#draws = normal(key, DRAWS);
  }

  /** The tensors as a checkpoint. */
  get stateDict(): StateDict {
    return this.tensors;
  }

  /** Values of a mean and a spread. */
  draw(name: string, shape: readonly number[], { mean = 0, spread = 1 } = {}): void {
    const draws = this.#draws;
    this.tensors.set(name, {
      dtype: "f32",
      shape,
      get bytes() {
        const values = new Float32Array(sizeOf(shape));
        for (let i = 0; i < values.length; i++) values[i] = mean + spread * draws[i % DRAWS];
        return new Uint8Array(values.buffer);
      },
    });
  }

  /** A convolution or linear layer that is run at so many places and keeps the size of what it gets. */
  layer(
    name: string,
    shape: readonly number[],
    places: number,
    { hasBias = true }: { readonly hasBias?: boolean } = {},
  ): void {
    const [cout, ...rest] = shape;
    this.draw(`${name}.weight`, shape, { spread: 1 / Math.sqrt(sizeOf(rest)) });
    if (hasBias) this.draw(`${name}.bias`, [cout], { spread: 0.1 });
    this.flops += 2 * sizeOf(shape) * places;
  }

  /** Weight and bias of a norm. */
  norm(name: string, channels: number): void {
    this.draw(`${name}.weight`, [channels], { mean: 1, spread: 0.1 });
    this.draw(`${name}.bias`, [channels], { spread: 0.1 });
  }

  /** Counts attention of queries to keys, of all heads together. */
  attends(queries: number, keys: number, channels: number): void {
    this.flops += 4 * queries * keys * channels;
  }
}
