/**
 * One encoder of regions from the encoders of several subjects: what images for subjects outside of the pool are made with.
 *
 * @module
 */
import type { Gpu } from "../../engine/gpu.ts";
import { foldIn, type Key } from "../../engine/random.ts";
import type { RoiVoxels } from "../dense/relevance.ts";
import { Encoder } from "../encoding/encoder.ts";
import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import { imageReadouts } from "../encoding/image_readouts.ts";
import { LinearModel } from "../encoding/linear_model.ts";
import { InputError } from "../errors.ts";
import { shuffledReadout } from "../optvis/controls.ts";
import { pooledReadout, roiReadout, type RoiReadoutOptions } from "../optvis/readout_weights.ts";

/** One subject of a pool. */
export interface PooledEncoderSubject {
  /** Its name, such as the path of its encoder; kept as the option `pooledFrom`. */
  readonly name: string;
  /** Its encoder. */
  readonly encoder: Encoder;
  /** Its regions. */
  readonly regions: readonly RoiVoxels[];
}

/** Options of {@link pooledEncoder}. */
export interface PooledEncoderOptions extends Pick<RoiReadoutOptions, "pooling" | "nTop"> {
  /** Puts the weights of each layer in a random order, as a control: images of weights that mean nothing. */
  readonly shuffle?: Key;
}

/** Weights of some voxels, `[nFeatures, nVoxels]`. */
async function coefOf(
  gpu: Gpu,
  encoder: Encoder,
  voxels: ArrayLike<number>,
): Promise<HostMatrix> {
  const { weights: { data, shape: [n, p] } } = await imageReadouts(gpu, encoder, voxels);
  const out = new Float32Array(data.length);
  for (let at = 0; at < data.length; at++) out[at % p * n + Math.floor(at / p)] = data[at];
  return hostMatrix(out, [p, n]);
}

/** Cross-validated r of some voxels, where the encoder knows it. */
function accuracyOf({ details: { cvR2 } }: Encoder, voxels: ArrayLike<number>) {
  return cvR2 && Float64Array.from(voxels, (v) => Math.sqrt(Math.max(0, cvR2[v])));
}

function requireAlike(subjects: readonly PooledEncoderSubject[]): void {
  const [first] = subjects;
  const kindOf = ({ encoder: { normalizer: { kind } } }: PooledEncoderSubject) => kind === "l2";
  const other = subjects.find((one) =>
    JSON.stringify(one.encoder.recipe) !== JSON.stringify(first.encoder.recipe) ||
    one.encoder.nFeatures !== first.encoder.nFeatures || kindOf(one) !== kindOf(first)
  );
  if (first && !other) return;
  throw new InputError(
    other
      ? `Cannot pool ${first.name} and ${other.name}: their features must be the same, of the same network, made and normalised alike`
      : "Cannot pool encoders: there is none",
  );
}

/**
 * An encoder with one response for each region: over subjects the mean of their readouts of length 1, of length 1 itself and without an
 * intercept. `gyrus maximize` makes images with it for subjects who had no part in it (Shinkle and Lescroart's separate group; how their
 * weights were pooled is not published).
 *
 * @param names regions, which every subject must have; region `i` is response `i`
 * @throws {InputError} when a subject lacks a region, or encoders differ in their features
 */
export async function pooledEncoder(
  gpu: Gpu,
  subjects: readonly PooledEncoderSubject[],
  names: readonly string[],
  { pooling, nTop, shuffle }: PooledEncoderOptions = {},
): Promise<Encoder> {
  requireAlike(subjects);
  const [{ encoder: { recipe, nFeatures, normalizer: { kind } } }] = subjects;
  const coef = hostMatrix(new Float32Array(nFeatures * names.length), [nFeatures, names.length]);
  for (const [r, name] of names.entries()) {
    const readouts: Float64Array[] = [];
    for (const { name: subject, encoder, regions } of subjects) {
      const region = regions.find((own) => own.name === name);
      if (!region) {
        throw new InputError(
          `Cannot pool the region "${name}": ${subject} has ${
            regions.map((own) => own.name).join(", ")
          }`,
        );
      }
      const own = await coefOf(gpu, encoder, region.voxels);
      const all = Array.from(region.voxels, (_, v) => v);
      const accuracy = accuracyOf(encoder, region.voxels);
      readouts.push(roiReadout(own, all, { pooling, nTop, accuracy }));
    }
    const layers = recipe?.layers.map(({ name: layer, length: size }) => ({ layer, size }));
    const pooled = pooledReadout(readouts);
    const weights = shuffle ? shuffledReadout(pooled, foldIn(shuffle, r), layers) : pooled;
    weights.forEach((w, p) => coef.data[p * names.length + r] = w);
  }
  return new Encoder({
    model: new LinearModel(gpu, coef, new Float32Array(names.length)),
    normalizer: { kind: kind === "l2" ? "l2" : "none" },
    ...{ solver: "ridge", details: {}, recipe },
    options: {
      ...{ pooledFrom: subjects.map(({ name }) => name), regions: names },
      ...{ pooling: pooling ?? "mean", isShuffled: shuffle !== undefined },
    },
  });
}
