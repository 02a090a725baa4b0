/**
 * What the benchmarks ask of another library: one layer as often as wanted.
 *
 * @module
 */
import type { LayerValues, LayerWork } from "../inception_check.ts";
import type { OpInputs, UnetOp } from "../unet_op.ts";

/** A layer on the device of a library. */
export interface PeerWork extends Disposable {
  /** Runs it once. */
  start(): void;
  /** Waits until all that was started is done. */
  wait(): Promise<void>;
  /** The result, as this library has it. */
  values(): Promise<ArrayLike<number>>;
}

/** A library that runs layers of UNets. */
export interface OpPeer {
  /** Its name on npm and its version. */
  readonly name: string;
  /** Puts a layer on its device. */
  prepareOp(op: UnetOp, inputs: OpInputs): PeerWork | Promise<PeerWork>;
}

/** A library. */
export interface Peer extends OpPeer {
  /** Puts a convolution on its device, with bias and ReLU forward and without either back. */
  prepare(work: LayerWork, values: LayerValues): PeerWork;
}

/** `[a, b, c]` as `[b, c, a]`, or back as `[c, a, b]` where `a` and `b·c` change places. */
export function exchanged(
  x: ArrayLike<number>,
  rows: number,
  columns: number,
): Float32Array<ArrayBuffer> {
  const y = new Float32Array(x.length);
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) y[j * rows + i] = x[i * columns + j];
  }
  return y;
}
