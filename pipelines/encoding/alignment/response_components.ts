import { eighTopK } from "../../../engine/ops/eigh_top.ts";
import { mul } from "../../../engine/ops/elementwise.ts";
import { matmul } from "../../../engine/ops/matmul.ts";
import type { Gpu } from "../../../engine/gpu.ts";
import type { Key } from "../../../engine/random.ts";
import { readAll, Tensor, tidy } from "../../../engine/tensor.ts";
import { type HostMatrix, hostMatrix } from "../host_matrix.ts";

/** The leading right singular vectors `[k, voxels]` of responses `[images, voxels]`, and responses times them `[images, k]`. */
export async function responseComponents(
  gpu: Gpu,
  { data, shape: [n, nVoxels] }: HostMatrix,
  k: number,
  key: Key,
): Promise<{ components: HostMatrix; targets: HostMatrix }> {
  using y = Tensor.from(gpu, data, [n, nVoxels]);
  // Of the n × n or the voxels × voxels products, whichever are fewer.
  const isWide = nVoxels > n;
  const apply = (q: Tensor) =>
    tidy(
      gpu,
      () =>
        isWide
          ? matmul(y, matmul(y, q, { transposeA: true }))
          : matmul(y, matmul(y, q), { transposeA: true }),
    );
  const top = await eighTopK({ gpu, n: isWide ? n : nVoxels, apply }, k, {
    ...{ tolerance: 1e-3, iterations: 30, key: key },
  });
  using vectors = top.vectors;
  const kept = top.values.findLastIndex((value) => value > 1e-6 * top.values[0]) + 1;
  using right = tidy(gpu, () => {
    if (!isWide) return vectors.alias();
    const inverse = Tensor.from(
      gpu,
      Float32Array.from(top.values, (v) => v > 0 ? 1 / Math.sqrt(v) : 0),
      [1, top.values.length],
    );
    return mul(matmul(y, vectors, { transposeA: true }), inverse);
  });
  using scores = matmul(y, right);
  const [v, t] = await readAll([right, scores]);
  const width = top.values.length;
  const components = new Float32Array(kept * nVoxels);
  components.forEach((_, at) =>
    components[at] = v[(at % nVoxels) * width + Math.floor(at / nVoxels)]
  );
  const targets = new Float32Array(n * kept);
  targets.forEach((_, at) => targets[at] = t[Math.floor(at / kept) * width + at % kept]);
  return {
    components: hostMatrix(components, [kept, nVoxels]),
    targets: hostMatrix(targets, [n, kept]),
  };
}
