import type { Gpu } from "../../engine/gpu.ts";
import { add, div, scale, sub } from "../../engine/ops/elementwise.ts";
import { mean } from "../../engine/ops/reduce.ts";
import { resize } from "../../engine/ops/resize.ts";
import { broadcastTo, slice } from "../../engine/ops/shape.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import type { LongCall } from "../encoding/linear_model.ts";
import { InputError } from "../errors.ts";
import { preprocessings, type Rgb } from "../images/preprocess.ts";
import type { VisionModel } from "../models/model.ts";

/** How features come about; what files keep of them. */
export interface FeatureSettings {
  /** The network's family. */
  readonly family: string;
  /**
   * `"cls"`: the embedding of the image (DINO's class token behind the last norm), `"patches"`: the mean of the patch tokens there, `"tokens"`:
   * all of them side by side, for networks whose class token says little of where things are.
   */
  readonly token: "cls" | "patches" | "tokens";
  /** Sides that images are resized to, in pixels. */
  readonly size: readonly [height: number, width: number];
  /**
   * `"symmetric"` normalises colours of −1 to 1 as if they were of 0 to 1, which is what MIG-Vis's code feeds; `"unit"` brings them to 0 to 1
   * first, which is what the network was trained on.
   */
  readonly range: "symmetric" | "unit";
  /** Subtracted from the colours. */
  readonly mean: Rgb;
  /** Divides them. */
  readonly std: Rgb;
  /** Number of features. */
  readonly width: number;
}

/** Features of images on a device, differentiable by the images. */
export interface ImageFeatures {
  /** How they come about. */
  readonly settings: FeatureSettings;
  /**
   * Features of images.
   *
   * @param images colours from −1 to 1, `[n, 1 or 3, height, width]`
   * @returns `[n, width]`
   * @throws {InputError} for images of another shape
   */
  extract(images: Tensor): Tensor;
}

/** Images `[n, 3, …]` of grey or coloured ones. */
function asColored(images: Tensor): Tensor {
  const [n, channels, height, width] = images.shape;
  if (images.shape.length !== 4 || (channels !== 1 && channels !== 3)) {
    throw new InputError(
      `Cannot take features of images [${images.shape}]: they must be [n, 1 or 3, height, width]`,
    );
  }
  return channels === 3 ? images : broadcastTo(images, [n, 3, height, width]);
}

/** What {@link vitFeatures} may be told; defaults are MIG-Vis's code's. */
export type VitFeatureOptions = Partial<Pick<FeatureSettings, "token" | "size" | "range">>;

/**
 * Features by a vision transformer as MIG-Vis's code takes them: one channel repeated to three, bilinear resizing without antialiasing to
 * the network's own size, colours normalised as the family's but fed from −1 to 1.
 *
 * @param model stays the caller's
 * @throws {InputError} when a side is no multiple of the patch size
 */
export function vitFeatures(
  model: VisionModel,
  { token = "cls", size, range = "symmetric" }: VitFeatureOptions = {},
): ImageFeatures {
  const { grid, patchSize, width, prefixTokens } = model.config;
  const [height, across] = size ?? [grid[0] * patchSize, grid[1] * patchSize];
  if (![height, across].every((side) => side >= patchSize && side % patchSize === 0)) {
    throw new InputError(
      `Cannot take features at ${height}x${across} pixels: sides must be multiples of ${patchSize}`,
    );
  }
  const { mean: center, std } = preprocessings[model.family];
  const nPatches = height * across / patchSize ** 2;
  const nFeatures = { cls: model.outputWidth, patches: width, tokens: nPatches * width }[token];
  const settings: FeatureSettings = {
    ...{ family: model.family, token, size: [height, across], range, mean: center, std },
    width: nFeatures,
  };
  return {
    settings,
    extract: (images) =>
      tidy(images.gpu, () => {
        const { gpu } = images, of = (v: number[]) => Tensor.from(gpu, v, [1, 3, 1, 1]);
        const resized = resize(asColored(images), [height, across], { mode: "bilinear" });
        const half = Tensor.from(gpu, [0.5]);
        const colors = range === "unit" ? add(scale(resized, 0.5), half) : resized;
        const pixels = div(sub(colors, of([...center])), of([...std]));
        if (token === "cls") return model.forward(pixels).output;
        const { captured } = model.forward(pixels, { capture: ["final"] });
        const patches = slice(captured.get("final")!, { axis: 1, start: prefixTokens });
        return token === "patches"
          ? mean(patches, { axes: [1] })
          : patches.reshape([-1, nFeatures]);
      }),
  };
}

/** Images on the host. */
export interface ImageArray {
  /** Colours from −1 to 1, row-major. */
  readonly data: Float32Array<ArrayBuffer>;
  /** Images, channels (1 or 3), height and width. */
  readonly shape: readonly [n: number, channels: number, height: number, width: number];
}

/** Options of {@link extractFeatures}. */
export interface ExtractOptions extends LongCall {
  /** Images on the device at once (default 32). */
  readonly batch?: number;
}

/**
 * Features of images on the host.
 *
 * @returns `[n, width]`
 * @throws {InputError} as {@link ImageFeatures.extract}
 */
export async function extractFeatures(
  gpu: Gpu,
  features: ImageFeatures,
  { data, shape: [n, ...rest], batch = 32, signal, onProgress }: ImageArray & ExtractOptions,
): Promise<HostMatrix> {
  const each = rest[0] * rest[1] * rest[2], { width } = features.settings;
  const all = new Float32Array(n * width);
  for (let at = 0; at < n; at += batch) {
    signal?.throwIfAborted();
    const end = Math.min(n, at + batch);
    using part = Tensor.from(gpu, data.subarray(at * each, end * each), [end - at, ...rest]);
    using found = features.extract(part);
    all.set(await found.data(), at * width);
    onProgress?.({ stage: "features", done: end, total: n });
  }
  return hostMatrix(all, [n, width]);
}
