/**
 * Images to the patches that a vision transformer embeds, and back.
 *
 * @module
 */
import source from "./patchify.wgsl" with { type: "text" };
import { ceilDiv, defineKernel, type Dims, grid1d, type KernelSpec } from "../kernel.ts";

function moveValues(
  x: Float64Array,
  { batch, channels, gridH, gridW, side }: Dims,
  inverse: boolean,
): Float64Array {
  const out = new Float64Array(x.length);
  let at = 0; // runs over the patches
  for (let b = 0; b < batch; b++) {
    for (let py = 0; py < gridH; py++) {
      for (let px = 0; px < gridW; px++) {
        for (let c = 0; c < channels; c++) {
          for (let ky = 0; ky < side; ky++) {
            for (let kx = 0; kx < side; kx++, at++) {
              const row = (b * channels + c) * gridH * side + py * side + ky;
              const pixel = row * gridW * side + px * side + kx;
              if (inverse) out[pixel] = x[at];
              else out[at] = x[pixel];
            }
          }
        }
      }
    }
  }
  return out;
}

const cases = [
  { batch: 1, channels: 1, gridH: 1, gridW: 1, side: 1 },
  { batch: 2, channels: 3, gridH: 3, gridW: 2, side: 5 },
  { batch: 1, channels: 3, gridH: 2, gridW: 4, side: 16 },
];

function movement(name: string, inverse: boolean): KernelSpec {
  const image = "batch channels gridH*side gridW*side";
  const patches = "batch gridH*gridW channels*side*side";
  return defineKernel({
    name,
    buffers: inverse ? { x: patches, y: `out ${image}` } : { x: image, y: `out ${patches}` },
    flops: () => 0,
    reference: ({ x }, dims) => ({ y: moveValues(x, dims, inverse) }),
    tolerance: { f32: 0, f16: 0 }, // values are moved, not computed
    cases,
    large: [{ batch: 8, channels: 3, gridH: 14, gridW: 14, side: 16 }],
    variants: [{
      name,
      source,
      tunables: { WG: [64, 256] },
      constants: () => ({ INVERSE: Number(inverse) }),
      workgroups: ({ batch, channels, gridH, gridW, side }, { WG }) =>
        grid1d(ceilDiv(batch * channels * gridH * gridW * side * side, WG)),
    }],
  });
}

/** `[batch, channels, height, width]` → `[batch, patches, channels·side²]`, patches row by row, values as a convolution's weight has them. */
export const patchifyKernel: KernelSpec = movement("patchify", false);

/** The inverse of {@link patchifyKernel}, which is its adjoint too: every value moves once. */
export const unpatchifyKernel: KernelSpec = movement("unpatchify", true);
