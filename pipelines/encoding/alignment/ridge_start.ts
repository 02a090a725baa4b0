/**
 * First weights in closed form: maps that predict the leading components of the responses by ridge regression, and a head that makes
 * responses of components.
 *
 * @module
 */
import { solveTriangular } from "../../../engine/ops/cholesky.ts";
import { transpose } from "../../../engine/ops/shape.ts";
import type { Gpu } from "../../../engine/gpu.ts";
import { normal } from "../../../engine/random.ts";
import { Tensor, tidy } from "../../../engine/tensor.ts";
import { logspace } from "../alphas.ts";
import { type HostMatrix, hostMatrix } from "../host_matrix.ts";
import { RidgeCV } from "../ridge.ts";
import { patchFactors } from "./patch_factors.ts";
import { responseComponents } from "./response_components.ts";
import { keyOf, type ParameterStart, type SliceGroup } from "./parameters.ts";
import type { Readout } from "./readout.ts";
import type { ResolvedSettings } from "./settings.ts";
import type { TokenSource } from "./tokens.ts";

/** Images that the closed form is computed on at most. */
const MOST_IMAGES = 2048;
/** Components that are sought at most: responses to images have some tens above their noise. */
const MOST_COMPONENTS = 64;
/** Small weights of the channels that no component takes. */
const REST = 1e-2;

/** What the closed form is computed from. */
export interface RidgeStartInput {
  readonly source: TokenSource;
  /** Rows to train on. */
  readonly train: Uint32Array<ArrayBuffer>;
  /** Z-scored responses of all images. */
  readonly responses: HostMatrix;
  /** What tokens are divided by. */
  readonly scales: Float64Array;
  readonly groups: readonly SliceGroup[];
  readonly readout: Readout;
  readonly settings: ResolvedSettings;
}

/**
 * First values of maps and heads. With Y ≈ T·Vᵀ the components of the responses, the map of a slice is W = [R, small noise], where R
 * predicts T from the mean patch by ridge regression, and β = [Vᵀ; small noise]. There is no intercept, so that
 * aligned tokens are centred too. The penalty is not on R but on the variance of aligned patches within an image, tr(Rᵀ·C·R): a
 * direction in which patches differ and images do not is noise to a mean, and would come back in every patch. Components that no
 * held-out fold predicts are left out. The class token, which networks fill each in a way of their own, is not asked: it begins with a
 * share of 0.05.
 */
export async function ridgeStart(
  gpu: Gpu,
  input: RidgeStartInput,
  signal?: AbortSignal,
): Promise<Map<string, ParameterStart>> {
  const { groups, readout, settings, responses: { data, shape: [, nVoxels] } } = input;
  const rows = input.train.subarray(0, MOST_IMAGES);
  const y = new Float32Array(rows.length * nVoxels);
  rows.forEach((row, i) => y.set(data.subarray(row * nVoxels, (row + 1) * nVoxels), i * nVoxels));
  const most = Math.min(settings.width, rows.length, nVoxels, MOST_COMPONENTS);
  const key = keyOf(settings.key, "components");
  const { components, targets } = await responseComponents(
    gpu,
    hostMatrix(y, [rows.length, nVoxels]),
    most,
    key,
  );
  const fits = await predictComponents(gpu, input, rows, { targets, signal });
  const kept = predictable(fits);
  const starts = new Map<string, ParameterStart>();
  const { width } = settings;
  groups.forEach(({ first, count, width: nIn }, g) => {
    const shape = [count, nIn, width];
    const noise = normal(keyOf(settings.key, `map/${g}`), count * nIn * width);
    const values = noise.map((z) => REST * z / Math.sqrt(nIn));
    for (let s = 0; s < count; s++) {
      const { coef: { data: coef, shape: [, all] } } = fits[first + s];
      for (let d = 0; d < nIn; d++) {
        kept.forEach((from, to) => values[(s * nIn + d) * width + to] = coef[d * all + from]);
      }
    }
    starts.set(`map/${g}`, { shape, values });
  });
  readout.chunks.forEach(({ start, end }, c) => {
    const n = end - start;
    const values = normal(keyOf(settings.key, `beta/${c}`), width * n).map((z) => REST * z);
    kept.forEach((from, to) => {
      values.set(components.data.subarray(from * nVoxels + start, from * nVoxels + end), to * n);
    });
    const by = 1 / readout.betaScale;
    starts.set(`beta/${c}`, { shape: [width, n], values: values.map((w) => w * by) });
    if (!readout.namesOf(c).includes(`scale/${c}`)) return;
    starts.set(`scale/${c}`, { shape: [1, n], values: new Float32Array(n).fill(SHARE_LOGIT) });
  });
  return starts;
}

/** Weights of one slice, and how well each component is predicted. */
interface SliceFit {
  /** `[width of tokens, components]` */
  readonly coef: HostMatrix;
  /** Cross-validated R², `[components]`. */
  readonly r2: Float64Array;
}

async function predictComponents(
  gpu: Gpu,
  { source, scales }: RidgeStartInput,
  rows: Uint32Array<ArrayBuffer>,
  { targets, signal }: { readonly targets: HostMatrix; readonly signal?: AbortSignal },
): Promise<SliceFit[]> {
  const pooled = poolSlices(source, rows, scales);
  const factors = patchFactors(gpu, source, rows, scales);
  const fits: SliceFit[] = [];
  try {
    for (const [s, x] of pooled.entries()) {
      signal?.throwIfAborted();
      // With C = L·Lᵀ and R = L⁻ᵀ·Q the penalty is ‖Q‖², and the features of Q are x·L⁻ᵀ.
      using white = tidy(gpu, () => {
        const columns = transpose(Tensor.from(gpu, x.data, x.shape));
        return transpose(solveTriangular(factors[s], columns));
      });
      const features = hostMatrix(Float32Array.from(await white.data()), x.shape);
      const cv = Math.min(5, rows.length);
      const ridge = new RidgeCV(gpu, {
        alphas: ALPHAS,
        cv,
        fitIntercept: false,
        coef: true,
        conservative: true,
      });
      const { coef, cvR2 } = await ridge.fit(features, targets, { signal });
      using back = tidy(gpu, () => {
        const q = Tensor.from(gpu, coef!.data, coef!.shape);
        return solveTriangular(factors[s], q, { transpose: true });
      });
      fits.push({ coef: hostMatrix(Float32Array.from(await back.data()), coef!.shape), r2: cvR2 });
    }
  } finally {
    factors.forEach((factor) => factor.dispose());
  }
  return fits;
}

/** Components that are predicted in mean over the slices; the first where none is. */
function predictable(fits: readonly SliceFit[]): number[] {
  const means = fits[0].r2.map((_, i) =>
    fits.reduce((sum, { r2 }) => sum + r2[i], 0) / fits.length
  );
  const kept = [...means.keys()].filter((i) => means[i] > LEAST_R2);
  return kept.length > 0 ? kept : [0];
}

/** Where the class token's share begins: sigmoid(−3) = 0.05. */
const SHARE_LOGIT = -3;

/** Mean cross-validated R² from which on a component is kept. */
const LEAST_R2 = 0.01;

/** For tokens of unit size and means over images of 10 to 10,000 of them. */
const ALPHAS: readonly number[] = logspace(-2, 5, 15);

/** The mean patch of each image, for each slice `[images, width]`, scaled. */
function poolSlices(source: TokenSource, rows: Uint32Array, scales: Float64Array): HostMatrix[] {
  const nPatches = source.grid ** 2;
  const out = source.slices.map(({ width }) =>
    hostMatrix(new Float32Array(rows.length * width), [rows.length, width])
  );
  const step = 16;
  for (let start = 0; start < rows.length; start += step) {
    source.read(rows.subarray(start, start + step)).forEach((tokens, s) => {
      const { data, shape: [, width] } = out[s];
      for (let at = 0; at < tokens.length; at++) {
        const token = Math.floor(at / width);
        if (token % (1 + nPatches) === 0) continue;
        const image = start + Math.floor(token / (1 + nPatches));
        data[image * width + at % width] += tokens[at] / scales[s] / nPatches;
      }
    });
  }
  return out;
}
