import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import { requireFinite } from "../io/checks.ts";
import { denseForward } from "./dense_layer.ts";
import { weightOf } from "./objective.ts";
import { vaeTensorShapes, type VaeWeights } from "./parameters.ts";
import { type ColumnScale, toScale } from "./samples.ts";
import { groupStarts, latentSize, type VaeShape } from "./settings.ts";

/** Posteriors of stimuli. */
export interface NeuralLatents {
  /** Means, `[nStimuli, nLatent]`. */
  readonly mu: HostMatrix;
  /** Logarithms of the variances, `[nStimuli, nLatent]`. */
  readonly logvar: HostMatrix;
}

/** What a VAE is made of. */
export interface NeuralVaeParts {
  /** Sizes. */
  readonly shape: VaeShape;
  /** Weights by PyTorch's names. */
  readonly weights: VaeWeights;
  /** Means and deviations of the sites, which responses are z-scored by. */
  readonly sites: ColumnScale;
  /** Means and deviations of the pose features, where poses supervised. */
  readonly pose?: ColumnScale;
}

const ROWS_AT_ONCE = 256;

/** A group-wise disentangled VAE of neural responses. */
export class NeuralVae {
  /** Sizes. */
  readonly shape: VaeShape;
  /** Weights by PyTorch's names: float32 values in float64. */
  readonly weights: VaeWeights;
  /** Means and deviations of the sites. */
  readonly sites: ColumnScale;
  /** Means and deviations of the pose features. */
  readonly pose?: ColumnScale;

  /**
   * A VAE of these parts; weights are rounded to float32, as files keep them.
   *
   * @throws {InputError} when weights are missing or have other sizes, or the scales are those of other sites
   */
  constructor({ shape, weights, sites, pose }: NeuralVaeParts) {
    this.shape = shape;
    this.sites = sites;
    this.pose = pose;
    if (sites.mean.length !== shape.nSites || sites.std.length !== shape.nSites) {
      throw new InputError(
        `Cannot make a VAE of ${shape.nSites} sites: means and deviations are given of ${sites.mean.length} and ${sites.std.length}`,
      );
    }
    this.weights = new Map([...vaeTensorShapes(shape)].map(([name, dims]) => {
      const size = dims.reduce((a, b) => a * b, 1), values = weights.get(name);
      if (values?.length !== size) {
        throw new InputError(
          `Cannot make a VAE: ${name} must be [${dims}], it ${
            values ? `has ${values.length} values` : "is missing"
          }`,
        );
      }
      return [name, Float64Array.from(values, Math.fround)];
    }));
  }

  /** Sizes of the latent groups. */
  get groups(): readonly number[] {
    return this.shape.groups;
  }

  /** Latent dimensions of all groups. */
  get nLatent(): number {
    return latentSize(this.groups);
  }

  /** First latent dimension of each group, and the end of the last one. */
  get groupStarts(): readonly number[] {
    return groupStarts(this.groups);
  }

  #requireColumns({ data, shape: [, cols] }: HostMatrix, nColumns: number, what: string): void {
    if (cols !== nColumns) {
      throw new InputError(
        `Cannot use the VAE: it was fitted to ${nColumns} ${what}, ${cols} are given`,
      );
    }
    requireFinite(data, { source: what, columns: cols });
  }

  #layer(name: string, x: Float64Array, nIn: number): Float64Array<ArrayBuffer> {
    const bias = weightOf(this.weights, `${name}.bias`);
    const size = { rows: x.length / nIn, nIn, nOut: bias.length };
    return denseForward(x, weightOf(this.weights, `${name}.weight`), bias, size);
  }

  /**
   * Posteriors given responses.
   *
   * @param responses in the units of those that it was fitted to, `[nStimuli, nSites]`
   * @throws {InputError} when there are other sites, or a value is not finite
   */
  encode(responses: HostMatrix): NeuralLatents {
    const { nSites, hidden } = this.shape;
    this.#requireColumns(responses, nSites, "sites");
    const [n] = responses.shape;
    const scaled = toScale(responses, this.sites).data;
    const mu = new Float32Array(n * this.nLatent), logvar = new Float32Array(n * this.nLatent);
    for (let row = 0; row < n; row += ROWS_AT_ONCE) {
      const part = scaled.subarray(row * nSites, (row + ROWS_AT_ONCE) * nSites);
      const h = this.#layer("encoder.fc1", Float64Array.from(part), nSites);
      for (let i = 0; i < h.length; i++) if (h[i] < 0) h[i] = 0;
      mu.set(this.#layer("encoder.fc_mu", h, hidden), row * this.nLatent);
      logvar.set(this.#layer("encoder.fc_logvar", h, hidden), row * this.nLatent);
    }
    return {
      mu: hostMatrix(mu, [n, this.nLatent]),
      logvar: hostMatrix(logvar, [n, this.nLatent]),
    };
  }

  /**
   * Responses given latents.
   *
   * @param z `[nStimuli, nLatent]`
   * @returns `[nStimuli, nSites]`, in the units of the responses that it was fitted to
   * @throws {InputError} when there are other dimensions, or a value is not finite
   */
  decode(z: HostMatrix): HostMatrix {
    this.#requireColumns(z, this.nLatent, "latent dimensions");
    const { nSites } = this.shape;
    const { mean, std } = this.sites;
    const out = new Float32Array(z.shape[0] * nSites);
    for (let row = 0; row < z.shape[0]; row += ROWS_AT_ONCE) {
      const part = z.data.subarray(row * this.nLatent, (row + ROWS_AT_ONCE) * this.nLatent);
      out.set(this.#layer("decoder.fc_x", Float64Array.from(part), this.nLatent), row * nSites);
    }
    for (let i = 0; i < out.length; i++) out[i] = out[i] * std[i % nSites] + mean[i % nSites];
    return hostMatrix(out, [z.shape[0], nSites]);
  }

  /**
   * Pose features given latents, `[nStimuli, nPose]`, in the units of those that it was fitted to.
   *
   * @throws {InputError} when no pose supervised it, or there are other dimensions
   */
  decodePose(z: HostMatrix): HostMatrix {
    this.#requireColumns(z, this.nLatent, "latent dimensions");
    const head = this.shape.pose, { pose } = this;
    if (!head || !pose) {
      throw new InputError("Cannot decode the pose: the VAE was fitted without poses");
    }
    const scale = weightOf(this.weights, "decoder.dimwise_scale");
    const first = this.groupStarts[head.group];
    const out = new Float32Array(z.shape[0] * head.size);
    out.forEach((_, i) => {
      const k = i % head.size, row = (i - k) / head.size;
      const said = z.data[row * this.nLatent + first + k] * scale[k];
      out[i] = said * pose.std[k] + pose.mean[k];
    });
    return hostMatrix(out, [z.shape[0], head.size]);
  }

  /**
   * Logits of the categories given latents, `[nStimuli, nCategories]`.
   *
   * @throws {InputError} when no category supervised it, or there are other dimensions
   */
  decodeCategory(z: HostMatrix): HostMatrix {
    this.#requireColumns(z, this.nLatent, "latent dimensions");
    const head = this.shape.category;
    if (!head) {
      throw new InputError("Cannot decode the category: the VAE was fitted without categories");
    }
    const size = this.groups[head.group], first = this.groupStarts[head.group];
    const x = new Float64Array(z.shape[0] * size);
    x.forEach((_, i) => {
      x[i] = z.data[Math.floor(i / size) * this.nLatent + first + i % size];
    });
    return hostMatrix(this.#layer("decoder.fc_category", x, size), [z.shape[0], head.size]);
  }
}
