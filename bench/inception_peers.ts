/**
 * Convolutions of Inception V3 here and in other libraries, in turn in one run: the largest layer of every kind.
 *
 * @module
 */
import { checkLayer, type LayerWork } from "./inception_check.ts";
import { type InceptionBenchOptions, layerOp, layerValues, signatureOf } from "./inception.ts";
import { openJaxJs } from "./peers/jax_js.ts";
import type { Peer, PeerWork } from "./peers/peer.ts";
import { openTfjs } from "./peers/tfjs.ts";
import { acrossPeers, type PeerTimes, timeInTurn } from "./peers/turns.ts";
import type { Gpu } from "../engine/gpu.ts";
import { PreparedWeights } from "../engine/ops/prepared_weights.ts";
import { Tensor, tidy } from "../engine/tensor.ts";
import type { InceptionModel } from "../pipelines/models/inception.ts";
import { inceptionConvs } from "../pipelines/models/inception_flops.ts";

/** A layer here and in another library. */
export interface InceptionPeerRow extends LayerWork, PeerTimes {
  /** Kernel and stride. */
  readonly signature: string;
  /** Library and version. */
  readonly peer: string;
}

const PASSES = ["forward", "data gradient"] as const;
const opening = [["tfjs", openTfjs], ["jax-js", openJaxJs]] as const;

/** One image of every kind of convolution here and there; a library or layer that fails is a row that says why. */
export async function* benchInceptionPeers(
  gpu: Gpu,
  model: InceptionModel,
  { size, key, samples = 3 }: InceptionBenchOptions,
): AsyncGenerator<InceptionPeerRow> {
  const convs = inceptionConvs(model, size);
  const largest = [...new Set(convs.map(signatureOf))].map((signature) =>
    convs.filter((conv) => signatureOf(conv) === signature)
      .reduce((a, b) => (b.flops > a.flops ? b : a))
  );
  const works = largest.flatMap((layer) => PASSES.map((pass) => ({ layer, pass })));
  const compare = (peer: Peer, work: LayerWork) => inTurn(gpu, model, work, { peer, key, samples });
  for await (const { work, ...row } of acrossPeers(opening, works, compare)) {
    yield { ...work, signature: signatureOf(work.layer), ...row };
  }
}

/** Checks both results, then times both in turn. */
async function inTurn(
  gpu: Gpu,
  model: InceptionModel,
  work: LayerWork,
  { peer, key, samples }: {
    peer: Peer;
    key: InceptionBenchOptions["key"];
    samples: number;
  },
): Promise<PeerTimes> {
  const { layer, pass } = work;
  using prepared = new PreparedWeights();
  const run = () => layerOp(model, work, x, prepared);
  using x = Tensor.randn(gpu, key, [1, ...pass === "forward" ? layer.input : layer.output]);
  const values = await layerValues(model, work, x);
  const own: PeerWork = {
    start: () => void tidy(gpu, () => void run()),
    wait: () => gpu.sync(),
    values: async () => {
      using y = tidy(gpu, run);
      return await y.data();
    },
    [Symbol.dispose]() {},
  };
  using other = peer.prepare(work, values);
  checkLayer(work, values, await own.values(), "this library");
  const peerError = checkLayer(work, values, await other.values(), peer.name);
  const [ms, peerMs] = await timeInTurn([own, other], samples);
  return { ms, peerMs, ratio: peerMs / ms, peerError };
}
