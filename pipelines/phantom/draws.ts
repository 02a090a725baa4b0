/** A stream of host random numbers that reads naturally in procedural code. */

const ROTATIONS = [[13, 15, 26, 6], [17, 29, 16, 24]];

/** Threefry-2x32, 20 rounds (Salmon et al. 2011): two counter words to two random words. */
function threefry2x32(k0: number, k1: number, x0: number, x1: number): [number, number] {
  const keys = [k0 | 0, k1 | 0, k0 ^ k1 ^ 0x1bd11bda];
  let a = (x0 + keys[0]) | 0;
  let b = (x1 + keys[1]) | 0;
  for (let round = 0; round < 5; round++) {
    for (const r of ROTATIONS[round & 1]) {
      a = (a + b) | 0;
      b = ((b << r) | (b >>> (32 - r))) ^ a;
    }
    a = (a + keys[(round + 1) % 3]) | 0;
    b = (b + keys[(round + 2) % 3] + round + 1) | 0;
  }
  return [a >>> 0, b >>> 0];
}

/** A deterministic stream of random numbers addressed by a path of integers, such as [seed, stream, image]. */
export class Draws {
  #k0 = 0;
  #k1 = 0;
  #counter = 0;
  #spare: number | undefined;
  #normal: number | undefined;

  /**
   * Opens a stream.
   * @param path integers that name it; the same path gives the same numbers
   */
  constructor(...path: number[]) {
    for (const step of path) {
      [this.#k0, this.#k1] = threefry2x32(this.#k0, this.#k1, Math.floor(step / 2 ** 32), step);
    }
  }

  /** The next 32 random bits. */
  bits(): number {
    if (this.#spare !== undefined) {
      const bits = this.#spare;
      this.#spare = undefined;
      return bits;
    }
    const [a, b] = threefry2x32(this.#k0, this.#k1, 0, this.#counter++);
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
