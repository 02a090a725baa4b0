/**
 * What the host costs: chains of ops and a transformer block recorded by the engine, against the very same dispatches written out as raw
 * WebGPU calls; readback and upload.
 *
 * @module
 */
import type { Gpu } from "../engine/gpu.ts";
import { attention } from "../engine/ops/attention.ts";
import { neg } from "../engine/ops/elementwise.ts";
import { linear } from "../engine/ops/matmul.ts";
import { layerNorm } from "../engine/ops/norm.ts";
import { slice } from "../engine/ops/shape.ts";
import { foldIn, normal, randomKey } from "../engine/random.ts";
import { MAX_RECORDED } from "../engine/recorder.ts";
import { Tensor, tidy } from "../engine/tensor.ts";
import { RawReplay } from "./raw_replay.ts";

/** One row of {@link benchHost}. */
export interface HostRow {
  /** What was done. */
  readonly name: string;
  /** Dispatches of one run; 0 for copies. */
  readonly dispatches: number;
  /** Microseconds of one run, from the first call until the device is done: the median. */
  readonly oursUs: number;
  /** The same by raw WebGPU calls. */
  readonly rawUs?: number;
  /** `oursUs / rawUs`: the median of ratios of neighbours in time. */
  readonly ratio?: number;
  /** Host microseconds of the calls alone, until everything is recorded: the least. */
  readonly recordUs?: number;
}

/** Options of {@link benchHost}. */
export interface HostBenchOptions {
  /** Times that each way runs, in turn. */
  readonly samples?: number;
}

const median = (values: readonly number[]) => [...values].sort((a, b) => a - b)[values.length >> 1];

/** Runs two ways in turn, each until the device is done, and compares neighbours. */
async function inTurns(
  gpu: Gpu,
  { ours, raw, samples }: { ours: () => void; raw: () => void; samples: number },
): Promise<Pick<HostRow, "oursUs" | "rawUs" | "ratio">> {
  const once = async (work: () => void) => {
    const start = performance.now();
    work();
    await gpu.sync();
    return 1e3 * (performance.now() - start);
  };
  for (const work of [ours, raw]) await once(work); // compiles, and fills the pool
  const pairs: [number, number][] = [];
  for (let i = 0; i < samples; i++) pairs.push([await once(ours), await once(raw)]);
  return {
    oursUs: median(pairs.map(([a]) => a)),
    rawUs: median(pairs.map(([, b]) => b)),
    ratio: median(pairs.map(([a, b]) => a / b)),
  };
}

/** Least host microseconds of recording some dispatches, none of which is submitted meanwhile. */
async function recordingUs(gpu: Gpu, work: () => void, samples: number): Promise<number> {
  let least = Infinity;
  for (let i = 0; i < 4 * samples; i++) {
    await gpu.sync();
    tidy(gpu, () => {
      const start = performance.now();
      work();
      least = Math.min(least, performance.now() - start);
    });
  }
  return 1e3 * least;
}

function chain(x: Tensor, length: number): void {
  let y = x;
  for (let i = 0; i < length; i++) y = neg(y);
}

/** One ViT-B/16 block of 197 tokens on random weights, by its parts. */
class Block implements Disposable {
  readonly #scope = new DisposableStack();
  readonly #x: Tensor;
  readonly #weights: readonly Tensor[];

  constructor(gpu: Gpu, width = 768) {
    const key = randomKey(7);
    const draw = (i: number, shape: number[], spread: number) => {
      const values = normal(foldIn(key, i), shape.reduce((a, b) => a * b, 1));
      return this.#scope.use(Tensor.from(gpu, values.map((v) => spread * v), shape));
    };
    this.#x = draw(0, [1, 197, width], 1);
    const shapes = [
      ...[[width], [width], [3 * width, width], [3 * width], [width, width], [width]],
      ...[[width], [width], [4 * width, width], [4 * width], [width, 4 * width], [width]],
    ];
    this.#weights = shapes.map((shape, i) => draw(i + 1, shape, 1 / Math.sqrt(width)));
  }

  run(): void {
    const [g1, b1, qkv, qkvBias, out, outBias, g2, b2, fc1, fc1Bias, fc2, fc2Bias] = this.#weights;
    const x = this.#x, width = x.shape[2];
    const parts = linear(layerNorm(x, g1, b1, { eps: 1e-6 }), qkv, { bias: qkvBias });
    const [q, k, v] = [0, 1, 2].map((i) =>
      slice(parts, { axis: -1, start: i * width, end: (i + 1) * width })
    );
    const mixed = attention(q, k, v, { nHeads: 12 });
    const seen = linear(mixed, out, { bias: outBias, residual: x });
    const normed = layerNorm(seen, g2, b2, { eps: 1e-6 });
    const hidden = linear(normed, fc1, { bias: fc1Bias, activation: "gelu" });
    linear(hidden, fc2, { bias: fc2Bias, residual: seen });
  }

  [Symbol.dispose](): void {
    this.#scope.dispose();
  }
}

/** Host costs, row by row; some seconds on a CPU adapter. */
export async function* benchHost(
  gpu: Gpu,
  { samples = 15 }: HostBenchOptions = {},
): AsyncGenerator<HostRow> {
  using x = Tensor.from(gpu, normal(randomKey(0), 4));
  using block = new Block(gpu);
  const works = [
    { name: "1,000 dependent ops on 4 values", work: () => chain(x, 1000) },
    { name: "ViT-B/16 block, 197 tokens", work: () => block.run() },
  ];
  for (const { name, work } of works) {
    const ours = () => tidy(gpu, () => work());
    const raw = RawReplay.of(gpu, ours);
    const times = await inTurns(gpu, { ours, raw: () => raw.run(), samples });
    const { dispatches } = raw;
    const short = dispatches < MAX_RECORDED;
    const recordUs = short ? await recordingUs(gpu, work, samples) : undefined;
    yield { name, dispatches, ...times, recordUs };
  }
  const count = MAX_RECORDED - 4; // before the recorder submits by itself
  const recordUs = await recordingUs(gpu, () => chain(x, count), samples);
  yield { name: "one op of these, recorded", dispatches: 1, oursUs: recordUs / count };
  yield* benchCopies(gpu, samples);
}

async function* benchCopies(gpu: Gpu, samples: number): AsyncGenerator<HostRow> {
  for (const [name, size] of [["4 bytes", 1], ["4 MiB", 1 << 20]] as const) {
    const values = new Float32Array(size).fill(1);
    const times: { up: number[]; down: number[] } = { up: [], down: [] };
    for (let i = 0; i < samples; i++) {
      const start = performance.now();
      using tensor = Tensor.from(gpu, values);
      await gpu.sync();
      const between = performance.now();
      await tensor.data();
      times.down.push(1e3 * (performance.now() - between));
      times.up.push(1e3 * (between - start));
    }
    yield { name: `upload of ${name}`, dispatches: 0, oursUs: median(times.up) };
    yield { name: `readback of ${name}`, dispatches: 0, oursUs: median(times.down) };
  }
}
