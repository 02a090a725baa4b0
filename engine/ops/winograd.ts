/**
 * Convolutions of 3×3 taps by products at points, where that pays: on CPU drivers, for images that fill the tiles.
 *
 * @module
 */
import type { Window } from "./conv_geometry.ts";
import type { Into } from "./into.ts";
import { productOfPacked } from "./matmul_panels.ts";
import { run } from "../run.ts";
import { type Tensor, tidy } from "../tensor.ts";
import { type Activation, activationCodes } from "../../shaders/elementwise/unary.ts";
import { ceilDiv } from "../../shaders/kernel.ts";
import {
  POINTS,
  TILE,
  winogradInputDims,
  winogradInputKernel,
  winogradOutputKernel,
  winogradWeightDims,
  winogradWeightsKernel,
} from "../../shaders/conv/winograd.ts";
import { PANEL } from "../../shaders/matmul/panels.ts";

/** The form of a weight by its name, made where it is not kept yet. */
export type KeptForms = (name: string, make: () => Tensor) => Tensor;

/** A convolution, or the gradient of one by its input (`isTransposed`). */
export interface ConvPlan {
  /** Of the convolution, not of its gradient. */
  readonly window: Window;
  /** Groups. */
  readonly groups: number;
  /** Channels of the output. */
  readonly cout: number;
  /** Height and width of the output. */
  readonly size: readonly [number, number];
  /** Whether the gradient by the input is meant. */
  readonly isTransposed: boolean;
  /** Where the weights' forms are kept; made anew when absent. */
  readonly prepared?: KeptForms;
}

/** Values of both sides of the products that are made at once: about what a core's second cache holds. */
const CHUNK = 1 << 19;
const TAPS = 3;

/**
 * Whether a convolution should go this way. One image decides, so that its bits do not depend on the batch.
 */
export function usesWinograd({ gpu, dtype, shape: [, cin] }: Tensor, plan: ConvPlan): boolean {
  const { window: { kernel, stride, dilation }, groups, cout, size: [oh, ow] } = plan;
  const { caps, options } = gpu;
  const hasLanes = caps.isSoftware && caps.features.has("subgroups") &&
    caps.subgroupMinSize === 8 && caps.subgroupMaxSize === 8; // products of panels are fast there
  if (!hasLanes || options.kernels === "naive" || dtype !== "f32" || groups !== 1) return false;
  const isPlain = kernel.every((k) => k === TAPS) && [...stride, ...dilation].every((s) => s === 1);
  const tiles = ceilDiv(oh, TILE) * ceilDiv(ow, TILE);
  // Products of full tiles against plain ones, and channels that the way to the points and back is shared among.
  const isFull = 1.6 * POINTS * POINTS * PANEL * ceilDiv(tiles, PANEL) <= TAPS * TAPS * oh * ow;
  return isPlain && isFull && cin * cout >= 2048;
}

/** Writes `activation(convolution + bias)`. */
export function convolveWinograd(
  [x, weight, bias]: readonly [Tensor, Tensor, Tensor?],
  plan: ConvPlan,
  { activation, into: { images: y, first: yFirst } }: { activation: Activation; into: Into },
): void {
  const { window, cout, size: [oh, ow], isTransposed, prepared } = plan;
  const [n, cin, h, w] = x.shape;
  const down = ceilDiv(oh, TILE), across = ceilDiv(ow, TILE), total = n * down * across;
  const [padTop, padLeft] = [window.padding[0], window.padding[3]].map((pad) =>
    isTransposed ? TAPS - 1 - pad : pad
  );
  const panels = Math.floor(CHUNK / (POINTS * POINTS * (cin + cout) * PANEL));
  // Odd numbers of panels and of quads: what lies a multiple of 4 KiB apart would share sets of the first cache.
  const chunk = PANEL * (Math.max(1, panels) | 1) - 4;
  tidy(x.gpu, () => {
    const args = { transposed: Number(isTransposed) };
    const make = () =>
      run(winogradWeightsKernel, [weight], { dims: winogradWeightDims(cin, cout), args })[0];
    const u = prepared?.(`winograd ${args.transposed}`, make) ?? make();
    const other = bias ?? u; // bound in its place, and not read
    for (let first = 0; first < total; first += chunk) {
      const tiles = Math.min(chunk, total - first), columns = 4 * (ceilDiv(tiles, 4) | 1);
      tidy(x.gpu, () => {
        const dims = winogradInputDims({ n, cin, h, w, down, across }, columns);
        const [v] = run(winogradInputKernel, [x], { dims, args: { first, padTop, padLeft } });
        const m = productsAtPoints(u, v, { cout, columns, kPadded: dims.kPadded });
        run(winogradOutputKernel, [m, other, y], {
          dims: {
            ...{ n, cout, columns, tiles, oh, ow, down, across },
            ...{ biasSize: other.size, yChannels: y.shape[1] },
          },
          args: { first, yFirst, hasBias: Number(!!bias), activation: activationCodes[activation] },
        });
      });
    }
  });
}

/** One product of matrices for each point. */
function productsAtPoints(
  u: Tensor,
  v: Tensor,
  { cout, columns, kPadded }: { cout: number; columns: number; kPadded: number },
): Tensor {
  const unread = { bias: u, scale: u, residual: u, args: {} };
  return productOfPacked(
    u,
    v,
    {
      ...{ batch: POINTS * POINTS, m: cout, n: columns, k: kPadded },
      ...{ transposeA: false, transposeB: true, isSharedA: false, isSharedB: false },
    },
    unread,
    {},
  );
}
