import { foldSums, packPanels, type Panels } from "../../engine/ops/fold_sums.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { slice } from "../../engine/ops/shape.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { take } from "./device_matrix.ts";
import { isContiguous } from "./fold_layout.ts";
import type { RidgeSamples } from "./ridge_samples.ts";
import type { RidgeSolver } from "./ridge_solver.ts";

/** Targets of a panel. */
export const PANEL = 64;

/** Responses of some targets on the device, packed for scoring, with the sides that solvers made of them. */
export class TargetTile implements Disposable {
  readonly #samples: RidgeSamples;
  readonly #columns: Uint32Array;
  readonly #y: Tensor;
  readonly #panels: Panels;
  readonly #shifts: readonly Tensor[];
  readonly #sides = new Map<RidgeSolver, readonly (Panels | undefined)[]>();
  readonly #tests: readonly (Panels | undefined)[];

  /** Uploads the responses of these targets. */
  constructor(samples: RidgeSamples, columns: Uint32Array) {
    const { gpu, layout: { folds } } = samples;
    this.#samples = samples;
    this.#columns = columns;
    // A row after the last one meets the place that makes an operator's length even.
    this.#y = samples.responses(columns, { padding: 1 });
    this.#panels = packPanels(this.#y, { columns: true });
    this.#shifts = folds.map((_, fold) => {
      const means = samples.shiftsOf(fold);
      const padded = new Float32Array(Math.ceil(columns.length / PANEL) * PANEL);
      columns.forEach((t, j) => padded[j] = means[t]);
      return Tensor.from(gpu, padded);
    });
    this.#tests = folds.map(({ test }) =>
      isContiguous(test)
        ? undefined
        : tidy(gpu, () => packPanels(take(this.#y, 0, test), { columns: true }))
    );
  }

  /** All responses, `[nSamples, nTargets]`; the caller owns the handle. */
  responses(): Tensor {
    return this.#y.alias([this.#samples.nSamples, this.#columns.length]);
  }

  #sideOf(solver: RidgeSolver, fold: number): Panels | undefined {
    let sides = this.#sides.get(solver);
    if (!sides) {
      sides = tidy(this.#samples.gpu, () => this.#makeSides(solver));
      this.#sides.set(solver, sides);
    }
    return sides[fold];
  }

  #makeSides(solver: RidgeSolver): (Panels | undefined)[] {
    const y = this.responses();
    const { folds } = this.#samples.layout;
    if (!solver.sides) {
      return folds.map(({ out, train }) =>
        isContiguous(out) ? undefined : packPanels(take(y, 0, train), { columns: true })
      );
    }
    const width = this.#columns.length;
    const means = this.#shifts.map((shift) =>
      slice(shift.reshape([1, shift.size]), { axis: 1, start: 0, end: width })
    );
    return solver.sides(y, means).map((side) => packPanels(side, { columns: true }));
  }

  /**
   * Sums over the test side of a split that the scores of some targets of the tile follow from, `[64·nPanels, 4]`: see {@link foldSums}.
   * They are those of whole panels of 64 targets, of which the first may begin before `span`. Without intercept the mean of the responses
   * is taken off predictions, unless they are plain.
   */
  score(
    solver: RidgeSolver,
    { fold, operator, span, isPlain = false }: {
      fold: number;
      operator: Panels;
      span: readonly [number, number];
      isPlain?: boolean;
    },
  ): Tensor {
    const { test, out } = this.#samples.layout.folds[fold];
    const side = this.#sideOf(solver, fold);
    const [start, end] = [Math.floor(span[0] / PANEL), Math.ceil(span[1] / PANEL)];
    const part = ({ values, depth }: Panels): Panels => ({
      values: values.alias([end - start, depth, PANEL], start * depth * PANEL),
      width: (end - start) * PANEL,
      depth,
    });
    return tidy(this.#samples.gpu, () => {
      const options = {
        both: !this.#samples.fitIntercept && !isPlain,
        testStart: this.#tests[fold] ? 0 : test[0],
        ...(side ? {} : { skipStart: out[0], skipCount: out.length }),
      };
      const y = this.#tests[fold] ?? this.#panels;
      const shift = this.#shifts[fold].alias([(end - start) * PANEL], start * PANEL);
      const sums = foldSums(operator, part(side ?? this.#panels), part(y), shift, options);
      return sum(sums, { axes: [0] });
    });
  }

  [Symbol.dispose](): void {
    const sides = [...this.#sides.values()].flat();
    for (const panels of [this.#panels, ...sides, ...this.#tests]) panels?.values.dispose();
    [this.#y, ...this.#shifts].forEach((t) => t.dispose());
  }
}
