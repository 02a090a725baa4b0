/**
 * A small VGG in float64 on the host, one image at a time, after torchvision's `forward`: two convolutions after a pooling, odd widths, and
 * the names written out, so that the model's reading of a checkpoint's numbers is not checked against itself.
 *
 * @module
 */
import { foldIn, type Key, normal } from "../../engine/random.ts";
import {
  type HostTensor,
  hostTensor,
  type StateDict,
  toFloat32,
} from "../../pipelines/io/state_dict.ts";
import { convolve, type FeatureMap } from "./inception_reference.ts";

const EPS = 1e-5; // BatchNorm2d

/** `[number of the convolution, of its ReLU, of the pooling after it]`, as torchvision's `make_layers` counts. */
const PLAIN = [[0, 1, 2], [3, 4], [5, 6, 7]], NORMED = [[0, 2, 3], [4, 6], [7, 9, 10]];
const WIDTHS = [5, 6, 7], GRID = 2, CLASSES = 4;
const LINEARS = [[0, 9, 1], [3, 8, 4], [6, CLASSES, 6]]; // number, width, number of the tap

function largest(x: FeatureMap): FeatureMap {
  const h = Math.floor(x.h / 2), w = Math.floor(x.w / 2);
  const data = Float64Array.from({ length: x.c * h * w }, (_, i) => {
    const at = Math.floor(i / (h * w)) * x.h * x.w + 2 * (Math.floor(i / w) % h) * x.w +
      2 * (i % w);
    return Math.max(x.data[at], x.data[at + 1], x.data[at + x.w], x.data[at + x.w + 1]);
  });
  return { c: x.c, h, w, data };
}

/** PyTorch's adaptive average pooling to `GRID` by `GRID`. */
function averaged(x: FeatureMap): FeatureMap {
  const bin = (i: number, n: number) => [Math.floor(i * n / GRID), Math.ceil((i + 1) * n / GRID)];
  const data = Float64Array.from({ length: x.c * GRID * GRID }, (_, i) => {
    const [y0, y1] = bin(Math.floor(i / GRID) % GRID, x.h), [x0, x1] = bin(i % GRID, x.w);
    let sum = 0;
    for (let y = y0; y < y1; y++) {
      for (let z = x0; z < x1; z++) {
        sum += x.data[(Math.floor(i / GRID / GRID) * x.h + y) * x.w + z];
      }
    }
    return sum / ((y1 - y0) * (x1 - x0));
  });
  return { c: x.c, h: GRID, w: GRID, data };
}

/** A network with random weights. */
export class TinyVgg {
  /** Weights under torchvision's names. */
  readonly stateDict: StateDict;
  /** Names of the taps, in order. */
  readonly names: readonly string[];
  readonly #isNormed: boolean;

  constructor(key: Key, { isNormed = false }: { isNormed?: boolean } = {}) {
    this.#isNormed = isNormed;
    const tensors = new Map<string, HostTensor>();
    const draw = (
      name: string,
      shape: readonly number[],
      [mean, sd]: readonly [number, number],
    ) => {
      const size = shape.reduce((a, b) => a * b, 1);
      const values = normal(foldIn(key, tensors.size), size).map((v) => mean + sd * v);
      tensors.set(name, hostTensor(values, shape));
    };
    let cin = 3;
    this.#table.forEach(([conv], i) => {
      const cout = WIDTHS[i];
      draw(`features.${conv}.weight`, [cout, cin, 3, 3], [0, Math.sqrt(2 / (9 * cin))]);
      draw(`features.${conv}.bias`, [cout], [0.1, 0.2]);
      if (isNormed) {
        const norm = `features.${conv + 1}`;
        draw(`${norm}.weight`, [cout], [1, 0.2]);
        draw(`${norm}.bias`, [cout], [0.1, 0.2]);
        draw(`${norm}.running_mean`, [cout], [0, 0.2]);
        draw(`${norm}.running_var`, [cout], [1, 0.1]);
        draw(`${norm}.num_batches_tracked`, [1], [0, 1]);
      }
      cin = cout;
    });
    let inputs = cin * GRID * GRID;
    for (const [at, width] of LINEARS) {
      draw(`classifier.${at}.weight`, [width, inputs], [0, Math.sqrt(2 / inputs)]);
      draw(`classifier.${at}.bias`, [width], [0.1, 0.2]);
      inputs = width;
    }
    this.stateDict = tensors;
    this.names = [
      ...this.#table.flatMap(([, ...taps]) => taps.map((tap) => `features.${tap}`)),
      "avgpool",
      ...LINEARS.map(([, , tap]) => `classifier.${tap}`),
    ];
  }

  get #table() {
    return this.#isNormed ? NORMED : PLAIN;
  }

  #values(name: string): Float32Array {
    return toFloat32(this.stateDict.get(name)!);
  }

  #conv(x: FeatureMap, at: number): FeatureMap {
    const name = `features.${at}`, norm = `features.${at + 1}`;
    const y = convolve(x, this.stateDict.get(`${name}.weight`)!, { pad: [1, 1] });
    const bias = this.#values(`${name}.bias`);
    const [gamma, beta, mean, variance] = this.#isNormed
      ? ["weight", "bias", "running_mean", "running_var"].map((p) => this.#values(`${norm}.${p}`))
      : [];
    const data = y.data.map((v, i) => {
      const o = Math.floor(i / (y.h * y.w)), z = v + bias[o];
      const out = gamma ? (z - mean[o]) / Math.sqrt(variance[o] + EPS) * gamma[o] + beta[o] : z;
      return Math.max(0, out);
    });
    return { ...y, data };
  }

  /** All taps of an image `[3, h, w]` that is normalised. */
  forward(image: Float64Array, [h, w]: readonly [number, number]): Map<string, FeatureMap> {
    const taps = new Map<string, FeatureMap>();
    let x: FeatureMap = { c: 3, h, w, data: image };
    for (const [conv, relu, pool] of this.#table) {
      taps.set(`features.${relu}`, x = this.#conv(x, conv));
      if (pool !== undefined) taps.set(`features.${pool}`, x = largest(x));
    }
    taps.set("avgpool", x = averaged(x));
    let row = x.data;
    LINEARS.forEach(([at, width, tap], i) => {
      const weight = this.#values(`classifier.${at}.weight`);
      const bias = this.#values(`classifier.${at}.bias`);
      const from = row;
      row = Float64Array.from({ length: width }, (_, o) => {
        const sum = from.reduce((s, v, k) => s + v * weight[o * from.length + k], bias[o]);
        return i < LINEARS.length - 1 ? Math.max(0, sum) : sum;
      });
      taps.set(`classifier.${tap}`, { c: width, h: 1, w: 1, data: row });
    });
    return taps;
  }
}
