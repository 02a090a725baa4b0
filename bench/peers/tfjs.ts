/**
 * Layers in TensorFlow.js on its WebGPU backend, channels last as its kernels want them.
 *
 * @module
 */
import type { LayerValues, LayerWork } from "../inception_check.ts";
import {
  type AttentionOp,
  NORM_EPS,
  NORM_GROUPS,
  type OpInputs,
  opShapes,
  type UnetOp,
} from "../unet_op.ts";
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
  tidy(work: () => TfTensor): TfTensor;
  moments(
    x: TfTensor,
    axes: readonly number[],
    keepDims: boolean,
  ): { mean: TfTensor; variance: TfTensor };
  matMul(a: TfTensor, b: TfTensor, transposeA: boolean, transposeB: boolean): TfTensor;
  softmax(x: TfTensor): TfTensor;
  reshape(x: TfTensor, shape: readonly number[]): TfTensor;
  sub(a: TfTensor, b: TfTensor): TfTensor;
  add(a: TfTensor, b: TfTensor | number): TfTensor;
  mul(a: TfTensor, b: TfTensor | number): TfTensor;
  sigmoid(x: TfTensor): TfTensor;
  rsqrt(x: TfTensor): TfTensor;
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
  return {
    name: `tfjs ${VERSION}`,
    prepare: (work, values) => prepare(tf, work, values),
    prepareOp: (op, inputs) => prepareOp(tf, op, inputs),
  };
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
  const weight = tapsLast(tf, values.weight, [cout, cin, kh, kw]);
  const bias = tf.tensor(Float32Array.from(values.bias), [cout]);
  const run = () =>
    isForward
      ? tf.fused.conv2d({ x, filter: weight, strides: stride, pad, bias, activation: "relu" })
      : tf.conv2dTranspose(x, weight, last(to), stride, pad);
  return workOf(tf, { inputs: [x, weight, bias], run, order: (y) => channelsFirst(y, to) });
}

/** Weights `[cout, cin, kh, kw]` as `[kh, kw, cin, cout]`. */
function tapsLast(
  tf: Tf,
  values: ArrayLike<number>,
  [cout, cin, kh, kw]: readonly number[],
): TfTensor {
  const byTap = exchanged(values, cout * cin, kh * kw); // [kh·kw, cout, cin]
  const filter = new Float32Array(byTap.length);
  for (let t = 0; t < kh * kw; t++) {
    const start = t * cout * cin;
    filter.set(exchanged(byTap.subarray(start, start + cout * cin), cout, cin), start);
  }
  return tf.tensor(filter, [kh, kw, cin, cout]);
}

const channelsFirst = (y: Float32Array, [channels, h, w]: readonly number[]) =>
  exchanged(y, h * w, channels);

/** A layer of a UNet. */
function prepareOp(tf: Tf, op: UnetOp, inputs: OpInputs): PeerWork {
  if (op.kind === "attention") return prepareAttention(tf, op, inputs);
  const { x: [, cin, side], weight: shape, y: [, ...to] } = opShapes(op);
  const x = tf.tensor(exchanged(inputs.x, cin, side ** 2), [1, side, side, cin]);
  const bias = tf.tensor(inputs.bias, [to[0]]);
  const weight = op.kind === "conv"
    ? tapsLast(tf, inputs.weight, shape)
    : tf.tensor(inputs.weight, [cin]);
  const run = () =>
    op.kind === "conv"
      ? tf.fused.conv2d({ x, filter: weight, strides: 1, pad: "same", bias })
      : tf.tidy(() => {
        const groups = tf.reshape(x, [1, side ** 2, NORM_GROUPS, cin / NORM_GROUPS]);
        const { mean, variance } = tf.moments(groups, [1, 3], true);
        const normed = tf.mul(tf.sub(groups, mean), tf.rsqrt(tf.add(variance, NORM_EPS)));
        const y = tf.add(tf.mul(tf.reshape(normed, [1, side, side, cin]), weight), bias);
        return tf.mul(y, tf.sigmoid(y));
      });
  return workOf(tf, { inputs: [x, weight, bias], run, order: (y) => channelsFirst(y, to) });
}

/** `[tokens, heads · headDim]` as `[heads, tokens, headDim]`, before anything is timed. */
function byHead(values: Float32Array, tokens: number, { heads, headDim }: AttentionOp) {
  return Float32Array.from(values, (_, i) => {
    const head = Math.floor(i / (tokens * headDim)), token = Math.floor(i / headDim) % tokens;
    return values[(token * heads + head) * headDim + i % headDim];
  });
}

function prepareAttention(tf: Tf, op: AttentionOp, { q, k, v }: OpInputs): PeerWork {
  const { queries, keys, heads, headDim } = op;
  const tensors = ([[q, queries], [k, keys], [v, keys]] as const).map(([values, tokens]) =>
    tf.tensor(byHead(values, tokens, op), [heads, tokens, headDim])
  );
  const [qs, ks, vs] = tensors;
  const run = () =>
    tf.tidy(() => {
      const scores = tf.mul(tf.matMul(qs, ks, false, true), 1 / Math.sqrt(headDim));
      return tf.matMul(tf.softmax(scores), vs, false, false);
    });
  const order = (y: Float32Array) =>
    Float32Array.from(y, (_, i) => {
      const token = Math.floor(i / (heads * headDim)), head = Math.floor(i / headDim) % heads;
      return y[(head * queries + token) * headDim + i % headDim];
    });
  return workOf(tf, { inputs: tensors, run, order });
}

/** `run` as often as wanted; `order` brings its values to the order of this library. */
function workOf(
  tf: Tf,
  { inputs, run, order }: {
    inputs: readonly TfTensor[];
    run: () => TfTensor;
    order: (y: Float32Array) => ArrayLike<number>;
  },
): PeerWork {
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
      return order(got);
    },
    [Symbol.dispose]: () => inputs.forEach((tensor) => tensor.dispose()),
  };
}
