/**
 * Double precision, where the adapter has it: moves keep every bit, products and factors agree with the float64 references to their
 * last digits.
 */
import assert from "node:assert/strict";
import {
  add,
  addDiagonal,
  assertPositiveDefinite,
  cast,
  cholesky,
  choleskySolve,
  concat,
  exp,
  flip,
  full,
  gather,
  gram,
  identity,
  matmul,
  mul,
  neg,
  normal,
  randomKey,
  scale,
  slice,
  solveTriangular,
  spdInverse,
  sub,
  Tape,
  Tensor,
  tidy,
  transpose,
} from "../../mod.ts";
import { worstError } from "../../bench/check_kernel.ts";
import { benchKernel } from "../../bench/rows.ts";
import { f64Kernels } from "../../shaders/elementwise/binary.ts";
import { choleskyKernel, triangularSolveKernel } from "../../shaders/linalg/factor.ts";
import { openTestGpu } from "../_gpu.ts";
import { needs } from "../expectations.ts";

const gpu = await openTestGpu();
const plain = await openTestGpu({ without: ["shader-f64"] });
Deno.test.afterEach(() => assert.equal(gpu.liveBytes + plain.liveBytes, 0));

const here = needs("f64", gpu.caps.features.has("shader-f64"));

/** Normals with all the digits of a float64. */
function digits(seed: number, size: number): Float64Array {
  const low = normal(randomKey(seed + 1000), size);
  return Float64Array.from(normal(randomKey(seed), size), (v, i) => v + low[i] * 2 ** -26);
}

const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);

function wide(seed: number, shape: readonly number[]): Tensor {
  return Tensor.from(gpu, digits(seed, sizeOf(shape)), shape, { dtype: "f64" });
}

async function read(work: () => Tensor): Promise<Float64Array> {
  using y = tidy(gpu, work);
  assert.equal(y.dtype, "f64");
  const values = await y.data();
  assert(values instanceof Float64Array);
  return values;
}

function assertClose(got: ArrayLike<number>, want: ArrayLike<number>, tolerance: number): void {
  const { value, at } = worstError(got, want);
  assert(value <= tolerance, `[${at}] is ${got[at]}, not ${want[at]}: ${value.toExponential(2)}`);
}

Deno.test("Tensor.from() keeps every digit as f64, and only when asked", here, async () => {
  const values = Float64Array.of(1 / 3, Math.PI, -1e300, 5e-324, 0.1);
  assert.deepEqual(await read(() => Tensor.from(gpu, values, [5], { dtype: "f64" })), values);
  using narrow = Tensor.from(gpu, values.slice(0, 2));
  assert.equal(narrow.dtype, "f32");
  assert.deepEqual(
    await read(() => Tensor.zeros(gpu, [3], { dtype: "f64" })),
    new Float64Array(3),
  );
  assert.deepEqual(
    await read(() => full(gpu, [2, 1], 0.1, { dtype: "f64" })),
    Float64Array.of(0.1, 0.1),
  );
});

Deno.test("cast() between f32 and f64 rounds once and widens exactly", here, async () => {
  for (const size of [1, 2, 7, 130]) {
    const values = digits(size, size);
    using x = Tensor.from(gpu, values, [size], { dtype: "f64" });
    using rounded = cast(x, "f32");
    assert.deepEqual(await rounded.data(), Float32Array.from(values));
    assert.deepEqual(
      await read(() => cast(rounded, "f64")),
      Float64Array.from(values, Math.fround),
    );
    assert.deepEqual(await read(() => cast(x, "f64")), values);
  }
});

Deno.test("moves of f64 keep every bit", here, async () => {
  const x = digits(1, 35);
  const on = () => Tensor.from(gpu, x, [5, 7], { dtype: "f64" });
  const at = (n: number, f: (i: number) => number) =>
    Float64Array.from({ length: n }, (_, i) => x[f(i)]);
  assert.deepEqual(
    await read(() => slice(on(), { start: [1, 2], end: [4, 7] })),
    at(15, (i) => (1 + Math.floor(i / 5)) * 7 + 2 + i % 5),
  );
  assert.deepEqual(await read(() => transpose(on())), at(35, (i) => i % 5 * 7 + Math.floor(i / 5)));
  assert.deepEqual(await read(() => flip(on(), [1])), at(35, (i) => i - i % 7 + 6 - i % 7));
  assert.deepEqual(
    await read(() => concat([on(), on()], 1)),
    at(70, (i) => {
      return Math.floor(i / 14) * 7 + i % 7;
    }),
  );
  assert.deepEqual(
    await read(() => gather(on(), [4, 0, 4])),
    at(21, (i) => {
      return [4, 0, 4][Math.floor(i / 7)] * 7 + i % 7;
    }),
  );
  assert.deepEqual(
    await read(() => gather(on(), [6, 1], { axis: 1 })),
    at(10, (i) => {
      return Math.floor(i / 2) * 7 + [6, 1][i % 2];
    }),
  );
});

Deno.test("arithmetic of f64 broadcasts", here, async () => {
  const [x, row] = [digits(2, 15), digits(3, 5)];
  const ops = [[add, (a: number, b: number) => a + b], [sub, (a: number, b: number) => a - b], [
    mul,
    (a: number, b: number) => a * b,
  ]] as const;
  for (const [op, f] of ops) {
    const got = await read(() => op(wide(2, [3, 5]), wide(3, [5])));
    assertClose(got, x.map((v, i) => f(v, row[i % 5])), 2 ** -52);
  }
  assert.deepEqual(await read(() => neg(scale(wide(2, [3, 5]), 0.1))), x.map((v) => -(v * 0.1)));
  assert.deepEqual(
    await read(() => addDiagonal(Tensor.zeros(gpu, [2, 2], { dtype: "f64" }), 0.1)),
    Float64Array.of(0.1, 0, 0, 0.1),
  );
});

interface Sides {
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

/** `op(a)·op(b)` of one matrix each, in float64. */
function product(
  [a, b]: readonly Float64Array[],
  [m, n, k]: readonly number[],
  { transposeA, transposeB }: Sides,
): Float64Array {
  return Float64Array.from({ length: m * n }, (_, at) => {
    const i = Math.floor(at / n), j = at % n;
    let sum = 0;
    for (let p = 0; p < k; p++) {
      sum += a[transposeA ? p * m + i : i * k + p] * b[transposeB ? j * k + p : p * n + j];
    }
    return sum;
  });
}

// Sums of up to 70 products in the order of the reference; a driver may fuse or not: eps·√70, the worst of thousands five of those.
const PRODUCT = 5 * 2 ** -52 * 8.4;

for (const transposeA of [false, true]) {
  for (const transposeB of [false, true]) {
    const sides = { transposeA, transposeB };
    Deno.test(`matmul() of f64 equals float64, ${JSON.stringify(sides)}`, here, async () => {
      for (const [m, n, k] of [[1, 1, 1], [33, 70, 70], [67, 5, 31]]) {
        const shapes = [transposeA ? [k, m] : [m, k], transposeB ? [n, k] : [k, n]];
        const got = await read(() => matmul(wide(4, shapes[0]), wide(5, shapes[1]), sides));
        const want = product([digits(4, m * k), digits(5, k * n)], [m, n, k], sides);
        assertClose(got, want, PRODUCT);
      }
    });
  }
}

Deno.test("matmul() of a batch of f64 and one f32 matrix is of f64", here, async () => {
  const [m, n, k] = [9, 35, 11];
  const b = Float64Array.from(digits(7, k * n), Math.fround);
  const got = await read(() => matmul(wide(6, [2, m, k]), Tensor.from(gpu, b, [k, n])));
  const a = digits(6, 2 * m * k);
  [0, 1].forEach((z) => {
    const one = [a.subarray(z * m * k, (z + 1) * m * k), b];
    const want = product(one, [m, n, k], { transposeA: false, transposeB: false });
    assertClose(got.subarray(z * m * n, (z + 1) * m * n), want, PRODUCT);
  });
});

Deno.test("gram() sums f32 in f64, and slabs on top of each other", here, async () => {
  for (const transposed of [false, true]) {
    const [m, k] = [69, 50];
    const x = Float64Array.from(digits(8, m * k), Math.fround);
    const got = await read(() => {
      const on = Tensor.from(gpu, x, transposed ? [k, m] : [m, k]);
      const options = { transpose: transposed, dtype: "f64" } as const;
      const part = (start: number, end: number) =>
        slice(on, { axis: transposed ? 0 : 1, start, end });
      return gram(part(20, k), { ...options, residual: gram(part(0, 20), options) });
    });
    const sides = { transposeA: transposed, transposeB: !transposed };
    assertClose(got, product([x, x], [m, m, k], sides), PRODUCT);
    for (let i = 0; i < m * m; i++) {
      assert.equal(got[i], got[i % m * m + Math.floor(i / m)], "symmetric to the last bit");
    }
  }
});

/** `[batch, n, n]`, eigenvalues between 0.5 and about 4.5. */
function positiveDefinite(batch: number, n: number): Float64Array {
  const noise = digits(9, batch * n * n);
  let at = 0;
  const uniform = () => ((noise[at++] + 8) % 1 + 1) % 1;
  return choleskyKernel.data!.a(batch * n * n, uniform, { batch, n }, {}) as Float64Array;
}

// eps·√n·κ with κ ≤ 9 and n ≤ 330, relative to the largest entries.
const FACTOR = 2 ** -52 * 18 * 9;

for (const [batch, n] of [[1, 1], [2, 65], [1, 330]]) {
  Deno.test(`factors and solutions of f64 equal float64 for ${batch} × ${n}`, here, async () => {
    const a = positiveDefinite(batch, n);
    const b = digits(10, batch * n * 3);
    const { l: want } = choleskyKernel.reference({ a }, { batch, n }, { invalid: NaN });
    using on = Tensor.from(gpu, a, [batch, n, n], { dtype: "f64" });
    using right = Tensor.from(gpu, b, [batch, n, 3], { dtype: "f64" });
    using l = cholesky(on);
    await assertPositiveDefinite(l);
    assertClose(await l.data(), want, FACTOR);
    const dims = { batch, n, cols: 3 };
    const down = triangularSolveKernel.reference({ t: want, b }, dims, { lower: 1, transpose: 0 });
    assertClose(await read(() => solveTriangular(l, right)), down.x, FACTOR);
    const back = { t: want, b: down.x };
    const { x } = triangularSolveKernel.reference(back, dims, { lower: 1, transpose: 1 });
    assertClose(await read(() => choleskySolve(l, right)), x, FACTOR);
    const unit = await read(() => {
      const product = matmul(spdInverse(on), on);
      return sub(product, identity(gpu, n, { dtype: "f64" }));
    });
    assert(unit.every((v) => Math.abs(v) <= FACTOR), "a⁻¹·a is the identity");
  });
}

Deno.test("gradients of f64 are those of central differences", here, async () => {
  const n = 7;
  const ops = { cholesky, spdInverse, gram: (x: Tensor) => gram(x, { transpose: true }) };
  const spd = (x: Tensor) => addDiagonal(gram(x), 3);
  for (const [name, op] of Object.entries(ops)) {
    const f = (x: Tensor) => tidy(gpu, () => op(spd(x)));
    const [x, v, w] = [digits(11, n * n), digits(12, n * n), digits(13, n * n)];
    using on = Tensor.from(gpu, x, [n, n], { dtype: "f64" });
    using tape = new Tape();
    using watched = tape.watch(on);
    using y = f(watched);
    using seed = Tensor.from(gpu, w, [n, n], { dtype: "f64" });
    const [g] = tape.gradient(y, [watched], { seed });
    const gradient = Float64Array.from(await g.data());
    g.dispose();
    const h = 1e-5;
    const moved = (by: number) =>
      read(() =>
        op(spd(Tensor.from(gpu, x.map((xi, i) => xi + by * v[i]), [n, n], { dtype: "f64" })))
      );
    const [plus, minus] = [await moved(h), await moved(-h)];
    const along = plus.reduce((sum, p, i) => sum + w[i] * (p - minus[i]) / (2 * h), 0);
    const claimed = gradient.reduce((sum, gi, i) => sum + gi * v[i], 0);
    // O(h²) of the differences, relative to third derivatives of about the size of the first.
    assert(
      Math.abs(along - claimed) <= 1e-7 * Math.abs(along),
      `${name}: ${claimed}, not ${along}`,
    );
  }
});

Deno.test("what f64 cannot do is refused by name", here, () => {
  using x = wide(14, [3, 3]);
  using narrow = Tensor.from(gpu, [1, 2, 3], [3, 1]);
  assert.throws(() => exp(x), { name: "DTypeError", message: /f64/ });
  assert.throws(() => add(x, narrow), { name: "DTypeError", message: /f64 and f32/ });
  assert.throws(() => solveTriangular(x, narrow), { name: "DTypeError", message: /one type/ });
  assert.throws(() => gram(x, { dtype: "f32" }), { name: "DTypeError", message: /f64 as f32/ });
});

Deno.test("f64 is refused by name on an adapter without it", () => {
  using x = Tensor.from(plain, [1, 2, 3, 4], [2, 2]);
  const refusal = { name: "UnsupportedError", message: /f64.*shader-f64.*take f32/ };
  assert.throws(() => Tensor.from(plain, [1], [1], { dtype: "f64" }), refusal);
  assert.throws(() => cast(x, "f64"), refusal);
  assert.throws(() => full(plain, [1], 1, { dtype: "f64" }), refusal);
  assert.throws(() => gram(x, { dtype: "f64" }), refusal);
});

Deno.test("benchKernel() passes over kernels of f64 on an adapter without it", async () => {
  const peaks = { gflops: 1, gbps: 1, dispatchUs: 1, recordUs: 1 };
  const rows = await Array.fromAsync(benchKernel(plain, f64Kernels.add, peaks));
  assert.deepEqual(rows, []);
});

Deno.test("close the devices", () => [gpu, plain].forEach((one) => one[Symbol.dispose]()));
