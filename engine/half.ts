/**
 * IEEE half precision on the host: exact decoding, encoding rounded to nearest even.
 *
 * @module
 */

/** Widens half-precision bits. Exact. */
export function decodeF16(bits: Uint16Array): Float32Array<ArrayBuffer> {
  const values = new Float16Array(bits.buffer as ArrayBuffer, bits.byteOffset, bits.length);
  return new Float32Array(values);
}

/** Rounds to half precision, to nearest even; beyond 65519 to infinity. */
export function encodeF16(values: ArrayLike<number>): Uint16Array<ArrayBuffer> {
  const halves = new Float16Array(values);
  return new Uint16Array(halves.buffer);
}
