/**
 * The three parts of a convolution by products at points (Toom, Cook; Winograd 1980; Lavin and Gray 2016) around a matrix product: of the
 * weights, of the image and of what comes out.
 *
 * Six points, 0, ±5/8, ±11/8 and ∞, make 4 outputs of 3 taps along an axis: 36 products for 16 pixels in place of 144.
 *
 * @module
 */
import activations from "../_lib/activations.wgsl" with { type: "text" };
import quotient from "../_lib/quotient.wgsl" with { type: "text" };
import six from "../_lib/winograd_six.wgsl" with { type: "text" };
import inputSource from "./winograd_input.wgsl" with { type: "text" };
import outputSource from "./winograd_output.wgsl" with { type: "text" };
import weightsSource from "./winograd_weights.wgsl" with { type: "text" };
import { activationByCode } from "../elementwise/unary.ts";
import { ceilDiv, defineKernel, type Dims, grid1d, type KernelSpec } from "../kernel.ts";
import { PANEL } from "../matmul/panels.ts";

/** Points of an axis. */
export const POINTS = 6;

/** Pixels that a tile makes along an axis. */
export const TILE = 4;

const TAPS = 3;

/** In single precision ±5/8 and ±11/8 err half as much as the usual ±1 and ±2: twice as much as plain sums. */
const FINITE = [0, 0.625, -0.625, 1.375, -1.375];

/** Rows of `Bᵀ`: coefficients of `Π_{q ≠ p} (z − q)` for each point p, and of all of them for ∞. */
function beforeRows(): number[][] {
  const product = (roots: readonly number[]) =>
    roots.reduce<number[]>(
      (c, root) => [...c, 0].map((_, i) => (c[i - 1] ?? 0) - root * (c[i] ?? 0)),
      [1],
    );
  const padded = (c: readonly number[]) => Array.from({ length: POINTS }, (_, i) => c[i] ?? 0);
  return [
    ...FINITE.map((p) => padded(product(FINITE.filter((q) => q !== p)))),
    padded(product(FINITE)),
  ];
}

/** Rows of `G`: powers of a point over `Π_{q ≠ p} (p − q)`. */
function tapRows(): number[][] {
  const rows = FINITE.map((p) => {
    const scale = FINITE.reduce((all, q) => q === p ? all : all * (p - q), 1);
    return Array.from({ length: TAPS }, (_, t) => p ** t / scale);
  });
  return [...rows, Array.from({ length: TAPS }, (_, t) => Number(t === TAPS - 1))];
}

/** Rows of `Aᵀ`. */
function afterRows(): number[][] {
  return Array.from(
    { length: TILE },
    (_, i) => [...FINITE.map((p) => p ** i), Number(i === TILE - 1)],
  );
}

/** `rows · square · rowsᵀ` of square matrices, row-major. */
function bothSides(rows: readonly number[][], square: (r: number, s: number) => number): number[] {
  return rows.flatMap((left) =>
    rows.map((right) => {
      let sum = 0;
      left.forEach((a, r) =>
        right.forEach((b, s) => sum += a * b === 0 ? 0 : a * b * square(r, s))
      );
      return sum;
    })
  );
}

/**
 * Channels as the products take them: even, and no multiple of 8, because the 36 values that a thread writes would otherwise fall on the
 * same sets of a CPU's first cache.
 */
const paddedChannels = (cin: number): number => {
  const even = 2 * ceilDiv(cin, 2);
  return even % 8 === 0 ? even + 2 : even;
};

/** Where value (row, k) of matrix `point` lies in panels. */
const inPanels = (
  point: number,
  row: number,
  k: number,
  { panels, kPadded }: Dims,
) => ((point * panels + Math.floor(row / PANEL)) * kPadded + k) * PANEL + row % PANEL;

/** Sizes of the weights of {@link winogradWeightsKernel}. */
export function winogradWeightDims(cin: number, cout: number): Dims {
  return { cin, cout, panels: ceilDiv(cout, PANEL), kPadded: paddedChannels(cin) };
}

/** Weights at the points, in panels. `transposed` 1: the weights `[cin, cout, …]` of a convolution whose gradient by its input is meant. */
export const winogradWeightsKernel: KernelSpec = defineKernel({
  name: "winograd_weights",
  buffers: { weight: "cout*cin 3 3", u: "out 36 panels kPadded 64" },
  args: { transposed: 0 },
  flops: ({ cin, cout }) => 9 * 11 * cin * cout, // nine times three taps, 11 operations each
  reference({ weight }, dims, { transposed }) {
    const { cin, cout, panels, kPadded } = dims;
    const u = new Float64Array(POINTS * POINTS * panels * kPadded * PANEL);
    const rows = tapRows();
    for (let o = 0; o < cout; o++) {
      for (let c = 0; c < cin; c++) {
        const start = (transposed ? c * cout + o : o * cin + c) * 9;
        const at = (tap: number) => start + (transposed ? 8 - tap : tap);
        bothSides(rows, (r, s) => weight[at(r * TAPS + s)]).forEach((value, point) => {
          u[inPanels(point, o, c, dims)] = value;
        });
      }
    }
    return { u };
  },
  // Nine terms whose weights are rounded: a few eps of the greatest values.
  tolerance: { f32: 2e-6 },
  cases: [
    winogradWeightDims(1, 1),
    winogradWeightDims(4, 9),
    { ...winogradWeightDims(5, 70), transposed: 1 },
  ],
  large: [winogradWeightDims(96, 96)],
  variants: [{
    name: "winograd_weights",
    source: weightsSource,
    lib: [six],
    tunables: { WG: [64] },
    constants: (_, { transposed }) => ({ TRANSPOSED: transposed }),
    workgroups: ({ panels, kPadded }, { WG }) => grid1d(ceilDiv(panels * PANEL * kPadded, WG)),
  }],
});

/** Tiles of images, in as many panels as `tiles` of them take. */
export function winogradInputDims(
  { n, cin, h, w, down, across }: Record<"n" | "cin" | "h" | "w" | "down" | "across", number>,
  tiles: number,
): Dims {
  const panels = ceilDiv(tiles, PANEL), kPadded = paddedChannels(cin);
  return { n, cin, h, w, down, across, panels, kPadded };
}

/** Tiles of images at the points, in panels. */
export const winogradInputKernel: KernelSpec = defineKernel({
  name: "winograd_input",
  buffers: { x: "n cin h w", v: "out 36 panels kPadded 64" },
  args: { first: 0, padTop: 0, padLeft: 0 },
  flops: ({ panels, kPadded }) => panels * kPadded * PANEL * 12 * 13, // 12 times six values, 13 operations each
  reference({ x }, dims, { first, padTop, padLeft }) {
    const { n, cin, h, w, down, across, panels, kPadded } = dims;
    const v = new Float64Array(POINTS * POINTS * panels * kPadded * PANEL);
    const rows = beforeRows();
    for (let p = 0; p < panels * PANEL; p++) {
      const tile = first + p, image = Math.floor(tile / (down * across));
      const top = Math.floor(tile / across) % down * TILE - padTop;
      const left = tile % across * TILE - padLeft;
      for (let c = 0; c < cin && image < n; c++) {
        const pixel = (r: number, s: number) => {
          const [iy, ix] = [top + r, left + s];
          const isInside = iy >= 0 && iy < h && ix >= 0 && ix < w;
          return isInside ? x[((image * cin + c) * h + iy) * w + ix] : 0;
        };
        bothSides(rows, pixel).forEach((value, point) => {
          v[inPanels(point, p, c, dims)] = value;
        });
      }
    }
    return { v };
  },
  // Two sums of three terms or four with weights up to 2.3: a few eps of their size.
  tolerance: { f32: 2e-6 },
  cases: [
    winogradInputDims({ n: 1, cin: 1, h: 1, w: 1, down: 1, across: 1 }, 1),
    {
      ...winogradInputDims({ n: 2, cin: 3, h: 9, w: 13, down: 3, across: 4 }, 24),
      ...{ padTop: 1, padLeft: 1 },
    },
    {
      ...winogradInputDims({ n: 3, cin: 2, h: 9, w: 17, down: 3, across: 5 }, 30),
      ...{ padTop: 2, padLeft: 2, first: 20 },
    },
  ],
  large: [winogradInputDims({ n: 1, cin: 64, h: 147, w: 147, down: 37, across: 37 }, 1369)],
  variants: [{
    name: "winograd_input",
    source: inputSource,
    lib: [quotient, six],
    tunables: { WG: [64] },
    workgroups: ({ panels, kPadded }, { WG }) => grid1d(ceilDiv(panels * PANEL * kPadded, WG)),
  }],
});

/**
 * Pixels from the products at the points, of `tiles` tiles from number `first`, to the channels of y from `yFirst`; the rest of y is left as
 * it is. `columns` is the length of the rows of m.
 */
export const winogradOutputKernel: KernelSpec = defineKernel({
  name: "winograd_output",
  buffers: { m: "36 cout columns", bias: "biasSize", y: "inout n yChannels oh ow" },
  args: { first: 0, activation: 0, hasBias: 0, yFirst: 0 },
  flops: ({ cout, tiles }) => cout * tiles * (POINTS + TILE) * 13,
  bytes: ({ cout, tiles }, elemBytes) => elemBytes * cout * tiles * (POINTS * POINTS + 16),
  reference({ m, bias, y }, dims, { first, activation, hasBias, yFirst }) {
    const { n, cout, yChannels, columns, tiles, oh, ow, down, across } = dims;
    const rows = afterRows();
    const activate = activationByCode.get(activation)!;
    for (let p = 0; p < tiles; p++) {
      const tile = first + p, image = Math.floor(tile / (down * across));
      const top = Math.floor(tile / across) % down * TILE, left = tile % across * TILE;
      for (let o = 0; o < cout && image < n; o++) {
        const at = (a: number, b: number) => ((POINTS * a + b) * cout + o) * columns + p;
        bothSides(rows, (a, b) => m[at(a, b)]).forEach((value, i) => {
          const [oy, ox] = [top + Math.floor(i / TILE), left + i % TILE];
          if (oy >= oh || ox >= ow) return;
          y[((image * yChannels + yFirst + o) * oh + oy) * ow + ox] = activate(
            value + (hasBias ? bias[o] : 0),
          );
        });
      }
    }
    return { y };
  },
  // Sums of 36 terms at most with weights up to 6.8: some eps of their size.
  tolerance: { f32: 2e-6 },
  cases: [
    {
      ...{ n: 1, cout: 1, columns: 4, tiles: 1, oh: 1, ow: 1, down: 1, across: 1 },
      ...{ biasSize: 1, yChannels: 1 },
    },
    {
      ...{ n: 2, cout: 5, columns: 24, tiles: 24, oh: 9, ow: 13, down: 3, across: 4, biasSize: 5 },
      ...{ hasBias: 1, activation: 1, yChannels: 9, yFirst: 3 },
    },
    {
      ...{ n: 3, cout: 3, columns: 28, tiles: 25, oh: 9, ow: 17, down: 3, across: 5, biasSize: 3 },
      ...{ first: 20, yChannels: 3 },
    },
  ],
  large: [{
    ...{ n: 1, cout: 64, columns: 1372, tiles: 1369, oh: 147, ow: 147 },
    ...{ down: 37, across: 37, biasSize: 64, yChannels: 64 },
  }],
  variants: [{
    name: "winograd_output",
    source: outputSource,
    lib: [activations, quotient, six],
    tunables: { WG: [64] },
    constants: (_, { activation }) => ({ ACTIVATION: activation }),
    workgroups: ({ cout, tiles }, { WG }) => grid1d(ceilDiv(cout * tiles, WG)),
  }],
});
