/** Two sums that a change of any value changes: enough to tell data apart, without a copy of them as text. */
export function digestOf(values: ArrayLike<number> | undefined): number[] {
  const length = values?.length ?? -1;
  let [a, b] = [0, 0];
  for (let i = 0; i < length; i++) {
    const value = values?.[i] ?? 0;
    a += value * (1 + i % 7919);
    b += value * value * (1 + i % 104729);
  }
  return [length, a, b];
}
