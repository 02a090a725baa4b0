import type { Gpu } from "../../engine/gpu.ts";
import { eigh } from "../../engine/ops/eigh_device.ts";
import { add, div, scale, sub } from "../../engine/ops/elementwise.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { mean, norm } from "../../engine/ops/reduce.ts";
import { pad } from "../../engine/ops/pad.ts";
import { slice } from "../../engine/ops/shape.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import type { LongCall } from "../encoding/linear_model.ts";
import { InputError } from "../errors.ts";

/** Options of {@link generalizedProcrustes}. */
export interface ProcrustesOptions extends LongCall {
  /** Columns of the shared space; by default those of the widest set. */
  readonly nComponents?: number;
  /** Most rounds. */
  readonly iterations?: number;
  /** Stops where the mean changes less than this share of its size. */
  readonly tolerance?: number;
}

/** Sets of features in a shared space. */
export interface Procrustes {
  /** A map for each set, `[width, nComponents]`, with orthonormal columns, or rows where the space is wider than the set. */
  readonly maps: readonly HostMatrix[];
  /** Mean of the mapped sets, each of unit Frobenius norm, `[n, nComponents]`. */
  readonly mean: HostMatrix;
  /** Rounds. */
  readonly iterations: number;
}

/** Share of the largest singular value below which a direction has no counterpart: its square is at the rounding of f32. */
const DEPENDENT = 1e-3;

/**
 * The nearest matrix with orthonormal columns or rows, `m·(mᵀm)^(−1/2)`, by the eigenvectors of the smaller Gram matrix; directions of `m`
 * that are nothing stay nothing.
 */
async function polar(m: Tensor): Promise<Tensor> {
  const [rows, cols] = m.shape, isTall = rows >= cols;
  using gram = isTall ? matmul(m, m, { transposeA: true }) : matmul(m, m, { transposeB: true });
  const { values, vectors } = await eigh(gram);
  const largest = values.at(-1)!;
  const factors = Float32Array.from(
    values,
    (value) => value > DEPENDENT ** 2 * largest ? 1 / Math.sqrt(value) : 0,
  );
  const size = factors.length;
  const out = tidy(m.gpu, () => {
    const scaled = new Float32Array(size * size);
    factors.forEach((factor, i) => scaled[i * size + i] = factor);
    const root = matmul(
      matmul(vectors, Tensor.from(m.gpu, scaled, [size, size])),
      vectors,
      { transposeB: true },
    );
    return isTall ? matmul(m, root) : matmul(root, m);
  });
  vectors.dispose();
  return out;
}

/** The widest set along its principal axes, `[n, nComponents]`. */
async function start(sets: readonly Tensor[], nComponents: number): Promise<Tensor> {
  const widest = sets.reduce((a, b) => (b.shape[1] > a.shape[1] ? b : a));
  const width = widest.shape[1], kept = Math.min(width, nComponents);
  using gram = matmul(widest, widest, { transposeA: true });
  const { vectors } = await eigh(gram); // ascending
  const out = tidy(widest.gpu, () => {
    const axes = slice(vectors, { axis: 1, start: width - kept });
    return pad(matmul(widest, axes), { pads: [[0, 0], [0, nComponents - kept]] });
  });
  vectors.dispose();
  return out;
}

const meanOf = (tensors: readonly Tensor[]): Tensor =>
  scale(tensors.reduce((a, b) => add(a, b)), 1 / tensors.length);

async function hostOf(x: Tensor): Promise<HostMatrix> {
  return hostMatrix(Float32Array.from(await x.data()), [x.shape[0], x.shape[1]]);
}

function requireSets(sets: readonly HostMatrix[], nComponents: number): void {
  const n = sets[0]?.shape[0] ?? 0;
  const isSame = sets.every(({ shape }) => shape[0] === n);
  const isFinite = sets.every(({ data }) => data.every(Number.isFinite));
  if (sets.length < 2 || !isSame || n < 2 || !isFinite || !(nComponents >= 1 && nComponents < n)) {
    throw new InputError(
      `Cannot bring ${sets.length} sets of features together in ${nComponents} dimensions: at least two are needed, ` +
        `finite, with as many rows, more than dimensions; they are ${
          sets.map(({ shape }) => `[${shape}]`).join(", ")
        }`,
    );
  }
}

/**
 * Generalised Procrustes analysis (Gower, 1975): rotates sets of features of the same samples onto their mean, in turns, until the mean
 * stays. It uses which sample is which and no brain: the reference that an alignment through responses has to be compared with.
 *
 * @param sets `[n, width]` each; they are centred and scaled to unit Frobenius norm first, which the maps leave out
 * @throws {InputError} when there are fewer than two sets, rows differ in number, or a value is not finite
 */
export async function generalizedProcrustes(
  gpu: Gpu,
  sets: readonly HostMatrix[],
  options: ProcrustesOptions = {},
): Promise<Procrustes> {
  const widest = Math.max(...sets.map(({ shape }) => shape[1]));
  const { nComponents = widest, iterations = 30, tolerance = 1e-4 } = options;
  requireSets(sets, nComponents);
  const centred = sets.map(({ data, shape }) =>
    tidy(gpu, () => {
      const x = Tensor.from(gpu, data, shape);
      const y = sub(x, mean(x, { axes: [0], keepDims: true }));
      return div(y, norm(y, { keepDims: true }));
    })
  );
  let maps: Tensor[] = [];
  let center = await start(centred, nComponents);
  let done = 0;
  try {
    for (let change = Infinity; done < iterations && change > tolerance; done++) {
      options.signal?.throwIfAborted();
      maps.forEach((map) => map.dispose());
      maps = [];
      for (const x of centred) {
        using product = matmul(x, center, { transposeA: true });
        maps.push(await polar(product));
      }
      const next = tidy(gpu, () => meanOf(centred.map((x, m) => matmul(x, maps[m]))));
      using moved = tidy(gpu, () => norm(sub(next, center)));
      using size = tidy(gpu, () => norm(next));
      change = await moved.item() / await size.item();
      center.dispose();
      center = next;
      options.onProgress?.({ stage: "procrustes", done: done + 1, total: iterations });
    }
    const found: HostMatrix[] = [];
    for (const map of maps) found.push(await hostOf(map));
    return { maps: found, mean: await hostOf(center), iterations: done };
  } finally {
    [...centred, ...maps, center].forEach((tensor) => tensor.dispose());
  }
}
