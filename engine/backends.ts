/**
 * Where a device comes from, and what differs between Deno's own WebGPU (wgpu, Naga) and Dawn: which features may be asked
 * for, which `enable` lines a shader needs, how a buffer is read back.
 *
 * @module
 */
import { loadDawn, PacedPolling } from "./dawn.ts";
import { UnsupportedError } from "./errors.ts";
import type { Caps } from "../shaders/kernel.ts";

/** Which WebGPU implementation runs the kernels. */
export type BackendName = "deno" | "dawn";

/** A device with what was learnt about it. */
export interface OpenedDevice {
  /** The device. */
  readonly device: GPUDevice;
  /** Driver's description, the key of tuning tables. */
  readonly adapterName: string;
  /** Capabilities found by trying. */
  readonly caps: Caps;
  /** `enable` lines that this WGSL compiler wants for each feature. */
  readonly enables: ReadonlyMap<string, string>;
  /** True where a mapped range may be read without waiting (see {@link readMapped}). */
  readonly synchronousMap: boolean;
  /** Makes a call of the device that leaves something to wait for. */
  readonly start: <T>(call: () => T) => T;
}

// Asked for one after another where all at once is refused. Deno masks its feature list but grants the hidden ones, so the
// list is no guide there; Dawn's list is honest, and its adapter can be asked only once.
const WANTED = ["subgroups", "shader-f16", "timestamp-query", "shader-f64"];

/** Options of {@link openDevice}. */
export interface OpenDeviceOptions {
  /** Deno's own WebGPU, or Google's Dawn through the npm package `webgpu`. */
  readonly backend: BackendName;
  /** Feature names not to use even where they exist. */
  readonly without: readonly string[];
  /** Part of the adapter's description to insist on. */
  readonly adapter?: string;
}

/**
 * Opens the best adapter.
 *
 * @throws {UnsupportedError} when there is no adapter, or another than the one insisted on.
 */
export async function openDevice(options: OpenDeviceOptions): Promise<OpenedDevice> {
  const gpu = options.backend === "dawn" ? await loadDawn(options.adapter) : navigator.gpu;
  const adapter = await requestAdapter(gpu, options.adapter);
  if (!adapter) {
    throw new UnsupportedError(
      "Cannot open a GPU: a Vulkan, Metal or D3D12 driver is needed and none was found. " +
        "Debian and Ubuntu: apt-get install -y mesa-vulkan-drivers libvulkan1 (software, works everywhere); " +
        "NVIDIA: the driver package with its Vulkan ICD file.",
    );
  }
  const name = adapterName(adapter.info);
  if (options.adapter && !name.toLowerCase().includes(options.adapter.toLowerCase())) {
    throw new UnsupportedError(
      `Cannot open adapter "${options.adapter}": the system offers "${name}"`,
    );
  }
  const wanted = WANTED.filter((f) => !options.without.includes(f));
  const features = options.backend === "dawn"
    ? wanted.filter((f) => adapter.features.has(f as GPUFeatureName))
    : await grantable(adapter, wanted);
  const device = await adapter.requestDevice(request(adapter, features));
  return describe(device, { info: adapter.info, features, backend: options.backend });
}

async function requestAdapter(
  gpu: GPU | undefined,
  name: string | undefined,
): Promise<GPUAdapter | null | undefined> {
  try {
    return await gpu?.requestAdapter({ powerPreference: "high-performance" });
  } catch (cause) { // Dawn, where no adapter has the name; its message lists those that there are
    const reason = cause instanceof Error ? cause.message.trim() : `${cause}`;
    const what = name === undefined ? "a GPU" : `adapter "${name}"`;
    throw new UnsupportedError(`Cannot open ${what}: ${reason}`, { cause });
  }
}

function request(adapter: GPUAdapter, features: readonly string[]): GPUDeviceDescriptor {
  const requiredLimits: Record<string, number> = {};
  // Limits are getters on the prototype: `for … in` sees them, Object.entries does not.
  for (const limit in adapter.limits) {
    const value = adapter.limits[limit as keyof GPUSupportedLimits];
    if (typeof value === "number") requiredLimits[limit] = value;
  }
  return { requiredFeatures: [...features] as GPUFeatureName[], requiredLimits };
}

async function grantable(adapter: GPUAdapter, wanted: readonly string[]): Promise<string[]> {
  const granted: string[] = [];
  for (const feature of wanted) {
    try {
      const trial = await adapter.requestDevice({ requiredFeatures: [feature as GPUFeatureName] });
      trial.destroy();
      granted.push(feature);
    } catch {
      continue; // refused: the only way that Deno tells
    }
  }
  return granted;
}

function adapterName(info: GPUAdapterInfo | undefined): string {
  return info?.description || [info?.vendor, info?.architecture].filter(Boolean).join(" ") ||
    "unknown adapter";
}

/** What is known of a device that was opened here or elsewhere. */
export function describe(
  device: GPUDevice,
  known: { info?: GPUAdapterInfo; features?: readonly string[]; backend?: BackendName } = {},
): OpenedDevice {
  const info = known.info ?? (device as { adapterInfo?: GPUAdapterInfo }).adapterInfo;
  const isDeno = known.backend
    ? known.backend === "deno"
    : navigator.userAgent.startsWith("Deno/") && device instanceof GPUDevice;
  const name = adapterName(info);
  const features = new Set([...device.features as Iterable<string>, ...(known.features ?? [])]);
  const { limits } = device;
  const isSoftware = /llvmpipe|lavapipe|swiftshader|software|basic render/i.test(name) ||
    info?.isFallbackAdapter === true;
  const sizes = info as { subgroupMinSize?: number; subgroupMaxSize?: number } | undefined;
  return {
    device,
    adapterName: name,
    caps: {
      features,
      subgroupMinSize: features.has("subgroups") ? sizes?.subgroupMinSize ?? 0 : 0,
      subgroupMaxSize: features.has("subgroups") ? sizes?.subgroupMaxSize ?? 0 : 0,
      isSoftware,
      maxWorkgroupInvocations: limits.maxComputeInvocationsPerWorkgroup,
      maxWorkgroupStorage: limits.maxComputeWorkgroupStorageSize,
      maxStorageBuffers: limits.maxStorageBuffersPerShaderStage,
      maxBindingBytes: Number(limits.maxStorageBufferBindingSize),
      maxBufferBytes: Number(limits.maxBufferSize),
      offsetAlignment: limits.minStorageBufferOffsetAlignment,
      // 535 are left for loops with a literal bound. No adapter tells its driver's version.
      maxLoopTurns: /llvmpipe/i.test(name) ? 65_000 : Infinity,
    },
    // Naga refuses `enable subgroups;` and needs no line; Tint requires it.
    enables: new Map(
      isDeno ? [["shader-f16", "f16"]] : [["shader-f16", "f16"], [
        "subgroups",
        "subgroups",
      ]],
    ),
    synchronousMap: isDeno && /^Deno\/2\.9\./.test(navigator.userAgent),
    start: isDeno ? (call) => call() : pacedStart(),
  };
}

function pacedStart(): OpenedDevice["start"] {
  const polling = new PacedPolling();
  return (call) => polling.start(call);
}

/**
 * Copies `bytes` bytes out of a staging buffer whose copy has been submitted, and unmaps it.
 *
 * Every awaited map costs 11 ms in Deno 2.9, which has finished the work by the time `mapAsync` returns; there the range is
 * taken without waiting (0.06 ms). That is sound only for a buffer that was mapped once before: {@link stagingBuffer} sees to it.
 * The order of versions is unknown, so any other version waits as the standard says.
 */
export async function readMapped(
  staging: GPUBuffer,
  bytes: number,
  { synchronousMap, start }: Pick<OpenedDevice, "synchronousMap" | "start">,
): Promise<ArrayBuffer> {
  const mapped = start(() => staging.mapAsync(1, /* READ */ 0, bytes));
  if (!synchronousMap) await mapped;
  else mapped.catch(() => undefined); // the range below throws instead
  const copy = staging.getMappedRange(0, bytes).slice(0);
  staging.unmap();
  return copy;
}

/** A buffer for {@link readMapped}. */
export function stagingBuffer(device: GPUDevice, bytes: number): GPUBuffer {
  const buffer = device.createBuffer({
    size: bytes,
    usage: 0x01 | 0x08, // MAP_READ | COPY_DST
    mappedAtCreation: true,
  });
  buffer.unmap();
  return buffer;
}
