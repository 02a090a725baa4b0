/**
 * Runs a kernel: solves its dims from the inputs, checks them, selects and compiles a variant, allocates the outputs, records
 * the dispatch. Everything that can be refused is refused before anything is allocated.
 *
 * @module
 */
import { DTypeError, KernelError, ShapeError, UnsupportedError } from "./errors.ts";
import type { Gpu, TuningEntry } from "./gpu.ts";
import type { DispatchWork } from "./profile.ts";
import type { Binding } from "./recorder.ts";
import { select } from "./select.ts";
import { allocate, type DType, dtypeBytes, dtypeFeatures, type Tensor } from "./tensor.ts";
import { compose, type ElemType, reflect, type Reflection } from "./wgsl.ts";
import {
  type Args,
  type BufferDecl,
  bufferDecls,
  bytesOf,
  type Constants,
  type Dims,
  givenDecls,
  type KernelSpec,
  type KernelVariant,
  productOf,
  sizeOf,
} from "../shaders/kernel.ts";

/** Options of {@link run}. */
export interface RunOptions {
  /** Dims that the inputs do not determine. */
  readonly dims?: Dims;
  /** Scalars that differ from the spec's. */
  readonly args?: Args;
  /** Where to run when there is no input. */
  readonly gpu?: Gpu;
  /** Storage type of the outputs when no input has one. */
  readonly dtype?: ElemType;
  /** Shapes of new outputs where the spec's own is not wanted, by buffer name; the sizes must agree. */
  readonly shapes?: Readonly<Record<string, readonly number[]>>;
  /** Tensors to write instead of new ones, by buffer name. */
  readonly out?: Readonly<Record<string, Tensor>>;
  /** Variant and tunables to use instead of the selection. */
  readonly choice?: TuningEntry;
}

/**
 * Records one run of a kernel and returns its outputs in declared order. Inputs are the `in` and `inout` buffers in declared order;
 * only their sizes have to fit where a spec reads a tensor in another shape of the same size (pass `dims` then).
 *
 * @throws {ShapeError} when sizes contradict each other.
 * @throws {DTypeError} when a storage type does not fit.
 * @throws {UnsupportedError} above a limit of the adapter.
 */
export function run(
  spec: KernelSpec,
  inputs: readonly Tensor[],
  options: RunOptions = {},
): Tensor[] {
  const gpu = options.gpu ?? inputs[0]?.gpu;
  if (!gpu) throw new UnsupportedError(`Cannot run "${spec.name}": it has no inputs, pass a gpu`);
  gpu.assertOpen();
  const decls = bufferDecls(spec), given = givenDecls(spec);
  if (given.length !== inputs.length) {
    throw new ShapeError(
      `Cannot run "${spec.name}": it takes ${given.length} inputs (${
        given.map((d) => d.name).join(", ")
      }), got ${inputs.length}`,
    );
  }
  const args = options.args ? { ...spec.args, ...options.args } : spec.args ?? {};
  const elem = elemType(spec, given, inputs, options);
  const dims = solveDims(spec, given, inputs, options.dims ?? {});
  const bound = inputs.map((t) => t.binding()); // throws for a disposed input
  const selection = select(gpu, spec, dims, args, options.choice);
  const kernel = compile(gpu, spec, selection.variant, selection.constants, elem);
  checkLimits(gpu, spec, decls, dims, elem);

  const outputs: Tensor[] = [];
  let next = 0;
  const bindings = decls.map((decl): Binding => {
    if (decl.role !== "out") return bound[next++];
    const out = options.out?.[decl.name] ??
      allocate(
        gpu,
        options.shapes?.[decl.name] ?? shapeOf(decl, dims),
        decl.dtype === "elem" ? elem : decl.dtype,
      );
    outputs.push(out);
    return out.binding();
  });
  const { pipeline, layout, layoutId } = kernel;
  const params = kernel.reflection.hasParams ? packParams(spec, kernel, dims, args) : undefined;
  const groups = selection.variant.workgroups(dims, selection.constants, args);
  gpu.trace(2, () => `${selection.variant.name} ${JSON.stringify(dims)} groups ${groups}`);
  gpu.record({
    label: selection.variant.name,
    pipeline,
    layout,
    layoutId,
    bindings,
    params,
    groups,
    work: () => workOf(spec, dims, args, elem),
  });
  return outputs;
}

function workOf(spec: KernelSpec, dims: Dims, args: Args, dtype: ElemType): DispatchWork {
  const bytes = bytesOf(spec, dims, dtypeBytes(dtype));
  return { kernel: spec.name, dims, args, dtype, flops: spec.flops(dims, args), bytes };
}

function elemType(
  spec: KernelSpec,
  given: readonly BufferDecl[],
  inputs: readonly Tensor[],
  options: RunOptions,
): ElemType {
  let elem = options.dtype;
  const takes = (type: DType) =>
    type === "f32" || type === "f16" ||
    (type === "f64" ? spec.tolerance.f64 !== undefined : spec.integers);
  given.forEach((decl, i) => {
    const { dtype, gpu } = inputs[i];
    if (gpu !== (options.gpu ?? inputs[0].gpu)) {
      throw new UnsupportedError(`Cannot run "${spec.name}": ${decl.name} lives on another Gpu`);
    }
    if (decl.dtype !== "elem") {
      if (dtype !== decl.dtype) {
        throw new DTypeError(
          `Cannot run "${spec.name}": ${decl.name} must be ${decl.dtype}, got ${dtype}`,
        );
      }
    } else if (!takes(dtype) || (elem ?? dtype) !== dtype) {
      const wanted = elem && takes(elem) ? elem : "f32 or f16";
      throw new DTypeError(
        `Cannot run "${spec.name}": ${decl.name} must be ${wanted}, got ${dtype}`,
      );
    } else elem = dtype;
  });
  return elem ?? "f32";
}

function shapeOf(decl: BufferDecl, dims: Dims): number[] {
  return decl.shape.map((axis) => productOf(axis, dims));
}

function solveDims(
  spec: KernelSpec,
  given: readonly BufferDecl[],
  inputs: readonly Tensor[],
  known: Dims,
): Dims {
  const dims: Record<string, number> = { ...known };
  given.forEach((decl, i) => {
    const { shape } = inputs[i];
    if (shape.length !== decl.shape.length) return; // only its size has to fit, checked below
    decl.shape.forEach((axis, k) => {
      const unknown = axis.filter((f) => typeof f === "string" && dims[f] === undefined);
      if (unknown.length !== 1) return;
      const rest = productOf(axis.filter((f) => f !== unknown[0]), dims);
      if (Number.isInteger(shape[k] / rest)) dims[unknown[0]] = shape[k] / rest;
    });
  });
  given.forEach((decl, i) => {
    const wanted = shapeOf(decl, dims);
    if (sizeOf(wanted) !== inputs[i].size || wanted.some(Number.isNaN)) {
      throw new ShapeError(
        `Cannot run "${spec.name}": ${decl.name} must be [${
          decl.shape.map((a) => a.join("*"))
        }] with ${Object.entries(dims).map(([k, v]) => `${k}=${v}`).join(" ")}, got [${
          inputs[i].shape
        }]`,
      );
    }
  });
  return dims;
}

function checkLimits(
  gpu: Gpu,
  spec: KernelSpec,
  decls: readonly BufferDecl[],
  dims: Dims,
  elem: DType,
): void {
  if (decls.length > gpu.caps.maxStorageBuffers) {
    throw new UnsupportedError(
      `Cannot run "${spec.name}": the adapter allows ${gpu.caps.maxStorageBuffers} storage buffers, needs ${decls.length}`,
    );
  }
  for (const decl of decls) {
    const bytes = sizeOf(shapeOf(decl, dims)) *
      dtypeBytes(decl.dtype === "elem" ? elem : decl.dtype);
    if (!(bytes <= gpu.caps.maxBindingBytes)) {
      throw new UnsupportedError(
        `Cannot run "${spec.name}": ${decl.name} needs a binding of ${bytes} bytes, the adapter allows ${gpu.caps.maxBindingBytes}`,
      );
    }
  }
}

interface CompiledKernel {
  readonly pipeline: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
  readonly layoutId: number;
  readonly reflection: Reflection;
  readonly params: Uint32Array<ArrayBuffer>;
}

/** Compiles a variant, or finds it compiled. The second key is the composed text, so it can never disagree with the shader. */
function compile(
  gpu: Gpu,
  spec: KernelSpec,
  variant: KernelVariant,
  constants: Constants,
  elem: ElemType,
): CompiledKernel {
  let key = `${variant.name}|${elem}`;
  for (const name in constants) key += `|${name}=${constants[name]}`;
  const cache = gpu.kernelCache as Map<string, CompiledKernel>;
  const hit = cache.get(key);
  if (hit) return hit;
  const label = variant.name;
  const features = new Set(variant.needs);
  const feature = dtypeFeatures[elem];
  if (feature) features.add(feature);
  if (feature && !gpu.caps.features.has(feature)) {
    throw new UnsupportedError(
      `Cannot run "${label}" on ${elem}: ${gpu.adapterName} has no ${feature}`,
    );
  }
  const enables = [...features].flatMap((f) => gpu.enables.get(f) ?? []);
  const code = compose({
    label,
    source: variant.source,
    lib: variant.lib,
    constants,
    elem,
    enables,
  });
  const reflection = reflect(variant.source, label);
  const names = bufferDecls(spec).map((d) => d.name).join(" ");
  if (reflection.buffers.map((b) => b.name).join(" ") !== names) {
    throw new KernelError(
      `Cannot compile "${label}": its buffers must be ${names} in this order, got ${
        reflection.buffers.map((b) => b.name).join(" ")
      }`,
    );
  }
  const byText = cache.get(code);
  const compiled = byText ?? createPipeline(gpu, label, code, reflection);
  cache.set(code, compiled);
  cache.set(key, compiled);
  return compiled;
}

function createPipeline(
  gpu: Gpu,
  label: string,
  code: string,
  reflection: Reflection,
): CompiledKernel {
  gpu.trace(1, () => `compile ${label}`);
  gpu.trace(4, () => code);
  const { layout, id } = bindGroupLayout(gpu, reflection);
  const pipeline = gpu.guarded(label, () => {
    const module = gpu.device.createShaderModule({ code, label });
    const pipelineLayout = gpu.device.createPipelineLayout({ bindGroupLayouts: [layout] });
    return gpu.device.createComputePipeline({
      label,
      layout: pipelineLayout,
      compute: { module, entryPoint: "main" },
    });
  });
  const params = new Uint32Array(Math.ceil(reflection.params.length / 4) * 4);
  return { pipeline, layout, layoutId: id, reflection, params };
}

// Explicit layouts, shared by kernels with the same kinds of bindings: groups of an automatic layout fit one pipeline only.
function bindGroupLayout(
  gpu: Gpu,
  reflection: Reflection,
): { layout: GPUBindGroupLayout; id: number } {
  const key = `layout ${reflection.buffers.map((b) => b.readOnly ? "r" : "w").join("")}${
    reflection.hasParams ? "u" : ""
  }`;
  const cache = gpu.kernelCache as Map<string, { layout: GPUBindGroupLayout; id: number }>;
  const hit = cache.get(key);
  if (hit) return hit;
  const visibility = 0x4; // COMPUTE
  const entries: GPUBindGroupLayoutEntry[] = reflection.buffers.map((b, binding) => ({
    binding,
    visibility,
    buffer: { type: b.readOnly ? "read-only-storage" : "storage" },
  }));
  if (reflection.hasParams) {
    const binding = reflection.buffers.length;
    entries.push({ binding, visibility, buffer: { type: "uniform", hasDynamicOffset: true } });
  }
  const made = { layout: gpu.device.createBindGroupLayout({ entries }), id: cache.size };
  cache.set(key, made);
  return made;
}

function packParams(
  spec: KernelSpec,
  { reflection, params }: CompiledKernel,
  dims: Dims,
  args: Args,
): Uint32Array<ArrayBuffer> {
  const view = new DataView(params.buffer);
  reflection.params.forEach(({ name, type }, i) => {
    const value = args[name] ?? dims[name];
    const isValid = type === "f32" ? typeof value === "number" : Number.isInteger(value);
    if (!isValid) {
      throw new KernelError(
        `Cannot run "${spec.name}": Params.${name} must be a ${type} among its dims and args, got ${value}`,
      );
    }
    if (type === "f32") view.setFloat32(4 * i, value, true);
    else if (type === "u32") view.setUint32(4 * i, value, true);
    else view.setInt32(4 * i, value, true);
  });
  return params;
}
