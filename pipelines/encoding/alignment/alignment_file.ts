import type { Gpu } from "../../../engine/gpu.ts";
import { InputError } from "../../errors.ts";
import { requireFinite } from "../../io/checks.ts";
import { Hdf5File } from "../../io/hdf5.ts";
import { Hdf5Writer } from "../../io/hdf5_writer.ts";
import { toFloat32, toFloat64 } from "../../io/state_dict.ts";
import { quote } from "../../io/strict_json.ts";
import { type HostMatrix, hostMatrix } from "../host_matrix.ts";
import {
  Alignment,
  type AlignmentHead,
  type AlignmentParts,
  type AlignmentTraining,
} from "./alignment.ts";
import type { AlignmentSlice } from "./tokens.ts";

const FORMAT = "gyrus alignment 1";
const ROWS_AT_ONCE = 256;
const LOSSES = ["brain", "eigen", "zero", "covariance"] as const;

/**
 * Writes an alignment as HDF5.
 *
 * `/weights/<model>/<layer> [tokens' width, width]`, `/head/beta [width, nVoxels]`, `/head/bias [nVoxels]`, what voxels choose:
 * `/head/shares [nVoxels, 1]`, and where there are any `/head/space [nVoxels, patches]`, `/head/layers [nVoxels, layers]`, `/head/places
 * [nVoxels, 2]`, all float32; `/response_mean` and `/response_std [nVoxels]`; `/held_out` rows; `/r2 [slices or networks, nVoxels]`;
 * `/losses/{brain,eigen,zero,covariance} [nEpochs]`, `/losses/{r2_mean,r2_median} [nEpochs]` in float64. Attributes `format`, `grid`,
 * `best_epoch` (from 0), `slices` and `settings` (JSON).
 *
 * @throws {InputError} when a name cannot be one of a dataset, or the file system refuses
 */
export async function saveAlignment(
  path: string,
  alignment: AlignmentParts,
  { inPlace = false }: { readonly inPlace?: boolean } = {},
): Promise<void> {
  const { slices, weights, head, training, settings, grid } = alignment;
  const bad = slices.flatMap(({ model, layer }) => [model, layer]).find((name) => !isName(name));
  if (bad !== undefined) {
    throw new InputError(
      `Cannot save an alignment: ${
        quote(bad)
      } cannot name a dataset, take letters, digits, ".", "_" and "-"`,
    );
  }
  using file = await Hdf5Writer.create(path, { inPlace });
  file.setAttribute("/", "format", FORMAT);
  file.setAttribute("/", "grid", grid);
  file.setAttribute("/", "best_epoch", training.bestEpoch);
  file.setAttribute("/", "slices", JSON.stringify(slices));
  file.setAttribute("/", "settings", JSON.stringify(settings));
  slices.forEach(({ model, layer }, s) =>
    writeMatrix(file, `/weights/${model}/${layer}`, weights[s])
  );
  writeMatrix(file, "/head/beta", head.beta);
  writeVector(file, "/head/bias", head.bias);
  for (const [name, matrix] of Object.entries(head.choices)) {
    writeMatrix(file, `/head/${name}`, matrix);
  }
  writeVector(file, "/response_mean", alignment.responseMean);
  writeVector(file, "/response_std", alignment.responseStd);
  writeVector(file, "/held_out", Float64Array.from(training.heldOut));
  writeMatrix(file, "/r2", training.r2);
  for (const name of LOSSES) writeVector(file, `/losses/${name}`, training.losses[name]);
  writeVector(file, "/losses/r2_mean", training.meanR2);
  writeVector(file, "/losses/r2_median", training.medianR2);
  file.commit();
}

function isName(text: string): boolean {
  return /^[\w-][\w.-]*$/.test(text);
}

function writeVector(
  file: Hdf5Writer,
  name: string,
  values: Float32Array<ArrayBuffer> | Float64Array<ArrayBuffer>,
): void {
  const dtype = values instanceof Float32Array ? "f32" : "f64";
  file.createDataset(name, { shape: [values.length], dtype });
  file.writeRows(name, 0, values);
}

function writeMatrix(file: Hdf5Writer, name: string, { data, shape }: HostMatrix): void {
  const [rows, columns] = shape;
  file.createDataset(name, { shape, dtype: "f32" });
  for (let row = 0; row < rows; row += ROWS_AT_ONCE) {
    const end = Math.min(rows, row + ROWS_AT_ONCE);
    file.writeRows(name, row, data.slice(row * columns, end * columns));
  }
}

/**
 * Reads what {@link saveAlignment} wrote.
 *
 * @param gpu where it will be used
 * @throws {InputError} when the file is no alignment, or its parts do not fit each other
 */
export async function loadAlignment(gpu: Gpu, path: string): Promise<Alignment> {
  return new Alignment(gpu, await readAlignment(path));
}

/**
 * Reads what {@link saveAlignment} wrote, without a device to use it on.
 *
 * @throws {InputError} as {@link loadAlignment} says
 */
export async function readAlignment(path: string): Promise<AlignmentParts> {
  using file = await Hdf5File.open(path);
  const reader = new AlignmentReader(file, path);
  const { format, grid, best_epoch: bestEpoch } = file.attributes();
  if (format !== FORMAT) {
    reader.fail(`its attribute "format" must be "${FORMAT}", it is ${quote(String(format))}`);
  }
  if (!(Number.isInteger(Number(grid)) && Number(grid) >= 1)) {
    reader.fail(`its attribute "grid" must be a whole number from 1, it is ${quote(String(grid))}`);
  }
  const head = reader.head();
  const [width] = head.beta.shape, nVoxels = head.bias.length;
  const slices = reader.slices();
  const weights = slices.map(({ model, layer, width: nIn }) =>
    reader.matrix(`/weights/${model}/${layer}`, [nIn, width])
  );
  const settings = reader.json("settings");
  return {
    ...{ slices, weights, head, grid: Number(grid) },
    settings: typeof settings === "object" && settings !== null ? { ...settings } : {},
    responseMean: reader.vector("/response_mean", nVoxels),
    responseStd: reader.vector("/response_std", nVoxels),
    training: reader.training(Number(bestEpoch), slices, nVoxels),
  };
}

/** Parts of an alignment's file, checked against each other. */
class AlignmentReader {
  readonly #file: Hdf5File;
  readonly #path: string;

  constructor(file: Hdf5File, path: string) {
    this.#file = file;
    this.#path = path;
  }

  fail(problem: string): never {
    throw new InputError(`Cannot read the alignment ${quote(this.#path)}: ${problem}`);
  }

  json(name: string): unknown {
    const text = String(this.#file.attributes()[name]);
    try {
      return JSON.parse(text);
    } catch (cause) {
      if (!(cause instanceof SyntaxError)) throw cause;
      return this.fail(`its attribute "${name}" is no JSON`);
    }
  }

  slices(): AlignmentSlice[] {
    const list = this.json("slices");
    const isSlice = (value: unknown): value is AlignmentSlice =>
      typeof value === "object" && value !== null && "model" in value && "layer" in value &&
      "width" in value && typeof value.model === "string" && typeof value.layer === "string" &&
      typeof value.width === "number";
    if (!Array.isArray(list) || list.length === 0 || !list.every(isSlice)) {
      return this.fail('its attribute "slices" is no list of layers');
    }
    return list;
  }

  vector(name: string, length?: number): Float64Array<ArrayBuffer> {
    const values = toFloat64(this.#file.read(name));
    if (length !== undefined && values.length !== length) {
      this.fail(`${name} has ${values.length} values, needs ${length}`);
    }
    requireFinite(values, { source: `${this.#path}:${name}` });
    return values;
  }

  matrix(name: string, [rows, columns]: readonly [number?, number?] = []): HostMatrix {
    const { shape } = this.#file.info(name);
    const fits = shape.length === 2 && (rows ?? shape[0]) === shape[0] &&
      (columns ?? shape[1]) === shape[1];
    if (!fits || shape[0] * shape[1] === 0) {
      this.fail(`${name} is [${shape}], it must be [${rows ?? "rows"},${columns ?? "columns"}]`);
    }
    const data = toFloat32(this.#file.read(name));
    requireFinite(data, { source: `${this.#path}:${name}`, columns: shape[1] });
    return hostMatrix(data, [shape[0], shape[1]]);
  }

  head(): AlignmentHead {
    const bias = Float32Array.from(this.vector("/head/bias"));
    const there = this.#file.datasets();
    const names = ["shares", "space", "layers", "places"].filter((name) =>
      there.includes(`/head/${name}`)
    );
    const choices = names.map((name) =>
      [name, this.matrix(`/head/${name}`, [bias.length])] as const
    );
    return {
      beta: this.matrix("/head/beta", [undefined, bias.length]),
      bias,
      choices: Object.fromEntries(choices),
    };
  }

  training(
    bestEpoch: number,
    slices: readonly AlignmentSlice[],
    nVoxels: number,
  ): AlignmentTraining {
    const [brain, eigen, zero, covariance] = LOSSES.map((name) => this.vector(`/losses/${name}`));
    const nEpochs = brain.length;
    if (!(Number.isInteger(bestEpoch) && bestEpoch >= 0 && bestEpoch < nEpochs)) {
      this.fail(`its attribute "best_epoch" must be below ${nEpochs}, it is ${bestEpoch}`);
    }
    const r2 = this.matrix("/r2", [undefined, nVoxels]);
    const nModels = new Set(slices.map(({ model }) => model)).size;
    if (r2.shape[0] !== slices.length && r2.shape[0] !== nModels) {
      this.fail(`/r2 has ${r2.shape[0]} rows, ${slices.length} layers or ${nModels} networks do`);
    }
    return {
      losses: { brain, eigen, zero, covariance },
      meanR2: this.vector("/losses/r2_mean", nEpochs),
      medianR2: this.vector("/losses/r2_median", nEpochs),
      bestEpoch,
      r2,
      heldOut: Uint32Array.from(this.vector("/held_out")),
    };
  }
}
