/**
 * Reads reference outputs of the field's own code from the folder that the environment variable `GYRUS_GOLDEN` names. The weights
 * are too large to ship; the float64 reference of the other tests stands in for them.
 *
 * @module
 */
import { Tensor } from "../../engine/tensor.ts";
import type { Gpu } from "../../engine/gpu.ts";
import { readSafetensors } from "../../pipelines/io/safetensors.ts";
import { hostArray, type StateDict, toFloat32 } from "../../pipelines/io/state_dict.ts";
import { loadVit, type VisionModel } from "../../pipelines/models/model.ts";
import { relativeError } from "./vit_oracle.ts";

/** The folder, or undefined. */
export const goldenFolder: string | undefined = Deno.env.get("GYRUS_GOLDEN");

/** A weight file of a case, with the configuration beside it. */
export interface GoldenLayout {
  readonly name: string;
  readonly path: string;
  /** The layout's `config.json`, else the `config` entry of the case's own JSON file. */
  readonly config: unknown;
}

function readJson(path: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(Deno.readTextFileSync(path));
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return undefined;
    throw cause;
  }
}

/** The weight files of a case: `NAME.<layout>.weights.safetensors`. */
export function goldenLayouts(name: string): GoldenLayout[] {
  if (goldenFolder === undefined) return [];
  const pattern = new RegExp(`^${name}\\.(\\w+)\\.weights\\.safetensors$`);
  const own = readJson(`${goldenFolder}/${name}.json`)?.config;
  return [...Deno.readDirSync(goldenFolder)].flatMap(({ name: file }) => {
    const layout = pattern.exec(file)?.[1];
    if (layout === undefined) return [];
    const beside = readJson(`${goldenFolder}/${name}.${layout}.config.json`);
    return [{ name: layout, path: `${goldenFolder}/${file}`, config: beside ?? own }];
  });
}

/** Loads the weights of a layout. */
export function loadGolden(gpu: Gpu, layout: GoldenLayout, more = {}): Promise<VisionModel> {
  const config = { ...layout.config as Record<string, unknown>, ...more };
  return loadVit(gpu, readSafetensors(Deno.readFileSync(layout.path)), config);
}

/** One case: inputs, and outputs that are ticked off as they are compared. */
export class GoldenCase {
  readonly #tensors: StateDict;
  readonly #open: Set<string>;
  readonly #failures: string[] = [];

  constructor(readonly name: string, readonly gpu: Gpu) {
    this.#tensors = readSafetensors(Deno.readFileSync(`${goldenFolder}/${name}.safetensors`));
    this.#open = new Set([...this.#tensors.keys()].filter((k) => /^(out|grad)\./.test(k)));
  }

  /** Names of the outputs. */
  get outputs(): readonly string[] {
    return [...this.#tensors.keys()].filter((k) => /^(out|grad)\./.test(k));
  }

  /** Values on the host. */
  values(name: string): Float32Array<ArrayBuffer> {
    return toFloat32(this.#tensors.get(name)!);
  }

  /** Rows of an integer matrix. */
  rows(name: string): Int32Array[] {
    const tensor = this.#tensors.get(name)!;
    const [count, length] = tensor.shape;
    const all = hostArray(tensor) as Int32Array;
    return Array.from({ length: count }, (_, i) => all.subarray(i * length, (i + 1) * length));
  }

  /** An input on the device. */
  tensor(name: string): Tensor {
    return Tensor.from(this.gpu, this.values(name), this.#tensors.get(name)!.shape);
  }

  /** Compares and ticks off. */
  async compare(name: string, got: Tensor | ArrayLike<number>, tolerance = 2e-5): Promise<void> {
    const values = got instanceof Tensor ? await got.data() : got;
    const error = relativeError(values, this.values(name));
    this.#open.delete(name);
    if (!(error <= tolerance)) this.#failures.push(`${name} ${error.toExponential(2)}`);
  }

  /** Leaves out an output that something else covers. */
  skip(...names: readonly string[]): void {
    for (const name of names) this.#open.delete(name);
  }

  /**
   * Ends a case.
   *
   * @throws {Error} when a comparison failed, or an output was never compared
   */
  finish(): void {
    if (this.#failures.length > 0) throw new Error(`off: ${this.#failures.join(", ")}`);
    if (this.#open.size > 0) throw new Error(`not compared: ${[...this.#open].join(", ")}`);
  }
}
