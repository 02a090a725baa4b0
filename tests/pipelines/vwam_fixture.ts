/**
 * A small Inception V3 with planted voxels: responses are known functions of its features.
 *
 * @module
 */
import {
  type Encoder,
  type FeatureRecipe,
  fitEncoder,
  type FitEncoderOptions,
  foldIn,
  type Gpu,
  hostMatrix,
  type InceptionModel,
  loadInception,
  normal,
  openImageEncoder,
  planTaps,
  preprocessings,
  randomKey,
  tapFeatures,
  Tensor,
} from "../../mod.ts";
import type { HostMatrix } from "../../mod.ts";
import { inputRecipe } from "../../pipelines/encoding/feature_recipe.ts";
import { TinyInception } from "./inception_reference.ts";

/** Side of the network's input, images that the encoder is fitted on, and voxels. */
export const SIDE = 75, N_IMAGES = 24, N_VOXELS = 4;
const TAPS = ["Conv2d_2b_3x3", "Mixed_5b"], BUDGET = 40;
export const size = { height: SIDE, width: SIDE };
export const net = new TinyInception(randomKey(7));

/** Smooth random images in 0…1, `[n, 3, 75, 75]`. */
export function scenes(n: number, seed = 11): Float32Array<ArrayBuffer> {
  const out = new Float32Array(n * 3 * SIDE * SIDE), waves = 6;
  const draws = normal(randomKey(seed), n * 3 * waves * 4);
  out.forEach((_, at) => {
    const image = Math.floor(at / (3 * SIDE * SIDE)), c = Math.floor(at / (SIDE * SIDE)) % 3;
    const y = Math.floor(at / SIDE) % SIDE, x = at % SIDE;
    let value = 0;
    for (let k = 0; k < waves; k++) {
      const d = ((image * 3 + c) * waves + k) * 4;
      const turn = 0.15 * (k + 1) * (draws[d] * x + draws[d + 1] * y) + 3 * draws[d + 2];
      value += draws[d + 3] * Math.sin(turn);
    }
    out[at] = 1 / (1 + Math.exp(-value));
  });
  return out;
}

/** The network, an encoder of voxels that read its features, and both joined. */
export class Planted implements Disposable {
  private constructor(
    readonly model: InceptionModel,
    readonly encoder: Encoder,
    readonly features: HostMatrix,
    readonly image: ReturnType<typeof openImageEncoder>,
  ) {}

  static async open(gpu: Gpu, options: FitEncoderOptions = {}): Promise<Planted> {
    const model = await loadInception(gpu, net.stateDict);
    const plan = planTaps(model, size, { taps: TAPS, budget: BUDGET });
    const { mean, std } = preprocessings.inception;
    const plane = SIDE * SIDE;
    const pixels = scenes(N_IMAGES).map((v, at) => {
      const c = Math.floor(at / plane) % 3;
      return (v - mean[c]) / std[c];
    });
    using x = Tensor.from(gpu, pixels, [N_IMAGES, 3, SIDE, SIDE]);
    using all = tapFeatures(model, x, { taps: TAPS, budget: BUDGET });
    const features = hostMatrix(await all.data(), [N_IMAGES, all.shape[1]]);
    const recipe: FeatureRecipe = {
      family: "inception",
      layers: plan.map(({ name, channels, grid, length }) => ({ name, channels, grid, length })),
      ...{ pool: "max", channelOrder: "RGB" },
      ...inputRecipe({ ...preprocessings.inception, resizeSide: undefined }, size),
    };
    const ridge = { alphas: [1], cv: 3, ...options.ridge };
    const encoder = await fitEncoder(gpu, features, planted(features), {
      ...options,
      ...{ ridge, recipe },
    });
    return new Planted(model, encoder, features, openImageEncoder(gpu, { model, encoder }));
  }

  [Symbol.dispose](): void {
    this.model[Symbol.dispose]();
  }
}

/** Responses that sparse weights of z-scored features make: voxel `v` reads eight features of its own. */
export function planted({ data, shape: [n, p] }: HostMatrix): HostMatrix {
  const column = (j: number) => Array.from({ length: n }, (_, i) => data[i * p + j]);
  const out = new Float32Array(n * N_VOXELS);
  for (let v = 0; v < N_VOXELS; v++) {
    const order = normal(foldIn(randomKey(21), v), p);
    const chosen = Array.from(order.keys()).sort((a, b) => order[a] - order[b]);
    let left = 8;
    for (const j of chosen) {
      const values = column(j), mean = values.reduce((s, x) => s + x, 0) / n;
      const sd = Math.sqrt(values.reduce((s, x) => s + (x - mean) ** 2, 0) / n);
      if (sd === 0 || left-- === 0) continue;
      values.forEach((x, i) => out[i * N_VOXELS + v] += (x - mean) / sd);
      if (left === 0) break;
    }
  }
  return hostMatrix(out, [n, N_VOXELS]);
}
