/**
 * What the convolution kernels share: their scalars, the float64 enumeration of their products, and test cases by shape.
 *
 * @module
 */
import type { Args, Dims } from "../kernel.ts";

/** Scalars of every convolution kernel. */
export const convArgs = {
  strideY: 1,
  strideX: 1,
  padTop: 0,
  padLeft: 0,
  dilationY: 1,
  dilationX: 1,
};

/** Calls `visit(y, x, w)` for every product of a convolution; `x` and `w` are flat indices, `y` the output's. */
export function eachProduct(
  transposed: boolean,
  { n, groups, cinG, coutG, h, w, oh, ow, kh, kw }: Dims,
  { strideY, strideX, padTop, padLeft, dilationY, dilationX }: Args,
  visit: (y: number, x: number, weight: number) => void,
): void {
  const source = (o: number, tap: number, stride: number, pad: number, dilation: number) =>
    transposed ? (o + pad - tap * dilation) / stride : o * stride - pad + tap * dilation;
  const isInside = (i: number, size: number) => Number.isInteger(i) && i >= 0 && i < size;
  for (let z = 0; z < n * groups * coutG * oh * ow; z++) {
    const ox = z % ow, oy = Math.floor(z / ow) % oh;
    const channel = Math.floor(z / (oh * ow)) % (groups * coutG);
    const image = Math.floor(z / (oh * ow * groups * coutG));
    const group = Math.floor(channel / coutG), o = channel % coutG;
    for (let tap = 0; tap < kh * kw; tap++) {
      const iy = source(oy, Math.floor(tap / kw), strideY, padTop, dilationY);
      const ix = source(ox, tap % kw, strideX, padLeft, dilationX);
      if (!isInside(iy, h) || !isInside(ix, w)) continue;
      for (let c = 0; c < cinG; c++) {
        const inner = transposed ? c * coutG + o : o * cinG + c;
        visit(
          z,
          (((image * groups + group) * cinG + c) * h + iy) * w + ix,
          (group * cinG * coutG + inner) * kh * kw + tap,
        );
      }
    }
  }
}

/** A case by its shape; the output size follows by the formula of PyTorch's `Conv2d`. */
export function convCase(
  transposed: boolean,
  { n = 1, groups = 1, pad = [0, 0, 0, 0], ...given }: {
    n?: number;
    groups?: number;
    c: readonly [cinG: number, coutG: number];
    size: readonly [h: number, w: number];
    k: readonly [kh: number, kw: number];
    stride?: readonly [number, number];
    dilation?: readonly [number, number];
    pad?: readonly [top: number, right: number, bottom: number, left: number];
    activation?: number;
    hasBias?: number;
    into?: readonly [yChannels: number, yFirst: number];
  },
): Dims {
  const { c: [cinG, coutG], size: [h, w], k: [kh, kw], stride = [1, 1], dilation = [1, 1] } = given;
  const { activation = 0, hasBias = 0, into = [groups * coutG, 0] } = given;
  const out = (i: number, axis: 0 | 1, before: number, after: number) => {
    const reach = dilation[axis] * ([kh, kw][axis] - 1);
    return transposed
      ? (i - 1) * stride[axis] - before - after + reach + 1
      : Math.floor((i + before + after - reach - 1) / stride[axis]) + 1;
  };
  const oh = out(h, 0, pad[0], pad[2]), ow = out(w, 1, pad[3], pad[1]);
  const biasSize = hasBias ? groups * coutG : groups * coutG * cinG * kh * kw;
  return {
    ...{ n, groups, cinG, coutG, h, w, kh, kw, oh, ow, biasSize, activation, hasBias },
    ...{ strideY: stride[0], strideX: stride[1], padTop: pad[0], padLeft: pad[3] },
    ...{ dilationY: dilation[0], dilationX: dilation[1] },
    ...{ yChannels: into[0], yFirst: into[1] },
  };
}
