import type { Gpu } from "../../engine/gpu.ts";
import { add } from "../../engine/ops/elementwise.ts";
import { Adam } from "../../engine/ops/optim.ts";
import { Tape } from "../../engine/tape.ts";
import { readAll, Tensor, tidy } from "../../engine/tensor.ts";
import { deviceObjective } from "./device_objective.ts";
import { HostAdam } from "./host_adam.ts";
import {
  LOSS_PARTS,
  type ObjectiveOptions,
  type VaeBatch,
  type VaeLosses,
  vaeObjective,
} from "./objective.ts";
import { vaeTensorShapes, type VaeWeights } from "./parameters.ts";
import type { VaeSettings, VaeShape } from "./settings.ts";

/** Everything that steps go on from. */
export interface TrainerState {
  /** Weights by PyTorch's names. */
  readonly weights: VaeWeights;
  /** Adam's moments: the first of every tensor, then the second ones. */
  readonly moments: readonly Float64Array<ArrayBuffer>[];
  /** Steps taken. */
  readonly steps: number;
}

/** Takes steps of Adam on the VAE's loss. */
export interface VaeTrainer extends Disposable {
  /** One step. */
  step(batch: VaeBatch): void;
  /** Mean losses of the steps since the last call. */
  takeLosses(): Promise<VaeLosses>;
  /** Mean losses of batches, with the weights as they are. */
  evaluate(batches: Iterable<VaeBatch>): Promise<VaeLosses>;
  /** Where training stands. */
  state(): Promise<TrainerState>;
  /** Goes on from there. */
  restore(state: TrainerState): void;
}

/** What trainers start from. */
export interface TrainerStart {
  readonly weights: VaeWeights;
  readonly shape: VaeShape;
  readonly options: ObjectiveOptions;
  readonly settings: Pick<VaeSettings, "lr" | "weightDecay">;
}

/** Names the numbers of `LOSS_PARTS`, divided by how many they are sums of. */
function lossesOf(sums: ArrayLike<number>, count: number): VaeLosses {
  const [total, reconstruction, pose, category, kl, partialCorrelation] = LOSS_PARTS.map((_, i) =>
    sums[i] / count
  );
  return { total, reconstruction, pose, category, kl, partialCorrelation };
}

/** Trains in float64 on the host: the gradient by hand. */
export class HostTrainer implements VaeTrainer {
  readonly #start: TrainerStart;
  #weights: VaeWeights;
  readonly #adam: HostAdam;
  #sums = new Float64Array(LOSS_PARTS.length);
  #count = 0;

  /** Begins with copies of the weights. */
  constructor(start: TrainerStart) {
    this.#start = start;
    this.#weights = copyOf(start.weights);
    this.#adam = new HostAdam(this.#weights, start.settings);
  }

  step(batch: VaeBatch): void {
    const { shape, options } = this.#start;
    const { losses, gradients } = vaeObjective(this.#weights, shape, batch, options);
    this.#adam.step(gradients);
    LOSS_PARTS.forEach((part, i) => this.#sums[i] += losses[part]);
    this.#count++;
  }

  takeLosses(): Promise<VaeLosses> {
    const losses = lossesOf(this.#sums, this.#count);
    this.#sums.fill(0);
    this.#count = 0;
    return Promise.resolve(losses);
  }

  evaluate(batches: Iterable<VaeBatch>): Promise<VaeLosses> {
    const { shape, options } = this.#start;
    const sums = new Float64Array(LOSS_PARTS.length);
    let count = 0;
    for (const batch of batches) {
      const { losses } = vaeObjective(this.#weights, shape, batch, options);
      LOSS_PARTS.forEach((part, i) => sums[i] += losses[part]);
      count++;
    }
    return Promise.resolve(lossesOf(sums, count));
  }

  state(): Promise<TrainerState> {
    const { moments, steps } = this.#adam;
    return Promise.resolve({
      weights: copyOf(this.#weights),
      moments: moments.map((m) => m.slice()),
      steps,
    });
  }

  restore({ weights, moments, steps }: TrainerState): void {
    for (const [name, values] of this.#weights) values.set(weights.get(name) ?? []);
    this.#adam.restore(steps, moments);
  }

  [Symbol.dispose](): void {
    this.#weights = new Map();
  }
}

function copyOf(weights: VaeWeights): VaeWeights {
  return new Map([...weights].map(([name, values]) => [name, values.slice()]));
}

/** Trains in float32 on a device: the gradient by the engine's tape. */
export class DeviceTrainer implements VaeTrainer {
  readonly #gpu: Gpu;
  readonly #start: TrainerStart;
  readonly #tensors: ReadonlyMap<string, Tensor>;
  readonly #adam: Adam;
  #sums: Tensor;
  #count = 0;

  /** Begins with copies of the weights. */
  constructor(gpu: Gpu, start: TrainerStart) {
    this.#gpu = gpu;
    this.#start = start;
    const shapes = vaeTensorShapes(start.shape);
    this.#tensors = new Map(
      [...start.weights].map(([name, values]) => [
        name,
        Tensor.from(gpu, Float32Array.from(values), shapes.get(name)),
      ]),
    );
    this.#adam = new Adam([...this.#tensors.values()], start.settings);
    this.#sums = Tensor.zeros(gpu, [LOSS_PARTS.length]);
  }

  #weight(name: string): Tensor {
    const tensor = this.#tensors.get(name);
    if (tensor === undefined) throw new RangeError(`Cannot find the weights ${name}`);
    return tensor;
  }

  step(batch: VaeBatch): void {
    const { shape, options } = this.#start;
    const before = this.#sums;
    this.#sums = tidy(this.#gpu, () => {
      using tape = new Tape();
      const watched = new Map([...this.#tensors].map(([name, t]) => [name, tape.watch(t)]));
      const weights = (name: string) => watched.get(name) ?? this.#weight(name);
      const { parts, total } = deviceObjective(this.#gpu, weights, shape, { batch, options });
      this.#adam.step(tape.gradient(total, [...watched.values()]));
      return add(before, parts);
    });
    before.dispose();
    this.#count++;
  }

  async takeLosses(): Promise<VaeLosses> {
    using sums = this.#sums;
    const count = this.#count;
    this.#sums = Tensor.zeros(this.#gpu, [LOSS_PARTS.length]);
    this.#count = 0;
    return lossesOf(await sums.data(), count);
  }

  async evaluate(batches: Iterable<VaeBatch>): Promise<VaeLosses> {
    const { shape, options } = this.#start;
    let sums = Tensor.zeros(this.#gpu, [LOSS_PARTS.length]);
    let count = 0;
    for (const batch of batches) {
      using before = sums;
      sums = tidy(this.#gpu, () => {
        const weights = (name: string) => this.#weight(name);
        return add(before, deviceObjective(this.#gpu, weights, shape, { batch, options }).parts);
      });
      count++;
    }
    using whole = sums;
    return lossesOf(await whole.data(), count);
  }

  async state(): Promise<TrainerState> {
    const names = [...this.#tensors.keys()];
    const values = await readAll([...this.#tensors.values(), ...this.#adam.moments]);
    const copies = values.map((v) => Float64Array.from(v));
    return {
      weights: new Map(names.map((name, i) => [name, copies[i]])),
      moments: copies.slice(names.length),
      steps: this.#adam.steps,
    };
  }

  restore({ weights, moments, steps }: TrainerState): void {
    for (const [name, tensor] of this.#tensors) {
      const values = Float32Array.from(weights.get(name) ?? []);
      tensor.gpu.upload(tensor.binding(), new Uint8Array(values.buffer));
    }
    this.#adam.restore(steps, moments);
  }

  [Symbol.dispose](): void {
    this.#adam[Symbol.dispose]();
    this.#sums.dispose();
    for (const tensor of this.#tensors.values()) tensor.dispose();
  }
}
