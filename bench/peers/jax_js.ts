/**
 * Convolutions in jax-js on WebGPU, each compiled by its `jit`.
 *
 * @module
 */
import type { LayerValues, LayerWork } from "../inception_check.ts";
import type { Peer, PeerWork } from "./peer.ts";

const VERSION = "0.1.25";

/** An array; a function takes it over, `ref` is one more claim to it. */
interface JaxArray {
  readonly ref: JaxArray;
  reshape(shape: readonly number[]): JaxArray;
  add(other: JaxArray): JaxArray;
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
  nn: { relu(x: JaxArray): JaxArray };
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
  return { name: `jax-js ${VERSION}`, prepare: (work, values) => prepare(jax, work, values) };
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
  const run = () => isForward ? forward(x.ref, weight.ref, bias.ref) : back(x.ref, weight.ref);
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
    [Symbol.dispose]: () => [x, weight, bias].forEach((each) => each.dispose()),
  };
}
