/**
 * NumPy's default generator and the older one that PyTorch shares, so that what published scripts draw can be drawn again exactly:
 * `SeedSequence` → PCG64 (XSL-RR 128/64) → Lemire's bounded integers, and MT19937 with its words and permutations.
 *
 * @module
 */

const MASK_64 = (1n << 64n) - 1n;
const MASK_128 = (1n << 128n) - 1n;

/** Multiplier of PCG64 (O'Neill 2014; `pcg64.h`: `PCG_DEFAULT_MULTIPLIER_128`). */
const PCG_MULTIPLIER = 0x2360ed051fc65da44385df649fccf645n;

// `bit_generator.pyx`, `SeedSequence`.
const INIT_A = 0x43b0d7e5;
const MULT_A = 0x931e8875;
const INIT_B = 0x8b51f9dd;
const MULT_B = 0x58f38ded;
const MIX_L = 0xca01f9dd;
const MIX_R = 0x4973f715;
const POOL_SIZE = 4;

/** The words that `SeedSequence(seed).generate_state(words, uint32)` gives. */
function seedWords(seed: number, words: number): Uint32Array {
  const entropy = [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0];
  const pool = new Uint32Array(POOL_SIZE);
  let constant = INIT_A;
  const hash = (value: number): number => {
    const x = value ^ constant;
    constant = Math.imul(constant, MULT_A);
    const y = Math.imul(x, constant);
    return y ^ (y >>> 16);
  };
  for (let i = 0; i < POOL_SIZE; i++) pool[i] = hash(entropy[i] ?? 0);
  for (let from = 0; from < POOL_SIZE; from++) {
    for (let to = 0; to < POOL_SIZE; to++) {
      if (from === to) continue;
      const mixed = Math.imul(MIX_L, pool[to]) - Math.imul(MIX_R, hash(pool[from]));
      pool[to] = mixed ^ (mixed >>> 16);
    }
  }
  constant = INIT_B;
  return Uint32Array.from({ length: words }, (_, i) => {
    const x = pool[i % POOL_SIZE] ^ constant;
    constant = Math.imul(constant, MULT_B);
    const y = Math.imul(x, constant);
    return y ^ (y >>> 16);
  });
}

/** `numpy.random.default_rng(seed)`: the draws that are needed here, bit for bit. */
export class NumpyGenerator {
  #state = 0n;
  readonly #increment: bigint;
  #spare: number | undefined;

  /**
   * Seeds the generator.
   *
   * @param seed whole number from 0
   */
  constructor(seed: number) {
    const words = seedWords(seed, 8);
    // Pairs of words are little-endian 64-bit numbers; of those the first is the high half.
    const part = (i: number) => (BigInt(words[2 * i + 1]) << 32n) | BigInt(words[2 * i]);
    const start = (part(0) << 64n) | part(1);
    this.#increment = ((((part(2) << 64n) | part(3)) << 1n) | 1n) & MASK_128;
    this.#step();
    this.#state = (this.#state + start) & MASK_128;
    this.#step();
  }

  #step(): void {
    this.#state = (this.#state * PCG_MULTIPLIER + this.#increment) & MASK_128;
  }

  #next64(): bigint {
    this.#step();
    const folded = (this.#state >> 64n) ^ (this.#state & MASK_64);
    const turn = this.#state >> 122n;
    return ((folded >> turn) | (folded << ((64n - turn) & 63n))) & MASK_64;
  }

  /** The low half of a 64-bit number first, its high half next. */
  #next32(): number {
    if (this.#spare !== undefined) {
      const spare = this.#spare;
      this.#spare = undefined;
      return spare;
    }
    const both = this.#next64();
    this.#spare = Number(both >> 32n);
    return Number(both & 0xffffffffn);
  }

  /**
   * `rng.integers(low, high + 1, count)`: uniform whole numbers, both ends included.
   *
   * @param high at most 2^32 − 2 above `low`
   */
  integers(low: number, high: number, count: number): Int32Array<ArrayBuffer> {
    const out = new Int32Array(count);
    const size = high - low + 1;
    if (size === 1) return out.fill(low); // NumPy draws nothing then
    const threshold = (2 ** 32 - size) % size;
    for (let i = 0; i < count; i++) {
      // Lemire 2019: the high word of a product, but for a few low words that would make it uneven.
      let product: bigint;
      do product = BigInt(this.#next32()) * BigInt(size); while (
        Number(product & 0xffffffffn) < threshold
      );
      out[i] = low + Number(product >> 32n);
    }
    return out;
  }
}

const TWISTER_SIZE = 624;
const TWISTER_MIDDLE = 397;

/** MT19937 as `numpy.random.RandomState(seed)` and `torch.manual_seed(seed)` seed it (Matsumoto and Nishimura 1998). */
export class MersenneTwister {
  readonly #state = new Uint32Array(TWISTER_SIZE);
  #place = TWISTER_SIZE;

  /**
   * Seeds the generator.
   *
   * @param seed whole number below 2^32
   */
  constructor(seed: number) {
    this.#state[0] = seed;
    for (let i = 1; i < TWISTER_SIZE; i++) {
      const before = this.#state[i - 1] ^ (this.#state[i - 1] >>> 30);
      this.#state[i] = Math.imul(1812433253, before) + i;
    }
  }

  #renew(): void {
    const state = this.#state;
    for (let i = 0; i < TWISTER_SIZE; i++) {
      const joined = (state[i] & 0x80000000) | (state[(i + 1) % TWISTER_SIZE] & 0x7fffffff);
      const far = state[(i + TWISTER_MIDDLE) % TWISTER_SIZE];
      state[i] = far ^ (joined >>> 1) ^ (joined & 1 ? 0x9908b0df : 0);
    }
    this.#place = 0;
  }

  /** The next 32 random bits. */
  next32(): number {
    if (this.#place === TWISTER_SIZE) this.#renew();
    let y = this.#state[this.#place++];
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  /** `RandomState.permutation(n)`: the numbers from 0 to n − 1, shuffled. */
  permutation(n: number): Uint32Array<ArrayBuffer> {
    const order = Uint32Array.from({ length: n }, (_, i) => i);
    for (let last = n - 1; last > 0; last--) {
      // Bits that no number up to `last` needs are masked, and numbers above it drawn again.
      const mask = 0xffffffff >>> Math.clz32(last);
      let chosen: number;
      do chosen = (this.next32() & mask) >>> 0; while (chosen > last);
      [order[last], order[chosen]] = [order[chosen], order[last]];
    }
    return order;
  }
}

/** The first 32-bit word of MT19937 after `torch.manual_seed(seed)`; `torch.randint(0, n, (1,))` is this modulo n. */
export function firstTwisterWord(seed: number): number {
  return new MersenneTwister(seed).next32();
}
