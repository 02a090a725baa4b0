/**
 * The toy networks aligned in closed form: the leading components of the responses are regressed on the mean patch of each layer, and the
 * same weights are applied to every patch. One head for all, fitted without seeing a concept.
 *
 * @module
 */
import { eighHost } from "../../engine/ops/eigh.ts";
import type { ToyNets } from "../../pipelines/aligned_cut/toy_nets.ts";
import { type HostMatrix, hostMatrix } from "../../pipelines/encoding/host_matrix.ts";
import { multiply, productsOf } from "../../pipelines/encoding/host_products.ts";
import { fitPca } from "../../pipelines/stats/pca.ts";

const ALPHA = 3;

/** Networks in one space. */
export interface ToyAlignment {
  /** Patches of a layer of all images, `[nImages · 64, 6]`. */
  readonly features: (model: number, layer: number) => HostMatrix;
  /** The head, `[6, nVoxels]`. */
  readonly beta: HostMatrix;
}

/** `(xᵀx + α)⁻¹ xᵀ t` of `x: [n, d]`, `t: [n, m]`: `[d, m]`. */
function ridge(x: Float64Array, d: number, t: Float64Array): Float64Array {
  const n = x.length / d, m = t.length / n;
  const gram = productsOf(x, [n, d], { transpose: true });
  for (let i = 0; i < d; i++) gram[i * d + i] += ALPHA;
  const { values, vectors } = eighHost(gram, d);
  const transposed = (a: Float64Array, rows: number) =>
    a.map((_, at) => a[(at % rows) * (a.length / rows) + Math.floor(at / rows)]);
  const right = multiply(transposed(x, n), t, [d, n, m]);
  const turned = multiply(transposed(Float64Array.from(vectors), d), right, [d, d, m]);
  return multiply(
    Float64Array.from(vectors),
    turned.map((value, at) => value / values[Math.floor(at / m)]),
    [d, d, m],
  );
}

/** Aligns on the first images. */
export function alignToyNets(nets: ToyNets, responses: HostMatrix, nTrain: number): ToyAlignment {
  const nVoxels = responses.shape[1];
  const train = hostMatrix(responses.data.slice(0, nTrain * nVoxels), [nTrain, nVoxels]);
  const pca = fitPca(train, 6), targets = Float64Array.from(pca.transform(train).data);
  const features = (model: number, layer: number) => {
    const { width } = nets.models[model], tokens = nets.tokens(model, layer), n = nets.nImages;
    const patches = new Float64Array(n * 64 * width), means = new Float64Array(nTrain * width);
    for (let i = 0; i < n; i++) {
      patches.set(tokens.subarray((i * 65 + 1) * width, (i + 1) * 65 * width), i * 64 * width);
    }
    const centre = new Float64Array(width);
    for (let at = 0; at < nTrain * 64 * width; at++) {
      means[Math.floor(at / 64 / width) * width + at % width] += patches[at] / 64;
      centre[at % width] += patches[at] / 64 / nTrain;
    }
    const weights = ridge(means.map((value, at) => value - centre[at % width]), width, targets);
    return hostMatrix(multiply(patches, weights, [n * 64, width, 6]), [n * 64, 6]);
  };
  return { features, beta: hostMatrix(pca.components, [6, nVoxels]) };
}
