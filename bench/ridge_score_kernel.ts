/**
 * The kernel that scores predictions as it makes them against the plain product, and against the product and what scores it.
 *
 * @module
 */
import type { Gpu } from "../engine/gpu.ts";
import { mul, square, sub } from "../engine/ops/elementwise.ts";
import { foldSums, packPanels } from "../engine/ops/fold_sums.ts";
import { matmul } from "../engine/ops/matmul.ts";
import { sum } from "../engine/ops/reduce.ts";
import { slice, stack } from "../engine/ops/shape.ts";
import { foldIn, type Key } from "../engine/random.ts";
import { Tensor, tidy } from "../engine/tensor.ts";
import { compare } from "./ratios.ts";
import type { RidgeCase } from "./ridge_case.ts";
import { isDual } from "./ridge_methods.ts";
import { time } from "./time.ts";

/** Predictions of one fold at one alpha, scored. */
export interface ScoreKernelRow {
  /** Name of the case. */
  readonly case: string;
  /** Rows, terms and targets of the product. */
  readonly sizes: Readonly<Record<"m" | "k" | "targets", number>>;
  /** Milliseconds of the product alone, its operands packed in them. */
  readonly productMs: number;
  /** Milliseconds of the product and of the ops that score it. */
  readonly composedMs: number;
  /** Milliseconds of the kernel: the operator is packed in them, the responses, which serve all alphas, are not. */
  readonly fusedMs: number;
  /** `composedMs / fusedMs` */
  readonly ratio: number;
  /** Rate of the kernel over that of the product. */
  readonly share: number;
  /** Greatest relative error between the two results. */
  readonly error: number;
}

const WIDEST = 4096; // targets: enough to fill any device
const PANEL = 64;

/**
 * Times the score kernel at the shape of a case.
 *
 * @throws {Error} where it disagrees with the composed ops: nothing is timed then
 */
export async function benchScoreKernel(
  gpu: Gpu,
  ridge: RidgeCase,
  { key, samples = 5 }: { key: Key; samples?: number },
): Promise<ScoreKernelRow> {
  const { n, p, nFolds } = ridge;
  const m = Math.ceil(n / nFolds), k = isDual(ridge) ? n - m : p;
  const width = PANEL * Math.ceil(Math.min(WIDEST, ridge.nTargets) / PANEL);
  using operator = tidy(gpu, () => Tensor.randn(gpu, foldIn(key, 0), [m, k]));
  using side = Tensor.randn(gpu, foldIn(key, 1), [k + 1, width]);
  using y = Tensor.randn(gpu, foldIn(key, 2), [m, width]);
  using shift = Tensor.from(gpu, new Float32Array(width));
  using held = new DisposableStack();
  const packed = packPanels(side, { columns: true }), packedY = packPanels(y, { columns: true });
  [packed, packedY].forEach(({ values }) => held.use(values));
  const product = () => matmul(operator, slice(side, { axis: 0, start: 0, end: k }));
  const { ratio, plainMs, oursMs, error } = await compare(gpu, {
    name: `${ridge.name}: composed / fused scores of ${m}×${k}×${width}`,
    plain: () => tidy(gpu, () => composedSums(product(), y)),
    ours: () =>
      tidy(gpu, () => {
        const options = { skipStart: k, skipCount: 0 };
        const sums = foldSums(packPanels(operator), packed, packedY, shift, options);
        return sum(sums, { axes: [0] });
      }),
    tolerance: 2e-5, // sums of m squares of sums of k products: eps·√(m·k), a few times
  }, { samples });
  const { ms: productMs } = await time(gpu, () => void product(), { samples });
  return {
    ...{ case: ridge.name, sizes: { m, k, targets: width }, productMs, composedMs: plainMs },
    ...{ fusedMs: oursMs, ratio, share: productMs / oursMs, error },
  };
}

/** Σp, Σp², Σy·p and Σ(y − p)² by the ops that there are for it, `[width, 4]`. */
function composedSums(predictions: Tensor, y: Tensor): Tensor {
  const down = (x: Tensor) => sum(x, { axes: [0] });
  const sums = [
    down(predictions),
    down(square(predictions)),
    down(mul(y, predictions)),
    down(square(sub(y, predictions))),
  ];
  return stack(sums, 1);
}
