/**
 * GPU timestamps around every dispatch of a profiled stretch.
 *
 * @module
 */

const MAX_PASSES = 1024;

/** Collects labels and timestamps of passes. */
export class Timeline {
  readonly #device: GPUDevice;
  readonly #labels: string[] = [];
  readonly #queries?: GPUQuerySet;

  /** A timeline on `device`; without `timestamps` it collects labels only. */
  constructor(device: GPUDevice, timestamps: boolean) {
    this.#device = device;
    if (timestamps) {
      this.#queries = device.createQuerySet({ type: "timestamp", count: 2 * MAX_PASSES });
    }
  }

  /** Descriptor of the next pass. */
  next(label: string): GPUComputePassDescriptor {
    const i = this.#labels.push(label) - 1;
    if (!this.#queries || i >= MAX_PASSES) return {};
    return {
      timestampWrites: {
        querySet: this.#queries,
        beginningOfPassWriteIndex: 2 * i,
        endOfPassWriteIndex: 2 * i + 1,
      },
    };
  }

  /**
   * The passes with their durations, in milliseconds; ticks are taken as nanoseconds, which wgpu on AMD and Intel may not honour.
   *
   * @param start makes the call that is waited for (see `backends.ts`)
   */
  async rows(
    start: <T>(call: () => T) => T,
  ): Promise<{ label: string; gpuMs?: number }[]> {
    const timed = Math.min(this.#labels.length, MAX_PASSES);
    if (!this.#queries || timed === 0) return this.#labels.map((label) => ({ label }));
    const bytes = 16 * timed;
    const resolved = this.#device.createBuffer({ size: bytes, usage: 0x200 | 0x04 }); // QUERY_RESOLVE | COPY_SRC
    const staging = this.#device.createBuffer({ size: bytes, usage: 0x01 | 0x08 });
    const encoder = this.#device.createCommandEncoder();
    encoder.resolveQuerySet(this.#queries, 0, 2 * timed, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, bytes);
    this.#device.queue.submit([encoder.finish()]);
    await start(() => staging.mapAsync(1));
    const ticks = new BigUint64Array(staging.getMappedRange().slice(0));
    for (const buffer of [resolved, staging]) buffer.destroy();
    this.#queries.destroy();
    return this.#labels.map((label, i) =>
      i < timed ? { label, gpuMs: Number(ticks[2 * i + 1] - ticks[2 * i]) / 1e6 } : { label }
    );
  }
}
