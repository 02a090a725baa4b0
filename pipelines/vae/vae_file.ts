import { type HostMatrix, hostMatrix } from "../encoding/host_matrix.ts";
import { InputError } from "../errors.ts";
import { requireFinite } from "../io/checks.ts";
import { Hdf5File } from "../io/hdf5.ts";
import { Hdf5Writer } from "../io/hdf5_writer.ts";
import { toFloat32, toFloat64 } from "../io/state_dict.ts";
import { quote } from "../io/strict_json.ts";
import { LOSS_PARTS, type VaeLosses } from "./objective.ts";
import { type NeuralLatents, NeuralVae } from "./neural_vae.ts";
import { vaeTensorShapes } from "./parameters.ts";
import type { ColumnScale } from "./samples.ts";
import type { LabelHead, VaeShape } from "./settings.ts";
import type { TrainTestSplit } from "./split.ts";
import type { VaeHistory } from "./train.ts";

const FORMAT = "gyrus neural vae 1";

/** What a file keeps beside the network. */
export interface NeuralVaeRecord {
  /** The network with what scales responses. */
  readonly vae: NeuralVae;
  /** Posteriors of the stimuli that it was fitted to. */
  readonly latents: NeuralLatents;
  /** Losses over the epochs. */
  readonly history: VaeHistory;
  /** Epoch of the weights, from 1. */
  readonly keptEpoch: number;
  /** Rows that were trained and tested on. */
  readonly split: TrainTestSplit;
  /** How it was fitted, by name, as JSON can hold it. */
  readonly settings: Readonly<Record<string, unknown>>;
}

/**
 * Writes a VAE as HDF5.
 *
 * `/weights/<PyTorch's name>` (encoder.fc1.weight, …) and `/mu`, `/logvar [nStimuli, nLatent]` of the stimuli, in float32; `/mean`,
 * `/std [nSites]`, with poses `/pose_mean`, `/pose_std [nPose]`, in float64; `/losses/train [epochs, 6]`, `/losses/test [looks, 6]`: total,
 * reconstruction, pose, category, Kullback–Leibler, partial correlation; `/losses/test_epochs [looks]`; `/split/train`, `/split/test`, rows.
 * Attributes `format`, `groups` (sizes), `kept_epoch`, `pose` and `category` (group and size, where there are such labels), `settings`
 * (JSON).
 *
 * @throws {InputError} when the file system refuses
 */
export async function writeNeuralVae(
  path: string,
  { vae, latents, history, keptEpoch, split, settings }: NeuralVaeRecord,
  { inPlace = false }: { readonly inPlace?: boolean } = {},
): Promise<void> {
  using file = await Hdf5Writer.create(path, { inPlace });
  const { shape, weights, sites, pose } = vae;
  file.setAttribute("/", "format", FORMAT);
  file.setAttribute("/", "groups", shape.groups);
  file.setAttribute("/", "kept_epoch", keptEpoch);
  for (const label of ["pose", "category"] as const) {
    const head = shape[label];
    if (head) file.setAttribute("/", label, [head.group, head.size]);
  }
  file.setAttribute("/", "settings", JSON.stringify(settings));
  const write = (
    name: string,
    values: Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer> | Int32Array<ArrayBuffer>,
    dims: readonly number[] = [values.length],
  ) => {
    const dtype = values instanceof Int32Array
      ? "i32"
      : values instanceof Float32Array
      ? "f32"
      : "f64";
    file.createDataset(name, { shape: dims, dtype });
    file.writeRows(name, 0, values);
  };
  const shapes = vaeTensorShapes(shape);
  for (const [name, values] of weights) {
    write(`/weights/${name}`, Float32Array.from(values), shapes.get(name));
  }
  write("/mean", sites.mean);
  write("/std", sites.std);
  if (pose) write("/pose_mean", pose.mean);
  if (pose) write("/pose_std", pose.std);
  for (const name of ["mu", "logvar"] as const) {
    write(`/${name}`, latents[name].data, latents[name].shape);
  }
  for (const name of ["train", "test"] as const) {
    const table = history[name].flatMap((losses) => LOSS_PARTS.map((part) => losses[part]));
    write(`/losses/${name}`, Float64Array.from(table), [history[name].length, LOSS_PARTS.length]);
    write(`/split/${name}`, Int32Array.from(split[name]));
  }
  write("/losses/test_epochs", Int32Array.from(history.testEpochs));
  file.commit();
}

/** Parts of a VAE's file, checked. */
class VaeReader {
  constructor(readonly file: Hdf5File, readonly path: string) {}

  fail(problem: string): never {
    throw new InputError(`Cannot read the VAE ${quote(this.path)}: ${problem}`);
  }

  has(name: string): boolean {
    return this.file.datasets().includes(name);
  }

  numbers(name: string): readonly number[] | undefined {
    const value = this.file.attributes()[name];
    if (value === undefined) return undefined;
    const list = (Array.isArray(value) ? value : [value]).map(Number);
    if (list.some((v) => !Number.isInteger(v))) {
      this.fail(`its attribute "${name}" must be whole numbers, it is ${quote(String(value))}`);
    }
    return list;
  }

  values(name: string, length?: number): Float64Array<ArrayBuffer> {
    if (!this.has(name)) this.fail(`${name} is missing`);
    const values = toFloat64(this.file.read(name));
    if (length !== undefined && values.length !== length) {
      this.fail(`${name} has ${values.length} values, it must have ${length}`);
    }
    requireFinite(values, { source: `${this.path}:${name}` });
    return values;
  }

  matrix(name: string, columns: number): HostMatrix {
    if (!this.has(name)) this.fail(`${name} is missing`);
    const { shape } = this.file.info(name);
    if (shape.length !== 2 || shape[1] !== columns) {
      this.fail(`${name} is [${shape}], it must be [stimuli,${columns}]`);
    }
    return hostMatrix(toFloat32(this.file.read(name)), [shape[0], columns]);
  }

  head(label: string, nGroups: number): LabelHead | undefined {
    const numbers = this.numbers(label);
    if (numbers === undefined) return undefined;
    const [group, size] = numbers;
    if (numbers.length !== 2 || !(group >= 0 && group < nGroups && size > 0)) {
      this.fail(
        `its attribute "${label}" must be a group below ${nGroups} and a size, it is [${numbers}]`,
      );
    }
    return { group, size };
  }

  shape(): VaeShape {
    const groups = this.numbers("groups");
    if (!groups?.length || groups.some((size) => size < 1)) {
      return this.fail(
        `its attribute "groups" must be sizes from 1, it is [${groups ?? "missing"}]`,
      );
    }
    const [pose, category] = ["pose", "category"].map((label) => this.head(label, groups.length));
    return {
      nSites: this.values("/mean").length,
      hidden: this.values("/weights/encoder.fc1.bias").length,
      groups,
      ...(pose ? { pose } : {}),
      ...(category ? { category } : {}),
    };
  }

  scale(prefix: string, length?: number): ColumnScale {
    const mean = this.values(`${prefix}mean`, length);
    return { mean, std: this.values(`${prefix}std`, mean.length) };
  }

  losses(name: string): VaeLosses[] {
    const { data, shape: [rows, width] } = this.matrix64(`/losses/${name}`, LOSS_PARTS.length);
    return Array.from({ length: rows }, (_, row) => {
      const [total, reconstruction, pose, category, kl, partialCorrelation] = data.subarray(
        row * width,
        (row + 1) * width,
      );
      return { total, reconstruction, pose, category, kl, partialCorrelation };
    });
  }

  matrix64(name: string, width: number): { data: Float64Array; shape: [number, number] } {
    const data = this.values(name);
    if (data.length % width !== 0) this.fail(`${name} must have rows of ${width} values`);
    return { data, shape: [data.length / width, width] };
  }

  settings(): Record<string, unknown> {
    const text = String(this.file.attributes().settings);
    try {
      const settings: unknown = JSON.parse(text);
      if (typeof settings === "object" && settings !== null) return { ...settings };
    } catch (cause) {
      if (!(cause instanceof SyntaxError)) throw cause;
    }
    return this.fail('its attribute "settings" is no JSON object');
  }
}

/**
 * Reads what {@link writeNeuralVae} wrote.
 *
 * @throws {InputError} when the file is no VAE, a part of it is missing, or its parts do not fit each other
 */
export async function readNeuralVae(path: string): Promise<NeuralVaeRecord> {
  using file = await Hdf5File.open(path);
  const reader = new VaeReader(file, path);
  const { format } = file.attributes();
  if (format !== FORMAT) {
    reader.fail(`its attribute "format" must be "${FORMAT}", it is ${quote(String(format))}`);
  }
  const shape = reader.shape();
  const weights = new Map([...vaeTensorShapes(shape)].map(([name, dims]) => [
    name,
    reader.values(`/weights/${name}`, dims.reduce((a, b) => a * b, 1)),
  ]));
  const pose = shape.pose ? reader.scale("/pose_", shape.pose.size) : undefined;
  const vae = new NeuralVae({ shape, weights, sites: reader.scale("/"), pose });
  const rows = (name: string) => Uint32Array.from(reader.values(name));
  const [keptEpoch = 0] = reader.numbers("kept_epoch") ?? [];
  return {
    vae,
    latents: {
      mu: reader.matrix("/mu", vae.nLatent),
      logvar: reader.matrix("/logvar", vae.nLatent),
    },
    history: {
      train: reader.losses("train"),
      test: reader.losses("test"),
      testEpochs: [...reader.values("/losses/test_epochs")],
    },
    keptEpoch,
    split: { train: rows("/split/train"), test: rows("/split/test") },
    settings: reader.settings(),
  };
}
