/**
 * Convolutions in TensorFlow.js on its WebGPU backend, channels last as its kernels want them.
 *
 * @module
 */
import type { LayerValues, LayerWork } from "../inception_check.ts";
import { exchanged, type Peer, type PeerWork } from "./peer.ts";

const VERSION = "4.22.0";

interface TfTensor {
  data(): Promise<Float32Array>;
  dispose(): void;
}

/** The part of `@tensorflow/tfjs-core` that is used. */
interface Tf {
  setBackend(name: string): Promise<boolean>;
  ready(): Promise<void>;
  backend(): {
    device: GPUDevice;
    commandEncoder: GPUCommandEncoder | null;
    endComputePassEncoder(): void;
    submitQueue(): void;
  };
  tensor(values: Float32Array, shape: readonly number[]): TfTensor;
  fused: { conv2d(options: Readonly<Record<string, unknown>>): TfTensor };
  conv2dTranspose(
    x: TfTensor,
    filter: TfTensor,
    outputShape: readonly number[],
    strides: number,
    pad: "same" | "valid",
  ): TfTensor;
}

/**
 * Opens the library; npm's packages are fetched only here.
 *
 * @throws {Error} where it does not run
 */
export async function openTfjs(): Promise<Peer> {
  const packages = ["core", "backend-webgpu"].map((part) =>
    `npm:@tensorflow/tfjs-${part}@${VERSION}`
  );
  const tf = await import(packages[0]) as Tf;
  await import(packages[1]);
  if (!await tf.setBackend("webgpu")) throw new Error("its WebGPU backend does not start");
  await tf.ready();
  return { name: `tfjs ${VERSION}`, prepare: (work, values) => prepare(tf, work, values) };
}

function prepare(tf: Tf, { layer, pass }: LayerWork, values: LayerValues): PeerWork {
  const { conv: { kernel, stride, padding }, input, output } = layer;
  const [kh, kw] = kernel, [cin, cout] = [input[0], output[0]];
  const isSame = stride === 1 && padding.every((p, i) => 2 * p === kernel[i] - 1);
  const pad = isSame ? "same" : "valid";
  const isForward = pass === "forward";
  const [from, to] = isForward ? [input, output] : [output, input];
  const last = ([channels, h, w]: readonly number[]) => [1, h, w, channels];
  const x = tf.tensor(exchanged(values.x, from[0], from[1] * from[2]), last(from));
  // [cout, cin, kh·kw] → [kh·kw, cin, cout]
  const byTap = exchanged(values.weight, cout * cin, kh * kw);
  const filter = new Float32Array(byTap.length);
  for (let t = 0; t < kh * kw; t++) {
    filter.set(
      exchanged(byTap.subarray(t * cout * cin, (t + 1) * cout * cin), cout, cin),
      t * cout * cin,
    );
  }
  const weight = tf.tensor(filter, [kh, kw, cin, cout]);
  const bias = tf.tensor(Float32Array.from(values.bias), [cout]);
  const run = () =>
    isForward
      ? tf.fused.conv2d({ x, filter: weight, strides: stride, pad, bias, activation: "relu" })
      : tf.conv2dTranspose(x, weight, last(to), stride, pad);
  return {
    start: () => run().dispose(),
    async wait() {
      const backend = tf.backend();
      if (backend.commandEncoder) {
        backend.endComputePassEncoder();
        backend.submitQueue();
      }
      await backend.device.queue.onSubmittedWorkDone();
    },
    async values() {
      const y = run();
      const got = await y.data();
      y.dispose();
      return exchanged(got, to[1] * to[2], to[0]);
    },
    [Symbol.dispose]: () => [x, weight, bias].forEach((tensor) => tensor.dispose()),
  };
}
