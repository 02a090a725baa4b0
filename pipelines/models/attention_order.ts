/**
 * The order in which a trained network's attention layers have their queries, keys and values, told by the sizes of their rows: training leaves
 * those of each kind alike, and another order mixes the kinds.
 *
 * @module
 */

/** Share of the variance of values that groups explain. */
function explained(values: ArrayLike<number>, groupOf: (i: number) => number): number {
  const n = values.length, sums = [0, 0, 0];
  let total = 0, squares = 0;
  for (let i = 0; i < n; i++) {
    sums[groupOf(i)] += values[i];
    total += values[i];
    squares += values[i] ** 2;
  }
  const all = squares - total ** 2 / n;
  const between = sums.reduce((sum, s) => sum + s ** 2 / (n / 3), 0) - total ** 2 / n;
  return all > 0 ? between / all : 0;
}

/** One attention layer's packed weights, `[3·channels, channels]`. */
export interface PackedAttention {
  readonly weight: ArrayLike<number>;
  readonly channels: number;
  readonly nHeads: number;
}

/** Share of the variance that the right order must explain at least: 0.15 by chance has p < 1e-6 with 192 rows, the fewest of real networks. */
const LEAST = 0.15;
/** How many times better it must be: with two heads a wrong order explains a quarter, with more less. */
const TIMES = 2.5;

/**
 * Whether queries, keys and values lie apart (`true`), or together head by head (`false`); undefined where the weights leave it open, as before
 * training or with one head.
 */
export function attentionOrder(layers: readonly PackedAttention[]): boolean | undefined {
  const told = layers.filter(({ nHeads }) => nHeads > 1);
  if (told.length === 0) return undefined;
  let apart = 0, together = 0;
  for (const { weight, channels, nHeads } of told) {
    const headDim = channels / nHeads;
    const sizes = Float64Array.from({ length: 3 * channels }, (_, row) => {
      let square = 0;
      for (let i = 0; i < channels; i++) square += weight[row * channels + i] ** 2;
      return Math.log(Math.max(square, 1e-30));
    });
    apart += explained(sizes, (row) => Math.floor(row / channels));
    together += explained(sizes, (row) => Math.floor(row / headDim) % 3);
  }
  const best = Math.max(apart, together) / told.length;
  if (best < LEAST || best * told.length < TIMES * Math.min(apart, together)) return undefined;
  return apart > together;
}
