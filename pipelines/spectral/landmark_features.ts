import type { Gpu } from "../../engine/gpu.ts";
import { eigh } from "../../engine/ops/eigh_device.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import type { HostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import { type Affinity, affinityMatrix } from "./affinity.ts";
import { inRowPieces, type RowMap } from "./row_map.ts";

// Of the largest eigenvalue of the landmarks' affinities. Below the first, directions are rounding of f32 affinities near 1; those below
// the second are kept only where few are above it. Measured: errors fall down to the first, at a growing cost.
const ROUNDING = 1e-8;
const SMALL = 3e-6;

/**
 * Features by landmarks: `z(x) = a(x, L)·U·Λ^−½` with the affinities of the landmarks a(L, L) = U·Λ·Uᵀ. Products z(x)·z(y) are the affinities
 * that the landmarks' span (Williams and Seeger, 2001), exact between landmarks. Directions of eigenvalues within rounding are left out, and of small ones all but `wanted`.
 */
export class LandmarkFeatures implements RowMap {
  private constructor(
    /** Directions that are kept. */
    readonly width: number,
    private readonly landmarks: Tensor,
    private readonly turn: Tensor,
    private readonly affinity: Affinity,
  ) {}

  /**
   * Decomposes the affinities of landmarks.
   *
   * @param landmarks `[m, d]`
   * @throws {InputError} when no direction has a positive eigenvalue
   */
  static async of(
    gpu: Gpu,
    landmarks: HostMatrix,
    { affinity, wanted = Infinity, signal }: {
      readonly affinity: Affinity;
      readonly wanted?: number;
      readonly signal?: AbortSignal;
    },
  ): Promise<LandmarkFeatures> {
    const rows = Tensor.from(gpu, landmarks.data, landmarks.shape);
    try {
      const [m] = landmarks.shape;
      using a = affinityMatrix(rows, rows, affinity);
      const { values, vectors } = await eigh(a, { signal }); // ascending
      using all = vectors;
      const largest = values[m - 1];
      const descending = [...values.keys()].reverse();
      const kept = descending.filter((i, rank) =>
        values[i] > (rank < wanted ? ROUNDING : SMALL) * largest && values[i] > 0
      );
      if (kept.length === 0) {
        throw new InputError(
          `Cannot cut by ${m} landmarks: their affinities have no positive part`,
        );
      }
      const u = await all.data() as Float32Array;
      const turn = new Float32Array(m * kept.length);
      kept.forEach((i, c) => {
        for (let r = 0; r < m; r++) turn[r * kept.length + c] = u[r * m + i] / Math.sqrt(values[i]);
      });
      const on = Tensor.from(gpu, turn, [m, kept.length]);
      return new LandmarkFeatures(kept.length, rows, on, affinity);
    } catch (cause) {
      rows.dispose();
      throw cause;
    }
  }

  /** `[n, d]` → `[n, width]` */
  apply(x: Tensor): Tensor {
    return inRowPieces(
      x,
      this.landmarks.shape[0],
      (x) => tidy(x.gpu, () => matmul(affinityMatrix(x, this.landmarks, this.affinity), this.turn)),
    );
  }

  /** Gives the landmarks' memory back. */
  [Symbol.dispose](): void {
    this.landmarks.dispose();
    this.turn.dispose();
  }
}
