/**
 * The open command list: one compute pass that every op appends to, one uniform ring written once per submit and bound with
 * dynamic offsets, bind groups cached by the identity of their buffers. Per dispatch this costs about a microsecond of host time;
 * a pass, an encoder or a submit per dispatch would cost 8 to 80.
 *
 * @module
 */
import type { PoolBuffer } from "./buffers.ts";
import type { DispatchWork, Timeline } from "./profile.ts";

/** A range of a pooled buffer. */
export interface Binding {
  /** The buffer. */
  readonly buffer: PoolBuffer;
  /** First byte. */
  readonly offset: number;
  /** Number of bytes. */
  readonly bytes: number;
}

/** A dispatch ready to be recorded. */
export interface Dispatch {
  /** Name for errors and profiles. */
  readonly label: string;
  /** Compiled kernel. */
  readonly pipeline: GPUComputePipeline;
  /** Layout that the bind group must follow. */
  readonly layout: GPUBindGroupLayout;
  /** Identity of `layout`. */
  readonly layoutId: number;
  /** Storage bindings in order. */
  readonly bindings: readonly Binding[];
  /** Content of the uniform, or undefined where the kernel has none. */
  readonly params?: Uint32Array<ArrayBuffer>;
  /** Workgroups on each axis. */
  readonly groups: readonly [number, number, number];
  /** What it computes; asked for where a stretch is profiled. */
  readonly work: () => DispatchWork;
}

/** Dispatches per submit. */
export const MAX_RECORDED = 64;
const SLOT = 256; // bytes of one Params slot: the largest offset alignment that WebGPU allows
const MAX_BIND_GROUPS = 4096;

/** Records dispatches and copies until they are submitted. */
export class Recorder {
  readonly #device: GPUDevice;
  readonly #ring: GPUBuffer;
  readonly #ringData = new Uint32Array((MAX_RECORDED * SLOT) / 4);
  readonly #bindGroups = new Map<string, GPUBindGroup>();
  readonly #dynamicOffset = new Uint32Array(1);
  #encoder?: GPUCommandEncoder;
  #pass?: GPUComputePassEncoder;
  #labels: string[] = [];
  /** Set while a stretch is profiled: every dispatch then has a pass of its own. */
  timeline?: Timeline;

  /** A recorder for `device`. */
  constructor(device: GPUDevice) {
    this.#device = device;
    this.#ring = device.createBuffer({ size: MAX_RECORDED * SLOT, usage: 0x40 | 0x08 }); // UNIFORM | COPY_DST
  }

  /** Names of the dispatches that wait for the next submit. */
  get labels(): readonly string[] {
    return this.#labels;
  }

  /** Appends a dispatch. */
  dispatch(dispatch: Dispatch): void {
    const { label, pipeline, params, groups, work } = dispatch;
    const slot = this.#labels.length * SLOT;
    if (params) this.#ringData.set(params, slot / 4);
    const group = this.#bindGroup(dispatch);
    this.#encoder ??= this.#device.createCommandEncoder();
    this.#pass ??= this.#encoder.beginComputePass(this.timeline?.next(label, work()));
    const pass = this.#pass;
    pass.setPipeline(pipeline);
    if (params) {
      this.#dynamicOffset[0] = slot;
      pass.setBindGroup(0, group, this.#dynamicOffset, 0, 1);
    } else pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(groups[0], groups[1], groups[2]);
    this.#labels.push(label);
    if (this.timeline) this.#endPass();
  }

  /** Appends a copy of whole words. */
  copy(source: Binding, target: GPUBuffer, targetOffset: number): void {
    this.#endPass();
    this.#encoder ??= this.#device.createCommandEncoder();
    const { buffer, offset, bytes } = source;
    const whole = Math.ceil(bytes / 4) * 4;
    this.#encoder.copyBufferToBuffer(buffer.raw, offset, target, targetOffset, whole);
  }

  #endPass(): void {
    this.#pass?.end();
    this.#pass = undefined;
  }

  #bindGroup({ layout, layoutId, bindings, params }: Dispatch): GPUBindGroup {
    let key = `${layoutId}`;
    for (const b of bindings) key += `,${b.buffer.id}:${b.offset}:${b.bytes}`;
    const cached = this.#bindGroups.get(key);
    if (cached) return cached;
    if (this.#bindGroups.size >= MAX_BIND_GROUPS) this.#bindGroups.clear();
    const entries: GPUBindGroupEntry[] = bindings.map((b, binding) => ({
      binding,
      resource: { buffer: b.buffer.raw, offset: b.offset, size: b.bytes },
    }));
    if (params) {
      entries.push({ binding: bindings.length, resource: { buffer: this.#ring, size: SLOT } });
    }
    const group = this.#device.createBindGroup({ layout, entries });
    this.#bindGroups.set(key, group);
    return group;
  }

  /** Forgets bind groups, whose buffers may be gone. */
  forgetBindGroups(): void {
    this.#bindGroups.clear();
  }

  /** Sends what was recorded to the device. */
  submit(): void {
    this.#endPass();
    const used = this.#labels.length * SLOT;
    if (used > 0) this.#device.queue.writeBuffer(this.#ring, 0, this.#ringData, 0, used / 4);
    if (this.#encoder) this.timeline?.resolve(this.#encoder);
    this.#device.queue.submit(this.#encoder ? [this.#encoder.finish()] : []);
    this.#encoder = undefined;
    this.#labels = [];
  }

  /** Frees the ring. */
  destroy(): void {
    this.#ring.destroy();
  }
}
