/**
 * Transformers over the places of an image that attend to a context too, as Stable Diffusion's UNet has them (diffusers'
 * `Transformer2DModel` of `BasicTransformerBlock`s).
 *
 * @module
 */
import { crossAttention, selfAttention } from "../../engine/ops/attention.ts";
import { add, gelu, mul } from "../../engine/ops/elementwise.ts";
import { linear } from "../../engine/ops/matmul.ts";
import { layerNorm } from "../../engine/ops/norm.ts";
import { slice, transpose } from "../../engine/ops/shape.ts";
import { type Tensor, tidy } from "../../engine/tensor.ts";
import { type BiasedLayer, type Layer, type Norm, normed } from "./unet_layers.ts";

/** Weights of one block. */
export interface TransformerBlock {
  readonly norm1: BiasedLayer;
  /** `[3·C, C]`, without a bias. */
  readonly qkv: Layer;
  readonly out1: Layer;
  readonly norm2: BiasedLayer;
  /** `[C, C]`, without a bias. */
  readonly query: Layer;
  /** `[2·C, width of the context]`, without a bias. */
  readonly keyValue: Layer;
  readonly out2: Layer;
  readonly norm3: BiasedLayer;
  /** `[8·C, C]`: values, then gates. */
  readonly gated: Layer;
  readonly out3: Layer;
}

/** Weights of a transformer over places. */
export interface SpatialTransformer {
  readonly norm: Norm;
  /** `[C, C]` */
  readonly projIn: Layer;
  readonly blocks: readonly TransformerBlock[];
  /** `[C, C]` */
  readonly projOut: Layer;
  readonly nHeads: number;
}

const LAYER_NORM_EPS = 1e-5; // BasicTransformerBlock

const through = (x: Tensor, { weight, bias }: Layer, residual?: Tensor): Tensor =>
  linear(x, weight, { bias, residual });

function runBlock(x: Tensor, context: Tensor, block: TransformerBlock, nHeads: number): Tensor {
  const norm = (x: Tensor, { weight, bias }: BiasedLayer) =>
    layerNorm(x, weight, bias, { eps: LAYER_NORM_EPS });
  return tidy(x.gpu, () => {
    const own = selfAttention(through(norm(x, block.norm1), block.qkv), { nHeads });
    const afterOwn = through(own, block.out1, x);
    const query = through(norm(afterOwn, block.norm2), block.query);
    const told = crossAttention(query, through(context, block.keyValue), { nHeads });
    const afterTold = through(told, block.out2, afterOwn);
    const wide = through(norm(afterTold, block.norm3), block.gated);
    const half = wide.shape[2] / 2;
    const values = slice(wide, { axis: 2, end: half });
    const gates = gelu(slice(wide, { axis: 2, start: half }));
    return through(mul(values, gates), block.out3, afterTold);
  });
}

/**
 * A transformer over the places of `x: [n, C, h, w]` → the same shape.
 *
 * @param context `[n, tokens, width]`
 */
export function runSpatialTransformer(
  x: Tensor,
  context: Tensor,
  { norm, projIn, blocks, projOut, nHeads }: SpatialTransformer,
): Tensor {
  const [n, channels, h, w] = x.shape;
  return tidy(x.gpu, () => {
    const tokens = transpose(normed(x, norm, "none").reshape([n, channels, h * w]));
    const last = blocks.reduce(
      (y, block) => runBlock(y, context, block, nHeads),
      through(tokens, projIn),
    );
    return add(x, transpose(through(last, projOut)).reshape([n, channels, h, w]));
  });
}
