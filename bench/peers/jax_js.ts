/**
 * Layers in jax-js on WebGPU, each compiled by its `jit`.
 *
 * @module
 */
import type { LayerValues, LayerWork } from "../inception_check.ts";
import { NORM_EPS, NORM_GROUPS, type OpInputs, opShapes, type UnetOp } from "../unet_op.ts";
import type { Peer, PeerWork } from "./peer.ts";

const VERSION = "0.1.25";

/** An array; a function takes it over, `ref` is one more claim to it. */
interface JaxArray {
  readonly ref: JaxArray;
  reshape(shape: readonly number[]): JaxArray;
  add(other: JaxArray): JaxArray;
  mul(other: JaxArray): JaxArray;
  data(): Promise<Float32Array>;
  dispose(): void;
}

type Pads = readonly (readonly [number, number])[];

/** The part of `@jax-js/jax` that is used. */
interface Jax {
  init(device: string): Promise<string[]>;
  defaultDevice(device: string): string;
  getWebGPUDevice(): GPUDevice;
  blockUntilReady(x: readonly JaxArray[]): Promise<unknown>;
  jit(f: (...xs: JaxArray[]) => JaxArray): (...xs: JaxArray[]) => JaxArray;
  numpy: { array(values: Float32Array): JaxArray };
  nn: {
    relu(x: JaxArray): JaxArray;
    silu(x: JaxArray): JaxArray;
    standardize(x: JaxArray, axis: number, options: { epsilon: number }): JaxArray;
    dotProductAttention(q: JaxArray, k: JaxArray, v: JaxArray): JaxArray;
  };
  lax: {
    convGeneralDilated(x: JaxArray, w: JaxArray, strides: readonly number[], pads: Pads): JaxArray;
    convTranspose(
      x: JaxArray,
      w: JaxArray,
      strides: readonly number[],
      pads: Pads,
      options: { transposeKernel: boolean },
    ): JaxArray;
  };
}

/**
 * Opens the library; npm's package is fetched only here.
 *
 * @throws {Error} where it does not run
 */
export async function openJaxJs(): Promise<Peer> {
  const jax = await import(`npm:@jax-js/jax@${VERSION}`) as Jax;
  const started = await jax.init("webgpu");
  if (!started.includes("webgpu")) throw new Error("its WebGPU backend does not start");
  jax.defaultDevice("webgpu");
  return {
    name: `jax-js ${VERSION}`,
    prepare: (work, values) => prepare(jax, work, values),
    prepareOp: (op, inputs) => prepareOp(jax, op, inputs),
  };
}

function prepare(jax: Jax, { layer, pass }: LayerWork, values: LayerValues): PeerWork {
  const { conv: { kernel, stride, padding }, input, output } = layer;
  const isForward = pass === "forward";
  const array = (data: ArrayLike<number>, shape: readonly number[]) =>
    jax.numpy.array(Float32Array.from(data)).reshape(shape);
  const x = array(values.x, [1, ...isForward ? input : output]);
  const weight = array(values.weight, [output[0], input[0], ...kernel]);
  const bias = array(values.bias, [1, output[0], 1, 1]);
  const pads: Pads = padding.map((p) => [p, p] as const), strides = [stride, stride];
  const { convGeneralDilated, convTranspose } = jax.lax;
  const forward = jax.jit((x, w, b) => jax.nn.relu(convGeneralDilated(x, w, strides, pads).add(b)));
  const back = jax.jit((g, w) => convTranspose(g, w, strides, pads, { transposeKernel: true }));
  return workOf(
    jax,
    [x, weight, bias],
    () => isForward ? forward(x.ref, weight.ref, bias.ref) : back(x.ref, weight.ref),
  );
}

/** A layer of a UNet. */
function prepareOp(jax: Jax, op: UnetOp, inputs: OpInputs): PeerWork {
  const shapes = jaxShapes(op);
  const arrays = Object.entries(shapes).map(([name, shape]) =>
    jax.numpy.array(inputs[name]).reshape(shape)
  );
  const run = jax.jit(jaxOp(jax, op));
  return workOf(jax, arrays, () => run(...arrays.map(({ ref }) => ref)));
}

/** Shapes of the inputs as the layer below takes them. */
function jaxShapes(op: UnetOp): Readonly<Record<string, readonly number[]>> {
  if (op.kind === "attention") {
    const { queries, keys, heads, headDim } = op, of = (n: number) => [n, heads, headDim];
    return { q: of(queries), k: of(keys), v: of(keys) };
  }
  const { x, weight } = opShapes(op);
  const channels = [1, weight[0], 1, 1];
  return op.kind === "conv" ? { x, weight, bias: channels } : {
    x: [NORM_GROUPS, op.channels / NORM_GROUPS * op.side ** 2],
    weight: channels,
    bias: channels,
  };
}

function jaxOp(jax: Jax, op: UnetOp): (...xs: JaxArray[]) => JaxArray {
  const { nn, lax } = jax;
  if (op.kind === "attention") return (q, k, v) => nn.dotProductAttention(q, k, v);
  if (op.kind === "conv") {
    const pads: Pads = [[1, 1], [1, 1]];
    return (x, w, b) => lax.convGeneralDilated(x, w, [1, 1], pads).add(b);
  }
  return (x, w, b) =>
    nn.silu(
      nn.standardize(x, 1, { epsilon: NORM_EPS }).reshape(opShapes(op).y).mul(w).add(b),
    );
}

/** What was compiled, run as often as wanted. */
function workOf(jax: Jax, inputs: readonly JaxArray[], run: () => JaxArray): PeerWork {
  let started: JaxArray[] = []; // what is disposed of before it is due is never computed
  return {
    start: () => void started.push(run()),
    async wait() {
      const done = started;
      started = [];
      if (done.length > 0) await jax.blockUntilReady(done);
      else await jax.getWebGPUDevice().queue.onSubmittedWorkDone();
      for (const each of done) each.dispose();
    },
    values: () => run().data(),
    [Symbol.dispose]: () => inputs.forEach((each) => each.dispose()),
  };
}
