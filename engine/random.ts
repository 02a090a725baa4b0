/**
 * Counter-based random numbers: threefry2x32 with keys as values. The scheme is that of `jax.random` with
 * `jax_threefry_partitionable` (its default since 0.5): value `i` depends on the key and on `i` alone, so image *s* of a batch
 * is the same whatever the batch size, and the bits are the same on host and GPU. Source: Salmon et al., SC 2011; JAX `_src/prng.py`.
 *
 * @module
 */

/** An immutable random key. */
export interface Key {
  /** High word. */
  readonly hi: number;
  /** Low word. */
  readonly lo: number;
}

const ROTATIONS = [[13, 15, 26, 6], [17, 29, 16, 24]];

/** One threefry2x32 block with 20 rounds: two words of the counter in, two random words out. */
export function threefry2x32(key: Key, c0: number, c1: number): [number, number] {
  const ks = [key.hi, key.lo, (key.hi ^ key.lo ^ 0x1bd11bda) >>> 0];
  let x0 = (c0 + ks[0]) >>> 0, x1 = (c1 + ks[1]) >>> 0;
  for (let group = 0; group < 5; group++) {
    for (const r of ROTATIONS[group % 2]) {
      x0 = (x0 + x1) >>> 0;
      x1 = (((x1 << r) | (x1 >>> (32 - r))) ^ x0) >>> 0;
    }
    x0 = (x0 + ks[(group + 1) % 3]) >>> 0;
    x1 = (x1 + ks[(group + 2) % 3] + group + 1) >>> 0;
  }
  return [x0, x1];
}

/**
 * The key of a seed, an integer from 0 to 2⁵³ − 1.
 *
 * @throws {RangeError} for any other number.
 */
export function randomKey(seed: number): Key {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new RangeError(
      `Cannot make a key: seed must be an integer from 0 to 2^53-1, got ${seed}`,
    );
  }
  return { hi: Math.floor(seed / 2 ** 32) >>> 0, lo: seed >>> 0 };
}

/** `n` independent keys. */
export function split(key: Key, n = 2): Key[] {
  return Array.from({ length: n }, (_, i) => foldIn(key, i));
}

/** A key that depends on `key` and the integer `data`, e.g. an image index. */
export function foldIn(key: Key, data: number): Key {
  const [hi, lo] = threefry2x32(key, Math.floor(data / 2 ** 32) >>> 0, data >>> 0);
  return { hi, lo };
}

/** Value `i` of the stream of a key: 32 random bits. */
export function randomBit32(key: Key, i: number): number {
  const [a, b] = threefry2x32(key, Math.floor(i / 2 ** 32) >>> 0, i >>> 0);
  return (a ^ b) >>> 0;
}

/** `n` words of 32 random bits. */
export function randomBits(key: Key, n: number): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(n);
  for (let i = 0; i < n; i++) words[i] = randomBit32(key, i);
  return words;
}

/** `n` values uniform in [0, 1), with 23 random bits each. */
export function uniform(key: Key, n: number): Float32Array<ArrayBuffer> {
  const values = new Float32Array(n);
  for (let i = 0; i < n; i++) values[i] = (randomBit32(key, i) >>> 9) * 2 ** -23;
  return values;
}

/** `n` standard normals: `√2 · erfinv(u)` with `u` uniform in (−1, 1). */
export function normal(key: Key, n: number): Float32Array<ArrayBuffer> {
  const values = new Float32Array(n);
  for (let i = 0; i < n; i++) values[i] = bitsToNormal(randomBit32(key, i));
  return values;
}

/** A standard normal from 32 random bits. */
export function bitsToNormal(bits: number): number {
  // The centre of one of 2²³ equal cells of (−1, 1): symmetric, and never ±1.
  const u = ((bits >>> 9) * 2 + 1) * 2 ** -23 - 1;
  return Math.SQRT2 * erfinv(u);
}

/** Inverse error function to 3·10⁻⁷ relative: Giles, "Approximating the erfinv function" (2010), single precision. */
export function erfinv(x: number): number {
  let w = -Math.log((1 - x) * (1 + x));
  const centre = w < 5;
  w = centre ? w - 2.5 : Math.sqrt(w) - 3;
  const coefficients = centre ? ERFINV_CENTRE : ERFINV_TAIL;
  return coefficients.reduce((p, c) => p * w + c, 0) * x;
}

const ERFINV_CENTRE = [
  2.81022636e-08,
  3.43273939e-07,
  -3.5233877e-06,
  -4.39150654e-06,
  0.00021858087,
  -0.00125372503,
  -0.00417768164,
  0.246640727,
  1.50140941,
];
const ERFINV_TAIL = [
  -0.000200214257,
  0.000100950558,
  0.00134934322,
  -0.00367342844,
  0.00573950773,
  -0.0076224613,
  0.00943887047,
  1.00167406,
  2.83297682,
];
