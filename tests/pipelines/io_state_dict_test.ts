import assert from "node:assert/strict";
import {
  decodeBfloat16,
  decodeFloat16,
  encodeBfloat16,
  encodeFloat16,
  hostArray,
  type HostDType,
  hostTensor,
  mergeStateDicts,
  shapeSize,
  toFloat32,
  toFloat64,
} from "../../pipelines/io/state_dict.ts";
import { assertInputError } from "./io_fixtures.ts";

const allBits = Uint16Array.from({ length: 65536 }, (_, i) => i);

/** Value of half-precision bits by the definition of IEEE 754, section 3.4. */
function halfValue(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return exponent === 0
    ? sign * fraction * 2 ** -24
    : sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

Deno.test("decodeFloat16() gives the IEEE value of all 65,536 halves", () => {
  const values = decodeFloat16(allBits);
  for (let bits = 0; bits < 65536; bits++) {
    assert.ok(Object.is(values[bits], halfValue(bits)), `bits ${bits}: ${values[bits]}`);
  }
});

Deno.test("encodeFloat16() inverts decodeFloat16() and rounds to nearest, ties to even", () => {
  const back = encodeFloat16(decodeFloat16(allBits));
  for (let bits = 0; bits < 65536; bits++) {
    if (!Number.isNaN(halfValue(bits))) assert.equal(back[bits], bits);
  }
  // Between two neighbours the tie goes to the even one; a float32 step to either side decides.
  for (let bits = 0; bits < 0x7bff; bits += 7) {
    const middle = (halfValue(bits) + halfValue(bits + 1)) / 2; // exact in float32
    const step = middle * 2 ** -22;
    const [tie, below, above] = encodeFloat16(
      new Float32Array([middle, middle - step, middle + step]),
    );
    assert.deepEqual([tie, below, above], [bits + (bits & 1), bits, bits + 1]);
  }
  assert.deepEqual([...encodeFloat16(new Float32Array([65519.99, 65520, -1e30]))], [
    0x7bff,
    0x7c00,
    0xfc00,
  ]);
  // From float64 in one rounding: through float32 this would become the tie and round up to 1.001.
  assert.equal(encodeFloat16(new Float64Array([1 + 2 ** -11 + 2 ** -40]))[0], 0x3c01);
});

Deno.test("decodeBfloat16() and encodeBfloat16() are exact and round ties to even", () => {
  const values = decodeBfloat16(allBits);
  const back = encodeBfloat16(values);
  for (let bits = 0; bits < 65536; bits++) {
    if (Number.isNaN(values[bits])) assert.ok(Number.isNaN(decodeBfloat16(back.slice(bits))[0]));
    else assert.equal(back[bits], bits);
  }
  assert.equal(values[0x3fc0], 1.5);
  const half = 2 ** -8; // half a step at 1
  const rounded = decodeBfloat16(
    encodeBfloat16(new Float32Array([1 + half, 1 + 3 * half, 1 + half * 1.01, 3.4e38])),
  );
  assert.deepEqual([...rounded], [1, 1 + 4 * half, 1 + 2 * half, Infinity]);
  // A NaN whose payload is only in the low bits must not become infinite.
  const nan = new Float32Array(new Uint32Array([0x7f800001, 0xffffffff]).buffer);
  assert.ok([...decodeBfloat16(encodeBfloat16(nan))].every(Number.isNaN));
});

Deno.test("toFloat32() reads every dtype at any alignment", () => {
  const cases: [HostDType, Uint8Array, number[]][] = [
    ["f32", new Uint8Array(new Float32Array([0.5, -3]).buffer), [0.5, -3]],
    ["f64", new Uint8Array(new Float64Array([0.1, -3]).buffer), [Math.fround(0.1), -3]],
    ["f16", new Uint8Array([0, 0x3c, 1, 0]), [1, 2 ** -24]],
    ["bf16", new Uint8Array([0x80, 0x3f, 0x00, 0xc0]), [1, -2]],
    ["i8", new Uint8Array([255, 127]), [-1, 127]],
    ["u8", new Uint8Array([255, 127]), [255, 127]],
    ["i16", new Uint8Array([0, 0x80, 255, 255]), [-32768, -1]],
    ["u16", new Uint8Array([0, 0x80, 255, 255]), [32768, 65535]],
    ["i32", new Uint8Array(new Int32Array([-(2 ** 24), 7]).buffer), [-(2 ** 24), 7]],
    ["u32", new Uint8Array(new Uint32Array([2 ** 31, 7]).buffer), [2 ** 31, 7]],
    ["i64", new Uint8Array(new BigInt64Array([-(2n ** 60n), 7n]).buffer), [-(2 ** 60), 7]],
    ["u64", new Uint8Array(new BigUint64Array([2n ** 63n, 7n]).buffer), [2 ** 63, 7]],
    ["bool", new Uint8Array([1, 0]), [1, 0]],
  ];
  for (const [dtype, data, expected] of cases) {
    for (const shift of [0, 1, 3]) {
      const buffer = new Uint8Array(data.length + shift);
      buffer.set(data, shift);
      const bytes = buffer.subarray(shift);
      assert.deepEqual(
        [...toFloat32({ dtype, shape: [2], bytes })],
        expected,
        `${dtype} +${shift}`,
      );
    }
  }
});

Deno.test("toFloat32() shares memory with an aligned f32 array", () => {
  const data = new Float32Array(4);
  assert.equal(toFloat32(hostTensor(data, [4])).buffer, data.buffer);
});

Deno.test("toFloat64() keeps integers up to 2^53 and refuses larger ones", () => {
  const most = 2n ** 53n - 1n;
  assert.deepEqual([...toFloat64(hostTensor(new BigInt64Array([most, -most]), [2]))], [
    Number(most),
    -Number(most),
  ]);
  assert.deepEqual([...toFloat64({ dtype: "f16", shape: [1], bytes: new Uint8Array([0, 0x3c]) })], [
    1,
  ]);
  assertInputError(
    () => toFloat64(hostTensor(new BigInt64Array([1n, 2n ** 53n + 1n]), [2])),
    /element 1 is 9007199254740993/,
  );
  assertInputError(
    () => toFloat64(hostTensor(new BigUint64Array([2n ** 64n - 1n]), [1])),
    /u64 values as float64.*18446744073709551615/,
  );
});

Deno.test("hostArray() refuses bytes that do not fit the shape", () => {
  const tensor = hostTensor(new Int16Array(6), [2, 3]);
  assert.deepEqual(hostArray(tensor), new Int16Array(6));
  assertInputError(
    () => hostArray({ ...tensor, shape: [7] }),
    /i16 array of shape \[7\].*12 bytes/,
  );
  assertInputError(() => hostArray({ ...tensor, shape: [2 ** 60] }), /does not fit/);
  assertInputError(() => hostArray({ ...tensor, shape: [-2, -3] }), /does not fit/);
});

Deno.test("hostTensor() names the dtype of each typed array and refuses a wrong shape", () => {
  const dtypes = [
    new Float16Array(1),
    new Float32Array(1),
    new Float64Array(1),
    new Int8Array(1),
    new Uint8Array(1),
    new Int16Array(1),
    new Uint16Array(1),
    new Int32Array(1),
    new Uint32Array(1),
    new BigInt64Array(1),
    new BigUint64Array(1),
  ].map((array) => hostTensor(array, []).dtype);
  assert.equal(dtypes.join(" "), "f16 f32 f64 i8 u8 i16 u16 i32 u32 i64 u64");
  assert.equal(hostTensor(new Uint16Array(2), [2], { dtype: "bf16" }).dtype, "bf16");
  assertInputError(
    () => hostTensor(new Float32Array(2), [3]),
    /2 elements of 4 bytes as f32 \[3\]/,
  );
  assertInputError(() => hostTensor(new Uint8Array(2), [2], { dtype: "f16" }), /1 bytes as f16/);
});

Deno.test("shapeSize() is undefined when a product leaves the integers or a length is no length", () => {
  assert.equal(shapeSize([]), 1);
  assert.equal(shapeSize([3, 0]), 0);
  assert.equal(shapeSize([2 ** 26, 2 ** 26]), 2 ** 52);
  for (const shape of [[2 ** 30, 2 ** 30], [2 ** 53], [-1], [0.5], [NaN], ["2"], [null]]) {
    assert.equal(shapeSize(shape), undefined, String(shape));
  }
});

Deno.test("mergeStateDicts() joins dicts and refuses a name that is in two", () => {
  const a = new Map([["a", hostTensor(new Uint8Array(1), [1])]]);
  const b = new Map([["b", hostTensor(new Uint8Array(1), [1])]]);
  assert.deepEqual([...mergeStateDicts(a, b).keys()], ["a", "b"]);
  assertInputError(() => mergeStateDicts(a, b, a), /"a" is in more than one/);
});
