/**
 * Activations that a caller asked for by name.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { type Kept, type Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";

/** Collects the activations whose names were asked for. */
export class Captures {
  /** What was collected so far, by name. */
  readonly taken: Record<string, Tensor> = {};
  readonly #wanted: ReadonlySet<string>;

  constructor(wanted: Iterable<string>) {
    this.#wanted = new Set(wanted);
  }

  /** True when anything was asked for. */
  get wantsAnything(): boolean {
    return this.#wanted.size > 0;
  }

  /** True when the name was asked for. */
  wants(name: string): boolean {
    return this.#wanted.has(name);
  }

  /** True when any of the names was asked for. */
  wantsAny(...names: readonly string[]): boolean {
    return names.some((name) => this.#wanted.has(name));
  }

  /** Keeps a second handle on a tensor, on its tape, if the name was asked for. */
  take(name: string, tensor: Tensor): void {
    if (this.#wanted.has(name)) this.taken[name] = tensor.reshape(tensor.shape);
  }

  /** A collector that wants nothing. */
  none(): Captures {
    return new Captures([]);
  }

  /** Runs `work` and disposes what it made, but for its result and what was collected. */
  scope<T extends Kept>(gpu: Gpu, work: () => T): T {
    return tidy(gpu, () => ({ result: work(), taken: this.taken })).result;
  }
}

/**
 * Checks names before anything runs.
 *
 * @throws {InputError} naming the first that the model does not have, and those it has
 */
export function checkCaptures(names: readonly string[], allowed: readonly RegExp[], list: string) {
  const unknown = names.find((name) => !allowed.some((pattern) => pattern.test(name)));
  if (unknown !== undefined) {
    throw new InputError(
      `Cannot capture ${JSON.stringify(unknown)}: this model has ${list}`,
    );
  }
}

/**
 * Checks names of layers before anything runs.
 *
 * @throws {InputError} naming the first that the network does not have, and those it has
 */
export function requireLayers(names: readonly string[], layers: readonly string[]): void {
  checkCaptures(names.filter((name) => !layers.includes(name)), [], layers.join(", "));
}
