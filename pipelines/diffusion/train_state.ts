import { add, scale } from "../../engine/ops/elementwise.ts";
import { Adam } from "../../engine/ops/optim.ts";
import type { Gpu } from "../../engine/gpu.ts";
import { readAll, Tensor, tidy } from "../../engine/tensor.ts";
import { InputError } from "../errors.ts";
import { hostTensor, type StateDict, toFloat32 } from "../io/state_dict.ts";
import { quote } from "../io/strict_json.ts";

/** What stands before the weights' names, and before those of their averages: denoising-diffusion-pytorch's own. */
export const trainedPrefixes = { weights: "model.", averages: "ema_model.model." } as const;
const MOMENTS = ["first.", "second."] as const;
const LOSSES = "losses";

/** What an optimiser is made with. */
export type StateOptions = { readonly lr: number; readonly betas: readonly [number, number] };

/** Takes a tensor out of a `tidy` scope that may be open. */
function owned(tensor: Tensor): Tensor {
  tensor.gpu.scopes.at(-1)?.delete(tensor);
  return tensor;
}

function uploaded(gpu: Gpu, tensors: StateDict): ReadonlyMap<string, Tensor> {
  return new Map(
    [...tensors].map(([name, t]) => [name, owned(Tensor.from(gpu, toFloat32(t), t.shape))]),
  );
}

/** All that training goes on from: weights, their averages, the optimiser's moments, and the losses so far. */
export class TrainingState implements Disposable {
  /** Weights by name, which the optimiser changes in place. */
  readonly weights: ReadonlyMap<string, Tensor>;
  /** Their optimiser. */
  readonly optimizer: Adam;
  /** Loss of every step so far. */
  readonly losses: number[] = [];
  #averages: ReadonlyMap<string, Tensor>;

  /** A state before the first step, or with averages of its own. */
  constructor(
    readonly gpu: Gpu,
    first: StateDict,
    { averages = first, lr, betas }: StateOptions & { readonly averages?: StateDict },
  ) {
    this.weights = uploaded(gpu, first);
    this.#averages = uploaded(gpu, averages);
    this.optimizer = new Adam([...this.weights.values()], { lr, betas });
  }

  /** Moves the averages: `kept` of them stays, the rest comes from the weights. */
  average(kept: number): void {
    const next = [...this.weights].map(([name, weight]) => {
      using before = this.#averages.get(name)!;
      const mixed = () =>
        kept === 0 ? scale(weight, 1) : add(scale(before, kept), scale(weight, 1 - kept));
      return [name, owned(tidy(this.gpu, mixed))] as const;
    });
    this.#averages = new Map(next);
  }

  async #read(tensors: readonly Tensor[], prefix: string): Promise<StateDict> {
    const values = await readAll(tensors);
    return new Map(
      [...this.weights].map(([name, { shape }], i) => [
        prefix + name,
        hostTensor(Float32Array.from(values[i]), shape),
      ]),
    );
  }

  /** Weights and averages on the host, by the library's names. */
  async net(): Promise<Map<string, ReturnType<typeof hostTensor>>> {
    return new Map([
      ...await this.#read([...this.weights.values()], trainedPrefixes.weights),
      ...await this.#read([...this.#averages.values()], trainedPrefixes.averages),
    ]);
  }

  /** Everything on the host. */
  async save(): Promise<StateDict> {
    const { moments } = this.optimizer, n = this.weights.size;
    return new Map([
      ...await this.net(),
      ...await this.#read(moments.slice(0, n), MOMENTS[0]),
      ...await this.#read(moments.slice(n), MOMENTS[1]),
      [LOSSES, hostTensor(Float32Array.from(this.losses), [this.losses.length])],
    ]);
  }

  /** Frees everything. */
  [Symbol.dispose](): void {
    this.optimizer[Symbol.dispose]();
    for (const tensor of [...this.weights.values(), ...this.#averages.values()]) tensor.dispose();
  }
}

/**
 * The state that {@link TrainingState.save} gave.
 *
 * @param first the weights that training began with: names and shapes
 * @throws {InputError} when a tensor is missing or has another shape
 */
export function restoredState(
  gpu: Gpu,
  { first, saved, source }: {
    readonly first: StateDict;
    readonly saved: StateDict;
    readonly source: string;
  },
  { lr, betas }: StateOptions,
): TrainingState {
  const find = (name: string, shape?: readonly number[]) => {
    const tensor = saved.get(name);
    if (tensor && (!shape || `${tensor.shape}` === `${shape}`)) return tensor;
    throw new InputError(
      `Cannot go on from ${quote(source)}: ${quote(name)} ${
        tensor ? `must be [${shape}], is [${tensor.shape}]` : "is missing"
      }`,
    );
  };
  const all = (prefix: string): StateDict =>
    new Map([...first].map(([name, { shape }]) => [name, find(prefix + name, shape)]));
  const losses = toFloat32(find(LOSSES));
  const moments = MOMENTS.flatMap((prefix) => [...all(prefix).values()].map(toFloat32));
  const averages = all(trainedPrefixes.averages);
  const state = new TrainingState(gpu, all(trainedPrefixes.weights), { lr, betas, averages });
  state.optimizer.restore(losses.length, moments);
  state.losses.push(...losses);
  return state;
}
