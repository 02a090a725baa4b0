// Products in float64 on the host, for small problems that f32 cannot resolve.

const WIDTH = 256; // values of each vector per pass: a panel stays in the cache

/** `into += panel · panelᵀ`, lower triangle. `panel: [count, WIDTH]` */
function addOuter(panel: Float64Array, count: number, into: Float64Array): void {
  for (let i = 0; i < count; i += 2) {
    const second = i + 1 < count;
    const a0 = i * WIDTH, a1 = (second ? i + 1 : i) * WIDTH;
    for (let j = 0; j <= i + 1 && j < count; j += 2) {
      const b0 = j * WIDTH, b1 = (j + 1 < count ? j + 1 : j) * WIDTH;
      let s00 = 0, s01 = 0, s10 = 0, s11 = 0;
      for (let k = 0; k < WIDTH; k++) {
        const x0 = panel[a0 + k], x1 = panel[a1 + k], y0 = panel[b0 + k], y1 = panel[b1 + k];
        s00 += x0 * y0;
        s01 += x0 * y1;
        s10 += x1 * y0;
        s11 += x1 * y1;
      }
      into[i * count + j] += s00;
      if (j + 1 <= i) into[i * count + j + 1] += s01;
      if (second) {
        into[(i + 1) * count + j] += s10;
        if (j + 1 <= i + 1) into[(i + 1) * count + j + 1] += s11;
      }
    }
  }
}

function mirror(g: Float64Array<ArrayBuffer>, n: number): Float64Array<ArrayBuffer> {
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < i; j++) g[j * n + i] = g[i * n + j];
  }
  return g;
}

/** `x·xᵀ` of `x: [rows, columns]`, or with `transpose` `xᵀ·x`. */
export function productsOf(
  x: Float64Array,
  [rows, columns]: readonly [number, number],
  { transpose = false } = {},
): Float64Array<ArrayBuffer> {
  const [count, length] = transpose ? [columns, rows] : [rows, columns];
  const gram = new Float64Array(count * count);
  const panel = new Float64Array(count * WIDTH);
  for (let start = 0; start < length; start += WIDTH) {
    const end = Math.min(length, start + WIDTH);
    panel.fill(0);
    for (let i = 0; i < count; i++) {
      for (let k = start; k < end; k++) {
        panel[i * WIDTH + k - start] = x[transpose ? k * columns + i : i * columns + k];
      }
    }
    addOuter(panel, count, gram);
  }
  return mirror(gram, count);
}

/** `a·b` of `a: [m, k]` and `b: [k, n]`. */
export function multiply(
  a: Float64Array,
  b: Float64Array,
  [m, k, n]: readonly [number, number, number],
): Float64Array<ArrayBuffer> {
  const c = new Float64Array(m * n);
  for (let i = 0; i < m; i++) {
    const row = c.subarray(i * n, (i + 1) * n);
    for (let p = 0; p < k; p++) {
      const value = a[i * k + p], from = p * n;
      for (let j = 0; j < n; j++) row[j] += value * b[from + j];
    }
  }
  return c;
}
