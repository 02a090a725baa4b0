import { abs, mul, scale } from "../../engine/ops/elementwise.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { sum } from "../../engine/ops/reduce.ts";
import { Tape } from "../../engine/tape.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import { type Affinity, affinityMatrix, requireNodes } from "./affinity.ts";
import { eigenbases, type EigenbasisOptions, normalizedAffinity } from "./eigen_projector.ts";
import { kwayNcut } from "./kway.ts";

/** Options of {@link channelAttribution}. */
export interface ChannelAttributionOptions extends EigenbasisOptions {
  /** How alike two nodes are; a built-in kind. */
  readonly affinity: Affinity;
  /** Clusters of the k-way cut, and eigenvectors. */
  readonly nClusters: number;
}

/** Which features make a cluster. */
export interface ChannelAttribution {
  /** The column of the k-way cut that the nodes belong to. */
  readonly cluster: number;
  /** The mean magnitude of the score of that cluster over its nodes. */
  readonly membership: number;
  /** `[n, d]`: the gradient of the membership by every feature of every node. */
  readonly gradient: HostMatrix;
  /** Mean of the gradient over the nodes of the cluster, `[d]`: above 0 where more of the channel makes the cluster more distinct. */
  readonly scores: Float64Array<ArrayBuffer>;
  /** Channels by the magnitude of their score, descending. */
  readonly order: Uint32Array<ArrayBuffer>;
}

/**
 * The channels that hold a cluster together (ncut_pytorch v3, channel tracing): −mean |Z[nodes, c]| of the k-way scores Z = U·R, back
 * through the exact cut to the features, averaged over the nodes of the cluster.
 *
 * U has the gradient of its projector (`eigenbases`), not of single eigenvectors: R turns along with U as a new k-way cut would turn it, so
 * that only changes of the span change Z. The gradient then exists where eigenvalues within the span coincide, as they nearly do for
 * well-separated clusters, where that of single eigenvectors is infinite. All n eigenvectors are needed: at most 512 nodes.
 *
 * @param x `[n, d]`
 * @param nodes those of the cluster, as indices
 * @throws {InputError} when there are no such nodes, the affinity is custom, or as {@link eigenbases} and {@link requireNodes}
 */
export async function channelAttribution(
  x: Tensor,
  nodes: ArrayLike<number>,
  { affinity, nClusters, ...options }: ChannelAttributionOptions,
): Promise<ChannelAttribution> {
  await requireNodes(x, affinity);
  const { gpu } = x, [n, d] = x.shape;
  const weights = requireMembers(nodes, n, affinity);
  using tape = new Tape();
  using features = tape.watch(x);
  using s = tidy(gpu, () => normalizedAffinity(affinityMatrix(features, features, affinity)));
  const [{ vectors }] = await eigenbases(s, [nClusters], options);
  using basis = vectors;
  const eigvec = hostMatrix(await basis.data(), [n, nClusters]);
  const cut = await kwayNcut(gpu, eigvec, { nClusters, signal: options.signal });
  const { scores } = await cut.transform(gpu, eigvec);
  const cluster = clusterOf(scores, nodes);
  const direction = Float32Array.from({ length: nClusters }, (_, i) => {
    return cut.rotation[i * nClusters + cluster];
  });
  using loss = tidy(gpu, () => {
    const column = matmul(basis, Tensor.from(gpu, direction, [nClusters, 1]));
    return scale(sum(mul(abs(column), Tensor.from(gpu, weights, [n, 1]))), -1);
  });
  const [byFeature] = tape.gradient(loss, [features]);
  using gradient = byFeature;
  const values = (await gradient.data()).map((v) => -v);
  const means = new Float64Array(d);
  for (let i = 0; i < n; i++) {
    if (weights[i] === 0) continue;
    for (let j = 0; j < d; j++) means[j] += weights[i] * values[i * d + j];
  }
  const order = Uint32Array.from(means.keys())
    .sort((a, b) => Math.abs(means[b]) - Math.abs(means[a]) || a - b);
  const membership = -(await loss.item());
  return { cluster, membership, gradient: hostMatrix(values, [n, d]), scores: means, order };
}

/** 1 over their number for the nodes of the cluster, 0 for the others. */
function requireMembers(
  nodes: ArrayLike<number>,
  n: number,
  { kind }: Affinity,
): Float32Array<ArrayBuffer> {
  const members = new Set(Array.from(nodes));
  const bad = [...members].find((i) => !(Number.isInteger(i) && i >= 0 && i < n));
  if (members.size === 0 || bad !== undefined) {
    throw new InputError(
      `Cannot attribute a cluster of ${members.size} nodes: there must be some, numbered from 0 to ${
        n - 1
      }${bad === undefined ? "" : `, not ${bad}`}`,
    );
  }
  if (kind === "custom") {
    throw new InputError("Cannot attribute a cluster by a custom affinity: it has no gradient");
  }
  return Float32Array.from({ length: n }, (_, i) => members.has(i) ? 1 / members.size : 0);
}

function clusterOf({ data, shape: [, width] }: HostMatrix, nodes: ArrayLike<number>): number {
  const sums = new Float64Array(width);
  for (let r = 0; r < nodes.length; r++) {
    for (let c = 0; c < width; c++) sums[c] += data[nodes[r] * width + c];
  }
  return sums.indexOf(Math.max(...sums));
}
