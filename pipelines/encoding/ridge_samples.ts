import type { Gpu } from "../../engine/gpu.ts";
import { cast } from "../../engine/ops/cast.ts";
import { add } from "../../engine/ops/elementwise.ts";
import { Tensor, tidy } from "../../engine/tensor.ts";
import type { Split } from "./cross_validation.ts";
import { type FoldLayout, layOut } from "./fold_layout.ts";
import { columnMeans, type HostMatrix, range } from "./host_matrix.ts";

/** Float64 facts about the responses of one split. */
export interface FoldStats {
  /** Means over the train side, `[nTargets]`, of responses with their means over all samples taken off. */
  readonly trainMeans: Float64Array<ArrayBuffer>;
  /** Means over the test side, likewise. */
  readonly testMeans: Float64Array<ArrayBuffer>;
  /** Sums of squares over the test side about its own mean. */
  readonly testSquares: Float64Array<ArrayBuffer>;
}

/** What {@link RidgeSamples} are made of. */
export interface SamplesInit {
  /** `[nSamples, nFeatures]` */
  readonly x: HostMatrix;
  /** `[nSamples, nTargets]` */
  readonly y: HostMatrix;
  /** What will be scored. */
  readonly splits: readonly Split[];
  /** Centres both sides. */
  readonly fitIntercept: boolean;
  /** False where features are delayed first: their zeros count in the means. */
  readonly centreFeatures?: boolean;
  /** Samples whose layout, means and facts these share. */
  readonly like?: RidgeSamples;
  /** Multiplies features, `[nFeatures]`. */
  readonly scale?: Float64Array<ArrayBuffer>;
}

/**
 * Features and responses on the host, the order in which they lie on the device, and what is taken off them: with an intercept the
 * means of all samples, which changes no prediction and keeps f32 sums small.
 */
export class RidgeSamples {
  readonly gpu: Gpu;
  readonly x: HostMatrix;
  readonly y: HostMatrix;
  readonly layout: FoldLayout;
  readonly fitIntercept: boolean;
  /** Taken off the features, `[nFeatures]`. */
  readonly xMeans: Float64Array<ArrayBuffer>;
  /** Taken off the responses, `[nTargets]`. */
  readonly yMeans: Float64Array<ArrayBuffer>;
  /** Multiplies what is left of the features, `[nFeatures]`; 1 where absent. */
  readonly scale?: Float64Array<ArrayBuffer>;
  #stats?: readonly FoldStats[];
  #hasSmallMeans?: boolean;

  /** Checks nothing: the callers have. */
  constructor(gpu: Gpu, { x, y, splits, ...options }: SamplesInit) {
    const { fitIntercept, centreFeatures = fitIntercept, like, scale } = options;
    this.gpu = gpu;
    this.x = x;
    this.y = y;
    this.fitIntercept = fitIntercept;
    this.scale = scale;
    this.layout = like?.layout ?? layOut(splits, x.shape[0]);
    const means = (matrix: HostMatrix, centre: boolean) =>
      centre ? columnMeans(matrix, range(matrix.shape[0])) : new Float64Array(matrix.shape[1]);
    this.xMeans = like?.xMeans ?? means(x, centreFeatures);
    this.yMeans = like?.yMeans ?? means(y, fitIntercept);
    this.#stats = like?.stats;
  }

  /** The same samples with other scales of the features. */
  scaled(scale: Float64Array<ArrayBuffer>): RidgeSamples {
    const { gpu, x, y, fitIntercept } = this;
    return new RidgeSamples(gpu, { x, y, splits: [], fitIntercept, like: this, scale });
  }

  /** Number of samples. */
  get nSamples(): number {
    return this.x.shape[0];
  }

  /** Number of features. */
  get nFeatures(): number {
    return this.x.shape[1];
  }

  /** What a feature is multiplied by. */
  scaleOf(feature: number): number {
    return this.scale ? this.scale[feature] : 1;
  }

  /** Some features on the device, `[positions.length, columns.length]`, at some positions of the layout; all where absent. */
  features(
    positions: Uint32Array = range(this.nSamples),
    columns: Uint32Array = range(this.nFeatures),
  ): Tensor {
    const width = columns.length;
    const values = new Float32Array(positions.length * width);
    for (let r = 0; r < positions.length; r++) {
      const from = this.layout.order[positions[r]] * this.nFeatures;
      for (let c = 0; c < width; c++) {
        const j = columns[c];
        values[r * width + c] = (this.x.data[from + j] - this.xMeans[j]) * this.scaleOf(j);
      }
    }
    return Tensor.from(this.gpu, values, [positions.length, width]);
  }

  /** Some responses on the device in the order of the layout, with rows of zeros after them: `[nSamples + padding, columns.length]`. */
  responses(columns: Uint32Array, { padding = 0 } = {}): Tensor {
    const { data, shape: [n, nTargets] } = this.y;
    const width = columns.length;
    const values = new Float32Array((n + padding) * width);
    for (let r = 0; r < n; r++) {
      const from = this.layout.order[r] * nTargets;
      for (let j = 0; j < width; j++) {
        values[r * width + j] = data[from + columns[j]] - this.yMeans[columns[j]];
      }
    }
    return Tensor.from(this.gpu, values, [n + padding, width]);
  }

  /**
   * Means over some positions of the layout of the features as they lie on the device, `[1, nFeatures]`. In f64 they are exact to it:
   * where features are nearly dependent, a Gram matrix less that of a rounded mean is no longer one.
   */
  trainMeanOfFeatures(positions: Uint32Array, dtype: "f32" | "f64" = "f32"): Tensor {
    const { gpu, x: { data }, nFeatures: p, xMeans } = this;
    const means = new Float64Array(p);
    for (const at of this.fitIntercept ? positions : []) {
      const from = this.layout.order[at] * p;
      for (let j = 0; j < p; j++) {
        means[j] += Math.fround((data[from + j] - xMeans[j]) * this.scaleOf(j)) / positions.length;
      }
    }
    const high = Float32Array.from(means);
    if (dtype === "f32") return Tensor.from(gpu, high, [1, p]);
    const low = Float32Array.from(means, (mean, j) => mean - high[j]);
    const inF64 = (part: Float32Array<ArrayBuffer>) => cast(Tensor.from(gpu, part, [1, p]), "f64");
    return tidy(gpu, () => add(inF64(high), inF64(low)));
  }

  /** Facts about the responses of every split, computed once. */
  get stats(): readonly FoldStats[] {
    this.#stats ??= this.layout.folds.map(({ train, test }) => {
      const rows = test.map((at) => this.layout.order[at]);
      const means = columnMeans(this.y, rows);
      return {
        trainMeans: this.fitIntercept ? this.#means(train) : new Float64Array(this.y.shape[1]),
        testMeans: means.map((mean, t) => mean - this.yMeans[t]),
        testSquares: this.#squares(rows, means),
      };
    });
    return this.#stats;
  }

  /**
   * What comes off the responses of a split before they are scored, `[nTargets]`: with an intercept their means over the train side, else
   * those over the test side unless all are small.
   */
  shiftsOf(fold: number): Float64Array<ArrayBuffer> {
    const { trainMeans, testMeans } = this.stats[fold];
    if (this.fitIntercept) return trainMeans;
    return this.hasSmallMeans ? new Float64Array(testMeans.length) : testMeans;
  }

  /** True where no mean over a test side is over ten standard deviations: sums in f32 then keep 5 digits with the means in them. */
  get hasSmallMeans(): boolean {
    this.#hasSmallMeans ??= this.layout.folds.every(({ test }, fold) => {
      const { testMeans, testSquares } = this.stats[fold];
      return testMeans.every((mean, t) => mean * mean * test.length <= 100 * testSquares[t]);
    });
    return this.#hasSmallMeans;
  }

  #means(positions: Uint32Array): Float64Array<ArrayBuffer> {
    const rows = positions.map((at) => this.layout.order[at]);
    return columnMeans(this.y, rows).map((mean, t) => mean - this.yMeans[t]);
  }

  // Exactly 0 where a response is constant: the mean of equal f32 values is exact in f64.
  #squares(rows: Uint32Array, means: Float64Array): Float64Array<ArrayBuffer> {
    const { data, shape: [, nTargets] } = this.y;
    const squares = new Float64Array(nTargets);
    for (const row of rows) {
      for (let t = 0; t < nTargets; t++) {
        squares[t] += (data[row * nTargets + t] - means[t]) ** 2;
      }
    }
    return squares;
  }
}
