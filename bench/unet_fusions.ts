/**
 * What UNets gain from kernels that do several things at once: the same work done together and apart, in one run.
 *
 * @module
 */
import type { Gpu } from "../engine/gpu.ts";
import { attention } from "../engine/ops/attention.ts";
import { groupNorm } from "../engine/ops/channel_norm.ts";
import { conv2d } from "../engine/ops/conv.ts";
import { add, gelu, scale, silu } from "../engine/ops/elementwise.ts";
import { linear, matmul } from "../engine/ops/matmul.ts";
import { softmax } from "../engine/ops/norm.ts";
import { PreparedWeights } from "../engine/ops/prepared_weights.ts";
import { permute } from "../engine/ops/shape.ts";
import { foldIn, type Key } from "../engine/random.ts";
import { Tensor, tidy } from "../engine/tensor.ts";
import { compare, type Pair, type Ratio } from "./ratios.ts";
import type { TimeOptions } from "./time.ts";

/** Tensors of one comparison. */
class Draws implements Disposable {
  readonly #tensors: Tensor[] = [];

  constructor(readonly gpu: Gpu, readonly key: Key) {}

  randn(shape: readonly number[], spread = 1): Tensor {
    const drawn = Tensor.randn(this.gpu, foldIn(this.key, this.#tensors.length), shape);
    const tensor = tidy(this.gpu, () => spread === 1 ? drawn : scale(drawn, spread));
    if (tensor !== drawn) drawn.dispose();
    this.#tensors.push(tensor);
    return tensor;
  }

  [Symbol.dispose](): void {
    for (const tensor of this.#tensors) tensor.dispose();
  }
}

/** SiLU within the group norm against after it. */
function normPair(d: Draws): Pair {
  const channels = 192, side = 64, options = { groups: 32 };
  const x = d.randn([1, channels, side, side]), weight = d.randn([channels]);
  const bias = d.randn([channels]);
  return {
    name: `group norm and SiLU, ${channels} channels, ${side}²: apart / one kernel`,
    plain: () => tidy(d.gpu, () => silu(groupNorm(x, { ...options, weight, bias }))),
    ours: () => groupNorm(x, { ...options, weight, bias, activation: "silu" }),
    tolerance: 1e-5, // exp is good to 16 ulp on the software drivers
  };
}

/** Bias and residual within the product of a linear layer against after it. */
function residualPair(d: Draws): Pair {
  const tokens = 4096, width = 320;
  const x = d.randn([1, tokens, width]), residual = d.randn([1, tokens, width]);
  const weight = d.randn([width, width], 1 / Math.sqrt(width)), bias = d.randn([width]);
  return {
    name: `linear layer with bias and residual, ${tokens} tokens of ${width}: apart / one kernel`,
    plain: () => tidy(d.gpu, () => add(add(linear(x, weight), bias), residual)),
    ours: () => linear(x, weight, { bias, residual }),
    tolerance: 1e-5,
  };
}

/** Bias and activation within the product. */
function activationPair(d: Draws): Pair {
  const tokens = 1024, width = 320;
  const x = d.randn([1, tokens, width]), bias = d.randn([4 * width]);
  const weight = d.randn([4 * width, width], 1 / Math.sqrt(width));
  return {
    name: `linear layer with bias and GELU, ${tokens} tokens to ${4 * width}: apart / one kernel`,
    plain: () => tidy(d.gpu, () => gelu(add(linear(x, weight), bias))),
    ours: () => linear(x, weight, { bias, activation: "gelu" }),
    tolerance: 1e-5,
  };
}

/** Forms of weights made in every call against kept. */
function preparedPair(d: Draws, prepared: PreparedWeights): Pair {
  const channels = 384, side = 32;
  const x = d.randn([1, channels, side, side]), bias = d.randn([channels]);
  const weight = d.randn([channels, channels, 3, 3], 1 / Math.sqrt(9 * channels));
  const options = { bias, padding: 1 };
  return {
    name: `conv 3×3, ${channels} channels, ${side}²: forms of weights made anew / kept`,
    plain: () => conv2d(x, weight, options),
    ours: () => conv2d(x, weight, { ...options, prepared }),
    tolerance: 0,
  };
}

/** Attention as a chain of kernels against one. */
function attentionPair(d: Draws): Pair {
  const tokens = 1024, nHeads = 6, headDim = 64, width = nHeads * headDim;
  const [q, k, v] = [0, 1, 2].map(() => d.randn([1, tokens, width]));
  const apart = () => {
    const [qs, ks, vs] = [q, k, v].map((t) =>
      permute(t.reshape([1, tokens, nHeads, headDim]), [0, 2, 1, 3])
    );
    const scores = scale(matmul(qs, ks, { transposeB: true }), 1 / Math.sqrt(headDim));
    return permute(matmul(softmax(scores), vs), [0, 2, 1, 3]).reshape([1, tokens, width]);
  };
  return {
    name: `attention, ${tokens} tokens, ${nHeads} heads of ${headDim}: apart / one kernel`,
    plain: () => tidy(d.gpu, apart),
    ours: () => attention(q, k, v, { nHeads }),
    tolerance: 2e-5,
  };
}

/** The fusions that are kept, each against the same work apart. */
export async function* unetFusions(
  gpu: Gpu,
  { key, ...options }: TimeOptions & { readonly key: Key },
): AsyncGenerator<Ratio> {
  for (const make of [normPair, residualPair, activationPair, preparedPair, attentionPair]) {
    using draws = new Draws(gpu, key);
    using prepared = new PreparedWeights();
    yield await compare(gpu, make(draws, prepared), options);
  }
}
