/**
 * The eigen-constraint: the leading eigenvectors of a normalised cut of a layer's nodes must be the same before and after alignment.
 *
 * @module
 */
import {
  abs,
  add,
  addScalar,
  neg,
  scale,
  sqrt,
  square,
  sub,
} from "../../../engine/ops/elementwise.ts";
import { matmul } from "../../../engine/ops/matmul.ts";
import { mean, sum } from "../../../engine/ops/reduce.ts";
import type { Gpu } from "../../../engine/gpu.ts";
import { type Tensor, tidy } from "../../../engine/tensor.ts";
import { affinityMatrix } from "../../spectral/affinity.ts";
import { eigenbases, normalizedAffinity, spanOverlap } from "../../spectral/eigen_projector.ts";
import { smoothL1 } from "./losses.ts";

/**
 * Forms of the eigen-constraint, with P the projectors on the k leading eigenvectors before and after:
 *
 * - `projector`: ‖ΔP‖²/(2k), from 0 (the same subspace) to 1 (orthogonal ones);
 * - `mean-abs`: mean |ΔP|, at most √(2k)/n, so that it hardly acts at weight 1;
 * - `smooth-l1`: the mean smooth L1 loss of ΔP with torch's beta of 1, as huzeyann/mood;
 * - `frobenius`: ‖ΔP‖;
 * - `affinity`: mean |ΔS| of the normalised affinities themselves, without eigenvectors.
 */
export type EigenLossForm = "projector" | "mean-abs" | "smooth-l1" | "frobenius" | "affinity";

/** Options of {@link eigenLoss}. */
export interface EigenLossOptions {
  /** What is compared, and how. */
  readonly form?: EigenLossForm;
  /** Numbers of eigenvectors that the loss is averaged over: only the gap behind the last one is singular, and it moves with k. */
  readonly ks?: readonly number[];
  /** Scale of the cosine affinity exp(−(1 − cos)/gamma). */
  readonly gamma?: number;
  /** Stops between two matrices. */
  readonly signal?: AbortSignal;
}

/** Eigenvectors that are compared: AlignedCut colours by 20; the powers of two cover coarse to fine. */
export const EIGEN_KS: readonly number[] = [2, 4, 8, 16];

const TINY = 1e-12; // ‖ΔP‖² of equal projectors: keeps the root's gradient finite

/** Normalised cosine affinities of nodes `[…, n, width]` → `[…, n, n]`. */
export function nodeGraph(nodes: Tensor, gamma: number): Tensor {
  return tidy(
    nodes.gpu,
    () => normalizedAffinity(affinityMatrix(nodes, nodes, { kind: "cosine", gamma })),
  );
}

/**
 * The eigen-constraint between graphs of the same nodes before and after alignment; a gradient flows into `after` alone. The
 * eigenvectors are all found on the host in float64, in about 50·n³ operations for each slice.
 *
 * @param before normalised affinities `[slices, n, n]`
 * @param after the same of aligned features, on a tape
 * @returns the mean over slices and k, one value, which the caller owns
 * @throws {InputError} as {@link eigenbases}
 */
export async function eigenLoss(
  before: Tensor,
  after: Tensor,
  { form = "projector", ks = EIGEN_KS, signal }: Omit<EigenLossOptions, "gamma"> = {},
): Promise<Tensor> {
  const { gpu } = before;
  if (form === "affinity") return tidy(gpu, () => mean(abs(sub(before.detach(), after))));
  using graph = before.detach();
  const old = await eigenbases(graph, ks, { signal });
  try {
    const next = await eigenbases(after, ks, { signal });
    try {
      return averaged(
        gpu,
        ks.map((k, i) => () => spanLoss(old[i].vectors, next[i].vectors, form, k)),
      );
    } finally {
      next.forEach(({ vectors }) => vectors.dispose());
    }
  } finally {
    old.forEach(({ vectors }) => vectors.dispose());
  }
}

function averaged(gpu: Gpu, losses: readonly (() => Tensor)[]): Tensor {
  return tidy(gpu, () => {
    const total = losses.map((loss) => loss()).reduce((a, b) => add(a, b));
    return scale(total, 1 / losses.length);
  });
}

/** The loss for one k, of bases `[slices, n, k]`. */
function spanLoss(u: Tensor, v: Tensor, form: EigenLossForm, k: number): Tensor {
  if (form === "projector") return mean(addScalar(neg(spanOverlap(u, v)), 1));
  const difference = sub(
    matmul(u, u, { transposeB: true }),
    matmul(v, v, { transposeB: true }),
  );
  switch (form) {
    case "mean-abs":
      return mean(abs(difference));
    case "smooth-l1":
      return mean(smoothL1(difference, 1));
    default: {
      const squares = sum(square(difference), { axes: [-2, -1] });
      return mean(sqrt(addScalar(squares, TINY * k)));
    }
  }
}
