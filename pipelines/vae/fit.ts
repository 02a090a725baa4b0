import type { Gpu } from "../../engine/gpu.ts";
import { type Key, randomKey, split } from "../../engine/random.ts";
import { SlotFile } from "../encoding/alignment/slot_file.ts";
import type { LongCall } from "../encoding/linear_model.ts";
import { InputError } from "../errors.ts";
import { digestOf } from "./digest.ts";
import { NeuralVae } from "./neural_vae.ts";
import { initialWeights } from "./parameters.ts";
import { scaleSamples, shapeOf, type VaeData } from "./samples.ts";
import { latentSize, type VaeSettings, vaeSettings, type VaeShape } from "./settings.ts";
import { type TrainTestSplit, trainTestSplit } from "./split.ts";
import { trainVae, type VaeHistory } from "./train.ts";
import { DeviceTrainer, HostTrainer } from "./trainer.ts";
import { trainingCapacity } from "./training_state.ts";

/** Options of {@link fitNeuralVae}: settings, and where it runs. */
export interface FitNeuralVaeOptions extends Partial<VaeSettings>, LongCall {
  /** Key of everything random but the split. The published runs have the seed 2024. */
  readonly key?: Key;
  /** A device for populations that are large; without one the host trains any. */
  readonly gpu?: Gpu;
  /** Where the work is done; else by the size of the population, see {@link trainsOnDevice}. */
  readonly trainOn?: "host" | "device";
  /** File that a run goes on from after a kill; it belongs to these data and options. */
  readonly checkpoint?: string;
}

/** A fitted VAE with its course. */
export interface FittedNeuralVae {
  /** The network with what scales responses. */
  readonly vae: NeuralVae;
  /** All settings, the defaults among them. */
  readonly settings: VaeSettings;
  /** Losses over the epochs. */
  readonly history: VaeHistory;
  /** Epoch of the weights, from 1. */
  readonly keptEpoch: number;
  /** Rows that were trained and tested on. */
  readonly split: TrainTestSplit;
  /** Where the work was done. */
  readonly trainedOn: "host" | "device";
}

// Weights of the two wide layers from which a step is faster on a device. Processor time of steps of 32 stimuli with 4 groups of 6, on the
// host's one thread and on llvmpipe's two: 58 sites (5,104 weights) 2.2 and 24 ms, 1,000 sites 13 and 34, 3,000 sites 27 and 44, 6,000 sites
// 65 and 66, 10,000 sites (880,000 weights) 117 and 95. The device's part hardly grows: it is that of 150 small dispatches.
const DEVICE_WEIGHTS = 500_000;

/** Whether a population is large enough that a device trains it faster than the host. */
export function trainsOnDevice({ nSites, hidden, groups }: VaeShape): boolean {
  return nSites * (hidden + latentSize(groups)) >= DEVICE_WEIGHTS;
}

function factsOf(data: VaeData, settings: VaeSettings, key: Key, trainedOn: string) {
  return {
    responses: [data.responses.shape, digestOf(data.responses.data)],
    pose: data.pose && digestOf(data.pose.data),
    categories: data.categories && digestOf(data.categories),
    settings,
    key,
    device: trainedOn,
  };
}

/**
 * Fits the group-wise disentangled VAE of MIG-Vis to responses of a population: any number of sites, groups of any sizes, weak labels
 * where there are some. The same key and data give the same bits on one device.
 *
 * @throws {InputError} when the data are not finite or do not fit together, a setting is out of range, or a loss is not finite
 */
export async function fitNeuralVae(
  data: VaeData,
  options: FitNeuralVaeOptions = {},
): Promise<FittedNeuralVae> {
  const { key = randomKey(2024), gpu, trainOn, checkpoint, signal, onProgress, ...given } = options;
  const settings = vaeSettings(given);
  const shape = shapeOf(data, settings);
  const rows = trainTestSplit(data.responses.shape[0], {
    testSize: settings.testSize,
    seed: settings.splitSeed,
  });
  const scaled = scaleSamples(data, settings, rows);
  const [startKey, trainKey] = split(key);
  const objective = { ...settings, datasetSize: rows.train.length };
  const start = { weights: initialWeights(shape, startKey), shape, options: objective, settings };
  if (trainOn === "device" && !gpu) {
    throw new InputError("Cannot train the VAE on a device: none is given");
  }
  const device = trainOn === "host" || (trainOn === undefined && !trainsOnDevice(shape))
    ? undefined
    : gpu;
  const trainedOn = device ? "device" : "host";
  using trainer = device ? new DeviceTrainer(device, start) : new HostTrainer(start);
  using file = checkpoint === undefined ? undefined : new SlotFile(
    checkpoint,
    factsOf(data, settings, key, device ? `device ${device.adapterName}` : "host"),
    trainingCapacity(shape, settings),
  );
  const plan = { samples: scaled.samples, shape, split: rows, settings, key: trainKey };
  const { kept, keptEpoch, train, test, testEpochs } = await trainVae(trainer, plan, {
    file,
    signal,
    onProgress,
  });
  const vae = new NeuralVae({ shape, weights: kept, sites: scaled.sites, pose: scaled.pose });
  return {
    vae,
    settings,
    history: { train, test, testEpochs },
    keptEpoch,
    split: rows,
    trainedOn,
  };
}
