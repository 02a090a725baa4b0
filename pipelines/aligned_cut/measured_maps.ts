/**
 * Maps of concepts from measured responses, which do not pass through the brain head that aligned the networks: the correspondence of
 * concepts and regions cannot be circular here.
 *
 * @module
 */
import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import type { GraphSlice } from "./joint_graph.ts";

/**
 * Share of each image that each concept covers in a layer, `[nImages, nClusters]`.
 *
 * @param labels concept of each node of the joint graph, `[nNodes]`
 * @throws {InputError} when a label is out of range
 */
export function conceptAreas(
  labels: ArrayLike<number>,
  { start, nImages, grid }: Pick<GraphSlice, "start" | "nImages" | "grid">,
  nClusters: number,
): HostMatrix {
  const patches = grid[0] * grid[1], out = new Float32Array(nImages * nClusters);
  for (let i = 0; i < nImages * patches; i++) {
    const label = labels[start + i];
    if (!(Number.isInteger(label) && label >= 0 && label < nClusters)) {
      throw new InputError(
        `Cannot measure concepts: node ${start + i} has the label ${label}, there are ${nClusters}`,
      );
    }
    out[Math.floor(i / patches) * nClusters + label] += 1 / patches;
  }
  return hostMatrix(out, [nImages, nClusters]);
}

/** Columns of mean 0 and length 1; constant ones are 0. */
function unitColumns({ data, shape: [n, cols] }: HostMatrix): Float64Array {
  const out = new Float64Array(n * cols);
  for (let j = 0; j < cols; j++) {
    let [mean, square] = [0, 0];
    for (let i = 0; i < n; i++) mean += data[i * cols + j] / n;
    for (let i = 0; i < n; i++) square += (data[i * cols + j] - mean) ** 2;
    const scale = square > 1e-24 * n * mean * mean ? 1 / Math.sqrt(square) : 0; // rounding is no variation
    for (let i = 0; i < n; i++) out[i * cols + j] = (data[i * cols + j] - mean) * scale;
  }
  return out;
}

/**
 * Correlation over images of each concept's area, or activation, with each voxel's measured response, `[nClusters, nVoxels]`: the slope of a
 * regression of z-scored responses; 0 where a concept or a voxel does not vary. Use images that the alignment has not seen.
 *
 * @param areas `[nImages, nClusters]`
 * @param responses `[nImages, nVoxels]`
 * @throws {InputError} when images differ in number, there are fewer than three, or a value is not finite
 */
export function measuredMaps(areas: HostMatrix, responses: HostMatrix): Float64Array<ArrayBuffer> {
  const [n, k] = areas.shape, [m, nVoxels] = responses.shape;
  const finite = [areas, responses].every(({ data }) => data.every(Number.isFinite));
  if (n !== m || n < 3 || !finite) {
    throw new InputError(
      `Cannot relate concepts of ${n} images to responses to ${m}: they must be the same, three or more, and finite`,
    );
  }
  const a = unitColumns(areas), b = unitColumns(responses), out = new Float64Array(k * nVoxels);
  for (let i = 0; i < n; i++) {
    for (let c = 0; c < k; c++) {
      const value = a[i * k + c];
      for (let v = 0; v < nVoxels; v++) out[c * nVoxels + v] += value * b[i * nVoxels + v];
    }
  }
  return out;
}
