/**
 * `gyrus cut --onto`: new nodes in an older cut, with its clusters and colours; nothing is solved again.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { randomKey } from "../../engine/random.ts";
import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import { Hdf5Writer } from "../io/hdf5_writer.ts";
import { quote } from "../io/strict_json.ts";
import { extendValues } from "../spectral/extend.ts";
import { KwayCut } from "../spectral/kway.ts";
import { planNcut } from "../spectral/ncut_options.ts";
import { mapped, restoreNcut } from "../spectral/ncut_solve.ts";
import { nodesOf } from "../spectral/node_source.ts";
import { takeRows } from "../spectral/sample_nodes.ts";
import { readCut, type StoredCut, writeParts, writeReadings } from "./cut_file.ts";
import { clusterSizes, type CutJob, type FoundCut } from "./cut_job.ts";
import type { Output } from "./output.ts";

/** Places nodes in an older cut. */
export async function placeNodes(
  { gpu, nodes, progress }: CutJob,
  { partial }: Output,
  path: string,
): Promise<FoundCut> {
  const { fit, eigvec: older, clusters: olderClusters, colors: olderColors } = await readCut(path);
  if (nodes.shape[1] !== fit.nodes.shape[1]) {
    throw new InputError(
      `Cannot place nodes [${nodes.shape}] in ${quote(path)}: it was cut by ${
        fit.nodes.shape[1]
      } features`,
    );
  }
  const source = nodesOf(fit.nodes), n = nodes.shape[0];
  const plan = planNcut(older.shape[0], { ...fit.options, key: randomKey(fit.seed) });
  const { chunkSize, nEig } = plan;
  using map = await restoreNcut(gpu, source, plan, fit.state);
  const data = new Float32Array(n * nEig);
  let at = 0;
  const call = { affinity: fit.state.affinity, chunkSize, onProgress: progress.update };
  for await (const rows of mapped(gpu, nodes, map, call)) {
    data.set(rows, at);
    at += rows.length;
  }
  const eigvec = hostMatrix(data, [n, nEig]);
  const clusters: StoredCut["clusters"][number][] = [];
  for (const { k, rotation } of olderClusters) {
    const turn = Float64Array.from(rotation.data);
    const cut = new KwayCut(turn, { nEig: rotation.shape[0], iterations: 0 });
    const { labels } = await cut.transform(gpu, eigvec);
    clusters.push({ k, labels, rotation });
  }
  const rgb = olderColors && await colorsLike(gpu, eigvec, older, olderColors);
  {
    using file = await Hdf5Writer.create(partial, { inPlace: true });
    writeReadings(file, { eigvec, clusters, colors: rgb && { rgb, samples: olderColors.samples } });
    writeParts(file, nodes);
    file.commit();
  }
  const results = { nodes: n, onto: path, clusters: clusterSizes(clusters) };
  return { eigvec, clusters, colors: rgb && { rgb, samples: olderColors.samples }, results };
}

/** Colours of the nearest nodes of the older cut, so that what is alike looks alike. */
async function colorsLike(
  gpu: Gpu,
  eigvec: HostMatrix,
  older: HostMatrix,
  { rgb, samples }: NonNullable<StoredCut["colors"]>,
): Promise<Uint8Array<ArrayBuffer>> {
  const colors = hostMatrix(Float32Array.from(rgb), [older.shape[0], 3]);
  const values = takeRows(colors, samples);
  const { data } = await extendValues(eigvec, takeRows(older, samples), { values, gpu });
  return Uint8Array.from(data, Math.round);
}
