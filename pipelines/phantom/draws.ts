/** A stream of host random numbers that reads naturally in procedural code. */

import { foldIn, type Key, threefry2x32 } from "../../engine/random.ts";

/** A deterministic stream of random numbers addressed by a path of integers, such as [seed, stream, image]. */
export class Draws {
  readonly #key: Key;
  #counter = 0;
  #spare: number | undefined;
  #normal: number | undefined;

  /**
   * Opens a stream.
   * @param path integers that name it; the same path gives the same numbers
   */
  constructor(...path: number[]) {
    this.#key = path.reduce(foldIn, { hi: 0, lo: 0 });
  }

  /** The next 32 random bits. */
  bits(): number {
    if (this.#spare !== undefined) {
      const bits = this.#spare;
      this.#spare = undefined;
      return bits;
    }
    const [a, b] = threefry2x32(this.#key, 0, this.#counter++);
    this.#spare = b;
    return a;
  }

  /** A uniform number in [low, high). */
  uniform(low = 0, high = 1): number {
    return low + (high - low) * (this.bits() / 2 ** 32);
  }

  /** A standard normal number (Box–Muller). */
  normal(): number {
    if (this.#normal !== undefined) {
      const z = this.#normal;
      this.#normal = undefined;
      return z;
    }
    const radius = Math.sqrt(-2 * Math.log((this.bits() + 1) / 2 ** 32));
    const angle = 2 * Math.PI * (this.bits() / 2 ** 32);
    this.#normal = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  /** An integer in [0, n). */
  integer(n: number): number {
    return Math.floor(this.uniform() * n);
  }

  /** One item of a list, all equally likely. */
  pick<T>(items: readonly T[]): T {
    return items[this.integer(items.length)];
  }

  /** The items in random order (Fisher–Yates), as a new array. */
  shuffle<T>(items: Iterable<T>): T[] {
    const out = [...items];
    for (let i = out.length - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      [out[i], out[j]] = [out[j], out[i]];
    }
    return out;
  }
}
