/**
 * Operations that move values: storage types, edges, and tensors above the limit of one binding.
 */
import assert from "node:assert/strict";
import {
  add,
  broadcastTo,
  cast,
  concat,
  flip,
  full,
  gather,
  Gpu,
  pad,
  permute,
  scatterAdd,
  slice,
  stack,
  Tensor,
  tidy,
  tile,
  transpose,
  where,
} from "../../mod.ts";
import { openTestGpu } from "../_gpu.ts";
import { needs } from "../expectations.ts";

const gpu = await openTestGpu();
const hasF16 = gpu.caps.features.has("shader-f16");
// A second view of the device on which 4 KiB is the most that a binding may cover.
const small = Gpu.from(gpu.device, { limits: { maxBindingBytes: 4096 } });
Deno.test.afterEach(() => assert.equal(gpu.liveBytes + small.liveBytes, 0));

/** The result of some work as a list; everything else is disposed. */
async function values(work: () => Tensor, on = gpu): Promise<number[]> {
  using y = tidy(on, work);
  return [...await y.data()];
}

// Bits that a driver would change if it took them for floats: signalling NaN, subnormals, −0.
const ODD_BITS = Uint32Array.from([0x7f800001, 0xffc12345, 1, 0x80000000, 0x007fffff, 0xffffffff]);

Deno.test("movement keeps every bit of integers", async () => {
  const moved = await values(() => {
    const x = Tensor.from(gpu, ODD_BITS, [2, 3]);
    const there = permute(flip(concat([x, x], 1), [0]), [1, 0]);
    return slice(pad(there, { pads: [[1, 0], [0, 4]] }), { axis: 0, start: 1, end: 4 });
  });
  const [a, b, c, d, e, f] = ODD_BITS;
  assert.deepEqual(moved, [d, a, 0, 0, 0, 0, e, b, 0, 0, 0, 0, f, c, 0, 0, 0, 0]);
  const picked = await values(() => gather(Tensor.from(gpu, ODD_BITS), [5, 0, 2]));
  assert.deepEqual(picked, [f, a, c]);
});

Deno.test("movement of f32 keeps NaN payloads and subnormals", async () => {
  const floats = new Float32Array(ODD_BITS.buffer.slice(0));
  const back = await values(() => transpose(transpose(Tensor.from(gpu, floats, [2, 3]))));
  const bits = new Uint32Array(new Float32Array(back).buffer);
  // The host may quieten a signalling NaN when it makes a number of it: compare the other payloads.
  assert.deepEqual([...bits].slice(1), [...ODD_BITS].slice(1));
});

Deno.test("cast() truncates, limits to the range and keeps bits between integers", async () => {
  const host = [0, 1.9, -1.9, -3e9, 5e9];
  const signed = await values(() => cast(Tensor.from(gpu, host), "i32"));
  assert.deepEqual(signed.slice(0, 4), [0, 1, -1, -(2 ** 31)]);
  assert(signed[4] > 2 ** 31 - 256, "the largest f32 below 2^31 or 2^31 - 1");
  const unsigned = await values(() => cast(Tensor.from(gpu, host), "u32"));
  assert.deepEqual(unsigned.slice(0, 4), [0, 1, 0, 0]);
  const negative = await values(() => cast(Tensor.from(gpu, Int32Array.of(-1, 7)), "u32"));
  assert.deepEqual(negative, [0xffffffff, 7]);
  const widened = await values(() => cast(Tensor.from(gpu, Int32Array.of(-1, 1 << 24)), "f32"));
  assert.deepEqual(widened, [-1, 1 << 24]);
});

Deno.test({
  name: "cast() and where() take f16",
  ...needs("f16", hasF16),
  fn: async () => {
    const half = () => Tensor.from(gpu, [0, -0, 2, 1e-7], [4], { dtype: "f16" });
    assert.deepEqual(await values(() => cast(half(), "u32")), [0, 0, 2, 0]);
    const one = () => full(gpu, [4], 1), zero = () => full(gpu, [1], 0);
    // −0 is 0 and the smallest half is not.
    assert.deepEqual(await values(() => where(half(), one(), zero())), [0, 0, 1, 1]);
    assert.deepEqual(await values(() => cast(cast(full(gpu, [2], 1 / 3), "f16"), "f32")), [
      0.333251953125,
      0.333251953125,
    ]);
  },
});

Deno.test("where() broadcasts and takes integer conditions and values", async () => {
  const chosen = await values(() => {
    const mask = Tensor.from(gpu, Uint32Array.of(0, 0x80000000), [2, 1]);
    return where(
      mask,
      Tensor.from(gpu, Int32Array.of(1, 2, 3)),
      Tensor.from(gpu, Int32Array.of(-9)),
    );
  });
  assert.deepEqual(chosen, [-9, -9, -9, 1, 2, 3]);
});

Deno.test("gather() gives 0 and scatterAdd() nothing for an index of a tensor out of range", async () => {
  const list = () => Tensor.from(gpu, Uint32Array.of(1, 0xffffffff, 2));
  assert.deepEqual(await values(() => gather(Tensor.from(gpu, [5, 6]), list())), [6, 0, 0]);
  const added = await values(() => scatterAdd(Tensor.from(gpu, [1, 2, 3]), list(), { size: 2 }));
  assert.deepEqual(added, [0, 1]);
});

Deno.test("indices of the host and shapes that do not fit are refused", () => {
  using x = Tensor.zeros(gpu, [2, 3]);
  const refused = [
    () => gather(x, [2]),
    () => gather(x, [-1]),
    () => gather(x, [0.5]),
    () => scatterAdd(x, [0, 2], { size: 2 }),
    () => scatterAdd(x, [0], { size: 2 }),
    () => gather(x, [0], { axis: 1, batchAxes: 1 }),
    () => permute(x, [0]),
    () => permute(x, [0, 0]),
    () => slice(x, { axis: 0, start: 1, end: 0 }),
    () => slice(x, { axis: 0, end: 3 }),
    () => slice(x, { start: 1 }),
    () => slice(x, { axis: 2 }),
    () => concat([x, Tensor.zeros(gpu, [2, 2])]),
    () => concat([]),
    () => pad(x, { pads: [[0, 3]], mode: "reflect" }),
    () => pad(x, { pads: [[0, -1]] }),
    () => tile(x, [2]),
    () => broadcastTo(x, [2, 6]),
  ];
  for (const attempt of refused) {
    assert.throws(() => tidy(gpu, attempt), { name: "ShapeError" }, `${attempt}`);
  }
  using list = Tensor.zeros(gpu, [1], { dtype: "i32" });
  assert.throws(() => gather(x, list), { name: "DTypeError", message: /must be u32/ });
});

Deno.test("empty results and rank 0 work", async () => {
  assert.deepEqual(await values(() => slice(Tensor.zeros(gpu, [2, 3]), { axis: 1, end: 0 })), []);
  assert.deepEqual(await values(() => broadcastTo(Tensor.from(gpu, [7], []), [2])), [7, 7]);
  assert.deepEqual(await values(() => gather(Tensor.zeros(gpu, [2, 3]), [])), []);
  assert.deepEqual(await values(() => concat([Tensor.zeros(gpu, [0]), full(gpu, [1], 4)])), [4]);
});

Deno.test("more than six axes that do not merge are moved in parts", async () => {
  const shape = [2, 3, 2, 2, 3, 2, 2, 2];
  const host = Float32Array.from({ length: 576 }, (_, i) => i);
  const order = [7, 6, 5, 4, 3, 2, 1, 0];
  const there = () => permute(Tensor.from(gpu, host, shape), order);
  assert.deepEqual(await values(() => permute(there(), order)), [...host]);
  const moved = await values(there);
  assert.equal(moved[1], host[288]);
});

Deno.test("above the limit of one binding tensors are worked on in pieces", async () => {
  const host = Float32Array.from({ length: 96 * 70 }, (_, i) => i);
  const x = (on: Gpu) => Tensor.from(on, host, [96, 70]);
  const works: Record<string, (on: Gpu) => Tensor> = {
    transpose: (on) => transpose(x(on)),
    flip: (on) => flip(x(on)),
    slice: (on) => slice(x(on), { start: [3, 1], end: [90, 69] }),
    concat: (on) => concat([x(on), x(on)], 1),
    stack: (on) => stack([x(on), x(on)], 2),
    pad: (on) => pad(x(on), { pads: [[3, 2], [1, 4]], value: 2 }),
    reflect: (on) => pad(x(on), { pads: [[3, 2], [1, 4]], mode: "reflect" }),
    broadcast: (on) => broadcastTo(Tensor.from(on, host.slice(0, 70)), [99, 70]),
    add: (on) => add(x(on), x(on)),
    cast: (on) => cast(x(on), "u32"),
    where: (on) => where(x(on), x(on), full(on, [96, 70], 5)),
  };
  for (const [name, work] of Object.entries(works)) {
    const expected = await values(() => work(gpu));
    assert.deepEqual(await values(() => work(small), small), expected, name);
  }
});

Deno.test("what cannot be split is refused by name", () => {
  using x = Tensor.zeros(small, [96, 70]);
  assert.throws(() => gather(x, [1]), {
    name: "UnsupportedError",
    message: /"gather": x needs a binding of 26880 bytes, the adapter allows 4096/,
  });
});

Deno.test("long lists of indices add in the order of short ones", async () => {
  // 700 indices into 3000 places, 4 values each: above the limit for scanning, so through sorted segments.
  const list = Uint32Array.from({ length: 700 }, (_, j) => (j * j * 37) % 3000);
  const host = Float32Array.from({ length: 2800 }, (_, i) => Math.fround(Math.sin(i)));
  const expected = new Float32Array(12000);
  list.forEach((to, j) => {
    for (let i = 0; i < 4; i++) expected[4 * to + i] += host[4 * j + i];
  });
  const run = (indices: () => Tensor | Uint32Array) =>
    values(() => scatterAdd(Tensor.from(gpu, host, [700, 4]), indices(), { size: 3000 }));
  assert.deepEqual(await run(() => list), [...expected], "sorted on the host");
  assert.deepEqual(await run(() => Tensor.from(gpu, list)), [...expected], "sorted on the device");
});

Deno.test("scatterAdd() sorts every list of a batch, indices out of range last", async () => {
  const [rows, k, n] = [3, 1500, 1200];
  const list = Uint32Array.from({ length: rows * k }, (_, j) => (j * 7919) % 1300);
  const host = Float32Array.from(list, (_, j) => j % 17 - 8);
  const expected = new Float32Array(rows * n);
  list.forEach((to, j) => {
    if (to < n) expected[Math.floor(j / k) * n + to] += host[j];
  });
  const added = await values(() =>
    scatterAdd(Tensor.from(gpu, host, [rows, k]), Tensor.from(gpu, list, [rows, k]), {
      axis: 1,
      batchAxes: 1,
      size: n,
    })
  );
  assert.deepEqual(added, [...expected]); // whole numbers: exact in any order
});

Deno.test("close the devices", () => {
  small[Symbol.dispose]();
  gpu[Symbol.dispose]();
});
