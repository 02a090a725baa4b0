// A dense layer on the host in float64. Loops take four rows, or four outputs, at a time: each value that is loaded is used four times.
// Arrays are Float64Array throughout: with two kinds of arrays the same loop takes several times as long.

/** Sizes of a layer's product. */
export interface LayerSize {
  /** Samples. */
  readonly rows: number;
  /** Inputs. */
  readonly nIn: number;
  /** Outputs. */
  readonly nOut: number;
}

/** `x · wᵀ + b`: `[rows, nOut]` of `x: [rows, nIn]`, `weight: [nOut, nIn]`. */
export function denseForward(
  x: Float64Array,
  weight: Float64Array,
  bias: Float64Array,
  { rows, nIn, nOut }: LayerSize,
): Float64Array<ArrayBuffer> {
  const out = new Float64Array(rows * nOut);
  const whole = rows - rows % 4;
  for (let o = 0; o < nOut; o++) {
    const at = o * nIn;
    for (let r = 0; r < whole; r += 4) {
      const a = r * nIn, b = a + nIn, c = b + nIn, d = c + nIn;
      let s0 = 0, s1 = 0, s2 = 0, s3 = 0;
      for (let i = 0; i < nIn; i++) {
        const w = weight[at + i];
        s0 += w * x[a + i];
        s1 += w * x[b + i];
        s2 += w * x[c + i];
        s3 += w * x[d + i];
      }
      out[r * nOut + o] = s0 + bias[o];
      out[(r + 1) * nOut + o] = s1 + bias[o];
      out[(r + 2) * nOut + o] = s2 + bias[o];
      out[(r + 3) * nOut + o] = s3 + bias[o];
    }
    for (let r = whole; r < rows; r++) {
      let sum = 0;
      for (let i = 0; i < nIn; i++) sum += x[r * nIn + i] * weight[at + i];
      out[r * nOut + o] = sum + bias[o];
    }
  }
  return out;
}

/** Adds to the gradients of weight and bias, from the gradient `[rows, nOut]` of the outputs. */
export function denseWeightGradient(
  gradient: Float64Array,
  x: Float64Array,
  { weight, bias }: { readonly weight: Float64Array; readonly bias: Float64Array },
  { rows, nIn, nOut }: LayerSize,
): void {
  const whole = rows - rows % 4;
  for (let o = 0; o < nOut; o++) {
    const at = o * nIn;
    for (let r = 0; r < whole; r += 4) {
      const g0 = gradient[r * nOut + o], g1 = gradient[(r + 1) * nOut + o];
      const g2 = gradient[(r + 2) * nOut + o], g3 = gradient[(r + 3) * nOut + o];
      bias[o] += g0 + g1 + g2 + g3;
      const a = r * nIn, b = a + nIn, c = b + nIn, d = c + nIn;
      for (let i = 0; i < nIn; i++) {
        weight[at + i] += g0 * x[a + i] + g1 * x[b + i] + g2 * x[c + i] + g3 * x[d + i];
      }
    }
    for (let r = whole; r < rows; r++) {
      const g = gradient[r * nOut + o];
      bias[o] += g;
      for (let i = 0; i < nIn; i++) weight[at + i] += g * x[r * nIn + i];
    }
  }
}

/** Adds the gradient of the inputs, `[rows, nIn]`, from that of the outputs. */
export function denseInputGradient(
  gradient: Float64Array,
  weight: Float64Array,
  into: Float64Array,
  { rows, nIn, nOut }: LayerSize,
): void {
  const whole = nOut - nOut % 4;
  for (let r = 0; r < rows; r++) {
    const to = r * nIn, from = r * nOut;
    for (let o = 0; o < whole; o += 4) {
      const g0 = gradient[from + o], g1 = gradient[from + o + 1];
      const g2 = gradient[from + o + 2], g3 = gradient[from + o + 3];
      const a = o * nIn, b = a + nIn, c = b + nIn, d = c + nIn;
      for (let i = 0; i < nIn; i++) {
        into[to + i] += g0 * weight[a + i] + g1 * weight[b + i] + g2 * weight[c + i] +
          g3 * weight[d + i];
      }
    }
    for (let o = whole; o < nOut; o++) {
      const g = gradient[from + o];
      for (let i = 0; i < nIn; i++) into[to + i] += g * weight[o * nIn + i];
    }
  }
}
