import type { Gpu } from "../../engine/gpu.ts";
import type { HostMatrix } from "../encoding/host_matrix.ts";
import type { LongCall } from "../encoding/linear_model.ts";
import { InputError } from "../errors.ts";
import type { Affinity } from "./affinity.ts";
import type { NcutOptions, NcutPlan } from "./ncut_options.ts";
import { planNcut } from "./ncut_options.ts";
import { type NcutCheckpoint, runNcut } from "./ncut_log.ts";
import { mapped, type NcutState, type SolvedNcut } from "./ncut_solve.ts";
import { nodesOf, type NodeSource } from "./node_source.ts";
import { addProducts, inverseOfFactor, turnRows } from "./orthogonal_rows.ts";

/**
 * Normalised cuts of graphs of any size, after AlignedCut and ncut_pytorch: exact, by landmarks (Nyström), or by random Fourier features
 * (KernelNCut).
 *
 * @example
 * ```ts
 * import { Gpu, Ncut, normal, randomKey } from "@gyrus/gyrus";
 * using gpu = await Gpu.open();
 * const nodes = { data: normal(randomKey(0), 600 * 8), shape: [600, 8] as const };
 * using cut = await new Ncut(gpu, { nEig: 4, nLandmarks: 64 }).fit(nodes);
 * console.log(cut.eigvec.shape, cut.eigval); // [600, 4], the first is 1
 * ```
 */
export class Ncut {
  readonly #gpu: Gpu;
  readonly #options: NcutOptions;

  /** A cut to fit; absent options have the defaults of {@link NcutOptions}. */
  constructor(gpu: Gpu, options: NcutOptions = {}) {
    this.#gpu = gpu;
    this.#options = options;
  }

  /**
   * Cuts the graph of nodes. Memory is that of a piece of nodes, of what is kept between passes (`cacheBytes`), and of the result. With a
   * `checkpoint` it goes on where an earlier run was stopped, to the same bits.
   *
   * @param nodes `[n, d]`, or a source that reads them piece by piece
   * @throws {InputError} when an option is out of range, or a node has a value that is not finite, or no direction where directions are
   * compared: the message names its row
   */
  async fit(
    nodes: HostMatrix | NodeSource,
    call: LongCall & NcutCheckpoint = {},
  ): Promise<FittedNcut> {
    const source = nodesOf(nodes), [n] = source.shape;
    const plan = planNcut(n, this.#options);
    const { solved, rows: pieces } = await runNcut(this.#gpu, source, plan, call);
    try {
      const data = new Float32Array(n * plan.nEig);
      let at = 0;
      for await (const rows of pieces) {
        data.set(rows, at);
        at += rows.length;
      }
      const eigvec: HostMatrix = { data, shape: [n, plan.nEig] };
      const turn = plan.makeOrthogonal ? orthonormalized(eigvec) : undefined;
      return new FittedNcut(this.#gpu, eigvec, { solved, plan, turn });
    } catch (cause) {
      solved[Symbol.dispose]();
      throw cause;
    }
  }
}

/** Makes columns orthonormal in place, in order; gives what was multiplied by. */
function orthonormalized({ data, shape: [, k] }: HostMatrix): Float64Array<ArrayBuffer> {
  const gram = new Float64Array(k * k);
  addProducts(gram, data, k);
  const turn = inverseOfFactor(gram, k);
  turnRows(data, turn, k);
  return turn;
}

/** A cut graph; it holds memory of the device for {@link FittedNcut.transform}. */
export class FittedNcut implements Disposable {
  readonly #gpu: Gpu;
  readonly #solved: SolvedNcut;
  readonly #plan: NcutPlan;
  readonly #turn?: Float64Array;
  /** `[n, nEig]`: eigenvectors of D^−½·A·D^−½, the trivial first. */
  readonly eigvec: HostMatrix;

  /** @internal */
  constructor(
    gpu: Gpu,
    eigvec: HostMatrix,
    { solved, plan, turn }: {
      readonly solved: SolvedNcut;
      readonly plan: NcutPlan;
      readonly turn?: Float64Array;
    },
  ) {
    this.#gpu = gpu;
    this.#solved = solved;
    this.#plan = plan;
    this.#turn = turn;
    this.eigvec = eigvec;
  }

  /** What was fitted. */
  get state(): NcutState {
    return this.#solved.state;
  }

  /** Eigenvalues, descending, `[nEig]`. */
  get eigval(): Float64Array<ArrayBuffer> {
    return this.state.eigval;
  }

  /** ‖S·v − λ·v‖ of each eigenvector in the problem that was solved: of all nodes, of the landmarks, or of the features. */
  get residuals(): Float64Array<ArrayBuffer> {
    return this.state.residuals;
  }

  /** Rows of the landmarks in the order they were picked; all rows of an exact cut, none of a cut by Fourier features. */
  get landmarks(): Uint32Array<ArrayBuffer> {
    return this.state.landmarks;
  }

  /** The affinity with its scale. */
  get affinity(): Affinity {
    return this.state.affinity;
  }

  /**
   * Eigenvectors of new nodes, by the same map as those of the fitted ones; the graph is not cut again.
   *
   * @param nodes `[n, d]`
   * @returns `[n, nEig]`
   * @throws {InputError} when they have another width, or a node cannot be compared
   */
  async transform(nodes: HostMatrix | NodeSource, call: LongCall = {}): Promise<HostMatrix> {
    const source = nodesOf(nodes), [n] = source.shape, { nEig, chunkSize } = this.#plan;
    const data = new Float32Array(n * nEig);
    const options = { affinity: this.affinity, chunkSize, ...call };
    if (source.shape[1] !== this.#solved.width) {
      throw new InputError(
        `Cannot transform nodes [${source.shape}]: the graph was cut by ${this.#solved.width} features`,
      );
    }
    let at = 0;
    for await (const rows of mapped(this.#gpu, source, this.#solved.map, options)) {
      if (this.#turn) turnRows(rows, this.#turn, nEig);
      data.set(rows, at);
      at += rows.length;
    }
    return { data, shape: [n, nEig] };
  }

  /** Gives the device memory back. */
  [Symbol.dispose](): void {
    this.#solved[Symbol.dispose]();
  }
}
