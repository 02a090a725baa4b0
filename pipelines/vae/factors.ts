import type { HostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import { latentSize } from "./settings.ts";

/** Something known of the stimuli that latents may say. */
export interface StimulusFactor {
  /** What it is called. */
  readonly name: string;
  /** A number, or a category as a whole number from 0. */
  readonly kind: "number" | "category";
  /** Of each stimulus. */
  readonly values: ArrayLike<number>;
  /** Factors of one block, such as all pose features, count as one where groups are asked for; else each is its own. */
  readonly block?: string;
}

/** Values as one factor for each column: `name 0`, `name 1`, … of the block `name`. */
export function factorsOf(
  name: string,
  { data, shape: [n, columns] }: HostMatrix,
): StimulusFactor[] {
  return Array.from({ length: columns }, (_, c) => ({
    name: columns === 1 ? name : `${name} ${c}`,
    kind: "number",
    values: Float64Array.from({ length: n }, (_, row) => data[row * columns + c]),
    block: name,
  }));
}

/**
 * Refuses latents and factors that cannot be compared.
 *
 * @throws {InputError} when numbers of stimuli or of dimensions differ, a value is not finite, or a factor never changes
 */
export function requireFactors(
  latents: HostMatrix,
  factors: readonly StimulusFactor[],
  groups: readonly number[],
): void {
  const [n, width] = latents.shape;
  const refuse = (why: string) => {
    throw new InputError(`Cannot measure disentanglement: ${why}`);
  };
  if (factors.length === 0) refuse("there are no factors");
  if (n < 10) refuse(`10 stimuli are needed, there are ${n}`);
  if (latentSize(groups) !== width) {
    refuse(`groups of [${groups}] do not have the ${width} dimensions of the latents`);
  }
  if (!latents.data.every(Number.isFinite)) refuse("a latent is not finite");
  for (const { name, values, kind } of factors) {
    const all = Array.from(values);
    if (all.length !== n) refuse(`${name} has ${all.length} values for ${n} stimuli`);
    if (!all.every(Number.isFinite)) refuse(`a value of ${name} is not finite`);
    if (all.every((value) => value === all[0])) refuse(`${name} is the same for all stimuli`);
    if (kind === "category" && !all.every((value) => Number.isInteger(value) && value >= 0)) {
      refuse(`${name} must be whole numbers from 0`);
    }
  }
}

/** Number of the largest value, and the largest and second largest values; a second of none is 0. */
export function topTwo(values: ArrayLike<number>): { best: number; first: number; second: number } {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  let second = 0;
  for (let i = 0; i < values.length; i++) if (i !== best) second = Math.max(second, values[i]);
  return { best, first: values[best], second };
}
