/**
 * What a channel alignment can be trained on instead of the brain: targets that keep some of what responses are and lose the rest. An
 * effect of the brain is what responses give beyond these.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { matmul } from "../../engine/ops/matmul.ts";
import { foldIn, type Key, normal } from "../../engine/random.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { permutation } from "../encoding/cross_validation.ts";
import { columnMeans, type HostMatrix, hostMatrix, range } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import { areaAverage, luminance } from "../images/image_properties.ts";
import type { RgbImage } from "../images/rgb_image.ts";
import { zscore } from "../stats/columns.ts";

/**
 * Responses of other images: whole rows change places, so that voxels keep their distributions and their correlations with each other, and
 * nothing of them follows from the image.
 *
 * @param responses `[nImages, nVoxels]`
 */
export function shuffledTargets({ data, shape }: HostMatrix, key: Key): HostMatrix {
  const [n, width] = shape;
  const out = new Float32Array(data.length);
  permutation(key, n).forEach((from, to) => {
    out.set(data.subarray(from * width, (from + 1) * width), to * width);
  });
  return hostMatrix(out, shape);
}

/** Rows of noise that are drawn together: 40 MB for the 10,000 images of a subject. */
const BLOCK = 1024;

/**
 * Gaussian noise with the covariance of the voxels: rows `g·(Y − mean)/√n` with independent normal `g`, whose covariance given `Y` is
 * exactly its sample covariance, without ever forming it `[nVoxels, nVoxels]`.
 *
 * @param responses `[nImages, nVoxels]`
 */
export async function gaussianTargets(
  gpu: Gpu,
  responses: HostMatrix,
  key: Key,
): Promise<HostMatrix> {
  const { data, shape: [n, width] } = responses;
  const means = columnMeans(responses, range(n));
  const centred = Float32Array.from(data, (value, i) => value - means[i % width]);
  using source = Tensor.from(gpu, centred, [n, width]);
  const values = new Float32Array(n * width);
  for (let start = 0; start < n; start += BLOCK) {
    const rows = Math.min(BLOCK, n - start);
    using drawn = tidy(gpu, () => {
      const draws = normal(foldIn(key, start), rows * n).map((value) => value / Math.sqrt(n));
      return matmul(Tensor.from(gpu, draws, [rows, n]), source);
    });
    values.set(await drawn.data(), start * width);
  }
  values.forEach((value, i) => values[i] = value + means[i % width]);
  return hostMatrix(values, [n, width]);
}

/**
 * Random linear readouts of features, each target of mean 0 and variance 1 over the images: what a brain would be whose voxels weigh
 * the features of one network at random.
 *
 * @param features `[nImages, nFeatures]`, such as class tokens of a network that is not aligned
 * @throws {InputError} when no feature varies
 */
export async function readoutTargets(
  gpu: Gpu,
  features: HostMatrix,
  nTargets: number,
  key: Key,
): Promise<HostMatrix> {
  const standard = zscore(features), [n, width] = features.shape;
  if (standard.data.every((value) => value === 0)) {
    throw new InputError(`Cannot read [${features.shape}] out at random: no feature varies`);
  }
  using out = tidy(gpu, () => {
    const weights = Tensor.from(gpu, normal(key, width * nTargets), [width, nTargets]);
    return matmul(Tensor.from(gpu, standard.data, [n, width]), weights);
  });
  return zscore(hostMatrix(Float32Array.from(await out.data()), [n, nTargets]));
}

/**
 * A share for each target.
 *
 * @throws {InputError} when one is not from 0 to 1 or there are not as many as targets
 */
export function sharesOf(
  ceiling: number | ArrayLike<number>,
  nTargets: number,
): Float64Array<ArrayBuffer> {
  const shares = typeof ceiling === "number"
    ? new Float64Array(nTargets).fill(ceiling)
    : Float64Array.from(ceiling);
  const bad = shares.findIndex((share) => !(share >= 0 && share <= 1));
  if (shares.length === nTargets && bad < 0) return shares;
  throw new InputError(
    `Cannot add noise to ${nTargets} targets: as many shares from 0 to 1 are needed, got ${shares.length}` +
      (bad >= 0 ? ` and ${shares[bad]} for target ${bad}` : ""),
  );
}

/**
 * Targets as noisy as responses: `√ceiling · z + √(1 − ceiling) · noise` of z-scored targets, so that a control is not easier to
 * predict than the brain.
 *
 * @param targets `[nImages, nTargets]`
 * @param ceiling share of the variance that can be explained, of each target or of all, 0 to 1
 * @throws {InputError} when a share is not from 0 to 1 or there are not as many as targets
 */
export function noisyTargets(
  targets: HostMatrix,
  ceiling: number | ArrayLike<number>,
  key: Key,
): HostMatrix {
  const { data, shape: [n, width] } = zscore(targets);
  const shares = sharesOf(ceiling, width);
  const noise = normal(foldIn(key, 0), n * width);
  const values = Float32Array.from(data, (value, i) => {
    const share = shares[i % width];
    return Math.sqrt(share) * value + Math.sqrt(1 - share) * noise[i];
  });
  return hostMatrix(values, [n, width]);
}

/** Cells along a side of an image. */
const CELLS = 4;
/** Directions of edges, unsigned, as in histograms of oriented gradients (Dalal and Triggs, 2005). */
const DIRECTIONS = 9;

/** Gradient energy of luminance by direction: nine fields that sum to the gradient's length. */
function orientedEnergy(image: RgbImage): Float64Array<ArrayBuffer>[] {
  const { data, size: [height, width] } = luminance(image);
  const fields = Array.from({ length: DIRECTIONS }, () => new Float64Array(data.length));
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const at = (row: number, column: number) =>
        data[
          Math.min(height - 1, Math.max(0, row)) * width + Math.min(width - 1, Math.max(0, column))
        ];
      const dx = at(y, x + 1) - at(y, x - 1), dy = at(y + 1, x) - at(y - 1, x);
      const turn = (Math.atan2(dy, dx) / Math.PI + 1) % 1 * DIRECTIONS; // 0 to 9, a half turn is one round
      const low = Math.floor(turn) % DIRECTIONS, share = turn - Math.floor(turn);
      const length = Math.hypot(dx, dy);
      fields[low][y * width + x] += length * (1 - share);
      fields[(low + 1) % DIRECTIONS][y * width + x] += length * share;
    }
  }
  return fields;
}

/**
 * What of an image needs no network: mean red, green and blue and edges in nine directions, each over the cells of a 4x4 grid.
 *
 * @returns `[nImages, 192]`, not normalised
 * @throws {InputError} when an image cannot be used
 */
export function lowLevelFeatures(images: Iterable<RgbImage>): HostMatrix {
  const rows: Float64Array[] = [];
  for (const image of images) {
    const size = [image.height, image.width] as const;
    const colors = [0, 1, 2].map((c) =>
      Float64Array.from({ length: size[0] * size[1] }, (_, i) => image.data[3 * i + c] / 255)
    );
    const fields = [...colors, ...orientedEnergy(image)];
    const row = new Float64Array(fields.length * CELLS ** 2);
    fields.forEach((data, f) =>
      row.set(areaAverage({ data, size }, [CELLS, CELLS]), f * CELLS ** 2)
    );
    rows.push(row);
  }
  const width = (3 + DIRECTIONS) * CELLS ** 2;
  const values = new Float32Array(rows.length * width);
  rows.forEach((row, i) => values.set(row, i * width));
  return hostMatrix(values, [rows.length, width]);
}
