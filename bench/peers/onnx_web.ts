/**
 * Layers in ONNX Runtime Web on its WebGPU backend, each a model of a few nodes, inputs and results on the device.
 *
 * @module
 */
import { type OpInputs, opShapes, type UnetOp } from "../unet_op.ts";
import { onnxModel } from "./onnx_model.ts";
import type { OpPeer, PeerWork } from "./peer.ts";

const VERSION = "1.30.0";

interface OrtTensor {
  getData(): Promise<Float32Array>;
  dispose(): void;
}

type Feeds = Readonly<Record<string, OrtTensor>>;

interface OrtSession {
  run(feeds: Feeds): Promise<Readonly<Record<string, OrtTensor>>>;
  release(): Promise<void>;
}

/** The part of `onnxruntime-web` that is used. */
interface Ort {
  env: {
    wasm: { numThreads: number };
    webgpu: { device: Promise<GPUDevice> };
  };
  Tensor: {
    fromGpuBuffer(
      buffer: GPUBuffer,
      options: { dataType: "float32"; dims: readonly number[] },
    ): OrtTensor;
  };
  InferenceSession: {
    create(
      model: Uint8Array,
      options: { executionProviders: string[]; preferredOutputLocation: "gpu-buffer" },
    ): Promise<OrtSession>;
  };
}

/**
 * Opens the library; npm's package is fetched only here.
 *
 * @throws {Error} where it does not run
 */
export async function openOnnxWeb(): Promise<OpPeer> {
  const ort = await import(`npm:onnxruntime-web@${VERSION}/webgpu`) as Ort;
  ort.env.wasm.numThreads = 1; // its threads are workers from blobs, which Deno refuses
  return {
    name: `onnxruntime-web ${VERSION}`,
    prepareOp: (op, inputs) => prepareOp(ort, op, inputs),
  };
}

async function prepareOp(ort: Ort, op: UnetOp, inputs: OpInputs): Promise<PeerWork> {
  const session = await ort.InferenceSession.create(onnxModel(op, inputs), {
    executionProviders: ["webgpu"],
    preferredOutputLocation: "gpu-buffer",
  });
  const device = await ort.env.webgpu.device;
  const { y: _, weight: _weight, bias: _bias, ...shapes } = opShapes(op);
  const buffers: GPUBuffer[] = [];
  const feeds = Object.fromEntries(
    Object.entries(shapes).map(([name, dims]) => {
      const { STORAGE, COPY_DST, COPY_SRC } = GPUBufferUsage;
      const size = inputs[name].byteLength;
      const buffer = device.createBuffer({ size, usage: STORAGE | COPY_DST | COPY_SRC });
      device.queue.writeBuffer(buffer, 0, inputs[name]);
      buffers.push(buffer);
      return [name, ort.Tensor.fromGpuBuffer(buffer, { dataType: "float32", dims })];
    }),
  );
  let last: Promise<unknown> = Promise.resolve(); // a session runs once at a time
  return {
    start() {
      last = last.then(async () => (await session.run(feeds)).y.dispose());
    },
    async wait() {
      await last;
      await device.queue.onSubmittedWorkDone();
    },
    async values() {
      const { y } = await session.run(feeds);
      const got = await y.getData();
      y.dispose();
      return got;
    },
    [Symbol.dispose]() {
      for (const buffer of buffers) buffer.destroy();
      session.release().catch((error: unknown) => reportError(error));
    },
  };
}
