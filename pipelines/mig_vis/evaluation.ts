/**
 * Ways of steering side by side: what each changes, how it goes with gamma, and by how much the first is better than the others.
 *
 * @module
 */
import { foldIn, type Key } from "../../engine/random.ts";
import { InputError } from "../errors.ts";
import type { Interval } from "../report/numbers.ts";
import { quantileOf } from "../stats/bootstrap.ts";
import { type Edits, type EffectMatrix, effectMatrix } from "./effects.ts";
import type { FactorScale } from "./factors.ts";
import { type Monotonicity, monotonicity } from "./monotonicity.ts";

/** Images of one way of steering. */
export interface SteeredMethod {
  /** What it is called. */
  readonly name: string;
  /** The images. */
  readonly edits: Edits;
  /** Of the unsteered images with their sources, in dB, `[nSources]`. */
  readonly psnr?: ArrayLike<number>;
  /** How far each image is from anything that a stimulus can be, `[n]`. */
  readonly residuals?: ArrayLike<number>;
}

/** What one way of steering does. */
export interface MethodEvaluation {
  /** What it is called. */
  readonly name: string;
  /** Effects of groups on factors. */
  readonly effects: EffectMatrix;
  /** How each group's own factor goes with gamma; undefined for groups without one. */
  readonly monotone: readonly (Monotonicity | undefined)[];
  /** Mean and least PSNR of the unsteered images. */
  readonly psnr?: { readonly mean: number; readonly least: number };
  /** Mean distance of its images from anything that a stimulus can be. */
  readonly residual?: number;
  /** Ratio of the first method less this one's, with its interval over the sources that both have; undefined for the first, or other sources. */
  readonly behind?: Interval;
}

/** Options of {@link evaluateSteering}. */
export interface EvaluationOptions {
  /** Draws of intervals and exchanges. */
  readonly key: Key;
  /** Factor that each group should move, an index, `[nGroups]`, −1 for none: one list for all methods, or one for each. */
  readonly own: readonly number[] | readonly (readonly number[])[];
  /** Resamples and exchanges (default 2,000). */
  readonly nDraws?: number;
}

const meanOf = (values: ArrayLike<number>): number =>
  Array.from(values).reduce((s, v) => s + v, 0) / values.length;

function sourcesOf({ source }: Edits): string {
  return [...new Set(Array.from(source))].join();
}

/** `a − b` of values and their resamples, which belong together. */
function difference(a: EffectMatrix, b: EffectMatrix): Interval {
  const draws = a.ratioDraws.map((value, i) => value - b.ratioDraws[i]).sort();
  const mean = a.ratio.mean - b.ratio.mean;
  return { mean, low: quantileOf(draws, 0.025), high: quantileOf(draws, 0.975) };
}

/**
 * Judges ways of steering by the same readouts. Intervals are of 95 % over source images.
 *
 * @param methods the first is the one that others are compared with
 * @throws {InputError} when there is no method, or as `effectMatrix` says
 */
export function evaluateSteering(
  methods: readonly SteeredMethod[],
  scale: FactorScale,
  { key, own, nDraws }: EvaluationOptions,
): MethodEvaluation[] {
  if (methods.length === 0) throw new InputError("Cannot judge steering: there is no method");
  const ownOf = (m: number) => (Array.isArray(own[0]) ? own[m] : own) as readonly number[];
  const found = methods.map(({ edits }, m) =>
    effectMatrix(edits, scale, { key: foldIn(key, 0), own: ownOf(m), nDraws })
  );
  return methods.map(({ name, edits, psnr, residuals }, m): MethodEvaluation => ({
    name,
    effects: found[m],
    monotone: ownOf(m).map((factor, group) =>
      factor < 0 ? undefined : monotonicity(edits, scale, { group, factor })
    ),
    psnr: psnr && { mean: meanOf(psnr), least: Math.min(...Array.from(psnr)) },
    residual: residuals && meanOf(residuals),
    behind: m > 0 && sourcesOf(edits) === sourcesOf(methods[0].edits)
      ? difference(found[0], found[m])
      : undefined,
  }));
}
