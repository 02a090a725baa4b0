import type { HostMatrix } from "../encoding/host_matrix.ts";
import { requireFactors, type StimulusFactor } from "./factors.ts";
import { fitLasso, standardize } from "./lasso.ts";
import { groupStarts } from "./settings.ts";

/** Disentanglement, completeness and informativeness of a matrix of importances. */
export interface ImportanceScores {
  /** Mean over rows, by their shares of all importance, of 1 less the entropy over columns: does a latent say one thing only? */
  readonly disentanglement: number;
  /** The same of columns over rows: is a thing said by one latent only? */
  readonly completeness: number;
  /** Of each row. */
  readonly rowScores: readonly number[];
  /** Of each column. */
  readonly columnScores: readonly number[];
}

/** DCI between dimensions and factors, and between groups and blocks of factors. */
export interface Dci extends ImportanceScores {
  /** Importance of each dimension for each factor, `[nLatent][nFactors]`. */
  readonly importance: readonly Float64Array[];
  /** Of each factor: R² of left-out numbers, or the share of left-out categories that are said right. */
  readonly informativeness: readonly number[];
  /** Scores of groups for blocks. */
  readonly byGroup: ImportanceScores;
  /** Names of the blocks, the columns of `groupImportance`. */
  readonly blocks: readonly string[];
  /** Importance of each group for each block, `[nGroups][nBlocks]`. */
  readonly groupImportance: readonly Float64Array[];
}

/** 1 less the entropy of shares in units of its largest value; of one alone 1, of none 0. */
function concentration(values: ArrayLike<number>): number {
  const total = Array.from(values).reduce((a, b) => a + b, 0);
  if (total === 0) return 0;
  if (values.length === 1) return 1;
  let entropy = 0;
  for (let i = 0; i < values.length; i++) {
    const share = values[i] / total;
    if (share > 0) entropy -= share * Math.log(share);
  }
  return 1 - entropy / Math.log(values.length);
}

/**
 * Scores of importances: rows are latents, columns what they may say (Eastwood and Williams 2018, section 2).
 *
 * @param importance not below 0
 */
export function importanceScores(importance: readonly Float64Array[]): ImportanceScores {
  const columns = Array.from(
    { length: importance[0]?.length ?? 0 },
    (_, c) => Float64Array.from(importance, (row) => row[c]),
  );
  const scored = (lines: readonly Float64Array[]) => {
    const scores = lines.map(concentration);
    const sums = lines.map((line) => line.reduce((a, b) => a + b, 0));
    const total = sums.reduce((a, b) => a + b, 0);
    const mean = scores.reduce((sum, score, i) => sum + score * sums[i], 0) / (total || 1);
    return { scores, mean };
  };
  const rows = scored(importance), down = scored(columns);
  return {
    disentanglement: rows.mean,
    completeness: down.mean,
    rowScores: rows.scores,
    columnScores: down.scores,
  };
}

/** Importances for one factor, and how well it is said. */
function explain(
  x: Float64Array,
  width: number,
  { kind, values }: StimulusFactor,
): { readonly weights: Float64Array; readonly informativeness: number } {
  if (kind === "number") {
    const { coef, r2 } = fitLasso(x, standardize(values, 1), width);
    return { weights: coef.map(Math.abs), informativeness: Math.max(0, r2) };
  }
  const labels = Array.from(values);
  const classes = [...new Set(labels)].sort((a, b) => a - b);
  const models = classes.map((own) => {
    const isOwn = labels.map((label) => Number(label === own));
    const share = isOwn.reduce((a, b) => a + b, 0) / labels.length;
    return { share, ...fitLasso(x, standardize(isOwn, 1), width) };
  });
  // Back to the indicator's own units, in which the classes compare.
  const said = (c: number, i: number) => {
    const { share, predicted } = models[c];
    return share + predicted[i] * Math.sqrt(share * (1 - share));
  };
  const right = labels.filter((label, i) => {
    let best = 0;
    for (let c = 1; c < classes.length; c++) if (said(c, i) > said(best, i)) best = c;
    return classes[best] === label;
  });
  const squares = (d: number) => models.reduce((sum, { coef }) => sum + coef[d] ** 2, 0);
  return {
    weights: Float64Array.from({ length: width }, (_, d) => Math.sqrt(squares(d) / classes.length)),
    informativeness: right.length / labels.length,
  };
}

/**
 * DCI (Eastwood and Williams 2018) with lasso regressors: the importance of a dimension for a number is the size of its coefficient, for a
 * category the root mean square of those for its classes. Of groups, importances are summed over dimensions, and are means over the factors of
 * a block.
 *
 * @param latents `[nStimuli, nLatent]`
 * @param options.groups dimensions of each latent group; by default each dimension is one
 * @throws {InputError} as {@link requireFactors}
 */
export function dci(
  latents: HostMatrix,
  factors: readonly StimulusFactor[],
  options: { readonly groups?: readonly number[] } = {},
): Dci {
  const [, width] = latents.shape;
  const { groups = new Array<number>(width).fill(1) } = options;
  requireFactors(latents, factors, groups);
  const x = standardize(latents.data, width);
  const explained = factors.map((factor) => explain(x, width, factor));
  const importance = Array.from(
    { length: width },
    (_, d) => Float64Array.from(explained, ({ weights }) => weights[d]),
  );
  const blockOf = factors.map(({ name, block }) => block ?? name);
  const blocks = [...new Set(blockOf)];
  const starts = groupStarts(groups);
  const groupImportance = groups.map((_, g) =>
    Float64Array.from(blocks, (block) => {
      const own = blockOf.flatMap((name, k) => name === block ? [k] : []);
      const rows = importance.slice(starts[g], starts[g + 1]);
      return rows.reduce((sum, row) => sum + own.reduce((s, k) => s + row[k], 0), 0) / own.length;
    })
  );
  return {
    ...importanceScores(importance),
    importance,
    informativeness: explained.map(({ informativeness }) => informativeness),
    byGroup: importanceScores(groupImportance),
    blocks,
    groupImportance,
  };
}
