import { readAll, type Tensor } from "../../../engine/tensor.ts";
import { readSafetensors, writeSafetensors } from "../../io/safetensors.ts";
import { type HostTensor, hostTensor, toFloat32, toFloat64 } from "../../io/state_dict.ts";
import type { AlignmentOptimizer } from "./optimizer.ts";
import type { Parameters, ParameterStart } from "./parameters.ts";

/** Numbers of every epoch so far. */
export interface TrainingHistory {
  /** Losses of each epoch, `[epochs][4]`: see `LOSS_NAMES`. */
  readonly losses: number[][];
  /** Mean over voxels of the held-out R² after each epoch. */
  readonly meanR2: number[];
  /** Median over voxels of it. */
  readonly medianR2: number[];
}

/** The best parameters so far. */
export interface BestParameters {
  /** Epoch, from 0. */
  readonly epoch: number;
  /** Parameters by name. */
  readonly values: ReadonlyMap<string, ParameterStart>;
  /** Held-out R², `[outputs, voxels]`. */
  readonly r2: ParameterStart;
}

/** Where training stands after an epoch. */
export interface TrainingState {
  readonly history: TrainingHistory;
  readonly best: BestParameters | undefined;
}

/** Bytes of the description of a tensor in a state, and of all else that is neither values nor numbers of epochs. */
const ENTRY_BYTES = 256;

/** Bytes of a state at most: parameters now and at their best, two moments each, the best R² `[nScores]`, numbers of every epoch. */
export function stateCapacity(parameters: Parameters, nScores: number, epochs: number): number {
  const sizes = [...parameters.tensors.values()].map(({ size }) => size);
  const nValues = sizes.reduce((sum, size) => sum + size, 0);
  return 4 * (4 * nValues + nScores) + 8 * 6 * epochs + ENTRY_BYTES * (4 * sizes.length + 8);
}

/** The parameters on the host. */
export async function readParameters(
  { tensors }: Parameters,
): Promise<Map<string, ParameterStart>> {
  const values = await readAll([...tensors.values()]);
  return new Map([...tensors].map(([name, { shape }], i) => [
    name,
    { shape, values: Float32Array.from(values[i]) },
  ]));
}

/** Everything that training goes on from, as one piece of bytes. */
export async function packState(
  parameters: Parameters,
  optimizer: AlignmentOptimizer,
  { history, best }: TrainingState,
): Promise<Uint8Array<ArrayBuffer>> {
  const entries = new Map<string, HostTensor>();
  const put = (name: string, { shape, values }: ParameterStart) =>
    entries.set(name, hostTensor(values, shape));
  for (const [name, start] of await readParameters(parameters)) put(`now ${name}`, start);
  const moments = await readAll(optimizer.moments);
  moments.forEach((values, i) =>
    put(`moment ${i}`, { shape: [values.length], values: Float32Array.from(values) })
  );
  for (const [name, start] of best?.values ?? []) put(`best ${name}`, start);
  if (best) put("r2", best.r2);
  const epochs = history.losses.length;
  const numbers = Float64Array.from([
    ...[optimizer.steps, best?.epoch ?? -1],
    ...history.losses.flatMap((losses, e) => [...losses, history.meanR2[e], history.medianR2[e]]),
  ]);
  entries.set("numbers", hostTensor(numbers, [2 + 6 * epochs]));
  return writeSafetensors(entries);
}

/** Puts a state of {@link packState} back. */
export function unpackState(
  bytes: Uint8Array<ArrayBuffer>,
  { optimizer, into }: {
    readonly optimizer: AlignmentOptimizer;
    readonly into: (name: string) => Tensor;
  },
): TrainingState {
  const entries = readSafetensors(bytes);
  const [steps, epoch, ...rest] = toFloat64(entries.get("numbers")!);
  const moments = optimizer.moments.map((_, i) => toFloat32(entries.get(`moment ${i}`)!));
  optimizer.restore(steps, moments);
  const values = new Map<string, ParameterStart>();
  for (const [name, tensor] of entries) {
    const start = { shape: tensor.shape, values: toFloat32(tensor) };
    if (name.startsWith("now ")) {
      const target = into(name.slice(4));
      target.gpu.upload(target.binding(), new Uint8Array(Float32Array.from(start.values).buffer));
    }
    if (name.startsWith("best ")) values.set(name.slice(5), start);
  }
  const history: TrainingHistory = { losses: [], meanR2: [], medianR2: [] };
  for (let at = 0; at < rest.length; at += 6) {
    history.losses.push(rest.slice(at, at + 4));
    history.meanR2.push(rest[at + 4]);
    history.medianR2.push(rest[at + 5]);
  }
  const scores = entries.get("r2");
  const best = scores
    ? { epoch, values, r2: { shape: scores.shape, values: toFloat32(scores) } }
    : undefined;
  return { history, best };
}
