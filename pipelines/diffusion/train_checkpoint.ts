import { createHash } from "node:crypto";
import type { Gpu } from "../../engine/gpu.ts";
import { InputError } from "../errors.ts";
import { fileError, withFileErrors } from "../io/files.ts";
import { openSafetensors, saveSafetensors } from "../io/safetensors_file.ts";
import type { StateDict } from "../io/state_dict.ts";
import { quote } from "../io/strict_json.ts";
import type { TrainingImages } from "./train_draws.ts";
import type { FullTraining } from "./train_options.ts";
import { restoredState, type TrainingState } from "./train_state.ts";

const NAME = "training.safetensors";
const digestOf = (fact: string | Uint8Array) => createHash("sha256").update(fact).digest("hex");

/** What a training's bits follow from, a digest of each; the step size's fall apart, as it does not matter before it begins. */
export function trainingFacts(
  gpu: Gpu,
  { values, shape }: TrainingImages,
  { schedule, steps: _steps, decaySteps: _decay, ...rest }: FullTraining,
  first: StateDict,
): Readonly<Record<string, string>> {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const begun = createHash("sha256");
  for (const [name, tensor] of first) begun.update(name).update(tensor.bytes);
  const facts = {
    images: [shape, digestOf(bytes)],
    options: rest,
    schedule: [...schedule.betas],
    adapter: [gpu.adapterName, { ...gpu.caps, features: [...gpu.caps.features] }, gpu.options],
    "first weights": begun.digest("hex"),
  };
  return Object.fromEntries(
    Object.entries(facts).map(([name, fact]) => [name, digestOf(JSON.stringify(fact))]),
  );
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch (cause) {
    if (cause instanceof Deno.errors.NotFound) return false;
    throw fileError("read", path, cause);
  }
}

/** The state of a training in a folder, replaced at once as it goes on: after a kill at any moment the last one is whole. */
export class TrainingFolder {
  readonly #path: string;

  /** @throws {InputError} when the folder cannot be made */
  constructor(
    folder: string,
    readonly facts: Readonly<Record<string, string>>,
    readonly training: FullTraining,
  ) {
    withFileErrors("write", folder, () => Deno.mkdirSync(folder, { recursive: true }));
    this.#path = `${folder.replace(/\/+$/, "")}/${NAME}`;
  }

  /** How the step size fell in the steps so far. */
  #fall(done: number): string {
    const { steps, decaySteps } = this.training;
    return decaySteps > 0 && done > steps - decaySteps ? `${decaySteps} before ${steps}` : "none";
  }

  /**
   * The state that was kept last, undefined where there is none.
   *
   * @param first the weights that training began with
   * @throws {InputError} when it belongs to another training: it says what differs; or when the file is damaged
   */
  read(gpu: Gpu, first: StateDict): TrainingState | undefined {
    const source = this.#path;
    if (!exists(source)) return undefined;
    using file = openSafetensors(source);
    const state = this.#unless(
      Object.keys(this.facts).filter((name) => file.metadata[name] !== this.facts[name]),
      () => restoredState(gpu, { first, saved: file.tensors, source }, this.training),
    );
    if (file.metadata.fall === this.#fall(state.losses.length)) return state;
    state[Symbol.dispose]();
    return this.#unless(["steps or decaySteps"], () => state);
  }

  #unless<T>(other: readonly string[], make: () => T): T {
    if (other.length === 0) return make();
    throw new InputError(
      `Cannot go on from ${quote(this.#path)}: it belongs to a training with other ${
        other.join(", ")
      }; name another folder, or remove it`,
    );
  }

  /** @throws {InputError} when the file system refuses */
  async write(state: TrainingState): Promise<void> {
    const fall = this.#fall(state.losses.length);
    saveSafetensors(this.#path, await state.save(), { ...this.facts, fall });
  }
}
