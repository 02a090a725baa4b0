import { InputError } from "../errors.ts";

/** A whole number by Python's `round`: halves to the even one. */
function roundHalfEven(x: number): number {
  const floor = Math.floor(x), rest = x - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
}

function requireCount(count: number, steps: number): void {
  if (Number.isInteger(count) && count >= 1 && count <= steps) return;
  throw new InputError(
    `Cannot take ${count} of ${steps} steps: there must be from 1 to ${steps}`,
  );
}

/**
 * Steps that guided-diffusion keeps of a longer process (`space_timesteps`), ascending:
 *
 * - `"ddimN"`: every k-th from 0, for the smallest k that leaves exactly N.
 * - `"N"` or N: N evenly spread ones with the first and the last; `"N,M,…"` or a list: as many of each of equal sections.
 *
 * @param steps steps of the whole process
 * @throws {InputError} when no stride leaves N, or a section has fewer steps than are asked for
 */
export function respacedTimesteps(
  steps: number,
  spacing: string | number | readonly number[],
): number[] {
  if (typeof spacing === "string" && spacing.startsWith("ddim")) {
    const count = Number(spacing.slice(4));
    requireCount(count, steps);
    for (let stride = 1; stride <= steps; stride++) {
      if (Math.ceil(steps / stride) !== count) continue;
      return Array.from({ length: count }, (_, k) => k * stride);
    }
    throw new InputError(`Cannot take ${count} of ${steps} steps: no stride leaves as many`);
  }
  const counts = typeof spacing === "number"
    ? [spacing]
    : typeof spacing === "string"
    ? spacing.split(",").map(Number)
    : spacing;
  const kept: number[] = [];
  let start = 0;
  counts.forEach((count, section) => {
    const size = Math.floor(steps / counts.length) + Number(section < steps % counts.length);
    requireCount(count, size);
    const stride = count === 1 ? 1 : (size - 1) / (count - 1);
    let at = 0; // summed up as there, since a rounded sum decides which step is taken
    for (let k = 0; k < count; k++) {
      kept.push(start + roundHalfEven(at));
      at += stride;
    }
    start += size;
  });
  return kept;
}

/**
 * Steps that denoising-diffusion-pytorch's `ddim_sample` takes of a longer process, ascending: whole parts of even spaces from −1 to the
 * last, without the −1.
 *
 * @throws {InputError} when there are not as many
 */
export function ddpTimesteps(steps: number, count: number): number[] {
  requireCount(count, steps);
  return Array.from({ length: count }, (_, k) => Math.trunc((k + 1) * steps / count - 1));
}

/** How diffusers spreads the steps that are taken: `DDIMScheduler.set_timesteps`. */
export type TimestepSpacing = "leading" | "trailing" | "linspace";

/**
 * Steps that diffusers takes of a longer process, descending.
 *
 * @param steps steps of the whole process
 * @param count steps that are taken
 * @param stepsOffset added to those of `"leading"` (Stable Diffusion: 1)
 * @throws {InputError} when there are not as many, or the offset leaves the process
 */
export function diffusersTimesteps(
  steps: number,
  count: number,
  { spacing = "leading", stepsOffset = 0 }: {
    readonly spacing?: TimestepSpacing;
    readonly stepsOffset?: number;
  } = {},
): number[] {
  requireCount(count, steps);
  const timesteps = Array.from({ length: count }, (_, k) => {
    if (spacing === "trailing") return roundHalfEven(steps - k * steps / count) - 1;
    if (spacing === "leading") {
      return (count - 1 - k) * Math.floor(steps / count) + stepsOffset;
    }
    return roundHalfEven((count - 1 - k) * ((steps - 1) / Math.max(1, count - 1)));
  });
  const bad = timesteps.find((t) => !(Number.isInteger(t) && t >= 0 && t < steps));
  if (bad === undefined) return timesteps;
  throw new InputError(
    `Cannot take step ${bad}: steps are counted from 0 and there are ${steps}; the offset is ${stepsOffset}`,
  );
}
