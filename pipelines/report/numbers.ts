/** An estimate with its interval of confidence. */
export interface Interval {
  /** The estimate. */
  readonly mean: number;
  /** Lower end. */
  readonly low: number;
  /** Upper end. */
  readonly high: number;
}

/** A number as text: some digits after the point, a true minus sign, "–" for what is not finite. */
export function formatNumber(value: number, digits = 2): string {
  if (!Number.isFinite(value)) return "–";
  const text = value.toFixed(digits);
  // −0.00 is 0.00.
  return Number(text) < 0 ? `−${text.slice(1)}` : text.replace("-", "");
}

/** Digits after the point that tell multiples of a step apart. */
export function stepDigits(step: number): number {
  // toFixed() takes at most 100; the hair keeps 0.1 from counting as less.
  return Math.min(100, Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
}

/** Ends of steps of 1, 2 or 5 times a power of ten that cover a range, about `count` of them. */
export function niceTicks(low: number, high: number, count = 5): number[] {
  if (!(high > low)) return [low];
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((factor) => rough <= factor * power) ?? 10);
  const first = Math.floor(low / step + 1e-9);
  const last = Math.ceil(high / step - 1e-9);
  // Rounded to the step's own digits: 3 · 0.1 is not 0.3.
  const digits = stepDigits(step);
  return Array.from(
    { length: last - first + 1 },
    (_, i) => Number(((first + i) * step).toFixed(digits)),
  );
}

/** Means and ends of intervals, as the bootstrap gives them, one {@link Interval} each. */
export function intervalsOf(
  { mean, low, high }: {
    readonly mean: ArrayLike<number>;
    readonly low: ArrayLike<number>;
    readonly high: ArrayLike<number>;
  },
): Interval[] {
  return Array.from(mean, (value, i) => ({ mean: value, low: low[i], high: high[i] }));
}
