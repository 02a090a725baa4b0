/**
 * Checks of an alignment that its losses promise: the eigenvectors of every layer are kept, and its features are not collapsed.
 *
 * @module
 */
import { sum } from "../../../engine/ops/reduce.ts";
import { square } from "../../../engine/ops/elementwise.ts";
import { diagonal } from "../../../engine/ops/matrix.ts";
import type { Gpu } from "../../../engine/gpu.ts";
import { foldIn, type Key, randomKey } from "../../../engine/random.ts";
import { readAll, Tensor, tidy } from "../../../engine/tensor.ts";
import { eigenbases, spanOverlap } from "../../spectral/eigen_projector.ts";
import { permutation } from "../cross_validation.ts";
import { hostMatrix } from "../host_matrix.ts";
import type { Alignment } from "./alignment.ts";
import { EIGEN_KS, type EigenLossOptions, nodeGraph } from "./eigen_loss.ts";
import { covariance } from "./losses.ts";
import type { AlignmentSlice, TokenSource } from "./tokens.ts";

/** Images that nodes are drawn from unless others are named. */
const MOST_IMAGES = 64;

/** What {@link auditAlignment} finds of one layer of one network. */
export interface SliceAudit extends AlignmentSlice {
  /** ‖ΔP‖²/(2k) of the leading eigenvectors before and after, for each k: 0 the same subspace, 1 an orthogonal one. */
  readonly projectorDistances: readonly number[];
  /** (Σλ)²/Σλ² of the covariance of tokens before: how many directions they vary in. */
  readonly participationBefore: number;
  /** The same of aligned features: 1 where they are collapsed to a line. */
  readonly participationAfter: number;
}

/** Options of {@link auditAlignment}. */
export interface AuditOptions extends Pick<EigenLossOptions, "ks" | "gamma" | "signal"> {
  /** Rows of the images; the first 64 of the alignment's held-out ones when left out. */
  readonly images?: ArrayLike<number>;
  /** Patches of each slice that graphs are made of, at most 512. */
  readonly nNodes?: number;
  /** Which patches. */
  readonly key?: Key;
}

/**
 * Audits an alignment, by default on the images that were held out.
 *
 * @throws {InputError} when the source has layers that the alignment has not
 */
export async function auditAlignment(
  gpu: Gpu,
  source: TokenSource,
  alignment: Alignment,
  { images, nNodes = 256, key = randomKey(0), ks = EIGEN_KS, gamma = 1, signal }: AuditOptions = {},
): Promise<SliceAudit[]> {
  const rows = Uint32Array.from(images ?? alignment.training.heldOut.subarray(0, MOST_IMAGES));
  const nPatches = source.grid ** 2;
  const read = source.read(rows);
  const audits: SliceAudit[] = [];
  for (const [s, slice] of source.slices.entries()) {
    signal?.throwIfAborted();
    const order = permutation(foldIn(key, s), rows.length * nPatches).subarray(0, nNodes);
    const nodes = new Float32Array(order.length * slice.width);
    order.forEach((at, i) => {
      const token = Math.floor(at / nPatches) * (1 + nPatches) + 1 + at % nPatches;
      nodes.set(read[s].subarray(token * slice.width, (token + 1) * slice.width), i * slice.width);
    });
    const before = hostMatrix(nodes, [order.length, slice.width]);
    const after = await alignment.apply(before, slice);
    using x = Tensor.from(gpu, before.data, [1, ...before.shape]);
    using y = Tensor.from(gpu, after.data, [1, ...after.shape]);
    const usable = ks.filter((k) => k < order.length);
    const projectorDistances = await spanDistances(x, y, { ks: usable, gamma, signal });
    const [participationBefore, participationAfter] = [
      await participation(x),
      await participation(y),
    ];
    audits.push({ ...slice, projectorDistances, participationBefore, participationAfter });
  }
  return audits;
}

/** Distances of the projectors of two sets of the same nodes `[1, n, …]`, one for each k. */
async function spanDistances(
  x: Tensor,
  y: Tensor,
  { ks, gamma, signal }: { ks: readonly number[]; gamma: number; signal?: AbortSignal },
): Promise<number[]> {
  if (ks.length === 0) return [];
  using stack = new DisposableStack();
  const bases: Tensor[][] = [];
  for (const nodes of [x, y]) {
    const found = await eigenbases(stack.use(nodeGraph(nodes, gamma)), ks, { signal });
    bases.push(found.map(({ vectors }) => stack.use(vectors)));
  }
  const overlaps = ks.map((_, i) => stack.use(spanOverlap(bases[0][i], bases[1][i])));
  return (await readAll(overlaps)).map(([overlap]) => Math.max(0, 1 - overlap));
}

/** (tr C)²/‖C‖² of nodes `[1, n, width]`. */
async function participation(nodes: Tensor): Promise<number> {
  const parts = tidy(nodes.gpu, () => {
    const c = covariance(nodes);
    return [sum(diagonal(c)), sum(square(c))];
  });
  const [[trace], [squares]] = await readAll(parts);
  parts.forEach((part) => part.dispose());
  return squares > 0 ? trace ** 2 / squares : 0;
}
