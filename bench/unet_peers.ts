/**
 * Layers of UNets here and in other libraries, in turn in one run.
 *
 * @module
 */
import type { Gpu } from "../engine/gpu.ts";
import { attention } from "../engine/ops/attention.ts";
import { groupNorm } from "../engine/ops/channel_norm.ts";
import { conv2d } from "../engine/ops/conv.ts";
import { PreparedWeights } from "../engine/ops/prepared_weights.ts";
import type { Key } from "../engine/random.ts";
import { Tensor, tidy } from "../engine/tensor.ts";
import { openJaxJs } from "./peers/jax_js.ts";
import { openOnnxWeb } from "./peers/onnx_web.ts";
import type { OpPeer, PeerWork } from "./peers/peer.ts";
import { openTfjs } from "./peers/tfjs.ts";
import { acrossPeers, type PeerTimes, timeInTurn } from "./peers/turns.ts";
import type { Peaks } from "./peaks.ts";
import { time } from "./time.ts";
import {
  checkOp,
  drawInputs,
  NORM_EPS,
  NORM_GROUPS,
  opFlops,
  type OpInputs,
  opShapes,
  opTitle,
  type UnetOp,
  unetOps,
} from "./unet_op.ts";

/** A layer on this library's device. */
export interface UnetOpRow {
  /** The layer. */
  readonly op: UnetOp;
  /** Its name. */
  readonly title: string;
  /** Milliseconds, the fastest of some. */
  readonly ms: number;
  /** 10⁹ operations. */
  readonly gflop: number;
  /** Those per second over the measured rate of multiply-adds. */
  readonly share: number;
  /** Greatest error at some places against float64, which was looked at before. */
  readonly error: number;
}

/** A layer here and in another library. */
export interface UnetPeerRow extends PeerTimes {
  /** The layer. */
  readonly op: UnetOp;
  /** Its name. */
  readonly title: string;
  /** Library and version. */
  readonly peer: string;
}

/** Options of {@link benchUnetOps} and {@link benchUnetPeers}. */
export interface UnetOpOptions {
  /** Seed of the values. */
  readonly key: Key;
  /** Samples of every time (default 3). */
  readonly samples?: number;
  /** Layers (default all of `unetOps`). */
  readonly ops?: readonly UnetOp[];
}

function runOp(op: UnetOp, on: Readonly<Record<string, Tensor>>, prepared: PreparedWeights) {
  const { x, weight, bias, q, k, v } = on;
  if (op.kind === "conv") return conv2d(x, weight, { bias, padding: 1, prepared });
  if (op.kind === "attention") return attention(q, k, v, { nHeads: op.heads });
  return groupNorm(x, { groups: NORM_GROUPS, eps: NORM_EPS, weight, bias, activation: "silu" });
}

/** A layer on this library's device. */
function ownWork(gpu: Gpu, op: UnetOp, inputs: OpInputs): PeerWork {
  const prepared = new PreparedWeights();
  const { y: _, ...shapes } = opShapes(op);
  const on = Object.fromEntries(
    Object.entries(shapes).map(([name, shape]) => [name, Tensor.from(gpu, inputs[name], shape)]),
  );
  return {
    start: () => void tidy(gpu, () => void runOp(op, on, prepared)),
    wait: () => gpu.sync(),
    values: async () => {
      using y = tidy(gpu, () => runOp(op, on, prepared));
      return await y.data();
    },
    [Symbol.dispose]() {
      prepared[Symbol.dispose]();
      for (const tensor of Object.values(on)) tensor.dispose();
    },
  };
}

/** Checks every layer against float64 and times it. */
export async function* benchUnetOps(
  gpu: Gpu,
  { key, samples = 3, ops = unetOps }: UnetOpOptions,
  peaks: Peaks,
): AsyncGenerator<UnetOpRow> {
  for (const op of ops) {
    const inputs = drawInputs(op, key), title = opTitle(op);
    using work = ownWork(gpu, op, inputs);
    const error = checkOp(op, inputs, await work.values(), "this library");
    const { best: ms } = await time(gpu, () => work.start(), { sampleMs: 20, samples });
    const gflop = opFlops(op) / 1e9;
    yield { op, title, ms, gflop, share: 1e3 * gflop / ms / peaks.gflops, error };
  }
}

const opening: readonly (readonly [string, () => Promise<OpPeer>])[] = [
  ["tfjs", openTfjs],
  ["jax-js", openJaxJs],
  ["onnxruntime-web", openOnnxWeb],
];

/** Every layer here and there; a library or layer that fails is a row that says why. */
export async function* benchUnetPeers(
  gpu: Gpu,
  { key, samples = 3, ops = unetOps }: UnetOpOptions,
): AsyncGenerator<UnetPeerRow> {
  const compare = (peer: OpPeer, op: UnetOp) => inTurn(gpu, op, { peer, key, samples });
  for await (const { work: op, ...row } of acrossPeers(opening, ops, compare)) {
    yield { op, title: opTitle(op), ...row };
  }
}

/** Checks both results, then times both in turn. */
async function inTurn(
  gpu: Gpu,
  op: UnetOp,
  { peer, key, samples }: { peer: OpPeer; key: Key; samples: number },
): Promise<PeerTimes> {
  const inputs = drawInputs(op, key);
  using own = ownWork(gpu, op, inputs);
  using other = await peer.prepareOp(op, inputs);
  checkOp(op, inputs, await own.values(), "this library");
  const peerError = checkOp(op, inputs, await other.values(), peer.name);
  const [ms, peerMs] = await timeInTurn([own, other], samples);
  return { ms, peerMs, ratio: peerMs / ms, peerError };
}
