/**
 * The dispatches of some work, written out as the WebGPU calls that a program without an engine would make: bind groups built
 * beforehand, one pass, one submit, uniforms already on the device.
 *
 * @module
 */
import type { Gpu } from "../engine/gpu.ts";
import type { Dispatch } from "../engine/recorder.ts";

interface RawDispatch {
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly offset?: number;
  readonly groups: readonly [number, number, number];
}

const SLOT = 256; // the largest offset alignment that WebGPU allows

/** A recorded list of dispatches. Its tensors may be gone: their buffers stay with the pool. */
export class RawReplay {
  readonly #gpu: Gpu;
  readonly #dispatches: readonly RawDispatch[];

  /** Listens to `work` once. */
  static of(gpu: Gpu, work: () => void): RawReplay {
    const heard: Dispatch[] = [];
    const record = gpu.record;
    gpu.record = function (dispatch: Dispatch) {
      heard.push({ ...dispatch, params: dispatch.params?.slice() }); // a kernel packs them into one array
      record.call(gpu, dispatch);
    };
    try {
      work();
    } finally {
      gpu.record = record;
    }
    return new RawReplay(gpu, heard);
  }

  private constructor(gpu: Gpu, heard: readonly Dispatch[]) {
    const { device } = gpu;
    const uniforms = device.createBuffer({ size: SLOT * heard.length, usage: 0x40 | 0x08 }); // UNIFORM | COPY_DST
    this.#gpu = gpu;
    this.#dispatches = heard.map(({ pipeline, layout, bindings, params, groups }, i) => {
      const entries: GPUBindGroupEntry[] = bindings.map((b, binding) => ({
        binding,
        resource: { buffer: b.buffer.raw, offset: b.offset, size: b.bytes },
      }));
      if (params) {
        device.queue.writeBuffer(uniforms, SLOT * i, params);
        entries.push({ binding: entries.length, resource: { buffer: uniforms, size: SLOT } });
      }
      const group = device.createBindGroup({ layout, entries });
      return { pipeline, group, offset: params ? SLOT * i : undefined, groups };
    });
  }

  /** Number of dispatches. */
  get dispatches(): number {
    return this.#dispatches.length;
  }

  /** Encodes and submits all of it. */
  run(): void {
    const { device } = this.#gpu;
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (const { pipeline, group, offset, groups } of this.#dispatches) {
      pass.setPipeline(pipeline);
      if (offset === undefined) pass.setBindGroup(0, group);
      else pass.setBindGroup(0, group, [offset]);
      pass.dispatchWorkgroups(...groups);
    }
    pass.end();
    device.queue.submit([encoder.finish()]);
  }
}
