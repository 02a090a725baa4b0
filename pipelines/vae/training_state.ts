import { readSafetensors, writeSafetensors } from "../io/safetensors.ts";
import { type HostTensor, hostTensor, toFloat64 } from "../io/state_dict.ts";
import { LOSS_PARTS, type VaeLosses } from "./objective.ts";
import { vaeTensorShapes, type VaeWeights } from "./parameters.ts";
import type { VaeSettings, VaeShape } from "./settings.ts";
import type { VaeTraining } from "./train.ts";
import type { TrainerState } from "./trainer.ts";

/** Bytes of the description of an array in a state. */
const ENTRY_BYTES = 256;

/** Most bytes of a state: weights now and kept and two moments each, and the losses. */
export function trainingCapacity(shape: VaeShape, { epochs }: VaeSettings): number {
  const shapes = [...vaeTensorShapes(shape).values()];
  const nValues = shapes.reduce((sum, dims) => sum + dims.reduce((a, b) => a * b, 1), 0);
  const nLosses = 2 * LOSS_PARTS.length + 1;
  return 8 * (4 * nValues + nLosses * epochs + 2) + ENTRY_BYTES * (4 * shapes.length + 8);
}

function lossTable(losses: readonly VaeLosses[]): HostTensor {
  const values = losses.flatMap((loss) => LOSS_PARTS.map((part) => loss[part]));
  return hostTensor(Float64Array.from(values), [losses.length, LOSS_PARTS.length]);
}

function readLosses(tensor: HostTensor): VaeLosses[] {
  const values = toFloat64(tensor), width = LOSS_PARTS.length;
  return Array.from({ length: values.length / width }, (_, row) => {
    const [total, reconstruction, pose, category, kl, partialCorrelation] = values.subarray(
      row * width,
      (row + 1) * width,
    );
    return { total, reconstruction, pose, category, kl, partialCorrelation };
  });
}

/** Everything that training goes on from, as one piece of bytes. */
export function packTraining(
  { train, test, testEpochs, kept, keptEpoch }: VaeTraining,
  { weights, moments, steps }: TrainerState,
): Uint8Array<ArrayBuffer> {
  const entries = new Map<string, HostTensor>();
  const put = (name: string, values: Float64Array<ArrayBuffer>) =>
    entries.set(name, hostTensor(values, [values.length]));
  for (const [name, values] of weights) put(`now ${name}`, values);
  for (const [name, values] of kept) put(`kept ${name}`, values);
  moments.forEach((values, i) => put(`moment ${i}`, values));
  put("numbers", Float64Array.of(steps, keptEpoch));
  put("test epochs", Float64Array.from(testEpochs));
  entries.set("train", lossTable(train));
  entries.set("test", lossTable(test));
  return writeSafetensors(entries);
}

/** What {@link packTraining} packed. */
export function unpackTraining(
  bytes: Uint8Array<ArrayBuffer>,
): { readonly training: VaeTraining; readonly trainer: TrainerState } {
  const entries = readSafetensors(bytes);
  const values = (name: string) => toFloat64(entryOf(entries, name));
  const named = (prefix: string): VaeWeights =>
    new Map(
      [...entries.keys()].filter((name) => name.startsWith(prefix)).map((name) => [
        name.slice(prefix.length),
        values(name),
      ]),
    );
  const nMoments = [...entries.keys()].filter((name) => name.startsWith("moment ")).length;
  const [steps, keptEpoch] = values("numbers");
  return {
    training: {
      train: readLosses(entryOf(entries, "train")),
      test: readLosses(entryOf(entries, "test")),
      testEpochs: [...values("test epochs")],
      kept: named("kept "),
      keptEpoch,
    },
    trainer: {
      weights: named("now "),
      moments: Array.from({ length: nMoments }, (_, i) => values(`moment ${i}`)),
      steps,
    },
  };
}

function entryOf(entries: ReadonlyMap<string, HostTensor>, name: string): HostTensor {
  const entry = entries.get(name);
  if (entry === undefined) throw new RangeError(`Cannot go on with training: no "${name}" is kept`);
  return entry;
}
